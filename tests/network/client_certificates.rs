//! Client certificates: OpenSSL's servers and nginx demand them.

use std::fs;

use mde_tests::packages::{Folder, lead_to, patient, service};
use mde_tests::peers::denying::denying;
use mde_tests::peers::nginx::Nginx;
use mde_tests::peers::openssl::{P256, Pki, Server, Wish};
use mde_tests::peers::ports::unused_port;
use mde_tests::{Client, Outcome};

const ID: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";
const MACHINE: &str = "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9";
const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];
const P384: &str = "ec -pkeyopt ec_paramgen_curve:P-384";

/// With the certificate of a server, and one of a client.
fn pki() -> Pki {
    let pki = Pki::new();
    pki.issue("server", &Wish::default());
    pki.issue("agent", &Wish { names: "", ..Wish::default() });
    pki
}

fn try_client(url: &str, more: &[(&str, &str)]) -> Result<Client, Outcome> {
    let usual = [
        ("access_token", "canary-token"),
        ("api_url", url),
        ("max_retries", "0"),
        ("timeout_ms", "30000"),
        ("proxy", "none"),
    ];
    Client::with(&[&usual, more].concat())
}

#[track_caller]
fn client(url: &str, more: &[(&str, &str)]) -> Client {
    try_client(url, more).unwrap_or_else(|outcome| panic!("{}", outcome.text))
}

/// A reply with one action.
fn action() -> String {
    let body = format!(
        r#"{{"id":"{ID}","status":"Pending","type":"CollectInvestigationPackage","machineId":"{MACHINE}"}}"#
    );
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// A server that answers for one action, and only those whose certificate is of `root`.
fn demanding(pki: &Pki, more: &[&str]) -> Server {
    let reply = action();
    let demand = ["-Verify", "3", "-verify_return_error", "-CAfile", "root.pem"];
    pki.web_server(
        "server",
        &[(&format!("api/machineactions/{ID}"), &reply)],
        &[&demand, more].concat(),
    )
}

#[track_caller]
fn shows(pki: &Pki, server: &Server, certificate: &str, more: &[(&str, &str)]) {
    let (root, certificate) = (pki.path("root"), pki.file(certificate));
    let usual = [("ca_file", root.as_str()), ("tls_certificate", &certificate)];
    let client = client(&server.url(), &[&usual, more].concat());
    assert_eq!(client.action(ID).ok()["action"]["id"], ID);
}

#[test]
fn keys_of_every_kind_sign_handshakes() {
    let pki = pki();
    for (name, key) in [("rsa", "rsa:2048"), ("large", "rsa:3072"), ("p256", P256), ("p384", P384)]
    {
        pki.issue(name, &Wish { names: "", key, ..Wish::default() });
        for version in VERSIONS {
            let server = demanding(&pki, &[version]);
            let key = pki.file(&format!("{name}.key"));
            shows(&pki, &server, &format!("{name}.pem"), &[("tls_key", &key)]);
        }
    }
    // A server that takes older signatures alone.
    let server = demanding(&pki, &["-tls1_2", "-client_sigalgs", "RSA+SHA256"]);
    shows(&pki, &server, "rsa.pem", &[("tls_key", &pki.file("rsa.key"))]);
}

#[test]
fn certificate_and_key_may_have_every_form() {
    let pki = pki();
    let server = demanding(&pki, &[]);
    pki.openssl("ec -in agent.key -out sec1.key");
    pki.openssl("ec -in agent.key -outform DER -out sec1.der");
    pki.openssl("ec -in agent.key -no_public -out bare.key");
    pki.openssl("pkcs8 -topk8 -in agent.key -out encrypted.key -passout pass:abcdef");
    pki.openssl(
        "pkcs12 -export -in agent.pem -inkey agent.key -out agent.p12 -passout pass:abcdef",
    );
    pki.openssl("x509 -in agent.pem -outform DER -out agent.der");
    pki.join("both.pem", &["agent.key", "agent.pem"]);
    for key in ["agent.key", "sec1.key", "sec1.der", "bare.key", "encrypted.key"] {
        let key = pki.file(key);
        let more = [("tls_key", key.as_str()), ("certificate_password", "abcdef")];
        shows(&pki, &server, "agent.pem", &more);
        shows(&pki, &server, "agent.der", &more);
    }
    shows(&pki, &server, "both.pem", &[]);
    shows(&pki, &server, "agent.p12", &[("certificate_password", "abcdef")]);
    let text = fs::read_to_string(pki.file("both.pem")).unwrap();
    let root = pki.path("root");
    let options = [("ca_file", root.as_str()), ("tls_certificate", &text)];
    client(&server.url(), &options).action(ID).ok();
}

/// The server knows the root alone.
#[test]
fn the_certificates_between_are_sent_along() {
    let pki = pki();
    pki.issue("between", &Wish { is_ca: true, names: "", ..Wish::default() });
    pki.issue("leaf", &Wish { issuer: "between", names: "", ..Wish::default() });
    pki.join("chain.pem", &["root.pem", "between.pem", "leaf.pem", "leaf.key"]);
    let server = demanding(&pki, &[]);
    shows(&pki, &server, "chain.pem", &[]);
    let (root, leaf, key) = (pki.path("root"), pki.path("leaf"), pki.file("leaf.key"));
    let alone = [("ca_file", root.as_str()), ("tls_certificate", &leaf), ("tls_key", &key)];
    client(&server.url(), &alone).action(ID).error_in(&["tls", "broken", "connect"]);
}

#[test]
fn a_server_that_does_not_ask_gets_none() {
    let pki = pki();
    let root = pki.path("root");
    pki.join("both.pem", &["agent.key", "agent.pem"]);
    for version in VERSIONS {
        // It asks, and is content without.
        let server = demanding(&pki, &["-verify", "1", version]);
        client(&server.url(), &[("ca_file", &root)]).action(ID).ok();
    }
    let server = pki.listener("server", &[]);
    let both = pki.file("both.pem");
    let more = [
        ("ca_file", root.as_str()),
        ("tls_certificate", &both),
        // It answers nothing.
        ("idle_timeout_ms", "1000"),
    ];
    client(&server.url(), &more).action(ID).error("broken");
    assert!(!server.output().contains("Client certificate"), "{}", server.output());
}

/// What a refusal says, before and after a request for a collection. With TLS 1.3 only the reply to it tells, and a
/// connection may also just end before that.
#[track_caller]
fn refusal(server: &Server, more: &[(&str, &str)], words: &[&str]) {
    let calls: [fn(&Client) -> Outcome; 2] =
        [|client| client.action(ID), |client| client.collect(MACHINE, "x")];
    for call in calls {
        let refused = (0..5).any(|_| {
            let outcome = call(&client(&server.url(), more));
            assert!(!outcome.text.contains("canary"), "{}", outcome.text);
            let error = outcome.error_in(&["tls", "broken", "connect", "outcome_unknown"]);
            let message = error["message"].as_str().unwrap();
            for words in words {
                assert!(message.contains(words), "no `{words}` in: {message}");
            }
            let is_last = error["retryable"] == false && error.get("outcome").is_none();
            error["name"] == "tls" && error["stage"] == "send" && is_last
        });
        assert!(refused, "no answer says that nothing was read");
    }
}

/// The request may have been passed on before the alert.
#[test]
fn a_refusal_on_a_connection_that_was_in_use_leaves_the_outcome_open() {
    let pki = pki();
    let root = pki.path("root");
    let (port, server) = denying(&pki, "server", action());
    let url = format!("https://127.0.0.1:{port}");
    let client = client(&url, &[("ca_file", &root), ("timeout_ms", "3000")]);
    client.action(ID).ok();
    let outcome = client.collect(MACHINE, "x");
    let [_, second] = server.join().unwrap();
    assert!(second.starts_with("POST "), "{second}");
    assert_eq!(outcome.document["error"]["outcome"], "unknown", "{}", outcome.text);
}

/// The certificate of the server is judged after that of the client was chosen.
#[test]
fn a_server_that_is_not_trusted_is_not_blamed_on_the_client() {
    let pki = pki();
    for version in VERSIONS {
        let server = demanding(&pki, &[version]);
        let error = client(&server.url(), &[]).action(ID).error("tls");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("issuer is not trusted here"), "{message}");
        assert!(!message.contains("client certificate"), "{message}");
    }
}

#[test]
fn without_a_certificate_the_message_names_the_option() {
    let pki = pki();
    let root = pki.path("root");
    for version in VERSIONS {
        let server = demanding(&pki, &[version]);
        let words = ["127.0.0.1", "asks for a client certificate: set `tls_certificate`"];
        refusal(&server, &[("ca_file", &root)], &words);
    }
}

#[test]
fn a_certificate_that_is_refused_is_named() {
    let (pki, other) = (pki(), Pki::new());
    other.issue("stranger", &Wish { names: "", ..Wish::default() });
    pki.issue(
        "old",
        &Wish { names: "", valid: Some(("20200101000000Z", "20210101000000Z")), ..Wish::default() },
    );
    let root = pki.path("root");
    for version in VERSIONS {
        for (from, name, words) in [
            (&other, "stranger", "got that of `tls_certificate`"),
            (&pki, "old", "the certificate expired at 2021-01-01T00:00:00Z"),
        ] {
            let (certificate, key) = (from.path(name), from.file(&format!("{name}.key")));
            let more =
                [("ca_file", root.as_str()), ("tls_certificate", &certificate), ("tls_key", &key)];
            refusal(&demanding(&pki, &[version]), &more, &["127.0.0.1", words]);
        }
    }
    // A server that knows RSA alone.
    let server = demanding(&pki, &["-tls1_3", "-client_sigalgs", "rsa_pss_rsae_sha256"]);
    let (certificate, key) = (pki.path("agent"), pki.file("agent.key"));
    let more = [("ca_file", root.as_str()), ("tls_certificate", &certificate), ("tls_key", &key)];
    refusal(&server, &more, &["accepts no signature of the key of `tls_certificate`"]);
}

/// nginx tells in HTTP what it lacks. Each request is a connection of its own.
fn gateway(pki: &Pki, folder: &Folder) -> (Nginx, String) {
    let port = unused_port();
    let [server, key, root] = ["server.pem", "server.key", "root.pem"].map(|name| pki.file(name));
    let nginx = Nginx::start(
        &folder.0,
        &format!(
            r#"listen 127.0.0.1:{port} ssl; keepalive_timeout 0;
               ssl_certificate {server}; ssl_certificate_key {key}; ssl_client_certificate {root};
               ssl_verify_client on; default_type application/json;
               location ~ /token$ {{ return 200 '{{"access_token":"x","expires_in":3599}}'; }}
               location /api/ {{
                   return 200 '{{"value":[{{"id":"{ID}","requestor":"$ssl_client_s_dn"}}]}}';
               }}"#
        ),
    );
    (nginx, format!("https://127.0.0.1:{port}"))
}

/// Whose certificate the gateway saw.
#[track_caller]
fn seen(client: &Client) -> String {
    client.list("").ok()["actions"][0]["requestor"].as_str().unwrap().to_owned()
}

#[test]
fn both_hosts_of_a_gateway_get_it() {
    let (pki, folder) = (pki(), Folder::new());
    let (_nginx, url) = gateway(&pki, &folder);
    let (root, certificate, key) = (pki.path("root"), pki.path("agent"), pki.file("agent.key"));
    let secret = [
        ("tenant_id", "t"),
        ("client_id", "client-of-a-gateway"),
        ("client_secret", "canary-secret"),
        ("api_url", url.as_str()),
        ("login_url", &url),
        ("ca_file", &root),
        ("max_retries", "0"),
        ("proxy", "none"),
    ];
    let own = [("tls_certificate", certificate.as_str()), ("tls_key", &key)];
    let with = Client::with(&[&secret[..], &own].concat()).unwrap();
    assert_eq!(seen(&with), "CN=agent");
    // Another client has the same token, but not the same way to it.
    let error = Client::with(&secret).unwrap().list("").error("token");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("set `tls_certificate`"), "{message}");
    let error = client(&url, &[("ca_file", &root)]).list("").error("bad_request");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("No required SSL certificate was sent"), "{message}");
    assert!(message.contains("set `tls_certificate`"), "{message}");
}

#[test]
fn a_renewed_certificate_is_shown_on_the_next_connection() {
    let (pki, folder) = (pki(), Folder::new());
    pki.issue("later", &Wish { names: "", key: "rsa:2048", ..Wish::default() });
    let (_nginx, url) = gateway(&pki, &folder);
    pki.join("one", &["agent.pem", "agent.key"]);
    pki.join("two", &["later.pem", "later.key"]);
    pki.join("half", &["later.pem"]);
    pki.replace("used", "one");
    let (root, used) = (pki.path("root"), pki.file("used"));
    let client = client(&url, &[("ca_file", &root), ("tls_certificate", &used)]);
    assert_eq!([seen(&client), seen(&client)], ["CN=agent", "CN=agent"]);
    pki.replace("used", "half");
    assert_eq!(seen(&client), "CN=agent");
    fs::remove_file(&used).unwrap();
    assert_eq!(seen(&client), "CN=agent");
    pki.replace("used", "two");
    assert_eq!([seen(&client), seen(&client)], ["CN=later", "CN=later"]);
    pki.replace("used", "one");
    assert_eq!(seen(&client), "CN=agent");
}

/// A link of the service leads to a host that no option names.
#[test]
fn hosts_of_packages_do_not_get_it() {
    let pki = pki();
    pki.issue_for("server", "DNS:localhost");
    let server = demanding(&pki, &["-tls1_2"]);
    let (sim, id) = service("Succeeded");
    lead_to(&sim, &format!("https://localhost:{}/package", server.port));
    let (root, certificate, key) = (pki.path("root"), pki.path("agent"), pki.file("agent.key"));
    let client = patient(
        &sim,
        &[
            ("ca_file", &root),
            ("tls_certificate", &certificate),
            ("tls_key", &key),
            ("download_hosts", "localhost"),
            ("max_retries", "0"),
        ],
    );
    let folder = Folder::new();
    let error = client.download(&id, &folder.file()).error_in(&["tls", "connect", "broken"]);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("only the hosts of `api_url` and `login_url` get"), "{message}");
    assert!(server.output().contains("peer did not return a certificate"), "{}", server.output());
}

#[test]
fn unusable_certificates_are_refused_when_the_client_is_made() {
    let pki = pki();
    pki.issue("p521", &Wish { key: "ec -pkeyopt ec_paramgen_curve:P-521", ..Wish::default() });
    pki.issue("small", &Wish { key: "rsa:1024", ..Wish::default() });
    pki.issue("other", &Wish::default());
    pki.openssl("pkcs8 -topk8 -in agent.key -out encrypted.key -passout pass:abcdef");
    pki.openssl(
        "pkcs12 -export -in agent.pem -inkey agent.key -out agent.p12 -passout pass:abcdef",
    );
    pki.openssl("genpkey -algorithm ED25519 -out ed25519.key");
    fs::write(pki.file("garbage"), [0x30, 0x82, 0xff, 0xff, 1, 2, 3]).unwrap();
    for (certificate, key, password, expected) in [
        ("absent", None, None, "`tls_certificate` is not readable: No such file"),
        ("agent.pem", Some("absent"), None, "`tls_key` is not readable: No such file"),
        ("absent.pem", None, None, "absent.pem`, which is not readable: No such file"),
        (".", None, None, "`tls_certificate` is not a file"),
        ("garbage", None, None, "`tls_certificate` has damaged content"),
        ("agent.pem", None, None, "expected it in the same file or in `tls_key`, since signers"),
        ("agent.key", None, None, "`tls_certificate` has no certificate"),
        ("agent.pem", Some("agent.pem"), None, "`tls_key` has no private key"),
        ("agent.pem", Some("other.key"), None, "that belongs to the key of `tls_key`"),
        ("p521.pem", Some("p521.key"), None, "EC key on P-256 or P-384"),
        ("agent.pem", Some("ed25519.key"), None, "`tls_key` names a key of another kind"),
        ("small.pem", Some("small.key"), None, "less than 2048 bits; expected an RSA key"),
        ("agent.pem", Some("encrypted.key"), None, "`certificate_password` is not set"),
        ("agent.pem", Some("encrypted.key"), Some("abcdeg"), "`certificate_password` is wrong"),
        ("agent.p12", None, Some("abcdeg"), "`certificate_password` is wrong"),
        ("agent.pem", Some("agent.p12"), None, "which belongs in `tls_certificate`"),
    ] {
        let (certificate, key) = (pki.file(certificate), key.map(|key| pki.file(key)));
        let mut options = vec![("tls_certificate", certificate.as_str())];
        options.extend(key.as_deref().map(|key| ("tls_key", key)));
        options.extend(password.map(|password| ("certificate_password", password)));
        let refused = try_client("https://127.0.0.1:1", &options).err().expect("it was accepted");
        let error = refused.error("config");
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("option `"), "{message}");
        assert!(message.contains(expected), "no `{expected}` in: {message}");
    }
    let key = pki.file("agent.key");
    for (option, expected) in [
        (("tls_key", key.as_str()), "`tls_key` is set without `tls_certificate`"),
        (("tls_certificate", "store:CurrentUser/My/00"), "is for `client_certificate` alone"),
    ] {
        let refused = try_client("https://127.0.0.1:1", &[option]).err().unwrap();
        let message = refused.error("config")["message"].as_str().unwrap().to_owned();
        assert!(message.contains(expected), "{message}");
    }
}
