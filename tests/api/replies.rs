//! Invalid replies: each has its status, and none makes a call hang, crash or use much memory.

use mde_simulator::Simulator;
use mde_tests::{Outcome, client, id, simulator};
use serde_json::{Value, json};

const JOB: &str = "collectInvestigationPackage";

/// Collects once while the job is answered with this reply.
fn collect_with(sim: &Simulator, reply: Value) -> Outcome {
    sim.clear_script();
    sim.script(json!({"match": {"path_contains": JOB}, "reply": reply})).unwrap();
    client(sim, &[("on_unknown", "report")]).collect(&sim.machine_id(0), "x")
}

/// Reads an action once while that is answered with this reply.
fn read_with(sim: &Simulator, reply: Value) -> Outcome {
    sim.clear_script();
    sim.script(json!({"match": {"path_contains": "machineactions"}, "reply": reply})).unwrap();
    client(sim, &[]).action(ASKED)
}

/// The action that is read.
const ASKED: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";

#[test]
fn any_2xx_that_carries_an_action_is_success() {
    let sim = simulator();
    for status in [200, 201, 202] {
        let document = collect_with(
            &sim,
            json!({"status": status, "json": {"id": id(1), "status": "Paused", "x": null}}),
        )
        .ok();
        assert_eq!(document["action"], json!({"id": id(1), "status": "Paused", "x": null}));
    }
}

/// Runs a test once for each of these replies, side by side: most of the time goes into pauses.
fn for_each(replies: Vec<(Value, &'static str)>, test: impl Fn(&Value, &'static str) + Sync) {
    std::thread::scope(|scope| {
        for (reply, name) in &replies {
            scope.spawn(|| test(reply, name));
        }
    });
}

/// Replies to the job after which nobody can tell from the reply alone whether it was carried out.
fn unreadable() -> Vec<(Value, &'static str)> {
    let brackets =
        |open: &str, close: &str| format!("{}{}", open.repeat(200_000), close.repeat(200_000));
    let html = json!({"status": 200, "body": "<html>portal</html>", "headers": {"Content-Type": "text/html"}});
    vec![
        (json!({"status": 201, "body": ""}), "protocol"),
        (html, "protocol"),
        (
            json!({"status": 201, "json": {"id": null, "status": null, "machineId": null}}),
            "protocol",
        ),
        (json!({"status": 201, "json": []}), "protocol"),
        (json!({"status": 201, "json": "x"}), "protocol"),
        (json!({"status": 201, "body": format!("{{\"id\":\"{}\"", id(1))}), "protocol"),
        (json!({"status": 201, "json": {"id": "123", "status": "Pending"}}), "protocol"),
        (json!({"status": 201, "body_base64": "eyJpZCI6Iv8ifQ=="}), "protocol"),
        (json!({"status": 201, "body": brackets("[", "]")}), "protocol"),
        (json!({"status": 201, "body": format!("{{\"id\":{}}}", brackets("[", "]"))}), "protocol"),
        (json!({"status": 201, "json": {"id": id(1)}, "truncate_after": 7}), "broken"),
        (
            json!({"status": 201, "json": {"id": id(1)}, "chunked": true, "truncate_after": 7}),
            "broken",
        ),
        (json!({"status": 503, "body": "busy"}), "service"),
    ]
}

#[test]
fn text_cut_within_a_character_hides_no_action() {
    let sim = simulator();
    let cut = r#"{"id":"123","status":"Pending","requestorComment":"cut \ud83d","new":"\ude00"}"#;
    let cut = cut.replace("123", &id(1));
    let document = collect_with(&sim, json!({"status": 201, "body": cut})).ok();
    let action = &document["action"];
    assert_eq!((&action["id"], &action["status"]), (&json!(id(1)), &json!("Pending")));
    assert_eq!(
        (&action["requestorComment"], &action["new"]),
        (&json!("cut \u{fffd}"), &json!("\u{fffd}"))
    );
}

#[test]
fn a_lost_outcome_is_looked_up_and_the_collection_found() {
    for_each(unreadable(), |reply, _| {
        let sim = simulator();
        sim.script(json!({"match": {"path_contains": JOB}, "process": true, "reply": reply}))
            .unwrap();
        let document = client(&sim, &[]).collect(&sim.machine_id(0), "case 1").ok();
        assert_eq!(document["adopted"], true, "{reply}");
        assert_eq!(document["action"]["id"], sim.actions()[0]["id"], "{reply}");
        assert_eq!(sim.actions().len(), 1);
    });
}

#[test]
fn a_lost_outcome_that_the_list_does_not_show_is_unknown_if_that_is_to_be_reported() {
    for_each(unreadable(), |reply, _| {
        let sim = simulator();
        sim.script(json!({"match": {"path_contains": JOB}, "times": 0, "reply": reply})).unwrap();
        let client = client(&sim, &[("max_retries", "5"), ("on_unknown", "report")]);
        let error = client.collect(&sim.machine_id(0), "case 1").error("outcome_unknown");
        assert_eq!((&error["outcome"], &error["retryable"]), (&json!("unknown"), &json!(false)));
        assert!(
            error["message"].as_str().unwrap().contains("the list does not show one yet"),
            "{error}"
        );
        let posts = sim.requests().iter().filter(|r| r.path.contains(JOB)).count();
        assert_eq!(posts, 1, "{reply}");
    });
}

#[test]
fn a_lost_outcome_that_cannot_be_looked_up_is_unknown() {
    for_each(unreadable(), |reply, _| {
        let sim = simulator();
        sim.script(json!([
            {"match": {"path_contains": JOB}, "process": true, "reply": reply},
            {"match": {"path_contains": "machineactions"}, "times": 0, "reply": {"status": 403}},
        ]))
        .unwrap();
        let error = client(&sim, &[]).collect(&sim.machine_id(0), "x").error("outcome_unknown");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains("HTTP 403") && message.ends_with("before trying again"),
            "{message}"
        );
        assert_eq!(error["outcome"], "unknown", "{reply}");
    });
}

#[test]
fn only_the_collection_of_this_request_is_adopted() {
    let lost = |change: &str, to: &str| {
        let sim = simulator();
        let id = sim.machine_id(0);
        let now = humantime::format_rfc3339_micros(std::time::SystemTime::now()).to_string();
        let mut action = json!({"id": mde_tests::id(1), "machineId": id,
            "type": "CollectInvestigationPackage", "status": "Pending",
            "requestorComment": "same", "creationDateTimeUtc": now});
        action[change] = json!(to);
        // A list that ignores the filter, as behind a gateway that drops queries.
        sim.script(json!([
            {"match": {"path_contains": JOB}, "close": "before_reply"},
            {"match": {"path_contains": "machineactions"}, "times": 0, "reply": {"status": 200, "json": {"value": [action]}}},
        ]))
        .unwrap();
        client(&sim, &[("on_unknown", "report")]).collect(&id, "same")
    };
    assert_eq!(lost("id", &mde_tests::id(2)).ok()["adopted"], true);
    let others = [
        ("machineId", "another"),
        ("type", "Isolate"),
        ("requestorComment", "other"),
        ("creationDateTimeUtc", "2026-01-02T03:04:05.1234567Z"),
        ("creationDateTimeUtc", "nonsense"),
    ];
    std::thread::scope(|scope| {
        for (change, to) in others {
            scope.spawn(move || lost(change, to).error("outcome_unknown"));
        }
    });
}

#[test]
fn an_unreadable_reply_to_a_read_is_a_protocol_error() {
    let sim = simulator();
    for reply in [
        json!({"status": 200, "body": ""}),
        json!({"status": 200, "body": "<html>portal</html>", "headers": {"Content-Type": "text/html"}}),
        json!({"status": 200, "json": {"id": null}}),
        json!({"status": 200, "body": "[".repeat(200_000)}),
    ] {
        let error = read_with(&sim, reply).error("protocol");
        assert!(error["message"].as_str().unwrap().contains("api_url"), "{error}");
    }
    for cut in [
        json!({"status": 200, "json": {"id": ASKED}, "truncate_after": 7}),
        json!({"status": 200, "json": {"id": ASKED}, "chunked": true, "truncate_after": 7}),
    ] {
        assert_eq!(read_with(&sim, cut).error("broken")["retryable"], true);
    }
}

#[test]
fn a_huge_reply_is_cut_off_not_stored() {
    let sim = simulator();
    let huge = json!({"status": 200, "repeat": {"text": "[", "count": 104_857_600}});
    assert!(
        read_with(&sim, huge.clone()).error("protocol")["message"]
            .as_str()
            .unwrap()
            .contains("larger than")
    );
    collect_with(&sim, huge.clone()).error("outcome_unknown");
    sim.clear_script();
    sim.script(json!({"match": {"path_contains": "machineactions"}, "reply": huge})).unwrap();
    client(&sim, &[]).list("").error("protocol");
}

#[test]
fn refusals_stay_refusals_whatever_their_body() {
    let sim = simulator();
    for (status, name) in [
        (302, "protocol"),
        (400, "bad_request"),
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "not_found"),
        (405, "bad_request"),
        (407, "proxy"),
        (413, "bad_request"),
        (429, "throttled"),
    ] {
        for body in [
            json!({"body": ""}),
            json!({"body": "<html>"}),
            json!({"json": {"error": null}}),
            json!({"json": {"error": {"code": null, "message": 5, "target": []}}}),
            json!({"json": []}),
        ] {
            let mut reply = body.clone();
            reply["status"] = json!(status);
            // A 401 is answered by one renewal, so it must come twice; a 429 closes the endpoint.
            sim.clear_script();
            sim.script(json!({"match": {"path_contains": JOB}, "times": 0, "reply": reply}))
                .unwrap();
            let outcome = client(&sim, &[("quota", "fail")]).collect(&sim.machine_id(0), "x");
            if status == 429 && outcome.document["error"]["name"] == "rate_limited" {
                continue;
            }
            assert_eq!(outcome.error(name)["http_status"], status, "{body}");
        }
    }
}

#[test]
fn a_redirect_is_not_followed_and_gets_no_token() {
    let sim = simulator();
    let elsewhere = simulator();
    let location = format!("{}/api/machineactions", elsewhere.api_url());
    for status in [301, 302, 303, 307, 308] {
        let error =
            collect_with(&sim, json!({"status": status, "headers": {"Location": location}}))
                .error("protocol");
        assert_eq!(error["http_status"], status);
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn reads_are_retried_after_transient_failures() {
    let sim = simulator();
    let client = client(&sim, &[("max_retries", "3")]);
    let id =
        client.collect(&sim.machine_id(0), "x").ok()["action"]["id"].as_str().unwrap().to_owned();
    sim.script(json!([
        {"match": {"path_contains": "machineactions"}, "reply": {"status": 503}},
        {"match": {"path_contains": "machineactions"}, "close": "before_reply"},
        {"match": {"path_contains": "machineactions"}, "reply": {"status": 500, "body": ""}},
    ]))
    .unwrap();
    assert_eq!(client.action(&id).ok()["action"]["id"], id.as_str());
    sim.script(
        json!({"match": {"path_contains": "machineactions"}, "times": 0, "reply": {"status": 502}}),
    )
    .unwrap();
    let error = client.action(&id).error("service");
    assert_eq!((&error["attempts"], &error["retryable"]), (&json!(4), &json!(true)));
}

/// Some gateways and writers begin every text with one.
#[test]
fn a_byte_order_mark_is_skipped_in_every_reply() {
    let sim = simulator();
    let marked =
        |status: u16, body: &str| json!({"status": status, "body": format!("\u{feff}{body}")});
    let action = format!(r#"{{"id":"{ASKED}","status":"Pending"}}"#);
    assert_eq!(collect_with(&sim, marked(201, &action)).ok()["action"]["id"], ASKED);
    assert_eq!(read_with(&sim, marked(200, &action)).ok()["action"]["id"], ASKED);
    let refused = r#"{"error":{"code":"ActiveRequestAlreadyExists","message":"x"}}"#;
    let error = collect_with(&sim, marked(400, refused)).error("already_running");
    assert_eq!(error["service_code"], "ActiveRequestAlreadyExists");
    // Another identity, whose token is not there yet.
    let sim = simulator();
    let granted = r#"{"access_token":"other","expires_in":3599.5}"#;
    sim.script(
        json!({"match": {"path_contains": "/token"}, "times": 0, "reply": marked(200, granted)}),
    )
    .unwrap();
    let error = client(&sim, &[("max_retries", "0")]).list("").error("unauthorized");
    assert_eq!(
        error["http_status"], 401,
        "the token was read, and is none of the service's: {error}"
    );
}

/// A gateway gave up on the service, which may have done the work.
#[test]
fn a_408_is_repeated_for_reads_and_unknown_for_a_collection() {
    let sim = simulator();
    let client = client(&sim, &[("max_retries", "2")]);
    let id =
        client.collect(&sim.machine_id(0), "x").ok()["action"]["id"].as_str().unwrap().to_owned();
    sim.script(
        json!({"match": {"path_contains": "machineactions"}, "times": 2, "reply": {"status": 408}}),
    )
    .unwrap();
    assert_eq!(client.action(&id).ok()["action"]["id"], id.as_str());
    let other = simulator();
    let refusal =
        json!({"match": {"path_contains": "/token"}, "times": 1, "reply": {"status": 408}});
    other.script(refusal).unwrap();
    mde_tests::client(&other, &[("max_retries", "2")]).list("").ok();
    let error = collect_with(&other, json!({"status": 408})).error("outcome_unknown");
    assert_eq!((&error["outcome"], &error["http_status"]), (&json!("unknown"), &json!(408)));
}

#[test]
fn a_head_of_too_many_lines_is_named() {
    let sim = simulator();
    let lines = |count: usize| {
        let headers: serde_json::Map<_, _> =
            (0..count).map(|n| (format!("X-{n}"), json!("x"))).collect();
        json!({"status": 200, "headers": headers, "json": {"id": ASKED}})
    };
    assert_eq!(read_with(&sim, lines(100)).ok()["action"]["id"], ASKED);
    let error = read_with(&sim, lines(200)).error("protocol");
    assert!(error["message"].as_str().unwrap().contains("more than 128 lines"), "{error}");
}

#[test]
fn unknown_members_are_kept_exactly() {
    let sim = simulator();
    let body = r#"{"id":"5382f7ea-7557-4ab7-9782-d50480024a4e","amount":1.10,"big":123456789012345678901234567890,"type":"Live Response","new":{"é":[]}}"#;
    let outcome = read_with(&sim, json!({"status": 200, "body": body}));
    assert_eq!(outcome.text, format!(r#"{{"action":{body}}}"#));
}

#[test]
fn a_wait_in_milliseconds_is_read() {
    let sim = simulator();
    for name in ["retry-after-ms", "x-ms-retry-after-ms"] {
        let reply = json!({"status": 503, "headers": {name: "2500"}});
        sim.clear_script();
        sim.script(
            json!({"match": {"path_contains": "machineactions"}, "times": 0, "reply": reply}),
        )
        .unwrap();
        let error = client(&sim, &[("max_retries", "0")]).list("").error("service");
        assert_eq!(error["retry_after_ms"], 3_000, "{error}");
    }
}

#[test]
fn absurd_retry_after_values_are_limited() {
    let limited = |header: &str, most: u64| {
        let sim = simulator();
        sim.script(json!({"match": {"path_contains": JOB}, "reply": {"status": 503, "headers": {"Retry-After": header}}})).unwrap();
        let error = client(&sim, &[("on_unknown", "report")])
            .collect(&sim.machine_id(0), "x")
            .error("outcome_unknown");
        assert!(error["retry_after_ms"].as_u64().is_none_or(|ms| ms <= most), "{error}");
        sim.script(json!({"match": {"path_contains": "/token"}, "times": 0, "reply": {"status": 503, "headers": {"Retry-After": header}}})).unwrap();
        client(&sim, &[("max_retries", "3"), ("timeout_ms", "500")])
            .collect(&sim.machine_id(0), "x");
    };
    std::thread::scope(|scope| {
        for (header, most) in [
            ("18446744073709551615", 86_400_000),
            ("99999999999999999999999", 86_400_000),
            ("-5", 60_000),
        ] {
            scope.spawn(move || limited(header, most));
        }
    });
}

#[test]
fn the_largest_heads_pass_and_larger_ones_are_refused() {
    let sim = simulator();
    let quotes = "'".repeat(8_192);
    client(&sim, &[]).list(&quotes).error("bad_request");
    let long = |length: usize| json!({"status": 200, "headers": {"X-Long": "x".repeat(length)}, "json": {"id": ASKED}});
    assert_eq!(read_with(&sim, long(20_000)).ok()["action"]["id"], ASKED);
    let error = read_with(&sim, long(100_000)).error("protocol");
    assert!(error["message"].as_str().unwrap().contains("larger than"), "{error}");
}

#[test]
fn a_token_from_an_option_is_not_renewed() {
    let sim = simulator();
    let own = [("auth", "access_token"), ("access_token", "stale")];
    let error = client(&sim, &own).list("").error("unauthorized");
    let message = error["message"].as_str().unwrap();
    assert!(message.ends_with("make a client with a new `access_token`"), "{message}");
}
