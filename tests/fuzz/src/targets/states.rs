//! State files, receipts and records that lie on disk: `which | content`.

use std::fs;

use mde::fuzz_hooks;

use super::input::Input;
use super::{check_error, scratch};

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 4 {
        0 => fetch_state(input.rest()),
        1 => part_state(input.rest()),
        2 => {
            if let Some(written) = fuzz_hooks::receipt(&String::from_utf8_lossy(input.rest())) {
                assert_eq!(fuzz_hooks::receipt(&written), Some(written), "it is read as written");
            }
        }
        _ => record(&mut input),
    }
}

fn fetch_state(text: &[u8]) {
    scratch::with(|folder| {
        let path = folder.file("package.zip.fetch.json");
        fs::write(&path, text).expect("a file");
        match fuzz_hooks::fetch_state(&path) {
            // A state file that is there is read or refused. Otherwise a collection would be asked for once more.
            Ok(there) => assert!(there, "overlooked"),
            Err(error) => check_error(&error),
        }
        fs::remove_file(&path).expect("it stays");
    });
}

fn part_state(text: &[u8]) {
    let Some((written, receipt)) = fuzz_hooks::part_state(text) else { return };
    assert_eq!(
        fuzz_hooks::part_state(written.as_bytes()),
        Some((written, receipt.clone())),
        "it is read as written"
    );
    if let Some(line) = receipt {
        // A receipt whose checksum has a blank is none.
        assert!(fuzz_hooks::receipt(&line).is_none_or(|again| again == line));
    }
}

/// `with a right chain, which files | length and bytes of the list and of the checksum | lines`
fn record(input: &mut Input<'_>) {
    let form = input.byte();
    let (sums, whole) = (input.part(), input.part());
    let mut lines = input.rest().to_vec();
    if form & 1 == 1 {
        lines = chained(&lines);
    }
    let sum_of = |bytes: &[u8]| {
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let right = format!("{}  record.jsonl\n", sum_of(&lines));
    scratch::with(|folder| {
        let path = folder.file("record.jsonl");
        fs::write(&path, &lines).expect("a file");
        if form & 2 != 0 {
            fs::write(folder.file("SHA256SUMS"), sums).expect("a file");
        }
        match form & 12 {
            0 => {}
            4 => fs::write(folder.file("record.jsonl.sha256"), whole).expect("a file"),
            _ => fs::write(folder.file("record.jsonl.sha256"), right).expect("a file"),
        }
        let contents = || {
            ["record.jsonl", "record.jsonl.sha256", "SHA256SUMS"]
                .map(|it| fs::read(folder.file(it)).ok())
        };
        let before = contents();
        match fuzz_hooks::record(&path) {
            Err(error) => {
                check_error(&error);
                assert!(contents() == before, "a record that is refused was changed");
            }
            Ok(()) => {
                let first = contents();
                let kept = first[0].as_deref().unwrap_or_default();
                assert!(lines.starts_with(kept), "lines were changed");
                assert!(!kept.contains(&b'\n') || kept.ends_with(b"\n"), "a torn line was left");
                fuzz_hooks::record(&path).expect("what was completed is whole");
                assert!(contents() == first, "it was completed twice");
            }
        }
        folder.clear();
    });
}

/// The lines with the right `previous` in each, where it is the member `p`.
fn chained(lines: &[u8]) -> Vec<u8> {
    let (mut chained, mut previous) = (Vec::new(), "0".repeat(64));
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        let text = text.replace("\"p\":0", &format!("\"previous\":\"{previous}\""));
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        previous = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        chained.extend_from_slice(text.as_bytes());
    }
    chained
}
