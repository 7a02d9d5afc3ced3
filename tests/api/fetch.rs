//! A fetch: one call from a device to a file, which resumes after any interruption.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mde_simulator::{Outcome, Simulator};
use mde_tests::child;
use mde_tests::packages::{Folder, collections_asked_for, quick, sha256};
use mde_tests::{Cancel, Client, client, try_client};
use serde_json::{Value, json};

/// Room for everybody: the second link of a minute would be waited for, and processes that are killed share no log.
const OPTIONS: [(&str, &str); 2] = [
    ("poll_interval_ms", "100"),
    ("quota_limits", "link=100000/60;collect=100000/60;read=100000/60;list=100000/60"),
];

#[test]
fn one_call_fetches_a_checked_file_from_a_device() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let mut stages: Vec<String> = Vec::new();
    let mut progress = |event: Value| {
        let stage = event["stage"].as_str().unwrap().to_owned();
        assert!(event["action_id"].is_string(), "{event}");
        if stages.last() != Some(&stage) {
            stages.push(stage);
        }
        true
    };
    let fetched = client
        .fetch_until(&sim.machine_id(0), "case 4711", &folder.path(), Some(&mut progress), None)
        .ok();
    assert_eq!(fetched["adopted"], false);
    assert_eq!(fetched["action"]["status"], "Succeeded");
    assert_eq!(fetched["action"]["requestorComment"], "case 4711");
    assert_eq!(fetched["package"]["path"], folder.path().as_str());
    assert_eq!(
        fetched["package"]["sha256"],
        sha256(&std::fs::read(folder.file()).unwrap()).as_str()
    );
    assert_eq!(fetched["package"]["action_id"], fetched["action"]["id"]);
    assert_eq!(folder.names(), ["package.zip"], "nothing else stays");
    assert_eq!(stages[..2], ["collect", "wait"], "{stages:?}");
    assert!(stages.iter().any(|stage| stage == "download"), "{stages:?}");

    // Again: the same answer, and nothing new is started.
    let again = client.fetch(&sim.machine_id(0), "case 4711", &folder.path()).ok();
    assert_eq!((&again["adopted"], &again["package"]["existing"]), (&json!(true), &json!(true)));
    assert_eq!(again["package"]["sha256"], fetched["package"]["sha256"]);
    assert_eq!(collections_asked_for(&sim), 1);
}

#[test]
fn a_folder_gets_a_new_file_each_time() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let path = folder.0.to_str().unwrap();
    let first = client.fetch(&sim.machine_id(3), "x", path).ok();
    let second = client.fetch(&sim.machine_id(3), "x", path).ok();
    assert_eq!((folder.names().len(), collections_asked_for(&sim)), (2, 2));
    for fetched in [first, second] {
        let (name, id) =
            (fetched["action"]["computerDnsName"].as_str().unwrap(), &fetched["action"]["id"]);
        let expected = folder.0.join(format!("{name}_{}.zip", id.as_str().unwrap()));
        assert_eq!(fetched["package"]["path"], expected.to_str().unwrap());
    }
}

#[test]
fn an_unusable_path_is_refused_before_a_collection_starts() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    std::fs::write(folder.path(), "mine").unwrap();
    let error = client.fetch(&sim.machine_id(0), "x", &folder.path()).error("file");
    assert!(error["message"].as_str().unwrap().contains("package.zip"), "{error}");
    let missing = folder.0.join("no/such/package.zip");
    client.fetch(&sim.machine_id(0), "x", missing.to_str().unwrap()).error("file");
    assert_eq!(
        (collections_asked_for(&sim), std::fs::read_to_string(folder.path()).unwrap()),
        (0, "mine".to_owned())
    );
}

#[test]
fn a_state_file_of_another_device_is_refused() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| b.in_progress_s = 60.0);
    let client = client(&sim, &OPTIONS);
    client
        .fetch_until(&sim.machine_id(0), "x", &folder.path(), None, Some(&Cancel::new(300)))
        .error("deadline");
    let error = client.fetch(&sim.machine_id(1), "x", &folder.path()).error("file");
    assert!(error["message"].as_str().unwrap().contains("another device"), "{error}");
    assert_eq!(collections_asked_for(&sim), 1);
}

#[test]
fn an_interrupted_fetch_resumes() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| b.in_progress_s = 1.0);
    let client = client(&sim, &OPTIONS);
    let machine = sim.machine_id(0);
    let mut last = Value::Null;
    for _ in 0..100 {
        let outcome =
            client.fetch_until(&machine, "x", &folder.path(), None, Some(&Cancel::new(120)));
        last = outcome.document;
        if outcome.status == 0 {
            break;
        }
        assert_eq!(last["error"]["name"], "deadline", "{last}");
    }
    assert_eq!((&last["adopted"], collections_asked_for(&sim)), (&json!(true), 1));
    assert_eq!(folder.names(), ["package.zip"]);
}

#[test]
fn after_a_failed_collection_the_next_call_starts_a_new_one() {
    for (outcome, name) in
        [(Outcome::Failed, "action_failed"), (Outcome::TimeOut, "action_timed_out")]
    {
        let (sim, folder) = (quick(), Folder::new());
        sim.set(|b| b.outcome = outcome);
        let client = client(&sim, &OPTIONS);
        let error = client.fetch(&sim.machine_id(0), "x", &folder.path()).error(name);
        assert!(error["action"]["id"].is_string());
        assert!(folder.names().is_empty());
        sim.set(|b| b.outcome = Outcome::Succeeded);
        assert_eq!(client.fetch(&sim.machine_id(0), "x", &folder.path()).ok()["adopted"], false);
        assert_eq!(collections_asked_for(&sim), 2);
    }
}

#[test]
fn a_collection_that_runs_is_adopted_or_refused() {
    let (sim, folder) = (quick(), Folder::new());
    let strict = client(&sim, &[&OPTIONS[..], &[("on_duplicate", "error")]].concat());
    sim.set(|b| b.in_progress_s = 0.6);
    strict.collect(&sim.machine_id(0), "somebody else").ok();
    strict.fetch(&sim.machine_id(0), "x", &folder.path()).error("already_running");
    assert!(folder.names().is_empty());
    let adopting = client(&sim, &OPTIONS);
    let fetched = adopting.fetch(&sim.machine_id(0), "x", &folder.path()).ok();
    assert_eq!(
        (&fetched["adopted"], &fetched["action"]["requestorComment"]),
        (&json!(true), &json!("somebody else"))
    );
}

#[test]
fn a_collection_whose_reply_was_lost_is_found_by_the_next_call() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    ends_with_an_unknown_outcome(&sim, &client, "x", &folder);
    let fetched = client.fetch(&sim.machine_id(0), "another comment", &folder.path()).ok();
    assert_eq!((&fetched["adopted"], collections_asked_for(&sim)), (&json!(true), 1));
}

fn note_of(folder: &Folder) -> String {
    format!("{}.fetch.json", folder.path())
}

/// The time of the request, from the state file of a fetch.
fn requested(folder: &Folder) -> Value {
    let note = std::fs::read_to_string(note_of(folder)).unwrap();
    serde_json::from_str::<Value>(&note).unwrap()["began"].clone()
}

/// The call ends with an unknown outcome: a collection was requested and may have started.
#[track_caller]
fn ends_with_an_unknown_outcome(sim: &Simulator, client: &Client, comment: &str, folder: &Folder) {
    for rule in [
        json!({"match": {"path_contains": "collectInvestigationPackage"}, "process": true, "close": "before_reply"}),
        json!({"match": {"path_contains": "/api/machineactions"}, "times": 0, "reply": {"status": 403}}),
    ] {
        sim.script(rule).unwrap();
    }
    let error = client.fetch(&sim.machine_id(0), comment, &folder.path()).error("outcome_unknown");
    assert_eq!((&error["outcome"], &error["retryable"]), (&json!("unknown"), &json!(true)));
    sim.clear_script();
}

#[test]
fn a_refusal_keeps_the_record_of_an_earlier_request() {
    // The list shows nothing yet, and the next request is refused, or its outcome is not known either.
    let keeps = |comment: &str, refused: bool| {
        let (sim, folder) = (quick(), Folder::new());
        let client = client(&sim, &[&OPTIONS[..], &[("on_unknown", "report")]].concat());
        ends_with_an_unknown_outcome(&sim, &client, "x", &folder);
        let (machine, first) = (sim.machine_id(0), requested(&folder));
        let late = json!({"match": {"path_contains": "/api/machineactions"}, "times": if refused { 5 } else { 10 },
            "reply": {"status": 200, "json": {"value": []}}});
        sim.script(late).unwrap();
        let next = match refused {
            true => json!({"match": {"path_contains": "collect"}, "reply": {"status": 403}}),
            // It never arrives.
            false => json!({"match": {"path_contains": "collect"}, "close": "before_reply"}),
        };
        sim.script(next).unwrap();
        let status = if refused { "forbidden" } else { "outcome_unknown" };
        client.fetch(&machine, comment, &folder.path()).error(status);
        assert_eq!(requested(&folder), first, "what is looked for since when");
        sim.clear_script();
        let fetched = client.fetch(&machine, comment, &folder.path()).ok();
        assert_eq!(fetched["adopted"], true, "{comment} {refused}");
        assert_eq!(fetched["action"]["requestorComment"], "x");
        assert_eq!(sim.actions().len(), 1);
        assert_eq!(folder.names(), ["package.zip"]);
    };
    std::thread::scope(|scope| {
        for comment in ["x", "another"] {
            scope.spawn(|| keeps(comment, true));
            scope.spawn(|| keeps(comment, false));
        }
    });
}

#[test]
fn a_collection_is_found_after_the_clock_was_set_back() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let machine = sim.machine_id(0);
    let action = client.collect(&machine, "x").ok()["action"]["id"].clone();
    // Longer than the service's clock and ours may differ within a call.
    std::thread::sleep(Duration::from_millis(6_500));
    let began = std::time::SystemTime::now() + Duration::from_secs(3_600);
    let note = json!({"version": 1, "machine_id": machine, "comment": "x", "action_id": null,
        "began": humantime::format_rfc3339_millis(began).to_string()});
    std::fs::write(note_of(&folder), note.to_string()).unwrap();
    let fetched = client.fetch(&machine, "x", &folder.path()).ok();
    assert_eq!((&fetched["action"]["id"], sim.actions().len()), (&action, 1));
}

#[test]
fn a_stopped_request_is_not_reported_as_retryable() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    sim.script(json!({"match": {"path_contains": "collect"}, "stall": true, "process": true}))
        .unwrap();
    let cancel = Cancel::new(0);
    let machine = sim.machine_id(0);
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            while sim.actions().is_empty() {
                std::thread::sleep(Duration::from_millis(10));
            }
            cancel.trigger();
        });
        client.fetch_until(&machine, "x", &folder.path(), None, Some(&cancel)).error("cancelled")
    });
    assert_eq!((&error["outcome"], &error["retryable"]), (&json!("unknown"), &json!(false)));
    sim.clear_script();
    let fetched = client.fetch(&machine, "x", &folder.path()).ok();
    assert_eq!((&fetched["adopted"], sim.actions().len()), (&json!(true), 1));
}

#[test]
fn no_state_file_is_written_when_no_collection_can_have_started() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    sim.script(json!({"match": {"path_contains": "collect"}, "reply": {"status": 403}})).unwrap();
    client.fetch(&sim.machine_id(0), "x", &folder.path()).error("forbidden");
    assert!(folder.names().is_empty(), "{:?}", folder.names());
    let unknown = sim.machine_id(5_000);
    client.fetch(&unknown, "x", &folder.path()).error("not_found");
    assert!(folder.names().is_empty(), "{:?}", folder.names());
}

/// Kills a fetch at random moments and calls again. There is always one collection and the right file, and never a
/// partial file at the destination.
fn killed(rounds: usize) {
    let sim = quick();
    sim.set(|b| b.package_bytes = 3_000_000);
    let folder = Folder::new();
    let child = |n: usize| {
        let path = folder.0.join(format!("{n}.zip")).to_str().unwrap().to_owned();
        child::Fetch::new(&sim, &OPTIONS, sim.machine_id(n), path)
    };
    let began = Instant::now();
    child(0).finish();
    let usual = began.elapsed();
    let reference = try_client(&sim, &OPTIONS).unwrap_or_else(|outcome| panic!("{}", outcome.text));
    let next = AtomicUsize::new(1);
    let kills = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for seed in 0..3 {
            let (child, next, kills, sim, folder, reference) =
                (&child, &next, &kills, &sim, &folder, &reference);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                while kills.load(Ordering::Relaxed) < rounds {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let child = child(n);
                    // Now and then it is killed more than once on its way.
                    while random.u8(..4) > 0 {
                        let delay = usual.mul_f64(random.f64() * 1.2);
                        if child.kill_after(delay) {
                            kills.fetch_add(1, Ordering::Relaxed);
                        }
                        if Path::new(&child.path).exists() {
                            mde::inspect_package(&child.path, None, None)
                                .expect("never a part under the final name");
                        }
                    }
                    let fetched = child.finish();
                    let id =
                        fetched["action"]["id"].as_str().unwrap_or_else(|| panic!("{fetched}"));
                    let actions = sim.actions();
                    let of_it: Vec<_> = actions
                        .iter()
                        .filter(|a| a["machineId"] == child.machine.as_str())
                        .collect();
                    assert_eq!(of_it.len(), 1, "{of_it:?}");
                    assert_eq!(of_it[0]["id"], id);
                    let other = folder.0.join(format!("{n}.again.zip"));
                    let other = other.to_str().unwrap();
                    let whole = reference.download(id, Path::new(other)).ok();
                    assert_eq!(
                        sha256(&std::fs::read(&child.path).unwrap()),
                        whole["package"]["sha256"].as_str().unwrap()
                    );
                    assert_eq!(fetched["package"]["sha256"], whole["package"]["sha256"]);
                    std::fs::remove_file(other).unwrap();
                }
            });
        }
    });
    let left: Vec<String> = folder.names().into_iter().filter(|n| !n.ends_with(".zip")).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(kills.load(Ordering::Relaxed) >= rounds);
}

#[test]
fn a_killed_fetch_resumes() {
    killed(20);
}

mod full {
    #[test]
    fn a_fetch_that_is_killed_two_hundred_times_resumes() {
        super::killed(200);
    }
}

fn note(folder: &Folder) -> String {
    format!("{}.fetch.json", folder.path())
}

#[test]
fn two_calls_for_one_path_start_one_collection() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| b.in_progress_s = 1.5);
    let client = client(&sim, &OPTIONS);
    let (machine, file) = (sim.machine_id(0), folder.path());
    std::thread::scope(|scope| {
        let first = scope.spawn(|| client.fetch(&machine, "x", &file).ok());
        while !Path::new(&note(&folder)).exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        for machine in [&machine, &sim.machine_id(1)] {
            let error = client.fetch(machine, "x", &file).error("file");
            assert_eq!(error["retryable"], true, "{error}");
            assert!(error["message"].as_str().unwrap().contains("another fetch"), "{error}");
        }
        first.join().unwrap();
    });
    assert_eq!((collections_asked_for(&sim), folder.names()), (1, vec!["package.zip".to_owned()]));

    // At the same moment: one collection, whoever of them starts it.
    let file = folder.0.join("together.zip").to_str().unwrap().to_owned();
    let machine = sim.machine_id(3);
    let ends: Vec<i32> = std::thread::scope(|scope| {
        let call = |_| scope.spawn(|| client.fetch(&machine, "x", &file).status);
        let calls: Vec<_> = (0..4).map(call).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(ends.iter().filter(|status| **status == 0).count(), 1, "{ends:?}");
    assert_eq!((collections_asked_for(&sim), folder.names().len()), (2, 2), "{:?}", folder.names());
}

#[test]
fn an_unreadable_state_file_is_an_error() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let newer = json!({"version": 2, "machine_id": sim.machine_id(0), "comment": "x", "began": "",
        "action_id": null});
    let refused = || {
        let error = client.fetch(&sim.machine_id(0), "x", &folder.path()).error("file");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains("package.zip.fetch.json") && message.contains("remove"),
            "{error}"
        );
    };
    for content in ["", "{\"version\":1,\"machi", &newer.to_string()] {
        std::fs::write(note(&folder), content).unwrap();
        refused();
        assert_eq!(std::fs::read_to_string(note(&folder)).unwrap(), content);
    }
    std::fs::remove_file(note(&folder)).unwrap();
    std::os::unix::fs::symlink(folder.0.join("elsewhere"), note(&folder)).unwrap();
    refused();
    std::fs::remove_file(note(&folder)).unwrap();
    std::fs::create_dir(note(&folder)).unwrap();
    refused();
    assert_eq!(collections_asked_for(&sim), 0);
}

#[test]
fn a_state_file_with_an_action_of_another_device_is_refused() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let other = client.collect(&sim.machine_id(1), "x").ok();
    let lie = json!({"version": 1, "machine_id": sim.machine_id(0), "comment": "x",
        "began": "2026-01-01T00:00:00Z", "action_id": other["action"]["id"]});
    std::fs::write(note(&folder), lie.to_string()).unwrap();
    let error = client.fetch(&sim.machine_id(0), "x", &folder.path()).error("file");
    assert!(error["message"].as_str().unwrap().contains("of another device"), "{error}");
    assert_eq!(
        (error["action_id"].clone(), collections_asked_for(&sim)),
        (other["action"]["id"].clone(), 1)
    );
    assert_eq!(folder.names(), ["package.zip.fetch.json"]);
}

#[test]
fn only_a_certainly_missing_package_allows_a_new_collection() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let machine = sim.machine_id(0);
    let fetch =
        || client.fetch_until(&machine, "x", &folder.path(), None, Some(&Cancel::new(2_500)));
    // No link: this may be transient, so the message names what to do if it is not.
    let none = json!({"error": {"code": "ResourceNotFound", "message": "no package"}});
    sim.script(json!({"match": {"path_contains": "getPackageUri"}, "times": 0,
        "reply": {"status": 404, "json": none}}))
        .unwrap();
    let error = fetch().error("not_ready");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("package.zip.fetch.json` is removed"), "{error}");
    assert!(folder.names().contains(&"package.zip.fetch.json".to_owned()));
    sim.clear_script();
    // The storage knows for certain.
    sim.script(
        json!({"match": {"path_contains": "safedownload"}, "times": 0, "reply": {"status": 404,
        "headers": {"x-ms-error-code": "BlobNotFound"}, "body": ""}}),
    )
    .unwrap();
    fetch().error("not_found");
    assert!(folder.names().is_empty(), "{:?}", folder.names());
    sim.clear_script();
    assert_eq!((fetch().ok()["adopted"].clone(), collections_asked_for(&sim)), (json!(false), 2));
}

#[test]
fn a_callback_that_stops_at_the_first_event_knows_the_action() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let mut stop = |_: Value| false;
    let machine = sim.machine_id(0);
    let stopped = client.fetch_until(&machine, "x", &folder.path(), Some(&mut stop), None);
    let error = stopped.error("cancelled");
    let actions = sim.actions();
    assert_eq!((&error["action_id"], actions.len()), (&actions[0]["id"], 1), "{error}");
    assert_eq!(error["action"]["id"], error["action_id"]);
    assert_eq!(
        client.fetch(&machine, "x", &folder.path()).ok()["action"]["id"],
        error["action_id"]
    );
}

#[test]
fn a_call_with_another_kind_of_id_can_be_repeated() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let found = client.find(&sim.machine_id(0)).ok();
    let entra = found["machines"][0]["aadDeviceId"].as_str().unwrap();
    let fetched = client.fetch(entra, "x", &folder.path()).ok();
    let again = client.fetch(entra, "x", &folder.path()).ok();
    assert_eq!(again["package"]["existing"], true);
    assert_eq!(
        (&again["action"]["id"], collections_asked_for(&sim)),
        (&fetched["action"]["id"], 1)
    );
    // A device of its own kind of id is told from it.
    client.fetch(&sim.machine_id(1), "x", &folder.path()).error("file");
}
