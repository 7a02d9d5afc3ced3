//! Finding devices: every kind of query, and the forms of "none".

use mde_tests::{client, device_id, simulator};
use serde_json::{Value, json};

fn ids(document: &Value) -> Vec<&str> {
    document["machines"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect()
}

#[test]
fn devices_are_found_by_every_kind_of_query() {
    let sim = simulator();
    let client = client(&sim, &[]);
    let id = sim.machine_id(6);
    let one = client.find(&id).ok();
    let record = &one["machines"][0];
    assert_eq!(ids(&one), [id.as_str()]);
    assert_eq!(one["checks"], json!([{"id": id, "problems": []}]));
    assert_eq!(one["more"], false);
    assert!(record["machineTags"].is_array(), "members that are not looked at are kept");
    let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
    let address = record["lastIpAddress"].as_str().unwrap();
    for query in [
        id.to_uppercase().as_str(),
        record["computerDnsName"].as_str().unwrap(),
        record["aadDeviceId"].as_str().unwrap(),
        address,
        &format!("{address}@{now}"),
    ] {
        assert_eq!(ids(&client.find(query).ok()), [id.as_str()], "{query}");
    }
    // The beginning of a name, when no name is exactly so.
    assert_eq!(client.find("device-000").ok()["machines"].as_array().unwrap().len(), 9);
}

#[test]
fn none_is_an_empty_list() {
    let sim = simulator();
    let client = client(&sim, &[]);
    let guid = "80fe8ff8-2624-418e-9591-41f0491218f9";
    for query in [&sim.machine_id(5_000), "no-such-name", "o'neill", guid, "192.0.2.1"] {
        let document = client.find(query).ok();
        assert_eq!(document, json!({"machines": [], "checks": [], "more": false}), "{query}");
    }
}

#[test]
fn a_404_that_is_not_the_services_answer_is_an_error() {
    let sim = simulator();
    let client = client(&sim, &[]);
    for reply in [
        json!({"status": 404}),
        json!({"status": 404, "body": "<html>"}),
        json!({"status": 404, "json": {"error": {"code": "NotFound", "message": "No HTTP resource was found"}}}),
    ] {
        sim.script(json!({"match": {"path_contains": "/api/machines"}, "reply": reply})).unwrap();
        client.find(&sim.machine_id(0)).error("not_found");
    }
}

#[test]
fn reasons_against_a_collection_are_reported() {
    let sim = simulator();
    let client = client(&sim, &[]);
    let list = json!({"value": [
        {"id": device_id(1), "computerDnsName": "pc1", "healthStatus": "Active", "onboardingStatus": "Onboarded"},
        {"id": device_id(2), "computerDnsName": "PC1", "healthStatus": "Inactive", "isPotentialDuplication": true},
        {"id": device_id(3), "computerDnsName": "pc1x", "onboardingStatus": "CanBeOnboarded", "mergedIntoMachineId": device_id(1)},
    ]});
    sim.script(json!({"match": {"path_contains": "/api/machines"}, "reply": {"status": 200, "json": list}}))
        .unwrap();
    assert_eq!(
        client.find("pc1").ok()["checks"],
        json!([
            {"id": device_id(1), "problems": ["same_name"]},
            {"id": device_id(2), "problems": ["same_name", "potential_duplicate", "offline"]},
            {"id": device_id(3), "problems": ["merged", "not_onboarded"]},
        ])
    );
}

#[test]
fn a_query_with_too_many_results_reports_that_there_are_more() {
    let sim = simulator();
    let client = client(&sim, &[]);
    let many: Vec<Value> = (0..1_001).map(|n| json!({"id": device_id(n)})).collect();
    sim.script(json!({"match": {"path_contains": "/api/machines"}, "times": 2, "reply": {"status": 200, "json": {"value": many}}}))
        .unwrap();
    let document = client.find("pc").ok();
    assert_eq!(
        (document["machines"].as_array().unwrap().len(), &document["more"]),
        (1_000, &json!(true))
    );
    for (query, named) in [("", "`query`"), ("10.0.0.1@now", "`query`")] {
        assert!(
            client.find(query).error("invalid_argument")["message"]
                .as_str()
                .unwrap()
                .contains(named)
        );
    }
}
