//! A package on its way to disk: what is there of it, and its hash so far.

use std::fs::File;

use ring::digest::Context;

use super::destination::{Lock, PackageFiles};
use super::part_state::{PartState, Receipt};
use super::writer::Writer;
use super::{file_error, system};
use crate::error::{Error, Result, Stage};
use crate::status::Status;

pub(super) struct Part<'a> {
    writer: Writer,
    files: &'a PackageFiles,
    lock: Lock<'a>,
    state: PartState,
    length: u64,
    /// It may be of pieces that do not belong together, or have ended too early.
    pieced: bool,
}

impl<'a> Part<'a> {
    /// Carries on with what an earlier call left, if it is of this action; `hash` reads it again.
    pub(super) fn resume(
        files: &'a PackageFiles,
        lock: Lock<'a>,
        action_id: &str,
        hash: impl FnOnce(&File, u64) -> Result<Context>,
    ) -> Result<Part<'a>> {
        let found = lock.file.metadata().map_err(|e| file_error("read", files.part(), &e))?.len();
        let state = files.read_state(action_id);
        let state = state.filter(|state| state.total.is_none_or(|total| found <= total));
        let mut part = match state {
            Some(state) if found > 0 => {
                let writer = Writer::after(hash(&lock.file, found)?);
                return Ok(Part { writer, files, lock, state, length: found, pieced: true });
            }
            _ => {
                let state = PartState::of(action_id);
                Part { writer: Writer::new(), files, lock, state, length: found, pieced: false }
            }
        };
        part.restart()?;
        Ok(part)
    }

    pub(super) fn file(&self) -> &File {
        &self.lock.file
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn state(&self) -> &PartState {
        &self.state
    }

    pub(super) fn is_whole(&self) -> bool {
        self.length > 0 && self.state.total == Some(self.length)
    }

    pub(super) fn is_pieced(&self) -> bool {
        self.pieced
    }

    pub(super) fn set_pieced(&mut self) {
        self.pieced = true;
    }

    /// Forgets everything that was fetched.
    pub(super) fn restart(&mut self) -> Result<()> {
        self.writer = Writer::new();
        if self.length > 0 {
            self.lock.file.set_len(0).map_err(|e| file_error("empty", self.files.part(), &e))?;
        }
        self.state = PartState::of(&self.state.action_id);
        (self.length, self.pieced) = (0, false);
        Ok(())
    }

    /// Records what is about to be fetched, before the first byte of it is written.
    pub(super) fn expect(&mut self, state: PartState) -> Result<()> {
        if let (Some(total), Some(room)) =
            (state.total, system::room(&self.lock.file, self.files.part()))
        {
            let missing = total.saturating_sub(self.length);
            if missing > room {
                let message = format!(
                    "the package needs {missing} bytes and the disk has {room} left; make room and repeat \
                     the call, which carries on where this one stopped"
                );
                return Err(Error::new(Status::DiskFull, message)
                    .retryable(true)
                    .with_stage(Stage::Download));
            }
        }
        self.pieced |= self.length > 0;
        if self.length == 0 || state != self.state {
            self.files.write_state(&state)?;
            self.state = state;
        }
        Ok(())
    }

    /// Writes the next bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer
            .add(&self.lock.file, bytes, self.length)
            .map_err(|e| file_error("write", self.files.part(), &e))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Records that nothing is missing, where the host did not say so before.
    pub(super) fn is_complete(&mut self) -> Result<()> {
        let state = PartState { total: Some(self.length), ..self.state.clone() };
        self.files.write_state(&state)?;
        self.state = state;
        Ok(())
    }

    /// The hash of what is there.
    pub(super) fn sha256(&self) -> String {
        self.writer.sha256()
    }

    /// Puts the checked package under its name for good: after this a crash takes nothing back.
    pub(super) fn seal(self, sha256: &str) -> Result<()> {
        let Part { files, lock, mut state, length, .. } = self;
        state.sha256 = Some(sha256.to_owned());
        files.write_state(&state)?;
        let receipt =
            Receipt { action_id: state.action_id, bytes: length, sha256: sha256.to_owned() };
        let has_receipt = system::set_receipt(&lock.file, &receipt.to_line());
        lock.file.sync_all().map_err(|e| file_error("write", files.part(), &e))?;
        lock.rename()?;
        // Without a receipt the state file is what tells a later call that the work is done.
        if has_receipt {
            files.remove_state();
        }
        Ok(())
    }

    /// Leaves nothing of it.
    pub(super) fn discard(&mut self) {
        self.writer = Writer::new();
        let _ = self.lock.file.set_len(0);
        self.length = 0;
    }
}
