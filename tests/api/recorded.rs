//! Replies of the service, each served by the simulator and read through the C ABI: those that were recorded or are
//! in the documentation, in `tests/samples` with a file beside each that says where it is from, and shapes that are
//! written after the documentation.
//!
//! The name of a recording says what it is: `<kind>_<what>_<HTTP status>_….json`. `MDE_SAMPLES` names a folder with
//! more of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mde_simulator::Simulator;
use mde_tests::{Outcome, client, device_id, id, simulator};
use serde_json::{Value, json};

struct Sample {
    name: String,
    status: u16,
    body: String,
    content_type: &'static str,
}

fn committed() -> PathBuf {
    Path::new(mde_tests::ROOT).join("tests/samples")
}

/// `None`: a file that says something about another one.
fn recording(path: &Path) -> Option<Sample> {
    let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let content_type = match path.extension().and_then(|e| e.to_str()) {
        Some("json" | "empty") => "application/json; charset=utf-8",
        Some("xml") => "application/xml",
        _ => return None,
    };
    let status =
        name.split('_').find_map(|part| part.parse().ok().filter(|s| (200..600).contains(s)));
    // Whoever recorded this one replaced its ids.
    let body = std::fs::read_to_string(path).unwrap();
    let body = body.replace("\"123\"", &format!("\"{}\"", id(123)));
    let body = body.replace("\"123abc\"", &format!("\"{}\"", device_id(123)));
    // What is no reply of an operation (an excerpt of the service's metadata) is read as a 200.
    Some(Sample { name, status: status.unwrap_or(200), body, content_type })
}

/// The names of the recordings in a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let recordings = entries.filter(|path| recording(path).is_some());
    recordings.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

/// A test for each recording.
macro_rules! recorded {
    ($($test:ident: $file:literal,)*) => {
        $(
            #[test]
            fn $test() {
                is_read_as_what_it_is(&recording(&committed().join($file)).unwrap());
            }
        )*

        /// A recording without a test, or without its source, is a mistake.
        #[test]
        fn every_recording_has_a_test_and_a_source() {
            assert_eq!(names(&committed()), BTreeSet::from([$($file.to_owned()),*]));
            for name in names(&committed()) {
                let source = committed().join(&name).with_extension("source.txt");
                let text = std::fs::read_to_string(&source).unwrap_or_default();
                assert!(text.contains("Where: "), "{} does not say where it is from", source.display());
            }
        }
    };
}

recorded! {
    docs_action_get_200_succeeded: "docs_action_get_200_succeeded.json",
    docs_error_400_body: "docs_error_400_body.json",
    docs_error_404_machine: "docs_error_404_machine.json",
    docs_list_200_three_actions: "docs_list_200_three_actions.json",
    docs_package_uri_200_quoted_2024: "docs_package_uri_200_quoted_2024.json",
    real_blob_403_expired_sas: "real_blob_403_expired_sas.xml",
    real_collect_201_pending_2020: "real_collect_201_pending_2020.json",
    real_error_400_action_id_not_guid: "real_error_400_action_id_not_guid.json",
    real_error_400_odata_empty_code: "real_error_400_odata_empty_code.json",
    real_error_403_missing_roles_2026: "real_error_403_missing_roles_2026.json",
    real_error_404_empty_body: "real_error_404_empty_body.empty",
    real_error_429_quota_minute: "real_error_429_quota_minute.json",
    real_machine_200_2023: "real_machine_200_2023.json",
    real_metadata_slice: "real_metadata_slice.xml",
    real_restrict_201_pending_2026: "real_restrict_201_pending_2026.json",
    real_token_error_400_federated: "real_token_error_400_federated.json",
}

/// Recordings that are not committed.
#[test]
fn every_recording_of_another_folder() {
    let folder = std::env::var_os("MDE_SAMPLES").map_or_else(committed, PathBuf::from);
    let names = names(&folder);
    assert!(!names.is_empty(), "{} holds no samples", folder.display());
    for name in names {
        is_read_as_what_it_is(&recording(&folder.join(name)).unwrap());
    }
}

/// A test for each shape.
macro_rules! shapes {
    ($($test:ident: $name:literal, $status:literal, $body:expr;)*) => {
        $(
            #[test]
            fn $test() {
                is_read_as_what_it_is(&Sample {
                    name: $name.to_owned(),
                    status: $status,
                    body: $body.to_string(),
                    content_type: "application/json; odata.metadata=minimal",
                });
            }
        )*
    };
}

fn full() -> Value {
    json!({"@odata.context": "https://api-us3.securitycenter.microsoft.com/api/$metadata#MachineActions/$entity",
        "id": "5382f7ea-7557-4ab7-9782-d50480024a4e", "type": "CollectInvestigationPackage", "title": null,
        "requestor": "app", "requestorComment": "c", "status": "Pending", "machineId": "1".repeat(40),
        "computerDnsName": null, "creationDateTimeUtc": "2026-01-24T22:17:02.36Z",
        "lastUpdateDateTimeUtc": "2026-01-24T22:17:02Z", "cancellationRequestor": null, "errorHResult": -2147024891,
        "scope": null, "externalId": null, "requestSource": "PublicApi", "relatedFileInfo": null, "commands": [],
        "troubleshootInfo": null})
}

fn old() -> Value {
    json!({"id": id(1), "type": "CollectInvestigationPackage", "status": "Canceled", "error": 0,
        "lastUpdateTimeUtc": "2018-12-04T12:18:57.5511934Z", "relatedFileInfo": null})
}

fn error(code: &str, message: &str) -> Value {
    json!({"error": {"code": code, "message": message, "target": "|b1838e63-40a6640ddd2719ac."}})
}

// Shapes by year: fewer members at first, more later; and the errors of the service.
shapes! {
    a_collection_with_all_members: "own_collect_201_full", 201, full();
    an_action_of_the_first_year: "own_action_get_200_old", 200, old();
    a_list_of_two: "own_list_200_two", 200, json!({"value": [full(), old()]});
    a_list_of_none: "own_list_200_none", 200, json!({"@odata.context": "x", "value": []});
    a_bad_request: "own_error_400_bad_request", 400,
        error("BadRequest", "The key value (x) from request is not valid.");
    an_error_of_odata: "own_error_400_odata", 400,
        json!({"error": {"code": "", "message": "query", "details": []}});
    a_collection_that_runs_already: "own_error_400_duplicate", 400,
        error("ActiveRequestAlreadyExists", "Action is already in progress");
    a_missing_role: "own_error_403_roles", 403,
        error("Forbidden", "Missing application roles. API required roles: A,B.");
    a_machine_that_is_not_found: "own_error_404", 404,
        error("ResourceNotFound", "Machine x was not found");
    a_quota_that_is_used_up: "own_error_429", 429,
        error("429", "You can send requests again in 8 seconds.");
    a_failing_service: "own_error_500", 500, error("InternalServerError", "");
    a_refused_sign_in: "own_token_error_401", 401,
        json!({"error": "invalid_client", "error_description": "AADSTS7000215: x\r\nTrace ID: y",
            "error_codes": [7000215], "trace_id": "t", "correlation_id": "c"});
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

#[track_caller]
fn is_read_as_what_it_is(sample: &Sample) {
    let name = &sample.name;
    // A simulator each: a 429 closes the endpoint of its identity.
    let sim = simulator();
    let client = client(&sim, &[("quota", "fail")]);
    let body: Value = serde_json::from_str(&sample.body).unwrap_or(Value::Null);
    if name.contains("token_error") {
        serve(&sim, "/token", sample);
        let error = client.list("").error("token");
        assert_eq!(error["service_code"], body["error"], "{name}");
        assert_eq!(error["request_id"], body["trace_id"], "{name}");
    } else if sample.status >= 400 {
        serve(&sim, "/api/machineactions", sample);
        check_error(sample, client.action("5382f7ea-7557-4ab7-9782-d50480024a4e"));
    } else if body["value"].is_array() {
        serve(&sim, "/api/machineactions", sample);
        assert_eq!(client.list("").ok()["actions"], body["value"], "{name}");
    } else if body["osPlatform"].is_string() {
        serve(&sim, "/api/machine", sample);
        let document = client.find(body["id"].as_str().unwrap()).ok();
        assert_eq!(document["machines"], json!([body]), "{name}");
    } else if let Some(id) = body["id"].as_str() {
        serve(&sim, "/api/machine", sample);
        assert_eq!(client.action(id).ok()["action"], body, "{name}");
        let device = body["machineId"].as_str().map_or(sim.machine_id(0), str::to_owned);
        let outcome = client.collect(&device, "another comment");
        match body["type"] == "CollectInvestigationPackage" {
            true => assert_eq!(outcome.ok()["action"], body, "{name}"),
            false => drop(outcome.error("outcome_unknown")),
        }
    } else {
        // A link, metadata: not what these operations expect.
        serve(&sim, "/api/machineactions", sample);
        let outcome = client.action("5382f7ea-7557-4ab7-9782-d50480024a4e");
        assert!(!outcome.text.contains("token="), "{name}: {}", outcome.text);
        outcome.error("protocol");
    }
}
