//! Downloads the package of an action to a checked file. Only a whole package ever has the final path.
//!
//! The bytes go to `<file>.part`, and the state file `<file>.part.json` records which package they belong to. The next
//! call resumes from these two, even after the end of the process.

mod attempt_end;
mod check;
mod claim;
mod destination;
mod host_error;
mod part;
mod part_state;
mod path_lock;
mod rate;
mod redirect;
mod reply;
mod transfer;
mod validity;
mod writer;

use std::sync::Arc;

use serde::Serialize;

use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result, Stage};
use crate::log::{self, Level};
use crate::operations::{actions, package_uri};
use crate::package_zip::Contents;
use crate::progress::{Event, Reporter};
use crate::service::action::MachineAction;
use crate::status::Status;
use crate::text::hex::hex;
use crate::text::json;

use destination::PackageFiles;
pub(crate) use destination::{Destination, can_rename, harmless};
use part::Part;
pub(crate) use path_lock::PathLock;

/// A package on disk.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Package {
    /// Where it is.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of the file, in lower-case hexadecimal digits.
    pub sha256: String,
    /// The action that collected it.
    pub action_id: String,
    /// The device, if the action names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
    /// The name of that device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub computer_name: Option<String>,
    /// An earlier call downloaded the package. This one only checked that the file is unchanged.
    pub existing: bool,
    /// What is in it.
    #[serde(flatten)]
    pub contents: Contents,
}

impl Package {
    /// `{"package":{"path":"…","bytes":…,"sha256":"…","action_id":"…",…,"entries":…,…}}`
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            package: &'a Package,
        }
        json::text(&Document { package: self })
    }
}

/// Downloads the package of an action to `path`.
pub(crate) fn download(
    account: &Account,
    call: &Arc<Call>,
    action_id: &str,
    path: &str,
    reporter: &mut Reporter<'_, '_>,
) -> Result<Package> {
    let about = |error: Error| error.with_action(action_id, None);
    let destination = Destination::resolve(path).map_err(about)?;
    // A cheap request, which may save one of the two links that the quota allows in a minute.
    let action = actions::read(account, call, action_id)
        .map_err(|error| about(error.with_step_stage(Stage::Download)))?;
    package_uri::has_succeeded(&action).map_err(|error| error.with_stage(Stage::Download))?;
    download_to(account, call, &action, destination, reporter)
}

/// Downloads the package of an action that has succeeded.
pub(crate) fn download_to(
    account: &Account,
    call: &Arc<Call>,
    action: &MachineAction,
    destination: Destination,
    reporter: &mut Reporter<'_, '_>,
) -> Result<Package> {
    let files = destination.files(action, call);
    Job { account, call, action, action_id: action.id(), files }
        .run(reporter)
        .map_err(|error| error.with_action(action.id(), Some(action.json())))
}

struct Job<'a> {
    account: &'a Account,
    call: &'a Arc<Call>,
    action: &'a MachineAction,
    action_id: &'a str,
    files: PackageFiles,
}

impl Job<'_> {
    /// Local files are checked before a link is requested, since links are scarce.
    fn run(&self, reporter: &mut Reporter<'_, '_>) -> Result<Package> {
        if let Some(package) = self.existing(reporter)? {
            return Ok(package);
        }
        let lock = self.files.lock()?;
        // Another call may have finished the download before we had the lock.
        if let Some(package) = self.existing(reporter)? {
            return Ok(package);
        }
        let mut part = Part::resume(&self.files, lock, self.action_id, |file, length| {
            check::hash(file, length, &mut self.on_read(reporter))
        })?;
        let contents = self.complete(&mut part, reporter)?;
        let (bytes, sha256) = (part.length(), part.sha256());
        part.finish(&sha256)?;
        Ok(self.package(bytes, sha256, contents, false))
    }

    /// Downloads the missing bytes and checks the whole. A suspect part that fails the check is downloaded once more.
    fn complete(&self, part: &mut Part<'_>, reporter: &mut Reporter<'_, '_>) -> Result<Contents> {
        let mut again = false;
        loop {
            let Job { account, call, action_id, .. } = *self;
            transfer::run(account, call, action_id, part, reporter)?;
            let total = part.length();
            reporter.step(&Event::Verifying { action_id, bytes: 0, total })?;
            let checked = check::verify(part.file(), total, &mut self.on_read(reporter));
            match checked {
                Ok(contents) => {
                    reporter.step(&Event::Verifying { action_id, bytes: total, total })?;
                    return Ok(contents);
                }
                Err(error) if error.status() != Status::Integrity => return Err(error),
                Err(error) if part.is_suspect() && !again => {
                    again = true;
                    log::line(Level::Warn, || format!("{}: starting over", error.message()));
                    part.restart()?;
                }
                Err(error) => {
                    part.discard();
                    return Err(error);
                }
            }
        }
    }

    /// The package, if an earlier call has finished it.
    fn existing(&self, reporter: &mut Reporter<'_, '_>) -> Result<Option<Package>> {
        let Some(file) = self.files.open_final()? else {
            return Ok(None);
        };
        let Some(receipt) = file.receipt(self.action_id) else {
            return Err(self.files.taken());
        };
        let digest = check::hash(file.file(), receipt.bytes, &mut self.on_read(reporter))?;
        if hex(digest.finish().as_ref()) != receipt.sha256 {
            return Err(self.files.taken());
        }
        let contents = check::verify(file.file(), receipt.bytes, &mut self.on_read(reporter))?;
        file.remove_leftovers(&receipt);
        Ok(Some(self.package(receipt.bytes, receipt.sha256, contents, true)))
    }

    fn package(&self, bytes: u64, sha256: String, contents: Contents, existing: bool) -> Package {
        Package {
            path: self.files.shown().to_owned(),
            bytes,
            sha256,
            contents,
            action_id: self.action_id.to_owned(),
            machine_id: self.action.machine_id().map(str::to_owned),
            computer_name: self.action.computer_name().map(str::to_owned),
            existing,
        }
    }

    /// Reports the progress of a check, and ends it if the call is stopped.
    fn on_read<'a>(
        &'a self,
        reporter: &'a mut Reporter<'_, '_>,
    ) -> impl FnMut(u64, u64) -> Result<()> + 'a {
        move |bytes, total| {
            let now = std::time::Instant::now();
            self.call.check_at(now).map_err(|stop| Error::from(stop).with_stage(Stage::Verify))?;
            reporter.steady(now, || Event::Verifying { action_id: self.action_id, bytes, total })
        }
    }
}

/// The error for a local file. `doing` completes "cannot … `path`".
pub(crate) fn file_error(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Error {
    use std::io::ErrorKind::{
        FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };

    let path = shown(path);
    match error.kind() {
        StorageFull | QuotaExceeded => Error::new(
            Status::DiskFull,
            format!(
                "cannot {doing} `{path}`: the disk is full; make room and repeat the call, which resumes \
                 where this one stopped"
            ),
        )
        .retryable(true),
        _ if too_many_open(error) => Error::new(
            Status::File,
            format!(
                "cannot {doing} `{path}`: too many files are open; raise the limit of the process or close some, \
                 and repeat the call, which resumes where this one stopped"
            ),
        )
        .retryable(true),
        FileTooLarge => Error::new(
            Status::File,
            format!(
                "cannot {doing} `{path}`: files may not be so long here; raise the limit of the process (`ulimit -f`) \
                 or choose another file system, and repeat the call, which resumes where this one stopped"
            ),
        )
        .retryable(true),
        _ if crate::os::patience::is_open_elsewhere(error) => Error::new(
            Status::File,
            format!("cannot {doing} `{path}`: another program has the file open; repeat the call, which resumes"),
        )
        .retryable(true),
        kind => {
            let why = crate::os::io_error::reason(error);
            let cure = match kind {
                PermissionDenied | ReadOnlyFilesystem => {
                    "; allow this process to write there, or choose another path"
                }
                _ if too_long(error) => "; choose a shorter one",
                _ => "",
            };
            Error::new(Status::File, format!("cannot {doing} `{path}`: {why}{cure}"))
        }
    }
    .with_stage(Stage::Download)
}

/// Whether the process or the system has too many open files. This is transient.
#[cfg(unix)]
pub(crate) fn too_many_open(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(windows)]
pub(crate) fn too_many_open(error: &std::io::Error) -> bool {
    /// `ERROR_TOO_MANY_OPEN_FILES`
    const TOO_MANY: i32 = 4;
    error.raw_os_error() == Some(TOO_MANY)
}

/// Whether the name of the file or the whole path is too long.
#[cfg(unix)]
fn too_long(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    Errno::from_io_error(error) == Some(Errno::NAMETOOLONG)
}

#[cfg(windows)]
fn too_long(error: &std::io::Error) -> bool {
    /// `ERROR_FILENAME_EXCED_RANGE`
    const TOO_LONG: i32 = 206;
    error.raw_os_error() == Some(TOO_LONG)
}

/// The path for a message, without control characters.
pub(crate) fn shown(path: &std::path::Path) -> String {
    let text = path.to_string_lossy();
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Error;
    use std::path::Path;

    use super::*;

    #[test]
    fn limits_that_can_be_raised_and_a_full_disk_are_retryable() {
        let (many, full, long) = if cfg!(windows) { (4, 112, 223) } else { (24, 28, 27) };
        for (code, status, retryable, text) in [
            (many, Status::File, true, "too many files are open; raise the limit"),
            (full, Status::DiskFull, true, "the disk is full; make room"),
            (long, Status::File, true, "raise the limit of the process (`ulimit -f`)"),
            (if cfg!(windows) { 5 } else { 13 }, Status::File, false, "or choose another path"),
            (if cfg!(windows) { 13 } else { 5 }, Status::File, false, "(os error"),
        ] {
            let error = file_error("write", Path::new("/a/b"), &Error::from_raw_os_error(code));
            assert_eq!((error.status(), error.is_retryable()), (status, retryable), "{error}");
            assert!(error.message().starts_with("cannot write `/a/b`: "), "{error}");
            assert!(error.message().contains(text), "{error}");
        }
    }
}
