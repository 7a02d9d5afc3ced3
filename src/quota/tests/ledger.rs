use parking_lot::Mutex;

use super::*;

/// A log with a fixed answer and a clock that the test sets.
#[derive(Debug)]
struct FakeLedger {
    now: Mutex<Duration>,
    answer: Mutex<Renewal>,
    asked_at: Mutex<Vec<u64>>,
    /// How long it takes to answer.
    takes: Mutex<Duration>,
}

impl Ledger for FakeLedger {
    fn begin(&self, _: Quota, _: &[Window], _: &Call) -> Result<Answer, Refusal> {
        Ok(Answer::Local(100))
    }

    fn settle(&self, _: Quota, _: Slot, _: Outcome, _: &[Window]) {}

    fn renew(&self, _: Quota, _: Slot, _: &[Window]) -> Renewal {
        let mut now = self.now.lock();
        self.asked_at.lock().push(u64::try_from(now.as_millis()).unwrap());
        *now += *self.takes.lock();
        *self.answer.lock()
    }

    fn throttled(&self, _: Quota, _: Option<Slot>, _: Duration, _: &[Window]) {}

    fn view(&self, _: Quota, _: &[Window], _: Option<&Call>) -> Option<View> {
        None
    }

    fn now(&self) -> Duration {
        *self.now.lock()
    }

    fn location(&self) -> (&'static str, String) {
        ("test", String::new())
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

/// A lease of one minute.
const WINDOWS: [Window; 1] = [Window { limit: 1, length: Duration::from_secs(60) }];

fn keeper() -> (Arc<FakeLedger>, LeaseKeeper) {
    let fake = Arc::new(FakeLedger {
        now: Mutex::default(),
        answer: Mutex::new(Renewal::Kept),
        asked_at: Mutex::default(),
        takes: Mutex::default(),
    });
    assert_eq!(lease(&WINDOWS), Duration::from_secs(60));
    let ledger = Arc::clone(&fake) as Arc<dyn Ledger>;
    let slot = Slot { place: 1, owner: 1, probe: false };
    let held = HeldSlot::new(&ledger, Quota::Collect, slot, Duration::ZERO);
    (fake, LeaseKeeper::new(&held, &WINDOWS))
}

/// Calls the keeper every 100 ms up to this second. Returns when the slot was lost.
fn renew_until(ledger: &FakeLedger, keeper: &mut LeaseKeeper, second: u64) -> Option<u64> {
    let mut lost = None;
    while ledger.now() < Duration::from_secs(second) {
        *ledger.now.lock() += Duration::from_millis(100);
        let at = u64::try_from(ledger.now().as_millis()).unwrap();
        match keeper.keep().is_lost {
            true => lost = lost.or(Some(at)),
            false => assert_eq!(lost, None, "a lost slot stays lost"),
        }
    }
    lost
}

#[test]
fn a_lease_that_runs_out_is_noticed_while_the_log_does_not_answer() {
    let (ledger, mut keeper) = keeper();
    assert_eq!(renew_until(&ledger, &mut keeper, 20), None);
    assert_eq!(*ledger.asked_at.lock(), [15_000]);
    assert_eq!(keeper.keep(), Kept { is_lost: false, again_in: Duration::from_secs(10) });
    *ledger.answer.lock() = Renewal::Unknown;
    // A minute after the last renewal.
    assert_eq!(renew_until(&ledger, &mut keeper, 90), Some(75_000));
    let asked = [15_000, 30_000, 37_500, 45_000, 52_500, 60_000, 67_500, 75_000, 82_500, 90_000];
    assert_eq!(*ledger.asked_at.lock(), asked);
}

#[test]
fn a_renewal_before_the_end_of_the_lease_keeps_the_slot() {
    let (ledger, mut keeper) = keeper();
    *ledger.answer.lock() = Renewal::Unknown;
    assert_eq!(renew_until(&ledger, &mut keeper, 50), None);
    *ledger.answer.lock() = Renewal::Kept;
    assert_eq!(renew_until(&ledger, &mut keeper, 500), None);
}

#[test]
fn a_lost_slot_is_renewed_and_stays_lost() {
    let (ledger, mut keeper) = keeper();
    *ledger.answer.lock() = Renewal::Lost;
    assert_eq!(renew_until(&ledger, &mut keeper, 16), Some(15_000));
    *ledger.answer.lock() = Renewal::Kept;
    assert_eq!(renew_until(&ledger, &mut keeper, 46), Some(16_100));
    assert_eq!(*ledger.asked_at.lock(), [15_000, 30_000, 45_000]);
}

#[test]
fn a_process_that_was_stopped_for_a_lease_has_lost_its_slot_whatever_the_log_reports() {
    let (ledger, mut keeper) = keeper();
    *ledger.now.lock() = Duration::from_secs(60);
    assert!(keeper.keep().is_lost);
    let (ledger, mut keeper) = self::keeper();
    // It is stopped during the renewal.
    *ledger.takes.lock() = Duration::from_secs(61);
    *ledger.now.lock() = Duration::from_secs(15);
    assert!(keeper.keep().is_lost);
}
