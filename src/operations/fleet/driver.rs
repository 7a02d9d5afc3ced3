//! Does what the engine says, on the thread of the caller: asks for collections, polls all of them with one list, starts
//! downloads, gets tokens for them, and reports the progress.

mod collections;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::downloads::Downloads;
use super::engine::{Engine, Key, Now, Step, read};
use super::entry::{Entry, State};
use super::report::Report;
use super::storage::Storage;
use crate::account::Account;
use crate::account::turn::Turn;
use crate::call::{Call, Cancel, Stop};
use crate::error::{Error, Result, Stage};
use crate::operations::wait::{Change, Step as WatchStep, Watcher};
use crate::operations::{actions, download};
use crate::os::thread::{self, Scope};
use crate::progress::Reporter;
use crate::quota::limiter::Permit;
use crate::service::action::MachineAction;
use crate::service::machine;
use crate::status::Status;
use crate::text::json;

/// The folder of a job and its journal.
pub(super) struct Place<'a> {
    /// Absolute, since the host may change its working directory during the call.
    pub folder: &'a str,
    pub journal: &'a Path,
}

impl Place<'_> {
    pub(super) fn failed(&self, error: io::Error) -> Error {
        download::file_error("write", self.journal, &error)
    }
}

/// Runs a job until every device has its outcome. An error says why it ended before.
pub(super) fn run<S: Storage>(
    account: &Account,
    call: &Arc<Call>,
    engine: &mut Engine<'_, S>,
    place: &Place<'_>,
    reporter: &mut Reporter<'_, '_>,
) -> Result<()> {
    let stop = Cancel::new(None);
    let mut driver = Driver {
        account,
        call,
        engine,
        place,
        report: Report::new(reporter),
        watcher: Watcher::new(account, call),
        downloads: Downloads::new(account, call, &stop),
        turn: None,
        permit: None,
    };
    let ended = thread::scope(|scope| {
        // The scope waits for the downloads, also when this unwinds.
        let _stop = StopDownloads(&stop);
        driver.follow_all().and_then(|()| driver.run(scope))
    });
    // What has just been downloaded is not downloaded again.
    driver.release_slot();
    driver.take_downloads().and(ended)
}

pub(super) fn stopped(stop: Stop) -> Error {
    Error::from(stop).with_stage(Stage::Wait)
}

/// Ends the downloads when it is dropped.
struct StopDownloads<'a>(&'a Cancel);

impl Drop for StopDownloads<'_> {
    fn drop(&mut self) {
        self.0.trigger();
    }
}

struct Driver<'a, 'o, 'r, 'c, S> {
    account: &'a Account,
    call: &'a Arc<Call>,
    engine: &'a mut Engine<'o, S>,
    place: &'a Place<'a>,
    report: Report<'a, 'r, 'c>,
    watcher: Watcher<'a>,
    downloads: Downloads<'a>,
    /// The place in the queue for the next collection.
    turn: Option<Turn<'a>>,
    /// The slot of the next collection.
    permit: Option<Permit<'a>>,
}

impl<'a, S: Storage> Driver<'a, '_, '_, '_, S> {
    fn run<'s>(&mut self, scope: &Scope<'s>) -> Result<()>
    where
        'a: 's,
    {
        loop {
            let wakes = self.call.signal().wakes();
            self.take_downloads()?;
            self.account.tokens.serve(&self.account.http, self.call);
            self.check()?;
            let poll_at = self.poll()?;
            let now = self.now();
            if let Some(error) = self.engine.lasting_trouble() {
                return Err(error);
            }
            let slot_at = self.take_slot(now)?;
            // Downloads start in here, so that a slot is not held over the next poll.
            loop {
                let step = self.engine.next(now, self.permit.is_some());
                match step.map_err(|error| self.place.failed(error))? {
                    Step::Download(key) => self.download(scope, key)?,
                    Step::Search { request, or_running } => {
                        self.search(&request, or_running)?;
                        self.release_slot();
                        self.report.next(self.account, self.engine, &self.downloads)?;
                        break;
                    }
                    Step::Collect { request, searches } => {
                        self.collect(&request, searches)?;
                        self.release_slot();
                        self.report.next(self.account, self.engine, &self.downloads)?;
                        break;
                    }
                    Step::Over => return self.report.last(self.account, self.engine),
                    Step::Wait(until) => {
                        self.release_slot();
                        let report_at =
                            self.report.next(self.account, self.engine, &self.downloads)?;
                        let until = until.and_then(|until| self.call.began().checked_add(until));
                        let next = [until, poll_at, slot_at, report_at].into_iter().flatten().min();
                        // A request or a lock may have slept, and used up a wake.
                        if self.call.signal().wakes() == wakes {
                            self.call.wait(next).map_err(stopped)?;
                        }
                        break;
                    }
                }
            }
        }
    }

    fn check(&self) -> Result<()> {
        self.call.check().map_err(stopped)
    }

    fn now(&self) -> Now {
        Now { passed: self.call.began().elapsed(), wall: SystemTime::now() }
    }

    /// Follows the collections that earlier calls have started.
    fn follow_all(&mut self) -> Result<()> {
        let keys: Vec<Key> = self.engine.followed().collect();
        for key in keys {
            self.check()?;
            let text = self.engine.text(key).map_err(|error| self.place.failed(error))?;
            let entry = read(&text).map_err(|error| self.place.failed(error))?;
            self.watcher.add_unseen(key, self.action(&entry)?.id());
        }
        Ok(())
    }

    /// The action of a device, as the journal has it.
    fn action(&self, entry: &Entry<'_>) -> Result<MachineAction> {
        let json = entry.action.map(|action| action.get()).unwrap_or_default();
        MachineAction::from_json(json, &|text| self.account.mask(text)).map_err(|problem| {
            let error =
                io::Error::new(io::ErrorKind::InvalidData, format!("an action in it {problem}"));
            download::file_error("use", self.place.journal, &error)
        })
    }

    /// Polls all collections, if that is due. Returns when to ask again.
    fn poll(&mut self) -> Result<Option<Instant>> {
        loop {
            let now = self.now();
            let written = match self.watcher.step(Instant::now()) {
                WatchStep::Idle(at) => return Ok(at),
                WatchStep::PollFailed(error) => {
                    // The poll of a call that was stopped fails again and again.
                    self.check()?;
                    let error = self.failure(&error);
                    self.engine.poll_failed(now, &error)?;
                    Ok(())
                }
                WatchStep::Changes(changes) => {
                    self.engine.went_well();
                    changes.into_iter().try_for_each(|(key, change)| self.take(key, change))
                }
            };
            written.map_err(|error| self.place.failed(error))?;
        }
    }

    fn take(&mut self, key: Key, change: Change) -> io::Result<()> {
        match self.checked(key, change)? {
            Change::Waiting(action) => self.engine.seen(key, &action)?,
            Change::Succeeded(action) => {
                self.watcher.remove(key);
                self.engine.seen(key, &action)?;
            }
            Change::Failed(error) => {
                self.watcher.remove(key);
                self.engine.lost(key, &self.failure(&error))?;
            }
        }
        self.ended(key);
        Ok(())
    }

    /// The change, unless it shows the action of another device.
    fn checked(&self, key: Key, change: Change) -> io::Result<Change> {
        let (Change::Waiting(action) | Change::Succeeded(action)) = &change else {
            return Ok(change);
        };
        let text = self.engine.text(key)?;
        let entry = read(&text)?;
        let known = entry.known_action();
        // A device that was asked for by its name has the id that its first action names.
        let device = match machine::is_device_id(&entry.machine_id) {
            true => Some(&*entry.machine_id),
            false => known.as_ref().and_then(MachineAction::machine_id),
        };
        let Err(problem) = action.check_collection_of(device) else { return Ok(change) };
        // The action that the device has is polled again by the next call.
        let error = actions::of_another(problem).retryable(true);
        Ok(Change::Failed(error.action(action.id(), None)))
    }

    /// The error of a request as the job takes it: without secrets, and a stop only if the call was stopped.
    fn failure(&self, error: &Error) -> Error {
        let error = error.clone().mask(|text| self.account.mask(text));
        match error.status() == Status::Deadline && self.call.check().is_ok() {
            true => {
                let message = "a request took longer than `timeout_ms`; raise it if that lasts";
                error.reclassified(Status::Broken, message.to_owned(), true)
            }
            false => error,
        }
    }

    /// Reports the device if this step was its outcome. The error is that of the journal.
    fn written(&mut self, key: Key, written: io::Result<()>) -> Result<()> {
        written.map_err(|error| self.place.failed(error))?;
        self.ended(key);
        Ok(())
    }

    /// Reports a device that has its outcome.
    fn ended(&mut self, key: Key) {
        if self.engine.state(key).is_some_and(State::is_end) {
            self.report.ended(key);
        }
    }

    fn download<'s>(&mut self, scope: &Scope<'s>, key: Key) -> Result<()>
    where
        'a: 's,
    {
        let text = self.engine.text(key).map_err(|error| self.place.failed(error))?;
        let entry = read(&text).map_err(|error| self.place.failed(error))?;
        let path = match &entry.file {
            Some(file) => Path::new(self.place.folder).join(&**file).to_string_lossy().into_owned(),
            None => self.place.folder.to_owned(),
        };
        let action = self.action(&entry)?;
        self.downloads.start(scope, key, &entry.machine_id, action, path);
        Ok(())
    }

    fn take_downloads(&mut self) -> Result<()> {
        for (key, result) in self.downloads.take_ended() {
            let now = self.now();
            let written = match result {
                Ok(package) => self.engine.downloaded(key, &json::text(&package)),
                Err(error) => self.engine.not_downloaded(key, now, &self.failure(&error)),
            };
            self.written(key, written)?;
        }
        Ok(())
    }
}
