//! What every story has: a limiter, time that passes, and callers who take a slot and give it back somehow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use once_cell::sync::OnceCell;
use shuttle::thread::{self, Scope};

use super::dice;
use super::shared::Moody;
use super::time::ModelClock;
use crate::call::Call;
use crate::os::sync::Mutex;
use crate::quota::clock::Clock;
use crate::quota::ledger::Ledger;
use crate::quota::limiter::{Limiter, Permit};
use crate::quota::limits::Limits;
use crate::quota::rules::Rules;
use crate::quota::snapshot::Refusal;
use crate::service::endpoint::Quota;

pub(super) const QUOTA: Quota = Quota::Collect;

pub(super) struct World {
    pub clock: Arc<ModelClock>,
    pub limiter: Arc<Limiter>,
    pub rules: Rules,
    pub shared: Arc<Moody>,
    /// Who got a slot, in this order; read when all have come back.
    pub served: Mutex<Vec<usize>>,
    limit: usize,
    /// How many have a slot. Not one of the model's own, which would be one more place to change threads at.
    busy: AtomicUsize,
}

/// So many calls in a millisecond.
pub(super) fn rules(limit: usize) -> Rules {
    let limits = Limits::parse(&format!("{}={limit}/0.001", QUOTA.name())).unwrap();
    Rules { limits, ledger: OnceCell::new() }
}

/// A world where so many calls go out per millisecond.
pub(super) fn world(limit: usize) -> World {
    let clock = Arc::new(ModelClock::default());
    World {
        limiter: Arc::new(Limiter::new(Arc::clone(&clock) as Arc<dyn Clock>)),
        clock,
        rules: rules(limit),
        shared: Arc::default(),
        served: Mutex::default(),
        limit,
        busy: AtomicUsize::new(0),
    }
}

impl World {
    /// With a shared log that has its moods.
    pub(super) fn with_moods(mut self) -> World {
        let ledger = Arc::clone(&self.shared) as Arc<dyn Ledger>;
        self.rules.ledger = OnceCell::with_value(ledger);
        self
    }

    /// Plays a story to its end. All threads must come to theirs: the checker finds those that sleep for ever.
    pub(super) fn tell<'env>(&'env self, story: impl for<'s> FnOnce(&'s Scope<'s, 'env>)) {
        thread::scope(|time| {
            time.spawn(|| self.clock.run());
            thread::scope(story);
            self.clock.end();
        });
        let left = self.limiter.snapshot(QUOTA, &self.rules);
        assert_eq!((left.in_flight, left.queued), (0, 0));
        assert!(self.shared.is_empty(), "a slot was not settled");
    }

    /// Waits for a slot.
    pub(super) fn enter(&self, call: &Call) -> Result<Permit<'_>, Refusal> {
        let permit = self.limiter.acquire(QUOTA, &self.rules, call, true);
        self.clock.arrive(call.signal());
        if permit.is_ok() {
            assert!(self.busy.fetch_add(1, Ordering::Relaxed) < self.limit, "too many at once");
        }
        permit
    }

    /// A call ends in one of the ways in which it can.
    pub(super) fn leave(&self, permit: Permit<'_>) {
        self.leave_as(permit, dice(3));
    }

    /// A call ends in this way.
    pub(super) fn leave_as(&self, permit: Permit<'_>, fate: u32) {
        self.busy.fetch_sub(1, Ordering::Relaxed);
        match fate {
            0 => permit.replied(),
            1 => permit.not_sent(),
            2 => drop(permit),
            _ => permit.throttled(&self.rules, Duration::from_millis(1)),
        }
    }

    /// A caller from beginning to end. Whether it got a slot.
    pub(super) fn visit(&self, who: usize, call: &Call) -> bool {
        let permit = self.enter(call);
        let got = permit.is_ok();
        if let Ok(permit) = permit {
            self.served.lock().push(who);
            self.leave(permit);
        }
        got
    }
}
