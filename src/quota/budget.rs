//! One endpoint's budget: its log, its queue, and whether the next call may go out.

use std::time::Duration;

use super::clock::Time;
use super::ledger::Full;
use super::queue::{Counted, Queue, Ticket};
use super::window::{Admission, Log, Window};
use crate::http::reply::MAX_RETRY_AFTER;

/// The log of one endpoint, its state after a 429, and its queue.
#[derive(Debug, Default)]
pub(super) struct Budget {
    pub log: Log,
    /// After a 429 no call is admitted before this time.
    pub closed_until: Option<Time>,
    /// After that time calls are admitted one at a time, until one of them is not refused.
    pub half_open: bool,
    pub queue: Queue,
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

    /// Takes a slot if there is one. Nobody else must go first.
    pub fn try_admit(&mut self, ticket: Ticket, windows: &[Window], now: Time) -> Decision {
        let recheck_at = match self.admission(windows, now) {
            Admission::Now => {
                self.log.begin(windows);
                let counted = self.queue.admit(ticket);
                return Decision::Admitted { probe: self.half_open, counted };
            }
            Admission::At(free) => Some(free),
            Admission::AfterReply => None,
        };
        Decision::Wait(Wait { recheck_at, available_at: self.available_at(windows, now) })
    }

    /// The attempt of a caller that others go before. It takes a slot only if they are a sweep that does not come for it.
    pub fn await_turn(&mut self, ticket: Ticket, windows: &[Window], now: Time) -> Decision {
        let available_at = self.available_at(windows, now);
        let recheck_at = match available_at.filter(|_| self.queue.is_behind_sweep(ticket)) {
            Some(at) if at <= now => match self.queue.until_sweep_is_due(now) {
                due if due <= now => return self.try_admit(ticket, windows, now),
                due => Some(due),
            },
            at => at,
        };
        Decision::Wait(Wait { recheck_at, available_at })
    }

    /// The shared log has no room. A log may be damaged or forged, so it stops this process for a day at most, as a reply
    /// does.
    pub fn wait_for_ledger(&mut self, full: Full, now: Time) -> Wait {
        let at = |wait: Duration| now.plus(wait.min(MAX_RETRY_AFTER));
        let closed = Some(full.closed_for).filter(|closed| !closed.is_zero());
        self.closed_until = self.closed_until.max(closed.map(at));
        // Without the log, this process tries one call at a time, too.
        self.half_open |= closed.is_some();
        Wait { recheck_at: Some(at(full.recheck_in)), available_at: full.available_in.map(at) }
    }
}

/// Whether a call goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It has a slot. `probe`: the endpoint is half open, and the reply decides whether it opens.
    Admitted {
        probe: bool,
        counted: Counted,
    },
    Wait(Wait),
}

/// How long a caller waits for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    /// When it checks again. `None`: when it is woken.
    pub recheck_at: Option<Time>,
    /// The earliest time of a free slot. `None`: unknown.
    pub available_at: Option<Time>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_log_stops_a_process_for_a_day_at_most() {
        let now = Time::from_nanos(1_000);
        let mut budget = Budget::default();
        let years = Duration::from_secs(u64::MAX / 1_000_000_000);
        let full = Full { recheck_in: years, available_in: Some(years), closed_for: years };
        let Wait { recheck_at, available_at } = budget.wait_for_ledger(full, now);
        let tomorrow = Some(now.plus(Duration::from_secs(86_400)));
        assert_eq!((recheck_at, available_at, budget.closed_until), (tomorrow, tomorrow, tomorrow));
        assert_eq!(budget.admission(&[], now.plus(MAX_RETRY_AFTER)), Admission::Now);
    }
}
