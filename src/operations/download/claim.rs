//! The claim of a final path: an empty file, on file systems where no rename is sure to replace nothing.
//!
//! The state file records the claim before it is made, with the hash of the checked package. So a crash leaves one of
//! these, and the next call finishes each of them:
//!
//! - the record without the claim: the final path is free, and the part is whole;
//! - the record and the claim: the claim is removed, and the part is whole. An empty file without the record is another
//!   file, which nothing replaces. With it, it is neither a package nor in the way;
//! - the package at its path: the record is its receipt.

use std::fs;
use std::io::{ErrorKind, Result};
use std::path::Path;

use super::destination::{Lock, PackageFiles};
use super::part_state::PartState;
use crate::os::file::{self, Access, Links};
use crate::os::{rename, state_file};

/// Whether `path` names the claim that the state file records.
pub(super) fn is_claim(path: &Path, state: &Path) -> bool {
    rename::is_empty_file(path)
        && state_file::read::<PartState>(state).is_some_and(|state| state.claimed)
        && file::open(path, Access::Read, Links::Refused).is_ok_and(|file| {
            !file::has_other_names(&file) && file::is_trusted(&file, path).is_ok()
        })
}

impl PackageFiles {
    pub(super) fn is_claimed(&self) -> bool {
        is_claim(&self.path, &self.state)
    }

    /// Removes the claim that a crash has left.
    pub(super) fn remove_claim(&self, _: &Lock<'_>) {
        if self.is_claimed() {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Renames a file to this path by way of a claim. The caller holds the lock.
    pub(super) fn rename_by_claim(&self, from: &Path, state: &PartState) -> Result<()> {
        let files = self;
        files.record(&PartState { claimed: true, ..state.clone() })?;
        let renamed = rename::by_claim(from, &files.path, &|nap| files.pause(nap));
        let is_over = match &renamed {
            Ok(()) => true,
            Err(error) => error.kind() == ErrorKind::AlreadyExists,
        };
        if is_over {
            // An empty file that comes to this path later is not ours. The record is the receipt of the package either way.
            let _ = files.record(state);
        }
        renamed
    }
}
