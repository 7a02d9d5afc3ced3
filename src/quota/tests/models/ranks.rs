//! Callers of both ranks.

use std::sync::Arc;

use super::world::{QUOTA, World, world};
use super::{call, check, random};
use crate::call::{Call, Rank};
use crate::quota::clock::Clock;
use crate::quota::turn::{Step, Turn};

fn sweep() -> Call {
    call(None).into_sweep(true)
}

/// Every second caller is a sweep.
fn crowd(world: &World) {
    world.run(|scope| {
        for who in 0..4 {
            scope.spawn(move || {
                let call = if who % 2 == 0 { call(None) } else { sweep() };
                world.visit(who, &call)
            });
        }
    });
}

fn crowd_is_served(world: &World) {
    crowd(world);
    assert_eq!(world.served.lock().len(), 4);
}

#[test]
fn all_callers_of_both_ranks_get_a_slot() {
    check(|| crowd_is_served(&world(1)));
    check(|| crowd_is_served(&world(2)));
}

#[test]
fn a_shared_log_that_refuses_takes_no_singles_turn() {
    check(|| crowd(&world(1).with_flaky_ledger()));
    check(|| crowd(&world(2).with_flaky_ledger()));
}

/// A sweep comes first. All have come before a slot falls free. In a model any time may pass before a sweep comes for
/// its slot, so the last single may go ahead as well.
#[test]
fn three_singles_go_ahead_of_a_sweep() {
    check(|| {
        let world = &world(1);
        let held = world.enter(&call(None)).unwrap();
        world.run(|scope| {
            for who in 0..5 {
                let call = if who == 0 { sweep() } else { call(None) };
                let signal = Arc::clone(call.signal());
                scope.spawn(move || assert!(world.visit(who, &call)));
                world.clock.until_arrived(&signal);
            }
            world.leave(held);
        });
        let served = world.served.lock().clone();
        assert!(served == [1, 2, 3, 0, 4] || served == [1, 2, 3, 4, 0], "{served:?}");
    });
}

/// One thread keeps a place, asks now and then, and may leave with or without a slot. It blocks no other caller.
#[test]
fn a_place_that_is_left_blocks_no_other() {
    check(|| {
        let world = &world(1);
        world.run(|scope| {
            scope.spawn(|| {
                let call = sweep();
                let mut turn = Turn::new(&world.limiter, QUOTA, &world.rules, Rank::Sweep);
                for _ in 0..random(4) {
                    match turn.step(&call, true) {
                        Ok(Step::Ready(permit)) => permit.not_sent(),
                        Ok(Step::Wait { next, .. }) => {
                            world.clock.wait(&call, next.recheck_at).unwrap();
                        }
                        Err(refusal) => panic!("{refusal:?}"),
                    }
                }
            });
            for who in 0..3 {
                let call = if who == 0 { sweep() } else { call(None) };
                scope.spawn(move || assert!(world.visit(who, &call)));
            }
        });
    });
}
