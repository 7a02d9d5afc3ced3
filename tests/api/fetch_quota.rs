//! Progress of a fetch that waits for the quota.

use std::time::Duration;

use mde_tests::child;
use mde_tests::packages::{Folder, collections_asked_for, quick};
use mde_tests::{Cancel, Client, Outcome, client};
use serde_json::{Value, json};

/// Fetches until the first event of this stage, and returns that and how the call ended.
fn until_stage(
    client: &Client,
    machine: &str,
    folder: &Folder,
    stage: &str,
    cancel: Option<&Cancel>,
) -> (Option<Value>, Outcome) {
    let mut told = None;
    let mut progress = |event: Value| {
        let is_it = event["stage"] == stage;
        told = is_it.then_some(event);
        !is_it
    };
    let outcome = client.fetch_until(machine, "x", &folder.path(), Some(&mut progress), cancel);
    (told, outcome)
}

#[test]
fn a_wait_for_the_quota_is_reported_before_it_begins() {
    let more = "read=100000/60;list=100000/60";
    for (limits, endpoint, requests) in
        [("collect=1/60;link=9/60", "collect", 1), ("collect=9/60;link=1/60", "link", 2)]
    {
        let (sim, first, second) = (quick(), Folder::new(), Folder::new());
        let limits = format!("{limits};{more}");
        let client = client(&sim, &[("poll_interval_ms", "100"), ("quota_limits", &limits)]);
        client.fetch(&sim.machine_id(0), "x", &first.path()).ok();
        let (told, outcome) = until_stage(&client, &sim.machine_id(1), &second, "quota", None);
        let told = told.unwrap();
        assert_eq!(told["endpoint"], endpoint, "{told}");
        let wait = told["wait_ms"].as_u64().unwrap();
        assert!((1_001..=60_000).contains(&wait), "{told}");
        let error = outcome.error("cancelled");
        assert_eq!(error["stage"], "quota", "{error}");
        assert_eq!(collections_asked_for(&sim), requests);
        match endpoint {
            "collect" => assert!(told.get("action_id").is_none(), "{told}"),
            _ => assert_eq!(told["action_id"], error["action"]["id"], "{told} {error}"),
        }
        // Who has no time for it does not wait.
        let soon = Cancel::new(15_000);
        let (told, outcome) =
            until_stage(&client, &sim.machine_id(1), &second, "quota", Some(&soon));
        assert!(told.is_none(), "{told:?}");
        outcome.error("rate_limited");
    }
}

#[test]
fn a_wait_behind_running_calls_has_no_known_end() {
    let (sim, first, second, third) = (quick(), Folder::new(), Folder::new(), Folder::new());
    let limits = "collect=1/60;link=9/60;read=100000/60;list=100000/60";
    let options = [("poll_interval_ms", "100"), ("quota_limits", limits)];
    let client = client(&sim, &options);
    client.fetch(&sim.machine_id(0), "x", &first.path()).ok();
    let cancel = Cancel::new(0);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            client.fetch_until(&sim.machine_id(1), "x", &second.path(), None, Some(&cancel))
        });
        let queued = || client.quota().ok()["quotas"][0]["queued"] == 1;
        while !queued() && !waits.is_finished() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let (told, outcome) = until_stage(&client, &sim.machine_id(2), &third, "quota", None);
        cancel.trigger();
        waits.join().unwrap().error("cancelled");
        outcome.error("cancelled");
        assert_eq!(told.unwrap(), json!({ "stage": "quota", "endpoint": "collect" }));
    });
    assert_eq!(collections_asked_for(&sim), 1);
}

#[test]
fn no_wait_is_reported_without_one() {
    let folders = [Folder::new(), Folder::new(), Folder::new()];
    let sim = quick();
    let limits = "collect=2/60;link=9/60;read=9999/60;list=9999/60";
    let file = folders[0].0.join("quota").to_str().unwrap().to_owned();
    let options = [("quota_limits", limits), ("quota_file", &file), ("quota", "fail")];
    let client = client(&sim, &[&options[..], &[("poll_interval_ms", "100")]].concat());
    for (number, folder) in folders.iter().enumerate() {
        let machine = sim.machine_id(number);
        let (told, outcome) = until_stage(&client, &machine, folder, "quota", None);
        assert!(told.is_none(), "{told:?}");
        match number {
            0 | 1 => drop(outcome.ok()),
            _ => drop(outcome.error("rate_limited")),
        }
    }
}

#[test]
fn a_new_client_reports_calls_of_other_processes() {
    let (sim, first, second) = (quick(), Folder::new(), Folder::new());
    let limits = "collect=1/60;link=9/60;read=9999/60;list=9999/60";
    let file = first.0.join("quota").to_str().unwrap().to_owned();
    let options = [("poll_interval_ms", "100"), ("quota_limits", limits), ("quota_file", &file)];
    let other = child::Fetch::new(&sim, &options, sim.machine_id(0), first.path());
    assert!(other.finish().get("error").is_none());
    let client = client(&sim, &options);
    let (told, outcome) = until_stage(&client, &sim.machine_id(1), &second, "quota", None);
    outcome.error("cancelled");
    let told = told.unwrap();
    assert!((1_001..=60_000).contains(&told["wait_ms"].as_u64().unwrap()), "{told}");
}
