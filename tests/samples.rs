//! Recorded replies of the service, where a collection of them lies beside the checkout
//! (`MDE_SAMPLES` names another place): each is served by the simulator and read through the C ABI.
//!
//! The name of a recording says what it is: `<kind>_<what>_<HTTP status>_….json`. Without such a
//! collection the same test runs over the shapes below, which are written after the documentation.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::path::PathBuf;

use mde_simulator::Simulator;
use serde_json::{Value, json};
use support::{Outcome, client, simulator};

struct Sample {
    name: String,
    status: u16,
    body: String,
    content_type: &'static str,
}

/// Shapes by year: fewer members at first, more later; and the errors of the service.
fn own_shapes() -> Vec<Sample> {
    let full = json!({"@odata.context": "https://api-us3.securitycenter.microsoft.com/api/$metadata#MachineActions/$entity",
        "id": "5382f7ea-7557-4ab7-9782-d50480024a4e", "type": "CollectInvestigationPackage", "title": null,
        "requestor": "app", "requestorComment": "c", "status": "Pending", "machineId": "1".repeat(40),
        "computerDnsName": null, "creationDateTimeUtc": "2026-01-24T22:17:02.36Z",
        "lastUpdateDateTimeUtc": "2026-01-24T22:17:02Z", "cancellationRequestor": null, "errorHResult": -2147024891,
        "scope": null, "externalId": null, "requestSource": "PublicApi", "relatedFileInfo": null, "commands": [],
        "troubleshootInfo": null});
    let old = json!({"id": "123", "type": "CollectInvestigationPackage", "status": "Canceled", "error": 0,
        "lastUpdateTimeUtc": "2018-12-04T12:18:57.5511934Z", "relatedFileInfo": null});
    let error = |code: &str, message: &str| json!({"error": {"code": code, "message": message, "target": "|b1838e63-40a6640ddd2719ac."}});
    let sample = |name: &str, status: u16, body: Value| Sample {
        name: name.to_owned(),
        status,
        body: body.to_string(),
        content_type: "application/json; odata.metadata=minimal",
    };
    vec![
        sample("own_collect_201_full", 201, full.clone()),
        sample("own_action_get_200_old", 200, old.clone()),
        sample("own_list_200_two", 200, json!({"value": [full, old]})),
        sample("own_list_200_none", 200, json!({"@odata.context": "x", "value": []})),
        sample(
            "own_error_400_bad_request",
            400,
            error("BadRequest", "The key value (x) from request is not valid."),
        ),
        sample(
            "own_error_400_odata",
            400,
            json!({"error": {"code": "", "message": "query", "details": []}}),
        ),
        sample(
            "own_error_400_duplicate",
            400,
            error("ActiveRequestAlreadyExists", "Action is already in progress"),
        ),
        sample(
            "own_error_403_roles",
            403,
            error("Forbidden", "Missing application roles. API required roles: A,B."),
        ),
        sample("own_error_404", 404, error("ResourceNotFound", "Machine x was not found")),
        sample("own_error_429", 429, error("429", "You can send requests again in 8 seconds.")),
        sample("own_error_500", 500, error("InternalServerError", "")),
        sample(
            "own_token_error_401",
            401,
            json!({"error": "invalid_client", "error_description": "AADSTS7000215: x\r\nTrace ID: y",
            "error_codes": [7000215], "trace_id": "t", "correlation_id": "c"}),
        ),
    ]
}

/// The collection beside the checkout, if there is one.
fn recorded() -> Vec<Sample> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/samples");
    let folder = std::env::var_os("MDE_SAMPLES").map_or(beside, PathBuf::from);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return Vec::new();
    };
    let mut samples = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let content_type = match path.extension().and_then(|e| e.to_str()) {
            Some("json" | "empty") => "application/json; charset=utf-8",
            Some("xml") => "application/xml",
            _ => continue,
        };
        let status =
            name.split('_').find_map(|part| part.parse().ok().filter(|s| (200..600).contains(s)));
        let body = std::fs::read_to_string(&path).unwrap();
        // What is no reply of an operation (an excerpt of the service's metadata) is read as a 200.
        samples.push(Sample { name, status: status.unwrap_or(200), body, content_type });
    }
    assert!(!samples.is_empty(), "{} holds no samples", folder.display());
    samples
}

fn serve(sim: &Simulator, path: &str, sample: &Sample) {
    sim.clear_script();
    sim.script(json!({"match": {"path_contains": path}, "times": 0, "reply": {
        "status": sample.status, "headers": {"Content-Type": sample.content_type}, "body": sample.body}}))
    .unwrap();
}

/// The status name each HTTP status must lead to, for a plain read.
fn expected_name(sample: &Sample) -> &'static str {
    let already = sample.body.contains("ActiveRequestAlreadyExists");
    match sample.status {
        400 if already => "already_running",
        400 => "bad_request",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        429 => "throttled",
        500..=599 => "service",
        _ => "protocol",
    }
}

fn check_error(sample: &Sample, outcome: Outcome) {
    let name = &sample.name;
    let error = outcome.error(expected_name(sample));
    assert_eq!(error["http_status"], sample.status, "{name}");
    let Ok(body) = serde_json::from_str::<Value>(&sample.body) else {
        return;
    };
    let said = |member: &str| body["error"][member].as_str().unwrap_or_default().to_owned();
    assert_eq!(error["service_code"].as_str().unwrap_or_default(), said("code"), "{name}");
    if !said("target").is_empty() {
        assert_eq!(error["request_id"], said("target"), "{name}");
    }
    let message = said("message");
    let start: String = message.split_whitespace().take(4).collect::<Vec<_>>().join(" ");
    assert!(
        error["message"].as_str().unwrap().contains(start.trim_end_matches('.')),
        "{name}: {error}"
    );
}

#[test]
fn every_body_is_read_as_what_it_is() {
    let mut kinds = [0; 5];
    for sample in own_shapes().into_iter().chain(recorded()) {
        let name = &sample.name;
        // A simulator each: a 429 closes the endpoint of its identity.
        let sim = simulator();
        let client = client(&sim, &[("quota", "fail")]);
        let body: Value = serde_json::from_str(&sample.body).unwrap_or(Value::Null);
        if name.contains("token_error") {
            kinds[0] += 1;
            serve(&sim, "/token", &sample);
            let error = client.list("").error("token");
            assert_eq!(error["service_code"], body["error"], "{name}");
            assert_eq!(error["request_id"], body["trace_id"], "{name}");
        } else if sample.status >= 400 {
            kinds[1] += 1;
            serve(&sim, "/api/machineactions", &sample);
            check_error(&sample, client.action("5382f7ea-7557-4ab7-9782-d50480024a4e"));
        } else if body["value"].is_array() {
            kinds[2] += 1;
            serve(&sim, "/api/machineactions", &sample);
            assert_eq!(client.list("").ok()["actions"], body["value"], "{name}");
        } else if body["id"].is_string() {
            kinds[3] += 1;
            serve(&sim, "/api/machine", &sample);
            let document = client.collect(&sim.machine_id(0), "another comment").ok();
            assert_eq!(document["action"], body, "{name}");
            let document = client.action("5382f7ea-7557-4ab7-9782-d50480024a4e").ok();
            assert_eq!(document["action"], body, "{name}");
        } else {
            // A link, metadata: not what these operations expect.
            kinds[4] += 1;
            serve(&sim, "/api/machineactions", &sample);
            let outcome = client.action("5382f7ea-7557-4ab7-9782-d50480024a4e");
            assert!(!outcome.text.contains("token="), "{name}: {}", outcome.text);
            outcome.error("protocol");
        }
    }
    assert!(kinds[..4].iter().all(|count| *count > 0), "{kinds:?}");
}
