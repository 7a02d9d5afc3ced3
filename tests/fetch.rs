//! From a device to a file in one call, and again from wherever it was interrupted.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mde_simulator::{Config, Endpoint, Limit, Outcome, Simulator};
use serde_json::{Value, json};
use support::{Cancel, Client, client, try_client};

/// Room for everybody: the second link of a minute would be waited for, and processes that are killed share no log.
const OPTIONS: [(&str, &str); 2] = [
    ("poll_interval_ms", "100"),
    ("quota_limits", "link=100000/60;collect=100000/60;read=100000/60;list=100000/60"),
];

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("fetch-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self) -> String {
        self.0.join("package.zip").to_str().unwrap().to_owned()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Collections take a fifth of a second here, and there is room for everybody.
fn quick() -> Simulator {
    let mut config = Config::default();
    for endpoint in [Endpoint::Collect, Endpoint::Link, Endpoint::Read, Endpoint::List] {
        config.quota_limits.insert(endpoint, vec![Limit { calls: 100_000, seconds: 60 }]);
    }
    config.machines = 1_000;
    let sim = Simulator::start(config).unwrap();
    sim.set(|b| (b.pending_s, b.in_progress_s) = (0.1, 0.1));
    sim
}

fn posts(sim: &Simulator) -> usize {
    sim.requests().iter().filter(|r| r.path.contains("collectInvestigationPackage")).count()
}

fn sha256(path: &str) -> String {
    let bytes = std::fs::read(path).unwrap();
    let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn one_call_from_a_device_to_a_checked_file() {
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
        .fetch_until(&sim.machine_id(0), "case 4711", &folder.file(), Some(&mut progress), None)
        .ok();
    assert_eq!(fetched["adopted"], false);
    assert_eq!(fetched["action"]["status"], "Succeeded");
    assert_eq!(fetched["action"]["requestorComment"], "case 4711");
    assert_eq!(fetched["package"]["path"], folder.file().as_str());
    assert_eq!(fetched["package"]["sha256"], sha256(&folder.file()).as_str());
    assert_eq!(fetched["package"]["action_id"], fetched["action"]["id"]);
    assert_eq!(folder.names(), ["package.zip"], "nothing else stays");
    assert_eq!(stages[..2], ["collect", "wait"], "{stages:?}");
    assert!(stages.iter().any(|stage| stage == "download"), "{stages:?}");

    // Again: the same answer, and nothing new is started.
    let again = client.fetch(&sim.machine_id(0), "case 4711", &folder.file()).ok();
    assert_eq!((&again["adopted"], &again["package"]["existing"]), (&json!(true), &json!(true)));
    assert_eq!(again["package"]["sha256"], fetched["package"]["sha256"]);
    assert_eq!(posts(&sim), 1);
}

/// Fetches until the first event of this stage, and returns that and how the call ended.
fn until_stage(
    client: &Client,
    machine: &str,
    folder: &Folder,
    stage: &str,
    cancel: Option<&Cancel>,
) -> (Option<Value>, support::Outcome) {
    let mut told = None;
    let mut progress = |event: Value| {
        let is_it = event["stage"] == stage;
        told = is_it.then_some(event);
        !is_it
    };
    let outcome = client.fetch_until(machine, "x", &folder.file(), Some(&mut progress), cancel);
    (told, outcome)
}

#[test]
fn a_wait_for_the_quota_is_told_before_it_begins() {
    let more = "read=100000/60;list=100000/60";
    for (limits, endpoint, requests) in
        [("collect=1/60;link=9/60", "collect", 1), ("collect=9/60;link=1/60", "link", 2)]
    {
        let (sim, first, second) = (quick(), Folder::new(), Folder::new());
        let limits = format!("{limits};{more}");
        let client = client(&sim, &[("poll_interval_ms", "100"), ("quota_limits", &limits)]);
        client.fetch(&sim.machine_id(0), "x", &first.file()).ok();
        let (told, outcome) = until_stage(&client, &sim.machine_id(1), &second, "quota", None);
        let told = told.unwrap();
        assert_eq!(told["endpoint"], endpoint, "{told}");
        let wait = told["wait_ms"].as_u64().unwrap();
        assert!((1_001..=60_000).contains(&wait), "{told}");
        let error = outcome.error("cancelled");
        assert_eq!(error["stage"], "quota", "{error}");
        assert_eq!(posts(&sim), requests);
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
fn a_wait_behind_others_has_no_known_end() {
    let (sim, first, second, third) = (quick(), Folder::new(), Folder::new(), Folder::new());
    let limits = "collect=1/60;link=9/60;read=100000/60;list=100000/60";
    let options = [("poll_interval_ms", "100"), ("quota_limits", limits)];
    let client = client(&sim, &options);
    client.fetch(&sim.machine_id(0), "x", &first.file()).ok();
    let cancel = Cancel::new(0);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            client.fetch_until(&sim.machine_id(1), "x", &second.file(), None, Some(&cancel))
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
    assert_eq!(posts(&sim), 1);
}

#[test]
fn no_wait_is_told_where_none_is_wanted_or_needed() {
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
fn a_client_that_has_sent_nothing_tells_what_its_shared_log_says() {
    let (sim, first, second) = (quick(), Folder::new(), Folder::new());
    let limits = "collect=1/60;link=9/60;read=9999/60;list=9999/60";
    let file = first.0.join("quota").to_str().unwrap().to_owned();
    let options = [("poll_interval_ms", "100"), ("quota_limits", limits), ("quota_file", &file)];
    client(&sim, &options).fetch(&sim.machine_id(0), "x", &first.file()).ok();
    let fresh = client(&sim, &options);
    let (told, outcome) = until_stage(&fresh, &sim.machine_id(1), &second, "quota", None);
    outcome.error("cancelled");
    let told = told.unwrap();
    assert!((1_001..=60_000).contains(&told["wait_ms"].as_u64().unwrap()), "{told}");
}

#[test]
fn a_folder_gets_a_new_file_each_time() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let path = folder.0.to_str().unwrap();
    let first = client.fetch(&sim.machine_id(3), "x", path).ok();
    let second = client.fetch(&sim.machine_id(3), "x", path).ok();
    assert_eq!((folder.names().len(), posts(&sim)), (2, 2));
    for fetched in [first, second] {
        let (name, id) =
            (fetched["action"]["computerDnsName"].as_str().unwrap(), &fetched["action"]["id"]);
        let expected = folder.0.join(format!("{name}_{}.zip", id.as_str().unwrap()));
        assert_eq!(fetched["package"]["path"], expected.to_str().unwrap());
    }
}

#[test]
fn what_is_in_the_way_is_noticed_before_the_device_is_asked() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    std::fs::write(folder.file(), "mine").unwrap();
    let error = client.fetch(&sim.machine_id(0), "x", &folder.file()).error("file");
    assert!(error["message"].as_str().unwrap().contains("package.zip"), "{error}");
    let missing = folder.0.join("no/such/package.zip");
    client.fetch(&sim.machine_id(0), "x", missing.to_str().unwrap()).error("file");
    assert_eq!(
        (posts(&sim), std::fs::read_to_string(folder.file()).unwrap()),
        (0, "mine".to_owned())
    );
}

#[test]
fn a_note_of_another_device_is_not_mixed_up() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| b.in_progress_s = 60.0);
    let client = client(&sim, &OPTIONS);
    client
        .fetch_until(&sim.machine_id(0), "x", &folder.file(), None, Some(&Cancel::new(300)))
        .error("deadline");
    let error = client.fetch(&sim.machine_id(1), "x", &folder.file()).error("file");
    assert!(error["message"].as_str().unwrap().contains("another device"), "{error}");
    assert_eq!(posts(&sim), 1);
}

#[test]
fn an_interrupted_call_is_carried_on() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| b.in_progress_s = 1.0);
    let client = client(&sim, &OPTIONS);
    let machine = sim.machine_id(0);
    let mut last = Value::Null;
    for _ in 0..100 {
        let outcome =
            client.fetch_until(&machine, "x", &folder.file(), None, Some(&Cancel::new(120)));
        last = outcome.document;
        if outcome.status == 0 {
            break;
        }
        assert_eq!(last["error"]["name"], "deadline", "{last}");
    }
    assert_eq!((&last["adopted"], posts(&sim)), (&json!(true), 1));
    assert_eq!(folder.names(), ["package.zip"]);
}

#[test]
fn a_bad_end_is_told_and_the_next_call_starts_anew() {
    for (outcome, name) in
        [(Outcome::Failed, "action_failed"), (Outcome::TimeOut, "action_timed_out")]
    {
        let (sim, folder) = (quick(), Folder::new());
        sim.set(|b| b.outcome = outcome);
        let client = client(&sim, &OPTIONS);
        let error = client.fetch(&sim.machine_id(0), "x", &folder.file()).error(name);
        assert!(error["action"]["id"].is_string());
        assert!(folder.names().is_empty());
        sim.set(|b| b.outcome = Outcome::Succeeded);
        assert_eq!(client.fetch(&sim.machine_id(0), "x", &folder.file()).ok()["adopted"], false);
        assert_eq!(posts(&sim), 2);
    }
}

#[test]
fn a_collection_that_runs_is_adopted_or_refused() {
    let (sim, folder) = (quick(), Folder::new());
    let strict = client(&sim, &[&OPTIONS[..], &[("on_duplicate", "error")]].concat());
    sim.set(|b| b.in_progress_s = 0.6);
    strict.collect(&sim.machine_id(0), "somebody else").ok();
    strict.fetch(&sim.machine_id(0), "x", &folder.file()).error("already_running");
    assert!(folder.names().is_empty());
    let adopting = client(&sim, &OPTIONS);
    let fetched = adopting.fetch(&sim.machine_id(0), "x", &folder.file()).ok();
    assert_eq!(
        (&fetched["adopted"], &fetched["action"]["requestorComment"]),
        (&json!(true), &json!("somebody else"))
    );
}

#[test]
fn a_collection_whose_reply_was_lost_is_found_by_the_next_call() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    for rule in [
        json!({"match": {"path_contains": "collectInvestigationPackage"}, "process": true, "close": "before_reply"}),
        json!({"match": {"path_contains": "/api/machineactions"}, "times": 3, "reply": {"status": 503}}),
    ] {
        sim.script(rule).unwrap();
    }
    let error = client.fetch(&sim.machine_id(0), "x", &folder.file()).error("outcome_unknown");
    assert_eq!((&error["outcome"], &error["retryable"]), (&json!("unknown"), &json!(true)));
    sim.clear_script();
    let fetched = client.fetch(&sim.machine_id(0), "another comment", &folder.file()).ok();
    assert_eq!((&fetched["adopted"], posts(&sim)), (&json!(true), 1));
}

#[test]
fn nothing_is_noted_when_nothing_can_have_been_started() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    sim.script(json!({"match": {"path_contains": "collect"}, "reply": {"status": 403}})).unwrap();
    client.fetch(&sim.machine_id(0), "x", &folder.file()).error("forbidden");
    assert!(folder.names().is_empty(), "{:?}", folder.names());
    let unknown = sim.machine_id(5_000);
    client.fetch(&unknown, "x", &folder.file()).error("not_found");
    assert!(folder.names().is_empty(), "{:?}", folder.names());
}

/// Not a test of its own: the process that is killed.
#[test]
fn child() {
    let Ok(task) = std::env::var("MDE_TEST_CHILD") else { return };
    let task: Value = serde_json::from_str(&task).unwrap();
    let text = |name: &str| task[name].as_str().unwrap().to_owned();
    let options: Vec<(String, String)> = serde_json::from_value(task["options"].clone()).unwrap();
    let options: Vec<(&str, &str)> =
        options.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let client = Client::with(&options).unwrap_or_else(|outcome| panic!("{}", outcome.text));
    let outcome = client.fetch(&text("machine"), "killed now and then", &text("path"));
    println!("\nresult {}", outcome.text);
}

struct Child<'a> {
    sim: &'a Simulator,
    machine: String,
    path: String,
}

impl Child<'_> {
    fn command(&self) -> Command {
        let options: Vec<(String, String)> = support::options(self.sim)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .chain(OPTIONS.map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect();
        let task = json!({"options": options, "machine": self.machine, "path": self.path});
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["child", "--exact", "--nocapture", "--test-threads=1"])
            .env("MDE_TEST_CHILD", task.to_string());
        command
    }

    /// Runs to the end; the document it got.
    fn finish(&self) -> Value {
        let done = self.command().output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let result = said.lines().find_map(|line| line.strip_prefix("result "));
        serde_json::from_str(result.unwrap_or_else(|| panic!("{said}"))).unwrap()
    }

    /// Kills it after so long; whether it was still at work.
    fn kill_after(&self, delay: Duration) -> bool {
        let mut child = self.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(delay);
        let at_work = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        at_work
    }
}

/// Kills a fetch at random moments and calls again: always one collection, always the right file, and never
/// anything but a whole one under the final name.
fn killed(rounds: usize) {
    let sim = quick();
    sim.set(|b| b.package_bytes = 3_000_000);
    let folder = Folder::new();
    let child = |n: usize| Child {
        sim: &sim,
        machine: sim.machine_id(n),
        path: folder.0.join(format!("{n}.zip")).to_str().unwrap().to_owned(),
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
                            mde::inspect_package(&child.path)
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
                    assert_eq!(sha256(&child.path), whole["package"]["sha256"].as_str().unwrap());
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
fn a_killed_fetch_is_carried_on() {
    killed(20);
}

mod full {
    #[test]
    fn a_fetch_killed_two_hundred_times_is_carried_on() {
        super::killed(200);
    }
}

fn note(folder: &Folder) -> String {
    format!("{}.fetch.json", folder.file())
}

#[test]
fn two_calls_for_one_path_do_not_get_in_each_other_s_way() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| b.in_progress_s = 1.5);
    let client = client(&sim, &OPTIONS);
    let (machine, file) = (sim.machine_id(0), folder.file());
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
    assert_eq!((posts(&sim), folder.names()), (1, vec!["package.zip".to_owned()]));

    // At the same moment: one collection, whoever of them starts it.
    let file = folder.0.join("together.zip").to_str().unwrap().to_owned();
    let machine = sim.machine_id(3);
    let ends: Vec<i32> = std::thread::scope(|scope| {
        let call = |_| scope.spawn(|| client.fetch(&machine, "x", &file).status);
        let calls: Vec<_> = (0..4).map(call).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(ends.iter().filter(|status| **status == 0).count(), 1, "{ends:?}");
    assert_eq!((posts(&sim), folder.names().len()), (2, 2), "{:?}", folder.names());
}

#[test]
fn a_note_that_cannot_be_read_is_not_passed_over() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let newer = json!({"version": 2, "machine_id": sim.machine_id(0), "comment": "x", "began": "",
        "action_id": null});
    let refused = || {
        let error = client.fetch(&sim.machine_id(0), "x", &folder.file()).error("file");
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
    assert_eq!(posts(&sim), 0);
}

#[test]
fn a_note_that_leads_to_another_device_is_not_believed() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let other = client.collect(&sim.machine_id(1), "x").ok();
    let lie = json!({"version": 1, "machine_id": sim.machine_id(0), "comment": "x",
        "began": "2026-01-01T00:00:00Z", "action_id": other["action"]["id"]});
    std::fs::write(note(&folder), lie.to_string()).unwrap();
    let error = client.fetch(&sim.machine_id(0), "x", &folder.file()).error("file");
    assert!(error["message"].as_str().unwrap().contains("of another device"), "{error}");
    assert_eq!((error["action_id"].clone(), posts(&sim)), (other["action"]["id"].clone(), 1));
    assert_eq!(folder.names(), ["package.zip.fetch.json"]);
}

#[test]
fn a_package_that_is_gone_does_not_bar_the_way() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let machine = sim.machine_id(0);
    let fetch =
        || client.fetch_until(&machine, "x", &folder.file(), None, Some(&Cancel::new(2_500)));
    // No link: that may pass, so it is said what to do if it does not.
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
    assert_eq!((fetch().ok()["adopted"].clone(), posts(&sim)), (json!(false), 2));
}

#[test]
fn a_callback_that_stops_at_the_first_event_is_told_the_action() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let mut stop = |_: Value| false;
    let machine = sim.machine_id(0);
    let stopped = client.fetch_until(&machine, "x", &folder.file(), Some(&mut stop), None);
    let error = stopped.error("cancelled");
    let actions = sim.actions();
    assert_eq!((&error["action_id"], actions.len()), (&actions[0]["id"], 1), "{error}");
    assert_eq!(error["action"]["id"], error["action_id"]);
    assert_eq!(
        client.fetch(&machine, "x", &folder.file()).ok()["action"]["id"],
        error["action_id"]
    );
}

#[test]
fn a_call_with_another_kind_of_id_can_be_repeated() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let found = client.find(&sim.machine_id(0)).ok();
    let entra = found["machines"][0]["aadDeviceId"].as_str().unwrap();
    let fetched = client.fetch(entra, "x", &folder.file()).ok();
    let again = client.fetch(entra, "x", &folder.file()).ok();
    assert_eq!(again["package"]["existing"], true);
    assert_eq!((&again["action"]["id"], posts(&sim)), (&fetched["action"]["id"], 1));
    // A device of its own kind of id is told from it.
    client.fetch(&sim.machine_id(1), "x", &folder.file()).error("file");
}
