//! Credentials are never shown. Marked secrets, keys, passwords, assertions and tokens go through every failure of
//! signing in, with the log at debug and an authority that repeats the whole request.

use mde_tests::peers::keys::Keys;
use mde_tests::peers::responder::{Answer, Asked, Responder};
use mde_tests::{Client, Outcome};
use serde_json::json;

use super::Log;

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

/// Marked keys and files, in a folder of their own.
struct Proofs {
    keys: Keys,
    both: String,
}

impl Proofs {
    fn new() -> Proofs {
        let keys = Keys::new();
        keys.write("password", PASSWORD);
        keys.openssl(
            "pkcs12 -export -in cert.pem -inkey key.pem -out own.p12 -passout file:password",
        );
        keys.openssl("pkcs8 -topk8 -in key.pem -out encrypted.pem -passout file:password");
        keys.write("federated", FEDERATED);
        keys.join("both.pem", &["key.pem", "cert.pem"]);
        let both = keys.text("both.pem");
        Proofs { keys, both }
    }

    fn path(&self, name: &str) -> String {
        self.keys.path(name)
    }

    /// None of them is in what was seen: not the key in pieces of one line, not the assertions in pieces of their
    /// signatures.
    #[track_caller]
    fn are_not_in(&self, documents: &[String], log: &Log, assertions: &[String]) {
        let lines = log.take();
        let lines = lines.iter().map(|(_, line)| line);
        let everything: Vec<&str> =
            documents.iter().chain(lines).flat_map(|text| text.lines()).collect();
        let key = self.keys.text("key.pem");
        let key = key.lines().skip(1).map(|line| line[..20].to_owned());
        let signatures =
            assertions.iter().map(|jwt| jwt.rsplit('.').next().unwrap()[..20].to_owned());
        let marks = ["canary", "eyJ", "BEGIN", "PRIVATE KEY--", "%7ESecret", "~Secret"];
        for mark in marks.into_iter().map(str::to_owned).chain(key).chain(signatures) {
            let found: Vec<_> = everything.iter().filter(|line| line.contains(&mark)).collect();
            assert!(found.is_empty(), "{mark} in: {}", found[0]);
        }
    }
}

/// Signs in this way with every authority; at least so many assertions are sent.
#[track_caller]
fn shown_by_no_authority(proofs: &Proofs, way: &[(&str, &str)], at_least: usize) {
    let log = Log::start();
    let (mut documents, mut assertions) = (Vec::new(), Vec::new());
    for answer in answers() {
        let server = server(answer);
        let url = server.url();
        // SAFETY: who has the log is alone, and the process uses the environment through std only, which has a lock
        // for it.
        unsafe { std::env::set_var("IDENTITY_ENDPOINT", format!("{url}/msi/token")) };
        // SAFETY: as above.
        unsafe { std::env::set_var("IDENTITY_HEADER", HEADER) };
        let usual = [
            ("tenant_id", TENANT),
            ("client_id", APP),
            ("api_url", url.as_str()),
            ("login_url", url.as_str()),
            ("max_retries", "1"),
            ("proxy", "none"),
        ];
        let client = Client::with(&[&usual, way].concat())
            .unwrap_or_else(|outcome| panic!("{}", outcome.text));
        for outcome in
            [client.list(""), client.list("forbidden"), client.collect(&"a".repeat(40), "x")]
        {
            assert_ne!(outcome.status, mde_tests::OK, "{}", outcome.text);
            documents.push(outcome.text);
        }
        assertions.extend(server.token_requests().iter().filter_map(|asked| {
            asked.form().get("client_assertion").filter(|sent| sent.len() > 99).cloned()
        }));
    }
    assert!(assertions.len() >= at_least, "{}", assertions.len());
    let lines = log.lines.lock().unwrap().len();
    assert!(lines > 50, "the log was listened to: {lines}");
    proofs.are_not_in(&documents, &log, &assertions);
}

#[test]
fn a_secret() {
    shown_by_no_authority(&Proofs::new(), &[("client_secret", SECRET)], 0);
}

#[test]
fn a_pkcs12_file() {
    let proofs = Proofs::new();
    let file = proofs.path("own.p12");
    let way = [("client_certificate", file.as_str()), ("certificate_password", PASSWORD)];
    shown_by_no_authority(&proofs, &way, 10);
}

#[test]
fn a_key_beside_its_certificate_with_the_chain() {
    let proofs = Proofs::new();
    let way = [
        ("client_certificate", proofs.both.as_str()),
        ("certificate_algorithm", "RS256"),
        ("certificate_chain", "yes"),
    ];
    shown_by_no_authority(&proofs, &way, 10);
}

#[test]
fn an_encrypted_key() {
    let proofs = Proofs::new();
    let (certificate, key) = (proofs.path("cert.pem"), proofs.path("encrypted.pem"));
    let way = [
        ("client_certificate", certificate.as_str()),
        ("client_key", &key),
        ("certificate_password", PASSWORD),
    ];
    shown_by_no_authority(&proofs, &way, 10);
}

#[test]
fn a_federated_token() {
    let proofs = Proofs::new();
    let file = proofs.path("federated");
    shown_by_no_authority(&proofs, &[("federated_token_file", &file)], 0);
}

#[test]
fn a_managed_identity() {
    shown_by_no_authority(&Proofs::new(), &[("managed_identity", "system")], 0);
}

/// Values that are refused when they are set or when the client is made.
#[test]
fn values_that_are_refused() {
    let (proofs, log) = (Proofs::new(), Log::start());
    let [p12, certificate, encrypted, key] =
        ["own.p12", "cert.pem", "encrypted.pem", "key.pem"].map(|name| proofs.path(name));
    let damaged = proofs.both.replace("-----END PRIVATE KEY-----", "-----END canary-----");
    let mut documents = Vec::new();
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
        vec![("client_secret", SECRET), ("tls_certificate", "canary-path")],
        vec![("client_secret", SECRET), ("tls_certificate", &damaged)],
        vec![
            ("client_secret", SECRET),
            ("tls_certificate", &certificate),
            ("tls_key", &encrypted),
            ("certificate_password", "canary-wrong"),
        ],
        vec![("client_secret", SECRET), ("tls_key", &proofs.both)],
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
    proofs.are_not_in(&documents, &log, &[]);
}
