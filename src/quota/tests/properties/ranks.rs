//! Callers of both ranks in virtual time, each with a place in the queue of the whole limiter. Each asks only when its
//! signal is woken or its time has come.
//!
//! The service refuses no call, neither rank starves, and no caller waits while there is a slot.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::patterns::{End, Pattern, patterns};
use super::service::{Sent, nanos, roll};
use super::subjects::{QUOTA, rules};
use super::{OF_THE_OTHERS, config, nothing_could_be_refused};
use crate::call::{Call, Rank};
use crate::quota::clock::Time;
use crate::quota::clock::fake::FakeClock;
use crate::quota::limiter::{Limiter, Permit};
use crate::quota::rules::Rules;
use crate::quota::turn::{Step, Turn};

/// How many singles may go ahead of a waiting sweep. It is stated here and not taken from the queue.
const IN_A_ROW: usize = 3;

/// A caller that waits.
struct Waiting<'a> {
    n: usize,
    rank: Rank,
    call: Call,
    turn: Turn<'a, 'a>,
    asks_at: Option<u64>,
    /// How many singles waited when it came, and how many sweeps went ahead of it since then.
    singles_before: usize,
    sweeps_ahead: usize,
}

struct Play<'a> {
    pattern: &'a Pattern,
    clock: Arc<FakeClock>,
    limiter: &'a Arc<Limiter>,
    rules: &'a Rules,
    now: u64,
    seed: u64,
    waiting: Vec<Waiting<'a>>,
    /// The calls in flight, by when they end.
    pending: BinaryHeap<Reverse<(u64, usize)>>,
    permits: Vec<Option<(Permit<'a>, u64)>>,
    sent: Vec<Sent>,
    singles_in_a_row: usize,
}

fn in_nanos(at: Time) -> u64 {
    u64::try_from(at.since(Time::default()).as_nanos()).unwrap()
}

impl<'a> Play<'a> {
    fn random(&mut self, n: usize) -> usize {
        self.seed = roll(self.seed);
        usize::try_from(self.seed >> 32).unwrap() % n
    }

    fn count(&self, rank: Rank) -> usize {
        self.waiting.iter().filter(|one| one.rank == rank).count()
    }

    /// A caller comes. The pattern decides how its call ends.
    fn come(&mut self, n: usize) -> Result<(), TestCaseError> {
        let rank = if self.random(2) == 0 { Rank::Single } else { Rank::Sweep };
        let call = Call::begin(&Arc::default(), None, None);
        let call = if rank == Rank::Sweep { call.into_sweep(true) } else { call };
        let turn = Turn::new(self.limiter, QUOTA, self.rules, rank);
        let singles_before = self.count(Rank::Single);
        let mut one =
            Waiting { n, rank, call, turn, asks_at: None, singles_before, sweeps_ahead: 0 };
        if !self.ask(&mut one)? {
            self.waiting.push(one);
        }
        Ok(())
    }

    /// One attempt of a caller that is not in the list. Returns whether it has a slot.
    fn ask(&mut self, one: &mut Waiting<'a>) -> Result<bool, TestCaseError> {
        let permit = match one.turn.step(&one.call, true) {
            Ok(Step::Ready(permit)) => permit,
            Ok(Step::Wait { next, .. }) => {
                one.asks_at = next.recheck_at.map(in_nanos);
                return Ok(false);
            }
            Err(refusal) => panic!("{refusal:?}"),
        };
        self.check_order(one)?;
        self.pending.push(Reverse((self.now + self.pattern.arrivals[one.n].latency, one.n)));
        self.permits[one.n] = Some((permit, self.now));
        Ok(true)
    }

    /// Checks that this caller may have the slot before those that wait.
    fn check_order(&mut self, one: &Waiting<'_>) -> Result<(), TestCaseError> {
        let earlier = |other: &&Waiting<'_>| other.rank == one.rank && other.n < one.n;
        prop_assert!(self.waiting.iter().find(earlier).is_none(), "overtakes within its rank");
        self.singles_in_a_row = match one.rank {
            Rank::Single if self.count(Rank::Sweep) > 0 => self.singles_in_a_row + 1,
            _ => 0,
        };
        prop_assert!(self.singles_in_a_row <= IN_A_ROW, "a sweep starves");
        if one.rank == Rank::Sweep {
            for other in self.waiting.iter_mut().filter(|other| other.rank == Rank::Single) {
                other.sweeps_ahead += 1;
                let most = 1 + other.singles_before / IN_A_ROW;
                prop_assert!(other.sweeps_ahead <= most, "a single starves");
            }
        }
        Ok(())
    }

    fn end(&mut self, n: usize) {
        let (permit, began) = self.permits[n].take().unwrap();
        let shortest = self.pattern.windows.iter().map(nanos).min().unwrap();
        let (last, now) = (self.now, self.now + shortest.min(30_000_000_000));
        match self.pattern.arrivals[n].end {
            End::Replied => {
                permit.replied();
                self.sent.push(Sent { first: began, last });
            }
            End::GivenUp => {
                drop(permit);
                self.sent.push(Sent { first: began, last: now });
            }
            End::NotSent => permit.not_sent(),
        }
    }

    /// Those that were woken, or whose time has come, ask in a random order.
    fn ask_all(&mut self) -> Result<(), TestCaseError> {
        loop {
            let now = self.now;
            let is_due = |one: &Waiting<'_>| {
                let woken = one.call.signal().take_wake();
                woken || one.asks_at.is_some_and(|at| at <= now)
            };
            let mut due: Vec<usize> =
                self.waiting.iter().filter(|one| is_due(one)).map(|one| one.n).collect();
            if due.is_empty() {
                return Ok(());
            }
            while !due.is_empty() {
                let n = due.swap_remove(self.random(due.len()));
                let at = self.waiting.iter().position(|one| one.n == n).unwrap();
                let mut one = self.waiting.remove(at);
                one.asks_at = None;
                if !self.ask(&mut one)? {
                    self.waiting.push(one);
                }
            }
        }
    }

    /// Plays until all have had their slot or have left.
    fn run(&mut self) -> Result<(), TestCaseError> {
        let (mut arrivals, mut comes) = (self.pattern.arrivals.iter().enumerate(), 0);
        let mut next = arrivals.next().map(|(n, arrival)| (n, arrival.gap));
        loop {
            while let Some(Reverse((at, n))) =
                self.pending.peek().copied().filter(|Reverse((at, _))| *at <= self.now)
            {
                assert_eq!(at, self.now);
                self.pending.pop();
                self.end(n);
            }
            while let Some((n, _)) = next.filter(|(_, gap)| comes + gap <= self.now) {
                comes = self.now;
                self.come(n)?;
                next = arrivals.next().map(|(n, arrival)| (n, arrival.gap));
            }
            self.ask_all()?;
            // One that waits leaves now and then.
            if self.random(16) == 0 && !self.waiting.is_empty() {
                let leaves = self.random(self.waiting.len());
                self.waiting.remove(leaves);
                if self.count(Rank::Sweep) == 0 {
                    self.singles_in_a_row = 0;
                }
                self.ask_all()?;
            }
            let free = self.limiter.snapshot(QUOTA, self.rules).available_in;
            let idle = !self.waiting.is_empty() && free == Some(Duration::ZERO);
            prop_assert!(!idle, "callers wait at {} while there is a slot", self.now);
            let ends = self.pending.peek().map(|Reverse((at, _))| *at);
            let asks = self.waiting.iter().filter_map(|one| one.asks_at).min();
            let comes_at = next.map(|(_, gap)| comes + gap);
            let Some(at) = [ends, asks, comes_at].into_iter().flatten().min() else {
                prop_assert!(self.waiting.is_empty(), "a caller waits for ever");
                return Ok(());
            };
            self.clock.advance(Duration::from_nanos(at - self.now));
            self.now = at;
        }
    }
}

proptest! {
    #![proptest_config(config(OF_THE_OTHERS))]

    #[test]
    fn neither_rank_starves_and_no_call_is_refused(pattern in patterns()) {
        let rules = rules(&pattern);
        let clock = Arc::new(FakeClock::default());
        let limiter = &Arc::new(Limiter::new(Arc::<FakeClock>::clone(&clock)));
        let mut play = Play {
            clock,
            limiter,
            rules: &rules,
            now: 0,
            seed: pattern.seed | 1,
            waiting: Vec::new(),
            pending: BinaryHeap::new(),
            permits: pattern.arrivals.iter().map(|_| None).collect(),
            sent: Vec::new(),
            singles_in_a_row: 0,
            pattern: &pattern,
        };
        play.run()?;
        nothing_could_be_refused(&play.sent, &pattern.windows)?;
    }
}
