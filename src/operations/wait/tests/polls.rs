//! What one poll asks of the service, and what becomes of its answers.

use std::sync::Arc;
use std::time::Instant;

use super::{INTERVAL, Scripted, action, broken, join, join_with_many, record};
use crate::error::{Error, Result};
use crate::operations::wait::member::Update;
use crate::operations::wait::poll::poll;
use crate::operations::wait::waiters::{NextStep, Waiter, Waiters};
use crate::operations::wait::watcher::{Change, Step};
use crate::status::Status;

const PAGE: usize = 10_000;

/// A page with these actions, filled up with others.
fn page(records: &[String], is_full: bool) -> Result<String> {
    let mut records = records.to_vec();
    let others = if is_full { PAGE - records.len() } else { 2 };
    records.extend((0..others).map(|n| record(1_000_000 + n as u128, "Succeeded")));
    Ok(format!(r#"{{"value":[{}]}}"#, records.join(",")))
}

/// A call that follows these actions, which are due now.
fn following(
    waiters: &Arc<Waiters>,
    numbers: impl IntoIterator<Item = u32>,
    now: Instant,
) -> Waiter {
    let many = join_with_many(waiters, 1);
    numbers.into_iter().for_each(|number| many.follow(number, number.into(), None, now));
    many
}

fn poll_all(many: &Waiter, service: &Scripted) {
    let targets = many.poll_now(service.now.get()).unwrap();
    poll(service, many.round(), targets);
}

fn keys(many: &Waiter) -> Vec<u32> {
    match many.take_step() {
        Some(Step::Changes(changes)) => {
            let mut keys: Vec<u32> = changes.iter().map(|(key, _)| *key).collect();
            keys.sort_unstable();
            keys
        }
        None => Vec::new(),
        Some(other) => panic!("{other:?}"),
    }
}

#[test]
fn one_list_has_the_actions_of_all_calls() {
    let waiters = Arc::new(Waiters::default());
    let service =
        Scripted::new(vec![page(&[record(1, "Pending"), record(2, "InProgress")], false)]);
    let many = following(&waiters, [1, 2], service.now.get());
    let (same, other) = (following(&waiters, [2], service.now.get()), join(&waiters, 2));
    poll_all(&many, &service);
    assert_eq!((keys(&many), keys(&same)), (vec![1, 2], vec![2]));
    assert!(matches!(other.next_step(service.now.get()), NextStep::Take(Update::Seen(_), _)));
    assert_eq!((service.skips.take(), service.read.take()), (vec![0], vec![]));
}

/// A record of no use is not read as a whole, so only its id and its state matter.
#[test]
fn an_unchanged_record_costs_no_more_than_its_state() {
    let with = |status: &str| {
        let record = record(1, status);
        format!(r#"{},"type":"a","type":"b"}}"#, record.strip_suffix('}').unwrap())
    };
    for (status, fails) in [("Pending", false), ("InProgress", true)] {
        let waiters = Arc::new(Waiters::default());
        let service = Scripted::new(vec![page(&[with(status), record(2, "Pending")], false)]);
        let many = join_with_many(&waiters, 1);
        let now = service.now.get();
        for key in [1, 2] {
            many.follow(key, key.into(), Some(&action(key.into(), "Pending")), now);
        }
        service.now.set(now + INTERVAL);
        poll_all(&many, &service);
        let step = many.take_step();
        assert_eq!(matches!(step, Some(Step::PollFailed(_))), fails, "{status}: {step:?}");
    }
}

#[test]
fn further_pages_are_read_for_actions_that_are_due() {
    let now = Instant::now();
    let both = [record(1, "Pending"), record(2, "Pending")];
    let [first, second] = &both;
    let (first, second) = (std::slice::from_ref(first), std::slice::from_ref(second));
    for (pages, skips) in [
        (vec![page(&both, true)], vec![0]),
        (vec![page(first, true), page(second, true)], vec![0, PAGE]),
        (vec![page(first, true), page(&[], true), page(second, false)], vec![0, PAGE, 2 * PAGE]),
        // The list ends without it.
        (vec![page(first, true), page(&[], false)], vec![0, PAGE]),
    ] {
        let waiters = Arc::new(Waiters::default());
        let service = Scripted::new(pages);
        service.now.set(now);
        let many = following(&waiters, [1, 2], now);
        poll_all(&many, &service);
        assert_eq!(service.skips.take(), skips);
    }
    // One that is not due has its own time, and the list does not reach back for its sake.
    let waiters = Arc::new(Waiters::default());
    let service = Scripted::new(vec![page(first, true)]);
    service.now.set(now);
    let many = join_with_many(&waiters, 1);
    many.follow(1, 1, None, now);
    many.follow(2, 2, Some(&action(2, "Pending")), now);
    poll_all(&many, &service);
    assert_eq!(service.skips.take(), [0]);
    assert!(!service.filters.take()[0].contains("2026-01-24"), "that is its age");
    let service = Scripted::new(vec![page(&both, false)]);
    service.now.set(now + INTERVAL);
    poll_all(&many, &service);
    let filter =
        "type eq 'CollectInvestigationPackage' and creationDateTimeUtc ge 2026-01-24T22:17:01Z";
    assert_eq!(service.filters.take(), [filter]);
}

#[test]
fn the_pages_of_one_poll_are_limited() {
    let waiters = Arc::new(Waiters::default());
    let service = Scripted::new((0..20).map(|_| page(&[], true)).collect());
    let many = following(&waiters, [1, 2], service.now.get());
    poll_all(&many, &service);
    assert_eq!(service.skips.take().len(), 12);
}

#[test]
fn a_page_that_fails_takes_nothing_from_the_pages_before() {
    let waiters = Arc::new(Waiters::default());
    let service = Scripted::new(vec![page(&[record(1, "Pending")], true), Err(broken())]);
    let now = service.now.get();
    let many = following(&waiters, [1, 2], now);
    let (seen, unseen) = (join(&waiters, 1), join(&waiters, 2));
    poll_all(&many, &service);
    assert_eq!(keys(&many), [1]);
    assert!(matches!(many.take_step(), Some(Step::PollFailed(_))));
    assert!(matches!(seen.next_step(now), NextStep::Take(Update::Seen(_), _)));
    assert!(matches!(unseen.next_step(now), NextStep::Take(Update::Failed(_), _)));
    assert_eq!(service.read.take(), [0; 0], "a list that fails says nothing about what is absent");
}

#[test]
fn absent_actions_are_read_in_turn() {
    let waiters = Arc::new(Waiters::default());
    let mut now = Instant::now();
    let many = following(&waiters, 0..25, now);
    let mut read = Vec::new();
    for _ in 0..3 {
        let mut service = Scripted::new(vec![page(&[], false)]);
        service.now.set(now);
        service.reads = Box::new(|number| Some(Update::Seen(action(number, "Pending"))));
        poll_all(&many, &service);
        read.push(service.read.take().len());
        now += INTERVAL;
    }
    assert_eq!((read, keys(&many)), (vec![10, 10, 10], (0..25).collect()));
}

#[test]
fn a_late_read_ends_the_reads_of_a_poll() {
    let waiters = Arc::new(Waiters::default());
    let now = Instant::now();
    let many = following(&waiters, [1, 2, 3], now);
    let mut order = Vec::new();
    for round in 0..2 {
        let mut service = Scripted::new(vec![page(&[], false)]);
        service.now.set(now + round * INTERVAL);
        service.reads = Box::new(|number| (number != 1).then(|| Update::Failed(broken())));
        poll_all(&many, &service);
        order.extend(service.read.take());
        // The list has succeeded, but a read that fails counts more.
        let failed = matches!(many.take_step(), Some(Step::PollFailed(_)));
        assert_eq!((failed, many.take_step().is_some()), (round == 1, false));
    }
    assert_eq!(order, [1, 2, 3, 1]);
}

/// A lasting failure of one action must not hold up the others.
#[test]
fn one_unreadable_action_fails_alone() {
    let waiters = Arc::new(Waiters::default());
    let mut service = Scripted::new(vec![page(&[record(2, "Pending")], false)]);
    service.reads = Box::new(|_| Some(Update::Failed(Error::new(Status::Protocol, "odd"))));
    let many = following(&waiters, [1, 2], service.now.get());
    poll_all(&many, &service);
    let Some(Step::Changes(changes)) = many.take_step() else { panic!() };
    assert!(matches!(changes.as_slice(), [(2, Change::Waiting(_)), (1, Change::Failed(_))]));
    // What fails for the only action may come from a gateway, and so concern all.
    let many = following(&Arc::new(Waiters::default()), [1], service.now.get());
    poll_all(&many, &service);
    assert!(matches!(many.take_step(), Some(Step::PollFailed(_))));
}

#[test]
fn a_stop_during_a_poll_is_no_failure_of_an_action() {
    for numbers in [1..2, 1..4] {
        let waiters = Arc::new(Waiters::default());
        let mut service = Scripted::new(vec![Err(broken())]);
        service.reads = Box::new(|_| Some(Update::Failed(broken())));
        service.stopped.set(true);
        let many = following(&waiters, numbers, service.now.get());
        poll_all(&many, &service);
        assert!(many.take_step().is_none());
    }
    let waiters = Arc::new(Waiters::default());
    let mut service = Scripted::new(vec![page(&[], false)]);
    service.reads = Box::new(|_| Some(Update::Missing(broken())));
    service.stopped.set(true);
    let many = following(&waiters, 1..4, service.now.get());
    poll_all(&many, &service);
    assert_eq!(service.read.take().len(), 1);
    assert_eq!(keys(&many), [0; 0]);
}

/// So a call learns that its troubles are over.
#[test]
fn a_poll_without_news_is_reported_to_all_who_follow_many() {
    let waiters = Arc::new(Waiters::default());
    let mut now = Instant::now();
    let (many, other) = (following(&waiters, [1, 2], now), following(&waiters, [3], now));
    for round in 0..3 {
        let records = [1, 2, 3].map(|number| record(number, "Pending"));
        let mut service = Scripted::new(vec![page(&records, false)]);
        service.now.set(now);
        if round == 2 {
            service.pages = vec![Err(broken())];
        }
        poll_all(&many, &service);
        for waiter in [&many, &other] {
            match waiter.take_step() {
                Some(Step::Changes(changes)) => assert_eq!(changes.is_empty(), round == 1),
                Some(Step::PollFailed(_)) => assert_eq!(round, 2),
                step => panic!("{step:?}"),
            }
            assert!(waiter.take_step().is_none());
        }
        now += INTERVAL;
    }
    // So does a call that reads one action.
    other.unfollow(3);
    many.unfollow(2);
    let mut service = Scripted::new(Vec::new());
    service.now.set(now);
    service.reads = Box::new(|number| Some(Update::Seen(action(number, "Pending"))));
    poll_all(&many, &service);
    assert!(matches!(many.take_step(), Some(Step::Changes(changes)) if changes.is_empty()));
}
