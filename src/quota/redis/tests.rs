//! The scripts on a real server, by its clock.

use std::time::Instant;

use super::*;
use crate::http::tls::Trust;
use crate::quota::limits::Limits;

#[path = "../../../tests/support/peers/ports.rs"]
mod ports;
#[path = "../../../tests/support/peers/redis_server.rs"]
mod server;
mod trouble;

use server::RedisServer;

const COLLECT: Quota = Quota::Collect;

fn ledger_at(url: &str, fallback: Fallback) -> RedisLedger {
    let dialer = Dialer {
        tls: Arc::new(Trust::new(Vec::new(), None, false).unwrap()),
        proxies: Arc::default(),
        logins: Arc::default(),
        lookups: Arc::default(),
        user_agent: "test".into(),
        recorder: None,
    };
    let key = Key::new("127.0.0.1:8080", "Tenant", "app/1");
    RedisLedger::new(Target::parse(url).unwrap(), fallback, dialer, &key)
}

fn ledger(server: &RedisServer) -> RedisLedger {
    ledger_at(&server.url(), Fallback::Local(100))
}

fn windows(text: &str) -> Vec<Window> {
    Limits::parse(&format!("collect={text}")).unwrap().of(COLLECT).to_vec()
}

fn call(timeout: Duration) -> Call {
    Call::begin(&Arc::default(), Some(timeout), None)
}

fn begin(ledger: &RedisLedger, windows: &[Window]) -> Result<Answer, Refusal> {
    ledger.begin(COLLECT, windows, &call(Duration::from_secs(20)))
}

#[track_caller]
fn take(ledger: &RedisLedger, windows: &[Window]) -> Slot {
    match begin(ledger, windows) {
        Ok(Answer::Taken(slot)) => slot,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn wait(ledger: &RedisLedger, windows: &[Window]) -> Duration {
    match begin(ledger, windows) {
        Ok(Answer::Full(full)) => full.recheck_in,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn about(wait: Duration, expected_ms: u64) {
    let ms = u64::try_from(wait.as_millis()).unwrap();
    assert!((expected_ms.saturating_sub(400)..=expected_ms + 5).contains(&ms), "{wait:?}");
}

#[test]
fn a_slot_ages_from_the_reply() {
    let server = RedisServer::start();
    // The server cannot distinguish these from two processes.
    let (one, two) = (ledger(&server), ledger(&server));
    let windows = windows("2/1");
    let first = take(&one, &windows);
    take(&two, &windows);
    // Both are in flight, so the caller asks again soon.
    assert_eq!(wait(&two, &windows), Duration::from_millis(5));
    std::thread::sleep(Duration::from_millis(300));
    one.settle(COLLECT, first, Outcome::Replied, &windows);
    let left = wait(&two, &windows);
    // The slot is free exactly a window after the reply, not after the send.
    assert!(left > Duration::from_millis(90), "{left:?}");
    let started = Instant::now();
    std::thread::sleep(left);
    while let Answer::Full(full) = begin(&two, &windows).unwrap() {
        std::thread::sleep(full.recheck_in);
    }
    let took = started.elapsed();
    assert!((900..1_050).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn without_calls_in_flight_the_wait_is_exact() {
    let server = RedisServer::start();
    let ledger = ledger(&server);
    let windows = windows("1/2");
    let slot = take(&ledger, &windows);
    ledger.settle(COLLECT, slot, Outcome::Replied, &windows);
    let left = wait(&ledger, &windows);
    about(left, 2_003);
    std::thread::sleep(left - Duration::from_millis(50));
    assert!(wait(&ledger, &windows) <= Duration::from_millis(50));
    std::thread::sleep(Duration::from_millis(50));
    take(&ledger, &windows);
}

#[test]
fn all_windows_count_together_and_endpoints_apart() {
    let server = RedisServer::start();
    let ledger = ledger(&server);
    let windows = windows("2/0.2,3/30");
    for _ in 0..3 {
        let slot = loop {
            match begin(&ledger, &windows).unwrap() {
                Answer::Taken(slot) => break slot,
                Answer::Full(full) => std::thread::sleep(full.recheck_in),
                other => panic!("{other:?}"),
            }
        };
        ledger.settle(COLLECT, slot, Outcome::Replied, &windows);
    }
    std::thread::sleep(Duration::from_millis(250));
    // The short window is empty and the long one full. The refused calls took no slot.
    let left = wait(&ledger, &windows);
    assert!(left > Duration::from_secs(29), "{left:?}");
    let view = ledger.view(COLLECT, &windows, None).unwrap();
    assert_eq!((view.in_flight, view.used[0], view.used[1]), (0, 0, 3));
    assert!(view.available_in > Some(Duration::from_secs(29)) && view.closed_for.is_none());
    assert!(matches!(
        ledger.begin(Quota::Read, &windows, &call(Duration::from_secs(5))),
        Ok(Answer::Taken(_))
    ));
}

#[test]
fn the_slot_of_a_call_that_was_never_sent_is_free_at_once_and_that_of_one_given_up_is_not() {
    let server = RedisServer::start();
    let ledger = ledger(&server);
    let windows = windows("1/1");
    for _ in 0..3 {
        let slot = take(&ledger, &windows);
        ledger.settle(COLLECT, slot, Outcome::NotSent, &windows);
    }
    let slot = take(&ledger, &windows);
    ledger.settle(COLLECT, slot, Outcome::GivenUp, &windows);
    std::thread::sleep(Duration::from_millis(1_500));
    // Its bytes may have arrived a second late.
    about(wait(&ledger, &windows), 502);
}

#[test]
fn the_slot_of_a_process_that_died_is_free_after_its_lease_and_a_window() {
    let server = RedisServer::start();
    let ledger = ledger(&server);
    let windows = windows("1/1");
    let started = Instant::now();
    take(&ledger, &windows);
    while let Answer::Full(full) = begin(&ledger, &windows).unwrap() {
        std::thread::sleep(full.recheck_in);
    }
    // Lease 2 s, window 1 s.
    let took = started.elapsed();
    assert!((3_000..3_100).contains(&took.as_millis()), "{took:?}");
}

#[test]
fn a_renewed_slot_stays_taken_and_a_late_renewal_reports_the_loss() {
    let server = RedisServer::start();
    let ledger = ledger(&server);
    let windows = windows("1/0.2");
    let slot = take(&ledger, &windows);
    // Lease 1 s.
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(400));
        assert_eq!(ledger.renew(COLLECT, slot, &windows), Renewal::Kept);
        assert!(matches!(begin(&ledger, &windows), Ok(Answer::Full(_))));
    }
    std::thread::sleep(Duration::from_millis(1_050));
    assert_eq!(ledger.renew(COLLECT, slot, &windows), Renewal::Lost);
    assert!(matches!(begin(&ledger, &windows), Ok(Answer::Full(_))), "it still counts");
    std::thread::sleep(Duration::from_millis(1_250));
    take(&ledger, &windows);
    assert_eq!(ledger.renew(COLLECT, slot, &windows), Renewal::Lost, "another call took its slot");
}

#[test]
fn a_429_closes_the_endpoint_for_all_hosts_and_a_shorter_one_changes_nothing() {
    let server = RedisServer::start();
    let (one, two) = (ledger(&server), ledger(&server));
    let windows = windows("5/1");
    one.throttled(COLLECT, None, Duration::from_secs(2), &windows);
    one.throttled(COLLECT, None, Duration::from_millis(100), &windows);
    about(wait(&two, &windows), 2_000);
    assert!(two.view(COLLECT, &windows, None).unwrap().closed_for.is_some());
    std::thread::sleep(Duration::from_millis(2_001));
    take(&two, &windows);
}

#[test]
fn a_log_that_says_closed_for_years_counts_as_closed_for_a_day() {
    const DAY: u64 = 86_400_000;
    let server = RedisServer::start();
    let (one, two) = (ledger(&server), ledger(&server));
    let windows = windows("5/1");
    one.throttled(COLLECT, None, Duration::from_millis(20 * 365 * DAY), &windows);
    about(wait(&two, &windows), DAY);
    // From then on it has an end.
    std::thread::sleep(Duration::from_millis(500));
    let closed = || one.view(COLLECT, &windows, None).unwrap().closed_for.unwrap();
    about(closed() + Duration::from_millis(500), DAY);
    about(wait(&two, &windows) + Duration::from_millis(500), DAY);
}

#[test]
fn after_a_429_one_call_of_all_hosts_goes_out_until_one_is_not_refused() {
    const WAIT: Duration = Duration::from_millis(500);
    let server = RedisServer::start();
    let (one, two) = (ledger(&server), ledger(&server));
    let windows = windows("9/1");
    let before = take(&one, &windows);
    let slot = take(&one, &windows);
    one.throttled(COLLECT, Some(slot), WAIT, &windows);
    std::thread::sleep(WAIT);
    // A call from before the 429 is in flight. Its reply does not show the state of now.
    assert_eq!(wait(&two, &windows), Duration::from_millis(5));
    one.settle(COLLECT, before, Outcome::Replied, &windows);
    let probe = take(&two, &windows);
    let view = one.view(COLLECT, &windows, None).unwrap();
    assert_eq!((view.in_flight, view.available_in), (1, None));
    two.settle(COLLECT, probe, Outcome::NotSent, &windows);
    // A probe that dies blocks the others for its lease. A probe that is refused closes the endpoint again.
    take(&two, &windows);
    wait(&one, &windows);
    std::thread::sleep(lease(&windows));
    let probe = take(&one, &windows);
    one.throttled(COLLECT, Some(probe), WAIT, &windows);
    assert!(wait(&two, &windows) > WAIT / 2);
    std::thread::sleep(WAIT);
    let probe = take(&two, &windows);
    wait(&one, &windows);
    two.settle(COLLECT, probe, Outcome::Replied, &windows);
    take(&one, &windows);
    take(&two, &windows);
}

#[test]
fn keys_contain_the_identity_and_expire() {
    let server = RedisServer::start();
    let ledger = ledger(&server);
    take(&ledger, &windows("5/1"));
    let keys = server.command(&["KEYS", "*"]);
    let key = "mde:quota:v2:{127.0.0.1:8080/tenant/app%2F1}:collect";
    assert!(keys.contains(key), "{keys}");
    let ttl = server.command(&["PTTL", key]);
    let ttl: u64 = ttl.trim().trim_start_matches(':').parse().unwrap();
    assert!((86_300_000..=86_400_000).contains(&ttl), "{ttl}");
}

#[test]
fn a_wait_is_named_only_where_it_does_not_depend_on_calls_in_flight() {
    let server = RedisServer::start();
    let ledger = ledger(&server);
    let windows = windows("2/60");
    let slot = take(&ledger, &windows);
    take(&ledger, &windows);
    let available_in = || match begin(&ledger, &windows) {
        Ok(Answer::Full(full)) => full.available_in,
        other => panic!("{other:?}"),
    };
    let view = ledger.view(COLLECT, &windows, None).unwrap();
    assert_eq!((view.in_flight, view.available_in, available_in()), (2, None, None));
    assert_eq!(view.used[0], 2);
    ledger.settle(COLLECT, slot, Outcome::Replied, &windows);
    let (named, view) = (available_in().unwrap(), ledger.view(COLLECT, &windows, None).unwrap());
    for wait in [named, view.available_in.unwrap()] {
        assert!((59_000..=60_061).contains(&wait.as_millis()), "{wait:?}");
    }
    // Closed for longer than that.
    ledger.throttled(COLLECT, None, Duration::from_secs(90), &windows);
    assert!(available_in() > Some(Duration::from_secs(89)));
}

#[test]
fn a_new_server_is_used_at_once_with_local_and_after_a_whole_window_with_fail() {
    let server = RedisServer::start();
    let strict = ledger_at(&server.url(), Fallback::Fail);
    let windows = windows("5/3");
    // This is known before the first call for a slot.
    let foreseen = strict.view(COLLECT, &windows, None).unwrap().available_in.unwrap();
    let left = wait(&strict, &windows);
    // The server reports its uptime in whole seconds.
    assert!(foreseen >= left && foreseen <= left + Duration::from_secs(1), "{foreseen:?} {left:?}");
    // Lease 6 s, window 3 s, and the server's start to the second.
    assert!((8_000..10_010).contains(&left.as_millis()), "{left:?}");
    assert!(
        strict.view(COLLECT, &windows, None).unwrap().available_in > Some(Duration::from_secs(7))
    );
    take(&ledger(&server), &windows);
}

#[test]
fn a_client_notices_that_the_log_it_used_was_deleted() {
    let server = RedisServer::start();
    std::thread::sleep(Duration::from_millis(3_500));
    let windows = windows("1/0.2");
    let (old, new) =
        (ledger_at(&server.url(), Fallback::Fail), ledger_at(&server.url(), Fallback::Fail));
    // The server is up for longer than lease and window, so the log is complete.
    let slot = take(&old, &windows);
    server.command(&["FLUSHALL"]);
    // A renewal restores its own call.
    assert_eq!(old.renew(COLLECT, slot, &windows), Renewal::Kept);
    assert!(matches!(begin(&new, &windows), Ok(Answer::Full(_))));
    old.settle(COLLECT, slot, Outcome::Replied, &windows);
    let left = wait(&old, &windows);
    assert!(left > Duration::from_secs(1), "lease and window, {left:?}");
    // All clients wait, and the wait does not start again with each of them.
    assert!(wait(&new, &windows) > Duration::from_secs(1));
    assert!(wait(&old, &windows) <= left);
}

#[test]
fn a_server_that_restarts_from_disk_may_have_lost_the_last_calls() {
    let mut server = RedisServer::with(&["--dbfilename", "dump.rdb"]);
    std::thread::sleep(Duration::from_millis(3_500));
    let windows = windows("1/0.2");
    let strict = ledger_at(&server.url(), Fallback::Fail);
    let slot = take(&strict, &windows);
    strict.settle(COLLECT, slot, Outcome::NotSent, &windows);
    server.command(&["SAVE"]);
    server.kill();
    server.restart();
    // The keep-alive connection is dead, and a new one replaces it.
    let foreseen = strict.view(COLLECT, &windows, None).unwrap().available_in;
    assert!(foreseen > Some(Duration::from_millis(1_100)), "{foreseen:?}");
    let left = wait(&strict, &windows);
    assert!(left > Duration::from_millis(1_100), "{left:?}");
    take(&ledger(&server), &windows);
}

/// Waits until the replica is in sync with its master.
fn wait_for_sync(replica: &RedisServer) {
    let started = Instant::now();
    while !replica.command(&["INFO", "replication"]).contains("master_link_status:up") {
        assert!(started.elapsed() < Duration::from_secs(20), "the replica does not come up");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_replica_that_was_promoted_without_the_log_admits_no_call_early() {
    let master = RedisServer::start();
    let replica = RedisServer::with(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    wait_for_sync(&replica);
    std::thread::sleep(Duration::from_millis(3_500));
    let windows = windows("1/0.2");
    // Replication stops, a call goes out, and the replica takes over.
    replica.command(&["REPLICAOF", "NO", "ONE"]);
    take(&ledger_at(&master.url(), Fallback::Fail), &windows);
    // This client never used the log, and the server has been up for long.
    let new = ledger_at(&replica.url(), Fallback::Fail);
    let left = wait(&new, &windows);
    assert!(left > Duration::from_millis(1_000), "lease and window, {left:?}");
    std::thread::sleep(left);
    take(&new, &windows);
}

#[test]
fn a_server_that_was_a_replica_for_a_moment_may_have_lost_the_last_calls() {
    let server = RedisServer::start();
    std::thread::sleep(Duration::from_millis(3_500));
    let windows = windows("9/0.2");
    let strict = ledger_at(&server.url(), Fallback::Fail);
    take(&strict, &windows);
    take(&strict, &windows);
    // It is the same run of the server, and its log looks unchanged.
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    server.command(&["REPLICAOF", "NO", "ONE"]);
    let left = wait(&strict, &windows);
    assert!(left > Duration::from_millis(1_000), "lease and window, {left:?}");
    std::thread::sleep(left);
    take(&strict, &windows);
    take(&strict, &windows);
}

#[test]
fn a_clock_that_was_set_back_does_not_close_the_endpoint() {
    let server = RedisServer::start();
    let ledger = ledger(&server);
    let windows = windows("1/0.2");
    take(&ledger, &windows);
    let key = ledger.keys.of(COLLECT);
    let far = format!("{}", u64::MAX >> 12);
    server.command(&["ZADD", key, &far, "1:1"]);
    server.command(&["ZADD", key, &format!("-{far}"), "since"]);
    std::thread::sleep(Duration::from_millis(1_250));
    assert!(wait(&ledger, &windows) < Duration::from_millis(250));
}

#[test]
fn a_server_that_forgot_the_scripts_gets_them_again() {
    let server = RedisServer::start();
    let ledger = ledger(&server);
    let windows = windows("5/1");
    take(&ledger, &windows);
    server.command(&["SCRIPT", "FLUSH"]);
    take(&ledger, &windows);
}

#[test]
fn many_threads_never_take_more_slots_than_the_limit() {
    let server = RedisServer::start();
    let ledger = ledger(&server);
    let windows = windows("50/60");
    let taken = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..10 {
                    if let Answer::Taken(slot) = begin(&ledger, &windows).unwrap() {
                        taken.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        ledger.settle(COLLECT, slot, Outcome::Replied, &windows);
                    }
                }
            });
        }
    });
    assert_eq!(taken.into_inner(), 50);
    assert_eq!(ledger.view(COLLECT, &windows, None).unwrap().used[0], 50);
}
