//! Signing in with a callback that signs: OpenSSL has the key, and verifies what arrives.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mde_tests::peers::keys::Keys;
use mde_tests::peers::responder::{Answer, Responder};
use mde_tests::{Cancel, Client, OK, Sink, id};
use serde_json::json;

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const APP: &str = "66666666-7777-8888-9999-000000000000";

const INVALID_ARGUMENT: i32 = 3;

fn options<'a>(url: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let usual = [
        ("tenant_id", TENANT),
        ("client_id", APP),
        ("api_url", url),
        ("login_url", url),
        ("max_retries", "0"),
    ];
    [&usual, more].concat()
}

/// A client whose callback signs with `key.pem`, as it is asked to.
#[track_caller]
fn client(server: &Responder, keys: &Arc<Keys>, more: &[(&str, &str)]) -> Client {
    let (url, keys) = (server.url(), Arc::clone(keys));
    let made = Client::with_signer(&options(&url, more), move |algorithm, data, sink| {
        sink.set(&keys.sign("key.pem", algorithm, data))
    });
    made.unwrap_or_else(|outcome| panic!("{}", outcome.text))
}

/// A client with another callback, for `cert.pem`.
#[track_caller]
fn client_of(
    server: &Responder,
    keys: &Keys,
    more: &[(&str, &str)],
    sign: impl Fn(&str, &[u8], &Sink) -> i32 + 'static,
) -> Client {
    let (url, certificate) = (server.url(), keys.path("cert.pem"));
    let all = [&[("client_certificate", certificate.as_str())], more].concat();
    let made = Client::with_signer(&options(&url, &all), sign);
    made.unwrap_or_else(|outcome| panic!("{}", outcome.text))
}

#[test]
fn a_callback_signs_for_the_certificate() {
    let keys = Arc::new(Keys::new());
    keys.openssl("x509 -in cert.pem -outform DER -out cert.der");
    let certificate = keys.text("cert.pem");
    for (algorithm, member, hash) in [("PS256", "x5t#S256", "sha256"), ("RS256", "x5t", "sha1")] {
        let server = Responder::with_token("token-of-the-signer");
        let more = [
            ("client_certificate", certificate.as_str()),
            ("certificate_algorithm", algorithm),
            ("certificate_chain", "yes"),
        ];
        client(&server, &keys, &more).list("").ok();
        let form = server.token_requests()[0].form();
        let (header, claims) = keys.verify(&form["client_assertion"]);
        let chain = [STANDARD.encode(keys.bytes("cert.der"))];
        let thumbprint = keys.thumbprint("cert.pem", hash);
        assert_eq!(
            header,
            json!({"alg": algorithm, "typ": "JWT", member: thumbprint, "x5c": chain})
        );
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!(APP), &json!(APP)));
    }
}

#[test]
fn the_first_certificate_of_a_file_is_the_keys_and_its_issuers_follow() {
    let keys = Arc::new(Keys::new());
    keys.openssl(
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=ca",
    );
    keys.openssl("req -new -key key.pem -out csr -subj /CN=agent");
    keys.openssl(
        "x509 -req -in csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out cert.pem",
    );
    keys.join("chain.pem", &["cert.pem", "ca.pem"]);
    keys.join("wrong-order.pem", &["ca.pem", "cert.pem"]);
    let server = Responder::with_token("x");
    let with = |name: &str| client(&server, &keys, &[("client_certificate", &keys.path(name))]);
    with("chain.pem").list("").ok();
    let (header, _) = keys.verify(&server.token_requests()[0].form()["client_assertion"]);
    assert_eq!(header["x5t#S256"], keys.thumbprint("cert.pem", "sha256"));
    let error = with("wrong-order.pem").list("").error("token");
    let said = error["message"].as_str().unwrap();
    assert!(said.contains("the first one of its file"), "{said}");
}

/// Each wrong signature, and what the message must say. None of them is sent.
#[test]
fn a_wrong_signature_is_told_before_it_is_sent() {
    type Made = fn(&Keys, &[u8]) -> Vec<u8>;
    let keys = Arc::new(Keys::new());
    for (name, bits) in [("other.key", "2048"), ("long.key", "3072")] {
        keys.openssl(&format!(
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:{bits} -out {name}"
        ));
    }
    let wrong: [(&str, Made, &str); 8] = [
        (
            "PS256",
            |keys, data| keys.sign("other.key", "PS256", data),
            "made with the key of that certificate",
        ),
        (
            "RS256",
            |keys, data| keys.sign("other.key", "RS256", data),
            "made with the key of that certificate",
        ),
        (
            "PS256",
            |keys, data| keys.sign("long.key", "PS256", data),
            "has 384 bytes, and the key of `client_certificate` makes 256",
        ),
        (
            "PS256",
            |keys, data| keys.sign("key.pem", "RS256", data),
            "another padding than that of PS256",
        ),
        (
            "RS256",
            |keys, data| keys.sign("key.pem", "PS256", data),
            "another padding than that of RS256",
        ),
        (
            "PS256",
            |keys, data| {
                let longest = " -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:max";
                keys.sign("key.pem", longest, data)
            },
            "a salt of 32 bytes; where the key cannot (some TPMs), set `certificate_algorithm=RS256`",
        ),
        (
            "PS256",
            |keys, data| {
                let hash = ring::digest::digest(&ring::digest::SHA256, data);
                keys.sign("key.pem", "PS256", hash.as_ref())
            },
            "hashes the data once",
        ),
        (
            "PS256",
            |keys, data| STANDARD.encode(keys.sign("key.pem", "PS256", data)).into_bytes(),
            "the bare signature",
        ),
    ];
    for (algorithm, make, part) in wrong {
        let server = Responder::with_token("x");
        let own = Arc::clone(&keys);
        let more = [("certificate_algorithm", algorithm)];
        let client = client_of(&server, &keys, &more, move |_, data, sink| {
            assert_eq!(sink.set(&make(&own, data)), OK);
            0
        });
        let error = client.list("").error("token");
        let said = error["message"].as_str().unwrap();
        assert!(said.starts_with("the signature of the signer") && said.contains(part), "{said}");
        assert_eq!((&error["stage"], &error["retryable"]), (&json!("token"), &json!(false)));
        assert!(server.asked().is_empty(), "{part}: it was sent");
    }
}

#[test]
fn a_callback_that_fails_is_told() {
    type Sign = fn(&Keys, &[u8], &Sink) -> i32;
    let keys = Arc::new(Keys::new());
    let server = Responder::with_token("x");
    let failures: [(Sign, &str); 6] = [
        (|_, _, _| 7, "the callback returned 7"),
        (|_, _, _| 0, "returned 0 without calling mde_signature_set"),
        (
            |keys, data, sink| {
                sink.set(&keys.sign("key.pem", "PS256", data));
                -5
            },
            "the callback returned -5",
        ),
        (
            |_, _, sink| {
                assert_eq!(sink.set(&[]), INVALID_ARGUMENT);
                1
            },
            "mde_signature_set: argument `size`",
        ),
        (
            |keys, data, sink| {
                assert_eq!(sink.set(&keys.sign("key.pem", "PS256", data)), OK);
                assert_eq!(sink.set(&[0; 1025]), INVALID_ARGUMENT);
                0
            },
            "mde_signature_set: argument `size`",
        ),
        (
            |_, _, sink| {
                assert_eq!(sink.set(b"client_assertion=canary"), OK);
                0
            },
            "has 23 bytes",
        ),
    ];
    for (sign, part) in failures {
        let own = Arc::clone(&keys);
        let client = client_of(&server, &keys, &[], move |_, data, sink| sign(&own, data, sink));
        let outcome = client.list("");
        assert!(!outcome.text.contains("canary"), "{}", outcome.text);
        let error = outcome.error("token");
        let said = error["message"].as_str().unwrap();
        assert!(said.contains(part), "{said}");
    }
    assert!(server.asked().is_empty());
}

#[test]
fn what_cannot_sign_in_is_refused_when_the_client_is_made() {
    let keys = Keys::new();
    keys.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ec.key -out ec.pem -days 30 -subj /CN=x");
    for (bits, name) in [("1024", "small"), ("4608", "large")] {
        keys.openssl(&format!(
            "req -x509 -newkey rsa:{bits} -nodes -keyout {name}.key -out {name}.pem -days 30 -subj /CN=x"
        ));
    }
    keys.join("both.pem", &["cert.pem", "key.pem"]);
    keys.write("empty.pem", "no certificate");
    keys.openssl("rsa -in key.pem -pubout -out public.pem");
    let refused = |more: &[(&str, &str)]| {
        let made = Client::with_signer(&options("http://127.0.0.1:1", more), |_, _, _| 1);
        let error = made.err().expect("it was accepted").error("config");
        error["message"].as_str().unwrap().to_owned()
    };
    for (name, part) in [
        ("ec.pem", "a certificate with an EC key; expected an RSA key of 2048, 3072 or 4096 bits"),
        ("small.pem", "less than 2048 bits"),
        ("large.pem", "more than 4096 bits"),
        ("both.pem", "has a private key, and a signer is set"),
        ("key.pem", "has a private key and no certificate"),
        ("public.pem", "a public key"),
        ("empty.pem", "damaged content"),
        ("absent.pem", "is not readable"),
    ] {
        let said = refused(&[("client_certificate", &keys.path(name))]);
        assert!(said.starts_with("option `client_certificate`") && said.contains(part), "{said}");
    }
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| keys.path(name));
    let said = refused(&[("client_certificate", &certificate), ("client_key", &key)]);
    assert!(said.contains("`client_key` and a signer are both set"), "{said}");
    for alone in [&[("auth", "certificate")][..], &[]] {
        let said = refused(alone);
        assert!(said.contains("`client_certificate` is not set"), "{said}");
    }
    let said = refused(&[("client_secret", "s")]);
    assert!(said.contains("several ways to sign in are set (client_secret, signer)"), "{said}");
    let said = refused(&[("client_certificate", "store:CurrentUser/My/00")]);
    assert!(said.contains("a signer is set"), "{said}");
}

#[test]
fn windows_store_is_refused_elsewhere() {
    let name = format!("store:CurrentUser/My/{}", "ab".repeat(20));
    let with = |more: &[(&str, &str)]| {
        let all = [&[("client_certificate", name.as_str())], more].concat();
        let error =
            Client::with(&options("http://127.0.0.1:1", &all)).err().unwrap().error("config");
        error["message"].as_str().unwrap().to_owned()
    };
    let said = with(&[]);
    assert!(said.contains("Windows' certificate store, which this system does not have"), "{said}");
    let said = with(&[("client_key", "/key.pem")]);
    assert!(said.contains("remove this option"), "{said}");
}

#[test]
fn a_callback_knows_how_long_its_call_may_take() {
    let keys = Keys::new();
    let server = Responder::with_token("x");
    let told = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&told);
    let timeout = [("timeout_ms", "0")];
    let client = client_of(&server, &keys, &timeout, move |_, _, sink| {
        let mut told = own.lock().unwrap();
        told.push(sink.time_left_ms());
        if told.len() == 2 {
            // Longer than the deadline allows, and without a signature.
            while sink.time_left_ms() > 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        1
    });
    client.list("").error("token");
    let begun = Instant::now();
    let error = client.action_until(&id(1), Some(&Cancel::new(300))).error("deadline");
    assert_eq!(error["stage"], "token");
    assert!((300..2_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    let told = told.lock().unwrap();
    assert_eq!(told[0], u64::MAX);
    assert!((1..=300).contains(&told[1]), "{told:?}");
}

/// Half the life of its token is over, so the call renews it early, which may take a quarter of its time.
#[test]
fn a_callback_that_obeys_its_time_leaves_a_valid_token_in_use() {
    let keys = Arc::new(Keys::new());
    let server = Responder::start(|asked| match asked.is_token_request() {
        true => Answer::json(200, &json!({"access_token": "x", "expires_in": 6})),
        false => Answer::json(200, &json!({"value": []})),
    });
    let told = Arc::new(Mutex::new(Vec::new()));
    let (kept, own) = (Arc::clone(&told), Arc::clone(&keys));
    let timeout = [("timeout_ms", "4000")];
    let client = client_of(&server, &keys, &timeout, move |algorithm, data, sink| {
        let mut told = kept.lock().unwrap();
        told.push(sink.time_left_ms());
        if told.len() == 1 {
            return sink.set(&own.sign("key.pem", algorithm, data));
        }
        while sink.time_left_ms() > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        1
    });
    client.list("").ok();
    std::thread::sleep(Duration::from_millis(3_100));
    client.list("").ok();
    let told = told.lock().unwrap();
    assert!(told.len() == 2 && told[1] <= 1_000, "{told:?}");
}

#[test]
fn a_stop_reaches_the_callback_and_others_ask_again() {
    let keys = Arc::new(Keys::new());
    let server = Responder::with_token("x");
    let (entered, is_in) = mpsc::channel();
    let (calls, own) = (AtomicUsize::new(0), Arc::clone(&keys));
    let client = client_of(&server, &keys, &[], move |algorithm, data, sink| {
        if calls.fetch_add(1, Ordering::Relaxed) > 0 {
            return sink.set(&own.sign("key.pem", algorithm, data));
        }
        entered.send(()).unwrap();
        while sink.time_left_ms() > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        1
    });
    let cancel = Cancel::new(0);
    std::thread::scope(|scope| {
        let stopped = scope.spawn(|| client.action_until(&id(1), Some(&cancel)).error("cancelled"));
        is_in.recv().unwrap();
        let other = scope.spawn(|| client.list("").ok());
        std::thread::sleep(Duration::from_millis(50));
        cancel.trigger();
        assert_eq!(stopped.join().unwrap()["stage"], "token");
        other.join().unwrap();
    });
}

#[test]
fn a_callback_that_uses_its_own_client_is_told_to_use_another() {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    let keys = Keys::new();
    let server = Responder::with_token("x");
    let said = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&said);
    let made = client_of(&server, &keys, &[], move |_, _, _| {
        let error = CLIENT.get().unwrap().list("").error("token");
        *kept.lock().unwrap() = error["message"].as_str().unwrap().to_owned();
        1
    });
    CLIENT.get_or_init(|| made).list("").error("token");
    assert!(said.lock().unwrap().contains("give it another client"), "{said:?}");
}

/// Counts when it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn each_client_asks_its_own_signer_and_frees_it_once() {
    let keys = Arc::new(Keys::new());
    let server = Responder::with_token("x");
    let (asked, freed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let make = || {
        let (own, asked, counted) =
            (Arc::clone(&keys), Arc::clone(&asked), Counted(Arc::clone(&freed)));
        client_of(&server, &keys, &[], move |algorithm, data, sink| {
            counted.0.load(Ordering::Relaxed);
            asked.fetch_add(1, Ordering::Relaxed);
            sink.set(&own.sign("key.pem", algorithm, data))
        })
    };
    let (one, other) = (make(), make());
    for client in [&one, &one, &other] {
        client.list("").ok();
    }
    assert_eq!((asked.load(Ordering::Relaxed), server.token_requests().len()), (2, 2));
    drop(one);
    assert_eq!(freed.load(Ordering::Relaxed), 1);
    other.list("").ok();
    drop(other);
    assert_eq!(freed.load(Ordering::Relaxed), 2);
}

#[test]
fn a_request_that_is_sent_again_is_signed_again() {
    let keys = Arc::new(Keys::new());
    let refusals = AtomicUsize::new(0);
    let server = Responder::start(move |asked| match asked.is_token_request() {
        true if refusals.fetch_add(1, Ordering::Relaxed) == 0 => {
            Answer::refusal(503, "temporarily_unavailable", 90_033, "busy")
        }
        true => Answer::token("x"),
        false => Answer::json(200, &json!({"value": []})),
    });
    let certificate = keys.path("cert.pem");
    let more = [("client_certificate", certificate.as_str()), ("max_retries", "2")];
    client(&server, &keys, &more).list("").ok();
    let ids: Vec<_> = server
        .token_requests()
        .iter()
        .map(|asked| keys.verify(&asked.form()["client_assertion"]).1["jti"].clone())
        .collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
}

#[test]
fn a_refusal_reports_that_the_certificate_has_expired() {
    let keys = Arc::new(Keys::new());
    keys.certify("20200101000000Z", "20210101000000Z");
    let server = Responder::start(|_| {
        Answer::refusal(
            401,
            "invalid_client",
            700_027,
            "Client assertion failed signature validation.",
        )
    });
    let certificate = keys.path("cert.pem");
    let client = client(&server, &keys, &[("client_certificate", &certificate)]);
    let error = client.list("").error("token");
    let said = error["message"].as_str().unwrap();
    assert!(said.contains("the certificate expired at 2021-01-01T00:00:00Z"), "{said}");
}
