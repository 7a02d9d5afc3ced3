//! Models of the waiting: short scenarios with a few threads, which shuttle runs many times with other schedules. The
//! limiter, its queue, permits and signals are those of the library. Only locks and clock belong to the model. A thread
//! that is never woken is found as a deadlock.
//!
//! `cargo test -p mde --lib models::` runs them. `MDE_MODEL_RUNS` is the number of schedules for
//! each scenario.

mod ranks;
mod shared;
mod time;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use shuttle::rand::Rng;
use shuttle::scheduler::DfsScheduler;
use shuttle::{Config, Runner};

use self::time::NoTime;
use self::world::{QUOTA, World, rules, world};
use crate::call::{Call, Cancel, Running, Signal, Stop};
use crate::os::sync::in_model;
use crate::quota::limiter::Limiter;
use crate::quota::snapshot::Refusal;

/// The default number of schedules for each of the two schedulers.
const RUNS: usize = 20_000;

fn runs() -> usize {
    let wished = std::env::var("MDE_MODEL_RUNS").ok();
    wished.map_or(RUNS, |runs| runs.parse().expect("MDE_MODEL_RUNS: a number"))
}

/// Runs the scenario under a random scheduler, and under PCT, which switches threads rarely. PCT finds defects that
/// need one thread to be far ahead of another.
fn check(scenario: fn()) {
    in_model(|| {
        shuttle::check_random(scenario, runs());
        shuttle::check_pct(scenario, runs(), 3);
    });
}

/// Runs the scenario under the random scheduler alone. PCT may starve the other threads, and then a thread that
/// rechecks would run for ever.
fn check_fairly(scenario: fn()) {
    in_model(|| shuttle::check_random(scenario, runs()));
}

/// Runs a scenario without random choices under every schedule. There must be fewer than `most`.
fn check_all(most: usize, scenario: fn()) {
    let runner = Runner::new(DfsScheduler::new(Some(most), false), Config::default());
    let orders = in_model(|| runner.run(scenario));
    assert!(orders > 1 && orders < most, "{orders} schedules");
}

/// A number below `n`, chosen by the scheduler.
fn random(n: u32) -> u32 {
    shuttle::rand::thread_rng().gen_range(0..n)
}

fn call(cancel: Option<&Cancel>) -> Call {
    Call::begin(&Arc::<Running>::default(), None, cancel)
}

fn crowd(world: &World) {
    world.run(|scope| {
        for who in 0..3 {
            scope.spawn(move || assert!(world.visit(who, &call(None))));
        }
    });
    assert_eq!(world.served.lock().len(), 3);
}

#[test]
fn all_concurrent_callers_get_a_slot() {
    check(|| crowd(&world(1)));
    check(|| crowd(&world(2)));
}

/// The first caller has its slot, and the others come one after the other.
#[test]
fn callers_are_served_in_the_order_they_came() {
    check(|| {
        let world = &world(1);
        let held = world.enter(&call(None)).unwrap();
        world.run(|scope| {
            scope.spawn(|| world.leave(held));
            for who in 0..3 {
                let call = call(None);
                let signal = Arc::clone(call.signal());
                scope.spawn(move || assert!(world.visit(who, &call)));
                world.clock.until_arrived(&signal);
            }
            // A caller that does not wait does not overtake.
            if let Ok(permit) = world.limiter.acquire(QUOTA, &world.rules, &call(None), false) {
                assert_eq!(world.served.lock().len(), 3);
                permit.not_sent();
            }
        });
        assert_eq!(*world.served.lock(), [0, 1, 2]);
    });
}

/// A caller leaves the queue, perhaps as the first. The callers after it are served.
#[test]
fn a_cancelled_caller_blocks_no_other() {
    check(|| {
        let world = &world(1);
        let cancel = &Cancel::new(None);
        let held = world.enter(&call(None)).unwrap();
        world.run(|scope| {
            scope.spawn(|| world.leave(held));
            let first = call(Some(cancel));
            let signal = Arc::clone(first.signal());
            scope.spawn(move || {
                match world.enter(&first) {
                    Ok(permit) => world.leave(permit),
                    Err(refusal) => assert!(matches!(refusal, Refusal::Stopped(Stop::Cancelled))),
                };
            });
            scope.spawn(|| cancel.trigger());
            if random(2) == 0 {
                world.clock.until_arrived(&signal);
            }
            for who in 1..3 {
                scope.spawn(move || assert!(world.visit(who, &call(None))));
            }
        });
    });
}

#[test]
fn a_caller_at_its_deadline_blocks_no_other() {
    check(|| {
        let world = &world(1);
        let held = world.enter(&call(None)).unwrap();
        world.run(|scope| {
            scope.spawn(|| world.leave(held));
            for who in 0..3 {
                scope.spawn(move || {
                    let call = call(None);
                    if who < 2 {
                        // Around the time at which a slot becomes free.
                        let micros = [0, 500, 2_001, 3_001, 5_000][random(5) as usize];
                        world.clock.set_deadline(&call, Duration::from_micros(micros));
                    }
                    let got = world.visit(who, &call);
                    assert!(got || who < 2);
                });
            }
        });
    });
}

#[test]
fn a_closed_endpoint_opens_for_all_callers() {
    check(|| {
        let world = &world(2);
        world.run(|scope| {
            for who in 0..3 {
                scope.spawn(move || assert!(world.visit(who, &call(None))));
            }
            scope.spawn(|| {
                let wait = Duration::from_millis(random(5).into());
                world.limiter.close(QUOTA, &world.rules, wait, None);
            });
        });
        assert_eq!(world.served.lock().len(), 3);
    });
}

/// After a 429 calls go out one at a time until one has a reply, however the others end.
#[test]
fn a_half_open_endpoint_admits_one_call_at_a_time_until_one_is_not_refused() {
    check(|| {
        let world = &world(3);
        let (busy, is_open) = (&AtomicUsize::new(0), &AtomicBool::new(false));
        world.limiter.close(QUOTA, &world.rules, Duration::from_millis(1), None);
        world.run(|scope| {
            for _ in 0..3 {
                scope.spawn(move || {
                    let permit = world.enter(&call(None)).unwrap();
                    let others = busy.fetch_add(1, Ordering::Relaxed);
                    assert!(others == 0 || is_open.load(Ordering::Relaxed), "{others} others");
                    shuttle::thread::yield_now();
                    busy.fetch_sub(1, Ordering::Relaxed);
                    let fate = random(4);
                    if fate == 0 {
                        is_open.store(true, Ordering::Relaxed);
                    }
                    world.leave_as(permit, fate);
                });
            }
        });
    });
}

/// A client shuts down while its callers wait, together with one of another client.
#[test]
fn shutting_down_ends_every_wait() {
    check(|| {
        let world = &world(1);
        let client = &Arc::<Running>::default();
        let held = world.enter(&call(None)).unwrap();
        world.run(|scope| {
            scope.spawn(|| world.leave(held));
            for who in 0..2 {
                scope.spawn(move || world.visit(who, &Call::begin(client, None, None)));
            }
            scope.spawn(|| assert!(client.close(Duration::MAX)));
            scope.spawn(|| assert!(world.visit(2, &call(None))));
        });
    });
}

/// The shared log works, refuses and fails at random. One caller may leave meanwhile.
fn flaky(world: &World) {
    let cancel = &Cancel::new(None);
    world.run(|scope| {
        for who in 0..3 {
            scope.spawn(move || {
                let call = call((who == 0).then_some(cancel));
                if who == 0 {
                    world.shared.excuse(&call);
                }
                world.visit(who, &call);
            });
        }
        scope.spawn(|| cancel.trigger());
    });
}

#[test]
fn a_shared_log_that_refuses_takes_no_callers_turn() {
    check(|| flaky(&world(1).with_flaky_ledger()));
    check(|| flaky(&world(2).with_flaky_ledger()));
}

/// The shared log is unavailable. The process admits its percentage of the limit of four, and all callers get a slot,
/// even if the log is back meanwhile.
fn unavailable(percent: u32, at_once: usize) {
    let world = &world(4).with_flaky_ledger();
    world.shared.set_unavailable(Some(percent));
    let busy = &AtomicUsize::new(0);
    world.run(|scope| {
        for _ in 0..3 {
            scope.spawn(move || {
                let permit = world.enter(&call(None)).unwrap();
                let others = busy.fetch_add(1, Ordering::Relaxed);
                assert!(others < at_once, "{others} others");
                shuttle::thread::yield_now();
                busy.fetch_sub(1, Ordering::Relaxed);
                world.leave(permit);
            });
        }
    });
}

#[test]
fn without_the_shared_log_all_callers_get_a_slot_within_a_part_of_the_limits() {
    check_fairly(|| unavailable(25, 1));
    check_fairly(|| unavailable(50, 2));
}

#[test]
fn a_shared_log_that_is_unavailable_for_a_while_takes_no_callers_turn() {
    check_fairly(|| {
        let world = &world(2).with_flaky_ledger();
        let cancel = &Cancel::new(None);
        world.run(|scope| {
            for who in 0..3 {
                scope.spawn(move || world.visit(who, &call((who == 0).then_some(cancel))));
            }
            scope.spawn(|| {
                world.shared.set_unavailable(Some(50));
                shuttle::thread::yield_now();
                world.shared.set_unavailable(None);
            });
            scope.spawn(|| cancel.trigger());
        });
    });
}

/// A signal wakes its sleeper, even if it comes just before the sleep.
#[test]
fn no_wake_is_lost_in_any_order() {
    check_all(10_000, || {
        let signal = &Signal::default();
        shuttle::thread::scope(|scope| {
            scope.spawn(|| signal.wake());
            signal.sleep(None);
        });
    });
}

#[test]
fn a_cancel_wakes_the_call_in_any_order() {
    check_all(10_000, || {
        let cancel = &Cancel::new(None);
        shuttle::thread::scope(|scope| {
            scope.spawn(|| cancel.trigger());
            assert_eq!(call(Some(cancel)).wait(None), Err(Stop::Cancelled));
        });
    });
}

/// One caller holds the only slot and another waits for it. The slot is released unused, so no time has to pass.
#[test]
fn the_smallest_wait_ends_in_any_order() {
    check_all(10_000, || {
        let limiter = &Arc::new(Limiter::new(Arc::new(NoTime)));
        let rules = &rules(1);
        let acquire = || limiter.acquire(QUOTA, rules, &call(None), true).unwrap();
        let held = acquire();
        shuttle::thread::scope(|scope| {
            scope.spawn(|| held.not_sent());
            acquire().not_sent();
        });
    });
}
