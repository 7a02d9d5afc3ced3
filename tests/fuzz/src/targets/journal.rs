//! The journal of a job over many devices: lines, each with its checksum unless it begins with `!`.

use std::fs;
use std::sync::Arc;

use serde_json::Value;

use super::{check_error, scratch};

pub fn run(data: &[u8]) {
    let mut journal = Vec::new();
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        let (text, end) = match line.strip_suffix(b"\n") {
            Some(text) => (text, &b"\n"[..]),
            None => (line, &b""[..]),
        };
        match text.strip_prefix(b"!") {
            Some(raw) => journal.extend_from_slice(raw),
            None => {
                journal.extend_from_slice(format!("{:08x} ", crc32fast::hash(text)).as_bytes());
                journal.extend_from_slice(text);
            }
        }
        journal.extend_from_slice(end);
    }
    scratch::with(|folder| {
        let path = folder.file("fleet.journal");
        fs::write(&path, &journal).expect("a file");
        let read = mde::read_packages(folder.path().to_str().expect("UTF-8"));
        match &read {
            Err(error) => check_error(error),
            Ok(packages) => {
                let summary = packages.summary;
                let parts = [summary.done, summary.failed, summary.skipped, summary.unfinished];
                assert_eq!(parts.iter().sum::<usize>(), summary.devices);
                let text = packages.clone().into_json();
                let document: Value = serde_json::from_str(&text).expect("JSON");
                let listed = document["packages"].as_array().expect("a list");
                assert_eq!(listed.len(), summary.devices);
                assert_eq!(document["summary"]["bytes"], summary.bytes);
            }
        }
        assert!(fs::read(&path).expect("a file") == journal, "reading has changed it");
        // What can be read can be resumed, until the network is needed.
        if read.is_ok() {
            resume(folder.path().to_str().expect("UTF-8"));
        }
        folder.clear();
    });
}

/// A call that is stopped before its first request.
fn resume(folder: &str) {
    thread_local! {
        static CLIENT: Arc<mde::Client> = Arc::new(client());
    }
    let client = CLIENT.with(Arc::clone);
    let devices = mde::Devices::resume();
    let cancel = mde::Cancel::new(Some(std::time::Duration::from_millis(1)));
    match client.fetch_packages(&devices, "test", folder, None, Some(&cancel)) {
        Ok(_) => {}
        Err(error) => check_error(&error),
    }
}

fn client() -> mde::Client {
    let mut options = mde::Options::new();
    for (name, value) in [
        ("api_url", "http://127.0.0.1:1"),
        ("access_token", "token"),
        ("proxy", "none"),
        ("max_retries", "0"),
        ("quota", "fail"),
    ] {
        options.set(name, value).expect("an option");
    }
    mde::Client::new(&options).expect("a client")
}
