//! A collection that is polled, and the rhythm of the polls.

use std::time::Duration;

pub(super) const INTERVAL: Duration = Duration::from_secs(15);
const SLOWEST: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Followed {
    pub action: usize,
    pub state: Option<&'static str>,
    since: Duration,
    pub due: Duration,
}

impl Followed {
    /// `state`: that which was seen now, if one was.
    pub(super) fn new(action: usize, state: Option<&'static str>, now: Duration) -> Followed {
        let due = if state.is_some() { now + INTERVAL } else { now };
        Followed { action, state, since: now, due }
    }

    pub(super) fn put_off(&mut self, now: Duration) {
        self.due = now + INTERVAL;
    }

    pub(super) fn unchanged(&mut self, now: Duration) {
        self.due = now + ((now - self.since) / 8).clamp(INTERVAL, SLOWEST);
    }

    pub(super) fn changed(&mut self, state: &'static str, now: Duration) {
        *self = Followed::new(self.action, Some(state), now);
    }
}
