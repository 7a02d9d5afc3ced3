//! Waiting for actions: every end, changes and failures of the service meanwhile, and many waiters at once.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant, SystemTime};

use mde_simulator::{Config, Endpoint, Limit, Outcome, Simulator};
use mde_tests::{Cancel, Client, client, simulator};
use serde_json::{Value, json};

const QUICK: (&str, &str) = ("poll_interval_ms", "200");

/// Actions that are Pending and InProgress for so long.
fn taking(pending_s: f64, in_progress_s: f64) -> Simulator {
    let sim = simulator();
    sim.set(|b| (b.pending_s, b.in_progress_s) = (pending_s, in_progress_s));
    sim
}

fn started(sim: &Simulator, client: &Client) -> String {
    let document = client.collect(&sim.machine_id(0), "x").ok();
    document["action"]["id"].as_str().unwrap().to_owned()
}

fn brought_in(sim: &Simulator, status: &str) -> String {
    let action = sim.add_action(json!({ "status": status })).unwrap();
    action["id"].as_str().unwrap().to_owned()
}

fn count(sim: &Simulator, matches: impl Fn(&str) -> bool) -> usize {
    sim.requests().iter().filter(|r| r.method == "GET" && matches(&r.path)).count()
}

fn lists(sim: &Simulator) -> usize {
    count(sim, |path| path.split('?').next() == Some("/api/machineactions"))
}

fn reads(sim: &Simulator) -> usize {
    count(sim, |path| path.starts_with("/api/machineactions/"))
}

#[test]
fn success_is_waited_for_and_every_poll_is_reported() {
    let sim = taking(0.5, 0.7);
    let client = client(&sim, &[QUICK]);
    let id = started(&sim, &client);
    let mut events: Vec<Value> = Vec::new();
    let mut progress = |event: Value| {
        events.push(event);
        true
    };
    let began = Instant::now();
    let document = client.wait_until(&id, Some(&mut progress), None).ok();
    assert_eq!(document["action"]["status"], "Succeeded");
    assert_eq!(document["action"]["id"], id.as_str());
    assert!(document["action"]["commands"].is_array(), "members that are not looked at are kept");
    assert!((1_000..2_500).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    let states: Vec<&str> = events.iter().map(|e| e["status"].as_str().unwrap()).collect();
    for pair in [["Pending", "InProgress"], ["InProgress", "Succeeded"]] {
        assert!(states.windows(2).any(|w| w == pair), "{states:?}");
    }
    for event in &events {
        assert_eq!((&event["stage"], &event["action_id"]), (&json!("wait"), &json!(id)));
        let next = event["next_poll_ms"].as_u64().unwrap();
        let ended = event["status"] == "Succeeded";
        assert!(if ended { next == 0 } else { (100..=250).contains(&next) }, "{event}");
    }
    let elapsed: Vec<u64> = events.iter().map(|e| e["elapsed_ms"].as_u64().unwrap()).collect();
    assert!(elapsed.is_sorted() && *elapsed.last().unwrap() >= 900, "{elapsed:?}");
    assert_eq!(lists(&sim), 0, "one action is read, not listed");
}

#[test]
fn every_bad_end_has_its_own_status_and_carries_the_action() {
    for (outcome, status, name) in [
        (Outcome::Failed, "Failed", "action_failed"),
        (Outcome::TimeOut, "TimeOut", "action_timed_out"),
    ] {
        let sim = taking(0.0, 0.3);
        sim.set(|b| b.outcome = outcome);
        let client = client(&sim, &[QUICK]);
        let id = started(&sim, &client);
        let error = client.wait(&id).error(name);
        assert_eq!(error["stage"], "wait");
        assert_eq!(error["retryable"], false);
        assert_eq!((&error["action_id"], &error["action"]["status"]), (&json!(id), &json!(status)));
    }
    let sim = taking(60.0, 60.0);
    let client = client(&sim, &[QUICK]);
    let id = started(&sim, &client);
    client.cancel(&id, "not needed").ok();
    assert_eq!(client.wait(&id).error("action_cancelled")["action"]["status"], "Cancelled");
}

#[test]
fn a_deadline_and_a_cancel_report_the_state_of_the_action() {
    let sim = taking(0.0, 60.0);
    let short = client(&sim, &[QUICK, ("wait_timeout_ms", "700")]);
    let id = started(&sim, &short);
    let began = Instant::now();
    let error = short.wait(&id).error("deadline");
    assert!((650..1_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert_eq!((&error["retryable"], &error["stage"]), (&json!(true), &json!("wait")));
    assert_eq!(error["action"]["status"], "InProgress");
    assert!(error["message"].as_str().unwrap().contains("`InProgress`"), "{error}");

    // A wait lasts longer than other operations may.
    let patient = client(&sim, &[QUICK, ("timeout_ms", "300")]);
    let cancel = Arc::new(Cancel::new(0));
    let other = Arc::clone(&cancel);
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(900));
        other.trigger();
        Instant::now()
    });
    let error = patient.wait_until(&id, None, Some(&cancel)).error("cancelled");
    let late = thread.join().unwrap().elapsed();
    assert!(late < Duration::from_millis(100), "{late:?}");
    assert_eq!(error["action"]["id"], id.as_str());
}

/// It would wait for its own call. Another client may be shut down there.
#[test]
fn a_callback_cannot_shut_its_own_client_down() {
    let sim = taking(0.0, 0.3);
    let (own, other) = (client(&sim, &[QUICK]), client(&sim, &[QUICK]));
    let id = started(&sim, &own);
    let mut answers = Vec::new();
    let mut progress = |_: Value| {
        answers.push((own.shutdown(Duration::from_secs(3_600)), other.shutdown(Duration::ZERO)));
        true
    };
    let document = own.wait_until(&id, Some(&mut progress), None).ok();
    assert_eq!(document["action"]["status"], "Succeeded");
    assert!(!answers.is_empty() && answers.iter().all(|it| *it == (3, 0)), "{answers:?}");
    // Afterwards, and from another thread meanwhile, it is shut down.
    assert_eq!(own.shutdown(Duration::ZERO), 0);
    other.action(&id).error("closed");
}

#[test]
fn the_progress_callback_can_end_the_wait() {
    let sim = taking(0.0, 60.0);
    let client = client(&sim, &[QUICK]);
    let id = started(&sim, &client);
    let mut left = 3;
    let mut progress = |_| {
        left -= 1;
        left > 0
    };
    let error = client.wait_until(&id, Some(&mut progress), None).error("cancelled");
    assert_eq!((left, &error["stage"]), (0, &json!("wait")));
    assert_eq!(error["action"]["status"], "InProgress");
}

#[test]
fn an_action_that_the_service_does_not_list_yet_is_waited_for() {
    let sim = taking(0.0, 0.3);
    sim.set(|b| b.not_found_after_create_s = 0.8);
    let client = client(&sim, &[QUICK]);
    let id = started(&sim, &client);
    let mut states: Vec<Value> = Vec::new();
    let mut progress = |event: Value| {
        states.push(event["status"].clone());
        true
    };
    client.wait_until(&id, Some(&mut progress), None).ok();
    assert_eq!((&states[0], states.last().unwrap()), (&Value::Null, &json!("Succeeded")));
}

#[test]
fn the_wait_for_an_unknown_action_is_bounded() {
    let sim = simulator();
    let client = client(&sim, &[QUICK, ("wait_timeout_ms", "600")]);
    // The minute is played in a unit test.
    let error = client.wait("5382f7ea-7557-4ab7-9782-d50480024a4e").error("deadline");
    assert!(error.get("action").is_none());
    assert!(reads(&sim) >= 3, "{}", reads(&sim));
}

#[test]
fn failed_polls_do_not_end_the_wait() {
    let sim = taking(0.0, 2.0);
    let client = client(&sim, &[QUICK]);
    let id = started(&sim, &client);
    for rule in [
        json!({"match": {"path_contains": &id}, "skip": 1, "times": 2, "reply": {"status": 503}}),
        json!({"match": {"path_contains": &id}, "skip": 2, "times": 1, "close": "before_reply"}),
    ] {
        sim.script(rule).unwrap();
    }
    client.wait(&id).ok();
    let failed = sim.requests().iter().filter(|r| r.path.contains(&id) && r.status != 200).count();
    assert_eq!(failed, 3);
}

#[test]
fn a_refusal_ends_the_wait() {
    let sim = taking(0.0, 60.0);
    let client = client(&sim, &[QUICK]);
    let id = started(&sim, &client);
    sim.script(
        json!({"match": {"path_contains": &id}, "skip": 2, "times": 9, "reply": {"status": 403}}),
    )
    .unwrap();
    let error = client.wait(&id).error("forbidden");
    assert_eq!(error["action"]["status"], "InProgress");
}

#[test]
fn unknown_states_do_not_end_the_wait() {
    let sim = simulator();
    let client = client(&sim, &[QUICK, ("wait_timeout_ms", "500")]);
    let id = brought_in(&sim, "Paused");
    let error = client.wait(&id).error("deadline");
    assert_eq!(error["action"]["status"], "Paused");
    assert!(error["message"].as_str().unwrap().contains("`Paused`"), "{error}");
}

#[test]
fn another_waiter_polls_when_the_poller_leaves() {
    let sim = taking(0.0, 2.0);
    let client = Arc::new(client(&sim, &[QUICK]));
    let ids: Vec<String> = (0..3)
        .map(|n| {
            let document = client.collect(&sim.machine_id(n), "x").ok();
            document["action"]["id"].as_str().unwrap().to_owned()
        })
        .collect();
    let first_leaves = Arc::new(Cancel::new(700));
    let threads: Vec<_> = ids
        .into_iter()
        .enumerate()
        .map(|(n, id)| {
            let (client, cancel) = (Arc::clone(&client), Arc::clone(&first_leaves));
            let thread = std::thread::spawn(move || {
                client.wait_until(&id, None, (n == 0).then_some(cancel.as_ref()))
            });
            std::thread::sleep(Duration::from_millis(50));
            thread
        })
        .collect();
    let mut outcomes: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    for outcome in outcomes.drain(1..) {
        outcome.ok();
    }
    outcomes.remove(0).error("deadline");
    let at = lists(&sim);
    assert!((5..=12).contains(&at), "{at} lists in two seconds");
}

#[test]
fn other_kinds_of_actions_are_waited_for_among_collections() {
    let sim = taking(0.0, 0.5);
    let client = Arc::new(client(&sim, &[QUICK]));
    let id = started(&sim, &client);
    let isolated = sim.add_action(json!({"type": "Isolate", "status": "Succeeded"})).unwrap();
    let other = isolated["id"].as_str().unwrap().to_owned();
    let waiting = {
        let client = Arc::clone(&client);
        std::thread::spawn(move || client.wait(&id).ok())
    };
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(client.wait(&other).ok()["action"]["type"], "Isolate");
    waiting.join().unwrap();
}

#[test]
fn a_progress_callback_may_wait_and_delays_no_other_waiter() {
    let sim = taking(0.0, 2.0);
    let client = Arc::new(client(&sim, &[QUICK]));
    let (id, ended) = (started(&sim, &client), brought_in(&sim, "Succeeded"));
    let (told, blocked) = std::sync::mpsc::channel();
    let first = {
        let (client, ended) = (Arc::clone(&client), ended.clone());
        std::thread::spawn(move || {
            let inner = Arc::clone(&client);
            let mut nested = None;
            let mut progress = |_| {
                nested.get_or_insert_with(|| {
                    let began = Instant::now();
                    inner.wait(&ended).ok();
                    told.send(()).unwrap();
                    // Others do not wait for this.
                    std::thread::sleep(Duration::from_millis(1_000));
                    began.elapsed()
                });
                true
            };
            client.wait_until(&id, Some(&mut progress), None).ok();
            nested.unwrap()
        })
    };
    blocked.recv().unwrap();
    let began = Instant::now();
    client.wait(&ended).ok();
    assert!(began.elapsed() < Duration::from_millis(700), "{:?}", began.elapsed());
    let nested = first.join().unwrap();
    assert!(nested < Duration::from_millis(1_700), "{nested:?}");
}

#[test]
fn many_actions_of_other_types_do_not_hide_one() {
    let sim = simulator();
    let isolate = |status: &str| {
        let action = sim.add_action(json!({"type": "Isolate", "status": status})).unwrap();
        action["id"].as_str().unwrap().to_owned()
    };
    let client = Arc::new(client(&sim, &[QUICK, ("wait_timeout_ms", "4000")]));
    let pending: Vec<_> = (0..14)
        .map(|_| {
            let (client, id) = (Arc::clone(&client), isolate("Pending"));
            std::thread::spawn(move || client.wait(&id).error("deadline"))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    client.wait(&isolate("Succeeded")).ok();
    for thread in pending {
        assert_eq!(thread.join().unwrap()["action"]["status"], "Pending", "each was looked at");
    }
}

#[test]
fn a_full_quota_of_one_client_does_not_stop_another_client() {
    let sim = taking(0.0, 1.0);
    let options = [QUICK, ("quota_limits", "list=1/60")];
    let hasty = Arc::new(client(&sim, &[&options[..], &[("quota", "fail")]].concat()));
    let patient = client(&sim, &[QUICK]);
    let ids: Vec<String> = (0..2)
        .map(|n| {
            let document = patient.collect(&sim.machine_id(n), "x").ok();
            document["action"]["id"].as_str().unwrap().to_owned()
        })
        .collect();
    hasty.list("").ok();
    let (one, id) = (Arc::clone(&hasty), ids[0].clone());
    let first = std::thread::spawn(move || one.wait(&id));
    std::thread::sleep(Duration::from_millis(50));
    patient.wait(&ids[1]).ok();
    // That one has seen its action before the other came, so it may go on as well.
    let _ = first.join().unwrap();
}

/// A thousand threads on a thousand actions: one list in an interval, and all learn the end in time.
#[test]
fn many_waiters_cost_one_request() {
    const MANY: usize = 1_000;
    const INTERVAL: Duration = Duration::from_millis(1_500);
    let mut config = Config { machines: MANY, ..Config::default() };
    config.quota_limits.insert(Endpoint::Collect, vec![Limit { calls: MANY, seconds: 1 }]);
    let sim = Simulator::start(config).unwrap();
    sim.set(|b| (b.pending_s, b.in_progress_s) = (3.0, 6.0));
    let interval = INTERVAL.as_millis().to_string();
    let options = [("poll_interval_ms", interval.as_str()), ("quota_limits", "collect=1000/1")];
    let client = Arc::new(client(&sim, &options));
    let collecting = Instant::now();
    let ids: Vec<String> = (0..MANY)
        .map(|n| {
            let document = client.collect(&sim.machine_id(n), "x").ok();
            document["action"]["id"].as_str().unwrap().to_owned()
        })
        .collect();
    // How quick this machine is just now.
    let allowance = Duration::from_millis(500) + collecting.elapsed() / 2;
    let start = Arc::new(Barrier::new(MANY + 1));
    let threads: Vec<_> = ids
        .into_iter()
        .map(|id| {
            let (client, start) = (Arc::clone(&client), Arc::clone(&start));
            let wait = move || {
                start.wait();
                let document = client.wait(&id).ok();
                (SystemTime::now(), document)
            };
            std::thread::Builder::new().stack_size(256 * 1024).spawn(wait).unwrap()
        })
        .collect();
    start.wait();
    let (began, waiting) = (Instant::now(), SystemTime::now());
    let mut latest = Duration::ZERO;
    for thread in threads {
        let (noticed, document) = thread.join().unwrap();
        assert_eq!(document["action"]["status"], "Succeeded");
        let ended = document["action"]["lastUpdateDateTimeUtc"].as_str().unwrap();
        let ended = humantime::parse_rfc3339(ended).unwrap();
        latest = latest.max(noticed.duration_since(ended.max(waiting)).unwrap_or_default());
    }
    let took = began.elapsed();
    // The reply itself takes its time, with a thousand actions in it and a thousand threads to wake.
    assert!(latest < INTERVAL + allowance, "noticed {latest:?} late, allowance {allowance:?}");
    let most = 2 + took.as_millis() / INTERVAL.as_millis();
    let (listed, read) = (lists(&sim), reads(&sim));
    assert!(listed as u128 <= most, "{listed} lists in {took:?}");
    // The first waiter polls before the others have joined.
    assert!(read <= 2, "{read} reads");
}
