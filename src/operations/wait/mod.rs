//! Waiting for a machine action to end.
//!
//! All calls of the process that wait under one identity form one group, [`Waiters`]. One of them is the poller: it
//! polls the actions of all. It reads a single action, and lists several with one request.
//!
//! The library starts no thread for this. The poller hands over to another waiter before it reports its own update,
//! and when it leaves.

mod pace;
mod poll;
mod waiters;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::account::Account;
use crate::call::{Call, Stop};
use crate::error::{Error, Result, Stage};
use crate::log::{self, Level};
use crate::progress::{Event, Reporter};
use crate::service::action::{ActionStatus, MachineAction};
use crate::status::Status;

use poll::Update;
use waiters::{NextStep, Waiters};

/// The service may not know a new action for this long, since not all of its servers learn of it at once.
const APPEARS_WITHIN: Duration = Duration::from_secs(60);

/// A state that this version does not know may be transient. After this time the caller has to decide.
const UNKNOWN_STATE_BOUND: Duration = Duration::from_secs(600);

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
    match watch.outcome() {
        Outcome::Waiting => {}
        Outcome::Succeeded(action) => return Ok(action),
        Outcome::Failed(error) => return Err(error),
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
                let observations = poll::poll(account, call, &targets);
                // A stop interrupts the poll, so its failures say nothing about the actions. The next poller repeats it.
                call.check().map_err(stopped)?;
                waiter.deliver(observations);
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

/// What one call has seen of its action.
struct Watch<'a> {
    id: &'a str,
    began: Instant,
    seen: Option<MachineAction>,
    /// Since when the service has answered that there is no such action.
    missing_since: Option<Instant>,
    unknown_since: Option<Instant>,
}

impl Watch<'_> {
    fn new(id: &str, seen: Option<MachineAction>) -> Watch<'_> {
        Watch { id, began: Instant::now(), seen, missing_since: None, unknown_since: None }
    }

    /// Records an update. An error ends the wait without an event, since nothing new is known of the action.
    fn take(&mut self, update: Update, now: Instant) -> Result<Outcome> {
        match update {
            Update::Seen(action) => {
                self.missing_since = None;
                self.seen = Some(action);
                Ok(match self.outcome() {
                    Outcome::Waiting => {
                        self.unknown_for_too_long(now).map_or(Outcome::Waiting, Outcome::Failed)
                    }
                    over => over,
                })
            }
            Update::Missing(error) => {
                let since = *self.missing_since.get_or_insert(now);
                match now.saturating_duration_since(since) < APPEARS_WITHIN {
                    true => Ok(Outcome::Waiting),
                    false => Err(error.with_only_stage(Stage::Wait)),
                }
            }
            // The next poll may succeed. A call that has not seen the action yet ends instead: the id may be wrong.
            Update::Failed(error) if error.is_retryable() && self.seen.is_some() => {
                log::line(Level::Warn, || format!("polling {} failed: {error}", self.id));
                Ok(Outcome::Waiting)
            }
            Update::Failed(error) => Err(error),
        }
    }

    /// The outcome by the state that was last seen.
    fn outcome(&self) -> Outcome {
        let Some(action) = self.seen.as_ref() else { return Outcome::Waiting };
        let state = action.status();
        if *state == ActionStatus::Succeeded {
            return Outcome::Succeeded(action.clone());
        }
        let Some(error) = bad_end(state) else { return Outcome::Waiting };
        Outcome::Failed(error.with_stage(Stage::Wait).action(action.id(), Some(action.json())))
    }

    fn unknown_for_too_long(&mut self, now: Instant) -> Option<Error> {
        let Some(ActionStatus::Other(name)) = self.seen.as_ref().map(MachineAction::status) else {
            self.unknown_since = None;
            return None;
        };
        let since = *self.unknown_since.get_or_insert(now);
        if now.saturating_duration_since(since) < UNKNOWN_STATE_BOUND {
            return None;
        }
        let state = match name.as_str() {
            "" => "without a state".to_owned(),
            name => format!("in state `{}`", crate::text::redact::clean(name, 64)),
        };
        let message = format!(
            "the action has been {state} for {} minutes, which this version does not know; read it with \
             mde_get_action, or wait again",
            UNKNOWN_STATE_BOUND.as_secs() / 60
        );
        Some(Error::new(Status::Protocol, message).with_stage(Stage::Wait))
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

/// The error for an end without success; `None` if the action succeeded or has not ended.
pub(crate) fn bad_end(state: &ActionStatus) -> Option<Error> {
    let (status, message) = match state {
        ActionStatus::Failed => (
            Status::ActionFailed,
            "the device could not carry out the action, so there is no package; start another one",
        ),
        ActionStatus::TimeOut => (
            Status::ActionTimedOut,
            "the device did not take up or finish the action in time; it may be offline, so start another one \
             when it is back",
        ),
        ActionStatus::Cancelled => {
            (Status::ActionCancelled, "the action was cancelled; start another one if it is needed")
        }
        _ => return None,
    };
    Some(Error::new(status, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(status: &str) -> MachineAction {
        let json = format!(r#"{{"id":"{ID}","status":"{status}"}}"#);
        MachineAction::from_json(&json, &|_| {}).unwrap()
    }

    const ID: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";

    fn seen(status: &str) -> Update {
        Update::Seen(action(status))
    }

    fn failure(outcome: Outcome) -> Error {
        match outcome {
            Outcome::Failed(error) => error,
            other => panic!("{other:?}"),
        }
    }

    fn is_waiting(outcome: Result<Outcome>) -> bool {
        matches!(outcome.unwrap(), Outcome::Waiting)
    }

    #[test]
    fn every_end_has_its_own_status() {
        for (state, status) in [
            ("Failed", Status::ActionFailed),
            ("TimeOut", Status::ActionTimedOut),
            ("Cancelled", Status::ActionCancelled),
            ("Canceled", Status::ActionCancelled),
        ] {
            let error = failure(Watch::new("a", None).take(seen(state), Instant::now()).unwrap());
            assert_eq!((error.status(), error.is_retryable()), (status, false), "{state}");
            assert!(
                error
                    .to_json()
                    .contains(&format!("\"action\":{{\"id\":\"{ID}\",\"status\":\"{state}\""))
            );
        }
        match Watch::new("a", None).take(seen("Succeeded"), Instant::now()).unwrap() {
            Outcome::Succeeded(action) => assert_eq!(action.id(), ID),
            other => panic!("{other:?}"),
        }
        for state in ["Pending", "InProgress", "Odd"] {
            assert!(is_waiting(Watch::new("a", None).take(seen(state), Instant::now())));
        }
    }

    #[test]
    fn an_unknown_state_is_reported_after_a_bound() {
        let start = Instant::now();
        let mut watch = Watch::new("a", None);
        assert!(is_waiting(watch.take(seen("Odd"), start)));
        assert!(is_waiting(watch.take(seen("Odd"), start + UNKNOWN_STATE_BOUND / 2)));
        // A known state in between starts the bound again.
        assert!(is_waiting(watch.take(seen("Pending"), start + UNKNOWN_STATE_BOUND / 2)));
        let again = start + UNKNOWN_STATE_BOUND;
        assert!(is_waiting(watch.take(seen("Odd"), again)));
        let error = failure(watch.take(seen("Odd"), again + UNKNOWN_STATE_BOUND).unwrap());
        assert_eq!(error.status(), Status::Protocol);
        assert!(error.message().contains("`Odd`"), "{error}");
    }

    #[test]
    fn a_new_action_may_be_missing_for_a_while() {
        let start = Instant::now();
        let mut watch = Watch::new("a", None);
        let missing = || Update::Missing(Error::new(Status::NotFound, "no such action"));
        assert!(is_waiting(watch.take(missing(), start)));
        assert!(is_waiting(watch.take(missing(), start + APPEARS_WITHIN / 2)));
        let error = watch.take(missing(), start + APPEARS_WITHIN).unwrap_err();
        assert_eq!((error.status(), error.stage()), (Status::NotFound, Some(Stage::Wait)));
    }

    #[test]
    fn a_wait_survives_a_transient_failure_once_its_action_was_seen() {
        let now = Instant::now();
        let transient = || Update::Failed(Error::new(Status::Broken, "lost"));
        let lasting = || Update::Failed(Error::new(Status::Forbidden, "no"));
        assert!(Watch::new("a", None).take(transient(), now).is_err());
        let mut watch = Watch::new("a", Some(action("Pending")));
        assert!(is_waiting(watch.take(transient(), now)));
        assert_eq!(watch.take(lasting(), now).unwrap_err().status(), Status::Forbidden);
        let error = watch.explain(Error::new(Status::Deadline, "the deadline passed"));
        assert!(error.message().contains("`Pending`"), "{error}");
    }
}
