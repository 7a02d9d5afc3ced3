//! Which call polls for the group, and what is delivered to whom.

use std::sync::Arc;
use std::time::Instant;

use super::{INTERVAL, all_are, all_fail, broken, join, join_as, numbers};
use crate::operations::wait::member::Update;
use crate::operations::wait::poll::Target;
use crate::operations::wait::waiters::{NextStep, Waiter, Waiters};

fn targets(waiter: &Waiter, now: Instant) -> Vec<Target> {
    match waiter.next_step(now) {
        NextStep::Poll(targets) => targets,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_read_that_was_late_comes_last_in_the_next_poll() {
    let waiters = Arc::new(Waiters::default());
    let (first, _second) = (join(&waiters, 1), join(&waiters, 2));
    let now = Instant::now();
    let polled = targets(&first, now);
    first.round().was_read(&polled[0], now);
    let again = targets(&first, now + 2 * INTERVAL);
    assert_eq!((again[0].last_read.is_some(), again[1].last_read), (true, None));
    assert!(again[0].is_due, "the action is still waited for");
}

#[test]
fn one_poller_polls_for_all_and_hands_over() {
    let waiters = Arc::new(Waiters::default());
    let (first, second) = (join(&waiters, 1), join(&waiters, 2));
    let now = Instant::now();
    let polled = targets(&first, now);
    assert_eq!(polled.len(), 2);
    assert!(matches!(second.next_step(now), NextStep::Sleep(None)));
    all_are(&first, &polled, "Pending", now);
    // The poller hands over before it takes its update.
    assert!(matches!(first.next_step(now), NextStep::Take(Update::Seen(_), _)));
    assert!(matches!(second.next_step(now), NextStep::Take(Update::Seen(_), _)));
    assert!(matches!(second.next_step(now), NextStep::Sleep(Some(_))));
    assert!(matches!(first.next_step(now), NextStep::Sleep(None)));
    drop(second);
    assert!(matches!(first.next_step(now), NextStep::Sleep(Some(_))));
    assert_eq!(numbers(&targets(&first, now + 2 * INTERVAL)), [1]);
}

#[test]
fn a_new_waiter_waits_for_the_next_list() {
    let waiters = Arc::new(Waiters::default());
    let (first, _second) = (join(&waiters, 1), join(&waiters, 2));
    let now = Instant::now();
    targets(&first, now);
    let _third = join(&waiters, 3);
    drop(first.round());
    assert!(
        matches!(first.next_step(now + INTERVAL / 2), NextStep::Sleep(Some(at)) if at == now + INTERVAL)
    );
    assert_eq!(numbers(&targets(&first, now + INTERVAL)), [1, 2, 3]);
}

#[test]
fn a_failed_poll_is_not_repeated_at_once() {
    let waiters = Arc::new(Waiters::default());
    let only = join(&waiters, 1);
    let now = Instant::now();
    let polled = targets(&only, now);
    all_fail(&only, &polled, &broken(), now);
    assert!(matches!(only.next_step(now), NextStep::Take(Update::Failed(_), _)));
    assert!(matches!(only.next_step(now), NextStep::Sleep(Some(_))));
}

#[test]
fn a_failed_poll_reaches_only_the_pollers_client() {
    let waiters = Arc::new(Waiters::default());
    let (first, same) = (join(&waiters, 1), join(&waiters, 2));
    let other = join_as(&waiters, 2, 3);
    let now = Instant::now();
    let polled = targets(&first, now);
    all_fail(&first, &polled, &broken(), now);
    for waiter in [&first, &same] {
        assert!(matches!(waiter.next_step(now), NextStep::Take(Update::Failed(_), _)));
    }
    // A call of the other client is the poller now, and polls soon.
    assert!(matches!(other.next_step(now), NextStep::Sleep(Some(at)) if at <= now + INTERVAL));
    assert_eq!(numbers(&targets(&other, now + INTERVAL)), [1, 2, 3]);
}

#[test]
fn a_failure_does_not_replace_a_final_state() {
    let waiters = Arc::new(Waiters::default());
    let (first, second) = (join(&waiters, 1), join(&waiters, 2));
    let now = Instant::now();
    let polled = targets(&first, now);
    all_are(&first, &polled, "Succeeded", now);
    all_fail(&first, &polled, &broken(), now);
    assert!(matches!(second.next_step(now), NextStep::Take(Update::Seen(_), _)));
}

#[test]
fn a_poller_that_leaves_during_its_poll_is_replaced() {
    let waiters = Arc::new(Waiters::default());
    let (first, second) = (join(&waiters, 1), join(&waiters, 2));
    let now = Instant::now();
    targets(&first, now);
    drop(first);
    assert_eq!(numbers(&targets(&second, now + INTERVAL)), [2]);
    drop(second);
    assert!(waiters.state.lock().members.is_empty());
    assert_eq!(waiters.state.lock().poller, None);
}
