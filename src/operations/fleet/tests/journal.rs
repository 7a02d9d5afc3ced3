//! The journal alone.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use super::super::devices::{self, Devices};
use super::super::engine::{Engine, Now, Step};
use super::super::entry::{Entry, State};
use super::super::journal::{Head, Journal, Unusable};
use super::super::start::{Known, read_journal};
use super::super::storage::JournalFile;
use super::checks::{Record, Rows};
use super::disk::SharedDisk;
use super::service::wall;
use crate::text::json;

const A: &str = "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9";

fn head() -> Head {
    Head::new("https://service", Some("tenant".to_owned()), None)
}

fn text(n: u32, state: State) -> String {
    json::text(&Entry { state, ..Entry::new(n, A) })
}

/// A journal with as many lines of its only device.
fn journal(lines: u32) -> (SharedDisk, Journal<SharedDisk>) {
    let disk = SharedDisk::of(b"");
    let mut journal = Journal::begin(disk.clone(), &head()).unwrap();
    for _ in 0..lines {
        journal.append(&text(0, State::Queued)).unwrap();
    }
    (disk, journal)
}

/// The lines of a journal, or why it is of no use.
fn read(bytes: &[u8]) -> Result<(Option<Head>, Vec<State>), String> {
    let mut states = Vec::new();
    let read = Journal::read(SharedDisk::of(bytes), &mut |entry, _| states.push(entry.state));
    read.map(|(_, head)| (head, states)).map_err(|why| format!("{why:?}"))
}

#[test]
fn what_was_written_is_read() {
    let (disk, mut journal) = journal(0);
    let span = journal.append(&text(0, State::Ready)).unwrap();
    assert_eq!(journal.text(span).unwrap(), text(0, State::Ready));
    let spans = journal.append_all([text(0, State::Done), text(0, State::Failed)].into_iter());
    assert_eq!(journal.text(spans.unwrap()[1]).unwrap(), text(0, State::Failed));
    let all = vec![State::Ready, State::Done, State::Failed];
    assert_eq!(read(&disk.bytes()), Ok((Some(head()), all)));
}

#[test]
fn a_journal_torn_anywhere_has_its_whole_lines() {
    let (disk, _) = journal(2);
    let bytes = disk.bytes();
    let ends: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').collect();
    for length in 0..=bytes.len() {
        let whole = ends.iter().filter(|end| **end < length).count();
        let (head, states) = read(&bytes[..length]).unwrap();
        assert_eq!((head.is_some(), states.len()), (whole > 0, whole.saturating_sub(1)));
        // The next line takes the place of the torn one.
        if whole > 0 {
            let disk = SharedDisk::of(&bytes[..length]);
            let (mut journal, _, _) = read_journal(disk.clone()).unwrap();
            journal.drop_torn_line().unwrap();
            journal.append(&text(0, State::Done)).unwrap();
            let (_, states) = read(&disk.bytes()).unwrap();
            assert_eq!((states.len(), states.last()), (whole, Some(&State::Done)));
        }
    }
}

#[test]
fn a_damaged_line_with_a_whole_one_behind_it_is_an_error() {
    let (disk, _) = journal(2);
    let bytes = disk.bytes();
    let line_of = |at: usize| bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let (line, is_end) = (line_of(at), bytes[at] == b'\n');
        match line {
            // Without its end, the line before the last one is part of the last one.
            3 => assert_eq!(read(&damaged).unwrap().1.len(), 1, "byte {at}"),
            2 if is_end => assert_eq!(read(&damaged).unwrap().1.len(), 0, "byte {at}"),
            _ => {
                assert_eq!(read(&damaged), Err(format!("Damaged {{ line: {line} }}")), "byte {at}")
            }
        }
    }
}

#[test]
fn a_journal_of_another_version_is_refused() {
    let of = |head: &str, lines: &[&str]| {
        let disk = SharedDisk::of(b"");
        let mut journal = Journal::begin(disk.clone(), &Head::default()).unwrap();
        let first = journal.append(head).unwrap();
        for line in lines {
            journal.append(line).unwrap();
        }
        // It begins with the line that was appended first.
        let bytes = disk.bytes();
        read_journal(SharedDisk::of(&bytes[usize::try_from(first.at).unwrap()..])).err()
    };
    let own = json::text(&head());
    let is_other = |why: Option<Unusable>| matches!(why, Some(Unusable::OtherVersion));
    assert!(of(&own, &[&text(0, State::Queued)]).is_none());
    assert!(is_other(of(&own.replace("fleet 1", "fleet 2"), &[])));
    assert!(is_other(of("{}", &[])));
    assert!(is_other(of(&own, &[r#"{"n":0}"#])));
    assert!(is_other(of(&own, &[&text(0, State::Queued).replace("queued", "asleep")])));
    // A position without a line, and one that no job has.
    assert!(is_other(of(&own, &[&text(1, State::Queued)])));
    assert!(is_other(of(&own, &[&text(u32::MAX, State::Queued)])));
}

#[test]
fn a_compacted_journal_has_its_last_lines_in_order() {
    let (disk, mut journal) = journal(0);
    let mut spans = Vec::new();
    for round in [State::Queued, State::Running, State::Ready] {
        spans = (0..3).map(|n| journal.append(&text(n, round)).unwrap()).collect();
    }
    let before = disk.bytes().len();
    let moved = journal.compact(&spans).unwrap();
    assert!(disk.bytes().len() * 2 < before);
    for (n, span) in (0..).zip(&moved) {
        assert_eq!(journal.text(*span).unwrap(), text(n, State::Ready));
    }
    journal.append(&text(0, State::Done)).unwrap();
    let (head, states) = read(&disk.bytes()).unwrap();
    assert!(head.is_some());
    assert_eq!(states, [State::Ready, State::Ready, State::Ready, State::Done]);
}

#[test]
fn a_journal_is_wasteful_when_it_has_grown_to_twice_its_use() {
    let (_, mut journal) = journal(1);
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
fn a_write_that_fails_leaves_nothing() {
    for random in 0..50 {
        let (disk, mut journal) = journal(1);
        let before = disk.bytes();
        {
            let disk = &mut *disk.0.borrow_mut();
            disk.random.seed(random);
            disk.fail_in = Some(0);
        }
        let error = match random % 2 {
            0 => journal.append(&text(0, State::Done)).unwrap_err(),
            _ => journal.append_all((0..9).map(|_| text(0, State::Done))).unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(disk.bytes(), before);
        journal.append(&text(0, State::Failed)).unwrap();
        assert_eq!(read(&disk.bytes()).unwrap().1, [State::Queued, State::Failed]);
    }
}

/// A job of 100,000 devices starts within two seconds in all, the file included.
#[test]
fn a_hundred_thousand_lines_are_read_and_written_quickly() {
    const LONGEST: Duration = Duration::from_secs(10);
    let path = std::env::temp_dir().join(format!("mde-fleet-{:016x}.journal", fastrand::u64(..)));
    let device = |n: usize| devices::Device {
        id: format!("{n:040x}").into(),
        comment: None,
        file: None,
        problems: None,
    };
    let list = (0..devices::MOST).map(device).collect();
    let wanted = Devices { list, retry_failed: false, is_resume: false };
    let open = || JournalFile::open(&path).unwrap();
    let mut record = Record { rows: Rows::default(), disk: SharedDisk::of(b"") };
    let now = Now { passed: Duration::ZERO, wall: wall(Duration::ZERO) };
    let began = Instant::now();
    let journal = Journal::begin(open(), &head()).unwrap();
    let mut engine = Engine::new(journal, Known::default(), &mut record, "why", 4);
    engine.start(&wanted).unwrap();
    assert!(matches!(engine.next(now, false).unwrap(), Step::Wait(None)));
    let written = began.elapsed();
    let (journal, _, known) = read_journal(open()).unwrap();
    assert_eq!(known.devices.len(), devices::MOST);
    let mut engine = Engine::new(journal, known, &mut record, "why", 4);
    engine.start(&wanted).unwrap();
    assert!(
        matches!(engine.next(now, true).unwrap(), Step::Collect { request, .. } if request.key == 0)
    );
    let all = began.elapsed();
    println!("written in {written:?}, read and started in {:?}", all - written);
    std::fs::remove_file(&path).unwrap();
    assert!(all < LONGEST, "{all:?}");
}
