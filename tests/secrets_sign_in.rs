//! Nothing that proves an identity is shown: every failure of signing in, with marked secrets, keys, passwords,
//! assertions and tokens, with the log at its finest, and an authority that repeats whatever it was sent. A file
//! of its own, because log and environment are the process's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "peers/keys.rs"]
mod keys;
#[path = "peers/responder.rs"]
mod responder;
mod support;

use std::sync::{Arc, Mutex};

use keys::Keys;
use mde::log::Level;
use responder::{Answer, Asked, Responder};
use serde_json::json;
use support::{Client, Outcome};

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const APP: &str = "66666666-7777-8888-9999-000000000000";

const SECRET: &str = "canary~Secret.9%&/+= x";
const PASSWORD: &str = "canary-password";
const FEDERATED: &str = "canary-of-the-cluster";
const HEADER: &str = "canary-of-the-header";

/// How an authority answers: with everything that it was sent in every member it has.
fn answers() -> Vec<fn(&Asked) -> Answer> {
    fn everything(asked: &Asked) -> String {
        let sent: Vec<_> =
            asked.form().into_values().chain(asked.headers.values().cloned()).collect();
        format!("{} {}", sent.join(" "), asked.body)
    }
    fn one(asked: &Asked) -> String {
        let form = asked.form();
        let proof = ["client_secret", "client_assertion"].iter().find_map(|name| form.get(*name));
        let header =
            ["x-identity-header", "secret"].iter().find_map(|name| asked.headers.get(*name));
        proof.or(header).cloned().unwrap_or_default()
    }
    vec![
        |asked| {
            let said = format!("AADSTS7000215: {}", everything(asked));
            Answer::json(401, &json!({"error": "invalid_client", "error_description": said}))
        },
        |asked| {
            let one = one(asked);
            Answer::json(
                400,
                &json!({"error": one, "error_description": one, "trace_id": one, "correlation_id": one,
                    "error_codes": [one], "message": one}),
            )
        },
        |asked| {
            Answer::json(
                400,
                &json!({"statusCode": 400, "message": format!("no '{}'", one(asked))}),
            )
        },
        |asked| Answer { status: 500, headers: vec![], body: everything(asked) },
        |asked| Answer { status: 200, headers: vec![], body: everything(asked) },
        |asked| {
            Answer::json(
                200,
                &json!({"access_token": format!("{}\r\n", one(asked)), "expires_in": 9}),
            )
        },
        |asked| Answer::json(200, &json!({"expires_in": one(asked)})),
        |asked| {
            Answer::json(302, &json!({}))
                .with("Location", &format!("https://h/?{}", one(asked).len()))
        },
        |asked| {
            Answer::json(401, &json!({}))
                .with("WWW-Authenticate", &format!("Basic realm=/{}", one(asked).len()))
        },
        |_| Answer::json(429, &json!({})).with("Retry-After", "99999"),
        |asked| Answer::refusal(400, "invalid_client", 700_027, &one(asked)),
        // And one that grants, so that the API can repeat the token.
        |_| Answer::token("canary-of-the-token"),
    ]
}

fn server(answer: fn(&Asked) -> Answer) -> Responder {
    Responder::start(move |asked| match asked.is_token_request() {
        true => answer(asked),
        false => {
            let said = asked.headers.get("authorization").cloned().unwrap_or_default();
            let status = if asked.target.contains("forbidden") { 403 } else { 401 };
            Answer::json(status, &json!({"error": {"code": said, "message": said, "target": said}}))
        }
    })
}

#[test]
fn no_proof_of_an_identity_appears_anywhere() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    mde::log::set(Some((
        Level::Debug,
        Arc::new(move |_, line: &str| kept.lock().unwrap().push(line.to_owned())),
    )));
    let keys = Keys::new();
    keys.write("password", PASSWORD);
    keys.openssl("pkcs12 -export -in cert.pem -inkey key.pem -out own.p12 -passout file:password");
    keys.openssl("pkcs8 -topk8 -in key.pem -out encrypted.pem -passout file:password");
    keys.write("federated", FEDERATED);
    keys.join("both.pem", &["key.pem", "cert.pem"]);
    let [p12, certificate, encrypted, federated, key] =
        ["own.p12", "cert.pem", "encrypted.pem", "federated", "key.pem"]
            .map(|name| keys.path(name));
    let both = keys.text("both.pem");
    let ways: Vec<Vec<(&str, &str)>> = vec![
        vec![("client_secret", SECRET)],
        vec![("client_certificate", &p12), ("certificate_password", PASSWORD)],
        vec![
            ("client_certificate", &both),
            ("certificate_algorithm", "RS256"),
            ("certificate_chain", "yes"),
        ],
        vec![
            ("client_certificate", &certificate),
            ("client_key", &encrypted),
            ("certificate_password", PASSWORD),
        ],
        vec![("federated_token_file", &federated)],
        vec![("managed_identity", "system")],
    ];
    let mut documents = Vec::new();
    let mut assertions = Vec::new();
    for answer in answers() {
        let server = server(answer);
        let url = server.url();
        // SAFETY: nobody else in this process uses the environment now but through std, which has a lock for it.
        unsafe { std::env::set_var("IDENTITY_ENDPOINT", format!("{url}/msi/token")) };
        // SAFETY: as above.
        unsafe { std::env::set_var("IDENTITY_HEADER", HEADER) };
        for way in &ways {
            let usual = [
                ("tenant_id", TENANT),
                ("client_id", APP),
                ("api_url", url.as_str()),
                ("login_url", url.as_str()),
                ("max_retries", "1"),
                ("proxy", "none"),
            ];
            let client = Client::with(&[&usual, way.as_slice()].concat())
                .unwrap_or_else(|outcome| panic!("{}", outcome.text));
            for outcome in
                [client.list(""), client.list("forbidden"), client.collect(&"a".repeat(40), "x")]
            {
                assert_ne!(outcome.status, support::OK, "{}", outcome.text);
                documents.push(outcome.text);
            }
        }
        assertions.extend(server.token_requests().iter().filter_map(|asked| {
            asked.form().get("client_assertion").filter(|sent| sent.len() > 99).cloned()
        }));
    }
    assert!(assertions.len() > 30, "{}", assertions.len());
    // Values that are refused when they are set or when the client is made.
    let damaged = both.replace("-----END PRIVATE KEY-----", "-----END canary-----");
    let wrong: Vec<Vec<(&str, &str)>> = vec![
        vec![("client_secret", "canary\n")],
        vec![("client_certificate", "canary-path")],
        vec![("client_certificate", &damaged)],
        vec![("client_certificate", &certificate), ("client_key", "canary-path")],
        vec![
            ("client_certificate", &certificate),
            ("client_key", &encrypted),
            ("certificate_password", "canary-wrong"),
        ],
        vec![("client_certificate", &p12), ("certificate_password", "canary-wrong")],
        vec![("client_certificate", &key)],
        vec![("certificate_algorithm", "canary")],
        vec![("certificate_chain", "canary")],
        vec![("federated_token_file", "canary\n")],
        vec![("managed_identity", "canary:x")],
        vec![("managed_identity", "client_id:canary x")],
        vec![("auth", "canary")],
    ];
    for options in wrong {
        let usual = [("tenant_id", TENANT), ("client_id", APP)];
        let refused: Result<Client, Outcome> = Client::with(&[&usual, options.as_slice()].concat());
        documents.push(refused.err().expect("it was accepted").text);
    }
    mde::log::set(None);
    let lines = lines.lock().unwrap();
    assert!(lines.len() > 300, "the log was listened to: {}", lines.len());
    let everything: Vec<&str> =
        documents.iter().chain(lines.iter()).flat_map(|text| text.lines()).collect();
    // The key in pieces of one line, the assertions in pieces of their signatures.
    let key_lines: Vec<String> =
        keys.text("key.pem").lines().skip(1).map(|line| line[..20].to_owned()).collect();
    let signatures = assertions.iter().map(|jwt| jwt.rsplit('.').next().unwrap()[..20].to_owned());
    let marks = ["canary", "eyJ", "BEGIN", "PRIVATE KEY--", "%7ESecret", "~Secret"];
    for mark in marks.into_iter().map(str::to_owned).chain(key_lines).chain(signatures) {
        let found: Vec<_> = everything.iter().filter(|line| line.contains(&mark)).collect();
        assert!(found.is_empty(), "{mark} in: {}", found[0]);
    }
}
