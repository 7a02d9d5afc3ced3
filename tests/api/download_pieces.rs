//! Downloads in pieces: they resume where the connection broke, or start over where they must.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use mde_tests::packages::{arrived, links_asked_for, package, patient};
use mde_tests::peers::file_host::{first_byte, header, reset, send, send_file};
use mde_tests::peers::scene::Scene;
use serde_json::json;

#[test]
fn a_download_resumes_where_the_connection_broke() {
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
        // The link was still valid, so no other was requested.
        assert_eq!(links_asked_for(&scene.sim), 1);
    }
}

#[test]
fn another_call_resumes_only_a_part_of_its_own_action() {
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

    // A part without a state file, or of another action, is not resumed.
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
fn wrong_answers_to_ranges_do_no_harm() {
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
fn a_changed_package_is_never_mixed_with_the_previous_one() {
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
fn a_damaged_part_is_downloaded_again() {
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
    // Links that never lead anywhere are given up after the usual number of them. The first one is tried three times more,
    // where it may not be valid yet.
    for (status, name, links, attempts) in [
        ("403 Forbidden", "forbidden", 3, 6),
        ("200 OK", "broken", 3, 3),
        ("410 Gone", "not_found", 3, 3),
        ("404 Not Found", "not_found", 1, 4),
    ] {
        let body = if status.starts_with("200") { "" } else { XML };
        let scene = Scene::new(move |_, _, peer| {
            send(peer, status, "x-ms-request-id: r-1\r\n", body.len(), body.as_bytes());
        });
        let outcome = scene.run(&[("max_retries", "2")]);
        assert!(!outcome.text.contains("SECRET"), "{}", outcome.text);
        let error = outcome.error(name);
        let asked_for = (&error["attempts"], links_asked_for(&scene.sim));
        assert_eq!(asked_for, (&json!(attempts), links), "{status}");
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
fn a_truncated_body_is_detected_in_every_framing() {
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

/// A host may send less than was requested, again and again. The callback's rate does not change.
#[test]
fn many_small_replies_send_events_at_the_usual_rate() {
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
fn every_framing_yields_the_whole_package() {
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
