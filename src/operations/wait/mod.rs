//! Waiting for a machine action to end.
//!
//! All threads of the process that wait under one identity stand on one [`Waiters`]. One of them looks for all: a
//! single action is read, several are listed with one request. There is no thread of our own; whoever
//! looks passes that on when it leaves.

mod pace;
mod poll;
mod waiters;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result, Stage};
use crate::log::{self, Level};
use crate::progress::{Event, Reporter};
use crate::service::action::{ActionStatus, MachineAction};
use crate::status::Status;

use waiters::{NextStep, Update, Waiters};

/// A new action is not everywhere at once: that long it may be unknown.
const APPEARS_WITHIN: Duration = Duration::from_secs(60);

/// A state that this version does not know may pass; after that long the caller has to decide.
const UNKNOWN_STATE_BOUND: Duration = Duration::from_secs(600);

/// Waits until the action has ended. `known`: the action as it was seen just now.
///
/// `Ok`: it succeeded. The other ends have a status each, and every error carries the action as last seen.
pub(crate) fn wait(
    account: &Account,
    call: &Arc<Call>,
    action_id: &str,
    known: Option<MachineAction>,
    reporter: &mut Reporter<'_, '_>,
) -> Result<MachineAction> {
    let mut watch = Watch::new(action_id, known);
    if let Some(ended) = watch.ended() {
        return ended;
    }
    watch_over(account, call, &mut watch, reporter).map_err(|error| watch.explain(error))
}

fn watch_over(
    account: &Account,
    call: &Arc<Call>,
    watch: &mut Watch<'_>,
    reporter: &mut Reporter<'_, '_>,
) -> Result<MachineAction> {
    let waiters = Waiters::of(account);
    let client = std::ptr::from_ref(account).addr();
    let (signal, interval) = (call.signal(), account.poll_interval);
    let place = waiters.join(client, watch.id, signal, interval, watch.seen.as_ref());
    loop {
        let now = Instant::now();
        match place.turn(now) {
            NextStep::Update(update, next) => {
                if let Some(ended) = watch.take(update, now)? {
                    watch.tell(reporter, now, Duration::ZERO)?;
                    return ended;
                }
                watch.tell(reporter, now, next.saturating_duration_since(now))?;
            }
            NextStep::Poll(targets) => {
                let seen = poll::poll(account, call, &targets);
                // Who was stopped has seen nothing; somebody else looks.
                call.check().map_err(|stop| Error::from(stop).with_stage(Stage::Wait))?;
                place.looked(seen);
            }
            NextStep::Sleep(until) => {
                call.wait(until).map_err(|stop| Error::from(stop).with_stage(Stage::Wait))?;
            }
        }
    }
}

/// What one caller has seen of its action.
struct Watch<'a> {
    id: &'a str,
    began: Instant,
    seen: Option<MachineAction>,
    /// Since when the service says that there is no such action.
    missing_since: Option<Instant>,
    unknown_since: Option<Instant>,
}

impl Watch<'_> {
    fn new(id: &str, seen: Option<MachineAction>) -> Watch<'_> {
        Watch { id, began: Instant::now(), seen, missing_since: None, unknown_since: None }
    }

    /// Takes in what was seen. `Some`: the wait is over. `Err`: it makes no sense to go on.
    fn take(&mut self, update: Update, now: Instant) -> Result<Option<Result<MachineAction>>> {
        match update {
            Update::Seen(action) => {
                self.missing_since = None;
                self.seen = Some(action);
                Ok(self.ended().or_else(|| self.unknown_for_too_long(now).map(Err)))
            }
            Update::Missing(error) => {
                let since = *self.missing_since.get_or_insert(now);
                match now.saturating_duration_since(since) < APPEARS_WITHIN {
                    true => Ok(None),
                    false => Err(error.with_only_stage(Stage::Wait)),
                }
            }
            // One look that fails is survived, unless it says that the others will fail as well. Who has
            // never seen anything does not know whether there is anything to wait for.
            Update::Failed(error) if error.is_retryable() && self.seen.is_some() => {
                log::line(Level::Warn, || format!("looking at {} failed: {error}", self.id));
                Ok(None)
            }
            Update::Failed(error) => Err(error),
        }
    }

    /// The end of the action, if it has come: its success, or an error that names the state.
    fn ended(&self) -> Option<Result<MachineAction>> {
        let action = self.seen.as_ref()?;
        let error = match action.status() {
            ActionStatus::Succeeded => return Some(Ok(action.clone())),
            state => bad_end(state)?,
        };
        Some(Err(error.with_stage(Stage::Wait).action(action.id(), Some(action.json()))))
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

    fn tell(
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

    /// Adds what is known of the action, and where it stood when the caller had to leave.
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

/// The error that a bad end is; `None` for every other state.
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
        MachineAction::from_json(&format!(r#"{{"id":"a","status":"{status}"}}"#)).unwrap()
    }

    fn seen(status: &str) -> Update {
        Update::Seen(action(status))
    }

    #[test]
    fn every_end_has_its_own_status() {
        for (state, status) in [
            ("Failed", Status::ActionFailed),
            ("TimeOut", Status::ActionTimedOut),
            ("Cancelled", Status::ActionCancelled),
            ("Canceled", Status::ActionCancelled),
        ] {
            let ended = Watch::new("a", None).take(seen(state), Instant::now()).unwrap();
            let error = ended.unwrap().unwrap_err();
            assert_eq!((error.status(), error.is_retryable()), (status, false), "{state}");
            assert!(
                error
                    .to_json()
                    .contains(&format!("\"action\":{{\"id\":\"a\",\"status\":\"{state}\""))
            );
        }
        let ended = Watch::new("a", None).take(seen("Succeeded"), Instant::now()).unwrap();
        assert_eq!(ended.unwrap().unwrap().id(), "a");
        for state in ["Pending", "InProgress", "Odd"] {
            assert!(Watch::new("a", None).take(seen(state), Instant::now()).unwrap().is_none());
        }
    }

    #[test]
    fn an_unknown_state_is_reported_after_a_bound() {
        let start = Instant::now();
        let mut watch = Watch::new("a", None);
        assert!(watch.take(seen("Odd"), start).unwrap().is_none());
        assert!(watch.take(seen("Odd"), start + UNKNOWN_STATE_BOUND / 2).unwrap().is_none());
        // A known one in between starts the bound again.
        assert!(watch.take(seen("Pending"), start + UNKNOWN_STATE_BOUND / 2).unwrap().is_none());
        let again = start + UNKNOWN_STATE_BOUND;
        assert!(watch.take(seen("Odd"), again).unwrap().is_none());
        let ended = watch.take(seen("Odd"), again + UNKNOWN_STATE_BOUND).unwrap();
        let error = ended.unwrap().unwrap_err();
        assert_eq!(error.status(), Status::Protocol);
        assert!(error.message().contains("`Odd`"), "{error}");
    }

    #[test]
    fn a_new_action_may_be_missing_for_a_while() {
        let start = Instant::now();
        let mut watch = Watch::new("a", None);
        let missing = || Update::Missing(Error::new(Status::NotFound, "no such action"));
        assert!(watch.take(missing(), start).unwrap().is_none());
        assert!(watch.take(missing(), start + APPEARS_WITHIN / 2).unwrap().is_none());
        let error = watch.take(missing(), start + APPEARS_WITHIN).unwrap_err();
        assert_eq!((error.status(), error.stage()), (Status::NotFound, Some(Stage::Wait)));
    }

    #[test]
    fn a_look_that_fails_is_survived_by_who_has_seen_something() {
        let now = Instant::now();
        let passing = || Update::Failed(Error::new(Status::Broken, "lost"));
        let lasting = || Update::Failed(Error::new(Status::Forbidden, "no"));
        assert!(Watch::new("a", None).take(passing(), now).is_err());
        let mut watch = Watch::new("a", Some(action("Pending")));
        assert!(watch.take(passing(), now).unwrap().is_none());
        assert_eq!(watch.take(lasting(), now).unwrap_err().status(), Status::Forbidden);
        let error = watch.explain(Error::new(Status::Deadline, "the deadline passed"));
        assert!(error.message().contains("`Pending`"), "{error}");
    }
}
