//! The check of a package: `0 | the bytes of a zip`, or `1 | what to build one of`.
//!
//! What the check calls safe is read again by Python and by libarchive, which is bsdtar's. They have to find the same names and
//! contents. Processes are slow, so only inputs that are new are read again, and in a long run only some of them.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs;

use mde::{Entry, InspectedPackage};

use super::input::Input;
use super::readers::{self, All, Seen, SeenEntry};
use super::{check_error, scratch, zip_builder};

/// How many different zips are all read again, and then one of how many.
const ALL_OF_THE_FIRST: usize = 20_000;
const THEN_ONE_OF: usize = 32;

thread_local! {
    static KNOWN: RefCell<HashSet<u32>> = RefCell::default();
}

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let zip = match input.byte() & 1 {
        0 => input.rest().to_vec(),
        _ => zip_builder::build(&mut input),
    };
    let inspected = scratch::with(|folder| {
        let path = folder.file("package.zip");
        fs::write(&path, &zip).expect("a file");
        mde::inspect_package(&path, None, None)
    });
    match inspected {
        Err(error) => check_error(&error),
        Ok(package) if is_due(&zip) => compare(&zip, &package),
        Ok(_) => {}
    }
}

fn is_due(zip: &[u8]) -> bool {
    KNOWN.with_borrow_mut(|known| {
        let sum = crc32fast::hash(zip);
        known.insert(sum)
            && (known.len() < ALL_OF_THE_FIRST || (sum as usize).is_multiple_of(THEN_ONE_OF))
    })
}

fn compare(zip: &[u8], package: &InspectedPackage) {
    let entries = &package.contents.entries;
    let All { python, by_directory, by_headers } = readers::read(zip);
    // Python compares the two names of an entry byte by byte, and refuses those that differ in separators.
    let differs = python.error.as_ref().is_some_and(|error| error.contains("and header"));
    same("Python", &python, entries, differs);
    same("libarchive", &by_directory, entries, stops_at_a_field(&by_directory));
    // Without sizes in its header, the end of a stored file is guessed. And a pipe has to begin with a header.
    let guesses = zip.windows(10).any(|head| head.starts_with(b"PK\x03\x04") && head[6] & 8 != 0);
    let begins = zip.starts_with(b"PK\x03\x04") || zip.starts_with(b"PK\x05\x06");
    if begins && !guesses {
        same("libarchive from a pipe", &by_headers, entries, stops_at_a_field(&by_headers));
    }
}

/// libarchive refuses a zip with times or owners that are too short, which others pass over.
fn stops_at_a_field(seen: &Seen) -> bool {
    let starts = ["Incomplete", "Too-small extra data", "Extended"];
    seen.error.as_ref().is_some_and(|error| starts.iter().any(|start| error.starts_with(start)))
}

fn same(who: &str, seen: &Seen, entries: &[Entry], may_stop: bool) {
    if let Some(error) = &seen.error {
        assert!(may_stop, "{who} does not read it: {error}");
        return;
    }
    let theirs =
        |one: &SeenEntry| (shown(&String::from_utf8_lossy(&one.name)), one.bytes, one.crc32);
    let ours = |one: &Entry| (shown(one.name()), one.bytes(), one.crc32());
    let mut theirs: Vec<_> = seen.entries.iter().map(theirs).collect();
    let mut ours: Vec<_> = entries.iter().map(ours).collect();
    assert!(seen.entries.iter().all(|one| one.is_plain), "{who} finds a link: {theirs:?}");
    theirs.sort();
    ours.sort();
    assert_eq!(theirs, ours, "{who} reads other entries");
    let leaves = |name: &str| name.starts_with('/') || name.split('/').any(|part| part == "..");
    assert!(!theirs.iter().any(|(name, ..)| leaves(name)), "{who}: {theirs:?}");
}

/// A name in the form that all of them write: separators of Windows are separators. What is not ASCII depends on the
/// character set that a reader chooses.
fn shown(name: &str) -> String {
    let name = name.replace('\\', "/");
    name.split(|c: char| !c.is_ascii()).next().unwrap_or_default().to_owned()
}
