//! Downloads from real hosts: nginx, and Azurite, Microsoft's emulator of its blob storage. Also downloads after a
//! process was killed or a disk was full.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use mde_simulator::Simulator;
use mde_tests::child::{self, Task};
use mde_tests::packages::{
    Folder, arrived, fresh_script, lead_to, links_asked_for, package, patient, service,
};
use mde_tests::peers::azurite::Azurite;
use mde_tests::peers::nginx::Nginx;
use serde_json::json;

/// Waits until the part has so many bytes.
fn wait_for_part(folder: &Folder, bytes: u64) {
    let patience = Instant::now() + Duration::from_secs(30);
    while !fs::metadata(folder.0.join("package.zip.part")).is_ok_and(|m| m.len() >= bytes) {
        assert!(Instant::now() < patience, "no part of {bytes} bytes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Fetches some of a package, and stops.
fn begin(sim: &Simulator, id: &str, folder: &Folder, bytes: u64) {
    let stop = |event: serde_json::Value| i32::from(event["bytes"].as_u64() >= Some(bytes));
    patient(sim, &[]).download_until(id, &folder.file(), None, stop).error("cancelled");
    let kept = fs::metadata(folder.0.join("package.zip.part")).unwrap().len();
    assert!(kept >= bytes, "{kept}");
}

/// Shortens the part, of which a fast host may have sent too much for a test.
fn shorten(folder: &Folder, bytes: u64) {
    let part = fs::OpenOptions::new().write(true).open(folder.0.join("package.zip.part")).unwrap();
    part.set_len(bytes).unwrap();
}

// ---- nginx --------------------------------------------------------------------------------------

#[test]
fn nginx_serves_a_package_whole_in_pieces_and_without_ranges() {
    let content = package(8_000_000, 21);
    let home = Folder::new();
    let nginx = Nginx::start(
        &home.0,
        "location /slow/ { alias www/; limit_rate 2m; limit_rate_after 2m; }
         location /rangeless/ { alias www/; max_ranges 0; }
         location /tagless/ { alias www/; etag off; }
         location /slow-tagless/ { alias www/; etag off; limit_rate 2m; limit_rate_after 2m; }
         location /old/ { alias www/; chunked_transfer_encoding off; gzip off; }",
    );
    nginx.put("p.zip", &content);
    for path in ["p.zip", "rangeless/p.zip", "tagless/p.zip", "old/p.zip"] {
        let (sim, id) = service("Succeeded");
        let folder = Folder::new();
        // Without a tag, the date of the file is what tells versions apart.
        let slow = if path.starts_with("tagless") { "slow-tagless/p.zip" } else { "slow/p.zip" };
        lead_to(&sim, &nginx.link(slow));
        begin(&sim, &id, &folder, 1_000_000);
        fresh_script(&sim, &nginx.link(path));
        let mut first = None;
        let outcome = patient(&sim, &[]).download_until(&id, &folder.file(), None, |event| {
            if event["stage"] == "download" {
                first.get_or_insert(event["bytes"].as_u64().unwrap());
            }
            0
        });
        arrived(outcome, &folder, &content);
        assert_eq!(first == Some(0), path.starts_with("rangeless"), "{path}: {first:?}");
    }
}

#[test]
fn a_replaced_file_on_nginx_starts_the_download_over() {
    let (old, new) = (package(5_000_000, 22), package(4_000_000, 23));
    let home = Folder::new();
    let nginx = Nginx::start(
        &home.0,
        "location /slow/ { alias www/; limit_rate 2m; limit_rate_after 1m; }",
    );
    nginx.put("p.zip", &old);
    let (sim, id) = service("Succeeded");
    let folder = Folder::new();
    lead_to(&sim, &nginx.link("slow/p.zip"));
    begin(&sim, &id, &folder, 1_000_000);
    nginx.put("p.zip", &new);
    fresh_script(&sim, &nginx.link("p.zip"));
    arrived(patient(&sim, &[]).download(&id, &folder.file()), &folder, &new);
}

// ---- Azurite ------------------------------------------------------------------------------------

#[test]
fn azurite_serves_a_package_whole_in_parts_and_by_a_new_link() {
    let home = Folder::new();
    let azurite = Azurite::start(&home.0.join("data"));
    let content = package(9_000_000, 24);
    azurite.put("packages", "p.zip", &content);
    let good = azurite.link("packages", "p.zip", 600);

    // Whole.
    let (sim, id) = service("Succeeded");
    let folder = Folder::new();
    lead_to(&sim, &good);
    arrived(patient(&sim, &[]).download(&id, &folder.file()), &folder, &content);

    // Resumed, by a link that has expired and then by a new one.
    let folder = Folder::new();
    begin(&sim, &id, &folder, 500_000);
    shorten(&folder, 500_000);
    let kept = fs::metadata(folder.0.join("package.zip.part")).unwrap().len();
    sim.clear_script();
    sim.clear_requests();
    let expired = azurite.link("packages", "p.zip", -60);
    sim.script(json!({"match": {"path_contains": "getPackageUri"},
        "reply": {"status": 200, "json": {"value": expired}}}))
        .unwrap();
    lead_to(&sim, &good);
    let mut first = None;
    let outcome = patient(&sim, &[]).download_until(&id, &folder.file(), None, |event| {
        if event["stage"] == "download" {
            first.get_or_insert(event["bytes"].as_u64().unwrap());
        }
        0
    });
    arrived(outcome, &folder, &content);
    assert_eq!((first, links_asked_for(&sim)), (Some(kept), 2));

    // Expired links only.
    let folder = Folder::new();
    fresh_script(&sim, &expired);
    let outcome = patient(&sim, &[("max_retries", "1")]).download(&id, &folder.file());
    assert!(!outcome.text.contains("sig="), "{}", outcome.text);
    let error = outcome.error("forbidden");
    // Azure itself says AuthenticationFailed.
    assert_eq!(error["service_code"], "AuthorizationFailure");
    assert!(error["request_id"].is_string(), "{error}");

    // The blob was replaced, so its tag is another.
    let folder = Folder::new();
    fresh_script(&sim, &good);
    begin(&sim, &id, &folder, 500_000);
    shorten(&folder, 500_000);
    let new = package(7_000_000, 25);
    azurite.put("packages", "p.zip", &new);
    arrived(patient(&sim, &[]).download(&id, &folder.file()), &folder, &new);

    // A wrong container, and a wrong name.
    for (container, blob, code) in
        [("elsewhere", "p.zip", "ContainerNotFound"), ("packages", "q.zip", "BlobNotFound")]
    {
        let folder = Folder::new();
        fresh_script(&sim, &azurite.link(container, blob, 600));
        let error = patient(&sim, &[]).download(&id, &folder.file()).error("not_found");
        assert_eq!((&error["service_code"], &error["stage"]), (&json!(code), &json!("download")));
        assert!(folder.names().is_empty());
    }
}

// ---- ends of processes and disks ----------------------------------------------------------------

/// Another process, which downloads once.
struct Downloader(Child);

impl Downloader {
    fn start(sim: &Simulator, id: &str, path: &Path) -> Downloader {
        let options = child::options(sim, &[("quota_limits", "link=10000/60")]);
        let task = Task::Download { options, action: id.to_owned(), path: path.to_owned() };
        Downloader(task.command().stdout(Stdio::null()).spawn().unwrap())
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_download_resumes_after_its_process_was_killed() {
    let content = package(6_000_000, 26);
    let home = Folder::new();
    let nginx = Nginx::start(&home.0, "location / { limit_rate 3m; limit_rate_after 1m; }");
    nginx.put("p.zip", &content);
    let (sim, id) = service("Succeeded");
    lead_to(&sim, &nginx.link("p.zip"));
    let folder = Folder::new();
    for bytes in [1, 1_500_000, 3_000_000] {
        let child = Downloader::start(&sim, &id, &folder.file());
        wait_for_part(&folder, bytes);
        child.kill();
        assert!(!folder.file().exists());
    }
    let mut first = None;
    let outcome = patient(&sim, &[]).download_until(&id, &folder.file(), None, |event| {
        if event["stage"] == "download" {
            first.get_or_insert(event["bytes"].as_u64().unwrap());
        }
        0
    });
    arrived(outcome, &folder, &content);
    assert!(first >= Some(3_000_000), "{first:?}");
}

#[test]
fn a_kill_at_any_moment_leaves_no_wrong_file_at_the_path() {
    let content = package(2_000_000, 27);
    let home = Folder::new();
    let nginx = Nginx::start(&home.0, "");
    nginx.put("p.zip", &content);
    let (sim, id) = service("Succeeded");
    lead_to(&sim, &nginx.link("p.zip"));
    let mut rng = fastrand::Rng::with_seed(1);
    let (mut before, mut during, mut after) = (0, 0, 0);
    for _ in 0..60 {
        let folder = Folder::new();
        let child = Downloader::start(&sim, &id, &folder.file());
        // From the first sign of it on, so that most moments fall into the work.
        let patience = Instant::now() + Duration::from_secs(30);
        while folder.names().is_empty() && Instant::now() < patience {}
        std::thread::sleep(Duration::from_micros(rng.u64(..60_000)));
        child.kill();
        let (has_part, has_file) =
            (folder.names().iter().any(|n| n.ends_with(".part")), folder.file().exists());
        *(if has_file {
            &mut after
        } else if has_part {
            &mut during
        } else {
            &mut before
        }) += 1;
        if has_file {
            assert!(fs::read(folder.file()).unwrap() == content, "wrong content under the name");
        }
        let package = arrived(patient(&sim, &[]).download(&id, &folder.file()), &folder, &content);
        assert_eq!(package["existing"], has_file);
    }
    eprintln!("before {before}, during {during}, after {after}");
}

#[test]
fn a_full_disk_is_named_and_the_download_resumes_when_there_is_room() {
    // In a mount namespace of its own, where a small disk can be mounted without being root.
    let folder = Folder::new();
    let task = Task::DownloadToSmallDisk { at: folder.0.clone() };
    let output = child::isolated(false)
        .args(task.words())
        .output()
        .expect("unshare is missing: apt-get install util-linux");
    assert!(child::finished(output).contains("the disk was full twice"));
}
