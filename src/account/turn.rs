//! A place in the queue of a quota that is kept while its owner does other things.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Account;
use crate::call::Call;
use crate::error::Result;
use crate::quota::limiter::{Limiter, Permit};
use crate::quota::turn::{self, Step};
use crate::service::quota::Quota;

/// A place in the queue. It is left when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    account: &'a Account,
    limiter: &'a Arc<Limiter>,
    call: Arc<Call>,
    quota: Quota,
    place: turn::Turn<'a, 'a>,
}

/// The result of one attempt to take a slot.
pub(crate) enum TurnStep<'a> {
    Ready(Permit<'a>),
    /// When to ask again. `None`: when the signal of the call is woken. A wake may always come earlier, and another wait
    /// of the call may take it. So the owner asks again before it sleeps.
    Wait(Option<Instant>),
}

impl Account {
    /// A place in the queue of this quota. Its first [`poll`](Turn::poll) enters the queue. This gets a token, which
    /// names the identity.
    pub(crate) fn turn(&self, call: &Arc<Call>, quota: Quota) -> Result<Turn<'_>> {
        let limiter = self.limiter_of(&self.tokens.get(&self.http, call)?);
        let place = turn::Turn::new(limiter, quota, &self.rules, call.rank());
        Ok(Turn { account: self, limiter, call: Arc::clone(call), quota, place })
    }

    /// The least time until this many more calls of a quota can have gone out, by its windows and the log of this
    /// process. Other callers and a shared log may make it longer. `None`: the identity is not known yet.
    pub(crate) fn least_time(&self, quota: Quota, calls: usize) -> Option<Duration> {
        Some(self.limiter.get()?.least_time(quota, &self.rules, calls))
    }
}

impl<'a> Turn<'a> {
    /// Takes a slot if it is this place's turn and there is one. The next poll after that enters the queue again.
    pub(crate) fn poll(&mut self) -> Result<TurnStep<'a>> {
        match self.place.step(&self.call, true) {
            Ok(Step::Ready(permit)) => Ok(TurnStep::Ready(permit)),
            Ok(Step::Wait { next, .. }) => {
                let at = next.recheck_at.map(|at| self.place.time_until(at));
                Ok(TurnStep::Wait(at.and_then(|wait| Instant::now().checked_add(wait))))
            }
            Err(refusal) => {
                Err(self.account.without_slot(self.limiter, &self.call, self.quota, refusal))
            }
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
pub(crate) mod tests;
