//! Starting collections, and reading and listing actions: the requests and the results.

use mde_simulator::{Config, Duplicate, Simulator};
use mde_tests::{client, id, simulator, try_client};
use serde_json::json;

#[test]
fn a_collection_is_started_and_its_whole_action_is_returned() {
    let sim = simulator();
    let document = client(&sim, &[]).collect(&sim.machine_id(0), "case 4711: \"quoted\"\né").ok();
    assert_eq!(document["adopted"], false);
    let action = &document["action"];
    assert_eq!(action["type"], "CollectInvestigationPackage");
    assert_eq!(action["status"], "Pending");
    assert_eq!(action["machineId"], sim.machine_id(0).as_str());
    assert_eq!(action["requestorComment"], "case 4711: \"quoted\"\né");
    // Members that the library does not read are there as the service sent them.
    assert_eq!(action["errorHResult"], 0);
    assert_eq!(action["commands"], json!([]));
    assert!(action["@odata.context"].is_string());
}

#[test]
fn the_request_is_what_the_service_documents() {
    let sim = simulator();
    client(&sim, &[("user_agent", "Agent/2.1")]).collect(&sim.machine_id(0), "why").ok();
    let requests = sim.requests();
    let header = |n: usize, name: &str| {
        let headers = &requests[n].headers;
        headers.iter().find(|(h, _)| h.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone())
    };
    assert_eq!(requests.len(), 2, "one for the token, one for the job");
    assert_eq!(requests[0].path, format!("/{}/oauth2/v2.0/token", mde_simulator::DEFAULT_TENANT));
    assert!(requests[0].body.contains("grant_type=client_credentials"));
    assert!(
        requests[0]
            .body
            .contains("scope=https%3A%2F%2Fapi.securitycenter.microsoft.com%2F.default")
    );
    assert_eq!(requests[1].method, "POST");
    assert_eq!(
        requests[1].path,
        format!("/api/machines/{}/collectInvestigationPackage", sim.machine_id(0))
    );
    assert_eq!(requests[1].body, r#"{"Comment":"why"}"#);
    assert_eq!(header(1, "content-type").unwrap(), "application/json");
    assert_eq!(header(1, "accept").unwrap(), "application/json");
    assert_eq!(header(1, "accept-encoding").unwrap(), "identity");
    assert_eq!(header(1, "user-agent").unwrap(), format!("Agent/2.1 mde/{}", mde_tests::VERSION));
    assert!(header(1, "authorization").unwrap().starts_with("Bearer eyJ"));
}

#[test]
fn a_duplicate_is_adopted_by_default() {
    for code in ["ActiveRequestAlreadyExists", "BadRequest"] {
        let sim = simulator();
        sim.set(|b| b.duplicate_code = code.to_owned());
        let client = client(&sim, &[]);
        let first = client.collect(&sim.machine_id(3), "first").ok();
        let second = client.collect(&sim.machine_id(3), "second").ok();
        assert_eq!(second["adopted"], true);
        assert_eq!(second["action"]["id"], first["action"]["id"]);
        assert_eq!(sim.actions().len(), 1, "one collection, not two");
    }
}

#[test]
fn a_duplicate_under_another_id_is_found_by_its_device_id() {
    let sim = simulator();
    let client = client(&sim, &[]);
    let first = client.collect(&sim.machine_id(3), "first").ok();
    // The service takes other ids for a device, but its list knows the device id only.
    sim.script(json!({"match": {"path_contains": "device-0004"}, "reply": {"status": 400,
        "json": {"error": {"code": "ActiveRequestAlreadyExists", "message": "Action is already in progress"}}}}))
    .unwrap();
    let second = client.collect("device-0004.contoso.example", "second").ok();
    assert_eq!(second["adopted"], true);
    assert_eq!(second["action"]["id"], first["action"]["id"]);
}

#[test]
fn a_duplicate_that_the_service_answers_with_the_running_action_counts_as_adopted() {
    let sim = simulator();
    sim.set(|b| b.duplicate = Duplicate::ReturnExisting);
    let client = client(&sim, &[]);
    let first = client.collect(&sim.machine_id(3), "first").ok();
    let second = client.collect(&sim.machine_id(3), "second").ok();
    assert_eq!((&first["adopted"], &second["adopted"]), (&json!(false), &json!(true)));
    assert_eq!(second["action"]["id"], first["action"]["id"]);
}

#[test]
fn a_refused_duplicate_names_the_running_action() {
    let sim = simulator();
    let client = client(&sim, &[("on_duplicate", "error")]);
    let first = client.collect(&sim.machine_id(3), "first").ok();
    let error = client.collect(&sim.machine_id(3), "second").error("already_running");
    assert_eq!(error["action_id"], first["action"]["id"]);
    assert_eq!(error["action"]["id"], first["action"]["id"]);
    assert_eq!(error["http_status"], 400);
    assert_eq!(error["service_code"], "ActiveRequestAlreadyExists");
}

#[test]
fn a_duplicate_whose_action_cannot_be_found_is_an_error() {
    let sim = simulator();
    let refused = json!({"match": {"path_contains": "collectInvestigationPackage"}, "times": 0, "reply": {"status": 400,
        "json": {"error": {"code": "ActiveRequestAlreadyExists", "message": "Action is already in progress"}}}});
    sim.script(refused).unwrap();
    for on_duplicate in ["adopt", "error"] {
        let client = client(&sim, &[("on_duplicate", on_duplicate)]);
        let error = client.collect(&sim.machine_id(1), "x").error("already_running");
        assert!(error.get("action_id").is_none());
    }
    sim.script(json!({"match": {"path_contains": "machineactions"}, "reply": {"status": 403}}))
        .unwrap();
    let error = client(&sim, &[]).collect(&sim.machine_id(1), "x").error("already_running");
    assert!(error["message"].as_str().unwrap().contains("HTTP 403"));
}

#[test]
fn actions_are_read_by_id() {
    let sim = simulator();
    let client = client(&sim, &[]);
    let id =
        client.collect(&sim.machine_id(0), "x").ok()["action"]["id"].as_str().unwrap().to_owned();
    assert_eq!(client.action(&id).ok()["action"]["id"], id.as_str());
    let error = client.action("00000000-0000-0000-0000-000000000000").error("not_found");
    assert_eq!(error["service_code"], "ResourceNotFound");
    assert_eq!(error["retryable"], false);
}

#[test]
fn actions_are_listed_newest_first_through_all_pages() {
    let sim = Simulator::start(Config { page_size: 3, ..Config::default() }).unwrap();
    let client = client(&sim, &[]);
    let mut started = Vec::new();
    for n in 0..8 {
        let document = client.collect(&sim.machine_id(n), "x").ok();
        started.push(document["action"]["id"].as_str().unwrap().to_owned());
    }
    started.reverse();
    let ids = |filter: &str| -> Vec<String> {
        let document = client.list(filter).ok();
        let actions = document["actions"].as_array().unwrap();
        actions.iter().map(|a| a["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(""), started);
    assert_eq!(ids(&format!("machineId eq '{}'", sim.machine_id(5))), [started[2].clone()]);
    assert!(ids("status eq 'Failed'").is_empty());
    assert_eq!(client.list("nonsense eq 1").error("bad_request")["http_status"], 400);
}

#[test]
fn a_next_page_link_is_followed_only_on_the_called_host() {
    let sim = simulator();
    let client = client(&sim, &[]);
    let page = |link: &str| json!({"reply": {"status": 200, "json": {"value": [{"id": id(1)}], "@odata.nextLink": link}}});
    for link in
        ["https://evil.example/api/machineactions", "https://evil.example/x", "::", "/elsewhere"]
    {
        let mut rule = page(link);
        rule["match"] = json!({"path_contains": "machineactions"});
        sim.script(rule).unwrap();
        let error = client.list("").error("protocol");
        assert!(error["message"].as_str().unwrap().contains("next-page link"), "{link}: {error}");
    }
}

/// As a gateway in front of the service passes them on.
#[test]
fn a_next_page_link_of_the_service_is_requested_where_api_url_leads() {
    let sim = simulator();
    let client = client(&sim, &[]);
    for link in [
        "https://api-eu3.securitycenter.microsoft.com/api/machineactions?$skip=1",
        "machineactions?$skip=1",
        "/api/machineactions?$filter=type eq \"x\"&$skip=1",
    ] {
        sim.clear_script();
        let page = json!({"value": [{"id": id(1)}], "@odata.nextLink": link});
        sim.script(json!([
            {"match": {"path_contains": "machineactions"}, "reply": {"status": 200, "json": page}},
            {"match": {"path_contains": "machineactions"}, "reply": {"status": 200, "json": {"value": [{"id": id(2)}]}}},
        ]))
        .unwrap();
        let listed = client.list("").ok();
        let ids: Vec<_> = listed["actions"].as_array().unwrap().iter().map(|a| &a["id"]).collect();
        assert_eq!(ids, [&json!(id(1)), &json!(id(2))], "{link}");
        let last = sim.requests().pop().unwrap();
        assert!(last.path == "/api/machineactions" && last.query.ends_with("$skip=1"), "{last:?}");
    }
}

/// In long lists the service's links lose the names of their parameters, or lead to the page before.
#[test]
fn where_next_page_links_fail_the_rows_are_counted() {
    let sim = simulator();
    let client = client(&sim, &[]);
    for (link, first_page) in [
        ("/api/machineactions?=type eq 'x'&=1&$skip=7", 1),
        // Asked for once, and then not again.
        ("/api/machineactions?$skip=0&$filter=x", 2),
    ] {
        sim.clear_script();
        let before = sim.requests().len();
        let page = |number| json!({"value": [{"id": id(number)}], "@odata.nextLink": link});
        sim.script(json!([
            {"match": {"path_contains": "machineactions"}, "times": first_page, "reply": {"status": 200, "json": page(1)}},
            {"match": {"path_contains": "machineactions"}, "reply": {"status": 200, "json": page(2)}},
            {"match": {"path_contains": "machineactions"}, "reply": {"status": 200, "json": {"value": []}}},
        ]))
        .unwrap();
        let listed = client.list("type eq 'x'").ok();
        let ids: Vec<_> = listed["actions"].as_array().unwrap().iter().map(|a| &a["id"]).collect();
        assert_eq!(ids, [&json!(id(1)), &json!(id(2))], "{link}");
        let mut requests = sim.requests().split_off(before);
        requests.retain(|request| request.path.contains("machineactions"));
        let queries: Vec<_> = requests.iter().map(|request| request.query.as_str()).collect();
        let own = queries.iter().rev().take(2).rev();
        for (query, skip) in own.zip(["$skip=1", "$skip=2"]) {
            assert!(query.contains("$filter=type") && query.ends_with(skip), "{queries:?}");
        }
        assert_eq!(queries.len(), 2 + first_page, "{queries:?}");
    }
}

#[test]
fn pages_that_repeat_without_end_are_an_error() {
    let sim = simulator();
    let page = json!({"value": [{"id": id(1)}], "@odata.nextLink": "/api/machineactions?$skip=1"});
    sim.script(json!({"match": {"path_contains": "machineactions"}, "times": 0, "reply": {"status": 200, "json": page}})).unwrap();
    let error = client(&sim, &[]).list("").error("protocol");
    assert!(error["message"].as_str().unwrap().contains("repeats pages"), "{error}");
    // The token, a page, the linked one, and that by its number of rows.
    assert!(sim.requests().len() <= 4);
}

#[test]
fn a_path_prefix_of_a_gateway_stays_in_every_request() {
    let sim =
        Simulator::start(Config { path_prefix: "/gw/mde".into(), ..Config::default() }).unwrap();
    client(&sim, &[]).collect(&sim.machine_id(0), "x").ok();
    assert!(sim.requests().iter().all(|r| r.path.starts_with("/gw/mde/")));
}

#[test]
fn refusals_carry_code_request_id_and_wait() {
    let sim = simulator();
    let client = client(&sim, &[]);
    let error = client.collect(&"0".repeat(40), "x").error("not_found");
    assert_eq!(
        (&error["http_status"], &error["service_code"], &error["stage"], &error["attempts"]),
        (&json!(404), &json!("ResourceNotFound"), &json!("reply"), &json!(1))
    );
    assert!(error["request_id"].is_string());
    for code in ["OsPlatformNotSupported", "ClientVersionNotSupported"] {
        sim.script(
            json!({"reply": {"status": 400, "json": {"error": {"code": code, "message": "no"}}}}),
        )
        .unwrap();
        client.collect(&sim.machine_id(0), "x").error("unsupported_device");
    }
}

#[test]
fn option_errors_name_the_option() {
    let sim = simulator();
    for (name, value) in [
        ("timeout", "1"),
        ("timeout_ms", "soon"),
        ("api_url", "http://api.example"),
        ("cloud", "mars"),
    ] {
        let Err(outcome) = try_client(&sim, &[(name, value)]) else { panic!("{name} accepted") };
        let error = outcome.error("config");
        assert!(error["message"].as_str().unwrap().contains(&format!("`{name}`")), "{error}");
    }
}
