//! Downloads the package of an action to a checked file. Only a whole package ever has the final path; a refused one is
//! kept beside it.
//!
//! The bytes go to `<file>.part`, and the state file `<file>.part.json` records which package they belong to. The next
//! call resumes from these two, even after the end of the process.

mod attempt_end;
mod check;
mod claim;
mod destination;
pub(crate) mod host_error;
mod kept;
mod package;
mod part;
pub(crate) mod part_state;
mod path_lock;
mod place;
mod rate;
pub(crate) mod redirect;
pub(crate) mod reply;
#[cfg(test)]
pub(crate) mod simulated;
mod transfer;
mod validity;
mod writer;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result, Stage};
use crate::log::{self, Level};
use crate::operations::{actions, package_uri};
use crate::os::io_error::too_many_open;
use crate::progress::{Event, Reporter};
use crate::service::action::MachineAction;
use crate::status::Status;
use crate::text::hex::hex;
use crate::text::{json, redact};

pub(crate) use destination::{Destination, can_rename, harmless};
use destination::{Lock, PackageFiles};
use kept::{Found, Places, Verdict};
use package::Members;
pub use package::Package;
use part::Part;
use part_state::Receipt;
pub(crate) use path_lock::PathLock;

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
    let places = Places::new(destination.files(action, call));
    Job { account, call, action, action_id: action.id(), places }
        .run(reporter)
        .map_err(|error| error.with_action(action.id(), Some(action.json())))
}

struct Job<'a> {
    account: &'a Account,
    call: &'a Arc<Call>,
    action: &'a MachineAction,
    action_id: &'a str,
    places: Places,
}

impl Job<'_> {
    /// Local files are checked before a link is requested, since links are scarce.
    fn run(&self, reporter: &mut Reporter<'_, '_>) -> Result<Package> {
        let places = &self.places;
        let mut found = self.find(reporter)?;
        if let Some(found) = found.take_if(|found| !places.need_work(found)) {
            found.tidy(places);
            return self.answer(found.files, found.receipt, found.verdict, true);
        }
        let lock = places.accepted.lock()?;
        places.remove_claims(&lock);
        // Another call may have finished the download or renamed the file before we had the lock.
        let is_answer = |found: &Found<'_>| found.is_still_there() && !places.have_as_page(found);
        if !found.as_ref().is_some_and(is_answer) {
            found = self.find(reporter)?;
        }
        let page = match found {
            Some(found) if places.have_as_page(&found) => Some(found),
            Some(mut found) => {
                found.settle(places, &lock)?;
                return self.answer(found.files, found.receipt, found.verdict, true);
            }
            None => None,
        };
        let mut part = Part::resume(lock, self.action_id, |lock, length| {
            check::hash(&lock.file, length, &mut self.on_read(reporter))
                .map_err(|error| check::naming(places.accepted.part(), error))
        })?;
        let verdict = self.complete(&mut part, reporter)?;
        if let (Verdict::Damaged(_), Some(page)) = (&verdict, page) {
            if !check::begins_as_zip(part.file()) {
                part.discard();
                return self.answer(page.files, page.receipt, page.verdict, true);
            }
            // A damaged package is better evidence.
            page.remove();
        }
        let receipt = part.receipt();
        let files = places.of(&verdict);
        part.finish(&receipt, files)?;
        self.answer(files, receipt, verdict, false)
    }

    /// Downloads the missing bytes and checks the whole. A suspect part that fails the check is downloaded once more.
    ///
    /// If that second download does not begin, the damaged part is the result. A call that was stopped, or may succeed
    /// later, leaves it to the next one.
    fn complete(
        &self,
        part: &mut Part<Lock<'_>>,
        reporter: &mut Reporter<'_, '_>,
    ) -> Result<Verdict> {
        let mut first = None;
        loop {
            let Job { account, call, action_id, .. } = *self;
            if let Err(error) = transfer::run(account, call, action_id, part, reporter) {
                // A link that the service does not have may never come.
                let lasts = !error.is_retryable() || error.status() == Status::NotReady;
                let lasts = lasts && !error.is_stop();
                return match first.filter(|_| lasts && part.is_outdated()) {
                    Some(damaged) => {
                        log::line(Level::Warn, || error.message().to_owned());
                        part.keep();
                        Ok(Verdict::Damaged(damaged))
                    }
                    None => Err(error),
                };
            }
            let total = part.length();
            reporter.step(&Event::Verifying { action_id, bytes: 0, total })?;
            match self.verdict(part.file(), part.path(), total, reporter)? {
                Verdict::Damaged(error) if part.is_suspect() && first.is_none() => {
                    log::line(Level::Warn, || format!("{}: starting over", error.message()));
                    part.start_over();
                    first = Some(error);
                }
                // A stop here would cost another download.
                Verdict::Damaged(error) => return Ok(Verdict::Damaged(error)),
                verdict => {
                    reporter.step(&Event::Verifying { action_id, bytes: total, total })?;
                    return Ok(verdict);
                }
            }
        }
    }

    fn verdict(
        &self,
        file: &File,
        path: &Path,
        length: u64,
        reporter: &mut Reporter<'_, '_>,
    ) -> Result<Verdict> {
        let checked = check::verify(file, length, &mut self.on_read(reporter));
        Verdict::of(checked, self.account.accept_unsafe).map_err(|error| check::naming(path, error))
    }

    /// The package, if an earlier call has downloaded it, whether it was refused then or not.
    fn find(&self, reporter: &mut Reporter<'_, '_>) -> Result<Option<Found<'_>>> {
        for files in self.places.all() {
            let Some(file) = files.open_final()? else { continue };
            let Some(receipt) = file.receipt(self.action_id) else { return Err(files.taken()) };
            let digest = check::hash(file.file(), receipt.bytes, &mut self.on_read(reporter))
                .map_err(|error| check::naming(&files.path, error))?;
            if hex(digest.finish().as_ref()) != receipt.sha256 {
                return Err(files.taken());
            }
            let verdict = self.verdict(file.file(), &files.path, receipt.bytes, reporter)?;
            return Ok(Some(Found { file, files, receipt, verdict }));
        }
        Ok(None)
    }

    /// The package at the path of `files`, or the error that says why it is refused and has the package beside it.
    fn answer(
        &self,
        files: &PackageFiles,
        receipt: Receipt,
        verdict: Verdict,
        existing: bool,
    ) -> Result<Package> {
        let Receipt { action_id, bytes, sha256 } = receipt;
        let path = files.shown();
        let (machine_id, computer_name) = (self.action.machine_id(), self.action.computer_name());
        verdict
            .at(&shown(Path::new(path)))
            .map_err(|(error, contents)| {
                let members = Members {
                    path,
                    bytes,
                    sha256: &sha256,
                    action_id: &action_id,
                    machine_id,
                    computer_name,
                    existing,
                    contents: contents.as_ref(),
                };
                error.with_package(json::text(&members))
            })
            .map(|contents| Package {
                path: path.to_owned(),
                bytes,
                sha256: sha256.clone(),
                action_id: action_id.clone(),
                machine_id: machine_id.map(str::to_owned),
                computer_name: computer_name.map(str::to_owned),
                existing,
                contents,
            })
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
pub(crate) fn file_error(doing: &str, path: &Path, error: &std::io::Error) -> Error {
    use std::io::ErrorKind::{
        FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };

    let path = shown(path);
    let made = match error.kind() {
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
    .with_stage(Stage::Download);
    // A name that is too long is that of one file.
    let is_of_system = error.raw_os_error().is_some() && !too_long(error);
    if is_of_system { made.of_system() } else { made }
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

/// The path for a message, without characters that are not seen.
pub(crate) fn shown(path: &Path) -> String {
    /// Longer than any path that systems accept.
    const LONGEST: usize = 32_768;
    redact::visible(&path.to_string_lossy(), LONGEST)
}

#[cfg(test)]
mod tests {
    use std::io::Error;

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
