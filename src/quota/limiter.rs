//! Waiting for a slot. Callers are served in the order they come and at the exact moment, and leave at once when
//! stopped.

use std::sync::Arc;
use std::time::Duration;

use super::budget::{Budget, Decision, Wait};
use super::clock::{Clock, Time};
use super::ledger::{Answer, HeldSlot, LeaseKeeper, Outcome, Slot};
use super::rules::Rules;
use super::snapshot::{Refusal, Snapshot};
use super::window::{Admission, Window};
use crate::call::{Call, KeepAlive, Signal};
use crate::error::millis_up;
use crate::log::{self, Level};
use crate::os::sync::Mutex;
use crate::service::quota::{PerQuota, Quota};

/// The quota of one tenant and application: one log per endpoint, behind one mutex.
#[derive(Debug)]
pub(crate) struct Limiter {
    clock: Arc<dyn Clock>,
    budgets: Mutex<PerQuota<Budget>>,
}

impl Limiter {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Limiter {
        Limiter { clock, budgets: Mutex::default() }
    }

    /// Takes a slot. With `wait` it waits for one, unless that is known to come after the deadline. Callers are
    /// served in the order they come. A caller that does not wait never overtakes one that does.
    pub(crate) fn acquire<'a>(
        self: &Arc<Limiter>,
        quota: Quota,
        rules: &'a Rules,
        call: &Call,
        wait: bool,
    ) -> Result<Permit<'a>, Refusal> {
        let windows = rules.limits.of(quota);
        let (mut ticket, mut queued) = (None, None);
        loop {
            let attempt = self.with(quota, |budget, now| {
                self.clock.check(call, now)?;
                let ticket = *ticket.get_or_insert_with(|| budget.next_ticket());
                let is_next = budget.first().is_none_or(|first| first == ticket);
                let decision = match is_next {
                    true => budget.try_admit(windows, now),
                    // The callers before it may take the next slot.
                    false => Decision::Wait(Wait {
                        recheck_at: None,
                        available_at: budget.available_at(windows, now),
                    }),
                };
                if wait && matches!(decision, Decision::Wait(_)) {
                    budget.enqueue(ticket, call.signal());
                }
                Ok((decision, ticket, is_next))
            });
            let (decision, ticket, is_next) = attempt.map_err(Refusal::Stopped)?;
            let next = match decision {
                Decision::Admitted { probe } => {
                    match self.confirm(quota, rules, call, ticket, probe, wait)? {
                        Confirmation::Admitted(permit) => return Ok(permit),
                        Confirmation::Wait(next) => next,
                    }
                }
                Decision::Wait(next) => next,
            };
            let now = self.clock.now();
            let available_in = next.available_at.map(|at| at.since(now));
            if !wait {
                return Err(Refusal::NoRoom(available_in.filter(|_| is_next)));
            }
            let is_new = queued.is_none();
            queued.get_or_insert_with(|| Queued { limiter: self, quota, ticket });
            if next.available_at.is_some_and(|at| !self.clock.has_time(call, at)) {
                return Err(Refusal::NoRoom(available_in));
            }
            if is_new && available_in.is_none_or(|wait| wait > LOGGED_WAIT) {
                log_wait(quota, available_in);
            }
            self.clock.wait(call, next.recheck_at).map_err(Refusal::Stopped)?;
        }
    }

    /// Whether a 429 closed the endpoint, and its time is not over.
    pub(crate) fn is_closed(&self, quota: Quota) -> bool {
        self.with(quota, |budget, now| budget.closed_until.is_some_and(|at| at > now))
    }

    /// Takes the slot in the shared log, if there is one. The slot in this process is taken already, and is
    /// released if the shared log has no room.
    fn confirm<'a>(
        self: &Arc<Limiter>,
        quota: Quota,
        rules: &'a Rules,
        call: &Call,
        ticket: u64,
        probe: bool,
        wait: bool,
    ) -> Result<Confirmation<'a>, Refusal> {
        let windows = rules.limits.of(quota);
        let mut permit =
            Permit { limiter: Arc::clone(self), quota, windows, held: None, probe, settled: false };
        let Some(ledger) = rules.ledger.get() else {
            return Ok(Confirmation::Admitted(permit));
        };
        let asked_at = ledger.now();
        match ledger.begin(quota, windows, call) {
            Ok(Answer::Taken(slot)) => {
                permit.held = Some(HeldSlot::new(ledger, quota, slot, asked_at));
                Ok(Confirmation::Admitted(permit))
            }
            Ok(Answer::Local(percent)) => match self.wait_without_ledger(quota, windows, percent) {
                None => Ok(Confirmation::Admitted(permit)),
                Some(next) => {
                    permit.release(ticket, wait.then_some(call.signal()));
                    Ok(Confirmation::Wait(next))
                }
            },
            Ok(Answer::Full(full)) => {
                permit.release(ticket, wait.then_some(call.signal()));
                let next = self.with(quota, |budget, now| budget.wait_for_ledger(full, now));
                Ok(Confirmation::Wait(next))
            }
            Err(refusal) => {
                permit.release(ticket, None);
                Err(refusal)
            }
        }
    }

    /// The wait if the shared log cannot be used, and the call does not fit into this percentage of the limits.
    fn wait_without_ledger(&self, quota: Quota, windows: &[Window], percent: u32) -> Option<Wait> {
        // This call is in flight already.
        let with_this = |window: &Window| {
            let part = window.share(percent);
            Window { limit: part.limit.saturating_add(1), ..part }
        };
        let windows: Vec<_> = windows.iter().map(with_this).collect();
        self.with(quota, |budget, now| match budget.log.admission(&windows, now) {
            Admission::Now => None,
            Admission::At(free) => Some(Wait { recheck_at: Some(free), available_at: Some(free) }),
            // A reply wakes the caller. The shared log may be in use again before.
            Admission::AfterReply => Some(Wait {
                recheck_at: Some(now.plus(Duration::from_secs(1))),
                available_at: None,
            }),
        })
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
        let mut snapshot = self.with(quota, |budget, now| Snapshot {
            in_flight: budget.log.in_flight(),
            queued: budget.queue.len(),
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

    /// Whether nothing in this limiter counts any more, so that it may be dropped.
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

/// The answer of the shared log to a call that was admitted in this process.
enum Confirmation<'a> {
    Admitted(Permit<'a>),
    /// The shared log has no room. A caller that waits is in the queue again.
    Wait(Wait),
}

/// A position in the queue, which is left when this is dropped.
struct Queued<'a> {
    limiter: &'a Limiter,
    quota: Quota,
    ticket: u64,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.limiter.with(self.quota, |budget, _| budget.dequeue(self.ticket));
    }
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

impl Permit<'_> {
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
    fn release(mut self, ticket: u64, waits: Option<&Arc<Signal>>) {
        self.settled = true;
        self.limiter.with(self.quota, |budget, _| {
            budget.log.undo();
            if let Some(signal) = waits {
                budget.enqueue(ticket, signal);
            }
            if budget.first() != Some(ticket) {
                budget.wake_first();
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
            budget.wake_first();
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
