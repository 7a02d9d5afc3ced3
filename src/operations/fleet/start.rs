//! The start of a job: what the journal of earlier calls holds, and the devices that are new.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;

use super::devices::{self, Devices};
use super::engine::{Counts, Device, Engine, Key, read};
use super::entry::{Entry, State};
use super::journal::{Check, Head, Journal, Line, Span, Unusable};
use super::storage::Storage;
use crate::service::action::{ActionStatus, MachineAction};
use crate::text::json;

/// The devices of a journal, by their positions.
#[derive(Default)]
pub(super) struct Known {
    pub devices: Vec<Device>,
    /// The positions of the devices by their ids in lower case.
    pub ids: HashMap<String, Key>,
    pub bytes: u64,
}

impl Known {
    /// How many devices are how far.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts { bytes: self.bytes, ..Counts::default() };
        for device in &self.devices {
            *counts.of(device.state, false) += 1;
        }
        counts
    }
}

/// Reads a journal. The head is `None` if the storage is empty.
pub(super) fn read_journal<S: Storage>(
    storage: S,
    check: Check<'_>,
) -> Result<(Journal<S>, Option<Head>, Known), Unusable> {
    let mut known = Known::default();
    let (mut bytes, mut is_other) = (Vec::new(), false);
    let blank = Device::new(Span::default(), State::Queued);
    // The devices and the end before those that were added after the last mark.
    let mut before = None;
    let (mut journal, head) = Journal::read(storage, check, &mut |line| {
        let (entry, span) = match line {
            Line::Device(entry, span) => (entry, span),
            Line::Mark => {
                before = None;
                return;
            }
        };
        let at = entry.n as usize;
        if at >= devices::MOST {
            is_other = true;
            return;
        }
        if at >= known.devices.len() {
            before.get_or_insert((known.devices.len(), span.at));
            known.devices.resize(at.saturating_add(1), blank);
            bytes.resize(at.saturating_add(1), 0);
        }
        known.ids.entry(entry.machine_id.to_ascii_lowercase()).or_insert(entry.n);
        if let Some(device) = known.devices.get_mut(at) {
            *device = Device::new(span, entry.state);
        }
        if let Some(of_device) = bytes.get_mut(at) {
            *of_device = entry.bytes();
        }
    })?;
    // A call adds all of its devices or none. The mark behind these is missing, so nothing was asked of them.
    if let Some((count, end)) = before {
        known.devices.truncate(count);
        known.ids.retain(|_, key| (*key as usize) < count);
        bytes.truncate(count);
        journal.end_at(end);
    }
    // Positions have no gaps: a device without a line was none of a journal of ours.
    if is_other || known.devices.iter().any(|device| device.span == Span::default()) {
        return Err(Unusable::OtherVersion);
    }
    known.devices.iter().for_each(|device| journal.count(device.span));
    // A changed journal may have sizes that no package has.
    known.bytes = bytes.into_iter().fold(0, u64::saturating_add);
    Ok((journal, head, known))
}

impl<S: Storage> Engine<'_, S> {
    /// Adds the devices that are new, takes those up again that failed for a time, and fills the queues.
    ///
    /// It ends with the error of `check`, which is asked for each device.
    pub(super) fn start(
        &mut self,
        wanted: &Devices,
        check: &dyn Fn() -> io::Result<()>,
    ) -> io::Result<()> {
        let ids = std::mem::take(&mut self.ids);
        for at in 0..self.devices.len() {
            check()?;
            let key = at as Key;
            if self.state(key) == Some(State::Failed) {
                self.take_up(key, wanted.retry_failed)?;
            }
        }
        let mut new: Vec<&devices::Device> = Vec::new();
        for device in &wanted.list {
            check()?;
            match ids.get(&device.id.to_ascii_lowercase()) {
                None => new.push(device),
                Some(key) => self.unskip(*key, device)?,
            }
        }
        self.add(&new, check)?;
        (0..self.devices.len()).for_each(|at| self.enqueue(at as Key));
        Ok(())
    }

    /// Takes a device up again that has failed: where it failed, or from the beginning.
    fn take_up(&mut self, key: Key, for_good_too: bool) -> io::Result<()> {
        let text = self.text(key)?;
        let mut entry = read(&text)?;
        let was_for_a_time = entry.is_retryable();
        if !was_for_a_time && !for_good_too {
            return Ok(());
        }
        let action = entry.known_action();
        entry.state = match action.as_ref().map(MachineAction::status) {
            Some(ActionStatus::Succeeded) => State::Ready,
            Some(status) if !status.is_final() && was_for_a_time => State::Waiting,
            _ => State::Queued,
        };
        if entry.state == State::Queued {
            (entry.action, entry.adopted, entry.service_date) = (None, None, None);
            // A request without an action may have started a collection, unless it was refused.
            if action.is_some() {
                entry.asked = None;
            }
        }
        (entry.error, entry.package) = (None, None);
        self.put(&entry)
    }

    /// Asks a device that was skipped, if its problems are gone.
    fn unskip(&mut self, key: Key, device: &devices::Device) -> io::Result<()> {
        if self.state(key) != Some(State::Skipped) || device.problems.is_some() {
            return Ok(());
        }
        let text = self.text(key)?;
        let mut entry = read(&text)?;
        (entry.state, entry.problems) = (State::Queued, None);
        self.put(&entry)
    }

    /// Adds devices, all or none of them. Those with a problem are skipped.
    fn add(
        &mut self,
        new: &[&devices::Device],
        check: &dyn Fn() -> io::Result<()>,
    ) -> io::Result<()> {
        if new.is_empty() {
            return Ok(());
        }
        let first = self.devices.len();
        let numbered = || new.iter().zip(first..).map(|(device, n)| (*device, n as Key));
        let skipped = numbered().filter(|(device, _)| device.problems.is_some());
        let skipped: io::Result<Vec<Entry<'_>>> =
            skipped.map(|(device, n)| entry(device, n)).collect();
        self.record(&skipped?)?;
        let texts = numbered().map(|(device, n)| {
            check()?;
            Ok(json::text(&entry(device, n)?))
        });
        let spans = self.journal.append_all(texts)?;
        // The mark behind them makes them devices of the job. The flush of the first request makes it durable.
        self.journal.sync()?;
        for (span, device) in spans.into_iter().zip(new) {
            let state = first_state(device);
            *self.counts.of(state, false) += 1;
            self.devices.push(Device::new(span, state));
        }
        Ok(())
    }
}

fn first_state(device: &devices::Device) -> State {
    if device.problems.is_some() { State::Skipped } else { State::Queued }
}

/// The first line of a device.
fn entry(device: &devices::Device, n: Key) -> io::Result<Entry<'_>> {
    Ok(Entry {
        state: first_state(device),
        comment: device.comment.as_deref().map(Cow::Borrowed),
        file: device.file.as_deref().map(Cow::Borrowed),
        problems: device.problems.as_deref().map(serde_json::from_str).transpose()?,
        ..Entry::new(n, &device.id)
    })
}
