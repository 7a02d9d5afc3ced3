//! Packages of many devices in one call, at the speed of the quota. A later call with the same folder resumes.
//!
//! The way of a call: [`devices`] reads the arguments, [`journal`] what earlier calls have recorded in the folder, and
//! [`start`] brings the two together. The [`engine`] then says what comes next, the [`driver`] does it, and [`results`] takes in
//! what came of it.

mod devices;
mod document;
mod downloads;
mod driver;
mod engine;
mod entry;
mod failure;
mod files;
mod journal;
mod outcomes;
mod report;
mod results;
mod start;
mod storage;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::devices::Devices;
pub use self::document::Summary;
use self::driver::Place;
use self::engine::{Counts, Engine};
use self::entry::State;
use self::journal::{Head, Journal, Unusable};
use self::outcomes::Recorded;
use self::start::{Known, read_journal};
use self::storage::JournalFile;
use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result, Stage};
use crate::operations::download::{self, PathLock, file_error};
use crate::progress::Reporter;
use crate::status::Status;

/// The journal of a job, in its folder.
const JOURNAL: &str = "fleet.journal";
const LOCK: &str = "fleet.lock";

/// The result of a job.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Packages {
    /// How many devices are how far.
    pub summary: Summary,
    document: String,
}

impl Packages {
    /// `{"packages":[{"machine_id":"…","state":"done",…},…],"summary":{…}}`
    pub fn into_json(self) -> String {
        self.document
    }
}

/// Fetches the packages of many devices into a folder.
pub(crate) fn fetch(
    account: &Account,
    call: &Arc<Call>,
    devices: &Devices,
    comment: &str,
    folder: &str,
    reporter: &mut Reporter<'_, '_>,
) -> Result<Packages> {
    let path = existing(folder, "make it first")?;
    let (journal_path, lock_path) = (path.join(JOURNAL), path.join(LOCK));
    let Some(_lock) = PathLock::take(&lock_path)? else {
        let message = format!(
            "another call fetches packages to the folder `{}`; wait for it or choose another folder",
            download::shown(&path)
        );
        return Err(file(message).retryable(true));
    };
    let place = Place { folder: path.to_str().unwrap_or(folder), journal: &journal_path };
    let read = match fs::symlink_metadata(&journal_path) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        _ => {
            let storage =
                JournalFile::open(&journal_path).map_err(|e| unusable(&journal_path, e))?;
            let read = read_journal(storage, &|| call.check());
            Some(read.map_err(|why| unusable_journal(&journal_path, why))?)
        }
    };
    if devices.is_resume && read.as_ref().is_none_or(|(_, _, known)| known.devices.is_empty()) {
        let problem = "names no devices, and the folder holds no job to resume";
        return Err(Error::argument("devices_json", problem, devices::ACCEPTED));
    }
    let head = head(account, call)?;
    let (journal, known) = match read {
        Some((mut journal, Some(of_journal), known)) => {
            check_owner(&journal_path, &of_journal, &head)?;
            journal.drop_rest().map_err(|error| place.failed(error))?;
            (journal, known)
        }
        // There is no file, or an empty one.
        _ => {
            download::can_rename(&journal_path, call)?;
            let storage =
                JournalFile::open(&journal_path).map_err(|e| unusable(&journal_path, e))?;
            let journal = Journal::begin(storage, &head).map_err(|error| place.failed(error))?;
            (journal, Known::default())
        }
    };
    check_new(devices, &known, &journal, &path, call)?;
    let mut outcomes = Recorded::open(account, call, &path)?;
    let most = account.downloads_at_once;
    let mut engine = Engine::new(journal, known, &mut outcomes, comment, most);
    let check = || -> io::Result<()> { call.check().map_err(|_| ErrorKind::Interrupted.into()) };
    let ended = engine.start(devices, &check).map_err(|error| match call.check() {
        Err(stop) if error.kind() == ErrorKind::Interrupted => driver::stopped(stop),
        _ => place.failed(error),
    });
    let ended = ended.and_then(|()| driver::run(account, call, &mut engine, &place, reporter));
    let ended = ended.and_then(|()| outcome(&engine));
    let summary = Summary::new(engine.counts, report::least_time(account, engine.counts, 0));
    let document = document::whole(&engine.journal, &engine.devices, &summary);
    // The engine knows only that its step was not done.
    let ended = outcomes.failure.map_or(ended, Err);
    match (ended, document) {
        (Ok(()), Ok(document)) => Ok(Packages { summary, document }),
        (Err(error), Ok(document)) => Err(error.with_packages(document)),
        (Ok(()), Err(unread)) => Err(file_error("read", &journal_path, &unread)),
        (Err(error), Err(_)) => Err(error),
    }
}

/// How the job in a folder stands, without the service.
pub fn read_packages(folder: &str) -> Result<Packages> {
    let path = existing(folder, "check its path")?.join(JOURNAL);
    let none = |what: &str| {
        let shown = download::shown(&path);
        file(format!(
            "`{shown}` {what}: no call has fetched packages of many devices to this folder"
        ))
    };
    let storage = JournalFile::open_for_reading(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => none("does not exist"),
        _ => unusable(&path, error),
    })?;
    let read = read_journal(storage, &|| Ok(()));
    let (journal, head, known) = read.map_err(|why| unusable_journal(&path, why))?;
    if head.is_none() {
        return Err(none("is empty"));
    }
    let summary = Summary::new(known.counts(), None);
    let document = document::whole(&journal, &known.devices, &summary);
    let document = document.map_err(|error| file_error("read", &path, &error))?;
    Ok(Packages { summary, document })
}

/// The folder, which must exist. `advice`: what to do otherwise.
fn existing(folder: &str, advice: &str) -> Result<PathBuf> {
    /// Longer than any path that systems accept.
    const LONGEST: usize = 32_768;
    let accepted = "the path of a folder that exists";
    if folder.is_empty() || folder.contains('\0') {
        return Err(Error::argument("folder", "is empty or has a NUL character", accepted));
    }
    // Windows cuts some paths that are longer than any.
    if folder.len() > LONGEST {
        return Err(file("the path of the folder is too long; choose a shorter one".to_owned()));
    }
    let path = std::path::absolute(folder)
        .map_err(|error| file_error("use", Path::new(folder), &error))?;
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => Ok(path),
        Ok(_) => Err(file(format!("`{}` is not a folder", download::shown(&path)))),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(file(format!("the folder `{}` does not exist; {advice}", download::shown(&path))))
        }
        Err(error) => Err(file_error("use the folder", &path, &error)),
    }
}

/// Whose job this is, by the token.
fn head(account: &Account, call: &Arc<Call>) -> Result<Head> {
    let (service, tenant, application) = account.identity(call)?;
    Ok(Head::new(&service, tenant, application))
}

/// Refuses the job of another tenant, application or service.
fn check_owner(path: &Path, of_journal: &Head, own: &Head) -> Result<()> {
    let differs = |one: &Option<String>, other: &Option<String>| {
        one.as_ref()
            .zip(other.as_ref())
            .is_some_and(|(one, other)| !one.eq_ignore_ascii_case(other))
    };
    let what = match () {
        () if of_journal.service != own.service => "of another service or cloud",
        () if differs(&of_journal.tenant, &own.tenant) => "of another tenant",
        () if differs(&of_journal.application, &own.application) => "of another application",
        () => return Ok(()),
    };
    let message = format!("`{}` is {what}; choose another folder", download::shown(path));
    Err(file(message))
}

/// Refuses more devices than one job may have, and files of new devices that are there or of another device.
fn check_new(
    devices: &Devices,
    known: &Known,
    journal: &Journal<JournalFile>,
    folder: &Path,
    call: &Call,
) -> Result<()> {
    let is_new = |id: &str| !known.ids.contains_key(&id.to_ascii_lowercase());
    let new = || devices.list.iter().filter(|device| is_new(&device.id));
    if known.devices.len() + new().count() > devices::MOST {
        let problem = "has too many devices with those of the job in the folder";
        return Err(Error::argument("devices_json", problem, devices::ACCEPTED));
    }
    let files: Vec<&str> = new().filter_map(|device| device.file.as_deref()).collect();
    files::check(&files, known, journal, folder, call)
}

/// The outcome of a job whose devices all have theirs.
fn outcome(engine: &Engine<'_, JournalFile>) -> Result<()> {
    let Counts { done, failed, skipped, .. } = engine.counts;
    if failed + skipped == 0 {
        return Ok(());
    }
    let failures = engine.devices.iter().zip(0..).filter(|(one, _)| one.state == State::Failed);
    let is_retryable = |key| {
        let text = engine.text(key).ok();
        text.is_some_and(|text| engine::read(&text).is_ok_and(|entry| entry.is_retryable()))
    };
    let retryable = failures.filter(|(_, key)| is_retryable(*key)).count();
    let advice = match retryable {
        0 => "the document says why".to_owned(),
        count => format!("repeating the call tries {count} of them again; the document says why"),
    };
    let message = format!(
        "{done} of {} packages are there; {failed} devices failed and {skipped} were skipped; {advice}",
        engine.counts.devices()
    );
    Err(Error::new(Status::Incomplete, message).retryable(retryable > 0))
}

fn file(message: String) -> Error {
    Error::new(Status::File, message).with_stage(Stage::Download)
}

fn unusable(path: &Path, error: io::Error) -> Error {
    file_error("use", path, &error)
}

fn unusable_journal(path: &Path, why: Unusable) -> Error {
    let what = match why {
        Unusable::Unreadable(error) => return file_error("read", path, &error),
        Unusable::Stopped(stop) => return driver::stopped(stop),
        Unusable::NoJournal => {
            "does not begin as a journal: it is another file, or its first line was changed"
                .to_owned()
        }
        Unusable::OtherVersion => "is no journal of this version of the library".to_owned(),
        Unusable::Damaged { line } => format!("is damaged in line {line}"),
    };
    let message = format!(
        "`{}` {what}, and a collection that it records may still be running; restore it from a copy, or move it away to \
         begin a new job: packages in the folder are kept",
        download::shown(path)
    );
    file(message)
}
