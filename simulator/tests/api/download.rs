use std::io::{Cursor, Read};

use mde_simulator::{Config, PackageFault, QuotaMode, Simulator};

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
fn parts_can_be_requested() {
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
fn a_link_needs_no_token_and_works_only_unchanged() {
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

#[test]
fn every_kind_of_device_has_its_own_package() {
    let sim = instant();
    let caller = Caller::new(&sim);
    // The machines alternate: Windows 11, Windows 10, Windows Server, macOS, Linux.
    for (machine, has, lacks) in [
        (2, "Prefetch files/PrefetchFilesList.txt", "History/shell_history.txt"),
        (3, "History/shell_history.txt", "Autoruns/HKLM_Run.txt"),
        (4, "Services and scheduled tasks/cpu_details.txt", "History/shell_history.txt"),
    ] {
        let got = fetch(&caller, &caller.link(&caller.collected(machine)), &[]);
        let zip = zip::ZipArchive::new(Cursor::new(got.body)).unwrap();
        assert!(zip.index_for_name(has).is_some(), "{has}");
        assert!(zip.index_for_name(lacks).is_none(), "{lacks}");
    }
}

#[test]
fn a_long_package_can_be_fetched_from_its_end() {
    let sim = instant();
    let caller = Caller::new(&sim);
    sim.set(|b| b.package_bytes = 5 << 30);
    let link = caller.link(&caller.collected(0));
    let end = fetch(&caller, &link, &[("Range", "bytes=-100000")]);
    assert_eq!((end.status, end.body.len(), end.complete), (206, 100_000, true));
    let eocd = end.body.windows(4).rposition(|w| w == b"PK\x05\x06").unwrap();
    assert_eq!(end.body.len() - eocd, 22);
    let again = fetch(&caller, &link, &[("Range", "bytes=3000000000-3000000099")]);
    assert_eq!((again.status, again.body.len()), (206, 100));
    assert_eq!(again.header("etag"), end.header("etag"));
}

#[test]
fn a_link_may_allow_a_single_download() {
    let sim = instant();
    let caller = Caller::new(&sim);
    sim.set(|b| b.link_uses = 1);
    let id = caller.collected(0);
    let link = caller.link(&id);
    assert_eq!(send(&caller.origin, "HEAD", &link, &[], None).unwrap().status, 200);
    assert_eq!(fetch(&caller, &link, &[("If-Match", "\"other\"")]).status, 412, "does not count");
    assert_eq!(fetch(&caller, &link, &[("Range", "bytes=0-9")]).status, 206);
    let got = fetch(&caller, &link, &[("Range", "bytes=10-19")]);
    assert_eq!(got.status, 403);
    assert!(got.text().contains("<Code>AuthenticationFailed</Code>"));
    sim.set(|b| b.empty_when_expired = true);
    let got = fetch(&caller, &link, &[]);
    assert_eq!((got.status, got.body.len(), got.complete), (200, 0, true));
    assert_eq!(fetch(&caller, &caller.link(&id), &[]).status, 200, "a new link works");
}

#[test]
fn downloads_can_be_cut_chunked_slow_and_wrong() {
    let sim = instant();
    let caller = Caller::new(&sim);
    let id = caller.collected(0);
    let whole = fetch(&caller, &caller.link(&id), &[]);
    sim.set(|b| b.cut_downloads_after = 1000);
    let cut = fetch(&caller, &caller.link(&id), &[]);
    assert_eq!((cut.status, cut.complete), (200, false));
    assert_eq!(cut.body.as_slice(), &whole.body[..1000]);
    let size = whole.body.len().to_string();
    assert_eq!(cut.header("content-length"), Some(size.as_str()));
    sim.set(|b| b.chunked_downloads = true);
    let cut = fetch(&caller, &caller.link(&id), &[]);
    assert!(cut.header("content-length").is_none() && !cut.complete);
    sim.set(|b| b.cut_downloads_after = 0);
    let chunked = fetch(&caller, &caller.link(&id), &[]);
    assert!(chunked.header("content-length").is_none() && chunked.complete);
    assert_eq!(chunked.body, whole.body);
    sim.set(|b| {
        b.chunked_downloads = false;
        b.download_rate = whole.body.len() as u64 * 4;
    });
    let start = std::time::Instant::now();
    let slow = fetch(&caller, &caller.link(&id), &[]);
    let took = start.elapsed().as_millis();
    assert!(slow.complete && slow.body == whole.body && (150..5000).contains(&took), "{took} ms");
    sim.set(|b| {
        b.download_rate = 0;
        b.package_edition = 1;
    });
    let other = fetch(&caller, &caller.link(&id), &[]);
    assert_ne!(other.header("etag"), whole.header("etag"));
    assert_ne!(other.body, whole.body);
    sim.set(|b| b.package_fault = PackageFault::Html);
    let html = fetch(&caller, &caller.link(&id), &[]);
    assert_eq!((html.status, html.header("content-type")), (200, Some("text/html")));
    sim.set(|b| b.package_fault = PackageFault::Truncated);
    let short = fetch(&caller, &caller.link(&id), &[]);
    assert!(short.complete && zip::ZipArchive::new(Cursor::new(short.body)).is_err());
}
