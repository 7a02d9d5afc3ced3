//! The order of the callers that wait for a slot of one endpoint.
//!
//! # The rule
//!
//! - Callers of one rank are served in the order in which they came.
//! - A [`Rank::Single`] goes ahead of every [`Rank::Sweep`].
//! - When [`MOST_AHEAD`] singles in a row went ahead of a waiting sweep, one sweep goes. If it does not come for its slot
//!   within [`PATIENCE`], because its owner is busy, singles go on ahead until it asks again.
//!
//! # The proof
//!
//! `ahead` counts the singles that were admitted while a sweep waited, since the last sweep was admitted. A single is
//! admitted only while `ahead` is below three, or while no sweep waits that comes. A sweep is admitted only while `ahead`
//! is at least three, or while no single waits. It sets `ahead` to zero.
//!
//! - *No sweep starves that comes.* While a sweep waits, each single that is admitted adds one to `ahead`. So three
//!   singles in a row at most are admitted, and at least every fourth slot is a sweep's. The `n`-th sweep in line has a
//!   slot after `4n` at most. ∎
//! - *No single starves.* Let a single wait with `p` others before it. A sweep that is admitted now had `ahead` at three
//!   or above, and sets it to zero. The next one needs three singles more, all of them among the `p`. So at most
//!   `1 + p / 3` sweeps go ahead of it: one, if fewer than three singles are before it. ∎
//!
//! A shared log may refuse a caller that was admitted here. Then `ahead` is as if it had not been admitted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Time;
use crate::call::{Rank, Signal};

/// How many singles in a row may go ahead of a waiting sweep.
pub(super) const MOST_AHEAD: i32 = 3;

/// How long a slot stays free for a sweep that does not come for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// The waiting callers of one rank, by ticket.
type Places = BTreeMap<u64, Arc<Signal>>;

/// The waiting callers of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Queue {
    singles: Places,
    sweeps: Places,
    arrived: u64,
    ahead: i32,
    /// Singles go ahead if the first sweep has not asked by then.
    sweep_due: Option<Time>,
}

/// A caller's rank, and its position in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    rank: Rank,
    number: u64,
}

/// What an admission has changed in the count of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted(i32);

impl Queue {
    pub fn ticket(&mut self, rank: Rank) -> Ticket {
        self.arrived += 1;
        Ticket { rank, number: self.arrived }
    }

    /// Whether no other caller goes first. The caller may be in the queue or about to enter it.
    pub fn is_turn_of(&self, ticket: Ticket) -> bool {
        match ticket.rank {
            Rank::Single => is_first(&self.singles, ticket) && !self.is_turn_of_sweeps(),
            Rank::Sweep => {
                let goes = self.singles.is_empty() || self.is_turn_of_sweeps();
                goes && is_first(&self.sweeps, ticket)
            }
        }
    }

    /// Whether a waiting sweep goes ahead of singles.
    fn is_turn_of_sweeps(&self) -> bool {
        self.ahead >= MOST_AHEAD && !self.sweeps.is_empty()
    }

    /// Whether this is the next single, and a sweep goes before it.
    pub fn is_behind_sweep(&self, ticket: Ticket) -> bool {
        ticket.rank == Rank::Single && is_first(&self.singles, ticket) && self.is_turn_of_sweeps()
    }

    /// A single has found a slot that is the sweep's. Returns the time from which on it may take it.
    pub fn until_sweep_is_due(&mut self, now: Time) -> Time {
        *self.sweep_due.get_or_insert(now.plus(PATIENCE))
    }

    /// A sweep has asked, and will ask again at this time, or when it is woken.
    pub fn sweep_asks_again(&mut self, ticket: Ticket, at: Option<Time>) {
        if is_first(&self.sweeps, ticket) {
            self.sweep_due = at.map(|at| at.plus(PATIENCE));
        }
    }

    /// Counts an admission. The caller stays in the queue until it leaves.
    pub fn admit(&mut self, ticket: Ticket) -> Counted {
        // The next sweep has the whole time to come.
        if ticket.rank == Rank::Sweep || self.ahead < MOST_AHEAD {
            self.sweep_due = None;
        }
        let change = match ticket.rank {
            Rank::Single => i32::from(!self.sweeps.is_empty()),
            Rank::Sweep => -self.ahead,
        };
        self.ahead += change;
        Counted(change)
    }

    /// The shared log has refused the caller of this admission.
    pub fn undo(&mut self, Counted(change): Counted) {
        self.ahead = match self.sweeps.is_empty() {
            true => 0,
            false => (self.ahead - change).max(0),
        };
    }

    /// Adds a caller at the position of its ticket. It may be there already.
    pub fn enter(&mut self, ticket: Ticket, signal: &Arc<Signal>) {
        self.of(ticket.rank).entry(ticket.number).or_insert_with(|| Arc::clone(signal));
    }

    pub fn leave(&mut self, ticket: Ticket) {
        let places = self.of(ticket.rank);
        let was_first = is_first(places, ticket);
        places.remove(&ticket.number);
        if self.sweeps.is_empty() {
            self.ahead = 0;
        }
        if was_first && ticket.rank == Rank::Sweep {
            self.sweep_due = None;
        }
        if was_first {
            self.wake_next();
        }
    }

    /// Wakes the next caller. The others have nothing to wait for, but a single that watches whether a sweep comes.
    pub fn wake_next(&self) {
        let single = self.singles.first_key_value();
        let sweep = self.sweeps.first_key_value();
        let sweep = sweep.filter(|_| single.is_none() || self.is_turn_of_sweeps());
        for (_, signal) in single.into_iter().chain(sweep) {
            signal.wake();
        }
    }

    /// How many callers wait.
    pub fn len(&self) -> usize {
        self.singles.len() + self.sweeps.len()
    }

    /// How many of them go ahead of a caller of this rank that comes now, if no other comes.
    pub fn before(&self, rank: Rank) -> usize {
        match rank {
            Rank::Single => self.singles.len() + usize::from(self.is_turn_of_sweeps()),
            Rank::Sweep => self.len(),
        }
    }

    fn of(&mut self, rank: Rank) -> &mut Places {
        match rank {
            Rank::Single => &mut self.singles,
            Rank::Sweep => &mut self.sweeps,
        }
    }
}

/// Whether no other caller of its rank is before it.
fn is_first(places: &Places, ticket: Ticket) -> bool {
    places.first_key_value().is_none_or(|(first, _)| *first == ticket.number)
}

#[cfg(test)]
#[path = "tests/queue.rs"]
mod tests;
