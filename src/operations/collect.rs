//! Starts a collection on a device, and never two at once, whatever becomes of the replies.
//!
//! # The rule
//!
//! A request is *lost* if it may have been carried out and no reply tells: none arrived whole, or it is a 5xx, a 408, or
//! a success without a readable action.
//!
//! 1. After a lost request the newest collections of the device are polled for [`LAG`], in whatever state they are. One
//!    is *ours* if it has our comment and was created since the call began. It is the result, `adopted`.
//! 2. If none is ours, the request is sent again: up to `max_retries` times, while time is left. Its slot is taken before. If
//!    that took longer than [`LAG`], the list is polled once more. With `on_unknown=report`, and when no request is left,
//!    the outcome is reported as unknown.
//! 3. If the service refuses a request because a collection runs, that one is searched for in the same way. Ours is the
//!    result. Another one is treated as `on_duplicate` says. If the list shows neither, and an earlier request was lost,
//!    the next one is sent as after a loss.
//! 4. If the last poll failed, the list cannot tell, and nothing is sent again.
//! 5. A refusal of a second request tells nothing about the first, unless it is about the device itself. The list is
//!    polled once more, since the refusal may have taken long.
//!
//! # Why nothing is started twice
//!
//! The service promises two things. (a) One collection runs on a device at a time: a request for another one gets the
//! running one, or a 400. (b) The list shows an action, ended or not, at most [`LAG`] after it was created.
//!
//! By (a) two collections never run at once, in whatever order requests arrive. So a second one must follow the first:
//! the first request was carried out, and its collection had ended, before the second one arrived.
//!
//! - If the first was carried out before its reply was given up, the last poll is at least [`LAG`] later. By (b) it shows
//!   the collection, also one that failed or was cancelled at once. So no second request is sent.
//! - If the first was delayed on its way, the two cross. The later one finds the other's collection running, and by (a)
//!   it starts none, unless that collection has ended by then.
//!
//! A call over many devices keeps the same rule, see [`steps`]. It lets [`LAG`] pass without polls and reads the list once
//! then, since it has other things to do meanwhile.
//!
//! # If the service breaks its word
//!
//! - The list lags longer than [`LAG`]. A second request is sent, and by (a) it joins the collection while that runs.
//!   Collections take minutes. Only one that ended within the seconds before is followed by another.
//!
//! # What remains
//!
//! Requests may cross, and the collection of one may end before the other arrives: within the moments between the last
//! poll and the second request, or because the late one is minutes late. No list can tell that, since it has not happened
//! yet.
//!
//! In these cases there is at most one collection per request sent, one after the other. The call returns the one that it knows.
//! All have the call's comment in the list of actions, and the log has a warning for each request that was sent again.
//!
//! # Which collection is whose
//!
//! The comment tells our collection from those of other products. The creation time tells it from those of earlier calls
//! with the same comment. It is compared with the date of the service's reply, so the clock of this host does not count.
//! A fetch also knows the requests of its earlier calls from its state file, and they count as its own.

mod device;
mod errors;
mod steps;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

pub(crate) use self::device::device_id;
use self::device::{Device, Live};
use self::errors::of_another;
pub(crate) use self::steps::{Sent, find, send};
use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::http::reply::{CLOCK_TOLERANCE, Reply};
use crate::http::retry::{self, Next};
use crate::log::{self, Level};
use crate::options::{OnDuplicate, OnUnknown};
use crate::service::action::{self, COLLECTION as KIND, MachineAction};
use crate::status::Status;

/// How long the list may take to show a new action.
pub(crate) const LAG: Duration = Duration::from_secs(10);

/// The pauses before the polls of a search. Together they last for [`LAG`].
const PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
    Duration::from_secs(4),
];

/// Dates in headers have whole seconds, and the two clocks are read at different moments.
const DATE_TOLERANCE: Duration = Duration::from_secs(5);

/// A collection that runs on the device now.
#[derive(Clone, Debug)]
pub struct Collected {
    /// The machine action to follow.
    pub action: MachineAction,
    /// The action was found rather than answered: a collection was running already, or the reply was lost and the list
    /// showed that this call had started it.
    pub adopted: bool,
    /// When the service answered with the action or showed it, by its own clock.
    pub(crate) service_date: Option<SystemTime>,
}

impl Collected {
    /// `{"action":{…},"adopted":false}`
    pub fn to_json(&self) -> String {
        let end = if self.adopted { ",\"adopted\":true}" } else { ",\"adopted\":false}" };
        action::document("{\"action\":", [self.action.json()], end)
    }
}

/// The requests for a collection on one device.
#[derive(Debug)]
pub(crate) struct Requests<'a> {
    pub machine_id: &'a str,
    /// The comment of the next request, then those of earlier calls.
    pub comments: Vec<&'a str>,
    /// When the first request of earlier calls was sent, by the system clock. `None`: the outcome of all is known.
    pub open_since: Option<SystemTime>,
}

/// `POST /api/machines/{id}/collectInvestigationPackage`
pub(crate) fn collect(
    account: &Account,
    call: &Arc<Call>,
    requests: &Requests<'_>,
) -> Result<Collected> {
    Job::new(&Live::new(account, call, requests), requests, Choices::of(account)).run()
}

/// The collection that one of the requests has started, if the list shows it.
pub(crate) fn started(
    account: &Account,
    call: &Arc<Call>,
    requests: &Requests<'_>,
) -> Result<Option<Collected>> {
    let device = Live::new(account, call, requests);
    let found = Job::new(&device, requests, Choices::of(account)).search(Duration::ZERO, false)?;
    Ok(found.map(Found::collected))
}

/// The options that decide.
#[derive(Clone, Copy, Debug)]
struct Choices {
    on_duplicate: OnDuplicate,
    on_unknown: OnUnknown,
    max_retries: u32,
}

impl Choices {
    fn of(account: &Account) -> Choices {
        Choices {
            on_duplicate: account.on_duplicate,
            on_unknown: account.on_unknown,
            max_retries: account.max_retries,
        }
    }
}

/// A collection in the list.
struct Found {
    action: MachineAction,
    /// One of our requests has started it.
    is_ours: bool,
    /// The date of the list.
    date: Option<SystemTime>,
}

impl Found {
    fn collected(self) -> Collected {
        Collected { action: self.action, adopted: true, service_date: self.date }
    }
}

/// One call, from its first request to a collection.
struct Job<'a> {
    device: &'a dyn Device,
    requests: &'a Requests<'a>,
    choices: Choices,
    /// By both clocks: the first stands still while the machine sleeps, the second may be set.
    began: (Instant, SystemTime),
}

impl<'a> Job<'a> {
    fn new(device: &'a dyn Device, requests: &'a Requests<'a>, choices: Choices) -> Job<'a> {
        Job { device, requests, choices, began: device.now() }
    }

    /// Sends the request until its outcome is known.
    fn run(&self) -> Result<Collected> {
        let call = self.device.call();
        let (mut round, mut sent) = (0, 0);
        loop {
            round += 1;
            let lost_before = call.unsettled();
            let ready = if self.is_open() { self.take_slot() } else { Ok(None) };
            let error = match ready {
                Ok(Some(found)) => {
                    call.settle();
                    return Ok(found.collected());
                }
                Ok(None) => match self.send() {
                    Ok(collected) => return Ok(collected),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            sent += error.attempts_made().unwrap_or_default();
            let error = if sent > 0 { error.attempts(sent) } else { error };
            let is_refused = is_refused(&error);
            if !is_refused && call.unsettled() <= lost_before {
                return self.nothing_done(error);
            }
            let pause = self.pause_before_next(&error, round);
            match self.search(pause.unwrap_or_default(), is_refused) {
                Ok(Some(found)) => return self.found(found, error),
                Ok(None) if pause.is_some() => log_resend(round, self.choices.max_retries),
                Ok(None) if is_refused => return Err(self.not_found(error, None)),
                Ok(None) => return Err(self.unknown(error, None)),
                Err(reason) if is_refused => return Err(self.not_found(error, Some(reason))),
                Err(reason) => return Err(self.unknown(error, Some(&reason))),
            }
        }
    }

    /// Takes the slot for a request after one whose outcome is not known. If that took longer than the list may lag, a late
    /// request may have been carried out meanwhile, and its collection ended. So the list is polled once more.
    fn take_slot(&self) -> Result<Option<Found>> {
        let began = self.passed(self.device.now());
        self.device.take_slot()?;
        match self.passed(self.device.now()).saturating_sub(began) > LAG {
            true => self.poll(false),
            false => Ok(None),
        }
    }

    /// Sends the request once, and reads the action in the reply.
    fn send(&self) -> Result<Collected> {
        let reply = self.device.request()?;
        let action = self.device.action(&reply)?;
        let is_ours = self.is_ours(&action, self.earliest(reply.date()));
        self.device.call().settle();
        let adopted = self.is_of_earlier_request(&action, &reply);
        if adopted && !is_ours && self.choices.on_duplicate == OnDuplicate::Error {
            return Err(of_another(&action).http(reply.status).attempts(reply.attempts));
        }
        Ok(Collected { action, adopted, service_date: reply.date() })
    }

    /// How long to search before the request is sent again. `None`: it is not.
    fn pause_before_next(&self, error: &Error, round: u32) -> Option<Duration> {
        if !self.is_open() {
            return None;
        }
        match retry::after_lost(error, round, self.choices.max_retries) {
            Next::Again(pause) if self.choices.on_unknown == OnUnknown::Resend => {
                Some(pause).filter(|pause| self.device.has_time_for((*pause).max(LAG)))
            }
            _ => None,
        }
    }

    /// Polls the collections of the device until one is ours. With `or_running` one that runs ends the search as well.
    ///
    /// The search lasts for [`LAG`], or longer if `at_least` is. Then its last poll comes at the end of that time.
    fn search(&self, at_least: Duration, or_running: bool) -> Result<Option<Found>> {
        let longer = at_least.saturating_sub(LAG);
        let mut found = Ok(None);
        for (number, pause) in PAUSES.iter().enumerate() {
            let is_last = number + 1 == PAUSES.len();
            let pause = if is_last { pause.saturating_add(longer) } else { *pause };
            self.device.pause(pause)?;
            found = self.poll(or_running);
            match &found {
                Ok(None) => {}
                // The next poll may tell.
                Err(error) if error.is_retryable() && self.device.call().check().is_ok() => {}
                _ => break,
            }
        }
        found
    }

    fn poll(&self, or_running: bool) -> Result<Option<Found>> {
        let recent = self.device.collections()?;
        let earliest = self.earliest(recent.date);
        let mut running = None;
        for action in recent.actions {
            if self.is_ours(&action, earliest) {
                return Ok(Some(Found { action, is_ours: true, date: recent.date }));
            }
            if or_running && running.is_none() && !action.status().is_final() {
                running = Some(Found { action, is_ours: false, date: recent.date });
            }
        }
        Ok(running)
    }

    /// The result if the list shows a collection. `error`: why the list was searched.
    fn found(&self, found: Found, error: Error) -> Result<Collected> {
        self.device.call().settle();
        if found.is_ours || self.choices.on_duplicate == OnDuplicate::Adopt {
            return Ok(found.collected());
        }
        Err(error.action(found.action.id(), Some(found.action.json())))
    }

    /// The result if this request did nothing. The outcome of an earlier one may still be unknown.
    fn nothing_done(&self, error: Error) -> Result<Collected> {
        if !self.device.call().is_unsettled() {
            return Err(error);
        }
        if is_about_the_device(&error) {
            self.device.call().settle();
            return Err(error);
        }
        if error.is_stop() {
            return Err(self.unknown(error, None));
        }
        // The refusal may have taken long, and a collection that was late may be in the list by now.
        match self.poll(false) {
            Ok(Some(found)) => self.found(found, error),
            Ok(None) => Err(self.unknown(error, None)),
            Err(reason) => Err(self.unknown(error, Some(&reason))),
        }
    }

    /// Whether the outcome of a request is not known, of this call or of an earlier one.
    fn is_open(&self) -> bool {
        self.device.call().is_unsettled() || self.requests.open_since.is_some()
    }

    /// Whether one of our requests has started the collection. `earliest`: when it can have been created.
    fn is_ours(&self, action: &MachineAction, earliest: Option<SystemTime>) -> bool {
        let comment = action.requestor_comment().map(str::trim);
        let has_comment =
            comment.is_some_and(|it| self.requests.comments.iter().any(|one| one.trim() == it));
        let created = action.created_at();
        let since = created.zip(earliest).is_some_and(|(created, earliest)| created >= earliest);
        self.is_open() && has_comment && since
    }

    /// When our first request can have been carried out at the earliest, by the clock of a service that `answered` now.
    fn earliest(&self, answered: Option<SystemTime>) -> Option<SystemTime> {
        let now = self.device.now();
        let before = match self.requests.open_since.map(|since| self.began.1.duration_since(since))
        {
            None => DATE_TOLERANCE,
            // Another process may have sent it, so its age is known by the system clock only.
            Some(Ok(age)) => age.saturating_add(CLOCK_TOLERANCE),
            // That clock was set back by at least the difference.
            Some(Err(ahead)) => ahead.duration().saturating_add(CLOCK_TOLERANCE),
        };
        answered.unwrap_or(now.1).checked_sub(self.passed(now).saturating_add(before))
    }

    /// The time since the call began.
    fn passed(&self, now: (Instant, SystemTime)) -> Duration {
        let by_system = now.1.duration_since(self.began.1).unwrap_or_default();
        now.0.saturating_duration_since(self.began.0).max(by_system)
    }

    /// Whether the reply contains an action of an earlier request. The service may answer so to a duplicate.
    ///
    /// Such an action has another comment, or was created well before the call began.
    fn is_of_earlier_request(&self, action: &MachineAction, reply: &Reply) -> bool {
        const CLEARLY_EARLIER: Duration = Duration::from_secs(60);
        let comment = self.requests.comments.first().map(|comment| comment.trim());
        let other_comment = action.requestor_comment().is_some_and(|it| Some(it.trim()) != comment);
        let created = action.created_at();
        let age =
            reply.date().zip(created).and_then(|(now, created)| now.duration_since(created).ok());
        let longest = self.passed(self.device.now()).saturating_add(CLEARLY_EARLIER);
        other_comment || age.is_some_and(|age| age > longest)
    }
}

/// Whether the service refused the request because a collection runs, and did not name it.
fn is_refused(error: &Error) -> bool {
    error.status() == Status::AlreadyRunning && error.action_id().is_none()
}

/// Whether the service says something about the device. That held for earlier requests, too, so they started nothing.
pub(crate) fn is_about_the_device(error: &Error) -> bool {
    error.status() == Status::UnsupportedDevice || error.is_unknown_to_service()
}

/// Logs that a request is sent again, since it may start a collection besides one that the list does not show yet.
fn log_resend(round: u32, retries: u32) {
    log::line(Level::Warn, || {
        format!(
            "the list of actions shows no collection of the lost request; it is sent again \
             ({round} of {retries})"
        )
    });
}
