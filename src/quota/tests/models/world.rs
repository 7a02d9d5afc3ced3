//! The parts of every scenario: a limiter, time that passes, and callers that take a slot and settle it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use once_cell::sync::OnceCell;
use shuttle::thread::{self, Scope};

use super::random;
use super::shared::FlakyLedger;
use super::time::ModelClock;
use crate::call::Call;
use crate::os::sync::Mutex;
use crate::quota::clock::Clock;
use crate::quota::ledger::Ledger;
use crate::quota::limiter::{Limiter, Permit};
use crate::quota::limits::Limits;
use crate::quota::rules::Rules;
use crate::quota::snapshot::Refusal;
use crate::service::quota::Quota;

pub(super) const QUOTA: Quota = Quota::Collect;

pub(super) struct World {
    pub clock: Arc<ModelClock>,
    pub limiter: Arc<Limiter>,
    pub rules: Rules,
    pub shared: Arc<FlakyLedger>,
    /// The callers that got a slot, in order.
    pub served: Mutex<Vec<usize>>,
    limit: usize,
    /// The number of slots in use. It is no atomic of shuttle, which would add points for a switch of threads.
    busy: AtomicUsize,
}

/// Rules that admit this many calls per millisecond.
pub(super) fn rules(limit: usize) -> Rules {
    let limits = Limits::parse(&format!("{}={limit}/0.001", QUOTA.name())).unwrap();
    Rules { limits, ledger: OnceCell::new() }
}

/// A world that admits this many calls per millisecond.
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
    /// With a shared log that answers at random.
    pub(super) fn with_flaky_ledger(mut self) -> World {
        let ledger = Arc::clone(&self.shared) as Arc<dyn Ledger>;
        self.rules.ledger = OnceCell::with_value(ledger);
        self
    }

    /// Runs a scenario until all its threads have ended. Shuttle finds threads that sleep for ever.
    pub(super) fn run<'env>(&'env self, scenario: impl for<'s> FnOnce(&'s Scope<'s, 'env>)) {
        thread::scope(|time| {
            time.spawn(|| self.clock.run());
            thread::scope(scenario);
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

    /// Ends a call in a random way.
    pub(super) fn leave(&self, permit: Permit<'_>) {
        self.leave_as(permit, random(3));
    }

    /// Ends a call in this way.
    pub(super) fn leave_as(&self, permit: Permit<'_>, fate: u32) {
        self.busy.fetch_sub(1, Ordering::Relaxed);
        match fate {
            0 => permit.replied(),
            1 => permit.not_sent(),
            2 => drop(permit),
            _ => permit.throttled(&self.rules, Duration::from_millis(1)),
        }
    }

    /// Waits for a slot and ends the call. Returns whether it got a slot.
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
