//! Downloads: the file, obstacles at its path, limits, stops and failures.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mde_tests::packages::{
    Folder, arrived, lead_to, links_asked_for, package, patient, service, sha256,
};
use mde_tests::peers::file_host::{FileHost, first_byte, header, send, send_file};
use mde_tests::peers::scene::Scene;
use mde_tests::{Cancel, Outcome};
use serde_json::json;

#[test]
fn only_a_whole_package_appears_at_its_path() {
    let (sim, id) = service("Succeeded");
    sim.set(|b| b.package_bytes = 3_000_000);
    let folder = Folder::new();
    let mut events = Vec::new();
    let outcome = patient(&sim, &[]).download_until(&id, &folder.0, None, |event| {
        events.push(event);
        0
    });
    let package = outcome.ok()["package"].clone();
    let name = format!("{}_{id}.zip", package["computer_name"].as_str().unwrap());
    assert_eq!(folder.names(), [name.as_str()]);
    let path = folder.0.join(name);
    let content = fs::read(&path).unwrap();
    assert_eq!(package["path"], path.to_str().unwrap());
    assert_eq!(package["sha256"], sha256(&content));
    assert_eq!(package["bytes"], content.len());
    assert_eq!((&package["action_id"], &package["existing"]), (&json!(id), &json!(false)));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let of =
        |stage: &str| events.iter().filter(|e| e["stage"] == stage).cloned().collect::<Vec<_>>();
    let (downloading, verifying) = (of("download"), of("verify"));
    assert!(verifying.len() <= 10 && !downloading.is_empty(), "{events:?}");
    assert_eq!(downloading[0]["bytes"], 0);
    for stage in [&downloading, &verifying] {
        assert_eq!(stage.last().unwrap()["bytes"], content.len());
    }
    assert!(
        downloading.iter().all(|e| e["total"] == content.len() && e["action_id"] == id.as_str())
    );
    // No token went along.
    let requests = sim.requests();
    let download = requests.iter().find(|r| r.path.contains("safedownload")).unwrap();
    assert!(download.headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("authorization")));
}

#[test]
fn the_request_has_the_link_byte_for_byte() {
    let content = package(1_000, 1);
    let served = content.clone();
    let scene = Scene::new(move |_, head, peer| {
        send_file(peer, head, &served, "\"1\"", served.len());
    });
    arrived(scene.run(&[("user_agent", "Agent/2.1")]), &scene.folder, &content);
    let expected = format!(
        "GET /safedownload/p.zip?token=a%2fB%3d%3D;x%2b HTTP/1.1\r\nuser-agent: Agent/2.1 mde/{}\r\n\
         accept: */*\r\naccept-encoding: identity\r\nhost: 127.0.0.1:{}\r\n\r\n",
        mde_tests::VERSION,
        scene.host.port
    );
    assert_eq!(scene.host.heads(), [expected]);
}

#[test]
fn a_repeated_call_finds_the_downloaded_package() {
    let (sim, id) = service("Succeeded");
    let folder = Folder::new();
    let client = patient(&sim, &[]);
    let first = client.download(&id, &folder.file()).ok();
    let second = client.download(&id, &folder.file()).ok();
    assert_eq!(second["package"]["existing"], true);
    assert_eq!(second["package"]["sha256"], first["package"]["sha256"]);
    assert_eq!((links_asked_for(&sim), folder.names()), (1, vec!["package.zip".to_owned()]));
    // Neither another package nor a file that was changed passes for it.
    let other = sim.add_action(json!({"status": "Succeeded"})).unwrap()["id"].clone();
    client.download(other.as_str().unwrap(), &folder.file()).error("file");
    let mut content = fs::read(folder.file()).unwrap();
    content[100] ^= 1;
    fs::write(folder.file(), &content).unwrap();
    let error = client.download(&id, &folder.file()).error("file");
    assert!(error["message"].as_str().unwrap().contains("package.zip` exists"), "{error}");
    assert_eq!((links_asked_for(&sim), fs::read(folder.file()).unwrap()), (1, content));
}

#[test]
fn no_existing_file_is_replaced_even_if_it_appears_meanwhile() {
    let content = package(200_000, 2);
    let served = content.clone();
    let folder = Folder::new();
    let path = folder.file();
    let scene = Scene::new(move |_, head, peer| {
        fs::write(&path, "mine").unwrap();
        send_file(peer, head, &served, "\"1\"", served.len());
    });
    let client = patient(&scene.sim, &[]);
    let error = client.download(&scene.id, &folder.file()).error("file");
    assert!(error["message"].as_str().unwrap().contains("exists"), "{error}");
    assert_eq!(fs::read(folder.file()).unwrap(), b"mine");
    // The package was not fetched in vain.
    fs::remove_file(folder.file()).unwrap();
    arrived(client.download(&scene.id, &folder.file()), &folder, &content);
    assert_eq!(scene.host.heads().len(), 1);
    // Whatever else has the name.
    for make in [|p: &Path| fs::create_dir(p).unwrap(), |p: &Path| symlink("/nowhere", p).unwrap()]
    {
        let folder = Folder::new();
        make(&folder.file());
        let outcome = client.download(&scene.id, &folder.file());
        if outcome.status != 0 {
            outcome.error("file");
            assert_eq!(folder.names(), ["package.zip"]);
        }
    }
}

#[test]
fn unusable_paths_use_no_link() {
    let (sim, id) = service("Succeeded");
    let folder = Folder::new();
    fs::write(folder.0.join("file"), "x").unwrap();
    let client = patient(&sim, &[]);
    for (path, problem) in [
        (folder.0.join("no/such/p.zip"), "no/such` does not exist"),
        (folder.0.join("no-folder/"), "no-folder/` does not exist"),
        (folder.0.join("file/p.zip"), "file"),
        (PathBuf::from("/proc/p.zip"), "/proc/p.zip"),
        (folder.0.join("x".repeat(300)), "File name too long"),
    ] {
        let error = client.download(&id, &path).error("file");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(problem), "{message}");
        assert_eq!(error["retryable"], false);
    }
    client.download(&id, Path::new("")).error("invalid_argument");
    assert_eq!((links_asked_for(&sim), folder.names()), (0, vec!["file".to_owned()]));
}

#[test]
fn links_at_the_destination_are_never_written_through() {
    let (sim, id) = service("Succeeded");
    let folder = Folder::new();
    let victim = folder.0.join("victim");
    fs::write(&victim, "untouched").unwrap();
    let part = folder.0.join("package.zip.part");
    symlink(&victim, &part).unwrap();
    let error = patient(&sim, &[]).download(&id, &folder.file()).error("file");
    assert!(error["message"].as_str().unwrap().contains("symbolic link"), "{error}");
    fs::remove_file(&part).unwrap();
    fs::hard_link(&victim, &part).unwrap();
    patient(&sim, &[]).download(&id, &folder.file()).ok();
    assert_eq!(fs::read(&victim).unwrap(), b"untouched");
    assert_eq!(fs::metadata(&victim).unwrap().nlink(), 1);
}

#[test]
fn only_one_download_at_a_time_uses_a_path() {
    let content = package(100_000, 3);
    let served = content.clone();
    let scene = Scene::new(move |_, head, peer| {
        std::thread::sleep(Duration::from_millis(600));
        send_file(peer, head, &served, "\"1\"", served.len());
    });
    std::thread::scope(|scope| {
        let first = scope.spawn(|| scene.run(&[]));
        while scene.host.heads().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let error = scene.run(&[]).error("file");
        assert!(error["message"].as_str().unwrap().contains("under way"), "{error}");
        assert_eq!(error["retryable"], true);
        arrived(first.join().unwrap(), &scene.folder, &content);
    });
    assert_eq!(links_asked_for(&scene.sim), 1);
}

// ---- limits, stops and what else goes wrong -----------------------------------------------------

#[test]
fn a_package_that_is_too_large_is_refused_before_or_during_the_download() {
    let content = package(600_000, 14);
    for chunked in [false, true] {
        let served = content.clone();
        let scene = Scene::new(move |_, _, peer| {
            if chunked {
                let head = format!(
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
                    served.len()
                );
                let _ = peer.write_all(head.as_bytes());
                let _ = peer.write_all(&served);
                let _ = peer.write_all(b"\r\n0\r\n\r\n");
            } else {
                send(peer, "200 OK", "", served.len(), &served);
            }
        });
        let limit = (content.len() - 1).to_string();
        let error = scene.run(&[("max_package_bytes", &limit)]).error("integrity");
        assert!(error["message"].as_str().unwrap().contains("max_package_bytes"), "{error}");
        assert!(scene.folder.names().is_empty());
        let exact = content.len().to_string();
        arrived(scene.run(&[("max_package_bytes", &exact)]), &scene.folder, &content);
    }
}

#[test]
fn a_body_that_is_no_zip_never_appears_at_the_path() {
    for junk in ["<html>sign in</html>", "PK\u{3}\u{4} and no more", "PK"] {
        let scene = Scene::new(move |_, _, peer| {
            send(peer, "200 OK", "", junk.len(), junk.as_bytes());
        });
        let error = scene.run(&[]).error("integrity");
        assert_eq!((&error["stage"], &error["retryable"]), (&json!("verify"), &json!(false)));
        assert_eq!(scene.folder.names(), ["package.zip.damaged"]);
    }
}

#[test]
fn an_encoded_body_is_refused() {
    let scene = Scene::new(|_, _, peer| send(peer, "200 OK", "content-encoding: br\r\n", 2, b"PK"));
    scene.run(&[]).error("protocol");
}

#[test]
fn a_keep_alive_connection_that_ends_during_a_redirect_uses_the_link_once() {
    let content = package(100_000, 16);
    let served = content.clone();
    let came_again = Arc::new(AtomicBool::new(false));
    let came = Arc::clone(&came_again);
    let scene = Scene::new(move |number, head, peer| match number {
        0 => {
            let redirect = "307 Temporary Redirect\r\nlocation: /else\r\ncontent-length: 0";
            peer.write_all(format!("HTTP/1.1 {redirect}\r\n\r\n").as_bytes()).unwrap();
            // The next request comes over the same connection, which ends without a reply.
            came.store(peer.read(&mut [0; 16]).unwrap() > 0, Ordering::Relaxed);
        }
        _ => send_file(peer, head, &served, "\"1\"", served.len()),
    });
    arrived(scene.run(&[]), &scene.folder, &content);
    let heads = scene.host.heads();
    assert!(came_again.load(Ordering::Relaxed));
    assert_eq!(heads.len(), 2, "{heads:?}");
    assert!(heads[1].starts_with("GET /else HTTP/1.1\r\n"), "{heads:?}");
    assert_eq!(links_asked_for(&scene.sim), 1);
}

#[test]
fn redirects_are_followed_to_allowed_hosts_without_the_token() {
    let content = package(100_000, 15);
    let served = content.clone();
    let end =
        FileHost::start(move |_, head, peer| send_file(peer, head, &served, "\"1\"", served.len()));
    let (absolute, port) = (format!("location: {}\r\n", end.link()), end.port);
    let scene = Scene::new(move |number, _, peer| match number {
        0 => send(peer, "307 Temporary Redirect", "location: /deep/er/else?where=%2f\r\n", 0, b""),
        1 => send(peer, "302 Found", "location: ../file?x\r\n", 0, b""),
        _ => send(peer, "302 Found", &absolute, 0, b""),
    });
    arrived(scene.run(&[]), &scene.folder, &content);
    assert!(scene.host.heads()[1].starts_with("GET /deep/er/else?where=%2f HTTP/1.1\r\n"));
    assert!(scene.host.heads()[2].starts_with("GET /deep/file?x HTTP/1.1\r\n"));
    let heads = end.heads();
    assert!(heads[0].contains(&format!("host: 127.0.0.1:{port}\r\n")), "{heads:?}");
    assert!(header(&heads[0], "authorization").is_none());
    for (location, problem) in [
        ("location: https://evil.example/?sig=SECRET\r\n", "evil.example"),
        ("location: http://10.0.0.1/?sig=SECRET\r\n", "not https"),
        ("location: relative\r\n", "without end"),
        ("location: //evil.example/x?sig=SECRET\r\n", "not https"),
        ("", "leads nowhere"),
        ("location: /again?sig=SECRET\r\n", "without end"),
    ] {
        let scene = Scene::new(move |_, _, peer| send(peer, "302 Found", location, 0, b""));
        let outcome = scene.run(&[]);
        assert!(!outcome.text.contains("SECRET"), "{}", outcome.text);
        let error = outcome.error("protocol");
        assert!(error["message"].as_str().unwrap().contains(problem), "{error}");
        assert!(scene.host.heads().len() <= 4);
    }
}

#[test]
fn a_busy_host_is_retried_after_its_wait() {
    let content = package(100_000, 16);
    let served = content.clone();
    let scene = Scene::new(move |number, head, peer| match number {
        0 => send(peer, "503 Busy", "retry-after: 1\r\nx-ms-error-code: ServerBusy\r\n", 0, b""),
        1 => send(peer, "429 Slow down", "retry-after: 1\r\n", 0, b""),
        _ => send_file(peer, head, &served, "\"1\"", served.len()),
    });
    let start = Instant::now();
    arrived(scene.run(&[]), &scene.folder, &content);
    assert!(start.elapsed() >= Duration::from_secs(2));
    assert_eq!(links_asked_for(&scene.sim), 1);
}

#[test]
fn a_stopped_download_keeps_its_part() {
    let content = package(2_000_000, 17);
    let served = content.clone();
    let scene = Scene::new(move |_, head, peer| {
        send_file(peer, head, &served, "\"1\"", first_byte(head).unwrap_or_default() + 500_000);
        std::thread::sleep(Duration::from_secs(5));
    });
    let client = patient(&scene.sim, &[]);
    let stops: [(&str, &dyn Fn() -> Outcome); 3] = [
        ("cancelled", &|| {
            let cancel = Cancel::new(0);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(400));
                    cancel.trigger();
                });
                client.download_until(&scene.id, &scene.folder.file(), Some(&cancel), |_| 0)
            })
        }),
        ("deadline", &|| scene.run(&[("wait_timeout_ms", "700")])),
        ("cancelled", &|| {
            client.download_until(&scene.id, &scene.folder.file(), None, |event| {
                i32::from(
                    event["stage"] == "download" && event["bytes"].as_u64() >= Some(1_000_000),
                )
            })
        }),
    ];
    for (nth, (name, stop)) in stops.iter().enumerate() {
        let start = Instant::now();
        let error = stop().error(name);
        assert!(start.elapsed() < Duration::from_secs(2), "{name}");
        assert_eq!((&error["stage"], &error["action_id"]), (&json!("download"), &json!(scene.id)));
        let kept = fs::metadata(scene.folder.0.join("package.zip.part")).unwrap().len();
        assert_eq!(kept, [500_000, 1_000_000, 1_000_000][nth], "{name}");
    }
    let served = content.clone();
    let whole =
        FileHost::start(move |_, head, peer| send_file(peer, head, &served, "\"1\"", served.len()));
    scene.sim.clear_script();
    lead_to(&scene.sim, &whole.link());
    arrived(scene.run(&[]), &scene.folder, &content);
    assert_eq!(first_byte(&whole.heads()[0]), Some(1_000_000));
}

#[test]
fn a_download_may_take_longer_than_a_request() {
    let content = package(500_000, 18);
    let served = content.clone();
    let scene = Scene::new(move |_, _, peer| {
        send(peer, "200 OK", "", served.len(), &[]);
        for piece in served.chunks(100_000) {
            std::thread::sleep(Duration::from_millis(300));
            let _ = peer.write_all(piece);
        }
    });
    arrived(scene.run(&[("timeout_ms", "1000")]), &scene.folder, &content);
}
