//! Waiting for a slot: first come, first served, to the exact moment, and gone at once when stopped.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::clock::{Clock, Time};
use super::limits::Limits;
use super::window::{Admission, Log, Window};
use crate::call::{Call, Signal, Stop};
use crate::service::endpoint::{PerQuota, Quota};

/// The quota of one tenant and application: one log per endpoint, behind one mutex.
#[derive(Debug)]
pub(crate) struct Limiter {
    clock: Arc<dyn Clock>,
    budgets: Mutex<PerQuota<Budget>>,
}

#[derive(Debug, Default)]
struct Budget {
    log: Log,
    /// The service said 429: nothing goes out before this.
    closed_until: Option<Time>,
    /// Who waits, in the order they came. Only the first one watches the clock.
    queue: VecDeque<Arc<Signal>>,
}

impl Budget {
    fn admission(&self, windows: &[Window], now: Time) -> Admission {
        match (self.log.admission(windows, now), self.closed_until.filter(|at| *at > now)) {
            (Admission::Now, Some(closed)) => Admission::At(closed),
            (Admission::At(free), Some(closed)) => Admission::At(free.max(closed)),
            (admission, _) => admission,
        }
    }

    /// Takes the slot if there is one; the caller must be next in line.
    fn turn(&mut self, windows: &[Window], now: Time) -> Turn {
        match self.admission(windows, now) {
            Admission::Now => {
                self.log.begin(windows);
                Turn::Go
            }
            Admission::At(free) => Turn::Wait(Some(free)),
            Admission::AfterReply => Turn::Wait(None),
        }
    }

    fn is_first(&self, signal: &Arc<Signal>) -> bool {
        self.queue.front().is_some_and(|first| Arc::ptr_eq(first, signal))
    }

    fn wake_first(&self) {
        if let Some(first) = self.queue.front() {
            first.wake();
        }
    }

    fn leave(&mut self, signal: &Arc<Signal>) {
        let was_first = self.is_first(signal);
        self.queue.retain(|waiting| !Arc::ptr_eq(waiting, signal));
        if was_first {
            self.wake_first();
        }
    }
}

/// Whether a caller may go, or until when it sleeps (`None`: until it is woken).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Go,
    Wait(Option<Time>),
}

/// Why no permit was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Stopped(Stop),
    /// The caller did not want to wait; the wait is given where it is known.
    NoRoom(Option<Duration>),
}

/// What one endpoint's budget looks like, for the quota document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub in_flight: usize,
    pub queued: usize,
    /// `None`: not before a call in flight has ended.
    pub available_in: Option<Duration>,
    /// Slots in use, one figure per window.
    pub used: Vec<usize>,
}

/// A budget that nobody has touched.
impl Default for Snapshot {
    fn default() -> Snapshot {
        Snapshot { in_flight: 0, queued: 0, available_in: Some(Duration::ZERO), used: Vec::new() }
    }
}

impl Limiter {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Limiter {
        Limiter { clock, budgets: Mutex::default() }
    }

    /// Takes a slot, waiting for it if `wait` is set. Callers are served in the order they came, also
    /// those who do not want to wait: they never overtake.
    pub(crate) fn acquire<'a>(
        self: &Arc<Limiter>,
        quota: Quota,
        limits: &'a Limits,
        call: &Call,
        wait: bool,
    ) -> Result<Permit<'a>, Refusal> {
        let windows = limits.of(quota);
        call.check().map_err(Refusal::Stopped)?;
        let first_look = self.with(quota, |budget, now| {
            let turn = match budget.queue.is_empty() {
                true => budget.turn(windows, now),
                false => Turn::Wait(None),
            };
            if wait && turn != Turn::Go {
                budget.queue.push_back(Arc::clone(call.signal()));
            }
            turn
        });
        match first_look {
            Turn::Go => return Ok(self.permit(quota, windows)),
            Turn::Wait(free) if !wait => {
                let now = self.clock.now();
                return Err(Refusal::NoRoom(free.map(|free| free.since(now))));
            }
            Turn::Wait(_) => {}
        }
        let _place = Place { limiter: self, quota, signal: call.signal() };
        loop {
            let turn = self.with(quota, |budget, now| match budget.is_first(call.signal()) {
                true => budget.turn(windows, now),
                false => Turn::Wait(None),
            });
            match turn {
                Turn::Go => return Ok(self.permit(quota, windows)),
                Turn::Wait(until) => self.clock.wait(call, until).map_err(Refusal::Stopped)?,
            }
        }
    }

    fn permit<'a>(self: &Arc<Limiter>, quota: Quota, windows: &'a [Window]) -> Permit<'a> {
        Permit { limiter: Arc::clone(self), quota, windows, settled: false }
    }

    /// The service answered 429: nobody goes out on this endpoint for `wait`.
    pub(crate) fn close(&self, quota: Quota, wait: Duration) {
        self.with(quota, |budget, now| {
            budget.closed_until = budget.closed_until.max(Some(now.plus(wait)));
        });
    }

    /// How the budget of one endpoint stands, seen with these limits.
    pub(crate) fn snapshot(&self, quota: Quota, limits: &Limits) -> Snapshot {
        let windows = limits.of(quota);
        self.with(quota, |budget, now| Snapshot {
            in_flight: budget.log.in_flight(),
            queued: budget.queue.len(),
            available_in: match budget.admission(windows, now) {
                Admission::Now => Some(Duration::ZERO),
                Admission::At(free) => Some(free.since(now)),
                Admission::AfterReply => None,
            },
            used: windows.iter().map(|window| budget.log.used(*window, now)).collect(),
        })
    }

    /// Whether forgetting this limiter would forget nothing that still counts.
    pub(crate) fn is_idle(&self) -> bool {
        let budgets = self.budgets.lock();
        let now = self.clock.now();
        budgets.iter().all(|budget| {
            budget.queue.is_empty()
                && budget.closed_until.is_none_or(|at| at <= now)
                && budget.log.is_idle(now)
        })
    }

    fn with<T>(&self, quota: Quota, act: impl FnOnce(&mut Budget, Time) -> T) -> T {
        let mut budgets = self.budgets.lock();
        // Read under the lock, so that the stamps of the log never run backwards.
        let now = self.clock.now();
        act(budgets.of_mut(quota), now)
    }
}

/// A place in the queue; given up, and passed on, whichever way the wait ends.
struct Place<'a> {
    limiter: &'a Limiter,
    quota: Quota,
    signal: &'a Arc<Signal>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.limiter.with(self.quota, |budget, _| budget.leave(self.signal));
    }
}

/// A slot in the quota, taken before a call is sent. Dropped without a word, for instance when a panic
/// unwinds through the call, the attempt counts as given up.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    limiter: Arc<Limiter>,
    quota: Quota,
    windows: &'a [Window],
    settled: bool,
}

impl Permit<'_> {
    /// The reply has arrived: the service counted the call before now.
    pub(crate) fn replied(mut self) {
        self.settle(|log, now| log.end(now));
    }

    /// The call never left this machine, so the service cannot have counted it.
    pub(crate) fn not_sent(mut self) {
        self.settle(|log, _| log.undo());
    }

    fn settle(&mut self, act: impl FnOnce(&mut Log, Time)) {
        self.settled = true;
        self.limiter.with(self.quota, |budget, now| {
            act(&mut budget.log, now);
            budget.wake_first();
        });
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.settled {
            let windows = self.windows;
            self.settle(|log, now| log.abandon(now, windows));
        }
    }
}

#[cfg(test)]
#[path = "limiter_tests.rs"]
mod tests;
