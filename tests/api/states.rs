//! The result of each operation for each state of an action: the whole table, through the C ABI.

use mde_tests::{Outcome, client, simulator};
use serde_json::{Value, json};

/// State; what waiting, cancelling, asking for the link and downloading give. `ok`: success. Waiting for an action
/// that does not end runs into its deadline. A state that nobody knows is one that the service refuses to cancel.
const TABLE: [(&str, [&str; 4]); 7] = [
    ("Pending", ["deadline", "ok", "not_ready", "not_ready"]),
    ("InProgress", ["deadline", "ok", "not_ready", "not_ready"]),
    ("Succeeded", ["ok", "ok", "ok", "ok"]),
    ("Failed", ["action_failed", "ok", "action_failed", "action_failed"]),
    ("TimeOut", ["action_timed_out", "ok", "action_timed_out", "action_timed_out"]),
    ("Cancelled", ["action_cancelled", "ok", "action_cancelled", "action_cancelled"]),
    ("Paused", ["deadline", "bad_request", "not_ready", "not_ready"]),
];

/// The state that cancelling an action leaves it in.
fn after_cancelling(state: &str) -> &str {
    match state {
        "Pending" | "InProgress" => "Cancelled",
        final_one => final_one,
    }
}

#[track_caller]
fn check(outcome: Outcome, expected: &str, state: &str) -> Value {
    match expected {
        "ok" => outcome.ok(),
        name => {
            let error = outcome.error(name);
            assert_eq!(error["action"]["status"], state, "{error}");
            assert_eq!(error["action_id"], error["action"]["id"], "{error}");
            error
        }
    }
}

#[test]
fn every_operation_in_every_state() {
    let folder = mde_tests::scratch().join(format!("states-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (state, [wait, cancel, link, download]) in TABLE {
        let sim = simulator();
        let options = [
            ("poll_interval_ms", "100"),
            ("wait_timeout_ms", "2000"),
            ("quota_limits", "link=100/60"),
        ];
        let client = client(&sim, &options);
        let brought_in = || {
            let action = sim.add_action(json!({ "status": state })).unwrap();
            action["id"].as_str().unwrap().to_owned()
        };

        let id = brought_in();
        check(client.package_uri(&id), link, state);
        let path = folder.join(format!("{state}.zip"));
        check(client.download(&id, &path), download, state);
        assert_eq!(path.exists(), download == "ok", "{state}");
        let waiting = mde_tests::client(&sim, &[options[0], ("wait_timeout_ms", "350")]);
        let waited = check(waiting.wait(&id), wait, state);
        if wait == "ok" {
            assert_eq!(waited["action"]["status"], state);
        }
        let ended = check(client.cancel(&id, "x"), cancel, state);
        if cancel == "ok" {
            assert_eq!(ended["action"]["status"], after_cancelling(state), "{state}");
            assert_eq!(ended["cancelled"], after_cancelling(state) == "Cancelled", "{state}");
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_action_that_does_not_exist() {
    let sim = simulator();
    let client = client(&sim, &[("poll_interval_ms", "100"), ("wait_timeout_ms", "400")]);
    let id = "5382f7ea-7557-4ab7-9782-d50480024a4e";
    let path = mde_tests::scratch().join("states-nothing.zip");
    client.package_uri(id).error("not_found");
    client.download(id, &path).error("not_found");
    client.cancel(id, "x").error("not_found");
    // A new action may take a while to appear; the bound of a minute has a unit test.
    client.wait(id).error("deadline");
    assert!(!path.exists());
}
