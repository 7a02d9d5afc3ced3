//! Models of the waiting: short stories with a few threads, told again and again with the threads running in
//! other orders. The limiter, its queue, permits and signals are those of the library; only the locks below
//! them and the clock are the model's. A thread that nobody wakes any more is found as a deadlock.
//!
//! Run by `cargo test -p mde --lib --features shuttle models::`; `MDE_MODEL_RUNS` says how often each story is
//! told.

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
use crate::quota::limiter::Limiter;
use crate::quota::snapshot::Refusal;

/// In how many orders each story is told, once by each of two ways to choose them.
const RUNS: usize = 20_000;

fn runs() -> usize {
    let wished = std::env::var("MDE_MODEL_RUNS").ok();
    wished.map_or(RUNS, |runs| runs.parse().expect("MDE_MODEL_RUNS: a number"))
}

/// Tells the story in random orders, and in orders that change threads at few places only (PCT), which find
/// what needs one thread to get far ahead of another.
fn check(story: fn()) {
    shuttle::check_random(story, runs());
    shuttle::check_pct(story, runs(), 3);
}

/// For stories in which somebody looks again now and then, which goes on for ever if the others never have their
/// turn, as with PCT: in random orders alone.
fn check_fairly(story: fn()) {
    shuttle::check_random(story, runs());
}

/// Tells a story without dice in every order there is, of which there must be fewer than `most`.
fn check_all(most: usize, story: fn()) {
    let runner = Runner::new(DfsScheduler::new(Some(most), false), Config::default());
    let orders = runner.run(story);
    assert!(orders > 1 && orders < most, "told in {orders} orders");
}

/// Less than `n`, chosen by the checker.
fn dice(n: u32) -> u32 {
    shuttle::rand::thread_rng().gen_range(0..n)
}

fn call(cancel: Option<&Cancel>) -> Call {
    Call::begin(&Arc::<Running>::default(), None, cancel)
}

fn crowd(world: &World) {
    world.tell(|scope| {
        for who in 0..3 {
            scope.spawn(move || assert!(world.visit(who, &call(None))));
        }
    });
    assert_eq!(world.served.lock().len(), 3);
}

#[test]
fn everybody_in_a_crowd_gets_a_slot() {
    check(|| crowd(&world(1)));
    check(|| crowd(&world(2)));
}

/// The first has its slot; the others come one after the other.
#[test]
fn callers_are_served_in_the_order_they_came() {
    check(|| {
        let world = &world(1);
        let held = world.enter(&call(None)).unwrap();
        world.tell(|scope| {
            scope.spawn(|| world.leave(held));
            for who in 0..3 {
                let call = call(None);
                let signal = Arc::clone(call.signal());
                scope.spawn(move || assert!(world.visit(who, &call)));
                world.clock.until_arrived(&signal);
            }
            // Who will not wait does not slip in between.
            if let Ok(permit) = world.limiter.acquire(QUOTA, &world.rules, &call(None), false) {
                assert_eq!(world.served.lock().len(), 3);
                permit.not_sent();
            }
        });
        assert_eq!(*world.served.lock(), [0, 1, 2]);
    });
}

/// Somebody who is next or was next goes away; whoever comes behind is served nevertheless.
#[test]
fn a_caller_who_is_cancelled_stands_in_nobodys_way() {
    check(|| {
        let world = &world(1);
        let cancel = &Cancel::new(None);
        let held = world.enter(&call(None)).unwrap();
        world.tell(|scope| {
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
            if dice(2) == 0 {
                world.clock.until_arrived(&signal);
            }
            for who in 1..3 {
                scope.spawn(move || assert!(world.visit(who, &call(None))));
            }
        });
    });
}

#[test]
fn a_caller_whose_time_is_up_stands_in_nobodys_way() {
    check(|| {
        let world = &world(1);
        let held = world.enter(&call(None)).unwrap();
        world.tell(|scope| {
            scope.spawn(|| world.leave(held));
            for who in 0..3 {
                scope.spawn(move || {
                    let call = call(None);
                    if who < 2 {
                        // Around the time at which a slot falls free.
                        let micros = [0, 500, 2_001, 3_001, 5_000][dice(5) as usize];
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
fn a_closed_endpoint_opens_for_everybody() {
    check(|| {
        let world = &world(2);
        world.tell(|scope| {
            for who in 0..3 {
                scope.spawn(move || assert!(world.visit(who, &call(None))));
            }
            scope.spawn(|| {
                let wait = Duration::from_millis(dice(5).into());
                world.limiter.close(QUOTA, &world.rules, wait, None);
            });
        });
        assert_eq!(world.served.lock().len(), 3);
    });
}

/// After a 429 callers go out one at a time until one of them has a reply, however the others end.
#[test]
fn a_half_open_endpoint_lets_one_call_out_until_one_is_not_refused() {
    check(|| {
        let world = &world(3);
        let (busy, is_open) = (&AtomicUsize::new(0), &AtomicBool::new(false));
        world.limiter.close(QUOTA, &world.rules, Duration::from_millis(1), None);
        world.tell(|scope| {
            for _ in 0..3 {
                scope.spawn(move || {
                    let permit = world.enter(&call(None)).unwrap();
                    let others = busy.fetch_add(1, Ordering::Relaxed);
                    assert!(others == 0 || is_open.load(Ordering::Relaxed), "{others} others");
                    shuttle::thread::yield_now();
                    busy.fetch_sub(1, Ordering::Relaxed);
                    let fate = dice(4);
                    if fate == 0 {
                        is_open.store(true, Ordering::Relaxed);
                    }
                    world.leave_as(permit, fate);
                });
            }
        });
    });
}

/// A client goes down while its callers wait, beside one of another client.
#[test]
fn shutting_down_ends_every_wait() {
    check(|| {
        let world = &world(1);
        let client = &Arc::<Running>::default();
        let held = world.enter(&call(None)).unwrap();
        world.tell(|scope| {
            scope.spawn(|| world.leave(held));
            for who in 0..2 {
                scope.spawn(move || world.visit(who, &Call::begin(client, None, None)));
            }
            scope.spawn(|| assert!(client.close(Duration::MAX)));
            scope.spawn(|| assert!(world.visit(2, &call(None))));
        });
    });
}

/// The shared log refuses, fails and takes turns with working; one caller may go away meanwhile.
fn moody(world: &World) {
    let cancel = &Cancel::new(None);
    world.tell(|scope| {
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
fn a_shared_log_that_refuses_takes_nobodys_turn() {
    check(|| moody(&world(1).with_moods()));
    check(|| moody(&world(2).with_moods()));
}

/// The log is away: of four at once, only as many as its percentage allows go on alone, and everybody comes
/// through, also if it is back in the middle of it.
fn alone(percent: u32, at_once: usize) {
    let world = &world(4).with_moods();
    world.shared.set_away(Some(percent));
    let busy = &AtomicUsize::new(0);
    world.tell(|scope| {
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
fn without_the_shared_log_everybody_comes_through_with_a_part_of_the_limits() {
    check_fairly(|| alone(25, 1));
    check_fairly(|| alone(50, 2));
}

#[test]
fn a_shared_log_that_goes_and_comes_takes_nobodys_turn() {
    check_fairly(|| {
        let world = &world(2).with_moods();
        let cancel = &Cancel::new(None);
        world.tell(|scope| {
            for who in 0..3 {
                scope.spawn(move || world.visit(who, &call((who == 0).then_some(cancel))));
            }
            scope.spawn(|| {
                world.shared.set_away(Some(50));
                shuttle::thread::yield_now();
                world.shared.set_away(None);
            });
            scope.spawn(|| cancel.trigger());
        });
    });
}

/// All there is to a sleep: whoever is woken wakes, also if that was just before.
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
fn nobody_sleeps_through_a_stop_in_any_order() {
    check_all(10_000, || {
        let cancel = &Cancel::new(None);
        shuttle::thread::scope(|scope| {
            scope.spawn(|| cancel.trigger());
            assert_eq!(call(Some(cancel)).wait(None), Err(Stop::Cancelled));
        });
    });
}

/// One slot, one who has it, one who wants it. The slot comes back unused, so that no time has to pass.
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
