//! A package that is being downloaded: its bytes on disk, and their hash.

use std::fs::File;
use std::io;
use std::path::Path;

use ring::digest::Context;

use super::destination::Lock;
use super::file_error;
use super::part_state::{PartState, Receipt};
use super::writer::Writer;
use crate::error::{Error, Result, Stage};
use crate::status::Status;

/// The files of a part, locked until this is dropped. Simulations replace them with a model that crashes.
pub(super) trait PartFiles {
    /// The paths that a package may get.
    type Paths;

    /// The path of the part, for messages.
    fn path(&self) -> &Path;

    fn length(&self) -> io::Result<u64>;

    /// Drops everything from this position on.
    fn cut(&self, at: u64) -> io::Result<()>;

    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Makes the bytes durable.
    fn sync(&self) -> io::Result<()>;

    /// How many bytes the disk has room for, if that is known.
    fn room(&self) -> Option<u64>;

    /// The state file, if it is readable and of this action. An error if the system cannot read it now.
    fn read_state(&self, action_id: &str) -> Result<Option<PartState>>;

    /// Replaces the state file by a durable one.
    fn write_state(&self, state: &PartState) -> Result<()>;

    fn remove_state(&self);

    /// Gives the file itself a receipt. Returns whether the file system keeps it.
    fn set_receipt(&self, receipt: &Receipt) -> bool;

    /// Renames the part with this state to the path of a package, which must be free.
    fn rename(&self, to: &Self::Paths, state: &PartState) -> Result<()>;
}

/// A locked part.
///
/// `<file>.part` holds `length` bytes, and `<file>.part.json` holds `state`. The state file is written before the first
/// byte. After a crash, a part without a readable state file of its action is downloaded anew.
pub(super) struct Part<F> {
    writer: Writer,
    files: F,
    state: PartState,
    /// How many bytes are on disk and hashed.
    length: u64,
    /// The bytes may be of two versions of the package, or the package may have been cut short.
    suspect: bool,
    /// The bytes count no more. They stay on disk until the first ones of another download are there.
    outdated: bool,
}

impl Part<Lock<'_>> {
    pub(super) fn file(&self) -> &File {
        &self.files.file
    }
}

impl<F: PartFiles> Part<F> {
    /// Resumes the part of an earlier call for this action, or starts a new one. `hash` hashes the bytes on disk.
    pub(super) fn resume(
        files: F,
        action_id: &str,
        hash: impl FnOnce(&F, u64) -> Result<Context>,
    ) -> Result<Part<F>> {
        let found = files.length().map_err(|e| file_error("read", files.path(), &e))?;
        let state = files.read_state(action_id)?;
        let state = state.filter(|state| state.total.is_none_or(|total| found <= total));
        let mut part = match state {
            Some(state) if found > 0 => {
                let writer = Writer::after(hash(&files, found)?);
                // An earlier call may have checked exactly these bytes, and ended before it renamed them.
                let suspect = state.sha256.as_ref() != Some(&writer.sha256());
                let outdated = false;
                return Ok(Part { writer, files, state, length: found, suspect, outdated });
            }
            _ => Part {
                writer: Writer::new(),
                files,
                state: PartState::of(action_id),
                length: found,
                suspect: false,
                outdated: true,
            },
        };
        part.empty()?;
        // It is not of these bytes, and no file has the path that its receipt was for.
        part.files.remove_state();
        Ok(part)
    }

    pub(super) fn path(&self) -> &Path {
        self.files.path()
    }

    /// How many bytes the next request need not ask for.
    pub(super) fn length(&self) -> u64 {
        if self.outdated { 0 } else { self.length }
    }

    pub(super) fn state(&self) -> &PartState {
        &self.state
    }

    /// The headers of a request for the bytes that are missing, of the version that is here.
    pub(super) fn range_headers(&self) -> Vec<(&'static str, String)> {
        let have = self.length();
        if have == 0 {
            return Vec::new();
        }
        let version = self.state.if_range().map(|version| ("if-range", version.to_owned()));
        [("range", format!("bytes={have}-"))].into_iter().chain(version).collect()
    }

    pub(super) fn is_whole(&self) -> bool {
        self.length() > 0 && self.state.total == Some(self.length)
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.suspect
    }

    pub(super) fn set_suspect(&mut self) {
        self.suspect = true;
    }

    /// The next download begins with the first byte. The bytes on disk stay until then.
    pub(super) fn start_over(&mut self) {
        self.outdated = true;
    }

    /// Whether no byte has come since the part was to start over.
    pub(super) fn is_outdated(&self) -> bool {
        self.outdated
    }

    /// The bytes on disk count again, as nothing replaces them.
    pub(super) fn keep(&mut self) {
        self.outdated = false;
    }

    fn empty(&mut self) -> Result<()> {
        if self.length > 0 {
            self.files.cut(0).map_err(|e| file_error("empty", self.files.path(), &e))?;
        }
        self.writer = Writer::new();
        self.state = PartState::of(&self.state.action_id);
        (self.length, self.suspect, self.outdated) = (0, false, false);
        Ok(())
    }

    /// Prepares for the bytes that follow: checks that the disk has room for them, removes outdated ones, and writes the
    /// state file.
    pub(super) fn expect(&mut self, state: PartState) -> Result<()> {
        if let (Some(total), Some(room)) = (state.total, self.files.room()) {
            // The room of outdated bytes is free once they are removed.
            let missing = total.saturating_sub(self.length);
            if missing > room {
                let message = format!(
                    "the package needs {missing} bytes and the disk has {room} left; make room and repeat \
                     the call, which resumes where this one stopped"
                );
                return Err(Error::new(Status::DiskFull, message)
                    .retryable(true)
                    .with_stage(Stage::Download));
            }
        }
        if self.outdated {
            self.empty()?;
        }
        self.suspect |= self.length > 0;
        if self.length == 0 || state != self.state {
            self.files.write_state(&state)?;
            self.state = state;
        }
        Ok(())
    }

    /// Writes the next bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer
            .add(bytes, |bytes| self.files.write(bytes, self.length))
            .map_err(|e| file_error("write", self.files.path(), &e))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Records the present length as that of the whole package, if the host did not name it before.
    pub(super) fn set_complete(&mut self) -> Result<()> {
        let state = PartState { total: Some(self.length), ..self.state.clone() };
        self.files.write_state(&state)?;
        self.state = state;
        Ok(())
    }

    /// The receipt of the bytes on disk.
    pub(super) fn receipt(&self) -> Receipt {
        let (action_id, bytes) = (self.state.action_id.clone(), self.length);
        Receipt { action_id, bytes, sha256: self.writer.sha256() }
    }

    /// Gives the checked package its receipt and its path, which is that of a refused one if it was refused. A crash at
    /// any moment loses nothing: the next call finds the bytes under one of the names, with their receipt.
    pub(super) fn finish(self, receipt: &Receipt, to: &F::Paths) -> Result<()> {
        let Part { files, mut state, .. } = self;
        state.sha256 = Some(receipt.sha256.clone());
        // The claim that a crash left is removed.
        state.claimed = false;
        files.write_state(&state)?;
        let has_receipt = files.set_receipt(receipt);
        files.sync().map_err(|e| file_error("write", files.path(), &e))?;
        files.rename(to, &state)?;
        // Without the attribute, the state file is the receipt that a later call reads.
        if has_receipt {
            files.remove_state();
        }
        Ok(())
    }

    /// Empties the part, so that dropping the lock removes it and its state file. Outdated bytes stay, since what should
    /// replace them has not come.
    pub(super) fn discard(&mut self) {
        if self.outdated {
            return;
        }
        self.writer = Writer::new();
        let _ = self.files.cut(0);
        self.length = 0;
    }
}
