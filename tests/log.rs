//! The log: one line per operation and request, and a sink that may use the library. A file of its own,
//! because the log is the process's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::sync::{Arc, Mutex};

use mde::log::Level;
use serde_json::json;
use support::{client, simulator};

#[test]
fn lines_come_by_level_and_the_sink_may_use_the_library() {
    let sim = simulator();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let (kept, inner) = (Arc::clone(&lines), client(&sim, &[]));
    let sink = move |level: Level, line: &str| {
        // Would be told of itself without end.
        inner.quota().ok();
        kept.lock().unwrap().push((level, line.to_owned()));
    };
    mde::log::set(Some((Level::Debug, Arc::new(sink))));
    let client = client(&sim, &[]);
    client.collect(&sim.machine_id(0), "x").ok();
    client.collect(&"0".repeat(40), "x").error("not_found");
    let seen = std::mem::take(&mut *lines.lock().unwrap());
    let has =
        |level: Level, part: &str| seen.iter().any(|(l, line)| *l == level && line.contains(part));
    assert!(has(Level::Debug, "POST /api/machines/"), "{seen:?}");
    assert!(has(Level::Debug, "HTTP 201 (attempt 1)"), "{seen:?}");
    assert!(has(Level::Info, "collect_package took ") && has(Level::Info, ": ok"), "{seen:?}");
    assert!(has(Level::Info, ": not_found: "), "{seen:?}");
    assert!(!seen.iter().any(|(_, line)| line.contains("quota_status")), "{seen:?}");
    assert!(seen.iter().all(|(_, line)| !line.contains('\n')));
    // A wait for the quota is told when it begins, a lost reply when it is missed, a pause as long as it is.
    let first = sim.machine_id(1);
    sim.script(json!([
        {"match": {"path_contains": first}, "times": 1, "process": true, "close": "before_reply"},
        {"match": {"path_contains": "machineactions"}, "times": 1,
            "reply": {"status": 429, "headers": {"Retry-After": "2"}}},
    ]))
    .unwrap();
    support::client(&sim, &[("max_retries", "1")]).list("").ok();
    client.collect(&first, "x");
    let seen = std::mem::take(&mut *lines.lock().unwrap());
    let has =
        |level: Level, part: &str| seen.iter().any(|(l, line)| *l == level && line.contains(part));
    assert!(has(Level::Warn, "the reply to POST /api/machines/"), "{seen:?}");
    assert!(has(Level::Warn, "throttled: trying again in 2000 ms"), "{seen:?}");
    assert!(has(Level::Info, "room in the quota of endpoint `list`, for "), "{seen:?}");
    mde::log::set(None);
    client.list("").ok();
    assert!(lines.lock().unwrap().is_empty());
}
