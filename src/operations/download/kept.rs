//! Packages that are refused after their download: damaged ones, and those that could do harm where they are unpacked.
//!
//! They are evidence, so they are kept beside the final path, and a later call finds them there. The table of
//! `docs/fetching.md` says what a call does with the files that it finds.

use std::fs;
use std::path::Path;

use super::check;
use super::claim::is_claim;
use super::destination::{Final, Lock, PackageFiles, state_of, taken};
use super::part_state::Receipt;
use crate::error::{Error, Result};
use crate::operations::unsafe_package;
use crate::os::file;
use crate::os::state_file::UNFINISHED;
use crate::package_zip::Contents;
use crate::status::Status;

/// The ending of a package that could do harm where it is unpacked.
pub(super) const UNSAFE: &str = ".unsafe";
/// The ending of a download that is no whole package.
pub(super) const DAMAGED: &str = ".damaged";

/// Checks that nothing has the path of a refused package yet. It would be neither replaced nor removed.
pub(super) fn names_are_free(path: &Path) -> Result<()> {
    for ending in [UNSAFE, DAMAGED] {
        let name = file::suffixed(path, ending);
        if fs::symlink_metadata(&name).is_ok() && !is_claim(&name, &state_of(path)) {
            return Err(taken(&name));
        }
    }
    Ok(())
}

/// What the check of a whole download says.
pub(super) enum Verdict {
    Accepted(Contents),
    /// It could do harm where it is unpacked, and the caller has not accepted that.
    Unsafe(Contents),
    /// The error names the entry and the problem.
    Damaged(Error),
}

impl Verdict {
    /// An error that says nothing about the package is returned.
    pub(super) fn of(checked: Result<Contents>, accept_unsafe: bool) -> Result<Verdict> {
        match checked {
            Ok(contents) if contents.unsafe_count > 0 && !accept_unsafe => {
                Ok(Verdict::Unsafe(contents))
            }
            Ok(contents) => Ok(Verdict::Accepted(contents)),
            Err(error) if error.status() == Status::Integrity => Ok(Verdict::Damaged(error)),
            Err(error) => Err(error),
        }
    }

    /// The contents, or the error, for a package with this path.
    pub(super) fn at(self, path: &str) -> std::result::Result<Contents, (Error, Option<Contents>)> {
        match self {
            Verdict::Accepted(contents) => Ok(contents),
            Verdict::Unsafe(contents) => {
                let note = format!("it is kept as `{path}`, and `accept_unsafe=yes` takes it");
                Err((unsafe_package::error(&contents).with_note(&note), Some(contents)))
            }
            Verdict::Damaged(error) => {
                let note = format!(
                    "it is kept as `{path}`; once that file is moved away, the same call downloads it anew"
                );
                Err((error.with_note(&note), None))
            }
        }
    }
}

/// The files of one package under each of the names that it may get.
pub(super) struct Places {
    pub accepted: PackageFiles,
    as_unsafe: PackageFiles,
    as_damaged: PackageFiles,
}

impl Places {
    pub(super) fn new(accepted: PackageFiles) -> Places {
        let (as_unsafe, as_damaged) = (accepted.refused(UNSAFE), accepted.refused(DAMAGED));
        Places { accepted, as_unsafe, as_damaged }
    }

    /// In the order in which an earlier package is searched for.
    pub(super) fn all(&self) -> [&PackageFiles; 3] {
        [&self.accepted, &self.as_unsafe, &self.as_damaged]
    }

    /// Whether an accepted package still has the name of a refused one.
    fn misplace(&self, found: &Found<'_>) -> bool {
        matches!(found.verdict, Verdict::Accepted(_)) && !std::ptr::eq(found.files, &self.accepted)
    }

    /// Whether this is a kept web page or the like, which does not keep the next call from another download.
    ///
    /// It needs a receipt of its own, since the download writes the state file anew.
    pub(super) fn have_as_page(&self, found: &Found<'_>) -> bool {
        std::ptr::eq(found.files, &self.as_damaged)
            && matches!(found.verdict, Verdict::Damaged(_))
            && !check::begins_as_zip(found.file.file())
            && found.file.has_attribute()
    }

    fn have_claim(&self) -> bool {
        self.all().into_iter().any(PackageFiles::is_claimed)
    }

    /// Whether something is to be done about this package that needs the lock.
    pub(super) fn need_work(&self, found: &Found<'_>) -> bool {
        self.misplace(found) || self.have_as_page(found) || self.have_claim()
    }

    /// Removes the claims that a crash has left, and their record.
    pub(super) fn remove_claims(&self, lock: &Lock<'_>) {
        self.all().into_iter().for_each(|files| files.remove_claim(lock));
        if !self.have_claim() {
            self.accepted.forget_claim(lock);
        }
    }

    pub(super) fn of(&self, verdict: &Verdict) -> &PackageFiles {
        match verdict {
            Verdict::Accepted(_) => &self.accepted,
            Verdict::Unsafe(_) => &self.as_unsafe,
            Verdict::Damaged(_) => &self.as_damaged,
        }
    }
}

/// A package that an earlier call downloaded, and what its check says now.
pub(super) struct Found<'a> {
    pub file: Final<'a>,
    pub files: &'a PackageFiles,
    pub receipt: Receipt,
    pub verdict: Verdict,
}

impl<'a> Found<'a> {
    /// Whether no other call has renamed it meanwhile.
    pub(super) fn is_still_there(&self) -> bool {
        self.files.is_at(self.file.file())
    }

    /// Gives an accepted package the final path, and removes what a crash left beside it.
    pub(super) fn settle(&mut self, places: &'a Places, lock: &Lock<'_>) -> Result<()> {
        if places.misplace(self) {
            self.files.rename_kept(&places.accepted, &self.receipt, lock)?;
            self.files = &places.accepted;
        }
        self.remove_leftovers(places, lock);
        Ok(())
    }

    /// Removes the file, unless its path has another one by now.
    pub(super) fn remove(&self) {
        self.files.remove_name_of(self.file.file());
    }

    /// Removes what a crash left during the last rename. Another call that has the lock may need it.
    pub(super) fn tidy(&self, places: &Places) {
        if !self.has_leftovers(places) {
            return;
        }
        // Dropping the lock removes an empty part.
        let Ok(lock) = places.accepted.lock() else { return };
        if self.is_still_there() {
            self.remove_leftovers(places, &lock);
        }
    }

    fn has_leftovers(&self, places: &Places) -> bool {
        let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
        let PackageFiles { part, state, .. } = &places.accepted;
        let refused = [&places.as_unsafe, &places.as_damaged];
        let is_accepted = std::ptr::eq(self.files, &places.accepted);
        is_there(part)
            || is_there(&file::suffixed(state, UNFINISHED))
            || (is_there(state) && self.file.has_attribute())
            || (is_accepted && refused.iter().any(|files| files.is_at(self.file.file())))
    }

    fn remove_leftovers(&self, places: &Places, _: &Lock<'_>) {
        // The state file is the record of a claim.
        if places.have_claim() {
            return;
        }
        self.file.remove_leftovers(&self.receipt);
        if std::ptr::eq(self.files, &places.accepted) {
            // Renamed by a hard link, the file has both names for a moment; see `rename`.
            places.as_unsafe.remove_name_of(self.file.file());
            places.as_damaged.remove_name_of(self.file.file());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::destination::Destination;
    use super::super::part_state::PartState;
    use super::*;
    use crate::call::Call;
    use crate::error::Stage;
    use crate::service::action::MachineAction;

    const ID: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";

    /// The state file may be the record of its claim.
    #[test]
    fn what_another_call_writes_meanwhile_is_no_leftover() {
        let folder = std::env::temp_dir().join(format!("mde-kept-{:016x}", fastrand::u64(..)));
        fs::create_dir(&folder).unwrap();
        let json = format!(r#"{{"id":"{ID}","machineId":"m"}}"#);
        let action = MachineAction::from_json(&json, &|_| {}).unwrap();
        let call = Arc::new(Call::begin(&Arc::default(), None, None));
        let destination = Destination::resolve(folder.join("p.zip").to_str().unwrap()).unwrap();
        let places = Places::new(destination.files(&action, &call));
        let files = &places.as_unsafe;
        let receipt = Receipt { action_id: ID.to_owned(), bytes: 7, sha256: "00".repeat(32) };
        fs::write(&files.path, "package").unwrap();
        let file = fs::File::options().write(true).open(&files.path).unwrap();
        let is_kept =
            file::set_attribute(&file, super::super::destination::RECEIPT, &receipt.to_line());
        drop(file);
        let unfinished = file::suffixed(&files.state, UNFINISHED);
        let found = || Found {
            file: files.open_final().unwrap().unwrap(),
            files,
            receipt: receipt.clone(),
            verdict: Verdict::Damaged(Error::new(Status::Integrity, "x").with_stage(Stage::Verify)),
        };

        let lock = places.accepted.lock().unwrap();
        files.record(&PartState { claimed: true, ..receipt.to_state() }).unwrap();
        fs::write(&unfinished, "{").unwrap();
        found().tidy(&places);
        assert!(files.state.exists() && unfinished.exists());
        drop(lock);
        found().tidy(&places);
        assert!(!unfinished.exists() && !files.part.exists());
        assert_eq!(files.state.exists(), !is_kept);
        fs::remove_dir_all(folder).unwrap();
    }
}
