//! The state of one endpoint's quota, and the reasons why a call gets no slot.

use std::time::Duration;

use crate::call::Stop;
use crate::error::Error;

/// Why no permit was given.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    Stopped(Stop),
    /// There is no slot, and the caller does not wait, or not for so long. Holds the wait where it is known.
    NoRoom(Option<Duration>),
    /// The shared log cannot be used, and the options forbid calls without it.
    Failed(Error),
}

/// The state of one endpoint's budget, for the quota document.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub in_flight: usize,
    pub queued: usize,
    /// Those of them that go ahead of a call that comes now.
    pub queued_before: usize,
    /// `None`: a call in flight must end first.
    pub available_in: Option<Duration>,
    /// How long the endpoint stays closed after a 429.
    pub closed_for: Option<Duration>,
    /// Slots in use, of each window.
    pub used: Vec<usize>,
}

impl Snapshot {
    /// How long a call that comes now would wait. `None`: calls in the queue or in flight decide that.
    pub(crate) fn wait_of_next(&self) -> Option<Duration> {
        self.available_in.filter(|_| self.queued_before == 0)
    }
}
