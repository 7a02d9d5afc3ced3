//! Downloads in virtual time, for simulations. The part, its state file and the meaning of a reply are the library's. The
//! files are in memory, and a crash tears them. Missing are sockets, the file system, and the check of the zip.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::Path;
use std::rc::Rc;

use ring::digest::{Context, SHA256};

use super::attempt_end::protocol;
use super::part::{Part, PartFiles};
use super::part_state::{PartState, Receipt};
use super::reply::{self, Meaning};
use super::transfer::{MAX_CHANGES, merged};
use crate::error::{Error, Result};
use crate::status::Status;
use crate::text::hex::hex;

/// The steps that a process takes with files. One of them may be its last.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    left: Cell<Option<u32>>,
    is_gone: Cell<bool>,
}

impl Steps {
    /// The process ends in the step after as many others.
    pub(crate) fn end_after(&self, steps: u32) {
        self.left.set(Some(steps));
    }

    /// The process has ended.
    pub(crate) fn end(&self) {
        self.is_gone.set(true);
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone.get()
    }

    /// Counts a step. Returns whether it is the last one.
    pub(crate) fn is_last(&self) -> io::Result<bool> {
        if self.is_gone() {
            return Err(gone());
        }
        match self.left.get() {
            Some(0) => self.is_gone.set(true),
            left => self.left.set(left.map(|left| left - 1)),
        }
        Ok(self.is_gone())
    }
}

pub(crate) fn gone() -> io::Error {
    io::Error::other("the process has ended")
}

/// A file: what its readers see, and what a loss of power keeps.
#[derive(Clone, Debug, Default)]
struct File {
    bytes: Vec<u8>,
    receipt: Option<Receipt>,
    durable: (Vec<u8>, Option<Receipt>),
    /// A loss of power has torn it.
    is_torn: bool,
}

/// What is lost together. The system's pages are larger, and so are packages.
const PAGE: usize = 64;

impl File {
    fn sync(&mut self) {
        self.durable = (self.bytes.clone(), self.receipt.clone());
    }

    /// What is there after a loss of power. Returns whether it is torn.
    fn restart(&mut self, random: &mut fastrand::Rng) -> bool {
        let is_synced = (&self.bytes, &self.receipt) == (&self.durable.0, &self.durable.1);
        match random.u8(..3) {
            _ if is_synced => return false,
            // The system has written everything, though nobody has asked for it.
            0 => {
                self.sync();
                return false;
            }
            1 => (self.bytes, self.receipt) = self.durable.clone(),
            _ => self.lose_pages(random),
        }
        self.is_torn = true;
        self.sync();
        true
    }

    fn lose_pages(&mut self, random: &mut fastrand::Rng) {
        let whole = self.bytes.len().max(self.durable.0.len());
        let length = *random.choice(&[self.bytes.len(), self.durable.0.len(), whole]).unwrap();
        self.bytes.resize(length, 0);
        for (page, at) in self.bytes.chunks_mut(PAGE).zip((0..).step_by(PAGE)) {
            if random.bool() {
                page.fill(0);
                let before = self.durable.0.get(at..).unwrap_or_default();
                page.iter_mut().zip(before).for_each(|(to, from)| *to = *from);
            }
        }
        if random.bool() {
            self.receipt.clone_from(&self.durable.1);
        }
    }
}

/// The files of one package.
#[derive(Debug, Default)]
struct Files {
    part: Option<File>,
    state: Option<PartState>,
    package: Option<File>,
}

/// A folder of packages, each named by a number.
#[derive(Clone, Debug)]
pub(crate) struct Folder(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    files: Vec<Files>,
    keeps_attributes: bool,
    random: fastrand::Rng,
}

impl Folder {
    pub(crate) fn new(packages: usize, keeps_attributes: bool, random: fastrand::Rng) -> Folder {
        let files = (0..packages).map(|_| Files::default()).collect();
        Folder(Rc::new(RefCell::new(State { files, keeps_attributes, random })))
    }

    /// The bytes that have the final name.
    pub(crate) fn package(&self, at: usize) -> Option<Vec<u8>> {
        self.0.borrow().files[at].package.as_ref().map(|file| file.bytes.clone())
    }

    pub(crate) fn has_part(&self, at: usize) -> bool {
        self.0.borrow().files[at].part.is_some()
    }

    /// What is there after a loss of power. Returns how many files are torn.
    pub(crate) fn restart(&self) -> u32 {
        let State { files, random, .. } = &mut *self.0.borrow_mut();
        let all = files.iter_mut().flat_map(|one| one.part.iter_mut().chain(&mut one.package));
        all.map(|file| u32::from(file.restart(random))).sum()
    }

    /// The length of the package, if an earlier call has downloaded it. As [`Job::find`](super::Job).
    pub(crate) fn find(&self, at: usize, action_id: &str, steps: &Steps) -> Result<Option<u64>> {
        let state = &mut *self.0.borrow_mut();
        let keeps_attributes = state.keeps_attributes;
        let Files { state, package, .. } = &mut state.files[at];
        let Some(file) = package else { return Ok(None) };
        let recorded = || state.clone().and_then(Receipt::from_state);
        let receipt = file.receipt.clone().or_else(recorded);
        let sha256 = hex(ring::digest::digest(&SHA256, &file.bytes).as_ref());
        let length = file.bytes.len() as u64;
        let wanted = Receipt { action_id: action_id.to_owned(), bytes: length, sha256 };
        if receipt != Some(wanted) {
            return Err(Error::new(Status::File, "the package's name is taken"));
        }
        // What a crash right after the rename has left.
        if keeps_attributes && !steps.is_gone() {
            *state = None;
        }
        Ok(Some(length))
    }
}

/// The part of a package, which one process has locked.
#[derive(Debug)]
struct Locked {
    folder: Folder,
    at: usize,
    steps: Rc<Steps>,
}

impl Locked {
    fn new(folder: &Folder, at: usize, steps: &Rc<Steps>) -> Locked {
        folder.0.borrow_mut().files[at].part.get_or_insert_default();
        Locked { folder: folder.clone(), at, steps: Rc::clone(steps) }
    }

    /// Lets a step change the files. `act` gets how much of the step is carried out: a whole, a part, or nothing of 8.
    fn step(&self, act: impl FnOnce(&mut Files, usize)) -> io::Result<()> {
        let is_last = self.steps.is_last()?;
        let State { files, random, .. } = &mut *self.folder.0.borrow_mut();
        let eighths = if is_last { random.usize(0..=8) } else { 8 };
        act(&mut files[self.at], eighths);
        if is_last { Err(gone()) } else { Ok(()) }
    }

    fn file<T>(&self, act: impl FnOnce(&File) -> T) -> T {
        act(self.folder.0.borrow().files[self.at].part.as_ref().unwrap())
    }
}

/// The part, which the lock has made.
fn part(files: &mut Files) -> &mut File {
    files.part.as_mut().unwrap()
}

fn ended(error: io::Error) -> Error {
    Error::new(Status::File, error.to_string())
}

impl PartFiles for Locked {
    type Paths = ();

    fn path(&self) -> &Path {
        Path::new("package.zip.part")
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file(|file| file.bytes.len() as u64))
    }

    fn cut(&self, at: u64) -> io::Result<()> {
        self.step(|files, eighths| {
            let file = part(files);
            if eighths > 0 {
                file.bytes.truncate(usize::try_from(at).unwrap());
            }
            file.is_torn &= !file.bytes.is_empty();
        })
    }

    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.step(|files, eighths| {
            let file = part(files);
            assert_eq!(at, file.bytes.len() as u64, "a write leaves a gap");
            file.bytes.extend_from_slice(&bytes[..bytes.len() * eighths / 8]);
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.step(|files, eighths| {
            if eighths == 8 {
                part(files).sync();
            }
        })
    }

    fn room(&self) -> Option<u64> {
        None
    }

    fn read_state(&self, action_id: &str) -> Result<Option<PartState>> {
        let state = self.folder.0.borrow().files[self.at].state.clone();
        Ok(state.filter(|state| state.action_id == action_id))
    }

    fn write_state(&self, state: &PartState) -> Result<()> {
        let written = self.step(|files, eighths| {
            if eighths == 8 {
                files.state = Some(state.clone());
            }
        });
        written.map_err(ended)
    }

    fn remove_state(&self) {
        let _ = self.step(|files, eighths| {
            if eighths == 8 {
                files.state = None;
            }
        });
    }

    fn set_receipt(&self, receipt: &Receipt) -> bool {
        let keeps = self.folder.0.borrow().keeps_attributes;
        let set = self.step(|files, eighths| {
            if eighths == 8 && keeps {
                part(files).receipt = Some(receipt.clone());
            }
        });
        keeps && set.is_ok()
    }

    fn rename(&self, (): &(), _: &PartState) -> Result<()> {
        let renamed = self.step(|files, eighths| {
            assert!(files.package.is_none(), "a package is replaced");
            if eighths == 8 {
                files.package = files.part.take();
            }
        });
        renamed.map_err(ended)
    }
}

impl Drop for Locked {
    /// As the end of the lock on a real part: one without bytes is removed.
    fn drop(&mut self) {
        if self.steps.is_gone() {
            return;
        }
        let files = &mut self.folder.0.borrow_mut().files[self.at];
        if files.part.as_ref().is_some_and(|part| part.bytes.is_empty()) {
            files.part = None;
            files.state.take_if(|state| state.sha256.is_none());
        }
    }
}

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// The first byte.
    pub from: Option<u64>,
    pub if_range: Option<String>,
}

/// The head of a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub status: u16,
    pub length: Option<u64>,
    pub range: Option<String>,
    pub etag: Option<String>,
}

/// What follows a reply's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The body, up to this position if it is known.
    Body { end: Option<u64> },
    /// Another request.
    Again,
}

/// A download, as [`Job`](super::Job) and [`transfer`](super::transfer) do it.
pub(crate) struct Download {
    part: Part<Locked>,
    folder: Folder,
    at: usize,
    ranges: bool,
    changes: u32,
    /// A whole package follows, which replaces the bytes on disk once it has begun.
    follows: Option<PartState>,
}

impl Download {
    pub(crate) fn resume(
        folder: &Folder,
        at: usize,
        action_id: &str,
        steps: &Rc<Steps>,
    ) -> Result<Download> {
        let part = Part::resume(Locked::new(folder, at, steps), action_id, |files, length| {
            let mut hash = Context::new(&SHA256);
            files.file(|file| hash.update(&file.bytes[..usize::try_from(length).unwrap()]));
            Ok(hash)
        })?;
        Ok(Download { part, folder: folder.clone(), at, ranges: true, changes: 0, follows: None })
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.part.is_whole()
    }

    pub(crate) fn request(&self) -> Request {
        let mut request = Request::default();
        let headers = if self.ranges { self.part.range_headers() } else { Vec::new() };
        for (name, value) in headers {
            match name {
                "range" => {
                    let from = value.strip_prefix("bytes=").and_then(|it| it.strip_suffix('-'));
                    request.from = Some(from.unwrap().parse().unwrap());
                }
                _ => request.if_range = Some(value),
            }
        }
        request
    }

    pub(crate) fn reply(&mut self, head: &Head) -> Result<Next> {
        let known = self.part.state().clone();
        let state = PartState {
            etag: head.etag.clone(),
            total: head.length,
            ..PartState::of(&known.action_id)
        };
        let meant = reply::Head {
            status: head.status,
            length: head.length,
            range: head.range.as_deref(),
            etag: head.etag.as_deref(),
            ..reply::Head::default()
        };
        match reply::meaning(&meant, self.part.length(), &known) {
            Meaning::Whole => {
                let end = state.total;
                self.follows = Some(state);
                return Ok(Next::Body { end });
            }
            Meaning::Rest { end, total } => {
                let total = total.or(known.total);
                self.part.expect(PartState { total, ..merged(known, state) })?;
                return Ok(Next::Body { end: Some(end) });
            }
            Meaning::Complete => self.part.set_complete()?,
            Meaning::Changed if self.changes < MAX_CHANGES => {
                self.changes += 1;
                self.part.start_over();
            }
            Meaning::WrongRange if self.ranges => {
                self.ranges = false;
                self.part.start_over();
            }
            meaning => return Err(protocol(&format!("{meaning:?}"))),
        }
        Ok(Next::Again)
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(state) = self.follows.take() {
            self.part.start_over();
            self.part.expect(state)?;
        }
        self.part.append(bytes)
    }

    /// The body has ended by itself.
    pub(crate) fn ended(&mut self, end: Option<u64>) -> Result<()> {
        match end {
            Some(_) => Ok(()),
            None => self.part.set_complete(),
        }
    }

    /// The bytes on disk, and whether a loss of power has torn them.
    pub(crate) fn bytes(&self) -> (Vec<u8>, bool) {
        let files = &self.folder.0.borrow().files[self.at];
        files.part.as_ref().map_or_else(Default::default, |it| (it.bytes.clone(), it.is_torn))
    }

    /// The check has found damage. Returns whether the package is downloaded once more.
    pub(crate) fn start_over(&mut self) -> bool {
        let is_suspect = self.part.is_suspect();
        if is_suspect {
            self.part.start_over();
        }
        is_suspect
    }

    /// Gives the package its name. Returns its length.
    pub(crate) fn finish(self) -> Result<u64> {
        let receipt = self.part.receipt();
        self.part.finish(&receipt, &())?;
        Ok(receipt.bytes)
    }
}
