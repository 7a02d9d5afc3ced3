//! One endpoint's budget: whether the next call may go, and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Time;
use super::foreign::Foreign;
use super::ledger::Full;
use super::window::{Admission, Log, Window};
use crate::call::Signal;

/// The log of one endpoint, what closes it, and who waits.
#[derive(Debug, Default)]
pub(super) struct Budget {
    pub log: Log,
    /// The service said 429: nothing goes out before this.
    pub closed_until: Option<Time>,
    /// What others spend of the same quota, as far as 429s have shown it.
    pub foreign: Foreign,
    /// Who waits, by the number that each drew when it came. Only the first one watches the clock.
    pub queue: BTreeMap<u64, Arc<Signal>>,
    pub drawn: u64,
}

impl Budget {
    pub fn admission(&self, windows: &[Window], now: Time) -> Admission {
        let admission = match self.foreign.eases_at(now) {
            None => self.log.admission(windows, now),
            Some(eases) => match self.log.admission(&self.foreign.leave_room(windows, now), now) {
                Admission::Now => Admission::Now,
                Admission::At(free) => Admission::At(free.min(eases)),
                Admission::AfterReply => Admission::At(eases),
            },
        };
        match (admission, self.closed_until.filter(|at| *at > now)) {
            (Admission::Now, Some(closed)) => Admission::At(closed),
            (Admission::At(free), Some(closed)) => Admission::At(free.max(closed)),
            (admission, _) => admission,
        }
    }

    /// When a call could go out if it were the next one. `None`: that depends on calls in flight.
    pub fn free_at(&self, windows: &[Window], now: Time) -> Option<Time> {
        let plain = self.log.admission(windows, now);
        let mut at = now;
        let free = loop {
            let admission = self.log.admission(&self.foreign.leave_room(windows, at), at);
            // Each reply brings one of the calls back that are left to others.
            if self.log.in_flight() > 0 && admission != plain {
                return None;
            }
            let free = match admission {
                Admission::Now => at,
                Admission::At(free) => free,
                Admission::AfterReply => return None,
            };
            match self.foreign.eases_at(at).filter(|eases| *eases < free) {
                Some(eases) => at = eases,
                None => break free,
            }
        };
        Some(self.closed_until.map_or(free, |closed| free.max(closed)))
    }

    /// What the shared log says of that, for the windows without the calls that are left to others.
    pub fn shared_free_in(&self, free_in: Option<Duration>, now: Time) -> Option<Duration> {
        match self.foreign.eases_at(now) {
            _ if free_in.is_some_and(|free| free.is_zero()) => free_in,
            Some(_) if self.log.in_flight() > 0 => None,
            eases => free_in.map(|free| eases.map_or(free, |at| at.since(now).min(free))),
        }
    }

    /// Takes the slot if there is one; the caller must be next in line.
    pub fn turn(&mut self, windows: &[Window], now: Time) -> Turn {
        let look = match self.admission(windows, now) {
            Admission::Now => {
                self.log.begin(windows);
                return Turn::Go;
            }
            Admission::At(free) => Some(free),
            Admission::AfterReply => None,
        };
        Turn::Wait(Room { look, free: self.free_at(windows, now) })
    }

    /// The shared log has no room.
    pub fn is_full(&mut self, full: Full, now: Time) -> Room {
        let closed = Some(full.closed_for).filter(|closed| !closed.is_zero());
        self.closed_until = self.closed_until.max(closed.map(|closed| now.plus(closed)));
        Room {
            look: Some(now.plus(full.look_in)),
            free: self.shared_free_in(full.free_in, now).map(|free| now.plus(free)),
        }
    }

    /// A number for somebody who has come.
    pub fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }

    pub fn first(&self) -> Option<u64> {
        self.queue.first_key_value().map(|(number, _)| *number)
    }

    pub fn wake_first(&self) {
        if let Some((_, first)) = self.queue.first_key_value() {
            first.wake();
        }
    }

    /// Takes the place that the number stands for, or keeps it.
    pub fn line_up(&mut self, number: u64, signal: &Arc<Signal>) {
        self.queue.entry(number).or_insert_with(|| Arc::clone(signal));
    }

    pub fn leave(&mut self, number: u64) {
        let was_first = self.first() == Some(number);
        self.queue.remove(&number);
        if was_first {
            self.wake_first();
        }
    }
}

/// Whether a caller may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Go,
    Wait(Room),
}

/// There is no room for a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Until when it sleeps; `None`: until it is woken.
    pub look: Option<Time>,
    /// Before this there is none. `None`: nobody knows.
    pub free: Option<Time>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_shared_log_has_room_now_no_reply_is_waited_for() {
        let windows = [Window { limit: 100, length: Duration::from_secs(60) }];
        let (mut budget, now) = (Budget::default(), Time::default());
        budget.log.begin(&windows);
        budget.foreign.learn(&windows, [50].into_iter(), now);
        for (shared, free_in) in [
            (Some(Duration::ZERO), Some(Duration::ZERO)),
            // A reply may bring one of the calls back that are left to others.
            (Some(Duration::from_secs(1)), None),
            (None, None),
        ] {
            assert_eq!(budget.shared_free_in(shared, now), free_in);
        }
    }
}
