//! Thousands of orders of requests, losses and lists, in virtual time: whether a collection is started twice, and whether
//! what is reported is true.
//!
//! `MDE_TEST_SEED` repeats a run.

mod model;

use std::collections::BTreeMap;

use self::model::{DEVICE, Model, OURS, Plan};
use super::*;
use crate::account::turn::TurnStep;
use crate::account::turn::tests::{account, service};
use crate::call::Stop;
use crate::service::quota::Quota;

/// How an order ended, and what it met: how many orders share it.
type Tally = BTreeMap<String, u32>;

/// What holds for all orders of a test.
struct Promise {
    /// The most collections that our requests start.
    most: fn(requests: u32) -> usize,
    /// The list shows a collection within [`LAG`], and requests do not cross.
    is_kept: bool,
}

const ONE: Promise = Promise { most: |_| 1, is_kept: true };

fn seed() -> u64 {
    std::env::var("MDE_TEST_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap())
}

fn choices(random: &mut fastrand::Rng) -> Choices {
    Choices {
        on_duplicate: if random.bool() { OnDuplicate::Adopt } else { OnDuplicate::Error },
        on_unknown: if random.u8(..5) > 0 { OnUnknown::Resend } else { OnUnknown::Report },
        max_retries: random.u32(..6),
    }
}

/// A plan in which the service keeps its word.
fn plan(random: &mut fastrand::Rng) -> Plan {
    let start = Duration::from_secs(3_600);
    let within =
        |random: &mut fastrand::Rng, s: u64| start + Duration::from_millis(random.u64(..s * 1_000));
    let others = (0..random.usize(..3)).map(|_| within(random, 300)).collect();
    let stop = match random.u8(..6) {
        0 => Some((within(random, 120), Stop::Cancelled)),
        1 => Some((within(random, 300), Stop::Deadline)),
        _ => None,
    };
    Plan {
        late: 0,
        late_s: 0..=0,
        slow_slots: 20,
        slot_ms: 0..=60_000,
        lost_before: random.u8(..40),
        lost_after: random.u8(..40),
        nothing_done: random.u8(..10),
        // Collections that fail or are cancelled at once are among them.
        life_ms: 1..=*random.choice(&[2_000, 60_000, 600_000]).unwrap(),
        lag_ms: 0..=10_000,
        failing_lists: if random.bool() { 0 } else { random.u8(..60) },
        others,
        stop,
    }
}

/// Plays one order: a call, and up to two later ones with the state file of a fetch. Returns what it met.
fn play(seed: u64, plan: Plan, choices: Choices, promise: &Promise, tally: &mut Tally) {
    let mut random = fastrand::Rng::with_seed(seed ^ 1);
    let mut model = Model::new(seed, plan);
    if random.u8(..4) == 0 {
        let age = random.u64(601..1_200);
        let life = Duration::from_secs(random.u64(..1_500));
        model.add_earlier(Duration::from_secs(3_600 - age), life);
    }
    let mut open_since = None;
    for _ in 0..3 {
        let requests = Requests { machine_id: DEVICE, comments: vec![OURS], open_since };
        let (requests_before, lists_before) = {
            let state = model.state();
            (state.requests, state.lists)
        };
        let began = model.state().now;
        let first = model.now().1;
        let job = || Job::new(&model, &requests, choices);
        // As a fetch does.
        let found = open_since.map_or(Ok(None), |_| job().search(Duration::ZERO, false));
        let outcome = match found {
            Ok(Some(found)) => Ok(found.collected()),
            Ok(None) => job().run(),
            Err(error) => Err(error),
        };
        check(&model, began, &outcome, choices, promise, open_since.is_some());
        {
            let state = model.state();
            let sent = state.requests - requests_before;
            let polls = state.lists - lists_before;
            let most = PAUSES.len() as u32;
            assert!(sent <= choices.max_retries + 1, "{sent} requests");
            assert!(choices.on_unknown == OnUnknown::Resend || sent <= 1, "{sent} requests");
            // One more where a slot was slow, and another one where that failed.
            assert!(polls <= (most + 2) * (sent + 1), "{polls} polls, {sent} requests");
            if sent > 1 {
                *tally.entry("sent again".to_owned()).or_default() += 1;
            }
        }
        let how = match &outcome {
            Ok(collected) if collected.adopted => "adopted".to_owned(),
            Ok(_) => "answered".to_owned(),
            Err(error) if model.call().is_unsettled() => {
                format!("unknown: {}", error.status().name())
            }
            Err(error) => error.status().name().to_owned(),
        };
        *tally.entry(how).or_default() += 1;
        if outcome.is_ok() || !(model.call().is_unsettled() || open_since.is_some()) {
            break;
        }
        open_since = open_since.or(Some(first));
        model = model.next_call(Duration::from_secs(random.u64(..600)));
    }
    // Whatever is on its way arrives.
    let model = model.next_call(Duration::from_secs(3_600));
    let state = model.state();
    for met in &state.met {
        *tally.entry((*met).to_owned()).or_default() += 1;
    }
    let ours = state.collections.iter().filter(|one| one.is_ours).count();
    assert!(ours <= (promise.most)(state.requests), "{ours} collections: {state:#?}");
    for one in &state.collections {
        let others = state.collections.iter().filter(|other| other.id != one.id);
        let at_once =
            others.filter(|other| other.created <= one.created && one.created < other.ended);
        assert_eq!(at_once.count(), 0, "{state:#?}");
    }
}

/// Compares what the call reports with what the service did.
fn check(
    model: &Model,
    began: Duration,
    outcome: &Result<Collected>,
    choices: Choices,
    promise: &Promise,
    is_later: bool,
) {
    let state = model.state();
    let mut ours = state.collections.iter().filter(|one| one.is_ours);
    match outcome {
        Ok(Collected { action, adopted, service_date }) => {
            assert!(service_date.is_some());
            let one = state.collections.iter().find(|one| one.id == action.id()).unwrap();
            if !one.is_ours {
                assert!(adopted, "{one:?}");
                assert_eq!(choices.on_duplicate, OnDuplicate::Adopt, "{one:?}");
                assert!(one.ended > began, "it had ended before the call: {one:?}");
            }
            assert!(!model.call().is_unsettled());
        }
        Err(error) if model.call().is_unsettled() => {
            if error.is_stop() || !promise.is_kept || state.plan.failing_lists > 0 {
                return;
            }
            let (last_list, requests_before) = state.last_list.unwrap_or_default();
            assert_eq!(requests_before, state.requests, "no list after the last request: {error}");
            let could_tell = ours.find(|one| one.listed <= last_list);
            assert!(could_tell.is_none(), "the list shows {could_tell:?}: {error}");
            let is_final = error.http_status().is_some_and(|it| matches!(it, 403 | 429));
            let refused =
                is_final || error.attempts_made().is_none() || error.message().contains("not sent");
            let exhausted = choices.on_unknown == OnUnknown::Report
                || error.attempts_made() == Some(choices.max_retries + 1);
            let hurried = state.plan.stop.is_some();
            assert!(refused || exhausted || hurried, "given up early: {error:?} {state:#?}");
        }
        Err(_) if is_later => {}
        Err(error) => {
            // A collection of others is an answer, whatever is on its way.
            let is_theirs = error.status() == Status::AlreadyRunning;
            assert!(is_theirs || !state.is_on_the_way(), "{error}: {state:#?}");
            assert!(ours.next().is_none() || !promise.is_kept, "{error}: {state:#?}");
        }
    }
}

fn run(orders: u64, change: fn(&mut fastrand::Rng, &mut Plan), promise: &Promise) -> Tally {
    let first = seed();
    let mut tally = Tally::new();
    for number in 0..orders {
        let seed = first.wrapping_add(number);
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut plan, choices) = (plan(&mut random), choices(&mut random));
        change(&mut random, &mut plan);
        let shown = format!("MDE_TEST_SEED={seed} {plan:?} {choices:?}");
        let played = std::panic::catch_unwind(|| {
            let mut tally = Tally::new();
            play(seed, plan, choices, promise, &mut tally);
            tally
        });
        match played {
            Ok(met) => {
                met.into_iter().for_each(|(what, count)| *tally.entry(what).or_default() += count)
            }
            Err(_) => panic!("{shown}"),
        }
    }
    tally
}

#[track_caller]
fn has_met(tally: &Tally, all: &[&str]) {
    for what in all {
        assert!(tally.get(*what).is_some_and(|count| *count > 20), "{what}: {tally:#?}");
    }
}

/// Also if collections end at once, within the lag of the list.
#[test]
fn while_the_service_keeps_its_word_at_most_one_collection_is_started() {
    let tally = run(20_000, |_, _| {}, &ONE);
    has_met(
        &tally,
        &[
            "answered",
            "adopted",
            "sent again",
            "a slow slot",
            "400",
            "201 with the running one",
            "a lost request joins",
            "another joins ours",
            "already_running",
            "unknown: outcome_unknown",
            "unknown: deadline",
            "unknown: cancelled",
            "forbidden",
        ],
    );
}

#[test]
fn requests_that_cross_within_the_life_of_a_collection_start_one() {
    let late = |random: &mut fastrand::Rng, plan: &mut Plan| {
        (plan.late, plan.late_s) = (random.u8(10..40), 0..=60);
        (plan.lost_before, plan.lost_after) = (10, 10);
        plan.life_ms = 900_000..=3_600_000;
    };
    // The outcome of a request that is still on its way is not known, whatever the list shows.
    let tally = run(10_000, late, &Promise { most: |_| 1, is_kept: false });
    has_met(&tally, &["a late request joins", "adopted", "sent again", "unknown: outcome_unknown"]);
}

#[test]
fn a_list_that_lags_longer_makes_no_second_collection_while_one_runs() {
    let lagging = |_: &mut fastrand::Rng, plan: &mut Plan| {
        plan.lag_ms = 0..=300_000;
        plan.life_ms = 7_200_000..=9_000_000;
        plan.others.clear();
    };
    let tally = run(10_000, lagging, &Promise { most: |_| 1, is_kept: false });
    has_met(&tally, &["sent again", "400", "201 with the running one", "unknown: already_running"]);
}

#[test]
fn without_any_promise_there_is_one_collection_per_request_and_never_two_at_once() {
    let worst = |random: &mut fastrand::Rng, plan: &mut Plan| {
        (plan.late, plan.late_s) = (random.u8(..40), 0..=300);
        (plan.lost_before, plan.lost_after) = (random.u8(..25), random.u8(..25));
        plan.lag_ms = 0..=120_000;
    };
    run(10_000, worst, &Promise { most: |requests| requests as usize, is_kept: false });
}

#[test]
fn a_search_lasts_as_long_as_the_list_may_lag() {
    assert_eq!(PAUSES.iter().sum::<Duration>(), LAG);
}

/// Nothing goes wrong, and nothing takes time.
fn untroubled() -> Plan {
    Plan {
        late: 0,
        late_s: 0..=0,
        slow_slots: 0,
        slot_ms: 0..=0,
        lost_before: 0,
        lost_after: 0,
        nothing_done: 0,
        life_ms: 0..=0,
        lag_ms: 0..=0,
        failing_lists: 0,
        others: Vec::new(),
        stop: None,
    }
}

/// A call that may send its request twice, and what came of it.
fn sent_again(plan: Plan) -> (Model, Result<Collected>) {
    let model = Model::new(seed(), plan);
    let requests = Requests { machine_id: DEVICE, comments: vec![OURS], open_since: None };
    let (on_duplicate, on_unknown) = (OnDuplicate::Adopt, OnUnknown::Resend);
    let choices = Choices { on_duplicate, on_unknown, max_retries: 1 };
    let outcome = Job::new(&model, &requests, choices).run();
    (model, outcome)
}

/// The first request is carried out and its collection fails at once. Nothing but the list tells.
#[test]
fn a_collection_that_ended_before_the_request_is_repeated_is_found() {
    for (lag_ms, most, adopted) in [(9_900, 1, true), (600_000, 2, false)] {
        let plan =
            Plan { lost_after: 100, life_ms: 50..=50, lag_ms: lag_ms..=lag_ms, ..untroubled() };
        let (model, outcome) = sent_again(plan);
        assert_eq!(outcome.is_ok(), adopted, "{outcome:?}");
        assert_eq!(model.state().collections.len(), most);
        assert_eq!(model.call().is_unsettled(), !adopted);
    }
}

/// The first request is carried out after the search for it, and its collection has ended when the second one has a slot.
#[test]
fn after_a_slow_slot_the_list_is_polled_once_more() {
    let plan = Plan {
        late: 100,
        late_s: 15..=15,
        slow_slots: 100,
        slot_ms: 60_000..=60_000,
        life_ms: 20_000..=20_000,
        lag_ms: 0..=10_000,
        ..untroubled()
    };
    let (model, outcome) = sent_again(plan);
    assert!(outcome.unwrap().adopted);
    let model = model.next_call(Duration::from_secs(600));
    assert_eq!((model.state().requests, model.state().collections.len()), (1, 1));
}

/// The service counts the request once, and so does the log.
#[test]
fn a_collection_is_asked_for_with_the_slot_that_the_caller_has() {
    let (url, service) = service(&[403]);
    let account = account(&url, "wait", "collect=1/60");
    let call = Call::begin(&Arc::default(), Some(Duration::from_secs(30)), None).into_sweep(false);
    let call = Arc::new(call);
    let mut turn = account.turn(&call, Quota::Collect).unwrap();
    let TurnStep::Ready(permit) = turn.poll().unwrap() else { panic!("there is a slot") };
    let requests = Requests { machine_id: DEVICE, comments: vec![OURS], open_since: None };
    let Sent::Refused(refused) = send(&account, &call, &requests, Some(permit)) else { panic!() };
    assert_eq!(refused.status(), Status::Forbidden, "{refused}");
    service.join().unwrap();
}
