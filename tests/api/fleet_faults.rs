//! What goes wrong on the way while a job over many devices runs.

use std::fs;
use std::time::{Duration, Instant};

use mde_tests::packages::{Folder, collections_asked_for, links_asked_for, quick, sha256};
use mde_tests::{Cancel, client, device_id, read_packages};
use serde_json::{Value, json};

use super::fleet::{OPTIONS, all_there, devices, states};

#[test]
fn a_stop_during_a_poll_ends_the_call() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| b.in_progress_s = 60.0);
    let client = client(&sim, &OPTIONS);
    sim.script(json!({"match": {"method": "GET", "path_contains": "machineactions"}, "times": 0, "stall": true}))
        .unwrap();
    let cancel = Cancel::new(0);
    let devices = devices(&sim, 0, 2);
    std::thread::scope(|scope| {
        let runs =
            scope.spawn(|| client.fetch_packages(Some(&devices), &folder.0, None, Some(&cancel)));
        std::thread::sleep(Duration::from_millis(1_500));
        let asked = sim.requests().iter().filter(|it| it.path.ends_with("/machineactions")).count();
        assert!(asked > 0, "a poll is under way");
        let began = Instant::now();
        cancel.trigger();
        runs.join().unwrap().error("cancelled");
        assert!(began.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn a_request_without_time_is_no_stop_of_the_call() {
    let (sim, folder) = (quick(), Folder::new());
    let client =
        client(&sim, &[&OPTIONS[..], &[("timeout_ms", "300"), ("max_retries", "0")]].concat());
    let devices = devices(&sim, 0, 2);
    sim.script(json!({"match": {"path_contains": "GetPackageUri"}, "times": 2, "stall": true}))
        .unwrap();
    let cancel = Cancel::new(5_000);
    let outcome = client.fetch_packages(Some(&devices), &folder.0, None, Some(&cancel));
    let document = outcome.document.clone();
    outcome.error("deadline");
    assert_eq!(links_asked_for(&sim), 2, "each is tried again after a pause");
    assert_eq!(document["packages"][0]["error"]["name"], "broken", "{document}");
}

#[test]
fn an_action_of_another_device_is_not_downloaded() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| b.in_progress_s = 1.0);
    let client = client(&sim, &OPTIONS);
    let devices = devices(&sim, 0, 1);
    let cancel = Cancel::new(400);
    client.fetch_packages(Some(&devices), &folder.0, None, Some(&cancel)).error("deadline");
    let mut action = sim.actions()[0].clone();
    let id = action["id"].as_str().unwrap().to_owned();
    action["machineId"] = device_id(9).into();
    action["status"] = "Succeeded".into();
    sim.script(json!({"match": {"method": "GET", "path_contains": format!("machineactions/{id}")}, "times": 0,
        "reply": {"status": 200, "json": action}}))
        .unwrap();
    let outcome = client.fetch_packages(None, &folder.0, None, None);
    let document = outcome.document.clone();
    assert_eq!(outcome.error("incomplete")["retryable"], true);
    assert_eq!(states(&document), ["failed"]);
    let error = &document["packages"][0]["error"];
    assert!(error["message"].as_str().unwrap().contains("an action of another device"), "{error}");
    assert_eq!(links_asked_for(&sim), 0);
    sim.clear_script();
    all_there(&client.fetch_packages(None, &folder.0, None, None).ok(), &sim, 1);
}

#[test]
fn files_that_are_there_or_of_another_device_are_refused_before_anything_is_asked() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let list =
        |n: usize, file: &str| json!([{"machine_id": sim.machine_id(n), "file": file}]).to_string();
    client.fetch_packages(Some(&list(0, "a.zip")), &folder.0, None, None).ok();
    fs::write(folder.0.join("b.zip"), "x").unwrap();
    let asked = collections_asked_for(&sim);
    let refused = |list: String, name: &str, part: &str| {
        let error: Value = client.fetch_packages(Some(&list), &folder.0, None, None).error(name);
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
    };
    refused(list(1, "A.zip"), "invalid_argument", "which another device of the job has");
    refused(list(1, "b.zip"), "file", "b.zip");
    assert_eq!(collections_asked_for(&sim), asked);
    client.fetch_packages(Some(&list(1, "c.zip")), &folder.0, None, None).ok();
    // The device has its file.
    client.fetch_packages(Some(&list(1, "c.zip")), &folder.0, None, None).ok();
}

#[test]
fn a_record_that_cannot_be_written_ends_the_call_and_is_named() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let whole = folder.0.join("packages.jsonl.sha256");
    let mut block = |_: Value| {
        if whole.is_file() {
            fs::remove_file(&whole).unwrap();
            fs::create_dir(&whole).unwrap();
        }
        true
    };
    let list = devices(&sim, 0, 2);
    let outcome = client.fetch_packages(Some(&list), &folder.0, Some(&mut block), None);
    assert_eq!(states(&outcome.document).len(), 2);
    let error = outcome.error("file");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("packages.jsonl.sha256`") && !message.contains("fleet.journal"),
        "{message}"
    );
}

#[test]
fn a_journal_that_cannot_be_compacted_does_not_end_the_job() {
    const COUNT: usize = 12;
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let comment = "why ".repeat(8_000);
    let list = |from: usize, count: usize| {
        let device = |n: usize| json!({"machine_id": sim.machine_id(n), "comment": comment});
        json!((from..from + count).map(device).collect::<Vec<_>>()).to_string()
    };
    let journal = folder.0.join("fleet.journal");
    let in_the_way = folder.0.join("fleet.journal.new");
    let mut block = |_: Value| {
        let _ = fs::create_dir(&in_the_way);
        true
    };
    let all = list(0, COUNT);
    let document = client.fetch_packages(Some(&all), &folder.0, Some(&mut block), None).ok();
    all_there(&document, &sim, COUNT);
    assert!(in_the_way.is_dir());
    let length = || fs::metadata(&journal).unwrap().len();
    let grown = length();
    assert!(grown > 2 << 20, "{grown}");
    // The next call compacts it.
    fs::remove_dir(&in_the_way).unwrap();
    let again = client.fetch_packages(None, &folder.0, None, None).ok();
    assert_eq!(again, document);
    assert!(length() * 2 < grown, "{}", length());
    assert_eq!(read_packages(&folder.0).ok(), document);
    all_there(
        &client.fetch_packages(Some(&list(0, COUNT + 1)), &folder.0, None, None).ok(),
        &sim,
        COUNT + 1,
    );
}

#[test]
fn many_devices_with_problems_are_recorded_at_once() {
    const COUNT: usize = 2_000;
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let ids: Vec<String> = (0..COUNT).map(|n| format!("{n:040x}")).collect();
    let machines: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
    let checks: Vec<Value> =
        ids.iter().map(|id| json!({"id": id, "problems": ["merged"]})).collect();
    let found = json!({"machines": machines, "checks": checks}).to_string();
    let began = Instant::now();
    for _ in 0..2 {
        let outcome = client.fetch_packages(Some(&found), &folder.0, None, None);
        assert_eq!(outcome.document["summary"]["skipped"], COUNT);
        outcome.error("incomplete");
    }
    // A line at a time, made durable, takes some milliseconds.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let record = fs::read_to_string(folder.0.join("packages.jsonl")).unwrap();
    assert_eq!(record.lines().count(), COUNT);
    let whole = fs::read_to_string(folder.0.join("packages.jsonl.sha256")).unwrap();
    assert!(whole.starts_with(&sha256(record.as_bytes())), "{whole}");
}

#[test]
fn a_quota_file_that_is_none_ends_the_call() {
    let (sim, folder) = (quick(), Folder::new());
    let other = folder.0.join("other.txt");
    fs::write(&other, "not a quota file").unwrap();
    let limits = "link=50000/60;collect=50000/60;read=50000/60;list=50000/60";
    let more = [("quota_file", other.to_str().unwrap()), ("quota_limits", limits)];
    let client = client(&sim, &[&OPTIONS[..], &more[..]].concat());
    let cancel = Cancel::new(5_000);
    let list = devices(&sim, 0, 2);
    let outcome = client.fetch_packages(Some(&list), &folder.0, None, Some(&cancel));
    assert_eq!(states(&outcome.document), ["queued"; 2]);
    let error = outcome.error("config");
    assert!(error["message"].as_str().unwrap().contains("`quota_file`"), "{error}");
}

#[test]
fn a_poll_that_is_refused_for_good_ends_the_call() {
    let refusal = json!({"error": {"code": "BadRequest", "message": "odd filter"}});
    for (reply, name) in [
        (json!({"status": 400, "json": refusal}), "bad_request"),
        (json!({"status": 404, "body": "<html>no route</html>"}), "not_found"),
        (json!({"status": 200, "body": "<html>portal</html>"}), "protocol"),
    ] {
        let (sim, folder) = (quick(), Folder::new());
        sim.set(|b| b.in_progress_s = 1.0);
        let client = client(&sim, &OPTIONS);
        sim.script(json!({"match": {"method": "GET", "path_contains": "machineactions"}, "times": 0, "reply": reply}))
            .unwrap();
        let (cancel, began) = (Cancel::new(20_000), Instant::now());
        let list = devices(&sim, 0, 3);
        let outcome = client.fetch_packages(Some(&list), &folder.0, None, Some(&cancel));
        assert!(states(&outcome.document).iter().all(|state| *state != "failed"), "{name}");
        outcome.error(name);
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        sim.clear_script();
        all_there(&client.fetch_packages(None, &folder.0, None, None).ok(), &sim, 3);
    }
}

/// Of these polls no three fail in a row, and those in between show nothing new.
#[test]
fn a_good_poll_without_news_ends_a_series_of_failures() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| b.pending_s = 4.0);
    let client = client(&sim, &OPTIONS);
    for skip in 1..4 {
        let refusal = json!({"error": {"code": "Forbidden", "message": "no"}});
        sim.script(json!({"match": {"method": "GET", "path_contains": "machineactions"}, "skip": skip, "times": 2,
            "reply": {"status": 403, "json": refusal}}))
            .unwrap();
    }
    all_there(
        &client.fetch_packages(Some(&devices(&sim, 0, 3)), &folder.0, None, None).ok(),
        &sim,
        3,
    );
    let polls = |status: u16| {
        sim.requests()
            .iter()
            .filter(|it| it.path.ends_with("/machineactions") && it.status == status)
            .count()
    };
    assert_eq!(polls(403), 6);
    assert!(polls(200) > 3);
}

/// The record says who asked, and what for.
#[test]
fn the_record_of_a_refused_request_has_its_comment_and_its_time() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let list = json!(["f".repeat(40)]).to_string();
    client.fetch_packages(Some(&list), &folder.0, None, None).error("incomplete");
    let record = fs::read_to_string(folder.0.join("packages.jsonl")).unwrap();
    let line: Value = serde_json::from_str(record.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&line["state"], &line["comment"]),
        (&json!("failed"), &json!("case 4711")),
        "{line}"
    );
    assert!(line["asked"].is_string(), "{line}");
    // It is asked afresh, and not searched for.
    let again = json!({"devices": [], "retry": "failed"}).to_string();
    client.fetch_packages(Some(&again), &folder.0, None, None).error("incomplete");
    assert_eq!(collections_asked_for(&sim), 2);
    assert_eq!(fs::read_to_string(folder.0.join("packages.jsonl")).unwrap().lines().count(), 2);
    assert!(!sim.requests().iter().any(|it| it.path.ends_with("/machineactions")));
}
