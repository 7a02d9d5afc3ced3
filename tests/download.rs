//! Links and downloads: every way a package can come, fail to come, or come in pieces.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "peers/file_host.rs"]
mod file_host;
mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use file_host::{FileHost, first_byte, header, reset, send, send_file};
use mde_simulator::Simulator;
use serde_json::json;
use support::packages::{
    Folder, arrived, lead_to, links_asked_for, package, patient, service, sha256,
};
use support::{Cancel, Outcome};

/// A whole set-up in which the links lead to a host of the test's own.
struct Scene {
    sim: Simulator,
    id: String,
    host: FileHost,
    folder: Folder,
}

impl Scene {
    fn new(
        answer: impl Fn(usize, &str, &mut std::net::TcpStream) + Send + Sync + 'static,
    ) -> Scene {
        let (sim, id) = service("Succeeded");
        let host = FileHost::start(answer);
        lead_to(&sim, &host.link());
        Scene { sim, id, host, folder: Folder::new() }
    }

    fn run(&self, more: &[(&str, &str)]) -> Outcome {
        patient(&self.sim, more).download(&self.id, &self.folder.file())
    }
}

// ---- links --------------------------------------------------------------------------------------

#[test]
fn a_link_is_given_without_its_quotation_marks_and_otherwise_as_it_is() {
    let (sim, id) = service("Succeeded");
    let link = "https://userrequests-us.securitycenter.windows.com:443/safedownload/\
        WDATP_Investigation_Package.zip?token=ab%2fcd%2bef%3d%3B%3dGH~*";
    for value in [link.to_owned(), format!("\"{link}\"")] {
        sim.clear_script();
        lead_to(&sim, &value);
        assert_eq!(patient(&sim, &[]).package_uri(&id).ok()["uri"], link);
    }
}

#[test]
fn a_link_to_a_strange_host_is_refused_and_not_shown() {
    let (sim, id) = service("Succeeded");
    for (link, problem) in [
        ("https://evil.example/p?sig=SECRET", "evil.example"),
        ("http://api.security.microsoft.com/p?sig=SECRET", "not https"),
        ("https://user:SECRET@api.security.microsoft.com/p", "login"),
        ("ftp://api.security.microsoft.com/p?sig=SECRET", "not https"),
        ("//SECRET", "no scheme"),
        ("", "no link"),
    ] {
        sim.clear_script();
        lead_to(&sim, link);
        let folder = Folder::new();
        for outcome in
            [patient(&sim, &[]).package_uri(&id), patient(&sim, &[]).download(&id, &folder.file())]
        {
            assert!(!outcome.text.contains("SECRET"), "{}", outcome.text);
            let error = outcome.error("protocol");
            assert_eq!(error["stage"], "link");
            assert_eq!(error["action_id"], id.as_str());
            assert!(error["message"].as_str().unwrap().contains(problem), "{error}");
        }
        assert!(folder.names().is_empty(), "nothing is left where nothing was fetched");
    }
    // With the option it is another matter.
    sim.clear_script();
    lead_to(&sim, "https://evil.example/p?sig=x");
    patient(&sim, &[("download_hosts", "a.example, evil.example")]).package_uri(&id).ok();
}

#[test]
fn every_state_has_its_answer_and_only_success_costs_a_link() {
    for (state, name) in [
        ("Pending", "not_ready"),
        ("InProgress", "not_ready"),
        ("Paused", "not_ready"),
        ("Failed", "action_failed"),
        ("TimeOut", "action_timed_out"),
        ("Cancelled", "action_cancelled"),
    ] {
        let (sim, id) = service("Pending");
        let folder = Folder::new();
        let mut action = sim.actions()[0].clone();
        action["status"] = state.into();
        sim.script(json!([
            {"match": {"path_contains": "getPackageUri"}, "times": 0, "reply": {"status": 404,
                "json": {"error": {"code": "ResourceNotFound", "message": "m", "target": "t"}}}},
            {"match": {"path_contains": id}, "times": 0, "reply": {"status": 200, "json": action}}]))
            .unwrap();
        let client = patient(&sim, &[]);
        for stage in ["download", "link"] {
            let outcome = match stage {
                "link" => client.package_uri(&id),
                _ => client.download(&id, &folder.file()),
            };
            assert_eq!(links_asked_for(&sim), usize::from(stage == "link"), "{state}");
            let error = outcome.error(name);
            assert_eq!(
                (&error["stage"], &error["action"]["status"]),
                (&json!(stage), &json!(state))
            );
            assert_eq!(
                (&error["action_id"], &error["retryable"]),
                (&json!(id), &json!(name == "not_ready"))
            );
        }
        assert!(folder.names().is_empty());
    }
}

#[test]
fn unknown_actions_and_other_kinds_of_action_say_so() {
    let (sim, _) = service("Succeeded");
    let unknown = "5382f7ea-7557-4ab7-9782-d50480024a4e";
    let client = patient(&sim, &[]);
    client.package_uri(unknown).error("not_found");
    client.download(unknown, &Folder::new().file()).error("not_found");
    let scan = sim.add_action(json!({"type": "RunAntiVirusScan"})).unwrap();
    let error = client.package_uri(scan["id"].as_str().unwrap()).error("bad_request");
    assert_eq!(
        (&error["service_code"], &error["http_status"]),
        (&json!("InvalidInput"), &json!(400))
    );
    assert!(
        error["message"].as_str().unwrap().contains("only the action of a collection"),
        "{error}"
    );
}

#[test]
fn a_link_that_follows_success_after_a_moment_is_waited_for() {
    let (sim, id) = service("Succeeded");
    sim.script(
        json!({"match": {"path_contains": "getPackageUri"}, "times": 2, "reply": {"status": 404}}),
    )
    .unwrap();
    patient(&sim, &[]).package_uri(&id).ok();
    assert_eq!(links_asked_for(&sim), 3);
    // But not for ever.
    sim.script(
        json!({"match": {"path_contains": "getPackageUri"}, "times": 0, "reply": {"status": 404}}),
    )
    .unwrap();
    let error = patient(&sim, &[("timeout_ms", "3000")]).package_uri(&id).error("not_ready");
    assert_eq!(error["action"]["status"], "Succeeded");
}

// ---- whole --------------------------------------------------------------------------------------

#[test]
fn a_package_arrives_whole_under_its_name_only() {
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
fn the_request_is_byte_for_byte_what_the_link_says() {
    let content = package(1_000, 1);
    let served = content.clone();
    let scene = Scene::new(move |_, head, peer| {
        send_file(peer, head, &served, "\"1\"", served.len());
    });
    arrived(scene.run(&[("user_agent", "Agent/2.1")]), &scene.folder, &content);
    let expected = format!(
        "GET /safedownload/p.zip?token=a%2fB%3d%3D;x%2b HTTP/1.1\r\nuser-agent: Agent/2.1 mde/{}\r\n\
         accept: */*\r\naccept-encoding: identity\r\nhost: 127.0.0.1:{}\r\n\r\n",
        env!("CARGO_PKG_VERSION"),
        scene.host.port
    );
    assert_eq!(scene.host.heads(), [expected]);
}

#[test]
fn the_same_call_again_finds_its_work_done() {
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
fn nothing_that_exists_is_replaced_even_if_it_appears_meanwhile() {
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
fn paths_that_cannot_be_used_cost_no_link() {
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
fn tricks_with_links_in_the_file_system_do_not_work() {
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
fn one_download_at_a_time_works_on_a_path() {
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

// ---- in pieces ----------------------------------------------------------------------------------

#[test]
fn a_lost_connection_is_carried_on_where_it_broke() {
    let content = package(3_000_000, 4);
    for ends_with_reset in [false, true] {
        let served = content.clone();
        let scene = Scene::new(move |number, head, peer| {
            let until = [400_000, 1_500_000, served.len()][number];
            send_file(peer, head, &served, "\"v1\"", until);
            if ends_with_reset && until < served.len() {
                // What a reset overtakes is lost.
                std::thread::sleep(Duration::from_millis(300));
                reset(peer);
            }
        });
        arrived(scene.run(&[]), &scene.folder, &content);
        let heads = scene.host.heads();
        assert_eq!(heads.len(), 3);
        let ranges: Vec<_> = heads.iter().map(|head| first_byte(head)).collect();
        assert_eq!(ranges, [None, Some(400_000), Some(1_500_000)]);
        assert_eq!(header(&heads[1], "if-range"), Some("\"v1\""));
        // The link still led there, so no other was asked for.
        assert_eq!(links_asked_for(&scene.sim), 1);
    }
}

#[test]
fn another_call_carries_on_and_a_part_of_another_action_does_not_mix_in() {
    let content = package(1_000_000, 5);
    let served = content.clone();
    let scene = Scene::new(move |number, head, peer| {
        let until = if number == 0 { 300_000 } else { served.len() };
        send_file(peer, head, &served, "\"v1\"", until);
    });
    let error = scene.run(&[("max_retries", "0")]).error("broken");
    assert_eq!((&error["stage"], &error["retryable"]), (&json!("download"), &json!(true)));
    assert_eq!(error["action"]["status"], "Succeeded");
    assert_eq!(scene.folder.names(), ["package.zip.part", "package.zip.part.json"]);
    let part = scene.folder.0.join("package.zip.part");
    assert_eq!(fs::metadata(&part).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read(&part).unwrap(), content[..300_000]);
    arrived(scene.run(&[]), &scene.folder, &content);
    assert_eq!(first_byte(&scene.host.heads()[1]), Some(300_000));

    // A part without notes, or of another action, is nothing to build on.
    for notes in [None, Some(json!({"action_id": "other", "total": content.len()}))] {
        fs::remove_file(scene.folder.file()).unwrap();
        fs::write(&part, &content[..500_000]).unwrap();
        if let Some(notes) = notes {
            fs::write(scene.folder.0.join("package.zip.part.json"), notes.to_string()).unwrap();
        }
        arrived(scene.run(&[]), &scene.folder, &content);
        assert_eq!(first_byte(scene.host.heads().last().unwrap()), None);
    }
}

#[test]
fn hosts_that_get_ranges_wrong_do_no_harm() {
    let content = package(1_000_000, 6);
    // What is answered to the request for the rest.
    type Wrong = fn(&mut std::net::TcpStream, &[u8]);
    let cases: [(&str, Wrong); 6] = [
        ("no ranges", |peer, file| send(peer, "200 OK", "", file.len(), file)),
        ("another range", |peer, file| {
            let range = format!("content-range: bytes 0-{}/{}\r\n", file.len() - 1, file.len());
            send(peer, "206 Partial Content", &range, file.len(), file);
        }),
        ("no content-range", |peer, file| {
            send(peer, "206 Partial Content", "", file.len() - 300_000, &file[300_000..]);
        }),
        ("a range that is off by one", |peer, file| {
            let range =
                format!("content-range: bytes 300001-{}/{}\r\n", file.len() - 1, file.len());
            send(peer, "206 Partial Content", &range, file.len() - 300_001, &file[300_001..]);
        }),
        ("a range that does not fit its length", |peer, file| {
            let range =
                format!("content-range: bytes 300000-{}/{}\r\n", file.len() - 1, file.len());
            send(peer, "206 Partial Content", &range, 10, &file[300_000..300_010]);
        }),
        ("416 without reason", |peer, _| send(peer, "416 Range Not Satisfiable", "", 0, b"")),
    ];
    for (name, wrong) in cases {
        let served = content.clone();
        let scene = Scene::new(move |number, head, peer| match number {
            0 => send(peer, "200 OK", "", served.len(), &served[..300_000]),
            1 => wrong(peer, &served),
            _ => {
                assert!(first_byte(head).is_none(), "{head}");
                send(peer, "200 OK", "", served.len(), &served);
            }
        });
        eprintln!("{name}");
        arrived(scene.run(&[]), &scene.folder, &content);
        assert_eq!(first_byte(&scene.host.heads()[1]), Some(300_000), "{name}");
    }
    // A host that gives the rest in small helpings is welcome to.
    let served = content.clone();
    let scene = Scene::new(move |number, head, peer| match (number, first_byte(head)) {
        (0, _) => send(peer, "200 OK", "", served.len(), &served[..300_000]),
        (_, first) => {
            let first = first.unwrap();
            let end = (first + 100_000).min(served.len());
            let range = format!("content-range: bytes {first}-{}/{}\r\n", end - 1, served.len());
            send(peer, "206 Partial Content", &range, end - first, &served[first..end]);
        }
    });
    arrived(scene.run(&[]), &scene.folder, &content);
}

#[test]
fn a_package_that_changes_is_never_mixed_with_the_one_before() {
    let (old, new) = (package(900_000, 7), package(900_000, 8));
    // The tag alone tells, since this host does not heed If-Range; or the host does, and sends it all.
    for heeds in [false, true] {
        let (before, after) = (old.clone(), new.clone());
        let scene = Scene::new(move |number, head, peer| match number {
            0 => send_file(peer, head, &before, "\"old\"", 500_000),
            _ if heeds => send_file(peer, head, &after, "\"new\"", after.len()),
            _ => {
                let blind = head.replace("if-range", "x-ignored");
                send_file(peer, &blind, &after, "\"new\"", after.len());
            }
        });
        arrived(scene.run(&[]), &scene.folder, &new);
        assert_eq!(header(&scene.host.heads()[1], "if-range"), Some("\"old\""));
    }
    // One that changes each time is given up.
    let content = old.clone();
    let scene = Scene::new(move |number, head, peer| {
        let blind = head.replace("if-range", "x-ignored");
        send_file(peer, &blind, &content, &format!("\"{number}\""), 500_000);
    });
    let error = scene.run(&[]).error_in(&["integrity", "broken"]);
    assert_eq!(error["retryable"], true);
    assert!(scene.host.heads().len() < 12);
    assert!(!scene.folder.file().exists());
}

#[test]
fn a_whole_part_needs_no_link_and_416_can_mean_that() {
    let content = package(400_000, 9);
    let served = content.clone();
    let scene = Scene::new(move |_, head, peer| {
        assert_eq!(first_byte(head), Some(served.len()));
        let range = format!("content-range: bytes */{}\r\n", served.len());
        send(peer, "416 Range Not Satisfiable", &range, 0, b"");
    });
    let part = scene.folder.0.join("package.zip.part");
    let notes = scene.folder.0.join("package.zip.part.json");
    for (total, links) in [(Some(content.len()), 0), (None, 1)] {
        fs::write(&part, &content).unwrap();
        fs::write(&notes, json!({"action_id": scene.id, "total": total}).to_string()).unwrap();
        arrived(scene.run(&[]), &scene.folder, &content);
        assert_eq!(links_asked_for(&scene.sim), links);
        fs::remove_file(scene.folder.file()).unwrap();
    }
}

#[test]
fn a_part_that_rotted_is_fetched_again() {
    let content = package(400_000, 10);
    let served = content.clone();
    let scene = Scene::new(move |_, head, peer| {
        send_file(peer, head, &served, "\"1\"", served.len());
    });
    // As a power failure may leave it: the length is right, the content is not.
    fs::write(scene.folder.0.join("package.zip.part"), vec![0; 100_000]).unwrap();
    let notes = json!({"action_id": scene.id, "etag": "\"1\"", "total": content.len()});
    fs::write(scene.folder.0.join("package.zip.part.json"), notes.to_string()).unwrap();
    arrived(scene.run(&[]), &scene.folder, &content);
    assert_eq!(scene.host.heads().len(), 2);
}

#[test]
fn an_expired_link_is_followed_by_a_new_one() {
    let content = package(1_000_000, 11);
    const XML: &str = "\u{feff}<?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code><Message>Server \
        failed to authenticate the request.\nRequestId:1</Message><AuthenticationErrorDetail>sig=SECRET\
        </AuthenticationErrorDetail></Error>";
    type Expired = fn(&mut std::net::TcpStream);
    let cases: [Expired; 5] = [
        |peer| send(peer, "403 Forbidden", "x-ms-request-id: r-1\r\n", XML.len(), XML.as_bytes()),
        |peer| send(peer, "410 Gone", "", 0, b""),
        |peer| send(peer, "200 OK", "", 0, b""),
        |peer| {
            drop(peer.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"))
        },
        |peer| drop(peer.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")),
    ];
    for expired in cases {
        let served = content.clone();
        let scene = Scene::new(move |number, head, peer| match number {
            0 => send_file(peer, head, &served, "\"1\"", 300_000),
            1 => expired(peer),
            _ => send_file(peer, head, &served, "\"1\"", served.len()),
        });
        // The new link is no retry.
        arrived(scene.run(&[("max_retries", "1")]), &scene.folder, &content);
        assert_eq!(links_asked_for(&scene.sim), 2);
        assert_eq!(first_byte(&scene.host.heads()[2]), Some(300_000));
    }
    // Links that never lead anywhere are given up after the usual number of attempts.
    for (status, name) in
        [("403 Forbidden", "forbidden"), ("200 OK", "broken"), ("404 Gone", "not_found")]
    {
        let body = if status.starts_with("200") { "" } else { XML };
        let scene = Scene::new(move |_, _, peer| {
            send(peer, status, "x-ms-request-id: r-1\r\n", body.len(), body.as_bytes());
        });
        let outcome = scene.run(&[("max_retries", "2")]);
        assert!(!outcome.text.contains("SECRET"), "{}", outcome.text);
        let error = outcome.error(name);
        let attempts = if name == "not_found" { 1 } else { 3 };
        assert_eq!((&error["attempts"], links_asked_for(&scene.sim)), (&json!(attempts), attempts));
        assert_eq!(error["stage"], "download");
        if name == "forbidden" {
            assert_eq!(
                (&error["service_code"], &error["request_id"]),
                (&json!("AuthenticationFailed"), &json!("r-1"))
            );
        }
        assert!(scene.folder.names().is_empty());
    }
}

#[test]
fn an_early_end_is_noticed_in_every_framing() {
    let content = package(600_000, 12);
    type Cut = fn(&mut std::net::TcpStream, &[u8]);
    let cuts: [(&str, Cut); 4] = [
        ("length", |peer, file| send(peer, "200 OK", "", file.len(), &file[..200_000])),
        ("chunked", |peer, file| {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n30d40\r\n";
            let _ = peer.write_all(head.as_bytes());
            let _ = peer.write_all(&file[..0x30d40]);
            let _ = peer.write_all(b"\r\n");
        }),
        ("close", |peer, file| {
            let _ = peer.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
            let _ = peer.write_all(&file[..200_000]);
        }),
        ("close, reset", |peer, file| {
            let _ = peer.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
            let _ = peer.write_all(&file[..200_000]);
            std::thread::sleep(Duration::from_millis(300));
            reset(peer);
        }),
    ];
    for (framing, cut) in cuts {
        // Once, and then the whole: whatever the framing, the whole arrives.
        let served = content.clone();
        let scene = Scene::new(move |number, _, peer| match number {
            0 => cut(peer, &served),
            _ => send(peer, "200 OK", "", served.len(), &served),
        });
        eprintln!("{framing}");
        arrived(scene.run(&[]), &scene.folder, &content);
        // Always: no file.
        let served = content.clone();
        let scene = Scene::new(move |_, _, peer| cut(peer, &served));
        let error = scene.run(&[("max_retries", "1")]).error_in(&["broken", "integrity"]);
        assert_eq!(error["name"] == "integrity", framing == "close", "{error}");
        assert!(!scene.folder.file().exists(), "{framing}");
    }
}

/// A host may send less than was asked for, again and again; the callback's pace stays what it is.
#[test]
fn many_small_replies_are_told_at_the_usual_pace() {
    let content = package(400_000, 15);
    let served = content.clone();
    let scene = Scene::new(move |_, head, peer| match first_byte(head) {
        None => send(peer, "200 OK", "etag: \"1\"\r\n", served.len(), &served[..2_000]),
        Some(from) => {
            let to = served.len().min(from + 2_000);
            let range = format!(
                "content-range: bytes {from}-{}/{}\r\netag: \"1\"\r\n",
                to - 1,
                served.len()
            );
            send(peer, "206 Partial Content", &range, to - from, &served[from..to]);
        }
    });
    let (began, mut events) = (Instant::now(), 0);
    let client = patient(&scene.sim, &[]);
    let outcome = client.download_until(&scene.id, &scene.folder.file(), None, |_| {
        events += 1;
        0
    });
    let seconds = began.elapsed().as_secs_f64();
    arrived(outcome, &scene.folder, &content);
    assert!(scene.host.heads().len() > 190);
    assert!(f64::from(events) <= 10.0 + 10.0 * seconds, "{events} events in {seconds} s");
}

#[test]
fn every_framing_brings_the_whole() {
    let content = package(600_000, 13);
    for chunked in [false, true] {
        let served = content.clone();
        let scene = Scene::new(move |_, _, peer| {
            if chunked {
                let _ = peer.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
                for chunk in served.chunks(77_777) {
                    let _ = peer.write_all(format!("{:x}\r\n", chunk.len()).as_bytes());
                    let _ = peer.write_all(chunk);
                    let _ = peer.write_all(b"\r\n");
                }
                let _ = peer.write_all(b"0\r\n\r\n");
            } else {
                let _ = peer.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
                let _ = peer.write_all(&served);
            }
        });
        arrived(scene.run(&[]), &scene.folder, &content);
    }
}

// ---- limits, stops and what else goes wrong -----------------------------------------------------

#[test]
fn a_package_that_is_too_large_is_refused_before_or_while_it_comes() {
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
fn what_is_no_zip_gets_no_name() {
    for junk in ["<html>sign in</html>", "PK\u{3}\u{4} and no more", "PK"] {
        let scene = Scene::new(move |_, _, peer| {
            send(peer, "200 OK", "", junk.len(), junk.as_bytes());
        });
        let error = scene.run(&[]).error("integrity");
        assert_eq!((&error["stage"], &error["retryable"]), (&json!("verify"), &json!(false)));
        assert!(scene.folder.names().is_empty());
    }
}

#[test]
fn an_encoded_body_is_not_taken_for_the_file() {
    let scene = Scene::new(|_, _, peer| send(peer, "200 OK", "content-encoding: br\r\n", 2, b"PK"));
    scene.run(&[]).error("protocol");
}

#[test]
fn a_kept_connection_that_ends_under_a_redirected_request_costs_no_second_use_of_the_link() {
    let content = package(100_000, 16);
    let served = content.clone();
    let came_again = Arc::new(AtomicBool::new(false));
    let came = Arc::clone(&came_again);
    let scene = Scene::new(move |number, head, peer| match number {
        0 => {
            send(peer, "307 Temporary Redirect", "location: /else\r\n", 0, b"");
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
fn redirects_are_followed_to_allowed_hosts_and_take_no_token_along() {
    let content = package(100_000, 15);
    let served = content.clone();
    let end =
        FileHost::start(move |_, head, peer| send_file(peer, head, &served, "\"1\"", served.len()));
    let (absolute, port) = (format!("location: {}\r\n", end.link()), end.port);
    let scene = Scene::new(move |number, _, peer| match number {
        0 => send(peer, "307 Temporary Redirect", "location: /else?where=%2f\r\n", 0, b""),
        _ => send(peer, "302 Found", &absolute, 0, b""),
    });
    arrived(scene.run(&[]), &scene.folder, &content);
    assert!(scene.host.heads()[1].starts_with("GET /else?where=%2f HTTP/1.1\r\n"));
    let heads = end.heads();
    assert!(heads[0].contains(&format!("host: 127.0.0.1:{port}\r\n")), "{heads:?}");
    assert!(header(&heads[0], "authorization").is_none());
    for (location, problem) in [
        ("location: https://evil.example/?sig=SECRET\r\n", "evil.example"),
        ("location: http://10.0.0.1/?sig=SECRET\r\n", "not https"),
        ("location: relative\r\n", ""),
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
fn a_busy_host_is_asked_again_when_it_says() {
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
fn a_stop_in_the_middle_keeps_what_is_there() {
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
fn a_download_may_take_longer_than_a_single_request() {
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
