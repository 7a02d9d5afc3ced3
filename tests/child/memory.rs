//! The memory that a call takes at most.

use std::fs;
use std::path::Path;

/// A number of kilobytes in `/proc/self/status`, in bytes.
fn status(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// The check of a package, with its document.
pub fn of_an_inspection(path: &Path) {
    // What the first call makes once stays.
    assert!(mde::inspect_package("/", None, None).is_err());
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmHWM:");
    let result = mde::inspect_package(path, None, None);
    let document = match &result {
        Ok(package) => package.to_json(),
        Err(error) => error.to_json(),
    };
    let peak = status("VmHWM:") - before;
    println!("{} {} {peak}", document.matches(r#""crc32""#).count(), document.len());
}
