//! Calls that follow many actions, alone and beside calls that follow one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{INTERVAL, action, all_are, all_fail, broken, join, join_as, join_with_many, numbers};
use crate::account::Account;
use crate::call::{Call, Cancel};
use crate::error::{Error, Stage};
use crate::operations::wait::followed::Followed;
use crate::operations::wait::member::Update;
use crate::operations::wait::poll::Target;
use crate::operations::wait::verdict::{APPEARS_WITHIN, UNKNOWN_STATE_BOUND};
use crate::operations::wait::waiters::{NextStep, Waiter, Waiters};
use crate::operations::wait::watcher::{Change, Step, Watcher};
use crate::options::Options;
use crate::status::Status;
use crate::text::guid;

/// The keys and states, or the names of the errors.
fn changes(waiter: &Waiter) -> Vec<(u32, String)> {
    let shown = |change: &Change| match change {
        Change::Waiting(action) => action.status().name().to_owned(),
        Change::Succeeded(_) => "done".to_owned(),
        Change::Failed(error) => error.status().name().to_owned(),
    };
    match waiter.take_step() {
        None => Vec::new(),
        Some(Step::Changes(all)) => all.iter().map(|(key, it)| (*key, shown(it))).collect(),
        Some(other) => panic!("{other:?}"),
    }
}

fn change(waiter: &Waiter) -> Change {
    match waiter.take_step() {
        Some(Step::Changes(mut all)) => all.remove(0).1,
        other => panic!("{other:?}"),
    }
}

fn failure(waiter: &Waiter) -> Option<Status> {
    waiter.take_step().map(|step| match step {
        Step::PollFailed(error) => error.status(),
        other => panic!("{other:?}"),
    })
}

fn pairs<const N: usize>(pairs: [(u32, &str); N]) -> Vec<(u32, String)> {
    pairs.map(|(key, it)| (key, it.to_owned())).into()
}

fn followed(waiter: &Waiter) -> usize {
    let mut state = waiter.waiters.state.lock();
    state.member(waiter.number).unwrap().followed.len()
}

#[test]
fn only_changes_are_delivered_and_an_ended_action_is_followed_no_longer() {
    let waiters = Arc::new(Waiters::default());
    let many = join_with_many(&waiters, 1);
    let now = Instant::now();
    assert_eq!(many.poll_now(now).unwrap_err(), None, "nothing is followed");
    many.follow(7, 1, Some(&action(1, "Pending")), now);
    many.follow(8, 2, None, now);
    many.follow(9, 3, Some(&action(3, "Succeeded")), now);
    many.follow(10, 4, Some(&action(4, "Failed")), now);
    assert_eq!(changes(&many), pairs([(9, "done"), (10, "action_failed")]));
    let polled = many.poll_now(now).unwrap();
    assert_eq!(numbers(&polled), [1, 2]);
    all_are(&many, &polled, "Pending", now);
    assert_eq!(changes(&many), pairs([(8, "Pending")]), "the other one was known");
    let later = now + INTERVAL;
    assert_eq!(many.poll_now(now).unwrap_err(), Some(later));
    let polled = many.poll_now(later).unwrap();
    all_are(&many, &polled, "Pending", later);
    assert_eq!(changes(&many), []);
    let polled = many.poll_now(later + INTERVAL).unwrap();
    all_are(&many, &polled[..1], "TimeOut", later + INTERVAL);
    assert_eq!(changes(&many), pairs([(7, "action_timed_out")]));
    assert_eq!(followed(&many), 1);
    many.unfollow(8);
    many.unfollow(8);
    assert_eq!(many.poll_now(later + 99 * INTERVAL).unwrap_err(), None);
}

#[test]
fn an_action_that_took_the_place_of_another_gets_nothing_of_it() {
    let waiters = Arc::new(Waiters::default());
    let many = join_with_many(&waiters, 1);
    let now = Instant::now();
    many.follow(7, 1, None, now);
    let polled = many.poll_now(now).unwrap();
    many.follow(7, 2, None, now);
    all_are(&many, &polled, "Succeeded", now);
    assert_eq!((changes(&many), followed(&many)), (Vec::new(), 1));
}

/// It does other things between its steps, so nobody waits for it.
#[test]
fn the_polling_is_left_to_a_call_that_follows_one_action() {
    let waiters = Arc::new(Waiters::default());
    let many = join_with_many(&waiters, 1);
    let now = Instant::now();
    many.follow(0, 1, None, now);
    many.follow(1, 2, None, now);
    let polled = many.poll_now(now).unwrap();
    let one = join(&waiters, 3);
    assert!(matches!(one.next_step(now), NextStep::Sleep(None)), "the poll is under way");
    all_are(&many, &polled, "Pending", now);
    assert_eq!(changes(&many).len(), 2);
    assert_eq!(many.time_to_ask(), None, "the other one is the poller now");
    assert!(matches!(one.next_step(now), NextStep::Sleep(Some(at)) if at == now + INTERVAL));
    let NextStep::Poll(polled) = one.next_step(now + INTERVAL) else { panic!() };
    assert_eq!(polled.len(), 3);
    let signal = Arc::clone(&waiters.state.lock().members[0].signal);
    signal.take_wake();
    all_are(&one, &polled, "InProgress", now + INTERVAL);
    assert!(signal.take_wake(), "there is mail");
    assert_eq!(changes(&many), pairs([(0, "InProgress"), (1, "InProgress")]));
    // While that one reports, the other may poll.
    assert!(matches!(one.next_step(now + INTERVAL), NextStep::Take(..)));
    assert!(signal.take_wake(), "there is no poller");
    assert_eq!(many.time_to_ask(), Some(now + 2 * INTERVAL));
    assert!(many.poll_now(now + 2 * INTERVAL).is_ok());
}

#[test]
fn the_poller_is_woken_for_an_action_that_is_due_sooner() {
    let waiters = Arc::new(Waiters::default());
    let signal = Arc::default();
    let one = waiters.join(1, &guid::text(1), &signal, INTERVAL, Some(&action(1, "Pending")));
    let now = Instant::now();
    assert!(matches!(one.next_step(now), NextStep::Sleep(Some(_))));
    signal.take_wake();
    let many = join_with_many(&waiters, 1);
    many.follow(0, 2, Some(&action(2, "Pending")), now + INTERVAL);
    assert!(!signal.take_wake());
    many.follow(1, 3, None, now);
    assert!(signal.take_wake());
}

/// It would have to wait for the list after this one.
#[test]
fn an_action_that_is_due_a_moment_later_is_polled_as_well() {
    let waiters = Arc::new(Waiters::default());
    let many = join_with_many(&waiters, 1);
    let (before, now) = (Instant::now(), Instant::now() + 2 * INTERVAL / 3);
    many.follow(0, 1, Some(&action(1, "Pending")), before);
    many.follow(1, 2, None, now);
    many.follow(2, 3, Some(&action(3, "Pending")), now);
    let due: Vec<bool> = many.poll_now(now).unwrap().iter().map(|one| one.is_due).collect();
    assert_eq!(due, [true, true, false]);
}

#[test]
fn of_two_calls_with_many_actions_either_polls_for_both() {
    let waiters = Arc::new(Waiters::default());
    let (first, second) = (join_with_many(&waiters, 1), join_with_many(&waiters, 2));
    let now = Instant::now();
    first.follow(0, 1, None, now);
    second.follow(0, 1, None, now);
    let polled = first.poll_now(now).unwrap();
    assert_eq!(second.poll_now(now).unwrap_err(), None);
    let signal = Arc::clone(&waiters.state.lock().members[1].signal);
    all_are(&first, &polled, "Pending", now);
    assert!(signal.take_wake());
    for waiter in [&first, &second] {
        assert_eq!(changes(waiter), pairs([(0, "Pending")]));
        assert_eq!(waiter.time_to_ask(), Some(now + INTERVAL));
    }
    second.poll_now(now + INTERVAL).unwrap();
    drop(second);
    assert_eq!(first.time_to_ask(), Some(now + INTERVAL), "one that has left is no poller");
    let third = join_with_many(&waiters, 1);
    third.follow(0, 2, None, now);
    drop(third);
    assert_eq!(first.time_to_ask(), Some(now + INTERVAL), "nor are its actions due");
}

#[test]
fn a_failed_poll_is_reported_once_and_not_repeated_at_once() {
    let waiters = Arc::new(Waiters::default());
    let many = join_with_many(&waiters, 1);
    let now = Instant::now();
    (0..9).for_each(|key| many.follow(key, key.into(), None, now));
    let polled = many.poll_now(now).unwrap();
    all_are(&many, &polled[..2], "Pending", now);
    all_fail(&many, &polled[2..], &broken(), now);
    assert_eq!(changes(&many).len(), 2);
    assert_eq!(failure(&many), Some(Status::Broken));
    assert_eq!(failure(&many), None);
    assert_eq!((many.time_to_ask(), followed(&many)), (Some(now + INTERVAL), 9));
}

/// A call with many actions does not wait for its quota, so that it finds none says nothing about other calls.
#[test]
fn a_full_quota_of_a_call_with_many_actions_concerns_no_other_call() {
    let waiters = Arc::new(Waiters::default());
    let (many, one) = (join_with_many(&waiters, 1), join(&waiters, 3));
    let now = Instant::now();
    many.follow(0, 1, None, now);
    for (error, reaches) in [(Error::new(Status::RateLimited, "full"), false), (broken(), true)] {
        waiters.state.lock().poller = None;
        let at = now + if reaches { INTERVAL } else { Duration::ZERO };
        let polled = many.poll_now(at).unwrap();
        all_fail(&many, &polled, &error, at);
        assert_eq!(failure(&many), Some(error.status()));
        let step = one.next_step(at);
        assert_eq!(matches!(step, NextStep::Take(Update::Failed(_), _)), reaches, "{step:?}");
        assert_eq!(many.time_to_ask().is_none(), !reaches, "the other one is the poller");
    }
}

/// The poller goes on failing, so the other client has to poll even if its call follows many actions.
#[test]
fn a_client_that_fails_alone_leaves_the_polling_to_another_client() {
    let waiters = Arc::new(Waiters::default());
    let (one, many) = (join_as(&waiters, 1, 3), join_with_many(&waiters, 2));
    let now = Instant::now();
    many.follow(0, 1, None, now);
    let NextStep::Poll(polled) = one.next_step(now) else { panic!() };
    all_fail(&one, &polled, &broken(), now);
    assert!(matches!(one.next_step(now), NextStep::Take(Update::Failed(_), _)));
    assert!(matches!(one.next_step(now), NextStep::Sleep(None)), "the other is the poller");
    assert_eq!(many.poll_now(now).unwrap_err(), Some(now + INTERVAL));
    let polled = many.poll_now(now + INTERVAL).unwrap();
    all_are(&many, &polled, "Pending", now + INTERVAL);
    assert!(matches!(one.next_step(now + INTERVAL), NextStep::Take(Update::Seen(_), _)));
    // It is not kept waiting by a call that has nothing to follow any more.
    waiters.state.lock().poller = Some(many.number);
    many.unfollow(0);
    assert!(matches!(one.next_step(now + INTERVAL), NextStep::Sleep(Some(_))));
}

fn deliver(waiter: &Waiter, polled: &[Target], update: Update, now: Instant) {
    waiter.round().deliver(&polled[0], update, now);
}

#[test]
fn a_missing_action_and_an_unknown_state_are_borne_for_a_while() {
    let waiters = Arc::new(Waiters::default());
    let many = join_with_many(&waiters, 1);
    let now = Instant::now();
    let missing = || Update::Missing(Error::new(Status::NotFound, "no such action"));
    many.follow(0, 1, None, now);
    let polled = many.poll_now(now).unwrap();
    deliver(&many, &polled, missing(), now);
    deliver(&many, &polled, missing(), now + APPEARS_WITHIN / 2);
    deliver(&many, &polled, Update::Seen(action(1, "Pending")), now + APPEARS_WITHIN);
    assert_eq!(changes(&many), pairs([(0, "Pending")]));
    // Even a state that is known already ends the time of absence.
    deliver(&many, &polled, missing(), now + APPEARS_WITHIN);
    assert!(many.round().is_known(&polled[0], action(1, "Pending").status(), now));
    deliver(&many, &polled, missing(), now + 2 * APPEARS_WITHIN);
    assert_eq!(changes(&many), []);
    deliver(&many, &polled, missing(), now + 3 * APPEARS_WITHIN);
    let Change::Failed(error) = change(&many) else { panic!() };
    assert_eq!((error.status(), error.stage()), (Status::NotFound, Some(Stage::Wait)));
    assert!(error.to_json().contains(&guid::text(1)), "{}", error.to_json());
    assert_eq!(followed(&many), 0);

    many.follow(1, 2, Some(&action(2, "Pending")), now);
    let polled = many.poll_now(now + 9 * INTERVAL).unwrap();
    let odd = || Update::Seen(action(2, "Odd"));
    deliver(&many, &polled, odd(), now);
    deliver(&many, &polled, odd(), now + UNKNOWN_STATE_BOUND / 2);
    assert!(!many.round().is_known(&polled[0], action(2, "Odd").status(), now));
    assert_eq!(changes(&many), pairs([(1, "Odd")]));
    deliver(&many, &polled, odd(), now + UNKNOWN_STATE_BOUND);
    let Change::Failed(error) = change(&many) else { panic!() };
    assert_eq!((error.status(), error.last_seen().is_some()), (Status::Protocol, true));
}

#[test]
fn a_reply_of_no_use_is_that_of_the_action_and_a_refusal_that_of_all() {
    let waiters = Arc::new(Waiters::default());
    let many = join_with_many(&waiters, 1);
    let now = Instant::now();
    many.follow(0, 1, None, now);
    let polled = many.poll_now(now).unwrap();
    for status in [Status::Broken, Status::Forbidden, Status::Unauthorized] {
        deliver(&many, &polled, Update::Failed(Error::new(status, "no")), now);
        assert_eq!(failure(&many), Some(status));
    }
    deliver(&many, &polled, Update::Failed(Error::new(Status::Protocol, "odd")), now);
    assert_eq!(changes(&many), pairs([(0, "protocol")]));
}

/// All that is kept of an action is its place in the list of its call.
#[test]
fn an_action_takes_little_memory() {
    const MANY: u32 = 10_000;
    let waiters = Arc::new(Waiters::default());
    let many = join_with_many(&waiters, 1);
    let now = Instant::now();
    for key in 0..MANY {
        many.follow(key, key.into(), Some(&action(key.into(), "Pending")), now);
    }
    let kept = || {
        let mut state = waiters.state.lock();
        state.member(many.number).unwrap().followed.capacity() * size_of::<Followed>()
    };
    let bytes = kept() / MANY as usize;
    assert!(bytes <= 300, "{bytes} bytes");
    let before = kept();
    let later = now + 16 * INTERVAL;
    let polled = many.poll_now(later).unwrap();
    let round = many.round();
    let status = action(0, "Pending").status().clone();
    assert!(polled.iter().all(|one| round.is_known(one, &status, later)));
    drop(round);
    assert_eq!((kept(), changes(&many).len()), (before, 0));
    assert_eq!(many.time_to_ask(), Some(later + 2 * INTERVAL), "the pauses grow");
}

/// It has its client's failures like any other call: here nothing listens at the service's address.
#[test]
fn a_watcher_adds_removes_and_polls() {
    let mut options = Options::default();
    for (name, value) in [
        ("access_token", "x"),
        ("api_url", "http://127.0.0.1:9"),
        ("max_retries", "0"),
        ("poll_interval_ms", "15000"),
        ("proxy", "none"),
    ] {
        options.set(name, value).unwrap();
    }
    let account = Account::new(options.settings()).unwrap();
    let cancel = Cancel::new(None);
    let call = Arc::new(Call::begin(&Arc::default(), None, Some(&cancel)));
    let mut watcher = Watcher::new(&account, &call);
    let now = Instant::now();
    assert!(matches!(watcher.step(now), Step::Idle(None)));
    watcher.add(1, &action(1, "Succeeded"));
    watcher.add(2, &action(2, "Pending"));
    let Step::Changes(changes) = watcher.step(now) else { panic!() };
    assert!(matches!(changes.as_slice(), [(1, Change::Succeeded(_))]));
    assert!(matches!(watcher.step(now), Step::Idle(Some(at)) if at > now + INTERVAL / 2));
    watcher.add_unseen(3, &guid::text(3));
    let Step::PollFailed(error) = watcher.step(Instant::now()) else { panic!() };
    assert_eq!(error.status(), Status::Connect);
    assert!(matches!(watcher.step(Instant::now()), Step::Idle(Some(_))));
    watcher.remove(2);
    watcher.remove(3);
    assert!(matches!(watcher.step(now + 99 * INTERVAL), Step::Idle(None)));
    cancel.trigger();
    let Step::PollFailed(error) = watcher.step(now) else { panic!() };
    assert_eq!((error.status(), error.stage()), (Status::Cancelled, Some(Stage::Wait)));
}
