//! How the quota of one endpoint stands, and why a call gets no slot.

use std::time::Duration;

use crate::call::Stop;
use crate::error::Error;

/// Why no permit was given.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    Stopped(Stop),
    /// The caller did not want to wait, or not for so long; the wait is given where it is known.
    NoRoom(Option<Duration>),
    /// The shared log cannot be used, and the options say not to go on without it.
    Failed(Error),
}

/// What one endpoint's budget looks like, for the quota document.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub in_flight: usize,
    pub queued: usize,
    /// `None`: not before a call in flight has ended.
    pub available_in: Option<Duration>,
    /// How long the endpoint stays closed after a 429.
    pub closed_for: Option<Duration>,
    /// Slots in use, of each window.
    pub used: Vec<usize>,
}

impl Snapshot {
    /// When a call that comes now could go out. `None`: that depends on others, who are in line before it or under way.
    pub(crate) fn wait_of_next(&self) -> Option<Duration> {
        self.available_in.filter(|_| self.queued == 0)
    }
}
