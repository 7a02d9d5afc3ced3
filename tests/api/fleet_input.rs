//! What a job over many devices says of bad input, and of a folder that it cannot use.

use std::fs;
use std::path::Path;
use std::time::Duration;

use mde_simulator::{Config, Simulator};
use mde_tests::packages::{Folder, collections_asked_for, quick};
use mde_tests::{Cancel, Client, client, read_packages};
use serde_json::{Value, json};

use super::fleet::{OPTIONS, all_there, devices, states};

#[track_caller]
fn refused(client: &Client, devices: Option<&str>, folder: &Path, name: &str) -> String {
    let error = client.fetch_packages(devices, folder, None, None).error(name);
    error["message"].as_str().unwrap().to_owned()
}

#[test]
fn devices_that_are_none_are_named() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let id = sim.machine_id(0);
    for (devices, part) in [
        ("pc1, pc2".to_owned(), "`devices_json`"),
        ("{\"machines\":7}".to_owned(), "`devices_json`"),
        (json!({"device": [id]}).to_string(), "the unknown member `device`"),
        (
            json!([id, {"machines_id": id}]).to_string(),
            "item 1 with the unknown member `machines_id`",
        ),
        (json!([id, "no/device"]).to_string(), "item 1"),
        (json!([{"machine_id": id, "file": "../x.zip"}]).to_string(), "`file`"),
        (
            json!((0..100_001).map(|n| format!("{n:040x}")).collect::<Vec<_>>()).to_string(),
            "100,000",
        ),
    ] {
        let message = refused(&client, Some(&devices), &folder.0, "invalid_argument");
        assert!(message.contains(part), "{message}");
    }
    for nothing in [None, Some("[]")] {
        let message = refused(&client, nothing, &folder.0, "invalid_argument");
        assert!(message.contains("no job to resume"), "{message}");
    }
    assert_eq!((sim.requests().len(), folder.names().len()), (0, 0));
    // The same device twice is one.
    let twice = json!([id, id.to_uppercase(), {"machine_id": id}]).to_string();
    let document = client.fetch_packages(Some(&twice), &folder.0, None, None).ok();
    all_there(&document, &sim, 1);
    // A search that has found none is a job without devices.
    let empty = Folder::new();
    let none = r#"{"machines":[],"checks":[],"more":false}"#;
    for _ in 0..2 {
        assert_eq!(states(&client.fetch_packages(Some(none), &empty.0, None, None).ok()), [""; 0]);
    }
    let message = refused(&client, None, &empty.0, "invalid_argument");
    assert!(message.contains("no job to resume"), "{message}");
}

#[test]
fn what_a_search_has_found_is_a_job_only_if_it_is_all() {
    let folder = Folder::new();
    let sim = Simulator::start(Config { machines: 1_001, ..Config::default() }).unwrap();
    let client = client(&sim, &OPTIONS);
    let all = client.find("device-").ok();
    assert_eq!(all["more"], true);
    let cancel = Cancel::new(5_000);
    let outcome = client.fetch_packages(Some(&all.to_string()), &folder.0, None, Some(&cancel));
    let message = outcome.error("invalid_argument")["message"].to_string();
    assert!(message.contains("(`more` is true)"), "{message}");
    assert!(message.contains("a narrower query, or an array of the ids"), "{message}");
    assert_eq!((collections_asked_for(&sim), folder.names().len()), (0, 0));
    sim.set(|b| (b.pending_s, b.in_progress_s) = (0.1, 0.1));
    let one = client.find(&sim.machine_id(0)).ok();
    all_there(&client.fetch_packages(Some(&one.to_string()), &folder.0, None, None).ok(), &sim, 1);
}

#[test]
fn a_folder_that_is_no_use_is_said_before_anything_is_asked() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    let devices = devices(&sim, 0, 1);
    let missing = folder.0.join("missing");
    let message = refused(&client, Some(&devices), &missing, "file");
    assert!(message.contains("missing` does not exist; make it first"), "{message}");
    let file = folder.0.join("file");
    fs::write(&file, "x").unwrap();
    assert!(refused(&client, Some(&devices), &file, "file").contains("is not a folder"));
    read_packages(&folder.0).error("file");
    // Something else has the name of the journal.
    let journal = folder.0.join("fleet.journal");
    fs::create_dir(&journal).unwrap();
    refused(&client, Some(&devices), &folder.0, "file");
    fs::remove_dir(&journal).unwrap();
    for content in ["a list of mine", "device-1\ndevice-2\n", "\n"] {
        write_private(&journal, content);
        let message = refused(&client, Some(&devices), &folder.0, "file");
        assert!(message.contains("does not begin as a journal: it is another file"), "{message}");
        assert!(message.contains("move it away"), "{message}");
        assert_eq!(fs::read_to_string(&journal).unwrap(), content);
        read_packages(&folder.0).error("file");
    }
    assert_eq!(collections_asked_for(&sim), 0);
    // An empty file is none of anybody.
    write_private(&journal, "");
    let message = read_packages(&folder.0).error("file")["message"].to_string();
    assert!(message.contains("is empty: no call has fetched"), "{message}");
    let message = refused(&client, None, &folder.0, "invalid_argument");
    assert!(message.contains("no job to resume"), "{message}");
    all_there(&client.fetch_packages(Some(&devices), &folder.0, None, None).ok(), &sim, 1);
}

/// Replaces the content of a file that nobody else may write.
fn write_private(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn two_calls_do_not_work_in_one_folder() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| b.in_progress_s = 60.0);
    let client = client(&sim, &OPTIONS);
    let devices = devices(&sim, 0, 2);
    let cancel = Cancel::new(0);
    std::thread::scope(|scope| {
        let first =
            scope.spawn(|| client.fetch_packages(Some(&devices), &folder.0, None, Some(&cancel)));
        while collections_asked_for(&sim) < 2 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let error = client.fetch_packages(Some(&devices), &folder.0, None, None).error("file");
        assert_eq!(error["retryable"], true, "{error}");
        // How it stands can be read meanwhile.
        assert_eq!(states(&read_packages(&folder.0).ok()).len(), 2);
        cancel.trigger();
        first.join().unwrap().error("cancelled");
    });
}

/// A job of three devices, of which one is done and two wait.
fn begun(sim: &Simulator, client: &Client, folder: &Path) {
    let one = devices(sim, 0, 1);
    client.fetch_packages(Some(&one), folder, None, None).ok();
    sim.set(|b| b.in_progress_s = 60.0);
    let cancel = Cancel::new(1_500);
    let all = devices(sim, 0, 3);
    client.fetch_packages(Some(&all), folder, None, Some(&cancel)).error("deadline");
}

#[test]
fn a_journal_that_was_changed_is_refused_and_nothing_is_lost() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    begun(&sim, &client, &folder.0);
    let path = folder.0.join("fleet.journal");
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let with = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let edited = lines[2].replacen("queued", "failed", 1).replacen("done", "gone", 1);
    let edited: Vec<&str> =
        lines.iter().enumerate().map(|(at, line)| if at == 2 { &*edited } else { line }).collect();
    for (content, part) in [
        (with(&edited), "is damaged in line 3"),
        (whole.replacen("mde fleet 2", "mde fleet 3", 1), "does not begin as a journal"),
        (with(&lines[1..]), "is no journal of this version"),
    ] {
        fs::write(&path, content).unwrap();
        let message = refused(&client, None, &folder.0, "file");
        assert!(message.contains(part), "{message}");
        assert!(message.contains("move it away"), "{message}");
        read_packages(&folder.0).error("file");
    }
    // A torn line is what a crash leaves.
    let asked = collections_asked_for(&sim);
    fs::write(&path, &whole[..whole.len() - 7]).unwrap();
    sim.set(|b| b.in_progress_s = 0.1);
    assert_eq!(states(&read_packages(&folder.0).ok()).len(), 3);
    let cancel = Cancel::new(3_000);
    let outcome = client.fetch_packages(None, &folder.0, None, Some(&cancel));
    assert_eq!(states(&outcome.document)[0], "done");
    assert_eq!(collections_asked_for(&sim), asked);
}

#[test]
fn the_job_of_another_tenant_is_refused() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    client.fetch_packages(Some(&devices(&sim, 0, 1)), &folder.0, None, None).ok();
    let path = folder.0.join("fleet.journal");
    let text = fs::read_to_string(&path).unwrap();
    for (own, what) in [
        (mde_simulator::DEFAULT_TENANT, "of another tenant"),
        (mde_simulator::DEFAULT_CLIENT, "of another application"),
    ] {
        let (first, rest) = text.split_once('\n').unwrap();
        let first = first[9..].replace(own, "00000000-0000-4000-8000-000000000000");
        let sum = crc32fast::hash(first.as_bytes());
        fs::write(&path, format!("{sum:08x} {first}\n{rest}")).unwrap();
        let message = refused(&client, None, &folder.0, "file");
        assert!(message.contains(what), "{message}");
    }
}

#[test]
fn a_client_that_is_shut_down_says_so() {
    let (sim, folder) = (quick(), Folder::new());
    let client = client(&sim, &OPTIONS);
    assert_eq!(client.shutdown(Duration::from_secs(1)), 0);
    refused(&client, Some(&devices(&sim, 0, 1)), &folder.0, "closed");
    assert_eq!(folder.names().len(), 0);
}

#[test]
fn a_refused_package_is_kept_and_said() {
    let (sim, folder) = (quick(), Folder::new());
    sim.set(|b| b.package_fault = mde_simulator::PackageFault::Unsafe);
    let client = client(&sim, &OPTIONS);
    let outcome = client.fetch_packages(Some(&devices(&sim, 0, 2)), &folder.0, None, None);
    let document = outcome.document.clone();
    outcome.error("incomplete");
    assert_eq!(states(&document), ["failed", "failed"]);
    let first: &Value = &document["packages"][0];
    assert_eq!(first["error"]["name"], "unsafe");
    let kept = first["package"]["path"].as_str().unwrap();
    assert!(kept.ends_with(".unsafe") && Path::new(kept).exists(), "{kept}");
}
