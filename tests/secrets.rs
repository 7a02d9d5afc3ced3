//! Nothing that grants access is shown: marked secrets go through every failure, with the log at its finest,
//! and must appear in no document and no line. A file of its own, because the log is the process's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::sync::{Arc, Mutex};

use base64::Engine;
use mde::log::Level;
use mde_simulator::Simulator;
use serde_json::json;
use support::{Client, client, simulator, try_client};

/// As a token would look, so that it can also be recognised where the service repeats it.
const TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJtYXJrIjoiY2FuYXJ5In0.canary-signature";
const SECRET: &str = "canary~Secret.9%&/+=";
const PASSWORD: &str = "canary-password";

struct Watch {
    lines: Arc<Mutex<Vec<String>>>,
    documents: Vec<String>,
}

impl Watch {
    fn start() -> Watch {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        mde::log::set(Some((
            Level::Debug,
            Arc::new(move |_, line: &str| kept.lock().unwrap().push(line.to_owned())),
        )));
        Watch { lines, documents: Vec::new() }
    }

    fn everything(&self) -> String {
        let mut all = self.documents.join("\n");
        all.push('\n');
        all.push_str(&self.lines.lock().unwrap().join("\n"));
        all
    }
}

fn fixed(sim: &Simulator) -> Client {
    Client::with(&[("access_token", TOKEN), ("api_url", &sim.api_url()), ("max_retries", "1")])
        .unwrap()
}

#[test]
fn no_secret_appears_anywhere() {
    let mut watch = Watch::start();
    let sim = simulator();
    let by_secret = client(&sim, &[("client_secret", SECRET), ("max_retries", "1")]);
    let sas = "https://blob.example/p.zip?sig=canary-sas&se=2026";
    let echo = format!("bad token {TOKEN} and header Bearer {TOKEN} at {sas}");
    let replies = [
        json!({"reply": {"status": 401, "json": {"error": {"code": "Unauthorized", "message": echo, "target": TOKEN}}}}),
        json!({"reply": {"status": 400, "json": {"error": {"code": TOKEN, "message": echo}}}}),
        json!({"reply": {"status": 500, "body": echo}}),
        json!({"reply": {"status": 200, "body": echo, "headers": {"Content-Type": TOKEN}}}),
        json!({"reply": {"status": 302, "headers": {"Location": sas}}}),
        json!({"reply": {"status": 200, "body": "{\"id\":\"canar", "truncate_after": 5}}),
        json!({"close": "before_reply"}),
    ];
    for rule in &replies {
        for clients in [fixed(&sim), client(&sim, &[("max_retries", "0")])] {
            sim.clear_script();
            let mut rule = rule.clone();
            rule["match"] = json!({"path_contains": "/api/"});
            rule["times"] = json!(0);
            sim.script(rule).unwrap();
            watch.documents.push(clients.collect(&sim.machine_id(0), "x").text);
            watch.documents.push(clients.list("requestor eq 'x'").text);
        }
        let mut rule = rule.clone();
        rule["match"] = json!({"path_contains": "/token"});
        rule["times"] = json!(0);
        sim.clear_script();
        sim.script(rule).unwrap();
        watch.documents.push(by_secret.collect(&sim.machine_id(0), "x").text);
    }
    sim.clear_script();
    // What the sign-in service says of a wrong secret, and a service that repeats it.
    watch.documents.push(by_secret.collect(&sim.machine_id(0), "x").text);
    let repeated = format!(
        "AADSTS7000215: Invalid client secret provided: '{}'",
        base64::engine::general_purpose::STANDARD.encode(SECRET.repeat(2))
    );
    sim.script(json!({"match": {"path_contains": "/token"}, "reply": {"status": 401,
        "json": {"error": "invalid_client", "error_description": repeated}}}))
        .unwrap();
    watch.documents.push(by_secret.collect(&sim.machine_id(0), "x").text);
    for said in [SECRET.to_owned(), format!("secret='{SECRET}'"), format!("x{SECRET}y")] {
        sim.script(json!({"match": {"path_contains": "/token"}, "reply": {"status": 401,
            "json": {"error": SECRET, "error_description": said, "trace_id": SECRET}}}))
            .unwrap();
        watch.documents.push(by_secret.collect(&sim.machine_id(0), "x").text);
    }
    // Proxies with a login: unreachable, not a proxy, and in a value that is refused.
    let proxy = format!("http://user:{PASSWORD}@127.0.0.1:1");
    let via = client(&sim, &[("proxy", &proxy)]);
    watch.documents.push(via.collect(&sim.machine_id(0), "x").text);
    for (option, value) in [
        ("proxy", format!("socks5://user:{PASSWORD}@p")),
        ("api_url", format!("https://user:{PASSWORD}@h")),
        ("timeout_ms", SECRET.to_owned()),
        (SECRET, "x".to_owned()),
        ("access_token", format!("{TOKEN} x")),
    ] {
        match try_client(&sim, &[("auth", "access_token"), (option, &value)]) {
            Ok(_) => panic!("{option} accepted"),
            Err(outcome) => watch.documents.push(outcome.text),
        }
    }
    let everything = watch.everything();
    assert!(watch.lines.lock().unwrap().len() > 30, "the log was listened to");
    let encoded = base64::engine::general_purpose::STANDARD.encode(SECRET.repeat(2));
    for mark in ["canary", "eyJ", encoded.as_str()] {
        let found: Vec<_> = everything.lines().filter(|l| l.contains(mark)).collect();
        assert!(found.is_empty(), "{mark} in:\n{}", found.join("\n"));
    }
    mde::log::set(None);
}
