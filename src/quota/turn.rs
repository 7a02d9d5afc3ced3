//! One caller's place in the queue, from its arrival until it has a slot or leaves.
//!
//! # Between processes
//!
//! Processes that share a log have no common queue. A [`Rank::Sweep`] that waits asks the shared log a moment later than
//! a [`Rank::Single`] of another process would. So that one gets a slot that has just fallen free. A sweep that would
//! wait for longer than [`MOST_WINDOWS`] of the shortest window asks at once, so it does not starve. This many, because a
//! sweep also waits while other processes sweep, and a single must go before all of them.

use std::sync::Arc;
use std::time::Duration;

use super::budget::{Budget, Decision, Wait};
use super::clock::Time;
use super::ledger::{Answer, HeldSlot, recheck_interval};
use super::limiter::{Limiter, Permit};
use super::queue::{Counted, Ticket};
use super::rules::Rules;
use super::snapshot::Refusal;
use super::window::{Admission, Window};
use crate::call::{Call, Rank};
use crate::service::quota::Quota;

/// A place in the queue. It is left when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'l, 'a> {
    limiter: &'l Arc<Limiter>,
    quota: Quota,
    rules: &'a Rules,
    rank: Rank,
    /// Known from the first attempt on.
    ticket: Option<Ticket>,
    is_queued: bool,
    /// When a sweep that shares a log was first given a time to wait for.
    waits_since: Option<Time>,
    /// It does not ask the shared log before this time.
    asks_at: Option<Time>,
}

/// The result of one attempt.
pub(crate) enum Step<'a> {
    Ready(Permit<'a>),
    /// `is_next`: no other caller goes first.
    Wait {
        next: Wait,
        is_next: bool,
    },
}

/// The answer of the shared log to a call that was admitted in this process.
enum Confirmation<'a> {
    Admitted(Permit<'a>),
    /// The shared log has no room. A caller that waits is in the queue again.
    Wait(Wait),
}

impl<'l, 'a> Turn<'l, 'a> {
    /// The queue is entered with the first attempt that finds no slot.
    pub(crate) fn new(
        limiter: &'l Arc<Limiter>,
        quota: Quota,
        rules: &'a Rules,
        rank: Rank,
    ) -> Turn<'l, 'a> {
        let (ticket, waits_since, asks_at) = (None, None, None);
        Turn { limiter, quota, rules, rank, ticket, is_queued: false, waits_since, asks_at }
    }

    /// Takes a slot if it is this place's turn and there is one. With `stays` the caller is in the queue otherwise, and
    /// its signal is woken when it should ask again.
    pub(crate) fn step(&mut self, call: &Call, stays: bool) -> Result<Step<'a>, Refusal> {
        let (limiter, rank) = (self.limiter, self.rank);
        let windows = self.rules.limits.of(self.quota);
        let attempt = limiter.with(self.quota, |budget, now| {
            limiter.clock.check(call, now)?;
            let ticket = *self.ticket.get_or_insert_with(|| budget.queue.ticket(rank));
            let is_next = budget.queue.is_turn_of(ticket);
            let decision = match is_next {
                true => self
                    .held_back(budget, windows, now)
                    .unwrap_or_else(|| budget.try_admit(ticket, windows, now)),
                false => budget.await_turn(ticket, windows, now),
            };
            if stays && matches!(decision, Decision::Wait(_)) {
                budget.queue.enter(ticket, call.signal());
                self.is_queued = true;
            }
            Ok((decision, ticket, is_next))
        });
        let (decision, ticket, is_next) = attempt.map_err(Refusal::Stopped)?;
        let next = match decision {
            Decision::Admitted { probe, counted } => {
                match self.confirm(call, ticket, probe, counted, stays)? {
                    Confirmation::Admitted(permit) => {
                        self.leave();
                        return Ok(Step::Ready(permit));
                    }
                    Confirmation::Wait(next) => next,
                }
            }
            Decision::Wait(next) => next,
        };
        Ok(Step::Wait { next: self.later(ticket, next, windows), is_next })
    }

    /// How long from now until this time.
    pub(crate) fn time_until(&self, at: Time) -> Duration {
        at.since(self.limiter.clock.now())
    }

    /// The wait of a sweep that leaves the next slot to other processes.
    fn held_back(&mut self, budget: &Budget, windows: &[Window], now: Time) -> Option<Decision> {
        let at = self.asks_at.filter(|at| *at > now)?;
        // A slot may have fallen free earlier than expected.
        let at = match budget.admission(windows, now) {
            Admission::Now => at.min(now.plus(courtesy(windows))),
            _ => at,
        };
        self.asks_at = Some(at);
        let available_at = budget.available_at(windows, now);
        Some(Decision::Wait(Wait { recheck_at: Some(at), available_at }))
    }

    /// The same wait. That of a sweep lasts a moment longer if it shares a log.
    fn later(&mut self, ticket: Ticket, mut next: Wait, windows: &[Window]) -> Wait {
        if self.rank == Rank::Single {
            return next;
        }
        let shares = self.rules.ledger.get().is_some();
        if let Some(at) = next.recheck_at.filter(|at| shares && self.asks_at != Some(*at)) {
            let since = *self.waits_since.get_or_insert_with(|| self.limiter.clock.now());
            let shortest = windows.iter().map(|window| window.hold()).min().unwrap_or_default();
            let is_soon = at <= since.plus(shortest * MOST_WINDOWS);
            next.recheck_at = Some(if is_soon { at.plus(courtesy(windows)) } else { at });
            self.asks_at = next.recheck_at;
        }
        let asks_at = next.recheck_at;
        self.limiter.with(self.quota, |budget, _| budget.queue.sweep_asks_again(ticket, asks_at));
        next
    }

    /// Takes the slot in the shared log, if there is one. The slot in this process is taken already, and is released
    /// if the shared log has no room.
    fn confirm(
        &mut self,
        call: &Call,
        ticket: Ticket,
        probe: bool,
        counted: Counted,
        stays: bool,
    ) -> Result<Confirmation<'a>, Refusal> {
        let (quota, windows) = (self.quota, self.rules.limits.of(self.quota));
        let mut permit = Permit::new(self.limiter, quota, windows, probe);
        let Some(ledger) = self.rules.ledger.get() else {
            return Ok(Confirmation::Admitted(permit));
        };
        let asked_at = ledger.now();
        let next = match ledger.begin(quota, windows, call) {
            Ok(Answer::Taken(slot)) => {
                permit.hold(HeldSlot::new(ledger, quota, slot, asked_at));
                return Ok(Confirmation::Admitted(permit));
            }
            Ok(Answer::Local(percent)) => match self.wait_without_ledger(windows, percent) {
                None => return Ok(Confirmation::Admitted(permit)),
                Some(next) => Ok(next),
            },
            Ok(Answer::Full(full)) => Err(full),
            Err(refusal) => {
                permit.release(ticket, counted, None);
                return Err(refusal);
            }
        };
        permit.release(ticket, counted, stays.then_some(call.signal()));
        self.is_queued |= stays;
        Ok(Confirmation::Wait(next.unwrap_or_else(|full| {
            self.limiter.with(quota, |budget, now| budget.wait_for_ledger(full, now))
        })))
    }

    /// The wait if the shared log cannot be used, and the call does not fit into this percentage of the limits.
    fn wait_without_ledger(&self, windows: &[Window], percent: u32) -> Option<Wait> {
        // This call is in flight already.
        let with_this = |window: &Window| {
            let part = window.share(percent);
            Window { limit: part.limit.saturating_add(1), ..part }
        };
        let windows: Vec<_> = windows.iter().map(with_this).collect();
        self.limiter.with(self.quota, |budget, now| match budget.log.admission(&windows, now) {
            Admission::Now => None,
            Admission::At(free) => Some(Wait { recheck_at: Some(free), available_at: Some(free) }),
            // A reply wakes the caller. The shared log may be in use again before.
            Admission::AfterReply => Some(Wait {
                recheck_at: Some(now.plus(Duration::from_secs(1))),
                available_at: None,
            }),
        })
    }

    /// Leaves the queue. The next attempt gets a new place.
    fn leave(&mut self) {
        let ticket = self.ticket.take().filter(|_| self.is_queued);
        (self.is_queued, self.waits_since, self.asks_at) = (false, None, None);
        if let Some(ticket) = ticket {
            self.limiter.with(self.quota, |budget, _| budget.queue.leave(ticket));
        }
    }
}

impl Drop for Turn<'_, '_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// For how many windows a sweep lets singles of other processes go first.
const MOST_WINDOWS: u32 = 3;

/// How long a sweep leaves a free slot to other processes. They ask for it within half of this.
fn courtesy(windows: &[Window]) -> Duration {
    recheck_interval(windows) * 2
}

#[cfg(test)]
#[path = "tests/turn.rs"]
mod tests;
