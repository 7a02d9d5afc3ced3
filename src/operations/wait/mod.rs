//! Waiting for a machine action to end.
//!
//! All calls of the process that wait under one identity form one group, [`Waiters`]. One of them is the poller: it
//! polls the actions of all. It reads a single action, and lists several with one request.
//!
//! A call may also follow many actions, see [`Watcher`].
//!
//! The library starts no thread for this. The poller hands over to another waiter before it reports its own update,
//! and when it leaves.

mod followed;
mod member;
mod pace;
mod poll;
mod round;
#[cfg(test)]
mod tests;
mod verdict;
mod waiters;
mod watcher;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::account::Account;
use crate::call::{Call, Stop};
use crate::error::{Error, Result, Stage};
use crate::log::{self, Level};
use crate::progress::{Event, Reporter};
use crate::service::action::MachineAction;

use member::Update;
use poll::Live;
use verdict::{Bounds, Verdict};
use waiters::{NextStep, Waiters};

pub(crate) use verdict::bad_end;
pub(crate) use watcher::{Change, Step, Watcher};

/// Waits until the action has ended. `known` is the action if the caller has just read it.
///
/// Returns the action if it succeeded. Every other end has a status of its own, and every error carries the action as
/// last seen.
pub(crate) fn wait(
    account: &Account,
    call: &Arc<Call>,
    action_id: &str,
    known: Option<MachineAction>,
    reporter: &mut Reporter<'_, '_>,
) -> Result<MachineAction> {
    let mut watch = Watch::new(action_id, known);
    match watch.seen.as_ref().map(|action| Outcome::of(Verdict::of(action), action)) {
        None | Some(Outcome::Waiting) => {}
        Some(Outcome::Succeeded(action)) => return Ok(action),
        Some(Outcome::Failed(error)) => return Err(error),
    }
    follow(account, call, &mut watch, reporter).map_err(|error| watch.explain(error))
}

fn follow(
    account: &Account,
    call: &Arc<Call>,
    watch: &mut Watch<'_>,
    reporter: &mut Reporter<'_, '_>,
) -> Result<MachineAction> {
    let waiters = Waiters::of(account);
    let client = std::ptr::from_ref(account).addr();
    let (signal, interval) = (call.signal(), account.poll_interval);
    let waiter = waiters.join(client, watch.id, signal, interval, watch.seen.as_ref());
    let stopped = |stop: Stop| Error::from(stop).with_stage(Stage::Wait);
    loop {
        let now = Instant::now();
        match waiter.next_step(now) {
            NextStep::Take(update, next_poll) => match watch.take(update, now)? {
                Outcome::Waiting => {
                    watch.report(reporter, now, next_poll.saturating_duration_since(now))?;
                }
                Outcome::Succeeded(action) => {
                    watch.report(reporter, now, Duration::ZERO)?;
                    return Ok(action);
                }
                Outcome::Failed(error) => {
                    watch.report(reporter, now, Duration::ZERO)?;
                    return Err(error);
                }
            },
            NextStep::Poll(targets) => {
                poll::poll(&Live { account, call }, waiter.round(), targets);
                // The next poller repeats a poll that was stopped.
                call.check().map_err(stopped)?;
            }
            NextStep::Sleep(until) => call.wait(until).map_err(stopped)?,
        }
    }
}

/// Whether the wait is over.
#[derive(Debug)]
enum Outcome {
    Waiting,
    Succeeded(MachineAction),
    /// The action ended otherwise, or has been in an unknown state for too long.
    Failed(Error),
}

impl Outcome {
    fn of(verdict: Verdict, action: &MachineAction) -> Outcome {
        match verdict {
            Verdict::Waiting => Outcome::Waiting,
            Verdict::Succeeded => Outcome::Succeeded(action.clone()),
            Verdict::Failed(error) => Outcome::Failed(error),
        }
    }
}

/// What one call has seen of its action.
struct Watch<'a> {
    id: &'a str,
    began: Instant,
    seen: Option<MachineAction>,
    bounds: Bounds,
}

impl Watch<'_> {
    fn new(id: &str, seen: Option<MachineAction>) -> Watch<'_> {
        Watch { id, began: Instant::now(), seen, bounds: Bounds::default() }
    }

    /// Records an update. An error ends the wait without an event, since nothing new is known of the action.
    fn take(&mut self, update: Update, now: Instant) -> Result<Outcome> {
        match update {
            Update::Seen(action) => {
                let outcome = Outcome::of(self.bounds.seen(&action, now), &action);
                self.seen = Some(action);
                Ok(outcome)
            }
            Update::Missing(error) => match self.bounds.missing(error, now) {
                None => Ok(Outcome::Waiting),
                Some(error) => Err(error),
            },
            // The next poll may succeed. A call that has not seen the action yet ends instead: the id may be wrong.
            Update::Failed(error) if error.is_retryable() && self.seen.is_some() => {
                log::line(Level::Warn, || format!("polling {} failed: {error}", self.id));
                Ok(Outcome::Waiting)
            }
            Update::Failed(error) => Err(error),
        }
    }

    fn report(
        &self,
        reporter: &mut Reporter<'_, '_>,
        now: Instant,
        next_poll: Duration,
    ) -> Result<()> {
        reporter.step(&Event::Waiting {
            action_id: self.id,
            status: self.seen.as_ref().map(MachineAction::status),
            elapsed: now.saturating_duration_since(self.began),
            next_poll,
        })
    }

    /// Adds the action as last seen, and names its state if the call was stopped.
    fn explain(&self, error: Error) -> Error {
        let error = match (&self.seen, error.is_stop()) {
            (Some(action), true) => {
                let state = crate::text::redact::clean(action.status().name(), 64);
                let message = format!("{}; the action was in state `{state}`", error.message());
                error.with_message(message)
            }
            _ => error,
        };
        error.action(self.id, self.seen.as_ref().map(MachineAction::json))
    }
}
