//! The token that all clients of a process with the same identity share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mde_tests::peers::responder::{Answer, Asked, Responder};
use mde_tests::{Cancel, Client};
use serde_json::json;

const ID: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";

/// Counts the token requests for `token`; everything else is the API.
fn server(token: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static) -> Responder {
    let count = AtomicUsize::new(0);
    Responder::start(move |asked| match asked.is_token_request() {
        true => token(count.fetch_add(1, Ordering::SeqCst), asked),
        false => Answer::json(200, &json!({"value": [], "id": ID})),
    })
}

fn client(server: &Responder, more: &[(&str, &str)]) -> Client {
    let url = server.url();
    let usual = [
        ("tenant_id", "contoso.example"),
        ("client_id", "66666666-7777-8888-9999-000000000000"),
        ("client_secret", "a-secret-of-the-application"),
        ("api_url", url.as_str()),
        ("login_url", url.as_str()),
        ("max_retries", "0"),
        ("timeout_ms", "20000"),
    ];
    Client::with(&[&usual, more].concat()).unwrap_or_else(|outcome| panic!("{}", outcome.text))
}

#[test]
fn sixty_four_threads_on_an_empty_cache_send_one_request() {
    let server = server(|_, _| {
        thread::sleep(Duration::from_millis(100));
        Answer::token("one-for-all")
    });
    let clients: Vec<_> = (0..8).map(|_| client(&server, &[])).collect();
    let start = std::sync::Barrier::new(64);
    thread::scope(|scope| {
        for n in 0..64 {
            let (client, start) = (&clients[n % 8], &start);
            scope.spawn(move || {
                start.wait();
                client.list("").ok();
            });
        }
    });
    assert_eq!(server.token_requests().len(), 1);
    let calls = server.asked().iter().filter(|asked| !asked.is_token_request()).count();
    assert_eq!(calls, 64);
}

#[test]
fn a_waiter_is_cancelled_at_once_while_the_authority_is_silent() {
    let server = server(|_, _| {
        thread::sleep(Duration::from_secs(8));
        Answer::token("late")
    });
    let client = client(&server, &[]);
    let (fetcher, waiter) = (Cancel::new(0), Cancel::new(0));
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            client.action_until(ID, Some(&fetcher)).error("cancelled");
            Instant::now()
        });
        while server.token_requests().is_empty() {
            thread::sleep(Duration::from_millis(5));
        }
        let second = scope.spawn(|| {
            let error = client.action_until(ID, Some(&waiter)).error("cancelled");
            assert_eq!(error["stage"], "token");
            Instant::now()
        });
        thread::sleep(Duration::from_millis(200));
        let triggered = Instant::now();
        waiter.trigger();
        let took = second.join().unwrap() - triggered;
        assert!(took <= Duration::from_millis(50), "a waiter: {took:?}");
        let triggered = Instant::now();
        fetcher.trigger();
        let took = first.join().unwrap() - triggered;
        assert!(took <= Duration::from_millis(50), "the one who fetches: {took:?}");
    });
    assert_eq!(server.token_requests().len(), 1);
}

#[test]
fn a_waiters_deadline_is_its_own() {
    let server = server(|_, _| {
        thread::sleep(Duration::from_secs(1));
        Answer::token("slow")
    });
    let (patient, hasty) = (client(&server, &[]), client(&server, &[("timeout_ms", "200")]));
    thread::scope(|scope| {
        let first = scope.spawn(|| patient.list("").ok());
        while server.token_requests().is_empty() {
            thread::sleep(Duration::from_millis(5));
        }
        let started = Instant::now();
        assert_eq!(hasty.list("").error("deadline")["stage"], "token");
        assert!(started.elapsed() < Duration::from_millis(300), "{:?}", started.elapsed());
        first.join().unwrap();
    });
    assert_eq!(server.token_requests().len(), 1);
}

#[test]
fn another_call_fetches_when_the_fetching_call_is_stopped() {
    for stopped in [true, false] {
        let server = server(move |count, _| match (count, stopped) {
            (0, true) => {
                thread::sleep(Duration::from_secs(8));
                Answer::token("too-late")
            }
            (0, false) => {
                thread::sleep(Duration::from_millis(200));
                Answer::json(503, &json!({})).with("Retry-After", "2")
            }
            _ => Answer::token("second"),
        });
        let first = client(&server, &[("max_retries", "2"), ("timeout_ms", "1000")]);
        let others = client(&server, &[("max_retries", "2")]);
        let cancel = Cancel::new(0);
        thread::scope(|scope| {
            let fetching = scope.spawn(|| first.action_until(ID, Some(&cancel)));
            while server.token_requests().is_empty() {
                thread::sleep(Duration::from_millis(5));
            }
            let waiting: Vec<_> = (0..8).map(|_| scope.spawn(|| others.list("").ok())).collect();
            thread::sleep(Duration::from_millis(100));
            if stopped {
                cancel.trigger();
            }
            fetching.join().unwrap().error_in(&["cancelled", "service"]);
            waiting.into_iter().for_each(|thread| {
                thread.join().unwrap();
            });
        });
        assert_eq!(server.token_requests().len(), 2, "stopped: {stopped}");
    }
}

#[test]
fn only_clients_with_the_same_settings_share_a_token() {
    let server = server(|_, asked| match asked.form()["client_secret"].as_str() {
        "a-secret-of-the-application" => Answer::token("for-the-right-secret"),
        _ => Answer::refusal(401, "invalid_client", 7_000_215, "Invalid client secret provided."),
    });
    let right = client(&server, &[]);
    right.list("").ok();
    client(&server, &[]).list("").ok();
    client(&server, &[("tenant_id", "CONTOSO.example")]).list("").ok();
    assert_eq!(server.token_requests().len(), 1, "one identity, however its ids are written");
    client(&server, &[("client_secret", "a-secret-of-another")]).list("").error("token");
    client(&server, &[("client_secret", "a-secret-of-the-applicatio")]).list("").error("token");
    let elsewhere =
        [("proxy", "http://127.0.0.1:1"), ("login_url", "https://login.simulator.test")];
    let elsewhere = client(&server, &elsewhere).list("").error("proxy");
    assert_eq!(elsewhere["stage"], "token", "who reaches the authority in another way asks there");
    assert_eq!(server.token_requests().len(), 3);
    client(&server, &[("proxy", "http://127.0.0.1:1")]).list("").ok();
    assert_eq!(server.token_requests().len(), 4, "another proxy is another way");
    client(&server, &[("scope", "https://other.example/.default")]).list("").ok();
    client(&server, &[("client_id", "another")]).list("").ok();
    assert_eq!(server.token_requests().len(), 6);
    right.list("").ok();
    assert_eq!(server.token_requests().len(), 6, "a wrong secret spoils nothing for the right one");
}

#[test]
fn the_token_is_dropped_with_the_last_client() {
    let server = server(|_, _| Answer::token("short-lived"));
    let (one, two) = (client(&server, &[]), client(&server, &[]));
    one.list("").ok();
    drop(one);
    two.list("").ok();
    assert_eq!(server.token_requests().len(), 1);
    drop(two);
    client(&server, &[]).list("").ok();
    assert_eq!(server.token_requests().len(), 2);
}

#[test]
fn a_client_with_more_retries_does_not_share_a_failure() {
    let server = server(|count, _| match count {
        0 => {
            thread::sleep(Duration::from_millis(300));
            Answer::json(503, &json!({}))
        }
        1 => Answer::json(503, &json!({})),
        _ => Answer::token("third"),
    });
    let (once, often) = (client(&server, &[]), client(&server, &[("max_retries", "3")]));
    thread::scope(|scope| {
        let first = scope.spawn(|| once.list("").error("service"));
        while server.token_requests().is_empty() {
            thread::sleep(Duration::from_millis(5));
        }
        often.list("").ok();
        first.join().unwrap();
    });
}

/// A token that lives so many seconds.
fn short_lived(seconds: u32) -> Answer {
    Answer::json(200, &json!({"access_token": "short-lived", "expires_in": seconds}))
}

#[test]
fn a_stalled_renewal_delays_no_call() {
    let server = server(|count, _| {
        if count > 0 {
            thread::sleep(Duration::from_secs(8));
        }
        short_lived(6)
    });
    let client = client(&server, &[("timeout_ms", "1500")]);
    client.list("").ok();
    // It is due at half of its life, or a little before.
    thread::sleep(Duration::from_millis(3_100));
    let started = Instant::now();
    client.list("").ok();
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    client.list("").ok();
    assert_eq!(server.token_requests().len(), 2, "it is not tried again at once");
}

#[test]
fn a_token_that_expires_during_a_stalled_renewal_is_replaced() {
    let server = server(|count, _| match count {
        0 => short_lived(2),
        1 => {
            thread::sleep(Duration::from_secs(8));
            short_lived(2)
        }
        _ => Answer::token("third"),
    });
    let client = client(&server, &[]);
    client.list("").ok();
    thread::sleep(Duration::from_millis(1_100));
    let started = Instant::now();
    client.list("").ok();
    assert!(started.elapsed() < Duration::from_millis(5_500), "{:?}", started.elapsed());
    assert_eq!(server.token_requests().len(), 3);
}

#[test]
fn an_authority_that_names_a_wait_gets_no_request_from_any_client() {
    for (status, name) in [(429, "throttled"), (503, "service")] {
        let server =
            server(move |_, _| Answer::json(status, &json!({})).with("Retry-After", "3600"));
        let client = client(&server, &[("max_retries", "5")]);
        let start = std::sync::Barrier::new(64);
        thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| {
                    start.wait();
                    let error = client.list("").error(name);
                    assert_eq!(error["stage"], "token");
                    let wait = error["retry_after_ms"].as_u64().unwrap();
                    assert!((3_580_000..=3_600_000).contains(&wait), "{wait}");
                });
            }
        });
        client.list("").error(name);
        assert_eq!(server.token_requests().len(), 1);
    }
}

#[test]
fn a_call_with_enough_time_waits_until_the_authority_allows_a_request() {
    let server = server(|count, _| match count {
        0 => Answer::json(429, &json!({})).with("Retry-After", "2"),
        _ => Answer::token("second"),
    });
    let (patient, hasty) = (client(&server, &[]), client(&server, &[("timeout_ms", "500")]));
    let started = Instant::now();
    hasty.list("").error("throttled");
    hasty.list("").error("throttled");
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| patient.list("").ok());
        }
    });
    assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
    hasty.list("").ok();
    assert_eq!(server.token_requests().len(), 2);
}

#[test]
fn a_renewal_is_postponed_for_as_long_as_the_authority_requires() {
    let server = server(|count, _| match count {
        1 => Answer::json(429, &json!({})).with("Retry-After", "2"),
        _ => short_lived(6),
    });
    let client = client(&server, &[]);
    client.list("").ok();
    thread::sleep(Duration::from_millis(3_100));
    for pause in [1_200, 1_000] {
        client.list("").ok();
        assert_eq!(server.token_requests().len(), 2);
        thread::sleep(Duration::from_millis(pause));
    }
    client.list("").ok();
    assert_eq!(server.token_requests().len(), 3);
}

#[test]
fn a_token_of_sixteen_kib_is_accepted() {
    let token: &'static str = Box::leak("x".repeat(16 * 1024).into_boxed_str());
    let server = Responder::with_token(token);
    client(&server, &[]).list("").ok();
    let call = server.asked().into_iter().find(|asked| !asked.is_token_request()).unwrap();
    assert_eq!(call.headers["authorization"], format!("Bearer {token}"));
}

#[test]
fn a_token_that_is_invalid_in_a_header_is_refused() {
    for token in ["a\r\nX-Evil: 1", "a b", "a\tb", "a\nb", "", "t\u{f6}ken"] {
        let server = server(move |_, _| Answer::token(token));
        let error = client(&server, &[]).list("").error("token");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("without blanks or line breaks"), "{token:?}: {message}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[test]
fn a_wrong_clock_is_named_in_refusals() {
    let an_hour_ago =
        || httpdate::fmt_http_date(std::time::SystemTime::now() - Duration::from_secs(3_600));
    let refusing = server(move |_, _| {
        Answer::refusal(
            401,
            "invalid_client",
            700_024,
            "Client assertion is not within its valid time range.",
        )
        .with("Date", &an_hour_ago())
    });
    let error = client(&refusing, &[]).list("").error("token");
    assert!(
        error["message"].as_str().unwrap().contains("this host's clock is 60 minutes ahead"),
        "{error}"
    );
    let api = Responder::start(move |asked| match asked.is_token_request() {
        true => Answer::token("x"),
        false => {
            Answer::json(401, &json!({"error": {"code": "Unauthorized", "message": "not yet"}}))
                .with("Date", &an_hour_ago())
        }
    });
    let error = client(&api, &[]).list("").error("unauthorized");
    assert!(
        error["message"].as_str().unwrap().contains("this host's clock is 60 minutes ahead"),
        "{error}"
    );
}
