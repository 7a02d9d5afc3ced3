use std::fs::{self, File};

use super::*;
use crate::call::{Cancel, KeepAlive};
use crate::quota::ledger::{HeldSlot, LeaseKeeper, lease};

#[cfg(unix)]
mod unix;

const COLLECT: Quota = Quota::Collect;

/// A folder of its own for each test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("mde-quota-{:016x}", fastrand::u64(..)));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn file(&self) -> String {
        self.0.join("quota").to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn key() -> Key {
    Key::new("api", "tenant", "app")
}

fn open(file: &str, limits: &str) -> (FileLedger, Limits) {
    let limits = Limits::parse(limits).unwrap();
    (FileLedger::new(file, &key(), &limits), limits)
}

fn call() -> Call {
    Call::begin(&Arc::default(), Some(Duration::from_secs(30)), None)
}

#[track_caller]
fn taken(ledger: &FileLedger, limits: &Limits) -> Slot {
    match ledger.begin(COLLECT, limits.of(COLLECT), &call()) {
        Ok(Answer::Taken(slot)) => slot,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn wait(ledger: &FileLedger, limits: &Limits) -> Duration {
    match ledger.begin(COLLECT, limits.of(COLLECT), &call()) {
        Ok(Answer::Full(full)) => full.recheck_in,
        other => panic!("{other:?}"),
    }
}

fn used(ledger: &FileLedger, limits: &Limits) -> usize {
    ledger.view(COLLECT, limits.of(COLLECT), None).unwrap().used[0]
}

#[test]
fn two_processes_share_one_log_and_it_outlives_both() {
    let folder = Folder::new();
    let (one, limits) = open(&folder.file(), "collect=2/60");
    let (two, _) = open(&folder.file(), "collect=2/60");
    let slot = taken(&one, &limits);
    taken(&two, &limits);
    // Both are in flight. Either may end unnoticed, so the caller asks again soon.
    assert_eq!(wait(&two, &limits), Duration::from_millis(120));
    one.settle(COLLECT, slot, Outcome::Replied, limits.of(COLLECT));
    let view = two.view(COLLECT, limits.of(COLLECT), None).unwrap();
    assert_eq!((view.in_flight, view.used[0]), (1, 2));
    drop((one, two));
    let (three, _) = open(&folder.file(), "collect=2/60");
    assert_eq!(used(&three, &limits), 2);
    assert_eq!(used(&three, &limits), 2);
}

#[test]
fn a_wait_is_named_only_where_it_does_not_depend_on_calls_in_flight() {
    let folder = Folder::new();
    let (ledger, limits) = open(&folder.file(), "collect=2/60");
    let windows = limits.of(COLLECT);
    let slot = taken(&ledger, &limits);
    taken(&ledger, &limits);
    let available_in = || match ledger.begin(COLLECT, windows, &call()) {
        Ok(Answer::Full(full)) => full.available_in,
        other => panic!("{other:?}"),
    };
    let view = ledger.view(COLLECT, windows, None).unwrap();
    assert_eq!((view.in_flight, view.available_in, available_in()), (2, None, None));
    assert_eq!(view.used[0], 2);
    ledger.settle(COLLECT, slot, Outcome::Replied, windows);
    let (named, view) = (available_in().unwrap(), ledger.view(COLLECT, windows, None).unwrap());
    for wait in [named, view.available_in.unwrap()] {
        assert!((59_000..=60_061).contains(&wait.as_millis()), "{wait:?}");
    }
    // Closed for longer than that.
    ledger.throttled(COLLECT, None, Duration::from_secs(90), windows);
    assert!(available_in() > Some(Duration::from_secs(89)));
}

#[test]
fn the_outcome_of_a_call_decides_how_long_it_counts() {
    let folder = Folder::new();
    let (ledger, limits) = open(&folder.file(), "collect=1/60");
    let slot = taken(&ledger, &limits);
    ledger.settle(COLLECT, slot, Outcome::NotSent, limits.of(COLLECT));
    let slot = taken(&ledger, &limits);
    ledger.settle(COLLECT, slot, Outcome::Replied, limits.of(COLLECT));
    let answered = wait(&ledger, &limits);
    assert!(
        answered > Duration::from_secs(59) && answered < Duration::from_secs(61),
        "{answered:?}"
    );

    let folder = Folder::new();
    let (ledger, limits) = open(&folder.file(), "collect=1/60");
    let slot = taken(&ledger, &limits);
    ledger.settle(COLLECT, slot, Outcome::GivenUp, limits.of(COLLECT));
    let given_up = wait(&ledger, &limits);
    assert!(
        given_up > Duration::from_secs(89) && given_up < Duration::from_secs(91),
        "{given_up:?}"
    );
}

#[test]
fn the_slot_of_a_process_that_died_is_free_after_its_lease_and_a_window() {
    let folder = Folder::new();
    let (ledger, limits) = open(&folder.file(), "collect=1/0.1");
    let dead = taken(&ledger, &limits);
    let began = Instant::now();
    while let Ok(Answer::Full(full)) = ledger.begin(COLLECT, limits.of(COLLECT), &call()) {
        std::thread::sleep(full.recheck_in);
    }
    // The lease of a second, and the window after it.
    assert!(began.elapsed() >= Duration::from_millis(1_100), "{:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
    // If the process lives after all, its renewal reports the loss, and its end frees no other slot.
    assert_eq!(ledger.renew(COLLECT, dead, limits.of(COLLECT)), Renewal::Lost);
    ledger.settle(COLLECT, dead, Outcome::NotSent, limits.of(COLLECT));
    assert_eq!(ledger.view(COLLECT, limits.of(COLLECT), None).unwrap().in_flight, 1);
}

#[test]
fn a_lost_slot_is_reported_and_counts_again_while_its_call_is_in_flight() {
    let folder = Folder::new();
    let (ledger, limits) = open(&folder.file(), "collect=1/0.1,3/0.1");
    let windows = limits.of(COLLECT);
    let in_flight = || ledger.view(COLLECT, windows, None).unwrap().in_flight;
    let slot = taken(&ledger, &limits);
    std::thread::sleep(Duration::from_millis(1_010));
    assert_eq!(in_flight(), 0);
    assert_eq!(ledger.renew(COLLECT, slot, windows), Renewal::Lost);
    assert_eq!(in_flight(), 1);
    // Another call takes its place.
    std::thread::sleep(Duration::from_millis(1_150));
    let other = taken(&ledger, &limits);
    assert_eq!(other.place, slot.place);
    for _ in 0..3 {
        ledger.renew(COLLECT, slot, windows);
        assert_eq!(in_flight(), 2);
    }
    ledger.settle(COLLECT, slot, Outcome::NotSent, windows);
    assert_eq!(used(&ledger, &limits), 1);
}

#[test]
fn a_slot_that_is_renewed_stays_taken() {
    let folder = Folder::new();
    let (ledger, limits) = open(&folder.file(), "collect=1/0.1");
    let slot = taken(&ledger, &limits);
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(ledger.renew(COLLECT, slot, limits.of(COLLECT)), Renewal::Kept);
        wait(&ledger, &limits);
    }
}

#[test]
fn a_429_closes_its_endpoint_for_all_processes_and_no_other_endpoint() {
    let folder = Folder::new();
    let (one, limits) = open(&folder.file(), "collect=9/60");
    let (two, _) = open(&folder.file(), "collect=9/60");
    one.throttled(COLLECT, None, Duration::from_secs(20), &[]);
    one.throttled(COLLECT, None, Duration::from_secs(10), &[]);
    let closed = wait(&two, &limits);
    assert!(closed > Duration::from_secs(19) && closed <= Duration::from_secs(20), "{closed:?}");
    assert!(two.view(COLLECT, limits.of(COLLECT), None).unwrap().closed_for.is_some());
    assert!(matches!(
        two.begin(Quota::Read, limits.of(Quota::Read), &call()),
        Ok(Answer::Taken(_))
    ));
}

#[test]
fn a_file_that_says_closed_for_years_counts_as_closed_for_a_day() {
    let folder = Folder::new();
    let (ledger, limits) = open(&folder.file(), "collect=2/60");
    ledger.settle(COLLECT, taken(&ledger, &limits), Outcome::NotSent, limits.of(COLLECT));
    let (day, nap) = (Duration::from_secs(86_400), Duration::from_millis(20));
    for closed_at in [nanos(boot_clock::now()), u64::MAX / 2] {
        let forged =
            EndpointState { closed_until: u64::MAX, closed_at, ..EndpointState::default() };
        let mut bytes = fs::read(folder.file()).unwrap();
        let at = EndpointState::at(COLLECT) as usize;
        bytes[at..at + 44].copy_from_slice(&forged.to_bytes(COLLECT));
        fs::write(folder.file(), &bytes).unwrap();
        let first = wait(&ledger, &limits);
        assert!(first <= day && first > day - Duration::from_secs(60), "{first:?}");
        // The day ends.
        std::thread::sleep(nap);
        assert!(wait(&ledger, &limits) <= first - nap, "{closed_at}");
    }
}

#[test]
fn after_a_429_one_call_of_all_processes_goes_out_until_one_is_not_refused() {
    const WAIT: Duration = Duration::from_millis(500);
    let folder = Folder::new();
    let (one, limits) = open(&folder.file(), "collect=9/1");
    let (two, _) = open(&folder.file(), "collect=9/1");
    let windows = limits.of(COLLECT);
    let before = taken(&one, &limits);
    let slot = taken(&one, &limits);
    one.throttled(COLLECT, Some(slot), WAIT, windows);
    std::thread::sleep(WAIT);
    // A call from before the 429 is in flight. Its reply does not show the state of now.
    assert_eq!(wait(&two, &limits), Duration::from_millis(5));
    one.settle(COLLECT, before, Outcome::Replied, windows);
    for outcome in [Outcome::NotSent, Outcome::GivenUp] {
        let probe = taken(&two, &limits);
        let view = one.view(COLLECT, windows, None).unwrap();
        assert_eq!((view.in_flight, view.available_in), (1, None));
        wait(&one, &limits);
        two.settle(COLLECT, probe, outcome, windows);
    }
    // A probe that dies blocks the others for its lease. A probe that is refused closes the endpoint again.
    taken(&two, &limits);
    wait(&one, &limits);
    std::thread::sleep(lease(windows));
    let probe = taken(&one, &limits);
    one.throttled(COLLECT, Some(probe), WAIT, windows);
    assert!(wait(&two, &limits) > WAIT / 2);
    std::thread::sleep(WAIT);
    let probe = taken(&two, &limits);
    wait(&one, &limits);
    two.settle(COLLECT, probe, Outcome::Replied, windows);
    taken(&one, &limits);
    taken(&two, &limits);
}

#[test]
fn a_file_of_another_version_is_refused_and_left_alone() {
    let version_1 = include_bytes!("tests/version_1.quota");
    let folder = Folder::new();
    fs::write(folder.file(), version_1).unwrap();
    let (ledger, limits) = open(&folder.file(), "collect=2/60");
    let Err(Refusal::Failed(error)) = ledger.begin(COLLECT, limits.of(COLLECT), &call()) else {
        panic!("it was used");
    };
    assert_eq!(error.status(), Status::Config);
    let problem = "has format version 1, and this library reads and writes version 2";
    assert!(error.message().contains("quota_file") && error.message().contains(problem), "{error}");
    assert!(ledger.trouble().unwrap().contains(problem));
    assert_eq!(fs::read(folder.file()).unwrap(), version_1);
    // A version that was torn is damage.
    let mut torn = version_1.to_vec();
    torn[8] = 3;
    fs::write(folder.file(), &torn).unwrap();
    let (ledger, limits) = open(&folder.file(), "collect=2/60");
    assert_eq!(used(&ledger, &limits), 2);
}

#[test]
fn a_damaged_file_counts_as_spent_and_the_status_reports_it() {
    let folder = Folder::new();
    for content in
        [b"MDEQUOTA".to_vec(), [&b"MDEQUOTA"[..], &[b'x'; 200_000]].concat(), vec![0; 500]]
    {
        fs::write(folder.file(), &content).unwrap();
        let (ledger, limits) = open(&folder.file(), "collect=5/60");
        assert!(wait(&ledger, &limits) > Duration::from_secs(59));
        assert_eq!(used(&ledger, &limits), 5);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
        // Later clients report it too.
        let (later, _) = open(&folder.file(), "collect=5/60");
        used(&later, &limits);
        for ledger in [ledger, later] {
            let trouble = ledger.trouble().unwrap();
            assert!(
                trouble
                    .starts_with("was damaged, and the whole quota counts as spent for another 36"),
                "{trouble}"
            );
        }
    }
}

#[test]
fn a_file_that_is_no_quota_file_is_left_alone() {
    // The last one is like a disk image, and longer than any log.
    for content in [b"not a quota file".to_vec(), vec![b'x'; 200_000], vec![0; 8_000_000]] {
        let folder = Folder::new();
        fs::write(folder.file(), &content).unwrap();
        let (ledger, limits) = open(&folder.file(), "collect=5/60");
        for _ in 0..2 {
            let Err(Refusal::Failed(error)) = ledger.begin(COLLECT, limits.of(COLLECT), &call())
            else {
                panic!("it was used");
            };
            assert_eq!(error.status(), Status::Config);
            assert!(error.message().contains("is neither empty nor a quota file"), "{error}");
        }
        assert!(ledger.trouble().unwrap().contains("nor a quota file"));
        assert_eq!(fs::read(folder.file()).unwrap(), content);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }
}

#[test]
fn damage_in_a_quota_file_frees_no_slot() {
    let folder = Folder::new();
    let (ledger, limits) = open(&folder.file(), "collect=3/60");
    let slot = taken(&ledger, &limits);
    ledger.settle(COLLECT, slot, Outcome::Replied, limits.of(COLLECT));
    let sound = fs::read(folder.file()).unwrap();
    let mut torn = 0;
    for at in (0..sound.len()).step_by(7).filter(|at| *at < 600) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x55;
        fs::write(folder.file(), &bytes).unwrap();
        let (ledger, _) = open(&folder.file(), "collect=3/60");
        let used = used(&ledger, &limits);
        // Bytes without a meaning may change unnoticed.
        assert!(used >= 1, "byte {at}: {used}");
        torn += usize::from(used > 1);
        // A truncated file counts as spent.
        fs::write(folder.file(), &sound[..at.max(1)]).unwrap();
        let (ledger, _) = open(&folder.file(), "collect=3/60");
        let whole = self::used(&ledger, &limits);
        assert_eq!(whole, 3, "cut at {at}");
    }
    assert!(torn > 20, "{torn}");
}

#[test]
fn an_empty_file_becomes_a_new_log() {
    let folder = Folder::new();
    File::create(folder.file()).unwrap();
    let (ledger, limits) = open(&folder.file(), "collect=1/60");
    taken(&ledger, &limits);
    assert_eq!(used(&ledger, &limits), 1);
}

#[test]
fn larger_limits_enlarge_the_file_and_keep_its_entries() {
    let folder = Folder::new();
    let (small, small_limits) = open(&folder.file(), "collect=2/60;read=2/60;list=2/60");
    taken(&small, &small_limits);
    small.throttled(Quota::List, None, Duration::from_secs(30), &[]);
    let before = fs::metadata(folder.file()).unwrap().len();
    let (large, limits) = open(&folder.file(), "collect=50/60;read=2/60;list=2/60");
    assert_eq!(used(&large, &limits), 1);
    for _ in 0..49 {
        taken(&large, &limits);
    }
    wait(&large, &limits);
    // A client that used the old file uses the new one.
    assert_eq!(used(&small, &small_limits), 50);
    assert!(large.view(Quota::List, limits.of(Quota::List), None).unwrap().closed_for.is_some());
    let after = fs::metadata(folder.file()).unwrap();
    assert_eq!(after.len(), before + 48 * 24);
}

#[test]
fn a_deleted_file_is_created_again() {
    let folder = Folder::new();
    let (one, limits) = open(&folder.file(), "collect=2/60");
    taken(&one, &limits);
    fs::remove_file(folder.file()).unwrap();
    let (two, _) = open(&folder.file(), "collect=2/60");
    taken(&two, &limits);
    taken(&one, &limits);
    wait(&one, &limits);
    wait(&two, &limits);
}

#[test]
fn another_identity_must_use_another_file() {
    let folder = Folder::new();
    let (ledger, limits) = open(&folder.file(), "collect=2/60");
    taken(&ledger, &limits);
    let other = FileLedger::new(&folder.file(), &Key::new("api", "tenant", "other"), &limits);
    let Err(Refusal::Failed(error)) = other.begin(COLLECT, limits.of(COLLECT), &call()) else {
        panic!("must be refused");
    };
    assert_eq!(error.status(), Status::Config);
    assert!(error.message().contains("quota_file"), "{error}");
    assert_eq!(used(&ledger, &limits), 1);
}

#[test]
fn after_a_restart_of_the_machine_all_calls_count_from_its_start() {
    let folder = Folder::new();
    let (ledger, limits) = open(&folder.file(), "collect=300/60,500/86400");
    for _ in 0..3 {
        let slot = taken(&ledger, &limits);
        ledger.settle(COLLECT, slot, Outcome::Replied, limits.of(COLLECT));
    }
    ledger.throttled(Quota::List, None, Duration::from_secs(7_200), &[]);
    // As if the times belonged to the clock of an earlier boot.
    let mut bytes = fs::read(folder.file()).unwrap();
    // A reply has opened this endpoint, which was closed for a day.
    let day = nanos(Duration::from_secs(86_400));
    let opened = EndpointState { closed_until: 1 + day, closed_at: 1, ..EndpointState::default() };
    let at = EndpointState::at(Quota::Cancel) as usize;
    bytes[at..at + 44].copy_from_slice(&opened.to_bytes(Quota::Cancel));
    let session = layout::session_to_bytes(&[9; 16]);
    bytes[128..128 + session.len()].copy_from_slice(&session);
    fs::write(folder.file(), &bytes).unwrap();
    let (ledger, _) = open(&folder.file(), "collect=300/60,500/86400");
    let view = ledger.view(COLLECT, limits.of(COLLECT), None).unwrap();
    let since_boot = boot_clock::now();
    if since_boot < Duration::from_secs(86_000) {
        // The three calls, and those of a minute that may never have reached the disk.
        assert_eq!(view.used[1], 303);
        let expected = Duration::from_secs(30 + 86_400) - since_boot;
        let full = [Window { limit: 303, length: Duration::from_secs(86_400) }];
        let free = ledger.view(COLLECT, &full, None).unwrap().available_in.unwrap();
        assert!(free.abs_diff(expected) < Duration::from_secs(90), "{free:?} {expected:?}");
    }
    assert_eq!(layout::session(&fs::read(folder.file()).unwrap()), boot_clock::session());
    let list = ledger.view(Quota::List, limits.of(Quota::List), None).unwrap();
    assert_eq!(list.closed_for.is_some(), since_boot < Duration::from_secs(7_200));
    let cancel = ledger.view(Quota::Cancel, limits.of(Quota::Cancel), None).unwrap();
    assert_eq!(cancel.closed_for, None);
}

/// A power cut right after the first calls leaves a file as it was made, without the limits that were kept.
#[test]
fn after_a_restart_calls_may_be_unknown_though_the_file_knows_no_limits() {
    let folder = Folder::new();
    let (ledger, limits) = open(&folder.file(), "collect=3/60,500/86400");
    assert_eq!(used(&ledger, &limits), 0);
    let mut made = fs::read(folder.file()).unwrap();
    taken(&ledger, &limits);
    let session = layout::session_to_bytes(&[9; 16]);
    made[128..128 + session.len()].copy_from_slice(&session);
    fs::write(folder.file(), &made).unwrap();
    let (ledger, _) = open(&folder.file(), "collect=3/60,500/86400");
    if boot_clock::now() < Duration::from_secs(86_000) {
        let view = ledger.view(COLLECT, limits.of(COLLECT), None).unwrap();
        assert_eq!(view.used[1], 3);
    }
}

#[test]
fn a_clock_that_was_set_back_blocks_calls_for_one_window_only() {
    let folder = Folder::new();
    let (ledger, limits) = open(&folder.file(), "collect=1/0.2");
    let slot = taken(&ledger, &limits);
    let far = Entry { stamp: nanos(boot_clock::now()) * 2 + 3_600_000_000_000, owner: slot.owner };
    let mut bytes = fs::read(folder.file()).unwrap();
    bytes[456..480].copy_from_slice(&far.to_bytes(COLLECT, 0));
    fs::write(folder.file(), &bytes).unwrap();
    let wait = wait(&ledger, &limits);
    assert!(wait < Duration::from_millis(210), "{wait:?}");
    std::thread::sleep(wait);
    taken(&ledger, &limits);
}

#[test]
fn without_its_file_a_process_counts_alone_until_the_file_is_back() {
    let folder = Folder::new();
    let missing = folder.0.join("missing");
    let file = missing.join("quota").to_str().unwrap().to_owned();
    let (ledger, limits) = open(&file, "collect=2/60");
    for _ in 0..3 {
        let answer = ledger.begin(COLLECT, limits.of(COLLECT), &call());
        assert!(matches!(answer, Ok(Answer::Local(100))), "{answer:?}");
    }
    assert_eq!(
        ledger.trouble().as_deref(),
        Some("cannot be opened (there is no such file or folder)")
    );
    fs::create_dir(&missing).unwrap();
    std::thread::sleep(Duration::from_millis(1_050));
    taken(&ledger, &limits);
    assert_eq!(ledger.trouble(), None);
}

#[test]
fn a_wait_for_the_lock_can_be_stopped_and_ends_if_the_holder_hangs() {
    let folder = Folder::new();
    let (ledger, limits) = open(&folder.file(), "collect=2/60");
    taken(&ledger, &limits);
    let other = File::options().read(true).write(true).open(folder.file()).unwrap();
    assert!(crate::os::lock::try_lock(&other).unwrap());
    let cancel = Cancel::new(None);
    let call = Call::begin(&Arc::default(), None, Some(&cancel));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| ledger.begin(COLLECT, limits.of(COLLECT), &call));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        let began = Instant::now();
        cancel.trigger();
        assert!(matches!(waiting.join().unwrap(), Err(Refusal::Stopped(Stop::Cancelled))));
        assert!(began.elapsed() < Duration::from_millis(50), "{:?}", began.elapsed());
    });
    let began = Instant::now();
    let answer = ledger.begin(COLLECT, limits.of(COLLECT), &self::call());
    assert!(matches!(answer, Ok(Answer::Local(100))), "{answer:?}");
    assert!(began.elapsed() >= transaction::PATIENCE);
    drop(other);
}

#[test]
fn after_the_lease_the_slot_is_lost_even_if_the_file_cannot_be_read() {
    let folder = Folder::new();
    let (ledger, limits) = open(&folder.file(), "collect=1/0.1");
    let slot = taken(&ledger, &limits);
    let asked_at = boot_clock::now();
    let ledger: Arc<dyn Ledger> = Arc::new(ledger);
    let mut keeper =
        LeaseKeeper::new(&HeldSlot::new(&ledger, COLLECT, slot, asked_at), limits.of(COLLECT));
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(400));
        assert!(!keeper.keep().is_lost);
    }
    // The file cannot be locked, and the lease is over.
    let other = File::options().read(true).write(true).open(folder.file()).unwrap();
    assert!(crate::os::lock::try_lock(&other).unwrap());
    std::thread::sleep(Duration::from_millis(1_100));
    assert!(keeper.keep().is_lost);
}

#[test]
fn a_log_callback_may_use_the_quota_log() {
    let folder = Folder::new();
    let file = folder.0.join("missing").join("quota").to_str().unwrap().to_owned();
    let (ledger, limits) = open(&file, "collect=2/60");
    let state = ledger.state.lock();
    unlock_and_log(state);
    let mut state = ledger.state.lock();
    ledger.warn(&mut state, "cannot be opened");
    assert_eq!(state.lines.len(), 1);
    unlock_and_log(state);
    assert!(ledger.state.try_lock().is_some_and(|state| state.lines.is_empty()));
    assert!(matches!(ledger.begin(COLLECT, limits.of(COLLECT), &call()), Ok(Answer::Local(100))));
}

#[test]
fn a_table_full_of_entries_of_a_wider_window_is_rechecked_slowly() {
    let folder = Folder::new();
    let (wide, limits) = open(&folder.file(), "collect=2/60");
    for _ in 0..2 {
        let slot = taken(&wide, &limits);
        wide.settle(COLLECT, slot, Outcome::Replied, limits.of(COLLECT));
    }
    std::thread::sleep(Duration::from_millis(20));
    let (narrow, limits) = open(&folder.file(), "collect=2/0.01");
    assert_eq!(wait(&narrow, &limits), Duration::from_millis(250));
}

#[test]
fn after_the_windows_get_narrower_the_wide_ones_expire() {
    let folder = Folder::new();
    let (wide, limits) = open(&folder.file(), "collect=2/1");
    for _ in 0..2 {
        let slot = taken(&wide, &limits);
        wide.settle(COLLECT, slot, Outcome::Replied, limits.of(COLLECT));
    }
    let (narrow, limits) = open(&folder.file(), "collect=2/0.1");
    let began = Instant::now();
    // One of the two entries is always younger than the wide window.
    let mut longest = Duration::ZERO;
    for _ in 0..16 {
        let asked = Instant::now();
        let slot = loop {
            match narrow.begin(COLLECT, limits.of(COLLECT), &call()) {
                Ok(Answer::Taken(slot)) => break slot,
                Ok(Answer::Full(full)) => std::thread::sleep(full.recheck_in),
                other => panic!("{other:?}"),
            }
        };
        longest = asked.elapsed();
        narrow.settle(COLLECT, slot, Outcome::Replied, limits.of(COLLECT));
    }
    assert!(longest < Duration::from_millis(300), "{longest:?}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn a_file_whose_beginning_is_zeros_is_damaged_and_not_new() {
    let folder = Folder::new();
    let (ledger, limits) = open(&folder.file(), "collect=2/60");
    taken(&ledger, &limits);
    let mut bytes = fs::read(folder.file()).unwrap();
    bytes[..456].fill(0);
    fs::write(folder.file(), &bytes).unwrap();
    let (ledger, _) = open(&folder.file(), "collect=2/60");
    assert_eq!(used(&ledger, &limits), 2);
}

#[test]
fn no_process_finds_an_empty_log_while_a_damaged_one_is_replaced() {
    for _ in 0..20 {
        let folder = Folder::new();
        fs::write(folder.file(), b"MDEQUOTA, and not much more").unwrap();
        let start = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let (ledger, limits) = open(&folder.file(), "collect=5/60");
                    start.wait();
                    let answer = ledger.begin(COLLECT, limits.of(COLLECT), &call());
                    assert!(matches!(answer, Ok(Answer::Full(_))), "{answer:?}");
                });
            }
        });
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    }
}
