//! Collections whose outcome is not known: found, requested again, and never started twice.
//!
//! `src/operations/collect/tests.rs` plays thousands of orders in virtual time. Here the whole library plays some in real
//! time, many side by side.

use std::collections::BTreeMap;
use std::time::Duration;

use mde_simulator::{Config, Duplicate, Endpoint, Faults, Limit, Simulator};
use mde_tests::packages::{Folder, collections_asked_for, quick};
use mde_tests::{Cancel, Client, OK, Outcome, simulator};
use serde_json::{Value, json};

const JOB: &str = "collectInvestigationPackage";

/// A client with the default number of retries, and with the time that searches of ten seconds take.
fn client(sim: &Simulator, more: &[(&str, &str)]) -> Client {
    let usual = [("timeout_ms", "300000"), ("max_retries", "4")];
    mde_tests::client(sim, &[&usual, more].concat())
}

/// Runs all cases at once, since most of their time goes into pauses.
fn side_by_side<T: Sync>(cases: &[T], test: impl Fn(&T) + Sync) {
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| test(case));
        }
    });
}

/// Replies to the request for a collection that do not tell what became of it. `None`: none arrives.
fn untold() -> Vec<Option<Value>> {
    [
        None,
        Some(json!({"status": 408})),
        Some(json!({"status": 500, "json": {"error": {"code": "InternalServerError", "message": ""}}})),
        Some(json!({"status": 502, "body": "<html>Bad Gateway</html>"})),
        Some(json!({"status": 504, "headers": {"Retry-After": "2"}})),
        Some(json!({"status": 201, "body": "\u{feff}{\"value\":[]}"})),
        Some(json!({"status": 202, "body": ""})),
        Some(json!({"status": 201, "body": "{\"id\":\"0c1f", "truncate_after": 4})),
    ]
    .to_vec()
}

/// The first request for a collection is answered so, before or after it is carried out.
fn lose_one(sim: &Simulator, reply: Option<&Value>, process: bool) {
    let mut rule = json!({"match": {"path_contains": JOB}, "process": process});
    match reply {
        Some(reply) => rule["reply"] = reply.clone(),
        None => rule["close"] = json!("before_reply"),
    }
    sim.script(rule).unwrap();
}

fn lists(sim: &Simulator) -> usize {
    sim.requests().iter().filter(|request| request.path == "/api/machineactions").count()
}

#[test]
fn a_request_that_was_not_carried_out_is_sent_again() {
    side_by_side(&untold(), |reply| {
        let sim = simulator();
        lose_one(&sim, reply.as_ref(), false);
        let client = client(&sim, &[]);
        // An earlier simulator may have had the same port.
        let before = client.quota().ok();
        let document = client.collect(&sim.machine_id(4), "case 815").ok();
        assert_eq!(document["adopted"], false, "{reply:?}");
        assert_eq!(document["action"]["id"], sim.actions()[0]["id"]);
        assert_eq!((sim.actions().len(), collections_asked_for(&sim), lists(&sim)), (1, 2, 5));
        // Each request has taken a slot, of the hour at least.
        let quota = client.quota().ok();
        let used = |quota: &Value, name: &str| {
            let all = quota["quotas"].as_array().unwrap();
            let is_it = |one: &&Value| one["endpoint"] == name && one["window_s"] == 3600;
            all.iter().find(is_it).unwrap()["used"].as_u64().unwrap()
        };
        let taken = |name| used(&quota, name) - used(&before, name);
        assert_eq!((taken("collect"), taken("list")), (2, 5), "{quota}");
    });
}

#[test]
fn a_request_that_was_carried_out_is_found_though_the_list_lags() {
    side_by_side(&untold(), |reply| {
        let sim = simulator();
        sim.set(|b| b.list_lag_s = 2.5);
        lose_one(&sim, reply.as_ref(), true);
        let document = client(&sim, &[]).collect(&sim.machine_id(4), "case 815").ok();
        assert_eq!(document["adopted"], true, "{reply:?}");
        assert_eq!(document["action"]["id"], sim.actions()[0]["id"]);
        assert_eq!((sim.actions().len(), collections_asked_for(&sim)), (1, 1), "{reply:?}");
    });
}

/// The list lags longer than it is searched. The second request meets the collection of the first.
#[test]
fn a_second_request_joins_the_collection_that_the_list_does_not_show() {
    let cases = [
        (Duplicate::Refuse400, "adopt"),
        (Duplicate::Refuse400, "error"),
        (Duplicate::ReturnExisting, "adopt"),
        (Duplicate::ReturnExisting, "error"),
    ];
    side_by_side(&cases, |(duplicate, on_duplicate)| {
        let sim = simulator();
        sim.set(|b| (b.duplicate, b.list_lag_s) = (*duplicate, 13.0));
        lose_one(&sim, Some(&json!({"status": 503})), true);
        let client = client(&sim, &[("on_duplicate", on_duplicate)]);
        let document = client.collect(&sim.machine_id(7), "case 816").ok();
        assert_eq!(document["adopted"], *duplicate == Duplicate::Refuse400);
        assert_eq!(document["action"]["id"], sim.actions()[0]["id"]);
        assert_eq!((sim.actions().len(), collections_asked_for(&sim)), (1, 2));
    });
}

/// The first request was not carried out, and another product starts a collection before the second.
#[test]
fn a_second_request_that_meets_another_products_collection_does_as_on_duplicate_says() {
    let cases = [
        (Duplicate::Refuse400, "adopt"),
        (Duplicate::Refuse400, "error"),
        (Duplicate::ReturnExisting, "adopt"),
        (Duplicate::ReturnExisting, "error"),
    ];
    side_by_side(&cases, |(duplicate, on_duplicate)| {
        let sim = simulator();
        let other = client(&sim, &[]);
        sim.set(|b| b.duplicate = *duplicate);
        lose_one(&sim, None, false);
        let client = client(&sim, &[("on_duplicate", on_duplicate)]);
        let machine = sim.machine_id(9);
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                while lists(&sim) == 0 {
                    std::thread::sleep(Duration::from_millis(20));
                }
                other.collect(&machine, "another product").ok();
            });
            client.collect(&machine, "case 817")
        });
        let theirs = sim.actions()[0]["id"].clone();
        assert_eq!(sim.actions().len(), 1);
        match *on_duplicate {
            "adopt" => {
                let document = outcome.ok();
                assert_eq!(
                    (&document["adopted"], &document["action"]["id"]),
                    (&json!(true), &theirs)
                );
            }
            _ => {
                let error = outcome.error("already_running");
                assert_eq!((&error["action_id"], error.get("outcome")), (&theirs, None), "{error}");
            }
        }
    });
}

#[test]
fn a_duplicate_that_the_service_returns_is_an_error_if_that_is_wanted() {
    let sim = simulator();
    sim.set(|b| b.duplicate = Duplicate::ReturnExisting);
    let client = client(&sim, &[("on_duplicate", "error")]);
    let first = client.collect(&sim.machine_id(3), "another product").ok();
    let error = client.collect(&sim.machine_id(3), "case 818").error("already_running");
    assert_eq!(error["action_id"], first["action"]["id"]);
    assert_eq!((&error["http_status"], lists(&sim)), (&json!(201), 0));
}

#[test]
fn with_report_nothing_is_sent_again() {
    let sim = simulator();
    lose_one(&sim, None, false);
    let error = client(&sim, &[("on_unknown", "report")])
        .collect(&sim.machine_id(0), "case 819")
        .error("outcome_unknown");
    assert_eq!((&error["outcome"], &error["attempts"]), (&json!("unknown"), &json!(1)));
    assert_eq!((collections_asked_for(&sim), lists(&sim)), (1, 5));
}

#[test]
fn requests_are_repeated_as_often_as_max_retries_allows() {
    side_by_side(&["0", "1", "2"], |retries| {
        let sim = simulator();
        let busy = json!({"match": {"path_contains": JOB}, "times": 0, "reply": {"status": 503}});
        sim.script(busy).unwrap();
        let client = client(&sim, &[("max_retries", retries)]);
        let error = client.collect(&sim.machine_id(0), "case 820").error("outcome_unknown");
        let most = retries.parse::<usize>().unwrap() + 1;
        assert_eq!((collections_asked_for(&sim), lists(&sim)), (most, 5 * most));
        assert_eq!((&error["attempts"], &error["outcome"]), (&json!(most), &json!("unknown")));
        assert_eq!(error["http_status"], 503);
    });
}

/// The second request is refused, so it did nothing, and what became of the first is as unknown as before.
#[test]
fn a_refusal_of_the_second_request_does_not_settle_the_first() {
    let no_such_device = json!({"status": 404,
        "json": {"error": {"code": "ResourceNotFound", "message": "Machine was not found"}}});
    let unsupported = json!({"status": 400,
        "json": {"error": {"code": "OsPlatformNotSupported", "message": "no"}}});
    let cases = [
        (json!({"status": 403}), "outcome_unknown"),
        (json!({"status": 404, "body": "<html>"}), "outcome_unknown"),
        (json!({"status": 400}), "outcome_unknown"),
        (json!({"status": 302, "headers": {"Location": "/"}}), "outcome_unknown"),
        (no_such_device, "not_found"),
        (unsupported, "unsupported_device"),
    ];
    side_by_side(&cases, |(refusal, name)| {
        let sim = simulator();
        lose_one(&sim, None, false);
        sim.script(json!({"match": {"path_contains": JOB}, "reply": refusal})).unwrap();
        let error = client(&sim, &[]).collect(&sim.machine_id(0), "case 821").error(name);
        assert_eq!(error["http_status"], refusal["status"]);
        assert_eq!(error.get("outcome").is_some(), *name == "outcome_unknown", "{error}");
        assert_eq!(collections_asked_for(&sim), 2);
    });
}

/// The list is late, and so is the refusal: the collection of the first request shows meanwhile.
#[test]
fn a_collection_that_the_list_shows_after_the_refusal_of_the_second_request_is_found() {
    let cases = [(json!({"status": 403}), "wait"), (json!({"status": 429}), "fail")];
    side_by_side(&cases, |(refusal, quota)| {
        let sim = simulator();
        sim.set(|b| b.list_lag_s = 12.0);
        lose_one(&sim, None, true);
        sim.script(json!({"match": {"path_contains": JOB}, "delay_ms": 4_000, "reply": refusal}))
            .unwrap();
        let client = client(&sim, &[("quota", quota)]);
        let document = client.collect(&sim.machine_id(0), "case 827").ok();
        assert_eq!(document["adopted"], true);
        assert_eq!(document["action"]["id"], sim.actions()[0]["id"]);
        assert_eq!((sim.actions().len(), collections_asked_for(&sim), lists(&sim)), (1, 2, 6));
    });
}

#[test]
fn a_throttled_second_request_waits_for_its_turn_and_a_stop_meanwhile_says_unknown() {
    let busy = |wait: u64| {
        json!({"match": {"path_contains": JOB}, "reply": {"status": 429,
            "headers": {"Retry-After": wait.to_string()}, "json": {"error": {"code": "429", "message": ""}}}})
    };
    side_by_side(&[("wait", 2, None), ("fail", 2, None), ("wait", 30, Some(13_000))], |case| {
        let (quota, wait, stop) = *case;
        let sim = simulator();
        lose_one(&sim, None, false);
        sim.script(busy(wait)).unwrap();
        let client = client(&sim, &[("quota", quota)]);
        let cancel = stop.map(Cancel::new);
        let outcome = client.collect_until(&sim.machine_id(0), "case 822", cancel.as_ref());
        match (quota, stop) {
            ("wait", None) => {
                assert_eq!(
                    (&outcome.ok()["adopted"], collections_asked_for(&sim)),
                    (&json!(false), 3)
                );
            }
            ("fail", _) => {
                let error = outcome.error("outcome_unknown");
                assert_eq!(
                    (&error["http_status"], &error["outcome"]),
                    (&json!(429), &json!("unknown"))
                );
                assert!(error["retry_after_ms"].is_u64(), "{error}");
            }
            _ => {
                let error = outcome.error_in(&["deadline", "outcome_unknown"]);
                assert_eq!(error["outcome"], "unknown", "{error}");
            }
        }
        assert!(sim.actions().len() <= 1);
    });
}

#[test]
fn a_stop_during_the_search_says_unknown_and_the_next_fetch_finds_the_collection() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| b.list_lag_s = 3.0);
    lose_one(&sim, Some(&json!({"status": 500})), true);
    let client = client(&sim, &[("poll_interval_ms", "100")]);
    let machine = sim.machine_id(2);
    let cancel = Cancel::new(0);
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            while lists(&sim) < 2 {
                std::thread::sleep(Duration::from_millis(20));
            }
            cancel.trigger();
        });
        client
            .fetch_until(&machine, "case 823", &folder.path(), None, Some(&cancel))
            .error("cancelled")
    });
    assert_eq!(error["outcome"], "unknown");
    let fetched = client.fetch(&machine, "case 823", &folder.path()).ok();
    assert_eq!((&fetched["adopted"], sim.actions().len()), (&json!(true), 1));
    assert_eq!((collections_asked_for(&sim), folder.names()), (1, vec!["package.zip".to_owned()]));
}

#[test]
fn one_fetch_ends_with_the_package_whatever_becomes_of_the_first_request() {
    let cases: Vec<_> =
        untold().into_iter().flat_map(|it| [(it.clone(), true), (it, false)]).collect();
    side_by_side(&cases, |(reply, process)| {
        let (sim, folder) = (quick(), Folder::new());
        lose_one(&sim, reply.as_ref(), *process);
        let client = client(&sim, &[("poll_interval_ms", "100")]);
        let fetched = client.fetch(&sim.machine_id(0), "case 824", &folder.path()).ok();
        assert_eq!(fetched["adopted"], *process, "{reply:?}");
        assert_eq!((sim.actions().len(), folder.names()), (1, vec!["package.zip".to_owned()]));
    });
}

/// An earlier call has requested a collection, and the list did not show it. With `on_duplicate=error` it is still the
/// fetch's own.
#[test]
fn a_fetch_knows_the_collection_of_its_earlier_call() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| (b.list_lag_s, b.in_progress_s) = (12.0, 40.0));
    let options = [("poll_interval_ms", "100"), ("on_duplicate", "error")];
    let machine = sim.machine_id(0);
    lose_one(&sim, None, true);
    let cancel = Cancel::new(1_000);
    let first = client(&sim, &options);
    let stopped = first.fetch_until(&machine, "case 825", &folder.path(), None, Some(&cancel));
    assert_eq!(stopped.error("deadline")["outcome"], "unknown");
    let second = client(&sim, &options);
    let cancel = Cancel::new(25_000);
    let outcome = second.fetch_until(&machine, "case 826", &folder.path(), None, Some(&cancel));
    // It waits for the collection, which takes longer.
    let error = outcome.error("deadline");
    assert_eq!((&error["action_id"], sim.actions().len()), (&sim.actions()[0]["id"], 1), "{error}");
    assert_eq!(collections_asked_for(&sim), 2);
}

/// Faults of all kinds at once, within the quota. `MDE_TEST_SEED` repeats a run as far as the order of threads allows.
#[test]
fn among_faults_of_all_kinds_each_device_has_one_collection() {
    const DEVICES: usize = 48;
    let seed =
        std::env::var("MDE_TEST_SEED").map_or_else(|_| fastrand::u64(..), |it| it.parse().unwrap());
    let mut config = Config { seed: Some(seed), ..Config::default() };
    // Late requests are counted when they arrive, so there is room for those.
    for (endpoint, calls) in [(Endpoint::Collect, 50), (Endpoint::List, 40)] {
        config.quota_limits.insert(endpoint, vec![Limit { calls, seconds: 2 }]);
    }
    let sim = Simulator::start(config).unwrap();
    sim.set(|b| {
        (b.duplicate, b.list_lag_s, b.in_progress_s) = (Duplicate::Either, 4.0, 300.0);
        b.faults = Faults {
            lost_before: 14,
            lost_after: 14,
            failed_before: 14,
            failed_after: 14,
            late: 10,
            late_s: 20.0,
        };
    });
    let client = client(&sim, &[("quota_limits", "collect=40/2;list=40/2"), ("max_retries", "3")]);
    let machines: Vec<String> = (0..DEVICES).map(|n| sim.machine_id(n)).collect();
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let client = &client;
        let collect = move |machine| scope.spawn(move || client.collect(machine, "case 827"));
        let calls: Vec<_> = machines.iter().map(String::as_str).map(collect).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    // What is late arrives.
    std::thread::sleep(Duration::from_secs(21));
    let mut started: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for action in sim.actions() {
        let machine = action["machineId"].as_str().unwrap().to_owned();
        started.entry(machine).or_default().push(action["id"].clone());
    }
    let (mut repeated, mut adopted, mut unknown) = (0, 0, 0);
    for (machine, outcome) in machines.iter().zip(outcomes) {
        let context = format!("MDE_TEST_SEED={seed} {machine}: {}", outcome.text);
        let ids = started.get(machine).map(Vec::as_slice).unwrap_or_default();
        assert!(ids.len() <= 1, "{ids:?}: {context}");
        let sent = sim.requests().iter().filter(|it| it.path.contains(machine)).count();
        assert!(sent <= 4, "{sent} requests: {context}");
        repeated += usize::from(sent > 1);
        if outcome.status == OK {
            assert_eq!(ids, [outcome.document["action"]["id"].clone()], "{context}");
            adopted += usize::from(outcome.document["adopted"] == true);
        } else {
            unknown += 1;
            assert_eq!(
                (outcome.error("outcome_unknown")["outcome"].as_str(), sent),
                (Some("unknown"), 4)
            );
        }
    }
    assert!(repeated > 4 && adopted > 4 && unknown < 6, "{repeated} {adopted} {unknown} {seed}");
    assert_eq!(sim.refusals(), 0);
}
