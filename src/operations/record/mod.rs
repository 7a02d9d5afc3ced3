//! The record of collections: a line of JSON for each one that has ended, chained by SHA-256.
//!
//! A record is three files in one folder. `docs/record.md` describes them for those who verify one.
//!
//! - the record: the lines. Each has the SHA-256 of the line before, so an edit of a line is found by the next one.
//! - `<record>.sha256`: the SHA-256 of the whole record, by which an edit of the last line is found.
//! - `SHA256SUMS`: the packages, in the format of `sha256sum`.
//!
//! They are written in this order, so a crash leaves the other two behind the record, or a torn last line. The next call
//! that opens the record completes them.

mod chain;
mod entry;
pub(crate) mod files;
mod sums;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use crate::account::Account;
use crate::call::Call;
use crate::error::Result;

pub(crate) use self::entry::{Entry, State};
use self::files::Files;

/// A record that is open, checked, and locked against other calls and processes.
pub(crate) struct Record<'a> {
    account: &'a Account,
    files: Files,
}

impl<'a> Record<'a> {
    /// Opens the record at this absolute path, or begins one. Waits a moment for another call that has it open.
    ///
    /// All lines are checked. What a crash has left half is completed. A record that was changed otherwise is an error,
    /// and stays as it is.
    pub(crate) fn open(account: &'a Account, call: &Arc<Call>, path: &Path) -> Result<Record<'a>> {
        Ok(Record { account, files: Files::open(path, call)? })
    }

    /// Whether the record has a line of this end. It tells ends apart by state, device and action, or by the time of the
    /// request where no action is known.
    pub(crate) fn has(&self, entry: &Entry<'_>) -> bool {
        self.files.has(entry.key())
    }

    /// Appends a line, unless the record has this end already. When this returns, the line is on disk.
    pub(crate) fn append(&mut self, entry: &Entry<'_>) -> Result<()> {
        self.add(entry)?;
        self.sync()
    }

    /// The same, but the line is on disk only after [`sync`](Record::sync). It is for many lines at once.
    pub(crate) fn add(&mut self, entry: &Entry<'_>) -> Result<()> {
        self.files.refresh()?;
        if self.has(entry) {
            return Ok(());
        }
        let package = entry.package_in(self.files.folder());
        let line = entry.line(self.account, self.files.previous(), package.as_ref());
        let sum = package.map(|package| sums::line(&package.sha256, &package.file));
        self.files.add(&line, entry.key(), sum.as_deref())
    }

    /// Makes the lines durable that were added.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.files.sync()
    }
}
