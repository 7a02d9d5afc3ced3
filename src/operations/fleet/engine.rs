//! How far each device is, and what comes next. The engine sends nothing and waits for nothing. It takes in events,
//! writes them to the journal, and says what to do. So tests play it in virtual time.
//!
//! # Why no device is asked twice
//!
//! [`next`](Engine::next) makes durable what was written before it says what to do. A line with the request is written
//! before that, and a line with the action when the reply comes. So a crash leaves one of these:
//!
//! - no line with the request: it was not sent;
//! - the request without an action: the outcome is unknown. Its collection is searched for before the next request, as
//!   [`collect`](crate::operations::collect) proves;
//! - the action: the device is polled, and not asked.
//!
//! A device that has its outcome is asked again only if it failed, and the failure is transient or the caller says so.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::time::{Duration, SystemTime};

use serde_json::value::RawValue;

use super::entry::{Entry, State};
use super::failure::{self, MOST_TRIES, Trouble};
use super::journal::{Journal, Span};
use super::start::Known;
use super::storage::Storage;
use crate::error::Error;
use crate::operations::fetch_state::FetchState;
use crate::operations::wait::bad_end;
use crate::service::action::{ActionStatus, MachineAction};
use crate::text::json;

/// A device, by its position in the job.
pub(super) type Key = u32;

/// The present: since the call began, and by the system's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub passed: Duration,
    pub wall: SystemTime,
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Step {
    /// Ask for a collection with the slot in hand.
    Collect(Request),
    /// Download the package, beside the other steps.
    Download(Key),
    /// Nothing, until this time or an event.
    Wait(Option<Duration>),
    /// Every device has its outcome.
    Over,
}

/// The request for a collection. The journal has it already.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub key: Key,
    pub machine_id: String,
    pub asked: FetchState,
    /// The outcome of earlier requests is not known, so their collection is searched for first.
    pub is_open: bool,
}

/// How many devices are how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub queued: usize,
    /// The device has not begun, or collects.
    pub running: usize,
    pub ready: usize,
    pub downloading: usize,
    pub done: usize,
    pub failed: usize,
    pub skipped: usize,
    /// Of all packages that are done.
    pub bytes: u64,
}

impl Counts {
    /// All devices of the job.
    pub(crate) fn devices(&self) -> usize {
        self.unfinished() + self.done + self.failed + self.skipped
    }

    /// The devices that have no outcome yet.
    pub(crate) fn unfinished(&self) -> usize {
        self.queued + self.running + self.ready + self.downloading
    }

    pub(super) fn of(&mut self, state: State, is_downloading: bool) -> &mut usize {
        match state {
            _ if is_downloading => &mut self.downloading,
            State::Queued => &mut self.queued,
            State::Waiting | State::Running => &mut self.running,
            State::Ready => &mut self.ready,
            State::Done => &mut self.done,
            State::Failed => &mut self.failed,
            State::Skipped => &mut self.skipped,
        }
    }
}

/// Gets every outcome that lasts, before the journal has it.
pub(super) trait Outcomes {
    fn add(&mut self, entry: &Entry<'_>) -> io::Result<()>;

    /// The same with many at once.
    fn add_all(&mut self, entries: &[Entry<'_>]) -> io::Result<()> {
        entries.iter().try_for_each(|entry| self.add(entry))
    }
}

/// What is kept in memory of a device. The journal has the rest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Device {
    pub span: Span,
    pub state: State,
    pub tries: u8,
    /// How many requests had succeeded when it failed first.
    pub successes: u32,
    pub is_downloading: bool,
}

impl Device {
    pub(super) fn new(span: Span, state: State) -> Device {
        Device { span, state, tries: 0, successes: 0, is_downloading: false }
    }
}

/// A job: its devices, its journal, and its queues.
pub(super) struct Engine<'o, S> {
    pub(super) journal: Journal<S>,
    pub(super) devices: Vec<Device>,
    pub(super) counts: Counts,
    /// The devices of the journal by their ids, until [`start`](Engine::start) has compared them with the given ones.
    pub(super) ids: HashMap<String, Key>,
    outcomes: &'o mut dyn Outcomes,
    /// To be asked, in the order given.
    to_ask: VecDeque<Key>,
    /// To be downloaded, oldest first: by the position of the line that says so.
    ready: BTreeSet<(u64, Key)>,
    /// To be tried again, by time.
    later: BTreeSet<(Duration, Key)>,
    trouble: Option<Trouble>,
    /// How many collections and downloads have succeeded in this call.
    successes: u32,
    is_synced: bool,
    /// The comment of the devices that have none of their own.
    comment: String,
    downloads_at_once: usize,
}

impl<'o, S: Storage> Engine<'o, S> {
    /// The engine of a job. `known`: what the journal has. [`start`](Engine::start) comes next.
    pub(super) fn new(
        journal: Journal<S>,
        known: Known,
        outcomes: &'o mut dyn Outcomes,
        comment: &str,
        downloads_at_once: usize,
    ) -> Engine<'o, S> {
        Engine {
            journal,
            counts: known.counts(),
            devices: known.devices,
            ids: known.ids,
            outcomes,
            to_ask: VecDeque::new(),
            ready: BTreeSet::new(),
            later: BTreeSet::new(),
            trouble: None,
            successes: 0,
            is_synced: false,
            comment: comment.to_owned(),
            downloads_at_once,
        }
    }

    /// Says what to do now. What was written before is durable then.
    pub(super) fn next(&mut self, now: Now, has_slot: bool) -> io::Result<Step> {
        self.take_due(now);
        if !self.is_paused(now) {
            if self.counts.downloading < self.downloads_at_once {
                if let Some((_, key)) = self.ready.pop_first() {
                    self.sync()?;
                    self.change(key, State::Ready, true);
                    return Ok(Step::Download(key));
                }
            }
            if has_slot {
                if let Some(key) = self.to_ask.pop_front() {
                    let request = self.request(key, now)?;
                    self.sync()?;
                    return Ok(Step::Collect(request));
                }
            }
        }
        self.sync()?;
        if self.journal.is_wasteful() {
            self.compact()?;
        }
        if self.counts.unfinished() == 0 {
            return Ok(Step::Over);
        }
        let until = self.trouble.as_ref().map(|trouble| trouble.until);
        let until = until.filter(|until| *until > now.passed);
        let later = self.later.first().map(|(at, _)| *at);
        Ok(Step::Wait([until, later].into_iter().flatten().min()))
    }

    /// Whether the next step needs a slot for a collection.
    pub(super) fn wants_slot(&mut self, now: Now) -> bool {
        self.take_due(now);
        !self.to_ask.is_empty() && !self.is_paused(now)
    }

    /// Puts the devices into their queues that are to be tried again now.
    fn take_due(&mut self, now: Now) {
        while let Some((_, key)) = self.later.first().copied().filter(|(at, _)| *at <= now.passed) {
            self.later.pop_first();
            self.enqueue(key);
        }
    }

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
        if !request.is_open {
            entry.asked = None;
        }
        match error.is_stop() || error.is_about_quota() {
            true => {
                self.put(&entry)?;
                self.to_ask.push_front(request.key);
                Ok(())
            }
            false => self.again(entry, now, error, error.is_retryable()),
        }
    }

    /// It is not known whether the request has started a collection. It is searched for later.
    pub(super) fn unsettled(
        &mut self,
        request: &Request,
        now: Now,
        error: &Error,
    ) -> io::Result<()> {
        let text = self.text(request.key)?;
        self.again(read(&text)?, now, error, true)
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
        self.again(entry, now, error, error.is_retryable())
    }

    /// The last line of a device, with the whole of its state.
    pub(super) fn text(&self, key: Key) -> io::Result<String> {
        let device = self.devices.get(key as usize).ok_or(io::ErrorKind::NotFound)?;
        self.journal.text(device.span)
    }

    /// The devices whose actions are to be polled.
    pub(super) fn followed(&self) -> impl Iterator<Item = Key> {
        (0..self.devices.len()).map(|at| at as Key).filter(|key| self.is_followed(*key))
    }

    fn is_followed(&self, key: Key) -> bool {
        matches!(self.state(key), Some(State::Waiting | State::Running))
    }

    /// The state of a device.
    pub(super) fn state(&self, key: Key) -> Option<State> {
        self.devices.get(key as usize).map(|device| device.state)
    }

    fn request(&mut self, key: Key, now: Now) -> io::Result<Request> {
        let text = self.text(key)?;
        let mut entry = read(&text)?;
        let open: Option<FetchState> =
            entry.asked.map(|asked| serde_json::from_str(asked.get())).transpose()?;
        let comment = entry.comment.as_deref().unwrap_or(&self.comment);
        let machine_id = entry.machine_id.clone().into_owned();
        let asked = FetchState::before_request(&machine_id, comment, open.as_ref(), now.wall);
        let asked_text = json::text(&asked);
        entry.asked = Some(raw(&asked_text)?);
        self.put(&entry)?;
        Ok(Request { key, machine_id, asked, is_open: open.is_some() })
    }

    /// Tries a device again later, or not.
    fn again(
        &mut self,
        entry: Entry<'_>,
        now: Now,
        error: &Error,
        is_retryable: bool,
    ) -> io::Result<()> {
        let key = entry.n;
        let successes = self.successes;
        let concerns_all = failure::concerns_all(error);
        // While nothing succeeds, a failure that concerns all says nothing about this device.
        let counts = !concerns_all || self.trouble.is_none();
        let (tries, is_own) = self.device(key).map_or((0, false), |device| {
            if device.tries == 0 {
                device.successes = successes;
            }
            device.tries = device.tries.saturating_add(u8::from(counts));
            (device.tries, device.successes < successes)
        });
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
        match (for_all, entry.state) {
            // Another device shows whether it concerns all.
            (true, State::Queued) => self.to_ask.push_back(key),
            (true, _) => self.enqueue(key),
            (false, _) => {
                self.later.insert((now.passed + failure::pause_of_device(tries), key));
            }
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

    /// Appends the state of a device. An outcome that lasts is recorded before.
    pub(super) fn put(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        if entry.is_lasting() {
            self.outcomes.add(entry)?;
        }
        let span = self.journal.append(&json::text(entry))?;
        self.is_synced = false;
        if let Some(device) = self.device(entry.n) {
            let earlier = std::mem::replace(&mut device.span, span);
            self.journal.forget(earlier);
        }
        self.change(entry.n, entry.state, false);
        self.counts.bytes += entry.bytes();
        Ok(())
    }

    /// Records outcomes.
    pub(super) fn record(&mut self, entries: &[Entry<'_>]) -> io::Result<()> {
        self.outcomes.add_all(entries)
    }

    /// Puts a device into the queue of its state.
    pub(super) fn enqueue(&mut self, key: Key) {
        let Some(device) = self.devices.get(key as usize) else { return };
        match device.state {
            State::Queued => self.to_ask.push_back(key),
            State::Ready => drop(self.ready.insert((device.span.at, key))),
            _ => {}
        }
    }

    fn change(&mut self, key: Key, state: State, is_downloading: bool) {
        let Some(device) = self.devices.get_mut(key as usize) else { return };
        *self.counts.of(device.state, device.is_downloading) -= 1;
        (device.state, device.is_downloading) = (state, is_downloading);
        *self.counts.of(state, is_downloading) += 1;
    }

    fn device(&mut self, key: Key) -> Option<&mut Device> {
        self.devices.get_mut(key as usize)
    }

    fn is_paused(&self, now: Now) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.until > now.passed)
    }

    fn sync(&mut self) -> io::Result<()> {
        if !self.is_synced {
            self.journal.sync()?;
            self.is_synced = true;
        }
        Ok(())
    }

    fn compact(&mut self) -> io::Result<()> {
        let mut order: Vec<(Span, Key)> =
            self.devices.iter().zip(0..).map(|(device, key)| (device.span, key)).collect();
        order.sort_unstable_by_key(|(span, _)| span.at);
        let spans: Vec<Span> = order.iter().map(|(span, _)| *span).collect();
        let moved = self.journal.compact(&spans)?;
        for ((_, key), span) in order.into_iter().zip(moved) {
            if let Some(device) = self.device(key) {
                device.span = span;
            }
        }
        // The queue is sorted by positions.
        let ready: Vec<Key> =
            std::mem::take(&mut self.ready).into_iter().map(|(_, key)| key).collect();
        ready.into_iter().for_each(|key| self.enqueue(key));
        Ok(())
    }
}

/// A line of the journal.
pub(super) fn read(text: &str) -> io::Result<Entry<'_>> {
    Ok(serde_json::from_str(text)?)
}

/// A JSON text as a member of a line.
fn raw(text: &str) -> io::Result<&RawValue> {
    Ok(serde_json::from_str(text)?)
}
