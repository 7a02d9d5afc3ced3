//! Waiting for a slot. Callers are served in the order of the [`queue`](super::queue) and at the exact moment, and leave
//! at once when stopped.

use std::sync::Arc;
use std::time::Duration;

use super::budget::Budget;
use super::clock::{Clock, Time};
use super::ledger::{HeldSlot, LeaseKeeper, Outcome, Slot};
use super::queue::{Counted, Ticket};
use super::rules::Rules;
use super::snapshot::{Refusal, Snapshot};
use super::turn::{Step, Turn};
use super::window::Window;
use crate::call::{Call, KeepAlive, Rank, Signal};
use crate::error::millis_up;
use crate::log::{self, Level};
use crate::os::sync::Mutex;
use crate::service::quota::{PerQuota, Quota};

/// The quota of one tenant and application: one log per endpoint, behind one mutex.
#[derive(Debug)]
pub(crate) struct Limiter {
    pub(super) clock: Arc<dyn Clock>,
    budgets: Mutex<PerQuota<Budget>>,
}

impl Limiter {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Limiter {
        Limiter { clock, budgets: Mutex::default() }
    }

    /// Takes a slot. With `wait` it waits for one, unless that is known to come after the deadline. A caller that does
    /// not wait overtakes no waiting one of its rank.
    pub(crate) fn acquire<'a>(
        self: &Arc<Limiter>,
        quota: Quota,
        rules: &'a Rules,
        call: &Call,
        wait: bool,
    ) -> Result<Permit<'a>, Refusal> {
        let mut turn = Turn::new(self, quota, rules, call.rank());
        let mut is_new = true;
        loop {
            let (next, is_next) = match turn.step(call, wait)? {
                Step::Ready(permit) => return Ok(permit),
                Step::Wait { next, is_next } => (next, is_next),
            };
            let now = self.clock.now();
            let available_in = next.available_at.map(|at| at.since(now));
            if !wait {
                return Err(Refusal::NoRoom(available_in.filter(|_| is_next)));
            }
            if next.available_at.is_some_and(|at| !self.clock.has_time(call, at)) {
                return Err(Refusal::NoRoom(available_in));
            }
            if is_new && available_in.is_none_or(|wait| wait > LOGGED_WAIT) {
                log_wait(quota, available_in);
            }
            is_new = false;
            self.clock.wait(call, next.recheck_at).map_err(Refusal::Stopped)?;
        }
    }

    /// Whether a 429 closed the endpoint, and its time is not over.
    pub(crate) fn is_closed(&self, quota: Quota) -> bool {
        self.with(quota, |budget, now| budget.closed_until.is_some_and(|at| at > now))
    }

    /// The service answered 429: closes the endpoint for `wait`, and makes it half open after that. Releases the
    /// `slot` of the refused call in the shared log.
    pub(crate) fn close(&self, quota: Quota, rules: &Rules, wait: Duration, slot: Option<Slot>) {
        // First in this process, because the shared log may be slow.
        self.with(quota, |budget, now| budget.close(now.plus(wait)));
        if let Some(ledger) = rules.ledger.get() {
            ledger.throttled(quota, slot, wait, rules.limits.of(quota));
        }
    }

    /// The state of one endpoint's budget under these rules.
    pub(crate) fn snapshot(&self, quota: Quota, rules: &Rules) -> Snapshot {
        self.snapshot_for(None, quota, rules)
    }

    /// The same for a call. If the shared log does not answer, this ends with the call's deadline at the latest.
    pub(crate) fn snapshot_for(
        &self,
        call: Option<&Call>,
        quota: Quota,
        rules: &Rules,
    ) -> Snapshot {
        let windows = rules.limits.of(quota);
        let rank = call.map_or(Rank::Single, Call::rank);
        let mut snapshot = self.with(quota, |budget, now| Snapshot {
            in_flight: budget.log.in_flight(),
            queued: budget.queue.len(),
            queued_before: budget.queue.before(rank),
            available_in: budget.available_at(windows, now).map(|at| at.since(now)),
            closed_for: budget.closed_until.filter(|at| *at > now).map(|at| at.since(now)),
            used: windows.iter().map(|window| budget.log.used(*window, now)).collect(),
        });
        let ledger = rules.ledger.get();
        if let Some(view) = ledger.and_then(|ledger| ledger.view(quota, windows, call)) {
            snapshot.merge(view);
        }
        snapshot
    }

    /// The least time until this many more calls can have gone out, by the windows and the log of this process.
    pub(crate) fn least_time(&self, quota: Quota, rules: &Rules, calls: usize) -> Duration {
        let windows = rules.limits.of(quota);
        let (log, now, from) = self.with(quota, |budget, now| {
            (budget.log.clone(), now, budget.closed_until.map_or(now, |at| at.max(now)))
        });
        // Outside the lock, because it takes time for many calls.
        log.earliest(calls, windows, from).since(now)
    }

    /// Whether nothing in this limiter counts any more, so that it may be dropped.
    pub(crate) fn is_idle(&self) -> bool {
        let budgets = self.budgets.lock();
        let now = self.clock.now();
        budgets.iter().all(|budget| {
            budget.queue.len() == 0
                && budget.closed_until.is_none_or(|at| at <= now)
                && budget.log.is_idle(now)
        })
    }

    pub(super) fn with<T>(&self, quota: Quota, act: impl FnOnce(&mut Budget, Time) -> T) -> T {
        let mut budgets = self.budgets.lock();
        // Read under the lock, so that the stamps of the log are in order.
        let now = self.clock.now();
        act(budgets.of_mut(quota), now)
    }
}

/// A longer wait than this is logged and reported.
pub(crate) const LOGGED_WAIT: Duration = Duration::from_secs(1);

fn log_wait(quota: Quota, available_in: Option<Duration>) {
    log::line(Level::Info, || {
        let until = match available_in {
            Some(wait) => format!("for {} ms at least", millis_up(wait)),
            None => "until calls in flight or waiting calls have ended".to_owned(),
        };
        format!("a call waits for room in the quota of endpoint `{}`, {until}", quota.name())
    });
}

/// A slot in the quota, taken before a call is sent. If it is dropped before it is settled, for instance by a panic,
/// the call counts as given up.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    limiter: Arc<Limiter>,
    quota: Quota,
    windows: &'a [Window],
    /// The same slot in the shared log.
    held: Option<HeldSlot>,
    /// The endpoint was half open. A reply that is no 429 opens it.
    probe: bool,
    settled: bool,
}

impl<'a> Permit<'a> {
    /// A slot that was taken in the log of this process.
    pub(super) fn new(
        limiter: &Arc<Limiter>,
        quota: Quota,
        windows: &'a [Window],
        probe: bool,
    ) -> Permit<'a> {
        let limiter = Arc::clone(limiter);
        Permit { limiter, quota, windows, held: None, probe, settled: false }
    }

    /// The same slot was taken in the shared log.
    pub(super) fn hold(&mut self, held: HeldSlot) {
        self.held = Some(held);
    }

    /// The reply has arrived: the service counted the call before now.
    pub(crate) fn replied(mut self) {
        self.settle(Outcome::Replied);
    }

    /// The reply was a 429. The endpoint is closed before the slot is released, so that no call goes out in between.
    pub(crate) fn throttled(mut self, rules: &Rules, wait: Duration) {
        let slot = self.held.take().map(|held| held.slot());
        self.limiter.close(self.quota, rules, wait, slot);
        self.probe = false;
        self.settle(Outcome::Replied);
    }

    /// The call never left this machine, so the service cannot have counted it.
    pub(crate) fn not_sent(mut self) {
        self.settle(Outcome::NotSent);
    }

    /// Renews the slot in the shared log, if there is one, while the call is in flight.
    pub(crate) fn keeper(&self) -> Option<Box<dyn KeepAlive>> {
        let held = self.held.as_ref()?;
        Some(Box::new(LeaseKeeper::new(held, self.windows)))
    }

    /// Releases a slot that was taken in this process but not in the shared log. A caller that waits is queued under
    /// the same lock, so that no later caller overtakes it. It is not woken, because it would ask again at once.
    pub(super) fn release(mut self, ticket: Ticket, counted: Counted, waits: Option<&Arc<Signal>>) {
        self.settled = true;
        self.limiter.with(self.quota, |budget, _| {
            budget.log.undo();
            budget.queue.undo(counted);
            if let Some(signal) = waits {
                budget.queue.enter(ticket, signal);
            }
            if waits.is_none() || !budget.queue.is_turn_of(ticket) {
                budget.queue.wake_next();
            }
        });
    }

    fn settle(&mut self, outcome: Outcome) {
        self.settled = true;
        let windows = self.windows;
        // First in the shared log, because the caller that is woken here asks there.
        if let Some(held) = self.held.take() {
            held.settle(outcome, windows);
        }
        self.limiter.with(self.quota, |budget, now| {
            match outcome {
                Outcome::Replied => {
                    budget.log.end(now);
                    budget.half_open &= !self.probe;
                }
                Outcome::NotSent => budget.log.undo(),
                Outcome::GivenUp => budget.log.abandon(now, windows),
            }
            budget.queue.wake_next();
        });
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.settle(Outcome::GivenUp);
        }
    }
}

#[cfg(test)]
#[path = "tests/limiter.rs"]
mod tests;
