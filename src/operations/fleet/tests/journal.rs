//! The journal alone.

use std::io::ErrorKind;

use super::super::entry::{Entry, State};
use super::super::journal::{Head, Journal, Line, Unusable};
use super::super::start::{Known, read_journal};
use super::disk::SharedDisk;
use crate::text::json;

const A: &str = "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9";

pub(super) fn head() -> Head {
    Head::new("https://service", Some("tenant".to_owned()), None)
}

pub(super) fn text(n: u32, state: State) -> String {
    json::text(&Entry { state, ..Entry::new(n, A) })
}

/// A journal of one device, which is on disk, with lines that are not on disk yet.
pub(super) fn journal(lines: u32) -> (SharedDisk, Journal<SharedDisk>) {
    let disk = SharedDisk::of(b"");
    let mut journal = Journal::begin(disk.clone(), &head()).unwrap();
    journal.append(&text(0, State::Queued)).unwrap();
    journal.sync().unwrap();
    for _ in 0..lines {
        journal.append(&text(0, State::Running)).unwrap();
    }
    (disk, journal)
}

/// The lines of a journal, or why it is of no use.
pub(super) fn read(bytes: &[u8]) -> Result<(Option<Head>, Vec<State>), String> {
    let mut states = Vec::new();
    let mut each = |line: Line<'_>| match line {
        Line::Device(entry, _) => states.push(entry.state),
        Line::Mark => {}
    };
    let read = Journal::read(SharedDisk::of(bytes), &|| Ok(()), &mut each);
    read.map(|(_, head)| (head, states)).map_err(|why| format!("{why:?}"))
}

/// The devices of a journal, and the journal to write to.
pub(super) fn opened(disk: &SharedDisk) -> (Journal<SharedDisk>, Known) {
    let (mut journal, _, known) = read_journal(disk.clone(), &|| Ok(())).unwrap();
    journal.drop_rest().unwrap();
    (journal, known)
}

/// Where each line begins.
pub(super) fn begins(bytes: &[u8]) -> Vec<usize> {
    let ends = (0..bytes.len()).filter(|at| bytes[*at] == b'\n');
    std::iter::once(0).chain(ends.map(|end| end + 1)).collect()
}

#[test]
fn what_was_written_is_read() {
    let (disk, mut journal) = journal(0);
    let span = journal.append(&text(0, State::Ready)).unwrap();
    assert_eq!(journal.text(span).unwrap(), text(0, State::Ready));
    let texts = [State::Done, State::Failed].into_iter().map(|state| Ok(text(0, state)));
    let spans = journal.append_all(texts).unwrap();
    assert_eq!(journal.text(spans[1]).unwrap(), text(0, State::Failed));
    let all = vec![State::Queued, State::Ready, State::Done, State::Failed];
    assert_eq!(read(&disk.bytes()), Ok((Some(head()), all)));
    // One mark for each flush of something.
    journal.sync().unwrap();
    let bytes = disk.bytes();
    journal.sync().unwrap();
    opened(&disk).0.sync().unwrap();
    assert_eq!(disk.bytes(), bytes);
}

#[test]
fn a_journal_torn_anywhere_has_its_whole_lines() {
    let (disk, _) = journal(2);
    let bytes = disk.bytes();
    let begins = begins(&bytes);
    for length in begins[1]..=bytes.len() {
        let whole = begins.iter().filter(|begin| **begin <= length).count() - 1;
        // Behind the head and its mark, and the device and its mark.
        let lines = [0, 0, 0, 1, 1, 2, 3][whole];
        let (head, states) = read(&bytes[..length]).unwrap();
        assert_eq!((head.is_some(), states.len()), (true, lines), "{length}");
        // The next line takes the place of the torn one.
        let disk = SharedDisk::of(&bytes[..length]);
        let (mut journal, known) = opened(&disk);
        assert_eq!(known.devices.len(), usize::from(whole > 3), "without its mark it is none");
        journal.append(&text(0, State::Done)).unwrap();
        let lines = if whole > 3 { lines } else { 0 };
        let (_, states) = read(&disk.bytes()).unwrap();
        assert_eq!((states.len(), states.last()), (lines + 1, Some(&State::Done)));
    }
}

#[test]
fn lines_that_were_not_on_disk_may_be_lost_in_any_order() {
    const LINES: usize = 5;
    let (disk, mut journal) = journal(5);
    let bytes = disk.bytes();
    let begins = begins(&bytes);
    for (fill, lost) in
        [0, b'x', b'\n'].iter().flat_map(|fill| (1..1 << LINES).map(move |it| (fill, it)))
    {
        let mut left = bytes.clone();
        let is_lost = |line: usize| lost & (1 << line) != 0;
        for line in (0..LINES).filter(|line| is_lost(*line)) {
            left[begins[4 + line]..begins[5 + line]].fill(*fill);
        }
        let whole = (0..LINES).take_while(|line| !is_lost(*line)).count();
        assert_eq!(read(&left).unwrap().1.len(), 1 + whole, "{lost:b}");
        let (mut journal, known) = opened(&SharedDisk::of(&left));
        assert_eq!(known.devices.len(), 1);
        journal.append(&text(0, State::Done)).unwrap();
    }
    // A mark behind them says that they were on disk.
    journal.sync().unwrap();
    let mut damaged = disk.bytes();
    damaged[begins[5]..begins[6]].fill(0);
    assert_eq!(read(&damaged), Err("Damaged { line: 6 }".to_owned()));
    // So does one behind a hole that is longer than any line.
    let mut long = disk.bytes();
    long.splice(begins[5]..begins[5], vec![0; 40_000]);
    assert_eq!(read(&long), Err("Damaged { line: 6 }".to_owned()));
    assert_eq!(read(&long[..begins[5] + 39_000]).unwrap().1.len(), 2);
}

#[test]
fn damage_before_a_mark_is_an_error() {
    let (disk, _) = journal(2);
    let bytes = disk.bytes();
    let begins = begins(&bytes);
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let line = begins.iter().filter(|begin| **begin <= at).count();
        let is_end = bytes[at] == b'\n';
        let found = read(&damaged).map(|(_, states)| states.len());
        let expected = match line {
            // Its mark becomes a part of it.
            1 if is_end => Err("Damaged { line: 1 }".to_owned()),
            1 => Err("NoJournal".to_owned()),
            2 | 3 => Err(format!("Damaged {{ line: {line} }}")),
            // The last mark. What is behind it was not on disk.
            4 => Ok(1),
            // Without its end, the line before the last one is a part of the last one.
            5 => Ok(1),
            _ => Ok(2),
        };
        assert_eq!(found, expected, "byte {at}");
    }
}

#[test]
fn another_file_is_no_journal() {
    assert_eq!(read(b""), Ok((None, Vec::new())));
    let (disk, _) = journal(1);
    let own = disk.bytes();
    let windows = String::from_utf8(own.clone()).unwrap().replace('\n', "\r\n");
    let torn = &own[..begins(&own)[1] - 1];
    for other in [
        &b"x"[..],
        b"\n",
        b"a list\nof devices\n",
        &[0; 50_000],
        windows.as_bytes(),
        torn,
        &own[1..],
    ] {
        assert_eq!(read(other), Err("NoJournal".to_owned()));
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
        journal.sync().unwrap();
        // It begins with the line that was appended first.
        let bytes = disk.bytes();
        let own = SharedDisk::of(&bytes[usize::try_from(first.at).unwrap()..]);
        read_journal(own, &|| Ok(())).err()
    };
    let own = json::text(&head());
    let is_other = |why: Option<Unusable>| matches!(why, Some(Unusable::OtherVersion));
    assert!(of(&own, &[&text(0, State::Queued)]).is_none());
    assert!(is_other(of(&own.replace("fleet 2", "fleet 1"), &[])));
    assert!(is_other(of("{}", &[])));
    assert!(is_other(of(&own, &[r#"{"n":0}"#])));
    assert!(is_other(of(&own, &[&text(0, State::Queued).replace("queued", "asleep")])));
    // A position without a line, and one that no job has.
    assert!(is_other(of(&own, &[&text(1, State::Queued)])));
    assert!(is_other(of(&own, &[&text(u32::MAX, State::Queued)])));
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
            _ => {
                let texts = (0..9).map(|_| Ok(text(0, State::Done)));
                journal.append_all(texts).unwrap_err()
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(disk.bytes(), before);
        journal.append(&text(0, State::Failed)).unwrap();
        let states = [State::Queued, State::Running, State::Failed];
        assert_eq!(read(&disk.bytes()).unwrap().1, states);
    }
}
