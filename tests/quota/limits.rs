//! The limiter in the path of every call, against a service that counts by itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mde_simulator::{Config, CountAt, Endpoint, Limit, QuotaMode, Simulator};
use mde_tests::{client, simulator};
use serde_json::{Value, json};

/// A minute in a fifth of a second, an hour in 12 s: the documented limits at 300 times the speed.
const SCALE: f64 = 300.0;
const SCALED_LIMITS: &str = "collect=100/0.2,1500/12;read=100/0.2,1500/12;list=100/0.2,1500/12";

fn never_refused(mode: QuotaMode, phase: f64) {
    const THREADS: usize = 64;
    const CALLS: usize = 26; // 1,664 in all: more than an hour's worth
    let sim = Simulator::start(Config {
        machines: THREADS * CALLS,
        time_scale: SCALE,
        quota_mode: mode,
        fixed_phase_s: phase,
        count_at: CountAt::Random,
        latency_ms: (0, 20),
        ..Config::default()
    })
    .unwrap();
    let more = [("quota_limits", SCALED_LIMITS), ("timeout_ms", "120000")];
    let clients = [client(&sim, &more), client(&sim, &more)];
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (sim, client) = (&sim, &clients[thread % 2]);
            scope.spawn(move || {
                for call in 0..CALLS {
                    client.collect(&sim.machine_id(thread * CALLS + call), "load").ok();
                }
            });
        }
    });
    assert_eq!(sim.refusals(), 0, "the service refused a call");
    assert_eq!(sim.actions().len(), THREADS * CALLS);
    // The hour's limit was really reached, so the test means something.
    assert!(started.elapsed() > Duration::from_secs(12), "{:?}", started.elapsed());
}

#[test]
fn threads_of_two_clients_are_never_refused_by_a_sliding_window() {
    never_refused(QuotaMode::Sliding, 0.0);
}

#[test]
fn threads_of_two_clients_are_never_refused_by_a_fixed_window() {
    never_refused(QuotaMode::Fixed, 1_234.5);
}

#[test]
fn the_simulator_refuses_without_the_limiter() {
    // The counterpart: the same traffic without keeping the limits.
    let sim = Simulator::start(Config { machines: 101, ..Config::default() }).unwrap();
    let client = client(&sim, &[("quota_limits", "collect=1000000/1"), ("max_retries", "0")]);
    for n in 0..100 {
        client.collect(&sim.machine_id(n), "load").ok();
    }
    client.collect(&sim.machine_id(100), "load").error("throttled");
    assert_eq!(sim.refusals(), 1);
}

fn row<'a>(document: &'a Value, endpoint: &str, window: u64) -> &'a Value {
    let rows = document["quotas"].as_array().unwrap();
    rows.iter().find(|row| row["endpoint"] == endpoint && row["window_s"] == window).unwrap()
}

#[test]
fn the_status_counts_every_call_against_its_own_endpoint() {
    let sim = simulator();
    let client = client(&sim, &[]);
    let id =
        client.collect(&sim.machine_id(0), "x").ok()["action"]["id"].as_str().unwrap().to_owned();
    client.collect(&sim.machine_id(1), "x").ok();
    client.action(&id).ok();
    let document = client.quota().ok();
    assert_eq!(document["quotas"].as_array().unwrap().len(), 12);
    assert_eq!(
        row(&document, "collect", 60),
        &json!({"endpoint": "collect", "limit": 100, "window_s": 60, "used": 2, "in_flight": 0, "queued": 0,
            "available_in_ms": 0})
    );
    assert_eq!(document["log"], json!({"kind": "process"}));
    assert_eq!(row(&document, "collect", 3600)["used"], 2);
    assert_eq!(row(&document, "read", 60)["used"], 1);
    assert_eq!(row(&document, "link", 60)["limit"], 2);
    assert_eq!(row(&document, "link", 60)["used"], 0);
}

#[test]
fn a_client_that_does_not_wait_gets_the_time_of_the_next_slot() {
    let sim = simulator();
    let client = client(&sim, &[("quota", "fail"), ("quota_limits", "collect=2/60")]);
    for n in 0..2 {
        client.collect(&sim.machine_id(n), "x").ok();
    }
    let error = client.collect(&sim.machine_id(2), "x").error("rate_limited");
    assert_eq!((&error["stage"], &error["retryable"]), (&json!("quota"), &json!(true)));
    let wait = error["retry_after_ms"].as_u64().unwrap();
    assert!((50_000..=61_000).contains(&wait), "{wait}");
    assert_eq!(sim.actions().len(), 2);
    let available = row(&client.quota().ok(), "collect", 60)["available_in_ms"].as_u64().unwrap();
    assert!(available.abs_diff(wait) < 2_000, "{available} {wait}");
}

#[test]
fn a_client_that_waits_is_admitted_when_the_window_is_over() {
    let sim = simulator();
    let client = client(&sim, &[("quota_limits", "collect=1/0.3")]);
    let started = Instant::now();
    for n in 0..4 {
        client.collect(&sim.machine_id(n), "x").ok();
    }
    assert!(started.elapsed() >= Duration::from_millis(900));
}

#[test]
fn spent_calls_count_after_the_client_is_freed() {
    let sim = simulator();
    let limits = [("quota", "fail"), ("quota_limits", "collect=1/60")];
    client(&sim, &limits).collect(&sim.machine_id(0), "x").ok();
    client(&sim, &limits).collect(&sim.machine_id(1), "x").error("rate_limited");
}

#[test]
fn a_share_reserves_the_rest_for_other_users() {
    let sim = simulator();
    let client = client(&sim, &[("quota_share", "3"), ("quota", "fail")]);
    for n in 0..3 {
        client.collect(&sim.machine_id(n), "x").ok();
    }
    client.collect(&sim.machine_id(3), "x").error("rate_limited");
}

#[test]
fn a_429_closes_the_endpoint_for_all_callers() {
    let limits = BTreeMap::from([(Endpoint::Collect, vec![Limit { calls: 1, seconds: 1 }])]);
    let sim = Simulator::start(Config { quota_limits: limits, ..Config::default() }).unwrap();
    // Another user spends the same quota, which the call log does not show.
    let patient = client(&sim, &[("max_retries", "3")]);
    let impatient = client(&sim, &[("quota", "fail")]);
    patient.collect(&sim.machine_id(0), "x").ok();
    let error = impatient.collect(&sim.machine_id(1), "x").error("throttled");
    assert_eq!((&error["http_status"], &error["service_code"]), (&json!(429), &json!("429")));
    assert_eq!(error["retry_after_ms"], 1_000);
    let sent = sim.requests().len();
    impatient.collect(&sim.machine_id(1), "x").error("rate_limited");
    assert_eq!(sim.requests().len(), sent, "nothing was sent into a closed endpoint");
    let status = patient.quota().ok();
    let minute = row(&status, "collect", 60);
    assert!((1..=1_000).contains(&minute["closed_ms"].as_u64().unwrap()), "{minute}");
    assert_eq!(minute["closed_by"], "throttled");
    patient.collect(&sim.machine_id(1), "x").ok();
    assert_eq!(sim.refusals(), 1);
    let status = patient.quota().ok();
    let minute = row(&status, "collect", 60);
    assert_eq!(minute["closed_ms"], Value::Null);
}

#[test]
fn after_a_429_one_call_at_a_time_is_sent_until_one_is_not_refused() {
    let sim = simulator();
    sim.script(json!({"match": {"path_contains": "collect"}, "times": 3, "reply": {"status": 429,
        "headers": {"Retry-After": "1"}}}))
        .unwrap();
    let client = client(&sim, &[("max_retries", "20")]);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..5 {
            let (sim, client) = (&sim, &client);
            scope.spawn(move || client.collect(&sim.machine_id(thread), "x").ok());
            // The others come when the endpoint is closed.
            let came = Instant::now();
            while thread == 0 && client.quota().ok()["quotas"][0]["closed_ms"] == Value::Null {
                assert!(came.elapsed() < Duration::from_secs(20));
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    });
    // All of them at the first opening would have had it open at the second.
    assert!(started.elapsed() >= Duration::from_secs(3), "{:?}", started.elapsed());
}

#[test]
fn a_429_without_a_wait_closes_for_a_minute_and_short_deadlines_fail_at_once() {
    let sim = simulator();
    sim.script(json!({"match": {"path_contains": "collect"}, "reply": {"status": 429,
        "json": {"error": {"code": "429", "message": "API calls quota exceeded! maximum allowed 45 per 00:01:00"}}}}))
    .unwrap();
    let started = Instant::now();
    let error = client(&sim, &[("max_retries", "3"), ("timeout_ms", "20000")])
        .collect(&sim.machine_id(0), "x")
        .error("throttled");
    assert_eq!(error["retry_after_ms"], 60_000);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_wait_that_cannot_succeed_fails_at_once() {
    let sim = simulator();
    let client = client(
        &sim,
        &[("quota_limits", "collect=1/60"), ("timeout_ms", "20000"), ("max_retries", "0")],
    );
    client.collect(&sim.machine_id(0), "x").ok();
    let started = Instant::now();
    // The log is full for longer than the call may take.
    let error = client.collect(&sim.machine_id(1), "x").error("rate_limited");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("`collect` has no room now, and none within this call's time"),
        "{message}"
    );
    let wait = error["retry_after_ms"].as_u64().unwrap();
    assert!((50_000..=60_061).contains(&wait), "{wait}");
    // The service closed the endpoint for as long.
    sim.script(json!({"match": {"path_contains": "machineactions"}, "reply": {"status": 429,
        "headers": {"Retry-After": "40"}}}))
        .unwrap();
    client.list("").error("throttled");
    let error = client.list("").error("rate_limited");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("`list` was closed by the service (429)"), "{message}");
    let wait = error["retry_after_ms"].as_u64().unwrap();
    assert!((30_000..=40_000).contains(&wait), "{wait}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(
        sim.requests().iter().filter(|request| request.path.contains("machineactions")).count(),
        1
    );
}

#[test]
fn before_the_first_call_the_status_has_only_what_is_known() {
    let sim = simulator();
    client(&sim, &[]).collect(&sim.machine_id(0), "x").ok();
    // The options, or the token, say whose quota it is: that of the other client.
    assert_eq!(row(&client(&sim, &[]).quota().ok(), "collect", 60)["used"], 1);
    // Nobody can say whose token it will be.
    let more =
        [("tenant_id", "contoso.example"), ("quota_file", "/nonexistent-folder-is-not-looked-at")];
    let document = client(&sim, &more).quota().ok();
    let log = json!({"kind": "file", "place": "/nonexistent-folder-is-not-looked-at"});
    assert_eq!((&document["known"], &document["log"]), (&json!(false), &log));
    let minute = json!({"endpoint": "collect", "limit": 100, "window_s": 60});
    assert_eq!(row(&document, "collect", 60), &minute);
}

#[test]
fn a_call_that_was_not_sent_uses_no_slot() {
    let sim = simulator();
    let client = client(&sim, &[("api_url", "http://127.0.0.1:1")]);
    client.collect(&sim.machine_id(0), "x").error("connect");
    assert_eq!(row(&client.quota().ok(), "collect", 60)["used"], 0);
}
