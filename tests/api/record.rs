//! The record: a line for each end of a collection, which a program that knows nothing of the library verifies.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use mde_simulator::{DEFAULT_CLIENT, DEFAULT_TENANT, Outcome, PackageFault, Simulator};
use mde_tests::child;
use mde_tests::packages::{Folder, collections_asked_for, quick, sha256};
use mde_tests::{Client, client, try_client};
use serde_json::{Value, json};

use super::verifier::{NAME, every_edit_is_refused, is_verified, verified};

/// Room for everybody: the second link of a minute would be waited for.
const ROOM: [(&str, &str); 2] = [
    ("poll_interval_ms", "100"),
    ("quota_limits", "link=100000/60;collect=100000/60;read=100000/60;list=100000/60"),
];

fn record_of(folder: &Folder) -> String {
    folder.0.join(NAME).to_str().unwrap().to_owned()
}

fn recording(sim: &Simulator, folder: &Folder, more: &[(&str, &str)]) -> Client {
    let record = record_of(folder);
    client(sim, &[&ROOM[..], &[("record", record.as_str())], more].concat())
}

fn package_in(folder: &Folder, name: &str) -> String {
    folder.0.join(name).to_str().unwrap().to_owned()
}

fn lines(folder: &Folder) -> Vec<Value> {
    let text = fs::read_to_string(record_of(folder)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_end_of_a_collection_has_one_line() {
    let (sim, folder) = (quick(), Folder::new());
    let began = SystemTime::now();
    let [good, failing, unsafe_one] = [0, 1, 2].map(|n| sim.machine_id(n));
    sim.set(|b| {
        b.machine_outcomes.insert(failing.clone(), Outcome::Failed);
    });
    let client = recording(&sim, &folder, &[]);
    let fetched = client.fetch(&good, "case 4711", &package_in(&folder, "good.zip")).ok();
    client.fetch(&failing, "case 2", &package_in(&folder, "none.zip")).error("action_failed");
    let unknown = sim.machine_id(5_000);
    client.fetch(&unknown, "case 3", &package_in(&folder, "none.zip")).error("not_found");
    sim.set(|b| b.package_fault = PackageFault::Unsafe);
    let path = package_in(&folder, "unsafe.zip");
    client.fetch(&unsafe_one, "case 4", &path).error("unsafe");
    is_verified(&folder);

    let found = lines(&folder);
    let states: Vec<_> = found.iter().map(|line| line["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["done", "failed", "failed", "failed"]);
    let first = &found[0];
    assert_eq!(first["machine_id"], good.as_str());
    assert_eq!(first["computer_name"], fetched["action"]["computerDnsName"]);
    assert_eq!((&first["adopted"], &first["comment"]), (&json!(false), &json!("case 4711")));
    assert_eq!(
        (&first["action"], &first["action_id"]),
        (&fetched["action"], &fetched["action"]["id"])
    );
    assert_eq!(first["library"], format!("mde {}", mde_tests::VERSION));
    let by = &first["requested_by"];
    assert_eq!(
        (&by["tenant"], &by["application"]),
        (&json!(DEFAULT_TENANT), &json!(DEFAULT_CLIENT))
    );
    assert_eq!(by["object"].as_str().unwrap().len(), 36);
    let package = &first["package"];
    assert_eq!(package["file"], "good.zip");
    for member in ["bytes", "sha256", "entries", "device", "missing", "bytes_uncompressed"] {
        assert_eq!(package[member], fetched["package"][member], "{member}");
    }
    for member in ["path", "existing", "action_id"] {
        assert_eq!(package[member], Value::Null, "{member}");
    }
    let time = |member: &str| {
        let text = first[member].as_str().unwrap_or_else(|| panic!("{member}: {first}"));
        humantime::parse_rfc3339(text).unwrap()
    };
    let second = Duration::from_secs(1);
    assert!(began - second < time("asked") && time("asked") < time("ended"));
    assert!(
        time("service_date") + 2 * second > time("asked") && time("service_date") < time("ended")
    );
    assert_eq!(found[1]["error"]["name"], "action_failed");
    assert_eq!(found[1]["action"]["status"], "Failed");
    assert_eq!((&found[1]["error"]["action"], &found[1]["package"]), (&Value::Null, &Value::Null));
    assert_eq!(
        (&found[2]["error"]["name"], &found[2]["machine_id"]),
        (&json!("not_found"), &json!(unknown))
    );
    assert_eq!((&found[2]["action_id"], &found[2]["adopted"]), (&Value::Null, &Value::Null));
    assert!(found[2]["asked"].is_string());
    assert_eq!(found[3]["package"]["file"], "unsafe.zip.unsafe");
    assert_eq!(found[3]["package"]["unsafe_count"], 1);

    // Again: what is recorded already is not recorded twice.
    client.fetch(&good, "other", &package_in(&folder, "good.zip")).ok();
    client.fetch(&unsafe_one, "other", &path).error("unsafe");
    assert_eq!(lines(&folder).len(), 4);
    // Another answer about the same package has a line of its own.
    let accepting = recording(&sim, &folder, &[("accept_unsafe", "yes")]);
    accepting.fetch(&unsafe_one, "other", &path).ok();
    is_verified(&folder);
    let found = lines(&folder);
    let last = found.last().unwrap();
    assert_eq!((found.len(), &last["state"]), (5, &json!("done")));
    assert_eq!((&last["comment"], &last["adopted"]), (&json!("case 4"), &json!(false)));
    let sums = fs::read_to_string(folder.0.join("SHA256SUMS")).unwrap();
    assert!(sums.contains("  unsafe.zip\n") && !sums.contains(".unsafe"), "{sums}");
}

#[test]
fn a_package_elsewhere_is_named_by_its_path() {
    let (sim, folder, other) = (quick(), Folder::new(), Folder::new());
    let client = recording(&sim, &folder, &[]);
    let into = other.0.to_str().unwrap();
    let fetched = client.fetch(&sim.machine_id(0), "x", into).ok();
    assert_eq!(lines(&folder)[0]["package"]["file"], fetched["package"]["path"]);
    is_verified(&folder);
    fs::write(fetched["package"]["path"].as_str().unwrap(), "changed").unwrap();
    assert!(!verified(&folder).0);
}

#[test]
fn a_collection_that_was_running_is_recorded_as_adopted() {
    let (sim, folder) = (quick(), Folder::new());
    let client = recording(&sim, &folder, &[]);
    sim.set(|b| b.in_progress_s = 0.6);
    client.collect(&sim.machine_id(0), "somebody else").ok();
    client.fetch(&sim.machine_id(0), "x", &package_in(&folder, "p.zip")).ok();
    let line = &lines(&folder)[0];
    assert_eq!((&line["adopted"], &line["comment"]), (&json!(true), &json!("x")));
    assert_eq!(line["action"]["requestorComment"], "somebody else");
    assert!(line["service_date"].is_string());
}

#[test]
fn an_interrupted_fetch_is_recorded_as_its_first_call_knew_it() {
    let (sim, folder) = (quick(), Folder::new());
    let client = recording(&sim, &folder, &[]);
    let machine = sim.machine_id(0);
    let mut stop = |_: Value| false;
    let path = package_in(&folder, "p.zip");
    client.fetch_until(&machine, "first", &path, Some(&mut stop), None).error("cancelled");
    let asked = SystemTime::now();
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(client.fetch(&machine, "second", &path).ok()["adopted"], true);
    let line = &lines(&folder)[0];
    assert_eq!((&line["adopted"], &line["comment"]), (&json!(false), &json!("first")));
    for member in ["asked", "service_date"] {
        assert!(
            humantime::parse_rfc3339(line[member].as_str().unwrap()).unwrap() < asked,
            "{line}"
        );
    }
}

#[test]
fn a_broken_record_is_an_error_before_anything_is_asked_for() {
    let (sim, folder) = (quick(), Folder::new());
    let client = recording(&sim, &folder, &[]);
    let fetch =
        |n: usize| client.fetch(&sim.machine_id(n), "x", &package_in(&folder, &format!("{n}.zip")));
    for n in 0..3 {
        fetch(n).ok();
    }
    let text = fs::read_to_string(record_of(&folder)).unwrap();
    fs::write(record_of(&folder), text.replacen("\"x\"", "\"y\"", 1)).unwrap();
    let before = (collections_asked_for(&sim), folder.names());
    let error = fetch(3).error("file");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(NAME) && message.contains("line 2 does not follow line 1"), "{error}");
    assert_eq!((collections_asked_for(&sim), folder.names()), before);
    // As the message says.
    for name in [NAME, "packages.jsonl.sha256", "SHA256SUMS"] {
        fs::rename(folder.0.join(name), folder.0.join(format!("old-{name}"))).unwrap();
    }
    fetch(3).ok();
    assert_eq!(lines(&folder).len(), 1);
}

/// Nothing is returned before it is recorded, and nothing is forgotten.
#[test]
fn an_end_that_cannot_be_recorded_is_returned_again() {
    let (sim, folder) = (quick(), Folder::new());
    let failing = sim.machine_id(1);
    sim.set(|b| {
        b.machine_outcomes.insert(failing.clone(), Outcome::Failed);
    });
    let client = recording(&sim, &folder, &[]);
    let in_the_way = folder.0.join("packages.jsonl.sha256.new");
    for (machine, name) in [(sim.machine_id(0), "done"), (failing, "action_failed")] {
        let path = package_in(&folder, &format!("{name}.zip"));
        let mut block = |event: Value| {
            if event["stage"] == "collect" {
                fs::create_dir(&in_the_way).unwrap();
            }
            true
        };
        let error = client.fetch_until(&machine, "x", &path, Some(&mut block), None).error("file");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("the same call returns it again and records it"), "{error}");
        assert!(error["action"]["id"].is_string(), "{error}");
        assert!(folder.names().contains(&format!("{name}.zip.fetch.json")));
        assert_eq!(folder.names().contains(&format!("{name}.zip")), name == "done");
        fs::remove_dir(&in_the_way).unwrap();
        let again = client.fetch(&machine, "y", &path);
        match name {
            "done" => assert_eq!(again.ok()["package"]["existing"], true),
            name => assert_eq!(again.error(name)["action_id"], error["action_id"]),
        }
        assert!(!folder.names().contains(&format!("{name}.zip.fetch.json")));
        is_verified(&folder);
    }
    let found = lines(&folder);
    assert_eq!((found.len(), collections_asked_for(&sim)), (2, 2));
    assert!(found.iter().all(|line| line["comment"] == "x"), "{found:?}");
}

#[test]
fn the_path_of_a_record_is_absolute_and_in_a_folder_that_is_there() {
    let sim = quick();
    let error = try_client(&sim, &[("record", NAME)]).err().unwrap().error("config");
    assert!(error["message"].as_str().unwrap().contains("`record` is no absolute path"), "{error}");
    let missing = Folder::new().0.join("missing/packages.jsonl");
    let error = try_client(&sim, &[("record", missing.to_str().unwrap())]).err().unwrap();
    let error = error.error("config");
    assert!(error["message"].as_str().unwrap().contains("make the folder first"), "{error}");
}

/// A record of so many devices, whose calls share it, with failures and refused packages.
fn many(devices: usize) -> Folder {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| {
        for n in (0..devices).filter(|n| n % 7 == 3) {
            b.machine_outcomes.insert(sim.machine_id(n), Outcome::Failed);
        }
    });
    let client = recording(&sim, &folder, &[]);
    let fetch = |n: usize| {
        let path = package_in(&folder, &format!("{n}.zip"));
        let outcome = client.fetch(&sim.machine_id(n), &format!("case {n}, Zürich"), &path);
        assert!([0, 64, 102].contains(&outcome.status), "{}", outcome.text);
    };
    let (damaged, sound) = (devices / 8, devices);
    sim.set(|b| b.package_fault = PackageFault::Checksum);
    (0..damaged).for_each(fetch);
    sim.set(|b| b.package_fault = PackageFault::None);
    let next = AtomicUsize::new(damaged);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    match next.fetch_add(1, Ordering::Relaxed) {
                        n if n < sound => fetch(n),
                        _ => break,
                    }
                }
            });
        }
    });
    let of: BTreeSet<_> = lines(&folder).iter().map(|it| it["machine_id"].to_string()).collect();
    assert_eq!((of.len(), lines(&folder).len()), (devices, devices));
    folder
}

#[test]
fn every_edit_of_a_record_is_refused() {
    let folder = many(40);
    assert!(folder.names().len() > 30, "{:?}", folder.names());
    every_edit_is_refused(&folder);
}

/// Kills fetches that share a record at random moments. At the end each device has one line.
fn killed(rounds: usize) {
    let (sim, folder) = (quick(), Folder::new());
    let record = record_of(&folder);
    let options = [&ROOM[..], &[("record", record.as_str())]].concat();
    let child = |n: usize| {
        let path = package_in(&folder, &format!("{n}.zip"));
        child::Fetch::new(&sim, &options, sim.machine_id(n), path)
    };
    let began = std::time::Instant::now();
    child(0).finish();
    let usual = began.elapsed();
    let (next, kills) = (AtomicUsize::new(1), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for seed in 0..3 {
            let (child, next, kills) = (&child, &next, &kills);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                while kills.load(Ordering::Relaxed) < rounds {
                    let child = child(next.fetch_add(1, Ordering::Relaxed));
                    while random.u8(..4) > 0 {
                        // Most at the end, where the line is written.
                        let delay = usual.mul_f64(0.5 + random.f64() * 0.7);
                        if child.kill_after(delay) {
                            kills.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    child.finish();
                }
            });
        }
    });
    is_verified(&folder);
    let found = lines(&folder);
    let devices: BTreeSet<_> = found.iter().map(|line| line["machine_id"].to_string()).collect();
    let fetched = next.into_inner();
    assert_eq!((found.len(), devices.len()), (fetched, fetched));
    for line in &found {
        let package = &line["package"];
        let content = fs::read(package_in(&folder, package["file"].as_str().unwrap())).unwrap();
        assert_eq!(package["sha256"], sha256(&content).as_str());
    }
    assert_eq!(folder.names().len(), fetched + 3, "{:?}", folder.names());
}

#[test]
fn a_killed_fetch_is_recorded_once() {
    killed(20);
}

mod full {
    #[test]
    fn fetches_that_are_killed_two_hundred_times_are_recorded_once() {
        super::killed(200);
    }
}
