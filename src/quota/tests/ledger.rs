use parking_lot::Mutex;

use super::*;

/// A log that answers as it is told, by a clock that is set.
#[derive(Debug)]
struct Told {
    now: Mutex<Duration>,
    answer: Mutex<Renewal>,
    asked_at: Mutex<Vec<u64>>,
    /// How long it takes to answer.
    takes: Mutex<Duration>,
}

impl Ledger for Told {
    fn begin(&self, _: Quota, _: &[Window], _: &Call) -> Result<Answer, Refusal> {
        Ok(Answer::Alone(100))
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

    fn place(&self) -> (&'static str, String) {
        ("test", String::new())
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

/// A lease of one minute.
const WINDOWS: [Window; 1] = [Window { limit: 1, length: Duration::from_secs(60) }];

fn keeper() -> (Arc<Told>, Keeper) {
    let told = Arc::new(Told {
        now: Mutex::default(),
        answer: Mutex::new(Renewal::Kept),
        asked_at: Mutex::default(),
        takes: Mutex::default(),
    });
    assert_eq!(lease(&WINDOWS), Duration::from_secs(60));
    let ledger = Arc::clone(&told) as Arc<dyn Ledger>;
    let slot = Slot { place: 1, owner: 1, probe: false };
    let held = Held::new(&ledger, Quota::Collect, slot, Duration::ZERO);
    (told, Keeper::new(&held, &WINDOWS))
}

/// Looks every 100 ms up to this second. When it was lost.
fn look_until(told: &Told, keeper: &mut Keeper, second: u64) -> Option<u64> {
    let mut lost = None;
    while told.now() < Duration::from_secs(second) {
        *told.now.lock() += Duration::from_millis(100);
        let at = u64::try_from(told.now().as_millis()).unwrap();
        match keeper.keep().is_lost {
            true => lost = lost.or(Some(at)),
            false => assert_eq!(lost, None, "what was lost does not come back"),
        }
    }
    lost
}

#[test]
fn a_lease_does_not_lapse_unnoticed_while_the_log_cannot_be_asked() {
    let (told, mut keeper) = keeper();
    assert_eq!(look_until(&told, &mut keeper, 20), None);
    assert_eq!(*told.asked_at.lock(), [15_000]);
    assert_eq!(keeper.keep(), Kept { is_lost: false, again_in: Duration::from_secs(10) });
    *told.answer.lock() = Renewal::Unknown;
    // A minute after it was kept last.
    assert_eq!(look_until(&told, &mut keeper, 90), Some(75_000));
    let asked = [15_000, 30_000, 37_500, 45_000, 52_500, 60_000, 67_500, 75_000, 82_500, 90_000];
    assert_eq!(*told.asked_at.lock(), asked);
}

#[test]
fn who_can_ask_again_before_the_lease_is_over_has_lost_nothing() {
    let (told, mut keeper) = keeper();
    *told.answer.lock() = Renewal::Unknown;
    assert_eq!(look_until(&told, &mut keeper, 50), None);
    *told.answer.lock() = Renewal::Kept;
    assert_eq!(look_until(&told, &mut keeper, 500), None);
}

#[test]
fn a_lost_slot_is_renewed_now_and_then_and_stays_lost() {
    let (told, mut keeper) = keeper();
    *told.answer.lock() = Renewal::Lost;
    assert_eq!(look_until(&told, &mut keeper, 16), Some(15_000));
    *told.answer.lock() = Renewal::Kept;
    assert_eq!(look_until(&told, &mut keeper, 46), Some(16_100));
    assert_eq!(*told.asked_at.lock(), [15_000, 30_000, 45_000]);
}

#[test]
fn a_process_that_stood_still_has_lost_its_slot_whatever_the_log_says() {
    let (told, mut keeper) = keeper();
    *told.now.lock() = Duration::from_secs(60);
    assert!(keeper.keep().is_lost);
    let (told, mut keeper) = self::keeper();
    // While it asked.
    *told.takes.lock() = Duration::from_secs(61);
    *told.now.lock() = Duration::from_secs(15);
    assert!(keeper.keep().is_lost);
}
