//! Packages of many devices in one call.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mde_simulator::{Config, Endpoint, Limit, Outcome, Simulator};
use mde_tests::packages::{Folder, collections_asked_for, links_asked_for, quick, sha256};
use mde_tests::{Cancel, client, read_packages};
use serde_json::{Value, json};

/// Room for everybody.
pub const OPTIONS: [(&str, &str); 2] = [
    ("poll_interval_ms", "100"),
    ("quota_limits", "link=100000/60;collect=100000/60;read=100000/60;list=100000/60"),
];

/// The devices from `first` on, as JSON.
pub fn devices(sim: &Simulator, first: usize, count: usize) -> String {
    let ids: Vec<String> = (first..first + count).map(|n| sim.machine_id(n)).collect();
    json!(ids).to_string()
}

/// The state of each device.
pub fn states(document: &Value) -> Vec<&str> {
    let packages = document["packages"].as_array().unwrap();
    packages.iter().map(|package| package["state"].as_str().unwrap()).collect()
}

/// Checks that every device has one package, and that each file is what the document says.
#[track_caller]
pub fn all_there(document: &Value, sim: &Simulator, count: usize) {
    let packages = document["packages"].as_array().unwrap();
    assert_eq!(packages.len(), count);
    for (n, package) in packages.iter().enumerate() {
        assert_eq!(package["machine_id"], sim.machine_id(n).as_str());
        is_there(package);
    }
    assert_eq!(document["summary"]["done"], count);
    assert_eq!(collections_of(sim).values().copied().max(), Some(1), "one for each device");
    assert_eq!(collections_of(sim).len(), count);
}

/// Checks that a device has its own package, and that the file is what the document says.
#[track_caller]
pub fn is_there(package: &Value) {
    assert_eq!(package["state"], "done", "{package}");
    let path = package["package"]["path"].as_str().unwrap();
    assert_eq!(package["package"]["sha256"], sha256(&std::fs::read(path).unwrap()).as_str());
    assert_eq!(package["action"]["machineId"], package["machine_id"]);
}

/// How many collections each device has.
pub fn collections_of(sim: &Simulator) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for action in sim.actions() {
        *counts.entry(action["machineId"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn one_call_fetches_the_packages_of_all_devices() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let (mut jobs, mut ended, mut last) = (0, Vec::new(), Value::Null);
    let mut progress = |event: Value| {
        match event["stage"].as_str().unwrap() {
            "fleet" => {
                jobs += 1;
                last = event;
            }
            "ended" => ended.push(event["machine_id"].as_str().unwrap().to_owned()),
            "download" | "verify" | "quota" => assert!(event["machine_id"].is_string(), "{event}"),
            other => panic!("{other}"),
        }
        true
    };
    let devices = devices(&sim, 0, 8);
    let document = client.fetch_packages(Some(&devices), &folder.0, Some(&mut progress), None).ok();
    all_there(&document, &sim, 8);
    assert!(jobs > 0);
    assert_eq!((&last["done"], &last["devices"]), (&json!(8), &json!(8)), "{last}");
    ended.sort();
    ended.dedup();
    assert!(ended.len() <= 8);
    // Three requests for each package: the collection, the link, the download.
    let polls = sim.requests().iter().filter(|r| r.path.ends_with("/machineactions")).count();
    assert!(sim.requests().len() - polls <= 3 * 8 + 1, "{polls} of {}", sim.requests().len());

    // Again: the same answer, and nothing is asked.
    sim.clear_requests();
    let again = client.fetch_packages(Some(&devices), &folder.0, None, None).ok();
    assert_eq!(again, document);
    assert_eq!(client.fetch_packages(None, &folder.0, None, None).ok(), document);
    assert_eq!(read_packages(&folder.0).ok(), document);
    assert_eq!(sim.requests().len(), 0);
}

#[test]
fn what_is_missing_is_said_beside_what_is_there() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let unknown = "f".repeat(40);
    let list = json!([sim.machine_id(0), unknown, {"machine_id": sim.machine_id(1),
        "comment": "another reason", "file": "one.zip"}]);
    let outcome = client.fetch_packages(Some(&list.to_string()), &folder.0, None, None);
    let document = outcome.document.clone();
    let error = outcome.error("incomplete");
    assert_eq!(error["retryable"], false, "{error}");
    assert!(error["message"].as_str().unwrap().contains("2 of 3 packages"), "{error}");
    assert_eq!(states(&document), ["done", "failed", "done"]);
    assert_eq!(document["packages"][1]["error"]["name"], "not_found");
    assert!(folder.0.join("one.zip").exists());
    assert_eq!(document["packages"][2]["action"]["requestorComment"], "another reason");
    assert_eq!(document["packages"][0]["action"]["requestorComment"], "case 4711");

    // It failed for good, so it is asked again only if the caller says so.
    let asked = collections_asked_for(&sim);
    client.fetch_packages(None, &folder.0, None, None).error("incomplete");
    assert_eq!(collections_asked_for(&sim), asked);
    let again = json!({"devices": [], "retry": "failed"}).to_string();
    client.fetch_packages(Some(&again), &folder.0, None, None).error("incomplete");
    assert_eq!(collections_asked_for(&sim), asked + 1);
}

#[test]
fn known_problems_are_skipped_and_offline_devices_wait() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let ids = [sim.machine_id(0), sim.machine_id(1), sim.machine_id(2)];
    let found = json!({"machines": [{"id": ids[0]}, {"id": ids[1]}, {"id": ids[2]}],
        "checks": [{"id": ids[0], "problems": ["offline"]}, {"id": ids[1], "problems": ["merged", "offline"]},
            {"id": ids[2], "problems": ["not_onboarded"]}], "more": false});
    let outcome = client.fetch_packages(Some(&found.to_string()), &folder.0, None, None);
    let document = outcome.document.clone();
    outcome.error("incomplete");
    assert_eq!(states(&document), ["done", "skipped", "skipped"]);
    assert_eq!(document["packages"][1]["problems"], json!(["merged"]));
    assert_eq!(document["summary"]["skipped"], 2);
    assert_eq!(collections_asked_for(&sim), 1);
    // The problem of one is gone.
    let found = json!({"machines": [{"id": ids[2]}], "checks": []}).to_string();
    let outcome = client.fetch_packages(Some(&found), &folder.0, None, None);
    assert_eq!(states(&outcome.document), ["done", "skipped", "done"]);
}

#[test]
fn a_call_that_is_stopped_is_resumed() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| b.in_progress_s = 1.0);
    let client = client(&sim, &OPTIONS);
    let devices = devices(&sim, 0, 5);
    let mut document = Value::Null;
    for round in 0..200 {
        let cancel = Cancel::new(150 + 10 * (round % 7));
        let outcome = client.fetch_packages(Some(&devices), &folder.0, None, Some(&cancel));
        document = outcome.document.clone();
        if outcome.status == 0 {
            break;
        }
        assert_eq!(outcome.error("deadline")["stage"], "wait");
        let summary = &document["summary"];
        assert_eq!(states(&document).len(), 5, "{summary}");
    }
    all_there(&document, &sim, 5);
}

#[test]
fn a_progress_callback_and_a_shutdown_stop_it() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| b.in_progress_s = 60.0);
    let client = client(&sim, &OPTIONS);
    let devices = devices(&sim, 0, 2);
    let mut stop = |event: Value| event["running"] != 2;
    let outcome = client.fetch_packages(Some(&devices), &folder.0, Some(&mut stop), None);
    let is_followed = |state: &&str| ["waiting", "running"].contains(state);
    assert_eq!(states(&outcome.document).iter().filter(|it| is_followed(it)).count(), 2);
    outcome.error("cancelled");
    std::thread::scope(|scope| {
        let runs = scope.spawn(|| client.fetch_packages(None, &folder.0, None, None));
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(client.shutdown(Duration::from_secs(10)), 0);
        runs.join().unwrap().error("closed");
    });
}

#[test]
fn an_analyst_goes_before_the_sweep() {
    let mut config = Config { machines: 100, ..Config::default() };
    for (endpoint, calls) in [(Endpoint::Link, 2), (Endpoint::Collect, 1_000)] {
        config.quota_limits.insert(endpoint, vec![Limit { calls, seconds: 2 }]);
    }
    let sim = Simulator::start(config).unwrap();
    sim.set(|b| (b.pending_s, b.in_progress_s) = (0.1, 0.1));
    let (folder, one) = (Folder::new(), Folder::new());
    let limits = "link=2/2;collect=1000/2;read=100000/60;list=100000/60";
    let client = client(&sim, &[("poll_interval_ms", "100"), ("quota_limits", limits)]);
    let devices = devices(&sim, 0, 12);
    std::thread::scope(|scope| {
        let sweep = scope.spawn(|| client.fetch_packages(Some(&devices), &folder.0, None, None));
        // Four downloads of the sweep wait for links by then.
        while links_asked_for(&sim) < 2 {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(500));
        let before = links_asked_for(&sim);
        client.fetch(&sim.machine_id(50), "analyst", &one.path()).ok();
        let between = links_asked_for(&sim) - before;
        assert!(between <= 4, "{between} links, of which one is the analyst's");
        all_there_but(&sweep.join().unwrap().ok(), 12);
    });
    assert_eq!(sim.refusals(), 0);
}

fn all_there_but(document: &Value, count: usize) {
    assert_eq!(states(document), vec!["done"; count]);
}

#[test]
fn a_job_lasts_as_long_as_the_quota_of_links() {
    // 2 in a minute, at thirty times the speed.
    let (links, seconds, count) = (2, 2, 16);
    let mut config = Config { machines: 100, ..Config::default() };
    for (endpoint, calls) in [(Endpoint::Link, links), (Endpoint::Collect, 100)] {
        config.quota_limits.insert(endpoint, vec![Limit { calls, seconds }]);
    }
    let sim = Simulator::start(config).unwrap();
    sim.set(|b| (b.pending_s, b.in_progress_s) = (0.1, 0.1));
    let folder = Folder::new();
    let limits = "link=2/2;collect=100/2;read=100000/60;list=100000/60";
    let client = client(&sim, &[("poll_interval_ms", "100"), ("quota_limits", limits)]);
    let began = Instant::now();
    let document =
        client.fetch_packages(Some(&devices(&sim, 0, count)), &folder.0, None, None).ok();
    all_there(&document, &sim, count);
    assert_eq!(sim.refusals(), 0);
    let windows = count.div_ceil(links) as u64 - 1;
    assert!(began.elapsed() >= Duration::from_secs(windows * seconds));
}

#[test]
fn a_collection_that_fails_is_said_and_holds_nothing_up() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| b.outcome = Outcome::Failed);
    let client = client(&sim, &OPTIONS);
    let outcome = client.fetch_packages(Some(&devices(&sim, 0, 3)), &folder.0, None, None);
    assert_eq!(states(&outcome.document), ["failed"; 3]);
    assert_eq!(outcome.document["packages"][0]["error"]["name"], "action_failed");
    assert_eq!(outcome.document["packages"][0]["action"]["status"], "Failed");
    outcome.error("incomplete");
}

#[test]
fn what_concerns_all_devices_ends_the_call() {
    let (sim, folder) = (quick(), Folder::new());
    sim.script(json!({"match": {"path_contains": "collectInvestigationPackage"}, "times": 0,
        "reply": {"status": 403, "json": {"error": {"code": "Forbidden", "message": "no"}}}}))
        .unwrap();
    let client = client(&sim, &OPTIONS);
    let outcome = client.fetch_packages(Some(&devices(&sim, 0, 6)), &folder.0, None, None);
    assert_eq!(states(&outcome.document), ["queued"; 6]);
    outcome.error("forbidden");
    assert_eq!(collections_asked_for(&sim), 3, "not six times");
    // Where only one is refused, the others are fetched.
    sim.clear_script();
    sim.script(
        json!({"match": {"path_contains": format!("{}/collect", sim.machine_id(0))}, "times": 0,
        "reply": {"status": 403, "json": {"error": {"code": "Forbidden", "message": "no"}}}}),
    )
    .unwrap();
    let outcome = client.fetch_packages(None, &folder.0, None, None);
    let document = outcome.document.clone();
    outcome.error("incomplete");
    assert_eq!(states(&document), ["failed", "done", "done", "done", "done", "done"]);
    assert_eq!(document["packages"][0]["error"]["name"], "forbidden");
}
