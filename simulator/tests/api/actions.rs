use std::time::{Duration, Instant};

use mde_simulator::{Config, Duplicate, Outcome, QuotaMode, Simulator};
use serde_json::{Value, json};

use crate::http::{Caller, Got};
use crate::instant;

const UNKNOWN: &str = "7fd99be4-cb9b-42bb-b651-10736d67dd69";

fn read(caller: &Caller<'_>, id: &str) -> Value {
    caller.get(&format!("/api/machineactions/{id}")).json()
}

/// A simulator whose actions never change state by themselves.
fn still() -> Simulator {
    let mut config = Config { quota_mode: QuotaMode::Off, ..Config::default() };
    config.behaviour.pending_s = 1e9;
    Simulator::start(config).unwrap()
}

#[test]
fn what_is_taken_is_forgotten() {
    let sim = still();
    let caller = Caller::new(&sim);
    (0..4).for_each(|machine| assert_eq!(caller.collect(machine).status, 201));
    let taken = sim.take_requests();
    assert!(taken.len() >= 4 && taken.iter().all(|request| request.status != 0), "{taken:?}");
    assert_eq!(sim.requests(), []);
    // None has ended.
    assert_eq!(sim.take_actions(0), [] as [Value; 0]);
    for action in &sim.actions()[..2] {
        let id = action["id"].as_str().unwrap();
        let path = format!("/api/machineactions/{id}/cancel");
        assert_eq!(caller.post(&path, &json!({"Comment": "why"})).status, 200);
    }
    assert_eq!(sim.take_actions(3).len(), 1);
    assert_eq!(sim.take_actions(0).len(), 1);
    assert_eq!(sim.actions().len(), 2);
}

#[test]
fn a_new_action_has_the_full_shape() {
    let sim = still();
    let caller = Caller::new(&sim);
    let got = caller.collect(4);
    assert_eq!(got.status, 201);
    let action = got.json();
    let names: Vec<&str> = action.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "@odata.context",
            "id",
            "type",
            "title",
            "requestor",
            "requestorComment",
            "status",
            "machineId",
            "computerDnsName",
            "creationDateTimeUtc",
            "lastUpdateDateTimeUtc",
            "cancellationRequestor",
            "cancellationComment",
            "cancellationDateTimeUtc",
            "errorHResult",
            "scope",
            "externalId",
            "requestSource",
            "relatedFileInfo",
            "commands",
            "troubleshootInfo",
        ]
    );
    assert_eq!(action["type"], "CollectInvestigationPackage");
    assert_eq!(action["status"], "Pending");
    assert_eq!(action["machineId"], sim.machine_id(4));
    assert_eq!(action["computerDnsName"], "device-0005.contoso.example");
    assert_eq!(action["requestor"], mde_simulator::DEFAULT_NAME);
    assert_eq!(action["requestorComment"], "why");
    assert_eq!(action["requestSource"], "PublicApi");
    let id = action["id"].as_str().unwrap();
    assert_eq!(read(&caller, id), action);
    assert_eq!(read(&caller, &id.to_uppercase()), action);
    let age = jiff::Timestamp::now()
        .duration_since(action["creationDateTimeUtc"].as_str().unwrap().parse().unwrap());
    assert!(age.as_secs().abs() < 60, "stamps are on the wall clock");
}

#[test]
fn bad_collections_are_refused() {
    let sim = still();
    let caller = Caller::new(&sim);
    let path = format!("/api/machines/{}/collectInvestigationPackage", sim.machine_id(0));
    for (body, code) in [
        ("{}", "MissingRequiredParameter"),
        (r#"{"comment":"x"}"#, "MissingRequiredParameter"),
        (r#"{"Comment":null}"#, "MissingRequiredParameter"),
        (r#"{"Comment":""}"#, "MissingRequiredParameter"),
        (r#"{"Comment":7}"#, "InvalidRequestBody"),
        (r#"{"Comment":"x","Colour":"red"}"#, "InvalidRequestBody"),
        (r#"["Comment"]"#, "InvalidRequestBody"),
        ("{", "InvalidRequestBody"),
        ("", "InvalidRequestBody"),
    ] {
        let kind = [("Content-Type", "application/json; charset=utf-8")];
        let got = caller.send("POST", &path, &kind, Some(body)).unwrap();
        assert_eq!((got.status, got.code().as_str()), (400, code), "{body}");
    }
    let text = [("Content-Type", "text/plain")];
    assert_eq!(caller.send("POST", &path, &text, Some("{}")).unwrap().status, 415);
    let got = caller
        .post("/api/machines/not_exist/collectInvestigationPackage", &json!({"Comment": "x"}));
    assert_eq!((got.status, got.code().as_str()), (404, "ResourceNotFound"));
    assert_eq!(got.message(), "Machine not_exist was not found");
    assert!(sim.actions().is_empty());
}

#[test]
fn targets_alternate_between_guid_and_span() {
    let sim = still();
    let caller = Caller::new(&sim);
    let targets: Vec<String> = (0..8)
        .map(|_| caller.get("/api/machines/none").json()["error"]["target"].to_string())
        .collect();
    assert!(targets.iter().any(|t| t.starts_with("\"|") && t.ends_with(".\"") && t.len() == 29));
    assert!(targets.iter().any(|t| t.len() == 38));
}

#[test]
fn an_action_passes_through_its_states_in_simulated_time() {
    let mut config = Config { time_scale: 100.0, ..Config::default() };
    config.behaviour.pending_s = 20.0;
    config.behaviour.in_progress_s = 40.0;
    let sim = Simulator::start(config).unwrap();
    let caller = Caller::new(&sim);
    let start = Instant::now();
    let id = caller.collected(0);
    let mut seen: Vec<(String, f64)> = Vec::new();
    while start.elapsed() < Duration::from_secs(5) {
        let status = sim.actions()[0]["status"].as_str().unwrap().to_owned();
        if seen.last().is_none_or(|(last, _)| *last != status) {
            seen.push((status, start.elapsed().as_secs_f64()));
        }
        if seen.len() == 3 {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let names: Vec<&str> = seen.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Pending", "InProgress", "Succeeded"]);
    assert!(seen[1].1 >= 0.2 && seen[2].1 >= 0.6, "{seen:?}");
    let action = read(&caller, &id);
    let time = |name: &str| -> jiff::Timestamp { action[name].as_str().unwrap().parse().unwrap() };
    let took = time("lastUpdateDateTimeUtc").duration_since(time("creationDateTimeUtc"));
    assert_eq!(took.as_millis(), 600, "stamps show real time, and when it happened");
    assert_eq!(action["errorHResult"], 0);
}

#[test]
fn outcomes_can_be_chosen_for_all_and_for_one() {
    let sim = instant();
    let one = sim.machine_id(1);
    sim.set(|b| {
        b.outcome = Outcome::TimeOut;
        b.machine_outcomes.insert(one, Outcome::Failed);
    });
    let caller = Caller::new(&sim);
    let (a, b) = (caller.collected(0), caller.collected(1));
    assert_eq!(read(&caller, &a)["status"], "TimeOut");
    let failed = read(&caller, &b);
    assert_eq!(failed["status"], "Failed");
    assert!(failed["errorHResult"].as_i64().unwrap() < 0);
    // Neither has a package.
    for id in [a, b] {
        let got = caller.get(&format!("/api/machineactions/{id}/getPackageUri"));
        assert_eq!((got.status, got.code().as_str()), (404, "ResourceNotFound"));
    }
}

#[test]
fn changes_move_running_actions_but_never_back() {
    let sim = still();
    let caller = Caller::new(&sim);
    let id = caller.collected(0);
    assert_eq!(read(&caller, &id)["status"], "Pending");
    sim.set(|b| (b.pending_s, b.in_progress_s) = (0.0, 1e9));
    assert_eq!(read(&caller, &id)["status"], "InProgress");
    sim.set(|b| b.pending_s = 1e9);
    assert_eq!(read(&caller, &id)["status"], "InProgress");
    sim.set(|b| b.in_progress_s = 0.0);
    assert_eq!(read(&caller, &id)["status"], "Succeeded");
    sim.set(|b| b.outcome = Outcome::Failed);
    assert_eq!(read(&caller, &id)["status"], "Succeeded");
}

#[test]
fn a_busy_machine_refuses_or_returns_the_running_action() {
    let sim = still();
    let caller = Caller::new(&sim);
    let id = caller.collected(0);
    let got = caller.collect(0);
    assert_eq!((got.status, got.code().as_str()), (400, "ActiveRequestAlreadyExists"));
    assert_eq!(got.message(), "Action is already in progress");
    assert_eq!(caller.collect(1).status, 201);
    sim.set(|b| b.duplicate_code.clear());
    assert_eq!(caller.collect(0).code(), "");
    sim.set(|b| b.duplicate = Duplicate::ReturnExisting);
    assert_eq!(caller.collected(0), id);
    assert_eq!(sim.actions().len(), 2);
    sim.set(|b| (b.pending_s, b.in_progress_s) = (0.0, 0.0));
    assert_ne!(caller.collected(0), id);
}

#[test]
fn ids_are_checked() {
    let sim = instant();
    let caller = Caller::new(&sim);
    let machine = sim.machine_id(0);
    for tail in ["", "/getPackageUri"] {
        let got = caller.get(&format!("/api/machineactions/{machine}{tail}"));
        assert_eq!((got.status, got.code().as_str()), (400, "BadRequest"));
        assert_eq!(
            got.message(),
            format!(
                "The key value ({machine}) from request is not valid. The key value should be \
                 format of type 'Edm.Guid'."
            )
        );
        assert!(got.json()["error"]["target"].as_str().unwrap().starts_with('|'));
        let got = caller.get(&format!("/api/machineactions/{UNKNOWN}{tail}"));
        assert_eq!((got.status, got.code().as_str()), (404, "ResourceNotFound"));
    }
}

#[test]
fn a_new_action_may_be_invisible_at_first() {
    let sim = instant();
    sim.set(|b| b.not_found_after_create_s = 1e9);
    let caller = Caller::new(&sim);
    let id = caller.collected(0);
    for tail in ["", "/getPackageUri"] {
        assert_eq!(caller.get(&format!("/api/machineactions/{id}{tail}")).status, 404);
    }
    assert_eq!(caller.get("/api/machineactions").json()["value"], json!([]));
    sim.set(|b| b.not_found_after_create_s = 0.0);
    assert_eq!(read(&caller, &id)["id"], id);
}

#[test]
fn an_action_can_be_cancelled_until_it_is_final() {
    let sim = still();
    let caller = Caller::new(&sim);
    let id = caller.collected(0);
    let cancel = |id: &str, body: Value| -> Got {
        caller.post(&format!("/api/machineactions/{id}/Cancel"), &body)
    };
    assert_eq!(cancel(&id, json!({})).code(), "MissingRequiredParameter");
    assert_eq!(cancel(UNKNOWN, json!({"Comment": "no"})).status, 404);
    assert_eq!(cancel("x", json!({"Comment": "no"})).code(), "BadRequest");
    let got = cancel(&id, json!({"Comment": "no"}));
    assert_eq!(got.status, 200);
    let action = got.json();
    assert_eq!(action["status"], "Cancelled");
    assert_eq!(action["cancellationComment"], "no");
    assert_eq!(action["cancellationRequestor"], mde_simulator::DEFAULT_NAME);
    assert_eq!(action["cancellationDateTimeUtc"], action["lastUpdateDateTimeUtc"]);
    assert_eq!(read(&caller, &id), action);
    assert_eq!(cancel(&id, json!({"Comment": "no"})).status, 400);
    assert_eq!(caller.collect(0).status, 201, "the machine is free again");
}

#[test]
fn actions_are_listed() {
    let sim = instant();
    let caller = Caller::new(&sim);
    let ids: Vec<String> = (0..3).map(|n| caller.collected(n)).collect();
    sim.add_action(json!({"type": "Isolate", "machineId": sim.machine_id(1)})).unwrap();
    assert!(sim.add_action(json!({"kind": "Isolate"})).is_err());
    let list = |query: &str| {
        let got = caller.get(&format!("/api/machineactions{query}"));
        assert_eq!(got.status, 200, "{}", got.text());
        got.json()
    };
    let all = list("");
    assert_eq!(all["value"].as_array().unwrap().len(), 4);
    assert!(all["@odata.context"].as_str().unwrap().ends_with("$metadata#MachineActions"));
    let query = format!(
        "?$filter=machineId+eq+'{}'+and+type+eq+'CollectInvestigationPackage'&$count=true\
         &$orderby=creationDateTimeUtc+desc&$top=1",
        sim.machine_id(1)
    );
    let one = list(&query);
    assert_eq!((&one["@odata.count"], &one["value"][0]["id"]), (&json!(1), &json!(ids[1])));
    assert_eq!(list("?$filter=status+eq+'Pending'")["value"], json!([]));
    let got = caller.get("/api/machineactions?$stop=1");
    let body = got.json();
    assert_eq!((got.status, &body["error"]["code"]), (400, &json!("")));
    assert_eq!(body["error"]["details"], json!([]));
    assert!(body["error"].get("target").is_none());
    assert_eq!(caller.get("/api/machineactions?$filter=status+is+1").code(), "ODataError");
}

#[test]
fn links_are_for_finished_collections_only() {
    let sim = still();
    let caller = Caller::new(&sim);
    let link = |id: &str| caller.get(&format!("/api/machineactions/{id}/getPackageUri"));
    let id = caller.collected(0);
    assert_eq!(link(&id).status, 404);
    sim.set(|b| (b.pending_s, b.in_progress_s) = (0.0, 0.0));
    assert_eq!(link(&id).status, 200);
    let other = sim.add_action(json!({"type": "Isolate"})).unwrap();
    let got = link(other["id"].as_str().unwrap());
    assert_eq!((got.status, got.code().as_str()), (400, "InvalidInput"));
    assert_eq!(
        got.message(),
        "Provided Guid is not a valid id for a CollectInvestigationPackage action"
    );
    let got = caller.post(&format!("/api/machineactions/{id}/getPackageUri"), &json!({}));
    assert_eq!((got.status, got.code().as_str()), (404, "NotFound"));
}

#[test]
fn an_action_of_an_offline_machine_waits_until_it_is_back() {
    let mut config = Config { time_scale: 100.0, quota_mode: QuotaMode::Off, ..Config::default() };
    config.behaviour.pending_s = 20.0;
    config.behaviour.in_progress_s = 20.0;
    config.behaviour.offline = 2;
    let sim = Simulator::start(config).unwrap();
    let caller = Caller::new(&sim);
    let away = caller.collected(0);
    let back = caller.collected(1);
    let online = caller.collected(2);
    let status = |id: &str| read(&caller, id)["status"].as_str().unwrap().to_owned();
    let until = |id: &str, wanted: &str| {
        let start = Instant::now();
        while status(id) != wanted {
            assert!(start.elapsed() < Duration::from_secs(5), "{}", status(id));
            std::thread::sleep(Duration::from_millis(2));
        }
        start.elapsed().as_secs_f64()
    };
    until(&online, "Succeeded");
    assert_eq!((status(&away), status(&back)), ("Pending".to_owned(), "Pending".to_owned()));
    // It waits as long as usual from now on.
    sim.set(|b| b.offline = 1);
    assert_eq!(status(&back), "Pending");
    let took = until(&back, "Succeeded");
    assert!((0.35..2.0).contains(&took), "{took}");
    assert_eq!(status(&away), "Pending");
    let got = caller.post(&format!("/api/machineactions/{away}/cancel"), &json!({"Comment": "x"}));
    assert_eq!(got.json()["status"], "Cancelled");
}
