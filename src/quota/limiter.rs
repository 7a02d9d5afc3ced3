//! Waiting for a slot: first come, first served, to the exact moment, and gone at once when stopped.

use std::sync::Arc;
use std::time::Duration;

use super::budget::{Budget, Room, Turn};
use super::clock::{Clock, Time};
use super::ledger::{Answer, Held, Keeper, Outcome, Slot};
use super::rules::Rules;
use super::snapshot::{Refusal, Snapshot};
use super::window::{Admission, Window};
use crate::call::{Call, KeepAlive, Signal};
use crate::error::millis_up;
use crate::log::{self, Level};
use crate::os::sync::Mutex;
use crate::service::endpoint::{PerQuota, Quota};

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

    /// Takes a slot, waiting for it if `wait` is set and it is not known to come too late. Callers are served in
    /// the order they came, also those who do not want to wait: they never overtake.
    pub(crate) fn acquire<'a>(
        self: &Arc<Limiter>,
        quota: Quota,
        rules: &'a Rules,
        call: &Call,
        wait: bool,
    ) -> Result<Permit<'a>, Refusal> {
        let windows = rules.limits.of(quota);
        let (mut number, mut place) = (None, None);
        loop {
            let asked = self.with(quota, |budget, now| {
                self.clock.check(call, now)?;
                let number = *number.get_or_insert_with(|| budget.draw());
                let is_next = budget.first().is_none_or(|first| first == number);
                let turn = match is_next {
                    true => budget.turn(windows, now),
                    // At best it is the next one.
                    false => Turn::Wait(Room { look: None, free: budget.free_at(windows, now) }),
                };
                if wait && matches!(turn, Turn::Wait(_)) {
                    budget.line_up(number, call.signal());
                }
                Ok((turn, number, is_next))
            });
            let (turn, number, is_next) = asked.map_err(Refusal::Stopped)?;
            let room = match turn {
                Turn::Go { probe } => {
                    match self.confirm(quota, rules, call, number, probe, wait)? {
                        Ok(permit) => return Ok(permit),
                        Err(room) => room,
                    }
                }
                Turn::Wait(room) => room,
            };
            let now = self.clock.now();
            let free_in = room.free.map(|free| free.since(now));
            if !wait {
                return Err(Refusal::NoRoom(free_in.filter(|_| is_next)));
            }
            let is_new = place.is_none();
            place.get_or_insert_with(|| Place { limiter: self, quota, number });
            if room.free.is_some_and(|free| !self.clock.has_time(call, free)) {
                return Err(Refusal::NoRoom(free_in));
            }
            if is_new && free_in.is_none_or(|wait| wait > WORTH_A_LINE) {
                tell(quota, free_in);
            }
            self.clock.wait(call, room.look).map_err(Refusal::Stopped)?;
        }
    }

    /// Whether the service closed the endpoint.
    pub(crate) fn is_closed(&self, quota: Quota) -> bool {
        self.with(quota, |budget, now| budget.closed_until.is_some_and(|at| at > now))
    }

    /// There is room as far as this process knows, and the slot is taken here; where the quota is shared, it
    /// is to be taken there too. `Err`: there is no room there, and who waits is in line.
    fn confirm<'a>(
        self: &Arc<Limiter>,
        quota: Quota,
        rules: &'a Rules,
        call: &Call,
        number: u64,
        probe: bool,
        wait: bool,
    ) -> Result<Result<Permit<'a>, Room>, Refusal> {
        let windows = rules.limits.of(quota);
        let mut permit =
            Permit { limiter: Arc::clone(self), quota, windows, held: None, probe, settled: false };
        let Some(ledger) = rules.ledger.get() else {
            return Ok(Ok(permit));
        };
        let asked_at = ledger.now();
        match ledger.begin(quota, windows, call) {
            Ok(Answer::Taken(slot)) => {
                permit.held = Some(Held::new(ledger, quota, slot, asked_at));
                Ok(Ok(permit))
            }
            Ok(Answer::Alone(percent)) => match self.too_many_alone(quota, windows, percent) {
                None => Ok(Ok(permit)),
                Some(room) => {
                    permit.give_back(number, wait.then_some(call.signal()));
                    Ok(Err(room))
                }
            },
            Ok(Answer::Full(full)) => {
                permit.give_back(number, wait.then_some(call.signal()));
                Ok(Err(self.with(quota, |budget, now| budget.is_full(full, now))))
            }
            Err(refusal) => {
                permit.give_back(number, None);
                Err(refusal)
            }
        }
    }

    /// Without the shared log, and with a part of the limits only, the slot that was taken here may not fit in.
    fn too_many_alone(&self, quota: Quota, windows: &[Window], percent: u32) -> Option<Room> {
        // This call is among those under way already.
        let with_this = |window: &Window| {
            let part = window.share(percent);
            Window { limit: part.limit.saturating_add(1), ..part }
        };
        let windows: Vec<_> = windows.iter().map(with_this).collect();
        self.with(quota, |budget, now| match budget.log.admission(&windows, now) {
            Admission::Now => None,
            Admission::At(free) => Some(Room { look: Some(free), free: Some(free) }),
            // The reply wakes who waits for it; the log may be back before.
            Admission::AfterReply => {
                Some(Room { look: Some(now.plus(Duration::from_secs(1))), free: None })
            }
        })
    }

    /// The service answered 429: nobody goes out on this endpoint for `wait`, and then one call at a time until one
    /// is not refused. `slot` of the refused call in the shared log is given back there.
    pub(crate) fn close(&self, quota: Quota, rules: &Rules, wait: Duration, slot: Option<Slot>) {
        // Here at once, whatever time the shared log takes.
        self.with(quota, |budget, now| budget.close(now.plus(wait)));
        if let Some(ledger) = rules.ledger.get() {
            ledger.throttled(quota, slot, wait, rules.limits.of(quota));
        }
    }

    /// How the budget of one endpoint stands, seen with these rules.
    pub(crate) fn snapshot(&self, quota: Quota, rules: &Rules) -> Snapshot {
        self.snapshot_for(None, quota, rules)
    }

    /// The same for a call, which is not kept longer than it may last by a log that does not answer.
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
            available_in: budget.free_at(windows, now).map(|free| free.since(now)),
            closed_for: budget.closed_until.filter(|at| *at > now).map(|at| at.since(now)),
            used: windows.iter().map(|window| budget.log.used(*window, now)).collect(),
        });
        let ledger = rules.ledger.get();
        if let Some(view) = ledger.and_then(|ledger| ledger.view(quota, windows, call)) {
            snapshot.take_in(view);
        }
        snapshot
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

/// Who waits for longer than this says so.
pub(crate) const WORTH_A_LINE: Duration = Duration::from_secs(1);

fn tell(quota: Quota, free_in: Option<Duration>) {
    log::line(Level::Info, || {
        let until = match free_in {
            Some(wait) => format!("for {} ms at least", millis_up(wait)),
            None => "until calls that are under way or waiting have ended".to_owned(),
        };
        format!("a call waits for room in the quota of endpoint `{}`, {until}", quota.name())
    });
}

/// A place in the queue; given up, and passed on, whichever way the wait ends.
struct Place<'a> {
    limiter: &'a Limiter,
    quota: Quota,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.limiter.with(self.quota, |budget, _| budget.leave(self.number));
    }
}

/// A slot in the quota, taken before a call is sent. Dropped without a word, for instance when a panic
/// unwinds through the call, the attempt counts as given up.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    limiter: Arc<Limiter>,
    quota: Quota,
    windows: &'a [Window],
    /// The same slot in the shared log.
    held: Option<Held>,
    /// The endpoint was half open: a reply that is no refusal opens it.
    probe: bool,
    settled: bool,
}

impl Permit<'_> {
    /// The reply has arrived: the service counted the call before now.
    pub(crate) fn replied(mut self) {
        self.settle(Outcome::Replied);
    }

    /// The reply was a 429. The endpoint is closed before the slot is given back, so that nobody slips out in
    /// between.
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

    /// Keeps the slot in the shared log, where there is one, while the call is under way.
    pub(crate) fn keeper(&self) -> Option<Box<dyn KeepAlive>> {
        let held = self.held.as_ref()?;
        Some(Box::new(Keeper::new(held, self.windows)))
    }

    /// Gives back a slot that was taken here but not in the shared log. Who goes on waiting lines up in the same
    /// breath, before those who came after it, so that nobody takes its turn. It is not woken: it would ask
    /// again at once.
    fn give_back(mut self, number: u64, waits: Option<&Arc<Signal>>) {
        self.settled = true;
        self.limiter.with(self.quota, |budget, _| {
            budget.log.undo();
            if let Some(signal) = waits {
                budget.line_up(number, signal);
            }
            if budget.first() != Some(number) {
                budget.wake_first();
            }
        });
    }

    fn settle(&mut self, outcome: Outcome) {
        self.settled = true;
        let windows = self.windows;
        // First where others wait for it, then here, where the next one is woken to ask there.
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
