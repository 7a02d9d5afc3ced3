use mde_simulator::{Config, QuotaMode, Simulator};

use crate::http::Caller;
use crate::instant;

#[test]
fn a_machine_is_found_by_id_and_name() {
    let sim = instant();
    let caller = Caller::new(&sim);
    let id = sim.machine_id(2);
    let got = caller.get(&format!("/api/machines/{id}"));
    let machine = got.json();
    assert_eq!(got.status, 200);
    assert_eq!(machine["id"], id);
    assert_eq!(machine["computerDnsName"], "device-0003.contoso.example");
    assert_eq!(machine.as_object().unwrap().len(), 31);
    assert!(machine["@odata.context"].as_str().unwrap().ends_with("$metadata#Machines/$entity"));
    let aad = machine["aadDeviceId"].as_str().unwrap();
    for name in ["device-0003.contoso.example", "DEVICE-0003.CONTOSO.EXAMPLE", aad] {
        assert_eq!(caller.get(&format!("/API/v1.0/Machines/{name}")).json(), machine, "{name}");
    }
    let got = caller.get("/api/machines/123123123");
    assert_eq!((got.status, got.code().as_str()), (404, "ResourceNotFound"));
    assert_eq!(got.message(), "Machine 123123123 was not found");
}

#[test]
fn replies_carry_the_headers_of_the_service() {
    let sim = instant();
    let caller = Caller::new(&sim);
    let got = caller.get("/api/machines?$top=1");
    assert_eq!(
        got.header("content-type"),
        Some("application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8")
    );
    assert_eq!(got.header("odata-version"), Some("4.0"));
    assert_eq!(got.header("transfer-encoding"), Some("chunked"));
    assert!(got.header("content-length").is_none() && got.header("content-encoding").is_none());
    assert!(got.header("mise-correlation-id").is_some() && got.complete);
    assert!(got.header("strict-transport-security").is_some());
    let offer = [("Accept-Encoding", "gzip, deflate")];
    let packed = caller.send("GET", "/api/machines?$top=1", &offer, None).unwrap();
    assert_eq!(packed.header("content-encoding"), Some("deflate"));
    assert_eq!(packed.header("vary"), Some("Accept-Encoding"));
    // The zlib format, and the same text within.
    let mut text = String::new();
    let mut reader = flate2::read::ZlibDecoder::new(packed.body.as_slice());
    std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
    assert_eq!(text, got.text());
    let error = caller.send("GET", "/api/machines/none", &offer, None).unwrap();
    assert_eq!(error.header("content-type"), Some("application/json; charset=utf-8"));
    assert!(error.header("odata-version").is_none() && error.header("content-encoding").is_none());
}

#[test]
fn machines_are_filtered_and_none_is_404() {
    let sim = instant();
    let caller = Caller::new(&sim);
    let count = |query: &str| {
        let got = caller.get(&format!("/api/machines?{query}"));
        assert_eq!(got.status, 200, "{}", got.text());
        got.json()["value"].as_array().unwrap().len()
    };
    assert_eq!(count(""), 100);
    assert_eq!(count("$filter=computerDnsName+eq+'device-0007.contoso.example'"), 1);
    assert_eq!(count("$filter=startswith(computerDnsName,'device-001')"), 10);
    assert_eq!(count("$filter=osPlatform%20eq%20'Linux'%20and%20rbacGroupId%20eq%200"), 20);
    let got = caller.get("/api/machines?$filter=computerDnsName+eq+'none'");
    assert_eq!((got.status, got.code().as_str()), (404, "ResourceNotFound"));
    assert_eq!(caller.get("/api/machines?$filter=color+eq+'red'").code(), "ODataError");
}

#[test]
fn machines_are_found_by_address() {
    let sim = instant();
    let caller = Caller::new(&sim);
    let find = |ip: &str, time: &str| {
        caller.get(&format!("/api/machines/findbyip(ip='{ip}',timestamp={time})"))
    };
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let got = find("10.0.0.7", &now);
    assert_eq!(got.json()["value"].as_array().unwrap().len(), 1);
    assert_eq!(got.json()["value"][0]["id"], sim.machine_id(6));
    assert_eq!(find("10.9.9.9", &now).status, 404);
    assert_eq!(find("10.0.0.7", "2019-09-22T08:44:05Z").status, 400);
    assert_eq!(find("10.0.0.7", "today").status, 400);
    assert_eq!(find("ten", &now).code(), "InvalidIpAddress");
}

#[test]
fn unknown_routes_and_wrong_methods_have_no_body() {
    let sim = instant();
    let caller = Caller::new(&sim);
    for path in ["/", "/api", "/api/alerts", "/other", "/api/machines/a/b", "/safedownload/x.zip"] {
        let got = caller.get(path);
        assert_eq!((got.status, got.body.len()), (404, 0), "{path}");
        assert_eq!(got.header("content-length"), Some("0"), "{path}");
    }
    let id = sim.machine_id(0);
    for (method, path, allow) in [
        ("GET", format!("/api/machines/{id}/collectInvestigationPackage"), "POST"),
        ("PUT", "/api/machineactions".to_owned(), "GET"),
        ("DELETE", format!("/api/machines/{id}"), "GET"),
    ] {
        let got = caller.send(method, &path, &[], None).unwrap();
        assert_eq!((got.status, got.header("allow")), (405, Some(allow)), "{path}");
        assert_eq!(got.header("content-length"), Some("0"), "{path}");
    }
}

#[test]
fn lists_of_machines_come_in_pages() {
    let config =
        Config { machines: 25, page_size: 10, quota_mode: QuotaMode::Off, ..Config::default() };
    let sim = Simulator::start(config).unwrap();
    let caller = Caller::new(&sim);
    let mut path = "/api/machines?$filter=startswith(computerDnsName,'device')".to_owned();
    let mut sizes = Vec::new();
    loop {
        let body = caller.get(&path).json();
        sizes.push(body["value"].as_array().unwrap().len());
        let Some(next) = body.get("@odata.nextLink") else {
            break;
        };
        path = next.as_str().unwrap().strip_prefix(sim.origin()).unwrap().to_owned();
    }
    assert_eq!(sizes, [10, 10, 5]);
}

#[test]
fn a_fleet_has_tags_groups_and_devices_that_are_offline() {
    let mut config = Config { machines: 500, quota_mode: QuotaMode::Off, ..Config::default() };
    config.tags = [("DMZ".to_owned(), 100), ("it's".to_owned(), 7)].into();
    config.groups = vec!["Servers".to_owned(), "Clients".to_owned()];
    config.behaviour.offline = 10;
    let sim = Simulator::start(config).unwrap();
    let caller = Caller::new(&sim);
    let count = |filter: &str| {
        let filter = filter.replace(' ', "%20");
        let got = caller.get(&format!("/api/machines?$orderby=id&$filter={filter}"));
        got.json()["value"].as_array().map_or(0, Vec::len)
    };
    for (filter, expected) in [
        ("machineTags/any(tag: tag eq 'DMZ')", 100),
        ("machineTags/any(t:t eq 'it''s')", 7),
        ("machineTags/any(tag: tag eq 'dmz')", 0),
        ("machineTags/any(tag: tag eq 'DMZ') and osPlatform ne 'Linux'", 80),
        ("not machineTags/any(tag: tag eq 'DMZ') and rbacGroupId eq 141", 200),
        ("healthStatus eq 'Inactive'", 10),
    ] {
        assert_eq!(count(filter), expected, "{filter}");
    }
    for filter in [
        "machineTags eq 'DMZ'",
        "machineTags eq null",
        "machineTags/any(tag: tag ne 'DMZ')",
        "machineTags/any(tag: other eq 'DMZ')",
        "machineTags/any(tag eq 'DMZ')",
        "machineTags/any(tag: tag eq 'DMZ'",
        "machineTags/any()",
        "machineTags/all(tag: tag eq 'DMZ')",
        "osPlatform/any(tag: tag eq 'DMZ')",
        "rbacGroupName eq 'Servers'",
    ] {
        let filter = filter.replace(' ', "%20");
        let got = caller.get(&format!("/api/machines?$filter={filter}"));
        assert_eq!((got.status, got.code().as_str()), (400, "ODataError"), "{filter}");
    }
    let machine = caller.get(&format!("/api/machines/{}", sim.machine_id(1))).json();
    assert_eq!(machine["machineTags"], serde_json::json!(["DMZ", "it's"]));
    assert_eq!(
        (&machine["rbacGroupId"], &machine["rbacGroupName"]),
        (&141.into(), &"Clients".into())
    );
    assert_eq!(machine["healthStatus"], "Inactive");
    sim.set(|b| b.offline = 1);
    assert_eq!(count("healthStatus eq 'Inactive'"), 1);
}

#[test]
fn a_hundred_thousand_machines_are_paged_through() {
    let config = Config { machines: 100_000, quota_mode: QuotaMode::Off, ..Config::default() };
    let sim = Simulator::start(config).unwrap();
    let caller = Caller::new(&sim);
    let page = |skip: usize, select: &str| {
        let path = format!("/api/machines?$orderby=id&$top=10000&$skip={skip}{select}");
        caller.get(&path).json()["value"].as_array().unwrap().clone()
    };
    let start = std::time::Instant::now();
    let mut seen = Vec::new();
    for skip in (0..100_000).step_by(10_000) {
        seen.extend(
            page(skip, "&$select=id").iter().map(|it| it["id"].as_str().unwrap().to_owned()),
        );
    }
    assert!(seen.is_sorted());
    seen.dedup();
    assert_eq!(seen.len(), 100_000);
    assert_eq!(page(90_000, "").len(), 10_000);
    assert_eq!(page(100_000, ""), Vec::<serde_json::Value>::new());
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}
