//! Cancelling actions in every state, and replies from which the outcome is not clear.

use mde_simulator::Simulator;
use mde_tests::{Client, client, simulator};
use serde_json::json;

fn running(sim: &Simulator, client: &Client) -> String {
    let document = client.collect(&sim.machine_id(0), "x").ok();
    document["action"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn an_action_that_runs_is_cancelled() {
    for (pending_s, state) in [(60.0, "Pending"), (0.0, "InProgress")] {
        let sim = simulator();
        sim.set(|b| (b.pending_s, b.in_progress_s) = (pending_s, 60.0));
        let client = client(&sim, &[]);
        let id = running(&sim, &client);
        assert_eq!(client.action(&id).ok()["action"]["status"], state);
        let document = client.cancel(&id, "not needed any more").ok();
        assert_eq!(document["cancelled"], true);
        assert_eq!(document["action"]["status"], "Cancelled");
        assert_eq!(document["action"]["cancellationComment"], "not needed any more");
    }
}

#[test]
fn an_action_that_has_ended_is_returned_with_its_end() {
    for (state, cancelled) in
        [("Succeeded", false), ("Failed", false), ("TimeOut", false), ("Cancelled", true)]
    {
        let sim = simulator();
        let action = sim.add_action(json!({ "status": state })).unwrap();
        let document = client(&sim, &[]).cancel(action["id"].as_str().unwrap(), "x").ok();
        assert_eq!(document["cancelled"], cancelled);
        assert_eq!(document["action"]["status"], state);
    }
}

#[test]
fn a_reply_with_the_state_before_the_cancel_is_not_the_end() {
    let sim = simulator();
    let client = client(&sim, &[]);
    let id = running(&sim, &client);
    let before = client.action(&id).ok()["action"].clone();
    let body = before.to_string();
    for rule in [
        json!({"match": {"path_contains": "/cancel"}, "process": true, "reply": {"status": 200, "body": body}}),
        json!({"match": {"method": "GET", "path_contains": &id}, "reply": {"status": 200, "body": body}}),
    ] {
        sim.script(rule).unwrap();
    }
    sim.clear_requests();
    assert_eq!(client.cancel(&id, "x").ok()["cancelled"], true);
    let methods: Vec<String> = sim.requests().iter().map(|r| r.method.clone()).collect();
    assert_eq!(methods, ["POST", "GET", "GET"]);
}

#[test]
fn a_lost_reply_of_a_cancel_is_requested_again() {
    let sim = simulator();
    let client = client(&sim, &[("max_retries", "2")]);
    let id = running(&sim, &client);
    sim.script(
        json!({"match": {"path_contains": "/cancel"}, "process": true, "close": "before_reply"}),
    )
    .unwrap();
    // The second request finds the action cancelled and is refused.
    assert_eq!(client.cancel(&id, "x").ok()["cancelled"], true);
}

#[test]
fn a_deadline_reports_that_the_cancel_was_requested() {
    let sim = simulator();
    let client = client(&sim, &[("timeout_ms", "800")]);
    let id = running(&sim, &client);
    let body = client.action(&id).ok()["action"].to_string();
    sim.script(
        json!({"match": {"path_contains": "/cancel"}, "reply": {"status": 200, "body": body}}),
    )
    .unwrap();
    let error = client.cancel(&id, "x").error("deadline");
    assert!(error["message"].as_str().unwrap().contains("accepted"), "{error}");
    assert_eq!((&error["stage"], &error["action"]["status"]), (&json!("wait"), &json!("Pending")));
}

#[test]
fn refusals_are_reported() {
    let sim = simulator();
    let client = client(&sim, &[]);
    client.cancel("5382f7ea-7557-4ab7-9782-d50480024a4e", "x").error("not_found");
    let id = running(&sim, &client);
    sim.script(json!({"match": {"path_contains": "/cancel"}, "reply": {"status": 400, "json":
        {"error": {"code": "InvalidRequestBody", "message": "Request body is incorrect"}}}}))
        .unwrap();
    // 400 for another reason than that the action has ended.
    let error = client.cancel(&id, "x").error("bad_request");
    assert_eq!(error["service_code"], "InvalidRequestBody");
    assert_eq!(error["action"]["status"], "Pending");
    assert!(
        client.cancel(&id, " ").error("invalid_argument")["message"]
            .as_str()
            .unwrap()
            .contains("`comment`")
    );
    assert!(
        client.cancel("x", "x").error("invalid_argument")["message"]
            .as_str()
            .unwrap()
            .contains("`action_id`")
    );
}
