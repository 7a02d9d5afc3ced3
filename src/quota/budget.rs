//! One endpoint's budget: its log, its queue, and whether the next call may go out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::clock::Time;
use super::ledger::Full;
use super::window::{Admission, Log, Window};
use crate::call::Signal;

/// The log of one endpoint, its state after a 429, and its queue.
#[derive(Debug, Default)]
pub(super) struct Budget {
    pub log: Log,
    /// After a 429 no call is admitted before this time.
    pub closed_until: Option<Time>,
    /// After that time calls are admitted one at a time, until one of them is not refused.
    pub half_open: bool,
    /// The waiting callers by ticket. Only the first one waits for a time; the others wait to be woken.
    pub queue: BTreeMap<u64, Arc<Signal>>,
    pub tickets: u64,
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

    /// When the next call could go out. `None`: calls in flight decide that.
    pub fn available_at(&self, windows: &[Window], now: Time) -> Option<Time> {
        match self.admission(windows, now) {
            Admission::Now => Some(now),
            Admission::At(free) => Some(free),
            Admission::AfterReply => None,
        }
    }

    /// The service refused a call with 429.
    pub fn close(&mut self, until: Time) {
        self.closed_until = self.closed_until.max(Some(until));
        self.half_open = true;
    }

    /// Takes a slot if there is one. The caller must be first in the queue, or the queue empty.
    pub fn try_admit(&mut self, windows: &[Window], now: Time) -> Decision {
        let recheck_at = match self.admission(windows, now) {
            Admission::Now => {
                self.log.begin(windows);
                return Decision::Admitted { probe: self.half_open };
            }
            Admission::At(free) => Some(free),
            Admission::AfterReply => None,
        };
        Decision::Wait(Wait { recheck_at, available_at: self.available_at(windows, now) })
    }

    /// The shared log has no room.
    pub fn wait_for_ledger(&mut self, full: Full, now: Time) -> Wait {
        let closed = Some(full.closed_for).filter(|closed| !closed.is_zero());
        self.closed_until = self.closed_until.max(closed.map(|closed| now.plus(closed)));
        // Without the log, this process tries one call at a time, too.
        self.half_open |= closed.is_some();
        Wait {
            recheck_at: Some(now.plus(full.recheck_in)),
            available_at: full.available_in.map(|wait| now.plus(wait)),
        }
    }

    /// A caller's position in the order of arrival.
    pub fn next_ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    pub fn first(&self) -> Option<u64> {
        self.queue.first_key_value().map(|(ticket, _)| *ticket)
    }

    pub fn wake_first(&self) {
        if let Some((_, first)) = self.queue.first_key_value() {
            first.wake();
        }
    }

    /// Adds a caller to the queue, at the position of its ticket. It may be there already.
    pub fn enqueue(&mut self, ticket: u64, signal: &Arc<Signal>) {
        self.queue.entry(ticket).or_insert_with(|| Arc::clone(signal));
    }

    pub fn dequeue(&mut self, ticket: u64) {
        let was_first = self.first() == Some(ticket);
        self.queue.remove(&ticket);
        if was_first {
            self.wake_first();
        }
    }
}

/// Whether a call goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It has a slot. `probe`: the endpoint is half open, and the reply decides whether it opens.
    Admitted {
        probe: bool,
    },
    Wait(Wait),
}

/// How long a caller waits for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// When it checks again. `None`: when it is woken.
    pub recheck_at: Option<Time>,
    /// The earliest time of a free slot. `None`: unknown.
    pub available_at: Option<Time>,
}
