//! What an observation of an action means for those who wait for its end.

use std::time::{Duration, Instant};

use crate::error::{Error, Stage};
use crate::service::action::{ActionStatus, MachineAction};
use crate::status::Status;

/// The service may not know a new action for this long, since not all of its servers learn of it at once.
pub(super) const APPEARS_WITHIN: Duration = Duration::from_secs(60);

/// A state that this version does not know may be transient. After this time the caller has to decide.
pub(super) const UNKNOWN_STATE_BOUND: Duration = Duration::from_secs(600);

/// Whether the wait for an action that was seen is over.
#[derive(Debug)]
pub(super) enum Verdict {
    Waiting,
    Succeeded,
    /// The action ended otherwise, or has been in an unknown state for too long. The error has the action.
    Failed(Error),
}

impl Verdict {
    /// The verdict by the state alone.
    pub(super) fn of(action: &MachineAction) -> Verdict {
        match bad_end(action.status()) {
            Some(error) => Verdict::failed(error, action),
            None if *action.status() == ActionStatus::Succeeded => Verdict::Succeeded,
            None => Verdict::Waiting,
        }
    }

    fn failed(error: Error, action: &MachineAction) -> Verdict {
        Verdict::Failed(error.with_stage(Stage::Wait).action(action.id(), Some(action.json())))
    }
}

/// Since when an action has been missing, or in an unknown state. Both are borne for some time.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// Since when the service has answered that there is no such action.
    missing_since: Option<Instant>,
    unknown_since: Option<Instant>,
}

impl Bounds {
    /// The action was seen.
    pub(super) fn seen(&mut self, action: &MachineAction, now: Instant) -> Verdict {
        self.missing_since = None;
        let verdict = Verdict::of(action);
        let ActionStatus::Other(name) = action.status() else {
            self.unknown_since = None;
            return verdict;
        };
        let since = *self.unknown_since.get_or_insert(now);
        match now.saturating_duration_since(since) < UNKNOWN_STATE_BOUND {
            true => verdict,
            false => Verdict::failed(unknown_for_too_long(name), action),
        }
    }

    /// The service does not know the action. Returns the error once that has lasted for too long.
    pub(super) fn missing(&mut self, error: Error, now: Instant) -> Option<Error> {
        let since = *self.missing_since.get_or_insert(now);
        let may_appear = now.saturating_duration_since(since) < APPEARS_WITHIN;
        (!may_appear).then(|| error.with_only_stage(Stage::Wait))
    }

    /// The action was seen, in a state that is known.
    pub(super) fn reset(&mut self) {
        *self = Bounds::default();
    }
}

fn unknown_for_too_long(name: &str) -> Error {
    let state = match name {
        "" => "without a state".to_owned(),
        name => format!("in state `{}`", crate::text::redact::clean(name, 64)),
    };
    let message = format!(
        "the action has been {state} for {} minutes, which this version does not know; read it with \
         mde_get_action, or wait again",
        UNKNOWN_STATE_BOUND.as_secs() / 60
    );
    Error::new(Status::Protocol, message)
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
