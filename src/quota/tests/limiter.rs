use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use once_cell::sync::OnceCell;

use super::*;
use crate::call::{Cancel, Stop};
use crate::quota::clock::fake::FakeClock;
use crate::quota::ledger::{Answer, Full, Ledger, Renewal, Slot, View};
use crate::quota::limits::Limits;

fn rules(limits: &str) -> Rules {
    Rules { limits: Limits::parse(limits).unwrap(), ledger: OnceCell::new() }
}

fn limiter() -> (Arc<Limiter>, Arc<FakeClock>) {
    let clock = Arc::new(FakeClock::default());
    (Arc::new(Limiter::new(Arc::<FakeClock>::clone(&clock))), clock)
}

fn call(cancel: Option<&Cancel>) -> Call {
    Call::begin(&Arc::default(), Some(Duration::from_secs(30)), cancel)
}

/// The wait in the refusal of a caller that does not wait.
fn room_in(refusal: Option<Refusal>) -> Option<Duration> {
    match refusal {
        Some(Refusal::NoRoom(wait)) => wait,
        other => panic!("{other:?}"),
    }
}

fn until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(20), "did not happen");
        std::thread::sleep(Duration::from_micros(200));
    }
}

const COLLECT: Quota = Quota::Collect;

#[test]
fn a_full_window_refuses_a_call_with_the_wait_or_lets_it_sleep_until_then() {
    let (limiter, clock) = limiter();
    let limits = rules("collect=2/60");
    for _ in 0..2 {
        limiter.acquire(COLLECT, &limits, &call(None), false).unwrap().replied();
    }
    let Err(Refusal::NoRoom(Some(wait))) = limiter.acquire(COLLECT, &limits, &call(None), false)
    else {
        panic!("no room expected");
    };
    assert!(wait >= Duration::from_secs(60) && wait < Duration::from_secs(61));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| limiter.acquire(COLLECT, &limits, &call(None), true).is_ok());
        until(|| limiter.snapshot(COLLECT, &limits).queued == 1);
        clock.advance(wait - Duration::from_nanos(1));
        std::thread::sleep(Duration::from_millis(20));
        assert!(!waiting.is_finished());
        clock.advance(Duration::from_nanos(1));
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn endpoints_do_not_share_a_budget() {
    let (limiter, _clock) = limiter();
    let limits = rules("collect=1/60;read=1/60");
    let _held = limiter.acquire(COLLECT, &limits, &call(None), false).unwrap();
    assert!(limiter.acquire(COLLECT, &limits, &call(None), false).is_err());
    assert!(limiter.acquire(Quota::Read, &limits, &call(None), false).is_ok());
}

#[test]
fn waiting_callers_are_served_in_order() {
    let (limiter, clock) = limiter();
    let limits = rules("collect=1/1");
    limiter.acquire(COLLECT, &limits, &call(None), false).unwrap().replied();
    let turn = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for place in 0..8 {
            let (limiter, limits, turn) = (&limiter, &limits, &turn);
            scope.spawn(move || {
                let permit = limiter.acquire(COLLECT, limits, &call(None), true).unwrap();
                // The clock goes on with the turn, and the slot is free a second after the reply.
                permit.replied();
                assert_eq!(turn.fetch_add(1, Ordering::SeqCst), place);
            });
            until(|| limiter.snapshot(COLLECT, limits).queued == place + 1);
        }
        for done in 0..8 {
            // A caller that does not wait does not overtake, even if a slot becomes free.
            assert!(limiter.acquire(COLLECT, &limits, &call(None), false).is_err());
            clock.advance(Duration::from_millis(1_010));
            until(|| turn.load(Ordering::SeqCst) == done + 1);
        }
    });
}

#[test]
fn a_cancelled_caller_leaves_at_once_and_the_next_is_served() {
    let (limiter, clock) = limiter();
    let limits = rules("collect=1/60");
    limiter.acquire(COLLECT, &limits, &call(None), false).unwrap().replied();
    let cancel = Cancel::new(None);
    std::thread::scope(|scope| {
        let first =
            scope.spawn(|| limiter.acquire(COLLECT, &limits, &call(Some(&cancel)), true).err());
        until(|| limiter.snapshot(COLLECT, &limits).queued == 1);
        let second = scope.spawn(|| limiter.acquire(COLLECT, &limits, &call(None), true).is_ok());
        until(|| limiter.snapshot(COLLECT, &limits).queued == 2);
        cancel.trigger();
        assert!(matches!(first.join().unwrap(), Some(Refusal::Stopped(Stop::Cancelled))));
        clock.advance(Duration::from_secs(61));
        assert!(second.join().unwrap());
    });
}

#[test]
fn a_429_closes_the_endpoint_for_all_callers() {
    let (limiter, clock) = limiter();
    let limits = Rules { limits: Limits::default(), ledger: OnceCell::new() };
    limiter.close(COLLECT, &limits, Duration::from_secs(8), None);
    limiter.close(COLLECT, &limits, Duration::from_secs(3), None);
    assert_eq!(
        room_in(limiter.acquire(COLLECT, &limits, &call(None), false).err()),
        Some(Duration::from_secs(8))
    );
    assert!(!limiter.is_idle());
    assert!(limiter.acquire(Quota::Read, &limits, &call(None), false).is_ok());
    clock.advance(Duration::from_secs(8));
    assert!(limiter.acquire(COLLECT, &limits, &call(None), false).is_ok());
}

#[test]
fn more_in_flight_than_a_window_holds_waits_for_a_reply() {
    let (limiter, clock) = limiter();
    let limits = rules("collect=1/1");
    let held = limiter.acquire(COLLECT, &limits, &call(None), true).unwrap();
    clock.advance(Duration::from_secs(100));
    assert_eq!(room_in(limiter.acquire(COLLECT, &limits, &call(None), false).err()), None);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| limiter.acquire(COLLECT, &limits, &call(None), true).is_ok());
        until(|| limiter.snapshot(COLLECT, &limits).queued == 1);
        held.not_sent();
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn a_snapshot_reports_the_state_of_the_budget() {
    let (limiter, _clock) = limiter();
    let limits = rules("collect=2/60,3/3600");
    limiter.acquire(COLLECT, &limits, &call(None), false).unwrap().replied();
    let _held = limiter.acquire(COLLECT, &limits, &call(None), false).unwrap();
    let snapshot = limiter.snapshot(COLLECT, &limits);
    assert_eq!((snapshot.in_flight, snapshot.queued), (1, 0));
    assert!(snapshot.available_in.unwrap() >= Duration::from_secs(60));
}

#[test]
fn a_new_caller_does_not_overtake_even_if_its_limits_have_room() {
    let (limiter, _clock) = limiter();
    let (strict, loose) =
        (rules("collect=1/60"), Rules { limits: Limits::default(), ledger: OnceCell::new() });
    limiter.acquire(COLLECT, &strict, &call(None), false).unwrap().replied();
    let cancel = Cancel::new(None);
    std::thread::scope(|scope| {
        let first =
            scope.spawn(|| limiter.acquire(COLLECT, &strict, &call(Some(&cancel)), true).is_ok());
        until(|| limiter.snapshot(COLLECT, &strict).queued == 1);
        assert_eq!(room_in(limiter.acquire(COLLECT, &loose, &call(None), false).err()), None);
        // The next caller goes out as soon as the first has left. The clock stands still.
        let second = scope.spawn(|| limiter.acquire(COLLECT, &loose, &call(None), true).is_ok());
        until(|| limiter.snapshot(COLLECT, &strict).queued == 2);
        cancel.trigger();
        assert!(!first.join().unwrap());
        assert!(second.join().unwrap());
    });
}

#[test]
fn a_reply_wakes_the_caller_that_waits_for_it() {
    let (limiter, clock) = limiter();
    let limits = rules("collect=1/60");
    let held = limiter.acquire(COLLECT, &limits, &call(None), true).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| limiter.acquire(COLLECT, &limits, &call(None), true).is_ok());
        until(|| limiter.snapshot(COLLECT, &limits).queued == 1);
        // The caller sleeps without a time until the reply wakes it.
        std::thread::sleep(Duration::from_millis(20));
        held.replied();
        std::thread::sleep(Duration::from_millis(20));
        clock.advance(Duration::from_secs(61));
        assert!(waiting.join().unwrap());
    });
}

#[test]
fn a_call_that_was_given_up_keeps_its_slot_for_the_grace_period() {
    let (limiter, clock) = limiter();
    let limits = rules("collect=2/60");
    let wait = |limits: &Rules| match limiter.acquire(COLLECT, limits, &call(None), false) {
        Err(Refusal::NoRoom(Some(wait))) => wait.as_secs(),
        other => panic!("{other:?}"),
    };
    drop(limiter.acquire(COLLECT, &limits, &call(None), false).unwrap());
    clock.advance(Duration::from_secs(10));
    // This one has a reply, so its slot is free earlier.
    limiter.acquire(COLLECT, &limits, &call(None), false).unwrap().replied();
    assert_eq!(wait(&limits), 60);
    clock.advance(Duration::from_secs(61));
    let _held = limiter.acquire(COLLECT, &limits, &call(None), false).unwrap();
    assert_eq!(wait(&limits), 30 + 60 - 71);
    // The grace period is not longer than the window.
    let short = rules("read=1/1");
    drop(limiter.acquire(Quota::Read, &short, &call(None), false).unwrap());
    clock.advance(Duration::from_millis(1_990));
    assert!(limiter.acquire(Quota::Read, &short, &call(None), false).is_err());
    clock.advance(Duration::from_millis(20));
    assert!(limiter.acquire(Quota::Read, &short, &call(None), false).is_ok());
}

/// A shared log that refuses the first caller, after the test has let it, and has room for all others.
#[derive(Debug)]
struct RefusingLedger {
    may_answer: Barrier,
    asked: Mutex<Vec<Arc<Signal>>>,
}

impl Ledger for RefusingLedger {
    fn begin(&self, _: Quota, _: &[Window], call: &Call) -> Result<Answer, Refusal> {
        let mut asked = self.asked.lock();
        asked.push(Arc::clone(call.signal()));
        let slot = Slot { place: asked.len() as u64, owner: 1, probe: false };
        drop(asked);
        if slot.place > 1 {
            return Ok(Answer::Taken(slot));
        }
        self.may_answer.wait();
        Ok(Answer::Full(Full { recheck_in: Duration::from_millis(1), ..Full::default() }))
    }

    fn settle(&self, _: Quota, _: Slot, _: Outcome, _: &[Window]) {}

    fn renew(&self, _: Quota, _: Slot, _: &[Window]) -> Renewal {
        Renewal::Kept
    }

    fn throttled(&self, _: Quota, slot: Option<Slot>, _: Duration, _: &[Window]) {
        // Slow: it waits for the test.
        assert!(slot.is_some());
        self.may_answer.wait();
    }

    fn view(&self, _: Quota, _: &[Window], _: Option<&Call>) -> Option<View> {
        None
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn location(&self) -> (&'static str, String) {
        ("test", String::new())
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

#[test]
fn a_shared_log_that_refuses_does_not_take_the_callers_turn() {
    let (limiter, clock) = limiter();
    let shared = Arc::new(RefusingLedger { may_answer: Barrier::new(2), asked: Mutex::default() });
    let ledger = Arc::clone(&shared) as Arc<dyn Ledger>;
    let rules = Rules { limits: rules("collect=1/1").limits, ledger: OnceCell::with_value(ledger) };
    let (first, second) = (call(None), call(None));
    let go = |call| limiter.acquire(COLLECT, &rules, call, true).unwrap().not_sent();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| go(&first));
        until(|| shared.asked.lock().len() == 1);
        let second = scope.spawn(|| go(&second));
        until(|| limiter.snapshot(COLLECT, &rules).queued == 1);
        shared.may_answer.wait();
        until(|| {
            clock.advance(Duration::from_millis(1));
            first.is_finished() && second.is_finished()
        });
    });
    let asked = shared.asked.lock();
    let by = |call: &Call| asked.iter().map(|s| Arc::ptr_eq(s, call.signal())).collect::<Vec<_>>();
    assert_eq!(by(&first), [true, true, false]);
    assert_eq!(by(&second), [false, false, true]);
}

#[test]
fn a_429_closes_the_endpoint_in_this_process_before_the_shared_log_answers() {
    let (limiter, _clock) = limiter();
    let shared = Arc::new(RefusingLedger {
        may_answer: Barrier::new(2),
        // The first caller was here before.
        asked: Mutex::new(vec![Arc::default()]),
    });
    let ledger = Arc::clone(&shared) as Arc<dyn Ledger>;
    let rules =
        Rules { limits: rules("collect=20/60").limits, ledger: OnceCell::with_value(ledger) };
    let refused = limiter.acquire(COLLECT, &rules, &call(None), true).unwrap();
    let wait = std::thread::scope(|scope| {
        scope.spawn(|| refused.throttled(&rules, Duration::from_secs(9)));
        std::thread::sleep(Duration::from_millis(100));
        let another = limiter.acquire(COLLECT, &rules, &call(None), false);
        shared.may_answer.wait();
        room_in(another.err())
    });
    assert_eq!(wait, Some(Duration::from_secs(9)));
    assert_eq!(limiter.snapshot(COLLECT, &rules).used, [1]);
    assert_eq!(shared.asked.lock().len(), 2);
}

/// A slot, if there is one now.
fn try_acquire<'a>(limiter: &Arc<Limiter>, rules: &'a Rules) -> Option<Permit<'a>> {
    limiter.acquire(COLLECT, rules, &call(None), false).ok()
}

#[test]
fn after_a_429_one_call_at_a_time_goes_out_until_one_is_not_refused() {
    const WAIT: Duration = Duration::from_secs(8);
    let (limiter, clock) = limiter();
    let limits = rules("collect=100/60");
    let refused = try_acquire(&limiter, &limits).unwrap();
    refused.throttled(&limits, WAIT);
    // A probe that is refused, one that is never sent, and one that is given up.
    for end in [
        |permit: Permit<'_>, limits: &Rules| permit.throttled(limits, WAIT),
        |permit: Permit<'_>, _: &Rules| permit.not_sent(),
        |permit: Permit<'_>, _: &Rules| drop(permit),
    ] {
        clock.advance(WAIT);
        let probe = try_acquire(&limiter, &limits).unwrap();
        assert!(try_acquire(&limiter, &limits).is_none());
        assert_eq!(limiter.snapshot(COLLECT, &limits).available_in, None);
        end(probe, &limits);
    }
    clock.advance(WAIT);
    try_acquire(&limiter, &limits).unwrap().replied();
    let together: Vec<_> = (0..5).map(|_| try_acquire(&limiter, &limits).unwrap()).collect();
    assert_eq!(together.len(), 5);
}

#[test]
fn a_reply_to_a_call_from_before_the_429_does_not_open_the_endpoint() {
    let (limiter, clock) = limiter();
    let limits = rules("collect=100/60");
    let before = try_acquire(&limiter, &limits).unwrap();
    try_acquire(&limiter, &limits).unwrap().throttled(&limits, Duration::from_secs(1));
    clock.advance(Duration::from_secs(1));
    assert!(try_acquire(&limiter, &limits).is_none(), "one is in flight");
    before.replied();
    let _probe = try_acquire(&limiter, &limits).unwrap();
    assert!(try_acquire(&limiter, &limits).is_none());
}
