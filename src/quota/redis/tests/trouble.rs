//! Servers that are down, hang or refuse, and peers that are no Redis servers.

use super::*;
use crate::call::{Cancel, Stop};
use crate::quota::clock::SystemClock;
use crate::quota::limiter::Limiter;
use crate::quota::rules::Rules;

#[test]
fn a_wrong_login_is_an_error_that_does_not_show_the_password() {
    let server = RedisServer::with(&["--requirepass", "p@ss word"]);
    let url = |login: &str| format!("redis://{login}127.0.0.1:{}/3", server.port);
    let windows = windows("5/1");
    take(&ledger_at(&url(":p%40ss%20word@"), Fallback::Local(100)), &windows);
    take(&ledger_at(&url("default:p%40ss%20word@"), Fallback::Local(100)), &windows);
    for (login, code) in
        [("", "NOAUTH"), (":wr0ng-secret@", "WRONGPASS"), ("me:wr0ng-secret@", "WRONGPASS")]
    {
        let ledger = ledger_at(&url(login), Fallback::Fail);
        let Err(Refusal::Failed(error)) = begin(&ledger, &windows) else { panic!("{login}") };
        let document = error.to_json();
        assert!(document.contains(code) && document.contains("quota_redis_fallback"), "{document}");
        assert!(document.contains("\"name\":\"rate_limited\""), "{document}");
        assert!(document.contains("\"retryable\":true"), "{document}");
        assert!(document.contains("\"retry_after_ms\":"), "{document}");
        for text in [document, format!("{ledger:?}"), ledger.trouble().unwrap()] {
            assert!(!text.contains("wr0ng-secret"), "{text}");
        }
    }
}

#[test]
fn the_rights_in_the_documentation_are_enough() {
    let document = include_str!("../../../../docs/quota.md");
    let rights = document.split('`').find(|text| text.starts_with("~mde:quota:*")).unwrap();
    let user = ["--user", "agent", "on", ">secret"];
    let server = RedisServer::with(&[&user[..], &rights.split(' ').collect::<Vec<_>>()].concat());
    let url = format!("redis://agent:secret@127.0.0.1:{}/2", server.port);
    let ledger = ledger_at(&url, Fallback::Local(100));
    let windows = windows("1/0.1");
    let slot = take(&ledger, &windows);
    assert_eq!(ledger.renew(COLLECT, slot, &windows), Renewal::Kept);
    ledger.settle(COLLECT, slot, Outcome::Replied, &windows);
    ledger.throttled(COLLECT, None, Duration::from_secs(1), &windows);
    assert!(ledger.view(COLLECT, &windows, None).unwrap().closed_for.is_some());
    assert!(wait(&ledger, &windows) > Duration::from_millis(500));
    assert!(ledger.trouble().is_none());
    let denied = server.commands(&[&["AUTH", "agent", "secret"], &["KEYS", "*"]]);
    assert!(denied.starts_with("-NOPERM"), "{denied}");
}

#[test]
fn a_server_that_denies_info_is_used_with_local_only() {
    let rights = "on >secret ~mde:quota:* +evalsha +script|load +time +pttl +pexpire +@sortedset";
    let user = [&["--user", "agent"][..], &rights.split(' ').collect::<Vec<_>>()].concat();
    let server = RedisServer::with(&user);
    let url = format!("redis://agent:secret@127.0.0.1:{}", server.port);
    let windows = windows("5/0.1");
    let strict = ledger_at(&url, Fallback::Fail);
    // Long enough for a complete log, if the server reported its uptime.
    std::thread::sleep(Duration::from_millis(3_500));
    let Err(Refusal::Failed(error)) = begin(&strict, &windows) else { panic!("admitted") };
    for text in [error.message().to_owned(), strict.trouble().unwrap()] {
        assert!(text.contains("INFO") && text.contains("+info"), "{text}");
    }
    take(&ledger_at(&url, Fallback::Local(100)), &windows);
}

#[test]
fn without_a_server_local_counts_alone_and_fail_sends_nothing() {
    let mut server = RedisServer::start();
    let (local, strict) = (ledger(&server), ledger_at(&server.url(), Fallback::Fail));
    let windows = windows("5/1");
    let slot = take(&local, &windows);
    server.kill();
    assert!(matches!(begin(&local, &windows), Ok(Answer::Local(100))));
    assert!(matches!(begin(&strict, &windows), Err(Refusal::Failed(_))));
    assert!(local.trouble().unwrap().contains("refused"));
    assert!(local.view(COLLECT, &windows, None).is_none());
    // The server is tried again after a second. Until then nothing waits for it.
    server.restart();
    let started = Instant::now();
    assert!(matches!(begin(&local, &windows), Ok(Answer::Local(100))));
    local.settle(COLLECT, slot, Outcome::Replied, &windows);
    assert!(started.elapsed() < Duration::from_millis(500));
    std::thread::sleep(Duration::from_millis(1_100));
    take(&local, &windows);
    assert!(local.trouble().is_none());
}

#[test]
fn a_server_that_hangs_delays_no_call_that_is_stopped() {
    let server = RedisServer::start();
    let ledger = ledger(&server);
    let windows = windows("5/1");
    let slot = take(&ledger, &windows);
    server.signal("STOP");
    let cancel = Cancel::new(None);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let call = Call::begin(&Arc::default(), None, Some(&cancel));
            let started = Instant::now();
            (ledger.begin(COLLECT, &windows, &call), started.elapsed())
        });
        std::thread::sleep(Duration::from_millis(200));
        cancel.trigger();
        let (answer, took) = waiting.join().unwrap();
        assert!(matches!(answer, Err(Refusal::Stopped(Stop::Cancelled))), "{answer:?}");
        assert!(took < Duration::from_millis(400), "{took:?}");
    });
    let started = Instant::now();
    let call = call(Duration::from_millis(100));
    let answer = ledger.begin(COLLECT, &windows, &call);
    assert!(matches!(answer, Err(Refusal::Stopped(Stop::Deadline))), "{answer:?}");
    assert!(started.elapsed() < Duration::from_millis(300));
    let started = Instant::now();
    assert_eq!(ledger.renew(COLLECT, slot, &windows), Renewal::Unknown);
    assert!(started.elapsed() < Duration::from_millis(400));
    // Calls without time do not count as a failure of the server. A call with time waits for two seconds.
    assert!(ledger.trouble().is_none());
    let started = Instant::now();
    assert!(matches!(begin(&ledger, &windows), Ok(Answer::Local(100))));
    assert!((1_900..2_500).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    assert!(ledger.trouble().unwrap().contains("did not reply"), "{:?}", ledger.trouble());
    server.signal("CONT");
}

#[test]
fn without_a_server_a_process_takes_its_percentage_of_the_limits() {
    for (text, fallback) in [
        ("local", Some(Fallback::Local(100))),
        ("local:7", Some(Fallback::Local(7))),
        ("fail", Some(Fallback::Fail)),
        ("local:0", None),
        ("local:101", None),
        ("local:+5", None),
        ("local:", None),
        ("fail:5", None),
        ("", None),
    ] {
        assert_eq!(Fallback::parse(text), fallback, "{text}");
    }
    let limits = Limits::parse("collect=10/1").unwrap();
    let rules = Rules { limits, ledger: once_cell::sync::OnceCell::new() };
    let away: Arc<dyn Ledger> = Arc::new(ledger_at("redis://127.0.0.1:1", Fallback::Local(30)));
    rules.ledger.set(away).unwrap();
    let limiter = Arc::new(Limiter::new(Arc::new(SystemClock::new())));
    let acquire = || limiter.acquire(COLLECT, &rules, &call(Duration::from_secs(5)), false);
    let in_flight = acquire().unwrap();
    for _ in 0..2 {
        acquire().unwrap().replied();
    }
    let wait = |refusal: Option<Refusal>| match refusal {
        Some(Refusal::NoRoom(Some(wait))) => wait,
        other => panic!("{other:?}"),
    };
    about(wait(acquire().err()), 1_002);
    in_flight.not_sent();
    acquire().unwrap().replied();
    about(wait(acquire().err()), 1_002);
}

/// Answers every connection with these bytes.
fn impostor(reply: &'static [u8]) -> u16 {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(reply);
        }
    });
    port
}

#[test]
fn a_peer_that_is_no_redis_server_does_no_harm() {
    const NESTED: &[u8] = b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n";
    let deep: &'static [u8] = NESTED[..64].repeat(12).leak();
    let long: &'static [u8] = [b"$99999999\r\n".as_slice(), &[b'x'; 400_000]].concat().leak();
    let replies: [&'static [u8]; 12] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"",
        b"*6\r\n:1\r\n",
        b":7\r\n",
        b"*3\r\n:1\r\n:2\r\n:3\r\n",
        b"$-1\r\n",
        b"-ERR \r\n",
        b"*2147483647\r\n:1\r\n",
        b"*9223372036854775807\r\n",
        b"%9223372036854775807\r\n:1\r\n",
        deep,
        long,
    ];
    for reply in replies {
        let url = format!("redis://127.0.0.1:{}", impostor(reply));
        // Hosts may have stacks as small as this.
        let thread = std::thread::Builder::new().stack_size(128 * 1024).spawn(move || {
            let ledger = ledger_at(&url, Fallback::Fail);
            matches!(begin(&ledger, &windows("5/1")), Err(Refusal::Failed(_)))
        });
        assert!(
            thread.unwrap().join().unwrap(),
            "{:?}",
            String::from_utf8_lossy(&reply[..reply.len().min(40)])
        );
    }
}
