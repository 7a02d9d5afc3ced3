//! A download to a disk that is too small.

use std::fs;
use std::path::Path;
use std::process::Command;

use mde_tests::packages::{Folder, fresh_script, lead_to, package, patient, service};
use mde_tests::peers::nginx::Nginx;
use serde_json::json;

/// Fills a small disk twice, and resumes when there is room. It may be mounted at `place`.
pub fn fills_up(place: &Path) {
    let mount = |arguments: &[&str]| {
        let status = Command::new("mount").args(arguments).arg(place).status().unwrap();
        assert!(status.success(), "mount");
    };
    let content = package(3_000_000, 28);
    let home = Folder::new();
    let nginx = Nginx::start(&home.0, "location /chunked/ { alias www/; gzip on; }");
    nginx.put("p.zip", &content);
    let (sim, id) = service("Succeeded");
    mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"]);
    let file = place.join("package.zip");
    let part = place.join("package.zip.part");
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
    println!("the disk was full twice");
}
