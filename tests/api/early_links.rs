//! Links that are not valid yet: the clocks of two hosts differ, or the package has not reached every host.

use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use mde_tests::client;
use mde_tests::packages::{
    Folder, arrived, collections_asked_for, lead_to, links_asked_for, package, quick,
};
use mde_tests::peers::file_host::{FileHost, send, send_file};
use mde_tests::peers::scene::Scene;

/// The refusal of Azure Storage for a link whose time begins and ends so many seconds from now.
fn outside_of_its_time(peer: &mut TcpStream, start: i64, expiry: i64) {
    let now = SystemTime::now();
    let date = |offset: i64| {
        let by = Duration::from_secs(offset.unsigned_abs());
        httpdate::fmt_http_date(if offset < 0 { now - by } else { now + by })
    };
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code><Message>Server failed.\nTime:x</Message>\
         <AuthenticationErrorDetail>Signature not valid in the specified time frame: Start [{}] - Expiry [{}] - \
         Current [{}]</AuthenticationErrorDetail></Error>",
        date(start),
        date(expiry),
        date(0)
    );
    send(peer, "403 Forbidden", "", body.len(), body.as_bytes());
}

#[test]
fn a_young_link_is_tried_again_before_another_one_is_asked_for() {
    type Refusal = fn(&mut TcpStream);
    // What is refused, how often, and how many links that costs.
    let cases: [(Refusal, usize, usize); 6] = [
        (|peer| send(peer, "403 Forbidden", "", 0, b""), 2, 1),
        (|peer| send(peer, "401 Unauthorized", "", 4, b"nbf?"), 1, 1),
        (|peer| send(peer, "404 Not Found", "x-ms-error-code: BlobNotFound\r\n", 0, b""), 1, 1),
        (|peer| outside_of_its_time(peer, 2, 62), 1, 1),
        // These do not become valid.
        (|peer| outside_of_its_time(peer, -90, -30), 1, 2),
        (|peer| send(peer, "410 Gone", "", 0, b""), 1, 2),
    ];
    let content = package(200_000, 31);
    for (number, (refuse, times, links)) in cases.into_iter().enumerate() {
        let served = content.clone();
        let scene = Scene::new(move |count, head, peer| match count < times {
            true => refuse(peer),
            false => send_file(peer, head, &served, "\"1\"", served.len()),
        });
        // A patience for links is not counted among the retries.
        arrived(scene.run(&[("max_retries", "1")]), &scene.folder, &content);
        assert_eq!(scene.host.heads().len(), times + 1, "case {number}");
        assert_eq!(links_asked_for(&scene.sim), links, "case {number}");
    }
}

#[test]
fn every_link_of_a_download_gets_its_patience() {
    let content = package(900_000, 32);
    let served = content.clone();
    // Each link is refused twice, then gives a piece, and then expires.
    let scene = Scene::new(move |count, head, peer| match count % 4 {
        0 | 1 => send(peer, "403 Forbidden", "", 0, b""),
        2 => send_file(peer, head, &served, "\"1\"", [300_000, 600_000, served.len()][count / 4]),
        _ => send(peer, "403 Forbidden", "", 0, b""),
    });
    arrived(scene.run(&[]), &scene.folder, &content);
    assert_eq!((links_asked_for(&scene.sim), scene.host.heads().len()), (3, 11));
}

#[test]
fn without_retries_or_time_there_is_no_patience() {
    for options in [[("max_retries", "0")], [("wait_timeout_ms", "900")]] {
        let scene = Scene::new(|_, _, peer| send(peer, "403 Forbidden", "", 0, b""));
        scene.run(&options).error_in(&["forbidden", "deadline"]);
        let requests = scene.host.heads().len();
        assert_eq!(requests, links_asked_for(&scene.sim), "{options:?}");
    }
}

#[test]
fn a_package_that_is_late_costs_no_second_collection() {
    let (sim, folder, content) = (quick(), Folder::new(), package(100_000, 33));
    let served = content.clone();
    let host = FileHost::start(move |count, head, peer| match count {
        0 => send(peer, "404 Not Found", "x-ms-error-code: BlobNotFound\r\n", 0, b""),
        _ => send_file(peer, head, &served, "\"1\"", served.len()),
    });
    lead_to(&sim, &host.link());
    let options = [("poll_interval_ms", "100"), ("max_retries", "2")];
    arrived(
        client(&sim, &options).fetch(&sim.machine_id(0), "x", &folder.path()),
        &folder,
        &content,
    );
    assert_eq!((collections_asked_for(&sim), links_asked_for(&sim)), (1, 1));
}
