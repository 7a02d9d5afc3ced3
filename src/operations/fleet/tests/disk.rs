//! A model of the file of a journal, which crashes before, after and within each of its steps.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::super::journal::Span;
use super::super::storage::Storage;

/// What is on disk, and what only the system has.
#[derive(Debug)]
pub(super) struct Disk {
    pub bytes: Vec<u8>,
    /// What survives a loss of power.
    durable: Vec<u8>,
    /// How many bytes at the beginning are the same in both.
    same: usize,
    pub random: fastrand::Rng,
    /// After as many steps the process ends.
    pub crash_in: Option<u32>,
    /// After as many writes one of them fails.
    pub fail_in: Option<u32>,
    /// The process has ended.
    pub is_gone: bool,
    /// A write has failed.
    pub has_failed: bool,
    /// No new file can replace the old one.
    pub refuses_files: bool,
    pub torn: u32,
    pub lost: u32,
    pub holes: u32,
    pub compacted: u32,
    pub uncompacted: u32,
}

/// What is lost together. The system's pages are larger, and so are real journals.
const PAGE: usize = 64;

/// The part of a step that is carried out although the process ends.
#[derive(Clone, Copy)]
enum Part {
    None,
    Some,
    All,
}

impl Disk {
    pub(super) fn new(random: fastrand::Rng) -> Disk {
        Disk {
            bytes: Vec::new(),
            durable: Vec::new(),
            same: 0,
            random,
            crash_in: None,
            fail_in: None,
            is_gone: false,
            has_failed: false,
            refuses_files: false,
            torn: 0,
            lost: 0,
            holes: 0,
            compacted: 0,
            uncompacted: 0,
        }
    }

    /// Counts a step. If the process ends in it, returns how much of it is carried out.
    fn step(&mut self) -> io::Result<Option<Part>> {
        if self.is_gone {
            return Err(gone());
        }
        let Some(left) = &mut self.crash_in else { return Ok(None) };
        if *left > 0 {
            *left -= 1;
            return Ok(None);
        }
        (self.crash_in, self.is_gone) = (None, true);
        Ok(self.random.choice([Part::None, Part::Some, Part::All]))
    }

    fn put(&mut self, at: u64, bytes: &[u8]) {
        let at = usize::try_from(at).unwrap();
        assert!(at <= self.bytes.len(), "a write leaves a gap");
        let end = self.bytes.len().min(at + bytes.len());
        self.bytes.splice(at..end, bytes.iter().copied());
        self.same = self.same.min(at);
    }

    /// What another process finds after a crash. Without power, bytes that were not synced are lost.
    pub(super) fn restart(&mut self) {
        self.is_gone = false;
        self.has_failed = false;
        (self.crash_in, self.fail_in) = (None, None);
        if self.bytes.len() == self.same && self.durable.len() == self.same {
            return;
        }
        match self.random.u8(..4) {
            0 => self.bytes.clone_from(&self.durable),
            1 => self.lose_pages(),
            // The power stays, and so do all bytes.
            _ => return,
        }
        self.lost += 1;
        self.durable.clone_from(&self.bytes);
        self.same = self.bytes.len();
    }

    /// The system has written some pages, in any order. It may have changed the length first.
    fn lose_pages(&mut self) {
        let written = std::mem::take(&mut self.bytes);
        let lengths =
            [self.durable.len(), written.len(), self.random.usize(self.same..=written.len())];
        let length = *self.random.choice(&lengths).unwrap();
        let rarely = self.random.bool();
        self.bytes.extend_from_slice(&written[..self.same]);
        while self.bytes.len() < length {
            let at = self.bytes.len();
            let end = length.min((at / PAGE + 1) * PAGE);
            let is_lost = self.random.u8(..if rarely { 16 } else { 2 }) == 0;
            let source = if is_lost { &self.durable } else { &written };
            let kept = source.get(at..end.min(source.len())).unwrap_or_default();
            self.bytes.extend_from_slice(kept);
            self.holes += u32::from(is_lost && end < written.len());
            // What the room held before that the system has reserved.
            let kind = self.random.u8(..3);
            let missing = end - self.bytes.len();
            let random = &mut self.random;
            self.bytes.extend((0..missing).map(|_| match kind {
                0 => 0,
                1 => random.u8(..),
                _ => b'\n',
            }));
        }
    }

    fn sync(&mut self) {
        self.durable.truncate(self.same);
        self.durable.extend_from_slice(&self.bytes[self.same..]);
        self.same = self.bytes.len();
    }
}

/// The disk of a process. Other processes get the same one.
#[derive(Clone, Debug)]
pub(super) struct SharedDisk(pub Rc<RefCell<Disk>>);

impl SharedDisk {
    /// A disk on which nothing fails, with these bytes.
    pub(super) fn of(bytes: &[u8]) -> SharedDisk {
        let mut disk = Disk::new(fastrand::Rng::with_seed(0));
        disk.bytes = bytes.to_vec();
        SharedDisk(Rc::new(RefCell::new(disk)))
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.borrow().bytes.clone()
    }

    /// A step of another file. Returns whether it is carried out, and whether the process goes on.
    pub(super) fn other_step(&self) -> (bool, io::Result<()>) {
        match self.0.borrow_mut().step() {
            Ok(None) => (true, Ok(())),
            Ok(Some(Part::All)) => (true, Err(gone())),
            Ok(Some(_)) => (false, Err(gone())),
            Err(error) => (false, Err(error)),
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the process has ended")
}

impl Storage for SharedDisk {
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let disk = &mut *self.0.borrow_mut();
        let part = disk.step()?;
        let fails = match &mut disk.fail_in {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        };
        let some = disk.random.usize(0..=bytes.len());
        match part {
            None if fails => {
                disk.put(at, &bytes[..some]);
                (disk.fail_in, disk.has_failed) = (None, true);
                Err(io::ErrorKind::StorageFull.into())
            }
            None => {
                disk.put(at, bytes);
                Ok(())
            }
            Some(part) => {
                let length = match part {
                    Part::None => 0,
                    Part::Some => some,
                    Part::All => bytes.len(),
                };
                disk.torn += u32::from(length > 0 && length < bytes.len());
                disk.put(at, &bytes[..length]);
                Err(gone())
            }
        }
    }

    fn cut(&mut self, at: u64) -> io::Result<()> {
        let disk = &mut *self.0.borrow_mut();
        let part = disk.step()?;
        if !matches!(part, Some(Part::None)) {
            let at = usize::try_from(at).unwrap();
            assert!(at <= disk.bytes.len(), "a cut leaves a gap");
            disk.bytes.truncate(at);
            disk.same = disk.same.min(at);
        }
        part.map_or(Ok(()), |_| Err(gone()))
    }

    fn sync(&mut self) -> io::Result<()> {
        let disk = &mut *self.0.borrow_mut();
        let part = disk.step()?;
        if !matches!(part, Some(Part::None)) {
            disk.sync();
        }
        part.map_or(Ok(()), |_| Err(gone()))
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> io::Result<usize> {
        let disk = self.0.borrow();
        let rest = disk.bytes.get(usize::try_from(at).unwrap()..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn replace(&mut self, parts: &[Span], text: &[u8]) -> io::Result<()> {
        let disk = &mut *self.0.borrow_mut();
        let part = disk.step()?;
        let is_compaction = !parts.is_empty();
        if disk.refuses_files && is_compaction && part.is_none() {
            disk.uncompacted += 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        if !matches!(part, Some(Part::None)) {
            let parts = parts.iter().map(|span| {
                let at = usize::try_from(span.at).unwrap();
                &disk.bytes[at..at + span.length as usize]
            });
            disk.bytes = parts.chain([text]).collect::<Vec<_>>().concat();
            disk.durable.clone_from(&disk.bytes);
            disk.same = disk.bytes.len();
            disk.compacted += u32::from(is_compaction);
        }
        part.map_or(Ok(()), |_| Err(gone()))
    }
}
