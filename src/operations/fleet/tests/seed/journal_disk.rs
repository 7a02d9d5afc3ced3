//! The file of the journal as one process uses it. All processes use the same one.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::super::super::journal::Span;
use super::super::super::storage::Storage;
use super::super::disk::SharedDisk;
use crate::operations::download::simulated::{Steps, gone};

/// What a defective process writes later than it says.
#[derive(Debug)]
struct Held {
    /// The file as this process sees it.
    view: SharedDisk,
    writes: Vec<Write>,
}

#[derive(Debug)]
enum Write {
    At(u64, Vec<u8>),
    Cut(u64),
    Sync,
}

#[derive(Clone, Debug)]
pub(super) struct JournalDisk {
    disk: SharedDisk,
    steps: Rc<Steps>,
    held: Rc<RefCell<Option<Held>>>,
}

impl JournalDisk {
    pub(super) fn new(disk: &SharedDisk, steps: &Rc<Steps>) -> JournalDisk {
        JournalDisk { disk: disk.clone(), steps: Rc::clone(steps), held: Rc::default() }
    }

    /// Writes nothing before [`release`](JournalDisk::release), as if the journal came after the request.
    pub(super) fn hold(&self) {
        let view = SharedDisk::of(&self.disk.bytes());
        *self.held.borrow_mut() = Some(Held { view, writes: Vec::new() });
    }

    pub(super) fn release(&self) -> io::Result<()> {
        let Some(held) = self.held.borrow_mut().take() else { return Ok(()) };
        let mut disk = self.clone();
        held.writes.into_iter().try_for_each(|write| match write {
            Write::At(at, bytes) => disk.write(at, &bytes),
            Write::Cut(at) => disk.cut(at),
            Write::Sync => disk.sync(),
        })
    }

    /// Takes a step. If it is the last one, some of it is carried out.
    fn step<T>(&mut self, act: impl FnOnce(&mut SharedDisk) -> io::Result<T>) -> io::Result<T> {
        let is_last = self.steps.is_last()?;
        self.disk.0.borrow_mut().crash_in = is_last.then_some(0);
        let done = act(&mut self.disk);
        let disk = &mut *self.disk.0.borrow_mut();
        (disk.crash_in, disk.is_gone) = (None, false);
        if is_last { Err(gone()) } else { done }
    }

    /// Holds a write back. `None`: there is no reason to.
    fn hold_back(&self, write: Write) -> Option<io::Result<()>> {
        let mut held = self.held.borrow_mut();
        let Held { view, writes } = held.as_mut()?;
        let seen = match &write {
            Write::At(at, bytes) => view.write(*at, bytes),
            Write::Cut(at) => view.cut(*at),
            Write::Sync => Ok(()),
        };
        writes.push(write);
        Some(seen)
    }
}

impl Storage for JournalDisk {
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        match self.hold_back(Write::At(at, bytes.to_vec())) {
            Some(held) => held,
            None => self.step(|disk| disk.write(at, bytes)),
        }
    }

    fn cut(&mut self, at: u64) -> io::Result<()> {
        match self.hold_back(Write::Cut(at)) {
            Some(held) => held,
            None => self.step(|disk| disk.cut(at)),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.hold_back(Write::Sync) {
            Some(held) => held,
            None => self.step(Storage::sync),
        }
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> io::Result<usize> {
        match &*self.held.borrow() {
            Some(held) => held.view.read(at, bytes),
            None => self.disk.read(at, bytes),
        }
    }

    fn replace(&mut self, parts: &[Span], text: &[u8]) -> io::Result<()> {
        self.release()?;
        self.step(|disk| disk.replace(parts, text))
    }
}
