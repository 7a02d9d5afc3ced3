//! Devices that are selected by tag, platform, group or filter: what is found, over how many pages.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use mde_simulator::{Config, Simulator};
use mde_tests::peers::responder::{Answer, Responder};
use mde_tests::{Client, client, device_id};
use serde_json::{Value, json};

fn ids(document: &Value) -> Vec<String> {
    let machines = document["machines"].as_array().unwrap();
    machines.iter().map(|machine| machine["id"].as_str().unwrap().to_owned()).collect()
}

fn fleet(machines: usize) -> Config {
    let mut config = Config { machines, ..Config::default() };
    config.tags = [("DMZ".to_owned(), 20), ("it's R and D".to_owned(), 8)].into();
    config.groups = vec!["Servers".to_owned(), "Field Office".to_owned()];
    config
}

#[test]
fn the_devices_that_fit_are_found_by_their_ids() {
    let mut config = fleet(50);
    config.behaviour.offline = 3;
    let sim = Simulator::start(config).unwrap();
    let client = client(&sim, &[]);
    // Of 50 machines every fifth one has Linux, and every second one is in the second group.
    let linux = |n: &usize| n % 5 == 4;
    let office = |n: &usize| n % 2 == 1;
    let expect = |query: &str, fits: &dyn Fn(&usize) -> bool| {
        let document = client.find(query).ok();
        let expected: BTreeSet<String> =
            (0..50).filter(|n| fits(n)).map(|n| sim.machine_id(n)).collect();
        assert_eq!(ids(&document), expected.into_iter().collect::<Vec<_>>(), "{query}");
        assert_eq!(document["more"], false, "{query}");
    };
    expect("tag:DMZ", &|n| *n < 20);
    expect("tag:it's R and D", &|n| *n < 8);
    expect("tag:DMZ and not tag:it's r AND d", &|n| (8..20).contains(n));
    expect("os:Linux", &linux);
    expect("not os:linux", &|n| !linux(n));
    expect("tag:DMZ and not os:Linux", &|n| *n < 20 && !linux(n));
    expect("group:Field office", &|n| office(n));
    expect("not group:Field Office AND tag:DMZ and os:Linux", &|n| {
        *n < 20 && linux(n) && !office(n)
    });
    expect("filter:osPlatform eq 'Linux' or osPlatform eq 'macOS'", &|n| linux(n) || n % 5 == 3);
    expect("tag:DMZ and filter:osPlatform eq 'Linux' or osPlatform eq 'macOS'", &|n| {
        *n < 20 && (linux(n) || n % 5 == 3)
    });
    expect("tag:DMZ and not filter:healthStatus eq 'Active'", &|n| *n < 3);
    expect("filter:rbacGroupId eq 141", &|n| office(n));
    expect("tag:none", &|_| false);
    expect("os:none and group:none", &|_| false);
    let offline = (0..3).map(|n| sim.machine_id(n)).collect::<Vec<_>>();
    for check in client.find("tag:it's R and D").ok()["checks"].as_array().unwrap() {
        let is_offline = offline.iter().any(|id| check["id"] == *id);
        assert_eq!(check["problems"] == json!(["offline"]), is_offline, "{check}");
    }
}

#[test]
fn a_selection_that_nobody_understands_is_an_error() {
    let sim = Simulator::start(fleet(1)).unwrap();
    let client = client(&sim, &[]);
    for query in [
        "tags:DMZ",
        "tag:",
        "tag:DMZ and not Linux",
        "tag:a and host:b",
        "and os:Linux",
        "tag:DMZ and filter:)",
        // The service would take this for all devices.
        "tag:none and filter:riskScore eq 'High') or (id ne 'x'",
    ] {
        let message = client.find(query).error("invalid_argument")["message"].to_string();
        assert!(message.contains("`query`") && message.contains("`tag:`"), "{message}");
    }
    assert_eq!(sim.requests().len(), 0);
    for query in ["filter:color eq 'red'", "filter:rbacGroupName eq 'x'"] {
        client.find(query).error("bad_request");
    }
}

#[test]
fn all_pages_are_read_and_a_failed_one_again() {
    let sim = Simulator::start(fleet(12_000)).unwrap();
    let failure = json!({"match": {"query_contains": "skip=4950"}, "reply": {"status": 503}});
    sim.script(failure).unwrap();
    let client = client(&sim, &[("max_retries", "1")]);
    let found = ids(&client.find("not tag:none").ok());
    assert!(found.is_sorted(), "by their ids");
    let expected: BTreeSet<String> = (0..12_000).map(|n| sim.machine_id(n)).collect();
    assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    let requests = sim.requests();
    let pages = requests.iter().filter(|it| it.path.contains("/api/machines"));
    assert_eq!(pages.count(), 4, "three pages, of which one twice");
}

#[test]
fn pages_may_be_shorter_than_asked_for() {
    let sim = Simulator::start(Config { page_size: 30, ..fleet(100) }).unwrap();
    let client = client(&sim, &[]);
    assert_eq!(ids(&client.find("not tag:none").ok()).len(), 100);
    // The only page has as many devices as it may have.
    let sim = Simulator::start(fleet(5_000)).unwrap();
    let client = mde_tests::client(&sim, &[]);
    assert_eq!(ids(&client.find("not tag:none").ok()).len(), 5_000);
}

/// A service with these devices, which may be others at each request. `None` is a 404.
fn service(
    devices: impl Fn(usize) -> Option<Vec<u32>> + Send + Sync + 'static,
) -> (Responder, Client) {
    let requests = AtomicUsize::new(0);
    let server = Responder::start(move |asked| {
        let query = asked.query();
        let number = |name: &str| query.get(name).map_or(0, |text| text.parse::<usize>().unwrap());
        assert_eq!(query["$orderby"], "id");
        let Some(devices) = devices(requests.fetch_add(1, Ordering::SeqCst)) else {
            let error = json!({"error": {"code": "ResourceNotFound", "message": "none"}});
            return Answer::json(404, &error);
        };
        let page = devices.iter().skip(number("$skip")).take(number("$top"));
        let page: Vec<Value> = page.map(|number| json!({"id": device_id(*number)})).collect();
        Answer::json(200, &json!({"value": page}))
    });
    let url = server.url();
    let options = [("api_url", url.as_str()), ("access_token", "x"), ("max_retries", "0")];
    let client = Client::with(&options).unwrap();
    (server, client)
}

#[test]
fn devices_that_come_and_go_are_neither_missed_nor_repeated() {
    let (server, client) = service(|request| {
        let all = 1_000..13_000;
        let stay = all.clone().filter(|number| *number % 100 != 0);
        Some(match request {
            0 => all.collect(),
            // Fifty of the first page have left.
            1 => stay.collect(),
            // Thirty new ones shift the third page.
            _ => (0..30).chain(stay).collect(),
        })
    });
    let found = ids(&client.find("not tag:none").ok());
    let expected = (1_000..13_000).filter(|number| *number < 6_000 || *number % 100 != 0);
    assert_eq!(found, expected.map(device_id).collect::<Vec<_>>());
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn a_selection_stops_at_a_hundred_thousand() {
    for (devices, more) in [(100_000, false), (100_001, true)] {
        let (server, client) = service(move |_| Some((0..devices).collect()));
        let document = client.find("not os:Linux").ok();
        assert_eq!(ids(&document), (0..100_000).map(device_id).collect::<Vec<_>>());
        assert_eq!(document["more"], more);
        assert_eq!(server.asked().len(), 21);
    }
}

#[test]
fn a_list_ends_with_a_404_or_an_empty_page_and_never_runs_in_circles() {
    for end in [None, Some(Vec::new())] {
        let (_server, client) = service(move |request| match request {
            0 => Some((0..5_000).collect()),
            _ => end.clone(),
        });
        assert_eq!(ids(&client.find("not tag:none").ok()).len(), 5_000);
    }
    // A gateway that drops `$skip`.
    let page: Vec<Value> = (0..5_000).map(|number| json!({"id": device_id(number)})).collect();
    let server = Responder::start(move |_| Answer::json(200, &json!({"value": page})));
    let url = server.url();
    let client = Client::with(&[("api_url", &url), ("access_token", "x")]).unwrap();
    let message = client.find("not tag:none").error("protocol")["message"].to_string();
    assert!(message.contains("repeats pages"), "{message}");
    assert_eq!(server.asked().len(), 2);
}
