//! Certificates whose files are renewed while a client uses them.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use mde_tests::peers::keys::Keys;
use mde_tests::peers::responder::{Answer, Responder};
use mde_tests::{Client, Outcome, Sink};
use serde_json::json;

/// Tokens live too short to be used twice, so every call signs in.
fn authority() -> Responder {
    Responder::start(|asked| match asked.is_token_request() {
        true => Answer::json(200, &json!({"access_token": "x", "expires_in": 0})),
        false => Answer::json(200, &json!({"value": []})),
    })
}

fn options<'a>(url: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let usual = [
        ("tenant_id", "11111111-2222-3333-4444-555555555555"),
        ("client_id", "66666666-7777-8888-9999-000000000000"),
        ("api_url", url),
        ("login_url", url),
        ("max_retries", "0"),
    ];
    [&usual, more].concat()
}

fn try_client(server: &Responder, more: &[(&str, &str)]) -> Result<Client, Outcome> {
    Client::with(&options(&server.url(), more))
}

fn client(server: &Responder, more: &[(&str, &str)]) -> Client {
    try_client(server, more).unwrap_or_else(|outcome| panic!("{}", outcome.text))
}

/// Two pairs: `old.pem` and `old.key`, `new.pem` and `new.key`.
fn pairs() -> Keys {
    let keys = Keys::new();
    for name in ["old", "new"] {
        keys.openssl(&format!(
            "req -x509 -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.pem -days 30 -subj /CN={name}"
        ));
        keys.join(&format!("{name}-both.pem"), &[&format!("{name}.pem"), &format!("{name}.key")]);
    }
    keys
}

/// Puts a file in the place of another one, as careful programs do.
fn replace(keys: &Keys, name: &str, by: &str) {
    keys.join("next", &[by]);
    fs::rename(keys.path("next"), keys.path(name)).unwrap();
}

/// The name of the pair that the client signs in with now.
#[track_caller]
fn signs_with(client: &Client, server: &Responder, keys: &Keys) -> &'static str {
    client.list("").ok();
    let form = server.token_requests().last().unwrap().form();
    let assertion = &form["client_assertion"];
    for name in ["old", "new"] {
        let thumbprint = keys.thumbprint(&format!("{name}.pem"), "sha256");
        keys.join("cert.pem", &[&format!("{name}.pem")]);
        if header(assertion)["x5t#S256"] == thumbprint {
            keys.verify(assertion);
            return name;
        }
    }
    panic!("{assertion}");
}

fn header(jwt: &str) -> serde_json::Value {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let header = URL_SAFE_NO_PAD.decode(jwt.split('.').next().unwrap()).unwrap();
    serde_json::from_slice(&header).unwrap()
}

#[test]
fn a_renewed_file_serves_the_next_token_request() {
    let (keys, server) = (pairs(), authority());
    replace(&keys, "used", "old-both.pem");
    let used = keys.path("used");
    let client = client(&server, &[("client_certificate", &used)]);
    assert_eq!(signs_with(&client, &server, &keys), "old");
    replace(&keys, "used", "new-both.pem");
    assert_eq!(signs_with(&client, &server, &keys), "new");
    // Written in place, with the time and the length of before.
    let before = fs::metadata(&used).unwrap().modified().unwrap();
    let length = keys.bytes("used").len();
    let mut content = keys.bytes("old-both.pem");
    content.resize(length.max(content.len()), b'\n');
    let file = fs::OpenOptions::new().write(true).open(&used).unwrap();
    fs::write(&used, &content).unwrap();
    file.set_modified(before).unwrap();
    assert_eq!(signs_with(&client, &server, &keys), "old");
}

#[test]
fn two_files_are_renewed_one_after_the_other() {
    for order in [["cert", "key"], ["key", "cert"]] {
        let (keys, server) = (pairs(), authority());
        replace(&keys, "used.cert", "old.pem");
        replace(&keys, "used.key", "old.key");
        let (certificate, key) = (keys.path("used.cert"), keys.path("used.key"));
        let client = client(&server, &[("client_certificate", &certificate), ("client_key", &key)]);
        assert_eq!(signs_with(&client, &server, &keys), "old");
        let put = |kind: &str| {
            let new = if kind == "cert" { "new.pem" } else { "new.key" };
            replace(&keys, &format!("used.{kind}"), new);
        };
        put(order[0]);
        // The two do not belong together yet.
        assert_eq!(signs_with(&client, &server, &keys), "old", "{order:?}");
        assert_eq!(signs_with(&client, &server, &keys), "old", "{order:?}");
        put(order[1]);
        assert_eq!(signs_with(&client, &server, &keys), "new", "{order:?}");
    }
}

#[test]
fn a_file_that_is_half_written_waits_for_the_other_half() {
    let (keys, server) = (pairs(), authority());
    replace(&keys, "used", "old-both.pem");
    let used = keys.path("used");
    let client = client(&server, &[("client_certificate", &used)]);
    let whole = keys.bytes("new-both.pem");
    for part in [0, 1, 100, whole.len() / 2, whole.len() - 30] {
        fs::write(&used, &whole[..part]).unwrap();
        assert_eq!(signs_with(&client, &server, &keys), "old", "{part}");
    }
    fs::write(&used, &whole).unwrap();
    assert_eq!(signs_with(&client, &server, &keys), "new");
}

/// As Kubernetes and cert-manager renew secrets: a link leads to another folder.
#[cfg(unix)]
#[test]
fn a_folder_behind_a_link_is_replaced() {
    use std::os::unix::fs::symlink;

    let (keys, server) = (pairs(), authority());
    for name in ["old", "new"] {
        fs::create_dir(keys.path(&format!("..{name}"))).unwrap();
        keys.join(&format!("..{name}/tls.crt"), &[&format!("{name}.pem")]);
        keys.join(&format!("..{name}/tls.key"), &[&format!("{name}.key")]);
    }
    let turn = |name: &str| {
        symlink(format!("..{name}"), keys.path("..next")).unwrap();
        fs::rename(keys.path("..next"), keys.path("..data")).unwrap();
    };
    turn("old");
    for name in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{name}"), keys.path(name)).unwrap();
    }
    let (certificate, key) = (keys.path("tls.crt"), keys.path("tls.key"));
    let client = client(&server, &[("client_certificate", &certificate), ("client_key", &key)]);
    assert_eq!(signs_with(&client, &server, &keys), "old");
    turn("new");
    assert_eq!(signs_with(&client, &server, &keys), "new");
}

#[test]
fn a_pkcs12_file_is_renewed_with_its_password() {
    let (keys, server) = (pairs(), authority());
    for name in ["old", "new"] {
        keys.openssl(&format!(
            "pkcs12 -export -in {name}.pem -inkey {name}.key -out {name}.p12 -passout pass:abcdef"
        ));
    }
    keys.openssl("pkcs12 -export -in new.pem -inkey new.key -out other.p12 -passout pass:other");
    replace(&keys, "used.p12", "old.p12");
    let used = keys.path("used.p12");
    let options = [("client_certificate", used.as_str()), ("certificate_password", "abcdef")];
    let client = client(&server, &options);
    assert_eq!(signs_with(&client, &server, &keys), "old");
    replace(&keys, "used.p12", "other.p12");
    assert_eq!(signs_with(&client, &server, &keys), "old");
    replace(&keys, "used.p12", "new.p12");
    assert_eq!(signs_with(&client, &server, &keys), "new");
}

/// The host has the keys of both certificates, and signs with that of the one which the data names.
#[test]
fn the_certificate_of_a_signer_is_renewed() {
    let (keys, server) = (Arc::new(pairs()), authority());
    replace(&keys, "used", "old.pem");
    let (url, used, own) = (server.url(), keys.path("used"), Arc::clone(&keys));
    let options = options(&url, &[("client_certificate", &used)]);
    let old = keys.thumbprint("old.pem", "sha256");
    let sign = move |algorithm: &str, data: &[u8], sink: &Sink| {
        let named = header(std::str::from_utf8(data).unwrap());
        let has_old = fs::exists(own.path("old.key")).unwrap();
        let key = if has_old && named["x5t#S256"] == old { "old.key" } else { "new.key" };
        sink.set(&own.sign(key, algorithm, data))
    };
    let client =
        Client::with_signer(&options, sign).unwrap_or_else(|outcome| panic!("{}", outcome.text));
    assert_eq!(signs_with(&client, &server, &keys), "old");
    // Only certificates may be there.
    replace(&keys, "used", "new-both.pem");
    assert_eq!(signs_with(&client, &server, &keys), "old");
    replace(&keys, "used", "new.pem");
    assert_eq!(signs_with(&client, &server, &keys), "new");
    // The key of the certificate is gone.
    replace(&keys, "used", "old.pem");
    fs::remove_file(keys.path("old.key")).unwrap();
    let message = || client.list("").error("token")["message"].as_str().unwrap().to_owned();
    let said = message();
    assert!(said.contains("does not fit `client_certificate`"), "{said}");
    assert!(!said.contains("not usable"), "{said}");
    // And the one that fits the other key cannot take its place.
    replace(&keys, "used", "new-both.pem");
    let said = message();
    let part =
        "and are not usable: option `client_certificate` has a private key, and a signer is set";
    assert!(said.contains("does not fit") && said.contains(part), "{said}");
}

/// A file with a costly password is opened once, whether that succeeds or not.
#[test]
fn a_file_that_is_not_usable_costs_its_work_once() {
    let (keys, server) = (pairs(), authority());
    keys.openssl(
        "pkcs12 -export -in new.pem -inkey new.key -out costly.p12 -iter 900000 -passout pass:other",
    );
    replace(&keys, "used", "old-both.pem");
    let used = keys.path("used");
    let options = [("client_certificate", used.as_str()), ("certificate_password", "abcdef")];
    let client = client(&server, &options);
    let took = || {
        let began = Instant::now();
        client.list("").ok();
        began.elapsed()
    };
    took();
    replace(&keys, "used", "costly.p12");
    let first = took();
    let next = (0..5).map(|_| took()).min().unwrap();
    assert!(next < first / 4, "{first:?}, {next:?}");
}

#[test]
fn a_refusal_reports_why_the_files_are_not_used() {
    let keys = pairs();
    let server = Responder::start(|_| {
        Answer::refusal(401, "invalid_client", 700_027, "Client assertion failed.")
    });
    replace(&keys, "used.cert", "old.pem");
    replace(&keys, "used.key", "old.key");
    let (certificate, key) = (keys.path("used.cert"), keys.path("used.key"));
    let client = client(&server, &[("client_certificate", &certificate), ("client_key", &key)]);
    let message = || {
        let error = client.list("").error("token");
        error["message"].as_str().unwrap().to_owned()
    };
    const NOTE: &str = "the certificate's files have changed and are not usable: option `";
    assert!(!message().contains(NOTE), "{}", message());
    for (change, expected) in [
        (("used.key", Some("new.key")), "that belongs to the key of `client_key`"),
        (("used.key", None), "used.key`, which is not readable: No such file"),
        (("used.cert", None), "used.cert`, which is not readable: No such file"),
        (("used.cert", Some("new.key")), "used.key`, which is not readable: No such file"),
    ] {
        match change {
            (name, Some(by)) => replace(&keys, name, by),
            (name, None) => fs::remove_file(keys.path(name)).unwrap(),
        }
        let message = message();
        assert!(message.contains(NOTE) && message.contains(expected), "{expected}: {message}");
        assert!(message.contains("AADSTS700027"), "{message}");
    }
    // As they were.
    replace(&keys, "used.cert", "old.pem");
    replace(&keys, "used.key", "old.key");
    assert!(!message().contains(NOTE), "{}", message());
}

/// The host may change its folder, or lose the right to read.
#[test]
fn what_was_read_once_goes_on() {
    let (keys, server) = (pairs(), authority());
    replace(&keys, "used", "old-both.pem");
    let used = keys.path("used");
    let client = client(&server, &[("client_certificate", &used)]);
    fs::remove_file(&used).unwrap();
    fs::create_dir(&used).unwrap();
    assert_eq!(signs_with(&client, &server, &keys), "old");
    // A new client needs the file.
    let refused = try_client(&server, &[("client_certificate", &used)]).err().unwrap();
    let message = refused.error("config")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("`client_certificate` is not a file"), "{message}");
}
