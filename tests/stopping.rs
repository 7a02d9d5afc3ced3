//! Every wait ends when it must: cancel, deadline, shutdown, silence.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use mde_simulator::{Config, QuotaMode, Simulator};
use serde_json::json;
use support::{Cancel, Client, OK, client, simulator};

/// Far below any timeout in use here, far above what a busy machine needs.
const SOON: Duration = Duration::from_secs(3);

fn soon<T>(act: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = act();
    assert!(started.elapsed() < SOON, "took {:?}", started.elapsed());
    result
}

/// Triggers after a while, from another thread, a call that would last much longer.
fn cancelled_after(ms: u64, cancel: &Cancel, act: impl FnOnce()) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(ms));
            cancel.trigger();
        });
        soon(act);
    });
}

/// Ways for a peer to keep a call waiting, each with how the simulator is told.
fn waits() -> Vec<(&'static str, serde_json::Value)> {
    let drip = json!({"status": 200, "repeat": {"text": " ", "count": 1_000_000}, "drip": {"bytes": 1, "every_ms": 20}});
    vec![
        ("a token that never comes", json!({"match": {"path_contains": "/token"}, "stall": true})),
        ("a token in drops", json!({"match": {"path_contains": "/token"}, "reply": drip.clone()})),
        ("a reply that never comes", json!({"match": {"path_contains": "/api/"}, "stall": true})),
        ("a reply in drops", json!({"match": {"path_contains": "/api/"}, "reply": drip})),
    ]
}

const ID: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";

#[test]
fn cancel_ends_every_wait_on_the_network() {
    for (what, rule) in waits() {
        let sim = simulator();
        sim.script(rule).unwrap();
        let client = client(&sim, &[]);
        let cancel = Cancel::new(0);
        cancelled_after(200, &cancel, || {
            let error = client.action_until(ID, Some(&cancel)).error("cancelled");
            assert_eq!(error["retryable"], false, "{what}");
        });
    }
}

#[test]
fn the_deadline_of_the_client_or_of_the_handle_ends_every_wait_on_the_network() {
    for (what, rule) in waits() {
        for by_handle in [false, true] {
            let sim = simulator();
            sim.script(rule.clone()).unwrap();
            let timeout = if by_handle { "30000" } else { "300" };
            let client = client(&sim, &[("timeout_ms", timeout)]);
            let cancel = Cancel::new(if by_handle { 300 } else { 0 });
            let started = Instant::now();
            soon(|| client.action_until(ID, Some(&cancel)).error("deadline"));
            assert!(started.elapsed() >= Duration::from_millis(290), "{what}");
        }
    }
}

#[test]
fn a_stopped_collection_says_that_it_may_have_started() {
    let sim = simulator();
    sim.script(json!({"match": {"path_contains": "collect"}, "stall": true, "process": true}))
        .unwrap();
    let client = client(&sim, &[("timeout_ms", "300")]);
    let error = client.collect(&sim.machine_id(0), "x").error("deadline");
    assert_eq!(error["stage"], "reply");
    assert!(
        error["message"].as_str().unwrap().contains("not known whether a collection was started")
    );
}

#[test]
fn a_silent_peer_is_given_up() {
    let sim = simulator();
    sim.script(json!({"match": {"path_contains": "/api/"}, "times": 0, "stall": true})).unwrap();
    let client = client(&sim, &[("idle_timeout_ms", "300")]);
    let error = soon(|| client.action(ID).error("broken"));
    assert!(error["message"].as_str().unwrap().contains("idle_timeout_ms"));
}

#[test]
fn cancel_ends_a_wait_for_the_quota_and_for_a_retry() {
    let sim = simulator();
    let waiting = client(&sim, &[("quota_limits", "collect=1/3600")]);
    waiting.collect(&sim.machine_id(0), "x").ok();
    let cancel = Cancel::new(0);
    cancelled_after(200, &cancel, || {
        let error =
            waiting.collect_until(&sim.machine_id(1), "x", Some(&cancel)).error("cancelled");
        assert_eq!(error["stage"], "quota");
        assert!(error.get("retry_after_ms").is_none());
    });
    let error = client(&sim, &[("quota_limits", "collect=1/3600"), ("timeout_ms", "200")])
        .collect(&sim.machine_id(1), "x")
        .error("deadline");
    assert!(error["retry_after_ms"].as_u64().unwrap() > 3_000_000, "when to come back");
    sim.script(json!({"match": {"path_contains": "machineactions"}, "times": 0,
        "reply": {"status": 503, "headers": {"Retry-After": "20"}}}))
        .unwrap();
    let retrying = client(&sim, &[("max_retries", "5")]);
    let cancel = Cancel::new(0);
    cancelled_after(200, &cancel, || {
        retrying.action_until(ID, Some(&cancel)).error("cancelled");
    });
}

#[test]
fn waiting_for_the_token_of_another_thread_can_be_cancelled() {
    let sim = simulator();
    sim.script(json!({"match": {"path_contains": "/token"}, "stall": true})).unwrap();
    let client = client(&sim, &[("timeout_ms", "2000")]);
    let cancel = Cancel::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| client.action(ID).error("deadline"));
        std::thread::sleep(Duration::from_millis(200));
        let started = Instant::now();
        cancelled_after(100, &cancel, || {
            client.action_until(ID, Some(&cancel)).error("cancelled");
        });
        assert!(started.elapsed() < Duration::from_millis(1_500), "{:?}", started.elapsed());
    });
}

#[test]
fn a_triggered_handle_stays_triggered() {
    let sim = simulator();
    let client = client(&sim, &[]);
    let cancel = Cancel::new(0);
    cancel.trigger();
    cancel.trigger();
    for _ in 0..2 {
        client.collect_until(&sim.machine_id(0), "x", Some(&cancel)).error("cancelled");
    }
    assert!(sim.requests().is_empty());
    client.collect(&sim.machine_id(0), "x").ok();
}

#[test]
fn shutdown_ends_running_calls_refuses_new_ones_and_waits() {
    let sim = simulator();
    sim.script(json!({"match": {"path_contains": "/api/"}, "times": 0, "stall": true})).unwrap();
    let client = client(&sim, &[]);
    std::thread::scope(|scope| {
        let running: Vec<_> =
            (0..8).map(|_| scope.spawn(|| client.action(ID).error("closed"))).collect();
        std::thread::sleep(Duration::from_millis(300));
        soon(|| assert_eq!(client.shutdown(Duration::from_secs(10)), OK));
        assert!(running.into_iter().all(|thread| thread.join().is_ok()));
    });
    client.action(ID).error("closed");
    assert_eq!(client.shutdown(Duration::ZERO), OK);
}

#[test]
fn connecting_to_a_peer_that_does_not_answer_is_bounded() {
    // A listener whose queue is full does not answer further connection requests.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) =
        std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300))
    {
        queue.push(stream);
        assert!(queue.len() < 10_000, "the queue does not fill up");
    }
    let url = format!("http://{address}");
    let fixed = |more: &[(&str, &str)]| {
        let all: Vec<_> = [("access_token", "t"), ("api_url", url.as_str()), ("max_retries", "0")]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        Client::with(&all).unwrap()
    };
    let error = soon(|| fixed(&[("connect_timeout_ms", "300")]).action(ID).error("connect"));
    assert_eq!(error["stage"], "send");
    soon(|| fixed(&[("timeout_ms", "300")]).action(ID).error("deadline"));
    let cancel = Cancel::new(0);
    let client = fixed(&[]);
    cancelled_after(200, &cancel, || {
        client.action_until(ID, Some(&cancel)).error("cancelled");
    });
}

#[test]
fn a_tls_handshake_that_stalls_is_bounded() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let options = |name, value| {
        [("access_token", "t"), ("api_url", url.as_str()), ("max_retries", "0"), (name, value)]
    };
    soon(|| {
        Client::with(&options("connect_timeout_ms", "300")).unwrap().action(ID).error("connect")
    });
    soon(|| Client::with(&options("timeout_ms", "300")).unwrap().action(ID).error("deadline"));
    let cancel = Cancel::new(0);
    let client = Client::with(&options("timeout_ms", "30000")).unwrap();
    cancelled_after(200, &cancel, || {
        client.action_until(ID, Some(&cancel)).error("cancelled");
    });
}

#[test]
fn many_threads_may_cancel_shut_down_and_call_at_once() {
    let config = Config { quota_mode: QuotaMode::Off, ..Config::default() };
    let sim = Simulator::start(config).unwrap();
    for round in 0..10 {
        let client = client(&sim, &[("quota_limits", "read=1000000/1")]);
        let cancel = Cancel::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    loop {
                        let outcome = client.action_until(ID, Some(&cancel));
                        match outcome.document["error"]["name"].as_str() {
                            Some("not_found") => {}
                            Some("cancelled" | "closed") => break,
                            other => panic!("{other:?}: {}", outcome.text),
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(10 * round));
            scope.spawn(|| cancel.trigger());
            scope.spawn(|| assert_eq!(client.shutdown(Duration::from_secs(20)), OK));
        });
    }
}
