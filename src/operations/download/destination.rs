//! Where a package is written: the files on disk during and after a download, and the lock on them.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::claim::is_claim;
use super::part::PartFiles;
use super::part_state::{PartState, Receipt};
use super::{file_error, kept, shown};
use crate::call::Call;
use crate::error::{Error, Result, Stage};
use crate::os::file::{self, Access, Links};
use crate::os::file_limit::NoSignal;
use crate::os::io_error::reason;
use crate::os::{lock, rename, state_file};
use crate::service::action::MachineAction;
use crate::status::Status;
use crate::text::windows_name::is_device;

/// The extended attribute with the receipt of the file.
pub(super) const RECEIPT: &str = "user.mde.package";

/// The caller's path: an existing folder, or a file that may exist already.
pub(crate) struct Destination {
    given: String,
    path: PathBuf,
    is_folder: bool,
}

impl Destination {
    /// Resolves the caller's path. It is an error if no file can be created there.
    pub(crate) fn resolve(given: &str) -> Result<Destination> {
        let refused =
            |message: String| Err(Error::new(Status::File, message).with_stage(Stage::Download));
        // The path is made absolute, since the host may change its working directory during the call.
        let path = std::path::absolute(given)
            .map_err(|error| file_error("use", Path::new(given), &error))?;
        let destination =
            |is_folder| Ok(Destination { given: given.to_owned(), path: path.clone(), is_folder });
        let folder_meant = given.ends_with(std::path::is_separator);
        // Another user may have put a link where a file is meant, to lead the package into a folder of his.
        let metadata = if folder_meant { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
        match metadata {
            Ok(metadata) if metadata.is_dir() => return destination(true),
            Ok(_) => return destination(false),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(file_error("use", &path, &error)),
        }
        let (Some(folder), Some(_), false) = (path.parent(), path.file_name(), folder_meant) else {
            return refused(format!("the folder `{}` does not exist; make it first", shown(&path)));
        };
        match fs::metadata(folder) {
            Ok(metadata) if metadata.is_dir() => destination(false),
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(file_error("use the folder", folder, &error))
            }
            Ok(_) => refused(format!("`{}` is not a folder", shown(folder))),
            Err(_) => {
                refused(format!("the folder `{}` does not exist; make it first", shown(folder)))
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// The action that the receipt of the package at this path names, or of a refused one beside it. A download verifies
    /// the receipt.
    pub(crate) fn action_here(&self) -> Option<String> {
        // What has the folder's name with such an ending lies beside it.
        if self.is_folder {
            return None;
        }
        ["", kept::UNSAFE, kept::DAMAGED].into_iter().find_map(|ending| self.action_at(ending))
    }

    fn action_at(&self, ending: &str) -> Option<String> {
        let path = file::suffixed(&self.path, ending);
        let file = file::open(&path, Access::Read, Links::Refused).ok()?;
        file::is_trusted(&file, &path).ok()?;
        let receipt = file::attribute(&file, RECEIPT).and_then(|line| Receipt::from_line(&line));
        let recorded =
            || state_file::read::<PartState>(&state_of(&self.path)).and_then(Receipt::from_state);
        receipt.or_else(recorded).map(|receipt| receipt.action_id)
    }

    /// Checks that nothing has the path of the new file yet, and that the files beside it can be made. In a folder every
    /// package gets a name of its own.
    pub(crate) fn is_free(&self) -> Result<()> {
        match fs::symlink_metadata(&self.path) {
            _ if self.is_folder => Ok(()),
            Ok(_) if !is_claim(&self.path, &state_of(&self.path)) => Err(taken(&self.path)),
            _ => names_are_usable(&self.path).and_then(|()| kept::names_are_free(&self.path)),
        }
    }

    /// The files of the action's package. In a folder they are named after device and action.
    pub(super) fn files(self, action: &MachineAction, call: &Arc<Call>) -> PackageFiles {
        let (shown, path) = match self.is_folder {
            false => (self.given, self.path),
            true => {
                let name = file_name(action);
                let given = Path::new(&self.given).join(&name);
                (given.to_string_lossy().into_owned(), self.path.join(name))
            }
        };
        let (part, state) = (file::suffixed(&path, ".part"), state_of(&path));
        PackageFiles { shown, path, part, state, call: Arc::clone(call) }
    }
}

/// `<file>.part.json`
pub(super) fn state_of(path: &Path) -> PathBuf {
    file::suffixed(path, ".part.json")
}

/// Tries what the end of a download does with files beside this state file, whose lock the caller holds. So what would
/// keep a package from its name shows before anything is asked of the service.
pub(crate) fn can_rename(state: &Path, call: &Call) -> Result<()> {
    rename::probe(state, &|nap| call.pause(nap).is_ok())
        .map_err(|error| file_error("make and rename files beside", state, &error))
}

/// `<computer>_<action id>.zip`, of characters that every file system accepts.
fn file_name(action: &MachineAction) -> String {
    const LONGEST: usize = 64;
    let name = action.computer_name().or(action.machine_id()).unwrap_or("device");
    let fit = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' };
    let name: String = name.chars().take(LONGEST).map(fit).collect();
    let name = name.trim_matches('.');
    let name = if name.is_empty() { "device" } else { name };
    let id: String = action.id().chars().take(LONGEST).map(fit).collect();
    harmless(format!("{name}_{id}.zip"))
}

/// The name of a file that is no device on Windows. Files may get there from any system.
pub(crate) fn harmless(name: String) -> String {
    if is_device(name.as_bytes()) { format!("_{name}") } else { name }
}

/// The paths of one package's files.
///
/// During the download, `<file>.part` holds the bytes so far, and `<file>.part.json` their [`PartState`]. Once the package is checked, `<file>.part` is renamed to `<file>`, and the state file is removed.
/// It stays where the file system keeps no attributes, since it then holds the [`Receipt`] of `<file>`.
pub(super) struct PackageFiles {
    /// `<file>` in the caller's terms.
    shown: String,
    /// `<file>`, absolute.
    pub(super) path: PathBuf,
    /// `<file>.part`
    pub(super) part: PathBuf,
    /// `<file>.part.json`
    pub(super) state: PathBuf,
    /// The call to which these files belong.
    call: Arc<Call>,
}

impl PackageFiles {
    /// Gives a package with a receipt the path of `to`, which must be free. The lock keeps other calls from it.
    pub(super) fn rename_kept(
        &self,
        to: &PackageFiles,
        receipt: &Receipt,
        _: &Lock<'_>,
    ) -> Result<()> {
        to.rename_from(&self.path, &receipt.to_state())
    }

    /// Removes this name of a file, if it has it.
    pub(super) fn remove_name_of(&self, file: &File) {
        if self.is_at(file) {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Whether the file has this path.
    pub(super) fn is_at(&self, file: &File) -> bool {
        file::is_still_at(file, &self.path, Links::Refused)
    }

    /// The path in the caller's terms.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn part(&self) -> &Path {
        &self.part
    }

    /// The state file, if it is readable and of this action. Without it the download starts over.
    pub(super) fn read_state(&self, action_id: &str) -> Option<PartState> {
        state_file::read::<PartState>(&self.state).filter(|state| state.action_id == action_id)
    }

    /// The same for the bytes of a part. If the system cannot read the file now, the bytes may well belong to this action.
    /// So that is an error, and they stay.
    pub(super) fn state_of_part(&self, action_id: &str) -> Result<Option<PartState>> {
        match state_file::read_own::<PartState>(&self.state) {
            Ok(state) => Ok(state.filter(|state| state.action_id == action_id)),
            Err(error) if file::is_refusal(&error) => Ok(None),
            Err(error) => Err(file_error("read", &self.state, &error)),
        }
    }

    pub(super) fn write_state(&self, state: &PartState) -> Result<()> {
        self.record(state).map_err(|error| file_error("write", &self.state, &error))
    }

    pub(super) fn record(&self, state: &PartState) -> std::io::Result<()> {
        state_file::write(&self.state, state, &|nap| self.pause(nap))
    }

    /// Waits for another program that has a file open. Returns false if the call has no time left.
    pub(super) fn pause(&self, nap: Duration) -> bool {
        self.call.pause(nap).is_ok()
    }

    pub(super) fn remove_state(&self) {
        let _ = fs::remove_file(&self.state);
    }

    /// The same files, with the name of a refused package in place of the final one.
    pub(super) fn refused(&self, ending: &str) -> PackageFiles {
        PackageFiles {
            shown: format!("{}{ending}", self.shown),
            path: file::suffixed(&self.path, ending),
            part: self.part.clone(),
            state: self.state.clone(),
            call: Arc::clone(&self.call),
        }
    }

    /// Renames a file with this state to this path, which must be free.
    fn rename_from(&self, from: &Path, state: &PartState) -> Result<()> {
        let renamed = match rename::at_once(from, &self.path, &|nap| self.pause(nap)) {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                self.rename_by_claim(from, state)
            }
            done => done,
        };
        renamed.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => self.taken(),
            ErrorKind::NotFound if self.path.parent().is_some_and(Path::exists) => gone(from),
            _ => file_error("rename the finished download to", &self.path, &error),
        })?;
        file::sync_folder_of(&self.path);
        Ok(())
    }

    /// The error for a final path that another file has.
    pub(super) fn taken(&self) -> Error {
        taken(&self.path)
    }

    /// Opens the file that has the final path. `None` if there is none.
    pub(super) fn open_final(&self) -> Result<Option<Final<'_>>> {
        match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file_error("use", &self.path, &error)),
            Ok(metadata) if !metadata.is_file() => return Err(self.taken()),
            Ok(_) if self.is_claimed() => return Ok(None),
            Ok(_) => {}
        }
        // An error of the system does not say whose file it is.
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::PermissionDenied => self.taken(),
            _ if file::is_refusal(&error) => self.taken(),
            _ => file_error("read", &self.path, &error),
        };
        let file = file::open(&self.path, Access::Read, Links::Refused).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        file::is_trusted(&file, &self.path).map_err(failed)?;
        match metadata.is_file() {
            true => Ok(Some(Final { files: self, length: metadata.len(), file })),
            false => Err(self.taken()),
        }
    }

    /// Creates or opens the part and locks it against other calls and processes.
    pub(super) fn lock(&self) -> Result<Lock<'_>> {
        names_are_usable(&self.path)?;
        let failed = |error| file_error("write", &self.part, &error);
        if let Some(file) = lock::lock_at(&self.part).map_err(failed)? {
            let lock = Lock { files: self, file, _no_signal: NoSignal::new() };
            can_rename(&self.state, &self.call)?;
            return Ok(lock);
        }
        let message = format!(
            "another download to `{}` is under way; wait for it or choose another path",
            shown(&self.path)
        );
        Err(Error::new(Status::File, message).retryable(true).with_stage(Stage::Download))
    }
}

/// Looks at every name that a download of this file will use, before anything is asked of the service: a name may be too
/// long with its endings, and something else may have it.
fn names_are_usable(path: &Path) -> Result<()> {
    let part = file::suffixed(path, ".part");
    let state = file::suffixed(&part, ".json");
    let unfinished = file::suffixed(&state, state_file::UNFINISHED);
    // What has the last name is removed, whatever it is.
    for (name, is_kept) in [(&part, true), (&state, true), (&unfinished, false)] {
        match fs::symlink_metadata(name) {
            Ok(metadata) if is_kept && !metadata.is_file() => {
                let kind =
                    if metadata.is_symlink() { "a symbolic link" } else { "no regular file" };
                let message = format!(
                    "`{}` is {kind}, and a download needs this name; remove it or choose another path",
                    shown(name)
                );
                return Err(Error::new(Status::File, message).with_stage(Stage::Download));
            }
            Ok(_) if is_kept => file::open(name, Access::Read, Links::Refused)
                .and_then(|file| file::is_own(&file, name))
                .map_err(|error| file_error("use", name, &error))?,
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(file_error("use", name, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The error for a part that somebody has removed meanwhile.
fn gone(part: &Path) -> Error {
    let message = format!(
        "`{}` is gone, since somebody has removed it during the download; repeat the call, which downloads the package \
         anew",
        shown(part)
    );
    Error::new(Status::File, message).retryable(true).with_stage(Stage::Download)
}

pub(super) fn taken(path: &Path) -> Error {
    let trusted = file::open(path, Access::Read, Links::Refused)
        .map(|file| (file::is_regular(&file).is_ok(), file::is_trusted(&file, path)));
    let doubt = match trusted {
        Ok((true, Err(why))) => {
            format!(" and is not known to be a package of ours, because {}", reason(&why))
        }
        _ if path.is_symlink() && path.is_dir() => {
            " as a link to a folder, which a path means only with a separator at its end".to_owned()
        }
        _ => String::new(),
    };
    let message = format!(
        "`{}` exists{doubt}, and a download replaces no file; move it away or choose another path",
        shown(path)
    );
    Error::new(Status::File, message).with_stage(Stage::Download)
}

/// The lock on `<file>.part`, with the open file. Dropping it removes a part without bytes, and its state file.
pub(super) struct Lock<'a> {
    pub(super) files: &'a PackageFiles,
    pub(super) file: File,
    /// While the part is locked, writing beyond the limit of the process is an error and not its end.
    _no_signal: NoSignal,
}

impl PartFiles for Lock<'_> {
    type Paths = PackageFiles;

    fn path(&self) -> &Path {
        self.files.part()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn cut(&self, at: u64) -> io::Result<()> {
        self.file.set_len(at)
    }

    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        lock::write_at(&self.file, bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn room(&self) -> Option<u64> {
        file::free_space(&self.file, self.files.part())
    }

    fn read_state(&self, action_id: &str) -> Result<Option<PartState>> {
        self.files.state_of_part(action_id)
    }

    fn write_state(&self, state: &PartState) -> Result<()> {
        self.files.write_state(state)
    }

    fn remove_state(&self) {
        self.files.remove_state();
    }

    fn set_receipt(&self, receipt: &Receipt) -> bool {
        file::set_attribute(&self.file, RECEIPT, &receipt.to_line())
    }

    /// The path of a package or of a refused one.
    fn rename(&self, to: &PackageFiles, state: &PartState) -> Result<()> {
        to.rename_from(&self.files.part, state)
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        let is_empty = self.file.metadata().is_ok_and(|metadata| metadata.len() == 0);
        if is_empty && file::is_still_at(&self.file, &self.files.part, Links::Refused) {
            // The receipt of a package that has its path stays.
            let state = state_file::read::<PartState>(&self.files.state);
            if state.is_none_or(|state| state.sha256.is_none()) {
                self.files.remove_state();
            }
            let _ = fs::remove_file(&self.files.part);
        }
        lock::unlock(&self.file);
    }
}

/// A file with the final path, opened for reading.
///
/// It may be the package of this action, of another one, or any file of the user. Its [`Receipt`] shows which. That is
/// an attribute of the file, or `<file>.part.json` where the file system keeps no attributes.
pub(super) struct Final<'a> {
    files: &'a PackageFiles,
    file: File,
    length: u64,
}

impl Final<'_> {
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Whether the file itself has a receipt.
    pub(super) fn has_attribute(&self) -> bool {
        file::attribute(&self.file, RECEIPT).is_some()
    }

    /// The receipt of the file, if it names this action and the length of the file.
    pub(super) fn receipt(&self, action_id: &str) -> Option<Receipt> {
        let attribute =
            file::attribute(&self.file, RECEIPT).and_then(|line| Receipt::from_line(&line));
        attribute
            .or_else(|| self.files.read_state(action_id).and_then(Receipt::from_state))
            .filter(|receipt| receipt.action_id == action_id && receipt.bytes == self.length)
    }

    /// Removes the files that a crash during the final rename left.
    pub(super) fn remove_leftovers(&self, receipt: &Receipt) {
        let state = self.files.read_state(&receipt.action_id);
        if state.as_ref().is_none_or(|state| state.sha256.is_none()) {
            return;
        }
        let _ = fs::remove_file(file::suffixed(&self.files.state, state_file::UNFINISHED));
        // Renamed by a hard link, the file has both names for a moment; see `rename`.
        if file::is_still_at(&self.file, &self.files.part, Links::Refused) {
            let _ = fs::remove_file(&self.files.part);
        }
        if self.has_attribute() {
            self.files.remove_state();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(computer: &str) -> String {
        let json = serde_json::json!({"id": "5382f7ea-7557-4ab7-9782-d50480024a4e",
            "computerDnsName": computer, "machineId": "m"});
        file_name(&MachineAction::from_json(&json.to_string(), &|_| {}).unwrap())
    }

    #[test]
    fn a_file_name_stays_inside_its_folder() {
        let id = "5382f7ea-7557-4ab7-9782-d50480024a4e";
        for (computer, expected) in [
            ("desktop-39g9tgl.contoso.example", "desktop-39g9tgl.contoso.example"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("a b\u{0}\n\\c:d", "a_b___c_d"),
            ("...", "device"),
            ("ünïcode", "_n_code"),
            ("", "m"),
            ("nul.contoso.example", "_nul.contoso.example"),
            ("COM7.contoso.example", "_COM7.contoso.example"),
            // No device, with the id behind it.
            ("aux", "aux"),
        ] {
            assert_eq!(name(computer), format!("{expected}_{id}.zip"), "{computer:?}");
        }
        assert_eq!(name(&"x".repeat(300)).len(), 64 + 1 + 36 + 4);
    }
}
