//! Secrets are never shown. Marked secrets go through every failure, with the log at debug, and must appear in no
//! document and no line.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mde_simulator::Simulator;
use mde_tests::{Client, Outcome, client, simulator, try_client};
use serde_json::{Value, json};

use super::Log;

/// As a token would look, so that it can also be recognised where the service repeats it.
const TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJtYXJrIjoiY2FuYXJ5In0.canary-signature";
const SECRET: &str = "canary~Secret.9%&/+=";
const PASSWORD: &str = "canary-password";

/// What a program gets to see.
struct Watch {
    log: Log,
    documents: Vec<String>,
}

impl Watch {
    fn start() -> Watch {
        Watch { log: Log::start(), documents: Vec::new() }
    }

    fn see(&mut self, outcome: Outcome) {
        self.documents.push(outcome.text);
    }

    /// There is no secret in it; at least so many lines were looked at.
    #[track_caller]
    fn shows_no_secret(self, lines: usize) {
        let log = self.log.take();
        assert!(log.len() >= lines, "the log was listened to: {}", log.len());
        let lines = log.iter().map(|(_, line)| line);
        let everything: Vec<_> = self.documents.iter().chain(lines).collect();
        for mark in ["canary", "eyJ", &STANDARD.encode(SECRET.repeat(2))] {
            let found: Vec<_> = everything.iter().filter(|text| text.contains(mark)).collect();
            assert!(found.is_empty(), "{mark} in:\n{found:#?}");
        }
    }
}

fn with_token(sim: &Simulator) -> Client {
    Client::with(&[("access_token", TOKEN), ("api_url", &sim.api_url()), ("max_retries", "1")])
        .unwrap()
}

fn with_secret(sim: &Simulator) -> Client {
    client(sim, &[("client_secret", SECRET), ("max_retries", "1")])
}

/// The service, and the sign-in service, answer with this.
#[track_caller]
fn shown_by_no_call(rule: Value) {
    let (mut watch, sim) = (Watch::start(), simulator());
    let every = |path: &str| {
        let mut rule = rule.clone();
        rule["match"] = json!({"path_contains": path});
        rule["times"] = json!(0);
        sim.clear_script();
        sim.script(rule).unwrap();
    };
    let secret = with_secret(&sim);
    for client in [with_token(&sim), client(&sim, &[("max_retries", "0")])] {
        every("/api/");
        watch.see(client.collect(&sim.machine_id(0), "x"));
        watch.see(client.list("requestor eq 'x'"));
        watch.see(client.check_access());
    }
    every("/token");
    watch.see(secret.collect(&sim.machine_id(0), "x"));
    watch.see(secret.check_access());
    watch.shows_no_secret(4);
}

const SAS: &str = "https://blob.example/p.zip?sig=canary-sas&se=2026";

/// A text that repeats a token and a link.
fn echo() -> String {
    format!("bad token {TOKEN} and header Bearer {TOKEN} at {SAS}")
}

#[test]
fn in_a_refused_token_that_is_repeated() {
    let error = json!({"error": {"code": "Unauthorized", "message": echo(), "target": TOKEN}});
    shown_by_no_call(json!({"reply": {"status": 401, "json": error}}));
}

#[test]
fn in_a_code_and_a_message_of_the_service() {
    let error = json!({"error": {"code": TOKEN, "message": echo()}});
    shown_by_no_call(json!({"reply": {"status": 400, "json": error}}));
}

#[test]
fn in_a_body_of_a_failing_service() {
    shown_by_no_call(json!({"reply": {"status": 500, "body": echo()}}));
}

#[test]
fn in_a_body_and_a_type_that_are_not_understood() {
    shown_by_no_call(
        json!({"reply": {"status": 200, "body": echo(), "headers": {"Content-Type": TOKEN}}}),
    );
}

#[test]
fn in_a_redirect() {
    shown_by_no_call(json!({"reply": {"status": 302, "headers": {"Location": SAS}}}));
}

#[test]
fn in_a_truncated_body() {
    let reply = json!({"status": 200, "body": "{\"id\":\"canar", "truncate_after": 5});
    shown_by_no_call(json!({"reply": reply}));
}

#[test]
fn in_a_lost_connection() {
    shown_by_no_call(json!({"close": "before_reply"}));
}

#[test]
fn in_a_secret_that_is_refused() {
    let (mut watch, sim) = (Watch::start(), simulator());
    watch.see(with_secret(&sim).collect(&sim.machine_id(0), "x"));
    watch.shows_no_secret(2);
}

/// A sign-in service that repeats what it was sent, in this member.
#[track_caller]
fn shown_by_no_refusal(refusal: Value) {
    let (mut watch, sim) = (Watch::start(), simulator());
    let reply = json!({"status": 401, "json": refusal});
    sim.script(json!({"match": {"path_contains": "/token"}, "reply": reply})).unwrap();
    watch.see(with_secret(&sim).collect(&sim.machine_id(0), "x"));
    watch.shows_no_secret(2);
}

#[test]
fn in_a_refusal_with_the_secret_in_base64() {
    let encoded = STANDARD.encode(SECRET.repeat(2));
    let said = format!("AADSTS7000215: Invalid client secret provided: '{encoded}'");
    shown_by_no_refusal(json!({"error": "invalid_client", "error_description": said}));
}

#[test]
fn in_a_refusal_with_the_secret_in_every_member() {
    for said in [SECRET.to_owned(), format!("secret='{SECRET}'"), format!("x{SECRET}y")] {
        shown_by_no_refusal(
            json!({"error": SECRET, "error_description": said, "trace_id": SECRET}),
        );
    }
}

#[test]
fn in_a_proxy_that_is_not_there() {
    let (mut watch, sim) = (Watch::start(), simulator());
    let proxy = format!("http://user:{PASSWORD}@127.0.0.1:1");
    let url = "https://service.simulator.test";
    let client = client(&sim, &[("proxy", &proxy), ("api_url", url), ("login_url", url)]);
    watch.see(client.collect(&sim.machine_id(0), "x"));
    watch.shows_no_secret(1);
}

#[test]
fn in_a_value_that_is_refused() {
    let (mut watch, sim) = (Watch::start(), simulator());
    for (option, value) in [
        ("proxy", format!("socks5://user:{PASSWORD}@p")),
        ("api_url", format!("https://user:{PASSWORD}@h")),
        ("timeout_ms", SECRET.to_owned()),
        (SECRET, "x".to_owned()),
        ("access_token", format!("{TOKEN} x")),
    ] {
        match try_client(&sim, &[("auth", "access_token"), (option, &value)]) {
            Ok(_) => panic!("{option} accepted"),
            Err(outcome) => watch.see(outcome),
        }
    }
    watch.shows_no_secret(0);
}

/// A call log on a server that is not there, with a password.
#[test]
fn in_a_server_of_the_quota_that_is_away() {
    let (sim, log) = (simulator(), Log::start());
    let url = "redis://me:canary-secret@127.0.0.1:1";
    let strict = client(&sim, &[("quota_redis", url), ("quota_redis_fallback", "fail")]);
    let error = strict.list("").error("rate_limited");
    assert_eq!((&error["stage"], &error["retryable"]), (&json!("quota"), &json!(true)));
    assert!(error["retry_after_ms"].as_u64().is_some_and(|wait| wait <= 1_000), "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("quota_redis_fallback") && message.contains("127.0.0.1:1/0"));
    let status = strict.quota().ok();
    assert!(status["log"]["trouble"].as_str().unwrap().contains("did not accept"), "{status}");
    // Without it, as if there was none.
    client(&sim, &[("quota_redis", url)]).list("").ok();
    let lines: String = log.take().into_iter().map(|(_, line)| line + "\n").collect();
    for text in [&*lines, &error.to_string(), &status.to_string()] {
        assert!(!text.contains("canary"), "{text}");
    }
    assert!(lines.contains("quota_redis 127.0.0.1:1/0 cannot be used"), "{lines}");
}
