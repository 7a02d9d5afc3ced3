//! Downloads from hosts as they are: nginx, and Azurite, Microsoft's emulator of its blob storage. And what a
//! process that is killed, or a disk that is full, leaves behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "peers/azurite.rs"]
mod azurite;
#[path = "peers/nginx.rs"]
mod nginx;
mod support;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use azurite::Azurite;
use mde_simulator::Simulator;
use nginx::Nginx;
use serde_json::json;
use support::packages::{Folder, arrived, lead_to, links_asked_for, package, patient, service};
use support::{Client, options};

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

/// Takes away what a fast host has sent too much for a test.
fn shorten(folder: &Folder, bytes: u64) {
    let part = fs::OpenOptions::new().write(true).open(folder.0.join("package.zip.part")).unwrap();
    part.set_len(bytes).unwrap();
}

fn fresh_script(sim: &Simulator, link: &str) {
    sim.clear_script();
    lead_to(sim, link);
}

// ---- nginx --------------------------------------------------------------------------------------

#[test]
fn nginx_gives_a_package_whole_in_pieces_and_without_ranges() {
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
fn nginx_with_another_file_under_the_name_starts_over() {
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
fn azurite_gives_a_package_in_every_way() {
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

/// This test, run again as another process that downloads once.
struct Downloader(Child);

impl Downloader {
    fn start(test: &str, sim: &Simulator, id: &str, path: &Path) -> Downloader {
        let options = options(sim).into_iter().map(|(name, value)| (name.to_owned(), value.into()));
        let settings: serde_json::Map<String, serde_json::Value> = options.collect();
        let child = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env("DOWNLOAD_OPTIONS", serde_json::to_string(&settings).unwrap())
            .env("DOWNLOAD_ACTION", id)
            .env("DOWNLOAD_PATH", path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Downloader(child)
    }

    /// Whether this process is one; then it has done its work.
    fn is_this() -> bool {
        let Ok(settings) = std::env::var("DOWNLOAD_OPTIONS") else { return false };
        let settings: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&settings).unwrap();
        let mut options: Vec<_> =
            settings.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        options.push(("quota_limits", "link=10000/60"));
        let client = Client::with(&options).unwrap();
        let path = std::env::var("DOWNLOAD_PATH").unwrap();
        client.download(&std::env::var("DOWNLOAD_ACTION").unwrap(), Path::new(&path)).ok();
        true
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_killed_process_is_carried_on_by_the_next() {
    if Downloader::is_this() {
        return;
    }
    let test = "a_killed_process_is_carried_on_by_the_next";
    let content = package(6_000_000, 26);
    let home = Folder::new();
    let nginx = Nginx::start(&home.0, "location / { limit_rate 3m; limit_rate_after 1m; }");
    nginx.put("p.zip", &content);
    let (sim, id) = service("Succeeded");
    lead_to(&sim, &nginx.link("p.zip"));
    let folder = Folder::new();
    for bytes in [1, 1_500_000, 3_000_000] {
        let child = Downloader::start(test, &sim, &id, &folder.file());
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
fn killed_at_any_moment_it_leaves_nothing_wrong_under_the_name() {
    if Downloader::is_this() {
        return;
    }
    let test = "killed_at_any_moment_it_leaves_nothing_wrong_under_the_name";
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
        let child = Downloader::start(test, &sim, &id, &folder.file());
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
fn a_full_disk_is_named_and_carried_on_when_there_is_room() {
    let place = std::env::var("DOWNLOAD_SMALL_DISK");
    let Ok(place) = place else {
        // In a mount namespace of its own, where a small disk can be mounted without being root.
        let test = "a_full_disk_is_named_and_carried_on_when_there_is_room";
        let folder = Folder::new();
        let output = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount"])
            .arg(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env("DOWNLOAD_SMALL_DISK", &folder.0)
            .output()
            .expect("unshare is missing: apt-get install util-linux");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("the disk was full twice"), "{said}");
        return;
    };
    let mount = |arguments: &[&str]| {
        let status = Command::new("mount").args(arguments).arg(&place).status().unwrap();
        assert!(status.success(), "mount");
    };
    let content = package(3_000_000, 28);
    let home = Folder::new();
    let nginx = Nginx::start(&home.0, "location /chunked/ { alias www/; gzip on; }");
    nginx.put("p.zip", &content);
    let (sim, id) = service("Succeeded");
    mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"]);
    let file = Path::new(&place).join("package.zip");
    let part = Path::new(&place).join("package.zip.part");
    // Where the length is known, nothing is written that will not fit.
    lead_to(&sim, &nginx.link("p.zip"));
    let error = patient(&sim, &[]).download(&id, &file).error("disk_full");
    assert_eq!((&error["stage"], &error["retryable"]), (&json!("download"), &json!(true)));
    assert!(!part.exists());
    // Where it is not, what fits is kept.
    let served = content.clone();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut peer, _) = listener.accept().unwrap();
        let _ = peer.read(&mut [0; 4096]);
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let _ = peer.write_all(format!("{head}{:x}\r\n", served.len()).as_bytes());
        let _ = peer.write_all(&served);
        let _ = peer.write_all(b"\r\n0\r\n\r\n");
    });
    fresh_script(&sim, &format!("http://127.0.0.1:{port}/p.zip"));
    let error = patient(&sim, &[]).download(&id, &file).error("disk_full");
    assert!(error["message"].as_str().unwrap().contains("package.zip.part"), "{error}");
    let kept = fs::metadata(&part).unwrap().len();
    assert!(kept > 500_000 && kept <= 1 << 20, "{kept}");
    mount(&["-o", "remount,size=8m", "tmpfs"]);
    fresh_script(&sim, &nginx.link("p.zip"));
    let package = patient(&sim, &[]).download(&id, &file).ok();
    assert_eq!(package["package"]["bytes"], content.len());
    assert!(fs::read(&file).unwrap() == content);
    eprintln!("the disk was full twice");
}
