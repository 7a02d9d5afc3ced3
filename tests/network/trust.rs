//! Trust: OpenSSL's servers with every kind of wrong certificate. None of them receives a single byte of a request.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use mde_tests::peers::openssl::{Pki, Server, Wish};
use mde_tests::peers::stub_proxy::StubProxy;
use mde_tests::{Client, Outcome};
use serde_json::Value;

const ID: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";
const MACHINE: &str = "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9";
const TOKEN: &str = "canary-token";

fn client(url: &str, more: &[(&str, &str)]) -> Client {
    let usual = [
        ("access_token", TOKEN),
        ("api_url", url),
        ("max_retries", "2"),
        ("timeout_ms", "30000"),
        ("idle_timeout_ms", "2000"),
        ("proxy", "none"),
    ];
    Client::with(&[&usual, more].concat()).unwrap_or_else(|outcome| panic!("{}", outcome.text))
}

/// A failure of TLS that a repetition would not cure, told with the host and these words.
#[track_caller]
fn is_refused(outcome: Outcome, host: &str, words: &str) -> Value {
    assert!(!outcome.text.contains(TOKEN), "{}", outcome.text);
    let error = outcome.error("tls");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(&format!("`{host}`")), "{message}");
    assert!(message.contains(words), "no `{words}` in: {message}");
    assert_eq!(error["retryable"], false, "{error}");
    assert_eq!(error.get("outcome"), None, "{error}");
    error
}

/// Nothing but handshakes has arrived.
#[track_caller]
fn got_nothing(server: &Server) {
    let output = server.output();
    for part in ["GET ", "POST ", "Bearer", "canary"] {
        assert!(!output.contains(part), "{output}");
    }
}

/// Reading and collecting both fail in the same way, at once.
#[track_caller]
fn refuses(server: &Server, more: &[(&str, &str)], words: &str) {
    let client = client(&server.url(), more);
    for outcome in [client.action(ID), client.collect(MACHINE, "x")] {
        let error = is_refused(outcome, "127.0.0.1", words);
        assert_eq!((&error["stage"], &error["attempts"]), (&"send".into(), &1.into()), "{error}");
    }
    got_nothing(server);
}

/// A server that answers for one action.
fn good(pki: &Pki, name: &str, more: &[&str]) -> Server {
    let body = format!(
        r#"{{"id":"{ID}","status":"Pending","type":"CollectInvestigationPackage","machineId":"{MACHINE}"}}"#
    );
    let length = body.len();
    let reply = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    pki.web_server(name, &[(&format!("api/machineactions/{ID}"), &reply)], more)
}

#[track_caller]
fn accepts(server: &Server, more: &[(&str, &str)]) {
    let document = client(&server.url(), more).action(ID).ok();
    assert_eq!(document["action"]["id"], ID);
}

/// The measure of all other tests here: what a trusted server receives is seen.
#[test]
fn a_request_that_arrives_is_seen() {
    let pki = Pki::new();
    pki.issue("server", &Wish::default());
    let server = pki.listener("server", &[]);
    client(&server.url(), &[("ca_file", &pki.path("root")), ("max_retries", "0")])
        .action(ID)
        .error("broken");
    assert!(server.output().contains("Bearer canary-token"), "{}", server.output());
}

#[test]
fn expired_and_future_certificates_are_refused() {
    let pki = Pki::new();
    let root = pki.path("root");
    for (name, from, until, words) in [
        ("old", "20200101000000Z", "20210101000000Z", "has expired"),
        ("early", "20900101000000Z", "20910101000000Z", "is not valid yet"),
    ] {
        pki.issue(name, &Wish { valid: Some((from, until)), ..Wish::default() });
        refuses(&pki.listener(name, &[]), &[("ca_file", &root)], words);
    }
}

#[test]
fn certificates_of_unknown_authorities_are_refused() {
    const UNTRUSTED: &str = "issuer is not trusted";
    let (pki, other) = (Pki::new(), Pki::new());
    pki.issue("server", &Wish::default());
    let server = pki.listener("server", &[]);
    refuses(&server, &[], UNTRUSTED);
    // Another authority of the same name does not stand in for it.
    refuses(&server, &[("ca_file", &other.path("root"))], "TLS with `127.0.0.1` failed");

    // The server forgets to send what links it to the root.
    pki.issue("between", &Wish { is_ca: true, names: "", ..Wish::default() });
    pki.issue("leaf", &Wish { issuer: "between", ..Wish::default() });
    let server = pki.listener("leaf", &[]);
    refuses(&server, &[("ca_file", &pki.path("root"))], UNTRUSTED);
    // Then it may be named, or be sent after all.
    drop(server);
    accepts(&good(&pki, "leaf", &[]), &[("ca_file", &pki.path("between"))]);
    let whole = good(&pki, "leaf", &["-cert_chain", &pki.path("between")]);
    accepts(&whole, &[("ca_file", &pki.path("root"))]);
    // Whoever has an ordinary certificate is no authority.
    pki.issue("forged", &Wish { issuer: "server", ..Wish::default() });
    let server = pki.listener("forged", &["-cert_chain", &pki.path("server")]);
    refuses(&server, &[("ca_file", &pki.path("root"))], "TLS with `127.0.0.1` failed");
}

#[test]
fn a_self_signed_certificate_is_trusted_only_if_it_is_given() {
    let pki = Pki::new();
    let names = "subjectAltName=IP:127.0.0.1";
    pki.self_signed("alone", "basicConstraints=CA:FALSE", names);
    refuses(&pki.listener("alone", &[]), &[], "issuer is not trusted");
    accepts(&good(&pki, "alone", &[]), &[("ca_file", &pki.path("alone"))]);

    // As `openssl req -x509` makes them: an authority, which must not be a server at the same time.
    pki.self_signed("both", "basicConstraints=critical,CA:TRUE", names);
    refuses(&pki.listener("both", &[]), &[("ca_file", &pki.path("both"))], "TLS with `127.0.0.1`");
}

/// Tunnels of a proxy lead every name to the same server.
#[test]
fn a_certificate_is_valid_only_for_its_names() {
    let pki = Pki::new();
    let root = pki.path("root");
    for (number, (names, right, wrong)) in [
        (
            "DNS:api.corp.test",
            &["api.corp.test", "API.corp.test"][..],
            &["corp.test", "xapi.corp.test"][..],
        ),
        ("DNS:*.corp.test", &["a.corp.test", "b.corp.test"], &["corp.test", "a.b.corp.test"]),
        ("IP:192.0.2.7", &["192.0.2.7"], &["192.0.2.8", "api.corp.test", "[2001:db8::7]"]),
        ("IP:2001:db8::7", &["[2001:db8::7]"], &["[2001:db8::8]", "192.0.2.7"]),
        // An address is not a name, not even in writing; and a common name has never been enough.
        ("DNS:192.0.2.7", &[], &["192.0.2.7"]),
        ("", &[], &["name5", "192.0.2.9"]),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("name{number}");
        pki.issue_for(&name, names);
        let server = good(&pki, &name, &[]);
        let proxy = StubProxy::to(server.port);
        let at = |host: &str| {
            let (url, proxy) = (format!("https://{host}:8443"), proxy.url());
            client(&url, &[("ca_file", &root), ("proxy", &proxy)]).action(ID)
        };
        for host in wrong {
            let error = is_refused(at(host), host, "is for another host");
            let message = error["message"].as_str().unwrap();
            // The names that it is for, and the proxy that may have a hand in it.
            let name = names.split_once(':').map_or("", |(_, name)| name);
            assert!(message.contains(name), "{message}");
            let through = format!("through the proxy 127.0.0.1:{}", proxy.port);
            assert!(message.contains(&through), "{message}");
        }
        assert!(!server.output().contains("FILE:"), "{names}: {}", server.output());
        for host in right {
            assert_eq!(at(host).ok()["action"]["id"], ID, "{names}: {host}");
        }
    }
}

#[test]
fn old_versions_and_weak_ciphers_are_refused() {
    let pki = Pki::new();
    pki.issue("server", &Wish::default());
    let root = pki.path("root");
    for how in [["-tls1_2"], ["-tls1_3"]] {
        accepts(&good(&pki, "server", &how), &[("ca_file", &root)]);
    }
    for (how, words) in [
        (&["-tls1", "-cipher", "DEFAULT@SECLEVEL=0"][..], "needs TLS 1.2 or newer"),
        (&["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], "needs TLS 1.2 or newer"),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"], "HandshakeFailure"),
        (&["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"], "HandshakeFailure"),
    ] {
        refuses(&pki.listener("server", how), &[("ca_file", &root)], words);
    }
}

/// Proxies that inspect TLS exist that offer one curve and one cipher.
#[test]
fn servers_with_a_single_curve_or_cipher_are_accepted() {
    let pki = Pki::new();
    pki.issue("ec", &Wish::default());
    pki.issue("rsa", &Wish { key: "rsa:2048", ..Wish::default() });
    let root = pki.path("root");
    let cases: [(&str, &[&str]); 13] = [
        ("ec", &["-tls1_3", "-groups", "X25519"]),
        ("ec", &["-tls1_3", "-groups", "P-256"]),
        ("ec", &["-tls1_3", "-groups", "P-384"]),
        ("ec", &["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"]),
        ("ec", &["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"]),
        ("ec", &["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"]),
        ("rsa", &["-tls1_2", "-groups", "X25519"]),
        ("rsa", &["-tls1_2", "-groups", "P-384"]),
        ("rsa", &["-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"]),
        ("rsa", &["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"]),
        // A server key on P-256 needs that curve besides.
        ("ec", &["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"]),
        ("ec", &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]),
        ("rsa", &["-tls1_3", "-groups", "X25519", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"]),
    ];
    for (name, how) in cases {
        let server = good(&pki, name, how);
        accepts(&server, &[("ca_file", &root)]);
        accepts(&server, &[("ca_file", &root)]);
    }
    for how in [["-tls1_3", "-groups", "X448"], ["-tls1_3", "-groups", "P-521"]] {
        refuses(&pki.listener("ec", &how), &[("ca_file", &root)], "HandshakeFailure");
    }
}

/// Many records, and the last one is not full.
#[test]
fn a_large_reply_arrives_whole_with_every_cipher() {
    let pki = Pki::new();
    pki.issue("server", &Wish { key: "rsa:2048", ..Wish::default() });
    let root = pki.path("root");
    let path = format!("api/machineactions/{ID}");
    let body = format!(r#"{{"id":"{ID}","status":"Pending"}}{}"#, " ".repeat(777_777));
    let reply = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let kinds: [&[&str]; 3] = [
        &["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
        &["-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"],
        &["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"],
    ];
    for how in kinds {
        accepts(&pki.web_server("server", &[(&path, &reply)], how), &[("ca_file", &root)]);
    }
}

/// A reply without a length ends with its connection, which anybody in between may end.
#[test]
fn only_a_tls_close_ends_a_reply_without_a_length() {
    let pki = Pki::new();
    pki.issue_for("server", "IP:127.0.0.1,DNS:api.corp.test");
    let path = format!("api/machineactions/{ID}");
    let body = format!(r#"{{"id":"{ID}","status":"Pending"}}{}"#, " ".repeat(60_000));
    let reply = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{body}");
    let server = pki.web_server("server", &[(&path, &reply)], &[]);
    let (root, port) = (pki.path("root"), server.port);
    accepts(&server, &[("ca_file", &root)]);
    for bytes in [10_000, 30_000, 50_000] {
        let proxy = StubProxy::start(move |mut near, _| {
            let far = TcpStream::connect(("127.0.0.1", port)).unwrap();
            near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
            let _ = std::io::copy(&mut far.take(bytes), &mut near);
            let _ = near.shutdown(Shutdown::Both);
        });
        let (url, proxy) = ("https://api.corp.test", proxy.url());
        let more = [("ca_file", root.as_str()), ("proxy", &proxy), ("max_retries", "0")];
        client(url, &more).action(ID).error("broken");
    }
}

#[test]
fn a_peer_without_tls_has_its_own_message() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let mut received = Vec::new();
        // The handshake's first message may be met by a reset.
        let _ = peer.read_to_end(&mut received);
        received
    });
    is_refused(client(&url, &[]).action(ID), "127.0.0.1", "does not speak TLS");
    let received = server.join().unwrap();
    assert!(!received.windows(6).any(|part| part == b"canary"));
}

#[test]
fn untrusted_sign_in_services_get_no_secret() {
    let pki = Pki::new();
    pki.issue("server", &Wish::default());
    let server = pki.listener("server", &[]);
    let url = server.url();
    let client = Client::with(&[
        ("tenant_id", mde_simulator::DEFAULT_TENANT),
        ("client_id", mde_simulator::DEFAULT_CLIENT),
        ("client_secret", "canary-secret"),
        ("api_url", &url),
        ("login_url", &url),
        ("proxy", "none"),
    ])
    .unwrap();
    let error = is_refused(client.collect(MACHINE, "x"), "127.0.0.1", "issuer is not trusted");
    assert_eq!(error["stage"], "token");
    got_nothing(&server);
}
