//! One endpoint's budget: whether the next call may go, and when.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::clock::Time;
use super::ledger::Full;
use super::window::{Admission, Log, Window};
use crate::call::Signal;

/// The log of one endpoint, what closes it, and who waits.
#[derive(Debug, Default)]
pub(super) struct Budget {
    pub log: Log,
    /// The service said 429: nothing goes out before this.
    pub closed_until: Option<Time>,
    /// And then one call at a time, until one of them is not refused.
    pub half_open: bool,
    /// Who waits, by the number that each drew when it came. Only the first one watches the clock.
    pub queue: BTreeMap<u64, Arc<Signal>>,
    pub drawn: u64,
}

impl Budget {
    pub fn admission(&self, windows: &[Window], now: Time) -> Admission {
        match (self.log.admission(windows, now), self.closed_until.filter(|at| *at > now)) {
            (Admission::Now, Some(closed)) => Admission::At(closed),
            (Admission::At(free), Some(closed)) => Admission::At(free.max(closed)),
            (_, None) if self.half_open && self.log.in_flight() > 0 => Admission::AfterReply,
            (admission, _) => admission,
        }
    }

    /// When a call could go out if it were the next one. `None`: that depends on calls in flight.
    pub fn free_at(&self, windows: &[Window], now: Time) -> Option<Time> {
        match self.admission(windows, now) {
            Admission::Now => Some(now),
            Admission::At(free) => Some(free),
            Admission::AfterReply => None,
        }
    }

    /// The service refused a call.
    pub fn close(&mut self, until: Time) {
        self.closed_until = self.closed_until.max(Some(until));
        self.half_open = true;
    }

    /// Takes the slot if there is one; the caller must be next in line.
    pub fn turn(&mut self, windows: &[Window], now: Time) -> Turn {
        let look = match self.admission(windows, now) {
            Admission::Now => {
                self.log.begin(windows);
                return Turn::Go { probe: self.half_open };
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
        Room { look: Some(now.plus(full.look_in)), free: full.free_in.map(|free| now.plus(free)) }
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
    /// `probe`: its reply says whether the endpoint is open again.
    Go {
        probe: bool,
    },
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
