//! How far each device is, and what comes next. The engine sends nothing and waits for nothing. It takes in what came of
//! its steps ([`results`](super::results)), writes it to the journal, and says what to do. So tests play it in virtual time.
//!
//! # Why no device is asked twice
//!
//! [`next`](Engine::next) makes durable what was written before it says what to do. A line with the request is written
//! before that, and a line with the action when the reply comes. So a crash leaves one of these:
//!
//! - no line with the request: it was not sent;
//! - the request without an action: the outcome is unknown, and the request is *open*;
//! - the action: the device is polled, and not asked.
//!
//! What an open request has started is in the service's list [`LAG`] later, as [`collect`](crate::operations::collect) proves. So
//! a search comes due then, which reads one list. Meanwhile all other devices go on. The next request is sent only if a search
//! of at most [`LAG`] ago has found nothing. If its slot took longer, the list is read once more.
//!
//! A device that has its outcome is asked again only if it failed, and the failure is transient or the caller says so.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::time::{Duration, SystemTime};

use serde_json::value::RawValue;

use super::entry::{Entry, State};
use super::failure::Trouble;
use super::journal::{Journal, Span};
use super::start::Known;
use super::storage::Storage;
use crate::operations::collect::LAG;
use crate::operations::fetch_state::FetchState;
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
    /// Find what the requests of a device have started, with one list. With `or_running` a collection of somebody else that
    /// runs is found as well.
    Search { request: Request, or_running: bool },
    /// Ask for a collection with the slot in hand. With `searches` comes a search before.
    Collect { request: Request, searches: bool },
    /// Download the package, beside the other steps.
    Download(Key),
    /// Nothing, until this time or an event.
    Wait(Option<Duration>),
    /// Every device has its outcome.
    Over,
}

/// The requests for a collection on one device. The journal has them already.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub key: Key,
    pub machine_id: String,
    pub asked: FetchState,
    /// The outcome of earlier requests is not known.
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
    /// The service has refused the last request because a collection runs.
    pub meets_running: bool,
    /// When the list has last shown that no request of the device has started a collection.
    pub searched: Option<Duration>,
}

impl Device {
    pub(super) fn new(span: Span, state: State) -> Device {
        let (tries, successes) = (0, 0);
        let (is_downloading, meets_running, searched) = (false, false, None);
        Device { span, state, tries, successes, is_downloading, meets_running, searched }
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
    pub(super) to_ask: VecDeque<Key>,
    /// To be downloaded, oldest first: by the position of the line that says so.
    ready: BTreeSet<(u64, Key)>,
    /// To be tried again, by time.
    pub(super) later: BTreeSet<(Duration, Key)>,
    /// Whose collections are to be searched for, by time. A device is in one queue alone.
    pub(super) searches: BTreeSet<(Duration, Key)>,
    pub(super) trouble: Option<Trouble>,
    /// How many collections and downloads have succeeded in this call.
    pub(super) successes: u32,
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
            searches: BTreeSet::new(),
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
            if let Some(key) = self.next_search(now) {
                self.searches.pop_first();
                return self.search(key);
            }
            if has_slot {
                if let Some(step) = self.next_request(now)? {
                    return Ok(step);
                }
            }
        }
        self.sync()?;
        if self.journal.is_wasteful() {
            self.compact();
        }
        if self.counts.unfinished() == 0 {
            return Ok(Step::Over);
        }
        let until = self.trouble.as_ref().map(|trouble| trouble.until);
        let due = [self.later.first(), self.searches.first()].into_iter().flatten();
        let due = due.map(|(at, _)| *at).min();
        Ok(Step::Wait(until.filter(|until| *until > now.passed).or(due)))
    }

    /// Whether the next step needs a slot for a collection. A slot is not held over a search that needs none.
    pub(super) fn wants_slot(&mut self, now: Now) -> bool {
        self.take_due(now);
        !self.to_ask.is_empty() && !self.is_paused(now) && self.next_search(now).is_none()
    }

    /// Puts the devices into their queues that are to be tried again now.
    fn take_due(&mut self, now: Now) {
        while let Some((_, key)) = self.later.first().copied().filter(|(at, _)| *at <= now.passed) {
            self.later.pop_first();
            self.enqueue(key);
        }
    }

    /// The device whose search is due.
    fn next_search(&self, now: Now) -> Option<Key> {
        self.searches.first().filter(|(at, _)| *at <= now.passed).map(|(_, key)| *key)
    }

    fn search(&mut self, key: Key) -> io::Result<Step> {
        let text = self.text(key)?;
        let entry = read(&text)?;
        let asked = entry.asked.ok_or(io::ErrorKind::InvalidData)?;
        let request = Request {
            key,
            machine_id: entry.machine_id.clone().into_owned(),
            asked: serde_json::from_str(asked.get())?,
            is_open: entry.is_open(),
        };
        self.sync()?;
        let or_running = self.device(key).is_some_and(|device| device.meets_running);
        Ok(Step::Search { request, or_running })
    }

    fn next_request(&mut self, now: Now) -> io::Result<Option<Step>> {
        while let Some(key) = self.to_ask.pop_front() {
            if let Some(step) = self.ask(key, now)? {
                return Ok(Some(step));
            }
        }
        Ok(None)
    }

    /// The request of a device, once it is in the journal. `None`: the device has to wait for a search.
    fn ask(&mut self, key: Key, now: Now) -> io::Result<Option<Step>> {
        let text = self.text(key)?;
        let mut entry = read(&text)?;
        let open = entry.asked.filter(|_| entry.is_open());
        let open: Option<FetchState> =
            open.map(|asked| serde_json::from_str(asked.get())).transpose()?;
        let searched = self.device(key).and_then(|device| device.searched);
        // The requests of earlier calls were given up when this call began, if not before.
        if open.is_some() && searched.is_none() && now.passed < LAG {
            self.searches.insert((LAG, key));
            return Ok(None);
        }
        let is_fresh = searched.is_some_and(|at| now.passed.saturating_sub(at) <= LAG);
        let comment = entry.comment.as_deref().unwrap_or(&self.comment);
        let machine_id = entry.machine_id.clone().into_owned();
        let asked = FetchState::before_request(&machine_id, comment, open.as_ref(), now.wall);
        let asked_text = json::text(&asked);
        entry.asked = Some(raw(&asked_text)?);
        entry.nothing_started = false;
        self.put(&entry)?;
        self.sync()?;
        let is_open = open.is_some();
        let request = Request { key, machine_id, asked, is_open };
        Ok(Some(Step::Collect { request, searches: is_open && !is_fresh }))
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

    pub(super) fn is_followed(&self, key: Key) -> bool {
        matches!(self.state(key), Some(State::Waiting | State::Running))
    }

    /// The state of a device.
    pub(super) fn state(&self, key: Key) -> Option<State> {
        self.devices.get(key as usize).map(|device| device.state)
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
        self.counts.bytes = self.counts.bytes.saturating_add(entry.bytes());
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

    pub(super) fn change(&mut self, key: Key, state: State, is_downloading: bool) {
        let Some(device) = self.devices.get_mut(key as usize) else { return };
        *self.counts.of(device.state, device.is_downloading) -= 1;
        (device.state, device.is_downloading) = (state, is_downloading);
        *self.counts.of(state, is_downloading) += 1;
    }

    pub(super) fn device(&mut self, key: Key) -> Option<&mut Device> {
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

    fn compact(&mut self) {
        let mut order: Vec<(Span, Key)> =
            self.devices.iter().zip(0..).map(|(device, key)| (device.span, key)).collect();
        order.sort_unstable_by_key(|(span, _)| span.at);
        let spans: Vec<Span> = order.iter().map(|(span, _)| *span).collect();
        let Some(moved) = self.journal.compact(&spans) else { return };
        for ((_, key), span) in order.into_iter().zip(moved) {
            if let Some(device) = self.device(key) {
                device.span = span;
            }
        }
        // The queue is sorted by positions.
        let ready: Vec<Key> =
            std::mem::take(&mut self.ready).into_iter().map(|(_, key)| key).collect();
        ready.into_iter().for_each(|key| self.enqueue(key));
    }
}

/// A line of the journal.
pub(super) fn read(text: &str) -> io::Result<Entry<'_>> {
    Ok(serde_json::from_str(text)?)
}

/// A JSON text as a member of a line.
pub(super) fn raw(text: &str) -> io::Result<&RawValue> {
    Ok(serde_json::from_str(text)?)
}
