//! Replies with another action, device or kind than the requested one. Nothing in them is believed.

use std::path::Path;

use mde_simulator::Simulator;
use mde_tests::packages::{Folder, collections_asked_for, links_asked_for, quick, service};
use mde_tests::{Client, client, device_id, id};
use serde_json::{Value, json};

const KIND: &str = "CollectInvestigationPackage";

fn quick_client(sim: &Simulator) -> Client {
    let options =
        [("poll_interval_ms", "100"), ("quota_limits", "link=1000/60"), ("on_unknown", "report")];
    client(sim, &options)
}

fn answer(sim: &Simulator, method: &str, path: &str, times: u32, reply: &Value) {
    let rule = json!({"match": {"method": method, "path_contains": path}, "times": times,
        "reply": {"status": 200, "json": reply}});
    sim.script(rule).unwrap();
}

#[track_caller]
fn says(error: &Value, part: &str) {
    assert!(error["message"].as_str().unwrap().contains(part), "{error}");
}

#[test]
fn an_action_with_another_id_is_no_answer_to_a_read() {
    let (sim, asked) = service("Succeeded");
    let client = quick_client(&sim);
    let other = json!({"id": id(7), "status": "Succeeded", "machineId": sim.machine_id(0)});
    answer(&sim, "GET", &format!("machineactions/{asked}"), 0, &other);
    let folder = Folder::new();
    for outcome in
        [client.action(&asked), client.wait(&asked), client.download(&asked, &folder.file())]
    {
        let error = outcome.error("protocol");
        says(&error, "another action than the requested one");
        assert_eq!(
            (&error["action_id"], &error["action"]),
            (&json!(asked), &Value::Null),
            "{error}"
        );
    }
    assert_eq!((links_asked_for(&sim), folder.names().len()), (0, 0));
    // The same id in capitals is the same action.
    sim.clear_script();
    let same = json!({"id": asked.to_uppercase(), "status": "Succeeded"});
    answer(&sim, "GET", &format!("machineactions/{asked}"), 1, &same);
    assert_eq!(client.action(&asked).ok()["action"], same);
}

/// The outcome is not known, as after every reply that is not understood.
#[test]
fn a_collection_of_another_device_or_kind_is_not_taken_for_the_own_one() {
    let sim = quick();
    let client = quick_client(&sim);
    for (device, kind, part) in [
        (device_id(9), KIND, "an action of another device"),
        ("not-an-id".to_owned(), KIND, "an action of another device"),
        (sim.machine_id(0), "Isolate", "an action that is no collection"),
    ] {
        sim.clear_script();
        let reply = json!({"id": id(1), "type": kind, "machineId": device, "status": "Pending"});
        answer(&sim, "POST", "collectInvestigationPackage", 1, &reply);
        let error = client.collect(&sim.machine_id(0), "x").error("outcome_unknown");
        says(&error, part);
        assert_eq!(
            (&error["outcome"], error.get("action_id")),
            (&json!("unknown"), None),
            "{error}"
        );
    }
    // The list shows what was really started.
    sim.clear_script();
    let reply = json!({"id": id(1), "type": KIND, "machineId": device_id(9), "status": "Pending"});
    let rule = json!({"match": {"path_contains": "collectInvestigationPackage"}, "process": true,
        "reply": {"status": 201, "json": reply}});
    sim.script(rule).unwrap();
    let document = client.collect(&sim.machine_id(1), "case 5").ok();
    assert_eq!(document["action"]["machineId"], sim.machine_id(1).as_str());
    assert_eq!(document["adopted"], true);
}

#[test]
fn what_a_reply_does_not_name_is_not_compared() {
    let sim = quick();
    let client = quick_client(&sim);
    for members in [
        json!({"machineId": null, "type": null}),
        json!({"machineId": "", "type": 8}),
        json!({"machineId": sim.machine_id(0).to_uppercase(), "type": KIND.to_lowercase()}),
    ] {
        let mut reply = json!({"id": id(1), "status": "Pending"});
        reply.as_object_mut().unwrap().append(members.clone().as_object_mut().unwrap());
        sim.clear_script();
        answer(&sim, "POST", "collectInvestigationPackage", 1, &reply);
        assert_eq!(client.collect(&sim.machine_id(0), "x").ok()["action"], reply, "{members}");
    }
}

/// A fetch whose action becomes that of another device when it is read. `asked`: what the fetch asks for.
fn fetch_that_turns(asked: &str, sim: &Simulator, folder: &Folder, turned: &Value) -> Value {
    let rule = |times: u32, reply: &Value| {
        json!({"match": {"method": "GET", "path_contains": "/api/machineactions/"}, "times": times,
            "reply": {"status": 200, "json": reply}})
    };
    let started =
        json!({"id": id(3), "type": KIND, "machineId": sim.machine_id(0), "status": "Pending"});
    answer(sim, "POST", "collectInvestigationPackage", 1, &started);
    sim.script(rule(1, &started)).unwrap();
    sim.script(rule(0, turned)).unwrap();
    quick_client(sim).fetch(asked, "x", &folder.path()).error("protocol")
}

#[test]
fn a_fetch_downloads_no_package_of_another_device() {
    for (turned, part) in [
        (json!({"machineId": device_id(9), "type": KIND}), "an action of another device"),
        (json!({"machineId": "x", "type": KIND}), "an action of another device"),
        (json!({"type": "RunAntiVirusScan"}), "an action that is no collection"),
    ] {
        let (sim, folder) = (quick(), Folder::new());
        let mut turned = turned;
        (turned["id"], turned["status"]) = (json!(id(3)), json!("Succeeded"));
        let error = fetch_that_turns(&sim.machine_id(0), &sim, &folder, &turned);
        says(&error, part);
        says(&error, "nothing is downloaded");
        assert_eq!(error["action"], turned);
        assert_eq!(links_asked_for(&sim), 0);
        assert!(!Path::new(&folder.path()).exists());
        // The next call returns to the recorded action and refuses it as well.
        let again = quick_client(&sim).fetch(&sim.machine_id(0), "x", &folder.path()).error("file");
        says(&again, &format!("records {part}"));
        assert_eq!((links_asked_for(&sim), collections_asked_for(&sim)), (0, 1));
    }
}

/// A name cannot be compared with an id, but the ids of two replies can.
#[test]
fn a_device_that_is_asked_for_by_name_stays_the_same() {
    let (sim, folder) = (quick(), Folder::new());
    let turned =
        json!({"id": id(3), "status": "Succeeded", "machineId": device_id(9), "type": KIND});
    let error = fetch_that_turns("desktop-1.contoso.example", &sim, &folder, &turned);
    says(&error, "an action of another device");
    assert_eq!(links_asked_for(&sim), 0);
}

/// The action of the package that is there names its device by the id alone.
#[test]
fn a_package_of_another_device_is_no_answer_to_a_name() {
    let (sim, folder) = (quick(), Folder::new());
    let client = quick_client(&sim);
    let name = |number: u32| format!("device-{number:04}.contoso.example");
    let fetched = client.fetch(&sim.machine_id(0), "x", &folder.path()).ok();
    let before = (collections_asked_for(&sim), links_asked_for(&sim));
    for other in [name(2), sim.machine_id(1)] {
        says(&client.fetch(&other, "x", &folder.path()).error("file"), "replaces no file");
    }
    client.fetch("no-such-name", "x", &folder.path()).error("not_found");
    // It answers its own device, by whichever of its ids.
    let record = client.find(&sim.machine_id(0)).ok()["machines"][0].clone();
    let ids = [sim.machine_id(0), name(1), record["aadDeviceId"].as_str().unwrap().to_owned()];
    for own in ids {
        let again = client.fetch(&own, "x", &folder.path()).ok();
        assert_eq!(again["package"]["existing"], true, "{own}");
        assert_eq!(again["package"]["sha256"], fetched["package"]["sha256"]);
    }
    assert_eq!((collections_asked_for(&sim), links_asked_for(&sim)), before);
    assert_eq!(folder.names(), ["package.zip"]);
}

#[test]
fn a_cancel_reply_with_another_action_shows_nothing() {
    let sim = quick();
    sim.set(|b| b.pending_s = 60.0);
    let client = quick_client(&sim);
    let action = client.collect(&sim.machine_id(0), "x").ok()["action"].clone();
    let asked = action["id"].as_str().unwrap();
    let other = json!({"id": id(8), "status": "Succeeded"});
    let rule = json!({"match": {"path_contains": "/cancel"}, "times": 2, "process": true,
        "reply": {"status": 200, "json": other}});
    sim.script(rule).unwrap();
    let document = client.cancel(asked, "x").ok();
    assert_eq!((&document["action"]["id"], &document["cancelled"]), (&json!(asked), &json!(true)));
    // And if the reads show another one, too.
    let action = client.collect(&sim.machine_id(1), "x").ok()["action"].clone();
    let asked = action["id"].as_str().unwrap();
    answer(&sim, "GET", asked, 0, &other);
    let error = client.cancel(asked, "x").error("protocol");
    says(&error, "another action than the requested one");
    assert_eq!(error.get("action"), None, "{error}");
}

/// One list shows the actions of all who wait. Each takes its own and no other.
#[test]
fn waits_that_share_a_poll_take_only_their_own_action() {
    let sim = quick();
    sim.set(|b| b.pending_s = 60.0);
    let client = quick_client(&sim);
    let asked: Vec<String> = (0..2)
        .map(|n| {
            client.collect(&sim.machine_id(n), "x").ok()["action"]["id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let list: Vec<Value> =
        (20..30).map(|n| json!({"id": id(n), "type": KIND, "status": "Succeeded"})).collect();
    let rule = |query: &str, reply: &Value| {
        json!({"match": {"method": "GET", "path_contains": "/api/machineactions", "query_contains": query}, "times": 0,
            "reply": {"status": 200, "json": reply}})
    };
    sim.script(rule("$orderby", &json!({"value": list}))).unwrap();
    sim.script(rule("", &list[0])).unwrap();
    std::thread::scope(|scope| {
        for id in &asked {
            scope.spawn(|| {
                says(&client.wait(id).error("protocol"), "another action than the requested one")
            });
        }
    });
}

#[test]
fn a_device_with_another_id_is_not_the_one_that_is_looked_up() {
    let sim = quick();
    let client = quick_client(&sim);
    answer(&sim, "GET", "/api/machines/", 1, &json!({"id": device_id(9)}));
    let error = client.find(&sim.machine_id(0)).error("protocol");
    says(&error, "another device than the requested one");
    for odd in ["49e96a8d", "../../../../../../../../../../../../../../..", &"\u{202e}".repeat(40)]
    {
        answer(&sim, "GET", "/api/machines", 1, &json!({"value": [{"id": odd}]}));
        says(&client.find("pc").error("protocol"), "a device id that is not 40 hexadecimal digits");
    }
}

#[test]
fn a_state_file_with_another_kind_of_id_is_refused() {
    let (sim, folder) = (quick(), Folder::new());
    let state = json!({"version": 1, "machine_id": sim.machine_id(0), "comment": "x",
        "began": "2026-01-24T22:17:02Z", "action_id": "../machines/x\n"});
    let path = format!("{}.fetch.json", folder.path());
    std::fs::write(&path, state.to_string()).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let error = quick_client(&sim).fetch(&sim.machine_id(0), "x", &folder.path()).error("file");
    says(&error, "an id that is no GUID");
    assert!(sim.requests().is_empty());
}
