//! State files of a fetch: a good one, and what each fault makes of it.

use serde_json::{Value, json};

use crate::fault::Fault;
use crate::good::{ACTION, MACHINE};

/// State files with this fault. There is none where the fault is not one of the content.
pub fn contents(fault: Fault) -> Vec<Vec<u8>> {
    let good = json!({"version": 1, "machine_id": MACHINE, "comment": "case",
        "began": "2026-11-30T07:00:00.000Z", "action_id": ACTION, "adopted": false});
    let text = good.to_string();
    let open = text.strip_suffix('}').unwrap();
    let with = |member: &str, value: Value| {
        let mut changed = good.clone();
        changed[member] = value;
        changed.to_string().into_bytes()
    };
    let without = |member: &str| {
        let mut changed = good.clone();
        changed.as_object_mut().unwrap().remove(member);
        changed.to_string().into_bytes()
    };
    match fault {
        Fault::Truncated => (1..text.len()).map(|at| text.as_bytes()[..at].to_vec()).collect(),
        Fault::Garbage => vec![b"\x00\x01\xff".to_vec(), b"[1,2".to_vec(), vec![0; 200]],
        Fault::Html => vec![b"<html></html>".to_vec()],
        Fault::Deep => {
            let brackets = ["[".repeat(100_000), "]".repeat(100_000)].concat();
            vec![format!("{open},\"deep\":{brackets}}}").into_bytes()]
        }
        Fault::TooLong => {
            vec![format!("{open},\"long\":\"{}\"}}", "x".repeat(1 << 20)).into_bytes()]
        }
        Fault::Huge => {
            vec![format!("{open},\"huge\":[{}{{}}]}}", "{},".repeat(60_000)).into_bytes()]
        }
        Fault::Missing => ["version", "machine_id", "comment", "began"].map(without).into(),
        Fault::Extra => vec![with("new", json!({"a": [1, null]}))],
        Fault::Null => {
            ["version", "machine_id", "comment", "began"].map(|it| with(it, Value::Null)).into()
        }
        Fault::Empty => vec![Vec::new()],
        _ => Vec::new(),
    }
}
