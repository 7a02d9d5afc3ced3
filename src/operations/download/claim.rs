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

    /// Records that nothing is claimed. An empty file that comes to one of these paths later is not ours.
    pub(super) fn forget_claim(&self, _: &Lock<'_>) {
        let state = state_file::read::<PartState>(&self.state);
        if let Some(state) = state.filter(|state| state.claimed) {
            let _ = self.record(&PartState { claimed: false, ..state });
        }
    }

    /// Renames a file to this path by way of a claim. The caller holds the lock.
    pub(super) fn rename_by_claim(&self, from: &Path, state: &PartState) -> Result<()> {
        let files = self;
        files.record(&PartState { claimed: true, ..state.clone() })?;
        let renamed = rename::by_claim(from, &files.path, &|nap| files.pause(nap));
        let is_over = match &renamed {
            Ok(()) => true,
            // A claim that could not be removed is still ours.
            Err(error) => {
                error.kind() == ErrorKind::AlreadyExists || !rename::is_empty_file(&files.path)
            }
        };
        if is_over {
            // An empty file that comes to this path later is not ours. The record is the receipt of the package either way.
            let _ = files.record(state);
        }
        renamed
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::super::destination::Destination;
    use super::super::kept::Places;
    use super::*;
    use crate::call::Call;
    use crate::service::action::MachineAction;

    const ID: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";

    fn places() -> (PathBuf, Places) {
        let folder = std::env::temp_dir().join(format!("mde-claim-{:016x}", fastrand::u64(..)));
        fs::create_dir(&folder).unwrap();
        let json = format!(r#"{{"id":"{ID}","machineId":"m"}}"#);
        let action = MachineAction::from_json(&json, &|_| {}).unwrap();
        let call = Arc::new(Call::begin(&Arc::default(), None, None));
        let destination = Destination::resolve(folder.join("p.zip").to_str().unwrap()).unwrap();
        (folder, Places::new(destination.files(&action, &call)))
    }

    fn is_recorded(files: &PackageFiles) -> bool {
        state_file::read::<PartState>(&files.state).unwrap().claimed
    }

    #[test]
    fn a_rename_that_failed_leaves_no_claim() {
        let (folder, places) = places();
        let files = &places.accepted;
        files.rename_by_claim(&folder.join("none"), &PartState::of(ID)).unwrap_err();
        assert!(!is_recorded(files) && !files.path.exists());
        // So the empty file of somebody else is not ours.
        fs::write(&files.path, "").unwrap();
        places.remove_claims(&files.lock().unwrap());
        assert!(!files.is_claimed() && files.path.exists());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_claim_is_removed_with_its_record() {
        // A crash may have come after the record, or after the claim of any of the paths.
        for claimed in [None, Some(0), Some(1), Some(2)] {
            let (folder, places) = places();
            let files = &places.accepted;
            let claim = claimed.map(|at: usize| places.all()[at].path.clone());
            // Bytes, so that the end of the lock does not remove the state.
            fs::write(&files.part, "bytes").unwrap();
            files.record(&PartState { claimed: true, ..PartState::of(ID) }).unwrap();
            if let Some(path) = &claim {
                fs::write(path, "").unwrap();
            }
            places.remove_claims(&files.lock().unwrap());
            assert!(!is_recorded(files), "{claimed:?}");
            assert!(claim.is_none_or(|path| !path.exists()), "{claimed:?}");
            fs::write(&files.path, "").unwrap();
            places.remove_claims(&files.lock().unwrap());
            assert!(files.path.exists(), "{claimed:?}");
            fs::remove_dir_all(folder).unwrap();
        }
    }
}
