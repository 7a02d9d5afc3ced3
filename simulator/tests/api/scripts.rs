use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::{Caller, raw, send};
use crate::instant;

#[test]
fn replies_can_be_scripted() {
    let sim = instant();
    let caller = Caller::new(&sim);
    sim.script(json!({
        "match": {"method": "GET", "path_contains": "/machines"},
        "skip": 1,
        "reply": {"status": 503, "headers": {"Retry-After": 3, "X": ["a", "b"]}, "json": {"a": 1}},
    }))
    .unwrap();
    assert_eq!(caller.get("/api/machines").status, 200);
    let got = caller.get("/api/machines");
    assert_eq!((got.status, got.header("retry-after")), (503, Some("3")));
    assert_eq!(got.headers.iter().filter(|(n, _)| n == "X").count(), 2);
    assert_eq!(got.header("content-length"), Some("7"));
    assert_eq!(got.json(), json!({"a": 1}));
    assert_eq!(caller.get("/api/machines").status, 200);
    let statuses: Vec<u16> = sim.requests().iter().map(|r| r.status).collect();
    assert_eq!(statuses, [200, 200, 503, 200]);
    sim.script(json!({"reply": {"body_base64": "AP8=", "chunked": true}})).unwrap();
    let got = caller.get("/anything");
    assert_eq!((got.body.as_slice(), got.complete), (&[0, 255][..], true));
    assert_eq!(got.header("transfer-encoding"), Some("chunked"));
    assert!(sim.script(json!({"replay": {}})).unwrap_err().contains("replay"));
}

#[test]
fn a_request_can_be_performed_and_its_reply_lost() {
    let sim = instant();
    let caller = Caller::new(&sim);
    let rule = json!({
        "match": {"path_contains": "collectinvestigationpackage"},
        "process": true, "close": "before_reply",
    });
    sim.script(rule).unwrap();
    let path = format!("/api/machines/{}/collectInvestigationPackage", sim.machine_id(0));
    let body = Some(r#"{"Comment":"x"}"#);
    let kind = [("Content-Type", "application/json")];
    assert!(caller.send("POST", &path, &kind, body).is_none());
    assert_eq!(sim.actions().len(), 1);
    let entry = sim.requests().pop().unwrap();
    assert_eq!((entry.status, entry.endpoint.as_str()), (0, "collect"));
    assert_eq!(entry.body, r#"{"Comment":"x"}"#);
    // Without `process`, nothing happens.
    sim.script(json!({"close": "before_reply"})).unwrap();
    assert!(caller.send("POST", &path, &kind, body).is_none());
    assert_eq!(sim.actions().len(), 1);
    assert_eq!(
        raw(sim.origin(), "GET /api HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[..8],
        *b"HTTP/1.1"
    );
}

#[test]
fn bodies_can_be_cut() {
    let sim = instant();
    let caller = Caller::new(&sim);
    let full = "0123456789".repeat(10);
    for chunked in [false, true] {
        sim.script(json!({"reply": {"body": full, "truncate_after": 42, "chunked": chunked}}))
            .unwrap();
        let got = caller.get("/api/machines");
        assert_eq!((got.status, got.text(), got.complete), (200, full[..42].to_owned(), false));
        let length = if chunked { None } else { Some("100") };
        assert_eq!(got.header("content-length"), length);
    }
    // Nothing of a long part may be lost, and a cut at zero still sends the head.
    for cut in [0_usize, 5_000_000] {
        sim.script(json!({"reply":
            {"repeat": {"text": "0123456789", "count": 1_000_000}, "truncate_after": cut}}))
            .unwrap();
        let got = caller.get("/api/machines");
        assert_eq!((got.body.len(), got.complete), (cut, false));
        assert_eq!(got.header("content-length"), Some("10000000"));
    }
}

#[test]
fn bodies_can_be_long_and_slow() {
    let sim = instant();
    let caller = Caller::new(&sim);
    sim.script(json!({"reply": {"repeat": {"text": "[", "count": 20_000_003}}})).unwrap();
    let got = caller.get("/api/machines");
    assert_eq!((got.body.len(), got.complete), (20_000_003, true));
    assert!(got.body.iter().all(|b| *b == b'['));
    sim.script(json!({"reply": {"repeat": {"text": "abc", "count": 100_000}, "chunked": true}}))
        .unwrap();
    let got = caller.get("/api/machines");
    assert!(got.complete && got.text() == "abc".repeat(100_000));
    sim.script(json!({"reply": {"body": "abcdef", "drip": {"bytes": 2, "every_ms": 60}}})).unwrap();
    let start = Instant::now();
    assert_eq!(caller.get("/api/machines").text(), "abcdef");
    assert!(start.elapsed() >= Duration::from_millis(120), "{:?}", start.elapsed());
}

#[test]
fn replies_can_be_late_or_never_come() {
    let sim = instant();
    let caller = Caller::new(&sim);
    sim.script(json!({"delay_ms": 120})).unwrap();
    let start = Instant::now();
    assert_eq!(caller.get("/api/machines?$top=1").status, 200);
    assert!(start.elapsed() >= Duration::from_millis(120));
    sim.script(json!({"stall": true})).unwrap();
    let mut socket =
        std::net::TcpStream::connect(sim.origin().strip_prefix("http://").unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    std::io::Write::write_all(&mut socket, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let error = std::io::Read::read(&mut socket, &mut [0; 1]).unwrap_err();
    assert!(matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
    let start = Instant::now();
    drop(sim);
    assert!(start.elapsed() < Duration::from_secs(1), "a stalled reply does not hold up the end");
}

#[test]
fn tokens_and_downloads_can_be_scripted_too() {
    let sim = instant();
    sim.script(json!([
        {"match": {"path_contains": "oauth2", "body_contains": "grant_type"}, "reply": {"status": 502}},
        {"match": {"path_contains": "safedownload"}, "reply": {"status": 200}},
    ]))
    .unwrap();
    let got = crate::http::ask_token(sim.origin(), "any", &[("grant_type", "x")]);
    assert_eq!((got.status, got.header("content-length")), (502, Some("0")));
    let got = send(sim.origin(), "GET", "/safedownload/x", &[], None).unwrap();
    assert_eq!((got.status, got.body.len()), (200, 0));
    sim.script(json!({"times": 0, "reply": {"status": 500}})).unwrap();
    sim.clear_script();
    assert_eq!(Caller::new(&sim).get("/api/machines").status, 200);
}

#[test]
fn everything_can_be_driven_over_http() {
    let sim = instant();
    let caller = Caller::new(&sim);
    let control = |method: &str, name: &str, body: Option<&str>| {
        let got = send(sim.origin(), method, &format!("/_control/{name}"), &[], body).unwrap();
        (got.status, got.json())
    };
    let ok = (200, json!({"ok": true}));
    assert_eq!(control("POST", "script", Some(r#"{"reply":{"status":418}}"#)), ok);
    assert_eq!(caller.get("/api/machines").status, 418);
    assert_eq!(control("POST", "script", Some(r#"{"stall":true}"#)), ok);
    assert_eq!(control("DELETE", "script", None), ok);
    assert_eq!(control("POST", "script", Some("nonsense")).0, 400);
    let id = caller.collected(0);
    assert_eq!(control("GET", "actions", None).1[0]["id"], id);
    assert_eq!(control("POST", "actions", Some(r#"{"type":"Isolate"}"#)).0, 200);
    let (_, log) = control("GET", "requests", None);
    let paths: Vec<&Value> = log.as_array().unwrap().iter().map(|r| &r["path"]).collect();
    assert_eq!(paths.len(), 3, "control requests are not logged: {paths:?}");
    assert_eq!(log[2]["status"], 201);
    assert_eq!(log[2]["headers"][0], json!(["host", "x"]));
    let (_, stats) = control("GET", "stats", None);
    assert_eq!(stats["by_endpoint"]["collect"], json!({"requests": 1, "refused": 0}));
    assert_eq!((&stats["requests"], &stats["refusals"]), (&json!(3), &json!(0)));
    let (status, behaviour) = control("POST", "behaviour", Some(r#"{"outcome":"Failed"}"#));
    assert_eq!((status, &behaviour["outcome"]), (200, &json!("Failed")));
    assert_eq!(behaviour["quoted_links"], true, "the rest stays");
    assert_eq!(control("POST", "behaviour", Some(r#"{"outcom":"Failed"}"#)).0, 400);
    assert_eq!(control("POST", "tokens/revoke", None).1, json!({"revoked": 1}));
    assert_eq!(caller.get("/api/machines").status, 401);
    assert_eq!(control("DELETE", "requests", None), ok);
    assert_eq!(control("GET", "requests", None).1, json!([]));
    assert_eq!(control("GET", "nothing", None).0, 404);
}
