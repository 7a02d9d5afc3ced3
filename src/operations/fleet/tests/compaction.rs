//! Journals that are written anew with their last lines.

use std::fs;

use super::super::entry::State;
use super::super::journal::{Journal, Span};
use super::super::start::read_journal;
use super::super::storage::JournalFile;
use super::disk::SharedDisk;
use super::journal::{begins, head, journal, read, text};
use super::start::Folder;

/// A journal of three devices with nine lines, and the last ones.
fn wasteful() -> (SharedDisk, Journal<SharedDisk>, Vec<Span>) {
    let disk = SharedDisk::of(b"");
    let mut journal = Journal::begin(disk.clone(), &head()).unwrap();
    let mut spans = Vec::new();
    for round in [State::Queued, State::Running, State::Ready] {
        spans = (0..3).map(|n| journal.append(&text(n, round)).unwrap()).collect();
        journal.sync().unwrap();
    }
    (disk, journal, spans)
}

#[test]
fn a_compacted_journal_has_its_last_lines_in_order() {
    let (disk, mut journal, spans) = wasteful();
    let before = disk.bytes().len();
    let moved = journal.compact(&spans).unwrap();
    assert!(disk.bytes().len() * 2 < before);
    for (n, span) in (0..).zip(&moved) {
        assert_eq!(journal.text(*span).unwrap(), text(n, State::Ready));
    }
    // It is on disk, so all damage is an error.
    let compacted = disk.bytes();
    journal.sync().unwrap();
    assert_eq!(disk.bytes(), compacted);
    let last = begins(&compacted)[4];
    for at in 0..last {
        let mut damaged = compacted.clone();
        damaged[at] ^= 1;
        assert!(read(&damaged).is_err(), "byte {at}");
    }
    journal.append(&text(0, State::Done)).unwrap();
    let (head, states) = read(&disk.bytes()).unwrap();
    assert!(head.is_some());
    assert_eq!(states, [State::Ready, State::Ready, State::Ready, State::Done]);
}

#[test]
fn a_journal_is_wasteful_when_it_has_grown_to_twice_its_use() {
    let (_, mut journal) = journal(0);
    let mut last = journal.append(&text(0, State::Queued)).unwrap();
    let mut lines = 2;
    while !journal.is_wasteful() {
        let next = journal.append(&text(0, State::Queued)).unwrap();
        journal.forget(last);
        (last, lines) = (next, lines + 1);
        assert!(lines < 1_000);
    }
    journal.compact(&[last]).unwrap();
    assert!(!journal.is_wasteful());
}

#[test]
fn a_journal_that_cannot_be_compacted_goes_on_as_it_is() {
    let folder = Folder::new();
    let mut journal = Journal::begin(folder.open(), &head()).unwrap();
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    let mut last = journal.append(&text(0, State::Queued)).unwrap();
    journal.sync().unwrap();
    let mut append = |journal: &mut Journal<JournalFile>| {
        let next = journal.append(&text(0, State::Queued)).unwrap();
        journal.forget(std::mem::replace(&mut last, next));
        next
    };
    while !journal.is_wasteful() {
        append(&mut journal);
    }
    let in_the_way = folder.0.join("fleet.journal.new");
    fs::create_dir(&in_the_way).unwrap();
    let last = append(&mut journal);
    assert!(journal.compact(&[last]).is_none());
    assert_eq!(journal.text(last).unwrap(), text(0, State::Queued));
    // It is not tried with each line again.
    let mut lines = 0;
    while !journal.is_wasteful() {
        append(&mut journal);
        lines += 1;
    }
    assert!((3..30).contains(&lines), "{lines}");
    fs::remove_dir(&in_the_way).unwrap();
    let length = || fs::metadata(folder.0.join("fleet.journal")).unwrap().len();
    let before = length();
    let last = append(&mut journal);
    let moved = journal.compact(&[last]).unwrap();
    assert!(length() * 4 < before);
    assert_eq!(journal.text(moved[0]).unwrap(), text(0, State::Queued));
    journal.append(&text(0, State::Failed)).unwrap();
    let (_, _, known) = read_journal(folder.open(), &|| Ok(())).unwrap();
    assert_eq!(known.devices[0].state, State::Failed);
}

/// It was closed to be replaced. Lines in a file without a name would be lost.
#[test]
#[cfg(unix)]
fn a_journal_that_cannot_be_opened_again_takes_no_line() {
    let folder = Folder::new();
    let mut journal = Journal::begin(folder.open(), &head()).unwrap();
    let last = journal.append(&text(0, State::Queued)).unwrap();
    let path = folder.0.join("fleet.journal");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(journal.compact(&[last]).is_none());
    let error = journal.append(&text(0, State::Failed)).unwrap_err();
    assert!(error.to_string().contains("could not be opened again"), "{error}");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}
