//! What the group knows of one action that a call follows. A call may follow 100,000, so this is small.

use std::time::{Duration, Instant, SystemTime};

use super::pace;
use super::verdict::Bounds;
use crate::service::action::{ActionStatus, MachineAction};

/// One action that a call follows.
#[derive(Debug)]
pub(super) struct Followed {
    /// By which the call knows the action.
    pub key: u32,
    /// The number of the action's id.
    pub action: u128,
    /// When the action is to be polled next. `None`: it is followed no longer.
    pub due: Option<Instant>,
    /// When the action was last read alone, because the list does not contain it.
    pub last_read: Option<Instant>,
    pub created: Option<SystemTime>,
    /// How long the action may be missing or in an unknown state. Calls that follow one action decide that themselves.
    pub bounds: Bounds,
    state: Option<ActionStatus>,
    /// Since when the action has been seen in its present state.
    state_since: Instant,
}

impl Followed {
    /// An action that was not `seen` yet is due at once.
    pub(super) fn new(
        key: u32,
        action: u128,
        seen: Option<&MachineAction>,
        interval: Duration,
        now: Instant,
    ) -> Followed {
        Followed {
            key,
            action,
            due: Some(if seen.is_some() { now + interval } else { now }),
            last_read: None,
            created: seen.and_then(MachineAction::created_at),
            bounds: Bounds::default(),
            state: seen.map(|action| action.status().clone()),
            state_since: now,
        }
    }

    /// Whether this is the known state, and neither an end nor an unknown one.
    pub(super) fn is_still(&self, state: &ActionStatus) -> bool {
        let goes_on = matches!(state, ActionStatus::Pending | ActionStatus::InProgress);
        goes_on && self.state.as_ref() == Some(state)
    }

    /// Records what was seen. Returns whether the state is another one than before.
    pub(super) fn observe(&mut self, action: &MachineAction, now: Instant) -> bool {
        self.created = action.created_at().or(self.created);
        let has_changed = self.state.as_ref() != Some(action.status());
        if has_changed {
            self.state = Some(action.status().clone());
            self.state_since = now;
        }
        has_changed
    }

    /// Sets the time of the next poll.
    pub(super) fn pace(&mut self, interval: Duration, now: Instant) {
        let age = now.saturating_duration_since(self.state_since);
        self.due = Some(now + pace::pause(age, interval));
    }
}
