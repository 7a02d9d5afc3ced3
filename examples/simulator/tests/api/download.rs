use std::io::{Cursor, Read};

use mde_simulator::{Config, QuotaMode, Simulator};

use crate::http::{Caller, Got, send};
use crate::instant;

fn fetch(caller: &Caller<'_>, link: &str, headers: &[(&str, &str)]) -> Got {
    send(&caller.origin, "GET", link, headers, None).unwrap()
}

#[test]
fn a_link_is_quoted_or_not_and_escaped_in_lower_case() {
    let sim = instant();
    let caller = Caller::new(&sim);
    let id = caller.collected(0);
    let value = || {
        let got = caller.get(&format!("/api/machineactions/{id}/getPackageUri"));
        assert!(got.json()["@odata.context"].as_str().unwrap().ends_with("$metadata#Edm.String"));
        got.json()["value"].as_str().unwrap().to_owned()
    };
    let quoted = value();
    let start = format!("\"{}/safedownload/WDATP_Investigation_Package.zip?token=", sim.api_url());
    assert!(quoted.starts_with(&start) && quoted.ends_with('"'), "{quoted}");
    assert_eq!(quoted.matches("%3b").count(), 2);
    sim.set(|b| b.quoted_links = false);
    assert!(value().starts_with(&start[1..]));
}

#[test]
fn a_package_is_a_zip_with_the_documented_folders() {
    let sim = instant();
    let caller = Caller::new(&sim);
    let (a, b) = (caller.collected(0), caller.collected(1));
    let got = fetch(&caller, &caller.link(&a), &[]);
    assert_eq!((got.status, got.header("content-type")), (200, Some("application/zip")));
    let mut zip = zip::ZipArchive::new(Cursor::new(got.body.clone())).unwrap();
    let names: Vec<String> = zip.file_names().map(str::to_owned).collect();
    for folder in [
        "Autoruns",
        "Installed programs",
        "Network connections",
        "Prefetch files",
        "Processes",
        "Scheduled tasks",
        "Security event log",
        "Services",
        "Windows Server Message Block (SMB) sessions",
        "System Information",
        "Temp Directories",
        "Users and Groups",
        "WdSupportLogs",
    ] {
        assert!(names.iter().any(|n| n.starts_with(&format!("{folder}/"))), "{folder}");
    }
    let mut text = String::new();
    let mut file = zip.by_name("System Information/SystemInformation.txt").unwrap();
    file.read_to_string(&mut text).unwrap();
    assert!(text.contains(&sim.machine_id(0)), "{text}");
    assert_eq!(fetch(&caller, &caller.link(&a), &[]).body, got.body, "the same each time");
    assert_ne!(fetch(&caller, &caller.link(&b), &[]).body, got.body);
    sim.set(|b| b.package_bytes = 3_000_000);
    let large = fetch(&caller, &caller.link(&a), &[]);
    assert!(large.body.len() > 3_000_000 && large.complete);
    zip::ZipArchive::new(Cursor::new(large.body)).unwrap();
}

#[test]
fn parts_can_be_asked_for() {
    let sim = instant();
    let caller = Caller::new(&sim);
    let link = caller.link(&caller.collected(0));
    let whole = fetch(&caller, &link, &[]);
    let (size, tag) = (whole.body.len(), whole.header("etag").unwrap().to_owned());
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let part = fetch(&caller, &link, &[("Range", "bytes=100-199")]);
    assert_eq!((part.status, part.body.as_slice()), (206, &whole.body[100..200]));
    assert_eq!(part.header("content-range"), Some(format!("bytes 100-199/{size}").as_str()));
    assert_eq!(part.header("etag"), Some(tag.as_str()));
    let rest = fetch(&caller, &link, &[("Range", "bytes=1000-"), ("If-Range", &tag)]);
    assert_eq!((rest.status, rest.body.as_slice()), (206, &whole.body[1000..]));
    let stale = fetch(&caller, &link, &[("Range", "bytes=1000-"), ("If-Range", "\"other\"")]);
    assert_eq!((stale.status, stale.body.len()), (200, size));
    let beyond = fetch(&caller, &link, &[("Range", &format!("bytes={size}-"))]);
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.header("content-range"), Some(format!("bytes */{size}").as_str()));
    assert!(beyond.text().contains("<Code>InvalidRange</Code>"));
    let failed = fetch(&caller, &link, &[("If-Match", "\"other\"")]);
    assert_eq!(failed.status, 412);
    sim.set(|b| b.ranges = false);
    let ignored = fetch(&caller, &link, &[("Range", "bytes=100-199")]);
    assert_eq!((ignored.status, ignored.body.len()), (200, size));
    assert!(ignored.header("accept-ranges").is_none());
}

#[test]
fn a_link_carries_its_own_right_and_only_as_given() {
    let sim = instant();
    let caller = Caller::new(&sim);
    let link = caller.link(&caller.collected(0));
    let got = caller.get(&link);
    assert_eq!(got.status, 400, "a bearer token does not belong here");
    assert!(got.text().contains("<Code>InvalidAuthenticationInfo</Code>"));
    for wrong in [
        link.replace("%3b", "%3B"),
        link.replace("%3b", ";"),
        link[..link.len() - 1].to_owned(),
        "/safedownload/WDATP_Investigation_Package.zip".to_owned(),
    ] {
        let got = fetch(&caller, &wrong, &[]);
        assert_eq!(got.status, 403, "{wrong}");
        assert!(got.text().contains("<Code>AuthenticationFailed</Code>"));
    }
    assert_eq!(fetch(&caller, &link, &[]).status, 200);
}

#[test]
fn links_expire_in_simulated_time() {
    let mut config = Config { time_scale: 100.0, quota_mode: QuotaMode::Off, ..Config::default() };
    config.behaviour.pending_s = 0.0;
    config.behaviour.in_progress_s = 0.0;
    let sim = Simulator::start(config).unwrap();
    let caller = Caller::new(&sim);
    let id = caller.collected(0);
    let link = caller.link(&id);
    assert_eq!(fetch(&caller, &link, &[]).status, 200);
    std::thread::sleep(std::time::Duration::from_millis(650));
    let got = fetch(&caller, &link, &[]);
    assert_eq!((got.status, got.header("content-type")), (403, Some("application/xml")));
    let text = got.text();
    assert!(text.contains("<Code>AuthenticationFailed</Code>"), "{text}");
    assert!(text.contains("Signature not valid in the specified key time frame: Key start ["));
    assert_eq!(fetch(&caller, &caller.link(&id), &[]).status, 200, "a new link works");
}
