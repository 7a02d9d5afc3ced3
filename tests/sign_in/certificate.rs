//! Signing in with a certificate: OpenSSL makes the files and verifies the signatures.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mde_tests::peers::keys::Keys;
use mde_tests::peers::responder::{Answer, Responder};
use mde_tests::{Client, Outcome};
use serde_json::json;

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const APP: &str = "66666666-7777-8888-9999-000000000000";

fn client(server: &Responder, more: &[(&str, &str)]) -> Result<Client, Outcome> {
    let url = server.url();
    let usual = [
        ("tenant_id", TENANT),
        ("client_id", APP),
        ("api_url", url.as_str()),
        ("login_url", url.as_str()),
        ("max_retries", "0"),
    ];
    Client::with(&[&usual, more].concat())
}

/// The assertion that a client with these options sends.
#[track_caller]
fn assertion(more: &[(&str, &str)]) -> String {
    let server = Responder::with_token("token-of-the-certificate");
    let client = client(&server, more).unwrap_or_else(|outcome| panic!("{}", outcome.text));
    client.list("").ok();
    let form = server.token_requests()[0].form();
    assert_eq!(
        form["client_assertion_type"],
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    assert!(!form.contains_key("client_secret"));
    form["client_assertion"].clone()
}

#[track_caller]
fn refused(more: &[(&str, &str)]) -> String {
    let server = Responder::with_token("x");
    let error = client(&server, more).err().expect("it was accepted").error("config");
    error["message"].as_str().unwrap().to_owned()
}

#[test]
fn openssl_verifies_what_is_signed_and_the_claims_are_the_documented_ones() {
    let keys = Keys::new();
    keys.join("both.pem", &["cert.pem", "key.pem"]);
    let both = keys.path("both.pem");
    for (algorithm, member, hash) in [("PS256", "x5t#S256", "sha256"), ("RS256", "x5t", "sha1")] {
        let server = Responder::start(|asked| match asked.is_token_request() {
            // Too short a life to be used twice.
            true => Answer::json(200, &json!({"access_token": "x", "expires_in": 0})),
            false => Answer::json(200, &json!({"value": []})),
        });
        let options = [("client_certificate", both.as_str()), ("certificate_algorithm", algorithm)];
        let client = client(&server, &options).unwrap_or_else(|outcome| panic!("{}", outcome.text));
        let mut ids = HashSet::new();
        for _ in 0..3 {
            client.list("").ok();
        }
        for asked in server.token_requests() {
            let form = asked.form();
            assert_eq!(form["grant_type"], "client_credentials");
            assert_eq!(form["scope"], "https://api.securitycenter.microsoft.com/.default");
            let (header, claims) = keys.verify(&form["client_assertion"]);
            assert_eq!(
                header,
                json!({"alg": algorithm, "typ": "JWT", member: keys.thumbprint("cert.pem", hash)})
            );
            let url = format!("{}/{TENANT}/oauth2/v2.0/token", server.url());
            assert_eq!(
                (&claims["aud"], &claims["iss"], &claims["sub"]),
                (&json!(url), &json!(APP), &json!(APP))
            );
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            let [nbf, iat, exp] = ["nbf", "iat", "exp"].map(|name| claims[name].as_u64().unwrap());
            assert!(nbf == iat && (now - 10..=now).contains(&nbf), "{claims}");
            assert!((300..=600).contains(&(exp - nbf)), "{claims}");
            let id = claims["jti"].as_str().unwrap();
            assert_eq!((id.len(), &id[14..15]), (36, "4"), "{id}");
            ids.insert(id.to_owned());
        }
        assert!(ids.len() >= 3 && ids.len() == server.token_requests().len(), "each is new");
    }
}

#[test]
fn keys_in_every_form() {
    let keys = Keys::new();
    let password = "p&ss w\u{f6}rd";
    keys.write("password", password);
    keys.openssl("rsa -in key.pem -traditional -out pkcs1.pem");
    keys.openssl("pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out key.der");
    keys.openssl("rsa -in key.pem -traditional -outform DER -out pkcs1.der");
    keys.openssl("x509 -in cert.pem -outform DER -out cert.der");
    let plain = ["key.pem", "pkcs1.pem", "key.der", "pkcs1.der"];
    for (at, how) in [
        "-v2 aes-256-cbc",
        "-v2 aes-128-cbc -v2prf hmacWithSHA1",
        "-v2 aes-256-cbc -v2prf hmacWithSHA512 -iter 10000",
        "-v2 aes-256-cbc -v2prf hmacWithSHA384",
        "-v2 des3",
        "-v1 PBE-SHA1-3DES",
    ]
    .iter()
    .enumerate()
    {
        keys.openssl(&format!(
            "pkcs8 -topk8 -in key.pem -out encrypted{at}.pem {how} -passout file:password"
        ));
        let key = keys.path(&format!("encrypted{at}.pem"));
        let jwt = assertion(&[
            ("client_certificate", &keys.path("cert.pem")),
            ("client_key", &key),
            ("certificate_password", password),
        ]);
        keys.verify(&jwt);
    }
    for (certificate, key) in [
        ("cert.pem", plain[0]),
        ("cert.pem", plain[1]),
        ("cert.der", plain[2]),
        ("cert.der", plain[3]),
    ] {
        let (certificate, key) = (keys.path(certificate), keys.path(key));
        keys.verify(&assertion(&[("client_certificate", &certificate), ("client_key", &key)]));
    }
    // The text itself instead of a path; and a bundle with words of OpenSSL's between the blocks.
    let (certificate, key) = (keys.text("cert.pem"), keys.text("key.pem"));
    keys.verify(&assertion(&[("client_certificate", &certificate), ("client_key", &key)]));
    keys.verify(&assertion(&[("client_certificate", &format!("{key}{certificate}"))]));
    keys.openssl("pkcs12 -export -in cert.pem -inkey key.pem -out x.p12 -passout pass:");
    keys.openssl("pkcs12 -in x.p12 -passin pass: -nodes -out words.pem");
    keys.verify(&assertion(&[("client_certificate", &keys.path("words.pem"))]));
    // OpenSSL writes names as Latin-1.
    keys.openssl(
        "pkcs12 -export -in cert.pem -inkey key.pem -out x.p12 -passout pass: -name Schl\u{fc}ssel",
    );
    keys.openssl("pkcs12 -in x.p12 -passin pass: -nodes -out names.pem");
    keys.verify(&assertion(&[("client_certificate", &keys.path("names.pem"))]));
    keys.write(
        "latin.pem",
        [&b"  friendlyName: Schl\xfcssel\n"[..], &keys.bytes("words.pem")].concat(),
    );
    keys.verify(&assertion(&[("client_certificate", &keys.path("latin.pem"))]));
}

#[test]
fn the_newest_of_several_certificates_for_a_key_is_used() {
    let keys = Keys::new();
    for (name, days) in [("old", 10), ("new", 900), ("middle", 90)] {
        keys.openssl(&format!(
            "req -x509 -key key.pem -out {name}.pem -days {days} -subj /CN={name}"
        ));
    }
    keys.join("cert.pem", &["new.pem"]);
    keys.join("all.pem", &["old.pem", "new.pem", "middle.pem", "key.pem"]);
    let (header, _) = keys.verify(&assertion(&[("client_certificate", &keys.path("all.pem"))]));
    assert_eq!(header["x5t#S256"], keys.thumbprint("new.pem", "sha256"));
}

#[test]
fn pkcs12_files_of_openssl_and_windows_are_read() {
    let keys = Keys::new();
    let password = "p&ss w\u{f6}rd";
    keys.write("password", password);
    for (at, how) in [
        "",
        "-legacy",
        // Windows, older and newer.
        "-certpbe PBE-SHA1-3DES -keypbe PBE-SHA1-3DES -macalg sha1",
        "-certpbe AES-256-CBC -keypbe AES-256-CBC -macalg sha256 -iter 2000",
        "-certpbe PBE-SHA1-RC2-128 -keypbe PBE-SHA1-3DES -macalg sha1 -legacy",
        "-certpbe NONE -keypbe AES-128-CBC -macalg sha512",
        "-certpbe NONE -keypbe NONE -macalg sha384",
        "-nomac",
    ]
    .iter()
    .enumerate()
    {
        let name = format!("file{at}.p12");
        let how = if how.is_empty() { String::new() } else { format!(" {how}") };
        keys.openssl(&format!(
            "pkcs12 -export -in cert.pem -inkey key.pem -out {name} -passout file:password{how}"
        ));
        let path = keys.path(&name);
        let options = [("client_certificate", path.as_str()), ("certificate_password", password)];
        keys.verify(&assertion(&options));
        // Without a seal only the padding tells, and not always.
        if at != 7 {
            let said = refused(&[options[0], ("certificate_password", "another")]);
            assert!(said.starts_with("option `certificate_password` is wrong"), "{how}: {said}");
            let said = refused(&options[..1]);
            assert!(said.starts_with("option `certificate_password` is not set"), "{how}: {said}");
        }
        // One flipped bit of the content is no wrong password.
        let mut damaged = keys.bytes(&name);
        damaged.truncate(damaged.len() - 1);
        keys.write("cut.p12", damaged);
        let cut = keys.path("cut.p12");
        let said = refused(&[("client_certificate", &cut), ("certificate_password", password)]);
        assert!(said.contains("damaged"), "{how}: {said}");
    }
    // Without a password at all.
    keys.openssl("pkcs12 -export -in cert.pem -inkey key.pem -out empty.p12 -passout pass:");
    keys.verify(&assertion(&[("client_certificate", &keys.path("empty.p12"))]));
}

#[test]
fn a_chain_is_sent_in_order_and_only_if_configured() {
    let keys = Keys::new();
    let issue = |name: &str, issuer: &str, extension: &str| {
        keys.write("ext", extension);
        keys.openssl(&format!(
            "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ));
        keys.openssl(&format!(
            "x509 -req -in {name}.csr -CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial -days 30 -extfile ext \
             -out {name}.pem"
        ));
    };
    keys.openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -days 30 -subj /CN=root",
    );
    issue("middle", "root", "basicConstraints=critical,CA:TRUE");
    issue("leaf", "middle", "basicConstraints=CA:FALSE");
    keys.join("cert.pem", &["leaf.pem"]);
    keys.join("all.pem", &["root.pem", "middle.pem", "leaf.pem", "leaf.key"]);
    let all = keys.path("all.pem");
    let (header, _) = keys.verify(&assertion(&[("client_certificate", &all)]));
    assert!(header.get("x5c").is_none());
    let (header, _) =
        keys.verify(&assertion(&[("client_certificate", &all), ("certificate_chain", "yes")]));
    let expected: Vec<_> = ["leaf", "middle"]
        .iter()
        .map(|name| {
            keys.openssl(&format!("x509 -in {name}.pem -outform DER -out der"));
            STANDARD.encode(keys.bytes("der"))
        })
        .collect();
    assert_eq!(header["x5c"], json!(expected));
    assert_eq!(header["x5t#S256"], keys.thumbprint("leaf.pem", "sha256"));
}

#[test]
fn unusable_keys_are_refused_when_the_client_is_made() {
    let keys = Keys::new();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| keys.path(name));
    keys.openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -days 30 -subj /CN=x",
    );
    keys.openssl(
        "req -x509 -newkey rsa:1024 -nodes -keyout small.key -out small.pem -days 30 -subj /CN=x",
    );
    keys.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ec.key -out ec.pem -days 30 -subj /CN=x");
    for (name, option) in [("e3", "rsa_keygen_pubexp:3"), ("odd", "rsa_keygen_bits:2056")] {
        keys.openssl(&format!("genpkey -algorithm RSA -pkeyopt {option} -out {name}.key"));
        keys.openssl(&format!("req -x509 -key {name}.key -out {name}.pem -days 30 -subj /CN=x"));
    }
    keys.openssl("pkcs12 -export -in cert.pem -inkey key.pem -out both.p12 -passout pass:abcdef");
    keys.openssl("rsa -in key.pem -traditional -aes128 -passout pass:abcdef -out old.pem");
    keys.openssl("pkcs8 -topk8 -in key.pem -outform DER -out costly.der -v2prf hmacWithSHA1 -iter 100000 -passout pass:abcdef");
    let mut costly = keys.bytes("costly.der");
    let at = costly.windows(5).position(|w| w == [2, 3, 1, 0x86, 0xa0]).unwrap();
    costly[at + 2..at + 5].copy_from_slice(&[0x7f, 0xff, 0xff]);
    keys.write("costly.der", costly);
    keys.openssl("pkcs8 -topk8 -in key.pem -out scrypt.pem -scrypt -passout pass:abcdef");
    keys.openssl("pkcs8 -topk8 -in key.pem -out encrypted.pem -passout pass:abcdef");
    keys.write("garbage", [0x30, 0x82, 0xff, 0xff, 1, 2, 3]);
    keys.write("words", "no PEM at all");
    let path = |name: &str| keys.path(name);
    let with = |certificate: &str, key: &str| {
        refused(&[
            ("client_certificate", certificate),
            ("client_key", key),
            ("certificate_password", "abcdef"),
        ])
    };
    for (said, expected) in [
        (
            refused(&[("client_certificate", &certificate)]),
            "`client_certificate` has no private key",
        ),
        (refused(&[("client_certificate", &key)]), "`client_certificate` has no certificate"),
        (
            with(&certificate, &path("other.key")),
            "no certificate that belongs to the key of `client_key`",
        ),
        (with(&path("small.pem"), &path("small.key")), "less than 2048 bits"),
        (with(&path("e3.pem"), &path("e3.key")), "a public exponent below 65537"),
        (with(&path("odd.pem"), &path("odd.key")), "whose length is no multiple of 1024 bits"),
        (with(&path("ec.pem"), &path("ec.key")), "`client_key` names an EC key"),
        (
            with(&certificate, &path("both.p12")),
            "`client_key` names a PKCS#12 file, which belongs in `client_certificate`",
        ),
        (with(&certificate, &path("old.pem")), "Proc-Type"),
        (with(&certificate, &path("costly.der")), "takes 8388607 iterations"),
        (with(&certificate, &path("costly.der")), "openssl pkcs8 -topk8 -in FILE"),
        (with(&certificate, &path("scrypt.pem")), "scrypt"),
        (with(&certificate, &certificate), "`client_key` has no private key"),
        (with(&certificate, &path("garbage")), "`client_key` has damaged content"),
        (with(&path("garbage"), &key), "`client_certificate` has damaged content"),
        (with(&path("words"), &key), "`client_certificate` has damaged content"),
        (with(&path("absent"), &key), "`client_certificate` is not readable: No such file"),
        (with("/", &key), "is not a file"),
        (
            refused(&[
                ("client_certificate", &certificate),
                ("client_key", &path("encrypted.pem")),
            ]),
            "`certificate_password` is not set; the content of `client_key` is encrypted",
        ),
        (
            refused(&[
                ("client_certificate", &certificate),
                ("client_key", &path("encrypted.pem")),
                ("certificate_password", "abcdeg"),
            ]),
            "`certificate_password` is wrong",
        ),
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn many_iterations_are_read_and_too_many_are_refused() {
    let keys = Keys::new();
    let pfx = |iterations: &str| {
        let name = format!("{iterations}.pfx");
        keys.openssl(&format!(
            "pkcs12 -export -in cert.pem -inkey key.pem -out {name} -iter {iterations} -passout pass:abcdef"
        ));
        keys.path(&name)
    };
    let (many, too_many) = (pfx("100000"), pfx("2000001"));
    let password = ("certificate_password", "abcdef");
    keys.verify(&assertion(&[("client_certificate", &many), password]));
    let said = refused(&[("client_certificate", &too_many), password]);
    for part in [
        "`client_certificate`",
        "takes 2000001 iterations",
        "up to 2000000 in all",
        "openssl pkcs12 -export",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn an_empty_password_is_one() {
    let keys = Keys::new();
    for (at, how) in
        ["", " -legacy", " -nomac", " -certpbe NONE -keypbe NONE", " -macalg sha512 -iter 1"]
            .iter()
            .enumerate()
    {
        keys.openssl(&format!(
            "pkcs12 -export -in cert.pem -inkey key.pem -out empty{at}.pfx -passout pass:{how}"
        ));
        let file = keys.path(&format!("empty{at}.pfx"));
        let file = ("client_certificate", file.as_str());
        keys.verify(&assertion(&[file, ("certificate_password", "")]));
        keys.verify(&assertion(&[file]));
    }
    // It is no way to open what has another.
    keys.openssl("pkcs12 -export -in cert.pem -inkey key.pem -out full.pfx -passout pass:x");
    let full = keys.path("full.pfx");
    let said = refused(&[("client_certificate", &full), ("certificate_password", "")]);
    assert!(said.starts_with("option `certificate_password` is wrong"), "{said}");
}

/// What environment variables, vaults, PowerShell and OpenSSL make of certificate and key.
#[test]
fn other_forms_of_the_same_are_read() {
    let keys = Keys::new();
    let both = keys.text("key.pem") + &keys.text("cert.pem");
    keys.openssl("pkcs12 -export -in cert.pem -inkey key.pem -out x.pfx -passout pass:");
    keys.openssl(
        "x509 -in cert.pem -trustout -addtrust clientAuth -setalias agent -out trusted.pem",
    );
    keys.openssl("x509 -in cert.pem -outform DER -out cert.der");
    keys.openssl("pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out key.der");
    let lines = |bytes: &[u8]| {
        let text = STANDARD.encode(bytes).into_bytes();
        let lines: Vec<_> = text.chunks(76).map(|line| String::from_utf8_lossy(line)).collect();
        lines.join("\r\n") + "\r\n"
    };
    let utf16 = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        ['\u{feff}'].iter().copied().chain(both.chars()).flat_map(|c| order(c as u16)).collect()
    };
    for (name, content) in [
        ("utf16-le", utf16(u16::to_le_bytes)),
        ("utf16-be", utf16(u16::to_be_bytes)),
        ("utf16-without-mark", utf16(u16::to_le_bytes)[2..].to_vec()),
        ("escaped", both.replace('\n', "\\n").into_bytes()),
        ("escaped-twice", both.replace('\n', "\\\\r\\\\n").into_bytes()),
        ("base64-of-pfx", lines(&keys.bytes("x.pfx")).into_bytes()),
        ("base64-of-pem", STANDARD.encode(&both).into_bytes()),
        ("pfx-and-line-end", [keys.bytes("x.pfx"), b"\r\n".to_vec()].concat()),
        ("trusted", (keys.text("trusted.pem") + &keys.text("key.pem")).into_bytes()),
        ("old-label", both.replace(" CERTIFICATE", " X509 CERTIFICATE").into_bytes()),
    ] {
        keys.write(name, content);
        let (header, _) = keys.verify(&assertion(&[("client_certificate", &keys.path(name))]));
        assert_eq!(header["x5t#S256"], keys.thumbprint("cert.pem", "sha256"), "{name}");
    }
    for text in [
        STANDARD.encode(keys.bytes("x.pfx")),
        lines(&keys.bytes("x.pfx")),
        STANDARD.encode(&both),
        both.replace('\n', "\\n"),
        format!("\"{}\"", both.replace('\n', " ")),
    ] {
        keys.verify(&assertion(&[("client_certificate", &text)]));
    }
    for (certificate, key) in [
        (STANDARD.encode(keys.bytes("cert.der")), STANDARD.encode(keys.bytes("key.der"))),
        (keys.text("trusted.pem"), keys.text("key.pem").replace('\n', "\\n")),
    ] {
        keys.verify(&assertion(&[("client_certificate", &certificate), ("client_key", &key)]));
    }
}

#[test]
fn what_a_file_is_instead_is_said_and_how_to_convert_it() {
    let keys = Keys::new();
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| keys.path(name));
    keys.openssl("rsa -in key.pem -pubout -out public.pem");
    keys.openssl("rsa -in key.pem -RSAPublicKey_out -out rsa-public.pem");
    keys.openssl("req -new -key key.pem -subj /CN=x -out request.pem");
    keys.openssl("crl2pkcs7 -nocrl -certfile cert.pem -out certificates.p7b");
    keys.openssl("crl2pkcs7 -nocrl -certfile cert.pem -outform DER -out der.p7b");
    keys.openssl("pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out key.der");
    keys.openssl("x509 -in cert.pem -outform DER -out cert.der");
    keys.openssl("rsa -in key.pem -traditional -des3 -passout pass:abcdef -out old.pem");
    keys.join("certificate-and-public.pem", &["cert.pem", "public.pem"]);
    keys.write("store.jks", [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 1]);
    keys.write("ber.p12", [0x30, 0x80, 0x02, 0x01, 0x03, 0x30, 0x80]);
    keys.write("key.ppk", "PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\n");
    keys.write("key.json", "{\"kty\": \"RSA\"}");
    keys.write("empty", "\n");
    let openssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n";
    keys.write("openssh", openssh);
    for (name, what, advice) in [
        ("request.pem", "a certificate request", "expected the certificate issued for it"),
        ("certificates.p7b", "PKCS#7", "openssl pkcs7 -print_certs"),
        ("der.p7b", "PKCS#7", "-inform DER"),
        ("store.jks", "a Java keystore (JKS)", "keytool -importkeystore"),
        ("ber.p12", "(BER)", "openssl pkcs12 -in FILE -nodes"),
        ("empty", "nothing in it", "expected PEM or PKCS#12"),
        ("key.der", "no certificate", ""),
    ] {
        let said = refused(&[("client_certificate", &keys.path(name)), ("client_key", &key)]);
        assert!(said.starts_with("option `client_certificate` has"), "{name}: {said}");
        assert!(said.contains(what) && said.contains(advice), "{name}: {said}");
    }
    for (name, what, advice) in [
        ("public.pem", "a public key", "expected the private key"),
        ("rsa-public.pem", "a public key", "expected the private key"),
        ("openssh", "an OpenSSH key", "ssh-keygen -p -m PKCS8"),
        ("key.ppk", "a PuTTY key", "puttygen"),
        ("key.json", "JSON", "expected PEM"),
        ("store.jks", "a Java keystore (JKS)", "-deststoretype PKCS12"),
        (
            "old.pem",
            "PEM's older encryption (Proc-Type, DEK-Info)",
            "openssl pkcs8 -topk8 -in FILE",
        ),
        ("cert.der", "no private key", ""),
        ("empty", "nothing in it", ""),
    ] {
        let said =
            refused(&[("client_certificate", &certificate), ("client_key", &keys.path(name))]);
        assert!(said.starts_with("option `client_key` has"), "{name}: {said}");
        assert!(said.contains(what) && said.contains(advice), "{name}: {said}");
    }
    let said = refused(&[("client_certificate", &keys.path("certificate-and-public.pem"))]);
    assert!(said.contains("has a public key; expected the private key"), "{said}");
}

#[test]
fn a_refusal_reports_that_the_certificate_has_expired() {
    let keys = Keys::new();
    let server = Responder::start(|_| {
        Answer::refusal(
            401,
            "invalid_client",
            700_027,
            "Client assertion failed signature validation.",
        )
    });
    for (from, until, expected) in [
        ("20200101000000Z", "20210101000000Z", "the certificate expired at 2021-01-01T00:00:00Z"),
        ("20990101000000Z", "20991231000000Z", "valid only from 2099-01-01T00:00:00Z on"),
    ] {
        keys.certify(from, until);
        let options =
            [("client_certificate", keys.path("cert.pem")), ("client_key", keys.path("key.pem"))];
        let options = options.each_ref().map(|(name, value)| (*name, value.as_str()));
        let error = client(&server, &options).map_err(|o| o.text).unwrap().list("").error("token");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(expected) && message.contains("AADSTS700027"), "{message}");
        assert_eq!(error["correlation_id"], "7b6a4d0c-0000-4000-8000-000000000002");
    }
}
