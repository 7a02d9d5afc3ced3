use std::sync::atomic::{AtomicUsize, Ordering};

use once_cell::sync::OnceCell;

use super::*;
use crate::quota::clock::fake::FakeClock;
use crate::quota::ledger::{Full, Ledger, Outcome, Renewal, Slot, View};
use crate::quota::limits::Limits;

const COLLECT: Quota = Quota::Collect;
const MS: Duration = Duration::from_millis(1);

/// A shared log without room. It counts how often it is asked.
#[derive(Debug, Default)]
struct FullLedger(AtomicUsize);

impl Ledger for FullLedger {
    fn begin(&self, _: Quota, _: &[Window], _: &Call) -> Result<Answer, Refusal> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Answer::Full(Full { recheck_in: 100 * MS, ..Full::default() }))
    }

    fn settle(&self, _: Quota, _: Slot, _: Outcome, _: &[Window]) {}

    fn renew(&self, _: Quota, _: Slot, _: &[Window]) -> Renewal {
        Renewal::Kept
    }

    fn throttled(&self, _: Quota, _: Option<Slot>, _: Duration, _: &[Window]) {}

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

/// A limiter with a full shared log. Two windows of ten seconds, so a sweep asks 40 ms later.
struct Shared {
    clock: Arc<FakeClock>,
    limiter: Arc<Limiter>,
    rules: Rules,
    asked: Arc<FullLedger>,
}

fn shared() -> Shared {
    let clock = Arc::new(FakeClock::default());
    let asked = Arc::new(FullLedger::default());
    let ledger = Arc::clone(&asked) as Arc<dyn Ledger>;
    let limits = Limits::parse("collect=2/10").unwrap();
    Shared {
        limiter: Arc::new(Limiter::new(Arc::<FakeClock>::clone(&clock))),
        rules: Rules { limits, ledger: OnceCell::with_value(ledger) },
        clock,
        asked,
    }
}

fn call(rank: Rank) -> Call {
    let call = Call::begin(&Arc::default(), None, None);
    if rank == Rank::Sweep { call.into_sweep(true) } else { call }
}

impl Shared {
    fn turn(&self, rank: Rank) -> Turn<'_, '_> {
        Turn::new(&self.limiter, COLLECT, &self.rules, rank)
    }

    /// How long the caller waits after this attempt.
    fn wait(&self, turn: &mut Turn<'_, '_>, call: &Call) -> Duration {
        match turn.step(call, true) {
            Ok(Step::Wait { next, .. }) => turn.time_until(next.recheck_at.unwrap()),
            _ => panic!("it must wait"),
        }
    }

    fn asked(&self) -> usize {
        self.asked.0.load(Ordering::Relaxed)
    }
}

#[test]
fn a_sweep_asks_the_shared_log_a_moment_later_than_a_single() {
    for (rank, expected) in [(Rank::Single, 100 * MS), (Rank::Sweep, 140 * MS)] {
        let shared = shared();
        assert_eq!(shared.wait(&mut shared.turn(rank), &call(rank)), expected, "{rank:?}");
    }
}

#[test]
fn a_sweep_that_is_asked_about_early_does_not_ask_the_shared_log() {
    let shared = shared();
    let (mut turn, call) = (shared.turn(Rank::Sweep), call(Rank::Sweep));
    assert_eq!(shared.wait(&mut turn, &call), 140 * MS);
    // There is room in this process, so it asks after the usual moment.
    for _ in 0..5 {
        shared.clock.advance(6 * MS);
        let left = shared.wait(&mut turn, &call);
        assert!(left <= 40 * MS, "{left:?}");
    }
    assert_eq!(shared.asked(), 1);
    shared.clock.advance(40 * MS);
    shared.wait(&mut turn, &call);
    assert_eq!(shared.asked(), 2);
}

#[test]
fn a_sweep_that_waits_for_longer_than_three_windows_asks_at_once() {
    let shared = shared();
    let (mut turn, call) = (shared.turn(Rank::Sweep), call(Rank::Sweep));
    let mut waited = Duration::ZERO;
    while waited <= Duration::from_millis(30_033) {
        let wait = shared.wait(&mut turn, &call);
        assert!(wait == 140 * MS || waited > Duration::from_millis(29_900), "{waited:?}: {wait:?}");
        shared.clock.advance(wait);
        waited += wait;
    }
    assert_eq!(shared.wait(&mut turn, &call), 100 * MS);
    assert_eq!(shared.limiter.snapshot(COLLECT, &shared.rules).queued, 1);
    drop(turn);
    assert_eq!(shared.limiter.snapshot(COLLECT, &shared.rules).queued, 0);
}

#[test]
fn without_a_shared_log_a_sweep_asks_at_the_exact_moment() {
    let shared = shared();
    let rules = Rules { limits: shared.rules.limits.clone(), ledger: OnceCell::new() };
    let turn = || Turn::new(&shared.limiter, COLLECT, &rules, Rank::Sweep);
    let (call, mut waiting) = (call(Rank::Sweep), turn());
    let mut permits = Vec::new();
    for _ in 0..2 {
        match waiting.step(&call, true) {
            Ok(Step::Ready(permit)) => permits.push(permit),
            _ => panic!("there is room"),
        }
    }
    permits.into_iter().for_each(Permit::replied);
    assert_eq!(shared.wait(&mut waiting, &call), Duration::from_millis(10_011));
}

/// A place that is not asked about holds up a single for a second, and then none until it is asked about again.
#[test]
fn a_sweep_that_does_not_come_for_its_slot_does_not_hold_up_a_single() {
    let shared = shared();
    let rules = Rules { limits: Limits::parse("collect=1/10").unwrap(), ledger: OnceCell::new() };
    let turn = |rank| Turn::new(&shared.limiter, COLLECT, &rules, rank);
    let get = |turn: &mut Turn<'_, '_>, call: &Call| match turn.step(call, true) {
        Ok(Step::Ready(permit)) => permit.replied(),
        _ => panic!("there is a slot"),
    };
    let second = Duration::from_secs(1);
    let hold = Duration::from_millis(10_011);
    let (sweep, single) = (call(Rank::Sweep), call(Rank::Single));
    get(&mut turn(Rank::Single), &single);
    let mut absent = turn(Rank::Sweep);
    assert_eq!(shared.wait(&mut absent, &sweep), hold);
    for _ in 0..3 {
        shared.clock.advance(hold);
        get(&mut turn(Rank::Single), &single);
    }
    let mut held_up = turn(Rank::Single);
    assert_eq!(shared.wait(&mut held_up, &single), hold);
    shared.clock.advance(hold);
    assert_eq!(shared.wait(&mut held_up, &single), second);
    shared.clock.advance(second);
    get(&mut held_up, &single);
    // The next one does not wait for it again.
    shared.clock.advance(hold);
    get(&mut held_up, &single);
    // It asks again, so the next slot is its own.
    assert_eq!(shared.wait(&mut absent, &sweep), hold);
    assert_eq!(shared.wait(&mut held_up, &single), hold);
    shared.clock.advance(hold);
    assert_eq!(shared.wait(&mut held_up, &single), second);
    get(&mut absent, &sweep);
}

#[test]
fn a_single_has_no_sweep_before_it_and_a_sweep_has_all() {
    let shared = shared();
    let rules = Rules { limits: shared.rules.limits.clone(), ledger: OnceCell::new() };
    let turn = || Turn::new(&shared.limiter, COLLECT, &rules, Rank::Sweep);
    let sweep = call(Rank::Sweep);
    for _ in 0..2 {
        let Ok(Step::Ready(permit)) = turn().step(&sweep, true) else { panic!("there is room") };
        permit.replied();
    }
    let mut waiting = turn();
    shared.wait(&mut waiting, &sweep);
    let wait_of = |call| shared.limiter.snapshot_for(call, COLLECT, &rules).wait_of_next();
    assert_eq!(wait_of(None), Some(Duration::from_millis(10_011)));
    assert_eq!(wait_of(Some(&sweep)), None);
}

/// Processes share a file: two sweep all the time, and a single comes to another one now and then.
#[test]
fn a_single_of_another_process_gets_the_next_slot_before_a_sweep() {
    use std::sync::atomic::AtomicBool;

    use crate::quota::clock::SystemClock;
    use crate::quota::file::FileLedger;
    use crate::quota::registry::Key;

    const ROUNDS: usize = 10;
    let path = std::env::temp_dir().join(format!("mde-turn-{:016x}", fastrand::u64(..)));
    let process = || {
        let limits = Limits::parse("collect=1/0.1").unwrap();
        let key = Key::new("turn", "tenant", "application");
        let ledger = FileLedger::new(path.to_str().unwrap(), &key, &limits);
        let rules = Rules { limits, ledger: OnceCell::with_value(Arc::new(ledger)) };
        (Arc::new(Limiter::new(Arc::new(SystemClock::new()))), rules)
    };
    let (sweeping, single) = ([process(), process()], process());
    let (over, swept) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut first = 0;
    std::thread::scope(|scope| {
        for (limiter, rules) in &sweeping {
            scope.spawn(|| {
                let call = call(Rank::Sweep);
                while !over.load(Ordering::Relaxed) {
                    limiter.acquire(COLLECT, rules, &call, true).unwrap().replied();
                    swept.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..ROUNDS {
            let seen = swept.load(Ordering::Relaxed);
            while swept.load(Ordering::Relaxed) < seen + 2 {
                std::thread::sleep(MS);
            }
            let before = swept.load(Ordering::Relaxed);
            single.0.acquire(COLLECT, &single.1, &call(Rank::Single), true).unwrap().replied();
            first += usize::from(swept.load(Ordering::Relaxed) == before);
        }
        over.store(true, Ordering::Relaxed);
    });
    let _ = std::fs::remove_file(&path);
    assert!(first >= ROUNDS - 2, "{first} of {ROUNDS}");
}
