//! The start of a job: its devices are added, all or none.

use std::cell::Cell;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::super::devices::{self, Devices};
use super::super::engine::{Engine, Now, Step};
use super::super::entry::{Entry, State};
use super::super::journal::Journal;
use super::super::start::{Known, read_journal};
use super::super::storage::JournalFile;
use super::checks::{Record, Rows};
use super::disk::SharedDisk;
use super::journal::{begins, head, journal, opened};
use super::service::wall;
use crate::text::json;

/// A folder for one test.
pub(super) struct Folder(pub PathBuf);

impl Folder {
    pub(super) fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("mde-fleet-{:016x}", fastrand::u64(..)));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    pub(super) fn open(&self) -> JournalFile {
        JournalFile::open(&self.0.join("fleet.journal")).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The devices of a job with as many devices.
fn wanted(count: usize) -> Devices {
    let device = |n: usize| devices::Device {
        id: format!("{n:040x}").into(),
        comment: None,
        file: None,
        problems: None,
    };
    Devices { list: (0..count).map(device).collect(), retry_failed: false, is_resume: false }
}

#[test]
fn a_start_that_is_stopped_adds_no_device() {
    const DEVICES: usize = 60;
    let mut record = Record { rows: Rows::default(), disk: SharedDisk::of(b"") };
    for most in (0..=2 * DEVICES).step_by(8) {
        let (disk, journal) = journal(0);
        let before = disk.bytes();
        let left = Cell::new(most);
        let check = || match left.get() {
            0 => Err(io::Error::from(ErrorKind::Interrupted)),
            more => {
                left.set(more - 1);
                Ok(())
            }
        };
        let mut engine = Engine::new(journal, Known::default(), &mut record, "why", 4);
        // Two checks for each device.
        let started = engine.start(&wanted(DEVICES), &check);
        assert_eq!(started.is_ok(), most == 2 * DEVICES, "{most}");
        assert_eq!(engine.devices.len(), if started.is_ok() { DEVICES } else { 0 });
        assert_eq!(disk.bytes() == before, started.is_err(), "{most}");
    }
}

#[test]
fn a_crash_in_the_start_adds_all_devices_or_none() {
    const DEVICES: usize = 60;
    let mut record = Record { rows: Rows::default(), disk: SharedDisk::of(b"") };
    let disk = SharedDisk::of(b"");
    let journal = Journal::begin(disk.clone(), &head()).unwrap();
    let mut engine = Engine::new(journal, Known::default(), &mut record, "why", 4);
    engine.start(&wanted(DEVICES), &|| Ok(())).unwrap();
    let bytes = disk.bytes();
    for length in begins(&bytes)[2]..=bytes.len() {
        let disk = SharedDisk::of(&bytes[..length]);
        let (journal, known) = opened(&disk);
        let expected = if length == bytes.len() { DEVICES } else { 0 };
        assert_eq!((known.devices.len(), known.ids.len()), (expected, expected));
        if length % 97 == 0 {
            let mut engine = Engine::new(journal, known, &mut record, "why", 4);
            engine.start(&wanted(DEVICES), &|| Ok(())).unwrap();
            assert_eq!(disk.bytes(), bytes);
        }
    }
}

/// A journal that was changed may have them. Its checksums are no signatures.
#[test]
fn sizes_that_no_package_has_are_added_up() {
    let (disk, mut journal) = journal(0);
    let text = format!("{{\"bytes\":{}}}", u64::MAX);
    let package = Some(serde_json::from_str(&text).unwrap());
    let done = |n| Entry { state: State::Done, package, ..Entry::new(n, "1") };
    for n in 0..2 {
        journal.append(&json::text(&done(n))).unwrap();
    }
    journal.sync().unwrap();
    let (journal, known) = opened(&disk);
    assert_eq!(known.counts().bytes, u64::MAX);
    let mut record = Record { rows: Rows::default(), disk: SharedDisk::of(b"") };
    let mut engine = Engine::new(journal, known, &mut record, "why", 4);
    engine.put(&done(1)).unwrap();
    assert_eq!(engine.counts.bytes, u64::MAX);
}

/// A job of 100,000 devices starts within two seconds in all, the file included.
#[test]
fn a_hundred_thousand_lines_are_read_and_written_quickly() {
    const LONGEST: Duration = Duration::from_secs(10);
    let folder = Folder::new();
    let wanted = wanted(devices::MOST);
    let mut record = Record { rows: Rows::default(), disk: SharedDisk::of(b"") };
    let now = Now { passed: Duration::ZERO, wall: wall(Duration::ZERO) };
    let began = Instant::now();
    let journal = Journal::begin(folder.open(), &head()).unwrap();
    let mut engine = Engine::new(journal, Known::default(), &mut record, "why", 4);
    engine.start(&wanted, &|| Ok(())).unwrap();
    assert!(matches!(engine.next(now, false).unwrap(), Step::Wait(None)));
    let written = began.elapsed();
    let (journal, _, known) = read_journal(folder.open(), &|| Ok(())).unwrap();
    assert_eq!(known.devices.len(), devices::MOST);
    let mut engine = Engine::new(journal, known, &mut record, "why", 4);
    engine.start(&wanted, &|| Ok(())).unwrap();
    assert!(
        matches!(engine.next(now, true).unwrap(), Step::Collect { request, .. } if request.key == 0)
    );
    let all = began.elapsed();
    println!("written in {written:?}, read and started in {:?}", all - written);
    assert!(all < LONGEST, "{all:?}");
}
