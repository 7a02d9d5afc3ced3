//! Every wait ends when it must: cancel, deadline, shutdown, silence.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mde_simulator::{Config, QuotaMode, Simulator};
use mde_tests::peers::slow_reader::SlowReader;
use mde_tests::{Cancel, Client, OK, Outcome, client, simulator};
use serde_json::json;

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
            let error = soon(|| client.action_until(ID, Some(&cancel)).error("deadline"));
            let ran_out =
                if by_handle { "the time limit of its cancel handle" } else { "`timeout_ms`" };
            assert!(error["message"].as_str().unwrap().ends_with(ran_out), "{error}");
            assert!(started.elapsed() >= Duration::from_millis(290), "{what}");
        }
    }
}

#[test]
fn a_stopped_collection_reports_that_it_may_have_started() {
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
fn a_silent_peer_ends_the_call_after_the_idle_timeout() {
    let sim = simulator();
    sim.script(json!({"match": {"path_contains": "/api/"}, "times": 0, "stall": true})).unwrap();
    let client = client(&sim, &[("idle_timeout_ms", "300")]);
    let error = soon(|| client.action(ID).error("broken"));
    assert!(error["message"].as_str().unwrap().contains("idle_timeout_ms"));
}

#[test]
fn cancel_ends_a_wait_for_the_quota_and_for_a_retry() {
    let sim = simulator();
    let waiting = client(&sim, &[("quota_limits", "collect=1/3600"), ("timeout_ms", "0")]);
    waiting.collect(&sim.machine_id(0), "x").ok();
    let cancel = Cancel::new(0);
    cancelled_after(200, &cancel, || {
        let error =
            waiting.collect_until(&sim.machine_id(1), "x", Some(&cancel)).error("cancelled");
        assert_eq!(error["stage"], "quota");
        assert!(error.get("retry_after_ms").is_none());
    });
    // Who has a deadline does not wait for what comes after it.
    let error = client(&sim, &[("quota_limits", "collect=1/3600"), ("timeout_ms", "200")])
        .collect(&sim.machine_id(1), "x")
        .error("rate_limited");
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

/// Requests that are too large for the kernel to take them whole while the peer does not read.
struct Sending {
    peer: SlowReader,
    tls: Option<(Simulator, PathBuf)>,
}

impl Sending {
    const TOKEN: usize = 32 * 1024;
    const COMMENT: usize = 32_768;
    const FILTER: usize = 8_192;
    /// What the requests have at least.
    const COLLECT: usize = Sending::TOKEN + 6 * Sending::COMMENT;
    const LIST: usize = Sending::TOKEN + 3 * Sending::FILTER;

    /// To a peer that reads so many bytes every 100 ms.
    fn to(bytes: usize, tls: bool) -> Sending {
        let tls = tls.then(|| {
            let sim = Simulator::start(Config { tls, ..Config::default() }).unwrap();
            let name = format!("stopping-{}.pem", port(&sim));
            let ca = mde_tests::scratch().join(name);
            std::fs::write(&ca, sim.ca_pem().unwrap()).unwrap();
            (sim, ca)
        });
        Sending { peer: SlowReader::start(bytes, tls.as_ref().map(|(sim, _)| port(sim))), tls }
    }

    fn client(&self, more: &[(&str, &str)]) -> Client {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{}", self.peer.port);
        let token = "t".repeat(Sending::TOKEN);
        let mut all = vec![("access_token", token.as_str()), ("api_url", &url)];
        all.extend([("max_retries", "0"), ("timeout_ms", "30000")]);
        if let Some((_, ca)) = &self.tls {
            all.push(("ca_file", ca.to_str().unwrap()));
        }
        all.extend(more);
        Client::with(&all).unwrap()
    }

    /// With the longest comment, each byte of which takes six in JSON.
    fn collect(client: &Client, cancel: Option<&Cancel>) -> Outcome {
        let machine = "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9";
        client.collect_until(machine, &"\u{1}".repeat(Sending::COMMENT), cancel)
    }

    /// With the longest filter, each byte of which takes three in a URL.
    fn list(client: &Client) -> Outcome {
        client.list(&"'".repeat(Sending::FILTER))
    }

    /// Part of the request was sent, and the rest was not: the call did end in between.
    #[track_caller]
    fn left_in_part(self, request: usize) {
        let received = self.peer.received();
        assert!((1..request).contains(&received), "{received} bytes of {request} were sent");
        if let Some((_, ca)) = self.tls {
            std::fs::remove_file(ca).unwrap();
        }
    }
}

fn port(sim: &Simulator) -> u16 {
    sim.api_url().rsplit_once(':').unwrap().1.parse().unwrap()
}

/// Side by side: what they do is to wait.
fn over_plain_and_tls(test: impl Fn(bool) + Sync) {
    std::thread::scope(|scope| {
        for tls in [false, true] {
            let test = &test;
            scope.spawn(move || test(tls));
        }
    });
}

#[test]
fn sending_to_a_peer_that_reads_nothing_or_little_can_be_stopped() {
    over_plain_and_tls(|tls| {
        // One byte makes no room that the sender would be told of, the others do.
        for bytes in [0, 1, 4096] {
            let sending = Sending::to(bytes, tls);
            let (client, cancel) = (sending.client(&[]), Cancel::new(0));
            cancelled_after(300, &cancel, || {
                let error = Sending::collect(&client, Some(&cancel)).error("cancelled");
                assert_eq!(error["outcome"], "unknown");
            });
            sending.left_in_part(Sending::COLLECT);

            let sending = Sending::to(bytes, tls);
            let client = sending.client(&[("timeout_ms", "300")]);
            let error = soon(|| Sending::collect(&client, None).error("deadline"));
            assert_eq!(error["outcome"], "unknown");
            sending.left_in_part(Sending::COLLECT);
        }
    });
}

#[test]
fn sending_ends_when_the_peer_reads_nothing_for_too_long() {
    let given_up = |sending: &Sending, waits: u32, send: fn(&Client) -> serde_json::Value| {
        let client = sending.client(&[("idle_timeout_ms", "1000")]);
        let started = Instant::now();
        let error = send(&client);
        let (passed, due) = (started.elapsed(), waits * Duration::from_secs(1));
        let late = Duration::from_millis(900) + waits * Duration::from_millis(50);
        assert!(passed >= due && passed < due + late, "{passed:?}");
        assert!(error["message"].as_str().unwrap().contains("idle_timeout_ms"), "{error}");
        error
    };
    over_plain_and_tls(|tls| {
        let sending = Sending::to(0, tls);
        given_up(&sending, 1, |client| Sending::list(client).error("broken"));
        sending.left_in_part(Sending::LIST);

        let sending = Sending::to(0, tls);
        // Five more waits are for the list, which is to show whether a collection was started, with ten seconds between.
        let error = given_up(&sending, 16, |client| {
            Sending::collect(client, None).error("outcome_unknown")
        });
        assert_eq!(error["outcome"], "unknown");
        sending.left_in_part(Sending::COLLECT);
    });
}

#[test]
fn sending_continues_while_the_peer_reads_and_the_deadline_allows() {
    over_plain_and_tls(|tls| {
        let sending = Sending::to(4096, tls);
        let client = sending.client(&[("idle_timeout_ms", "700"), ("timeout_ms", "2000")]);
        soon(|| Sending::collect(&client, None).error("deadline"));
        sending.left_in_part(Sending::COLLECT);
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
