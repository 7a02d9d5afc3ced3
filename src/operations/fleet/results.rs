//! What came of the steps: the engine takes it in, and the journal gets it.

use std::io;
use std::time::{Duration, SystemTime};

use super::engine::{Device, Engine, Key, Now, Request, raw, read};
use super::entry::{Entry, State};
use super::failure::{self, MOST_TRIES, Trouble};
use super::storage::Storage;
use crate::error::Error;
use crate::operations::collect::{self, LAG};
use crate::operations::wait::bad_end;
use crate::service::action::{ActionStatus, MachineAction};

/// The pause before another search, if the list had no room in its quota and named no time.
const QUOTA_PAUSE: Duration = Duration::from_secs(1);

impl<S: Storage> Engine<'_, S> {
    /// The error that ends the call, because it concerns all devices and lasts.
    pub(super) fn lasting_trouble(&self) -> Option<Error> {
        self.trouble.as_ref().and_then(Trouble::lasting)
    }

    /// A request has succeeded, so that nothing concerns all devices.
    pub(super) fn went_well(&mut self) {
        self.trouble = None;
    }

    /// A device has got further.
    fn succeeded(&mut self) {
        self.went_well();
        self.successes = self.successes.saturating_add(1);
    }

    /// A request that is of no device has failed.
    pub(super) fn went_wrong(&mut self, now: Now, error: &Error) {
        if failure::concerns_all(error) {
            self.trouble = Some(Trouble::after(self.trouble.take(), error.clone(), now.passed));
        }
    }

    /// A poll of all actions has failed. The error ends the call if the next poll would fail in the same way, as it ends a
    /// wait for one action.
    pub(super) fn poll_failed(&mut self, now: Now, error: &Error) -> Result<(), Error> {
        self.went_wrong(now, error);
        match error.is_retryable() || failure::concerns_all(error) {
            true => Ok(()),
            false => Err(error.clone()),
        }
    }

    /// A collection runs on the device, or has run there.
    pub(super) fn collected(
        &mut self,
        request: &Request,
        action: &MachineAction,
        adopted: bool,
        service_date: Option<SystemTime>,
    ) -> io::Result<()> {
        self.succeeded();
        let text = self.text(request.key)?;
        let date = service_date.map(|at| humantime::format_rfc3339_seconds(at).to_string());
        let mut entry = read(&text)?;
        entry.adopted = Some(adopted);
        entry.service_date = date.as_deref().map(Into::into);
        self.follow(entry, action)
    }

    /// The action is in another state.
    pub(super) fn seen(&mut self, key: Key, action: &MachineAction) -> io::Result<()> {
        if !self.is_followed(key) {
            return Ok(());
        }
        let text = self.text(key)?;
        self.follow(read(&text)?, action)
    }

    fn follow<'a>(&mut self, mut entry: Entry<'a>, action: &'a MachineAction) -> io::Result<()> {
        entry.action = Some(raw(action.json())?);
        entry.error = None;
        entry.state = match action.status() {
            ActionStatus::Succeeded => State::Ready,
            ActionStatus::Pending => State::Waiting,
            status => match bad_end(status) {
                Some(error) => return self.fail(entry, &error),
                None => State::Running,
            },
        };
        self.put(&entry)?;
        if let Some(device) = self.device(entry.n) {
            device.tries = 0;
        }
        if entry.state == State::Ready {
            self.enqueue(entry.n);
        }
        Ok(())
    }

    /// The action has ended without a package, or is not known to the service.
    pub(super) fn lost(&mut self, key: Key, error: &Error) -> io::Result<()> {
        if !self.is_followed(key) {
            return Ok(());
        }
        let text = self.text(key)?;
        let entry = read(&text)?;
        let action = error.last_seen().map(raw).transpose()?.or(entry.action);
        self.fail(Entry { action, ..entry }, error)
    }

    /// The request has started nothing.
    pub(super) fn refused(&mut self, request: &Request, now: Now, error: &Error) -> io::Result<()> {
        let text = self.text(request.key)?;
        let mut entry = read(&text)?;
        entry.nothing_started = !request.is_open || collect::is_about_the_device(error);
        match error.is_stop() || error.is_about_quota() {
            true => {
                self.put(&entry)?;
                self.to_ask.push_front(request.key);
                Ok(())
            }
            false => self.again(entry, now, error, error.is_retryable(), None),
        }
    }

    /// The request has started nothing, because a collection runs. The list shows that one a little later.
    pub(super) fn meets_running(&mut self, request: &Request, now: Now) -> io::Result<()> {
        let text = self.text(request.key)?;
        let mut entry = read(&text)?;
        entry.nothing_started = !request.is_open;
        self.put(&entry)?;
        if let Some(device) = self.device(request.key) {
            device.meets_running = true;
        }
        self.searches.insert((now.passed + LAG, request.key));
        Ok(())
    }

    /// It is not known whether the request has started a collection. That is searched for later.
    pub(super) fn unsettled(
        &mut self,
        request: &Request,
        now: Now,
        error: &Error,
    ) -> io::Result<()> {
        let text = self.text(request.key)?;
        self.again(read(&text)?, now, error, true, Some(LAG))
    }

    /// The list shows that no request of the device has started a collection. The next one is sent at once after the first
    /// loss, and after a pause later.
    pub(super) fn not_found(&mut self, key: Key, now: Now) {
        let Some(device) = self.device(key) else { return };
        device.searched = Some(now.passed);
        device.meets_running = false;
        match device.tries {
            0 | 1 => self.to_ask.push_front(key),
            tries => {
                self.later.insert((now.passed + failure::pause_of_device(tries), key));
            }
        }
    }

    /// The list that was to show a collection could not be read.
    pub(super) fn not_searched(
        &mut self,
        request: &Request,
        now: Now,
        error: &Error,
    ) -> io::Result<()> {
        // The call does not wait for the quota of lists, since it has other things to do.
        if error.is_about_quota() {
            let pause = error.retry_after().unwrap_or_default().max(QUOTA_PAUSE);
            self.searches.insert((now.passed + pause, request.key));
            return Ok(());
        }
        let text = self.text(request.key)?;
        self.again(read(&text)?, now, error, true, None)
    }

    /// The package is downloaded and checked. `package`: its JSON.
    pub(super) fn downloaded(&mut self, key: Key, package: &str) -> io::Result<()> {
        self.succeeded();
        let text = self.text(key)?;
        let mut entry = read(&text)?;
        (entry.state, entry.error, entry.package) = (State::Done, None, Some(raw(package)?));
        self.put(&entry)
    }

    /// The download has ended otherwise.
    pub(super) fn not_downloaded(&mut self, key: Key, now: Now, error: &Error) -> io::Result<()> {
        let text = self.text(key)?;
        let entry = read(&text)?;
        if error.is_stop() || error.is_about_quota() {
            self.change(key, State::Ready, false);
            self.enqueue(key);
            return Ok(());
        }
        self.again(entry, now, error, error.is_retryable(), None)
    }

    /// Tries a device again later, or not. `pause`: if it does not depend on how often it was tried.
    fn again(
        &mut self,
        entry: Entry<'_>,
        now: Now,
        error: &Error,
        is_retryable: bool,
        pause: Option<Duration>,
    ) -> io::Result<()> {
        let key = entry.n;
        let concerns_all = failure::concerns_all(error);
        // While nothing succeeds, a failure that concerns all says nothing about this device.
        let counts = !concerns_all || self.trouble.is_none();
        let successes = self.successes;
        let (tries, is_own) =
            self.device(key).map_or((0, false), |device| device.count_try(counts, successes));
        // If others have succeeded since this device failed first, the failure is its own.
        let for_all = concerns_all && !is_own;
        if for_all {
            self.went_wrong(now, error);
        }
        let gives_up = tries > MOST_TRIES || !(is_retryable || for_all);
        // What may concern all devices is no lasting outcome of one.
        let error = error.clone().retryable(is_retryable || concerns_all);
        if gives_up {
            return self.fail(entry, &error);
        }
        let text = error.member();
        let entry = Entry { error: Some(raw(&text)?), ..entry };
        self.put(&entry)?;
        let at = now.passed + pause.unwrap_or_else(|| failure::pause_of_device(tries));
        match (for_all, entry.state) {
            _ if entry.is_open() => drop(self.searches.insert((at, key))),
            // Another device shows whether it concerns all.
            (true, State::Queued) => self.to_ask.push_back(key),
            (true, _) => self.enqueue(key),
            (false, _) => drop(self.later.insert((at, key))),
        }
        Ok(())
    }

    fn fail(&mut self, entry: Entry<'_>, error: &Error) -> io::Result<()> {
        let text = error.member();
        self.put(&Entry {
            state: State::Failed,
            error: Some(raw(&text)?),
            package: error.package().map(raw).transpose()?,
            ..entry
        })
    }
}

impl Device {
    /// Counts a failure. Returns how many there were, and whether other devices have got further meanwhile.
    fn count_try(&mut self, counts: bool, successes: u32) -> (u8, bool) {
        self.meets_running = false;
        if self.tries == 0 {
            self.successes = successes;
        }
        self.tries = self.tries.saturating_add(u8::from(counts));
        (self.tries, self.successes < successes)
    }
}
