//! Credentials are wiped: after the client is freed, the memory of this process does not contain them. It is a separate
//! program, because other tests would keep copies.

#![cfg(target_os = "linux")]

/// What peers send, and what is sent to them.
mod exchanged;

use std::fs::File;
use std::io::BufRead;
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard};

use mde::{Client, Options};
use mde_tests::peers::keys::Keys;
use zeroize::{Zeroize, Zeroizing};

/// A text that is kept in a form in which the search does not find itself.
struct Mark(Vec<u8>);

impl Mark {
    fn new(text: &[u8]) -> Mark {
        Mark(text.iter().map(|byte| byte ^ 0x5a).collect())
    }

    fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(String::from_utf8(self.0.iter().map(|byte| byte ^ 0x5a).collect()).unwrap())
    }

    fn is_at(&self, window: &[u8]) -> bool {
        window.iter().zip(&self.0).all(|(byte, masked)| byte ^ 0x5a == *masked)
    }

    /// How often the memory of this process holds it.
    fn count(&self) -> usize {
        self.count_in(|_, _| true)
    }

    /// The same without the stack of this thread. Code that is not optimised, as in test builds, leaves there what vectors
    /// held while bytes were compared.
    fn count_in_heap(&self) -> usize {
        let here = 0_u8;
        let here = (&raw const here).addr() as u64;
        self.count_in(|from, to| !(from..to).contains(&here))
    }

    fn count_in(&self, is_wanted: impl Fn(u64, u64) -> bool) -> usize {
        let memory = File::open("/proc/self/mem").unwrap();
        let mut buffer = Vec::new();
        let mut found = 0;
        for line in std::fs::read_to_string("/proc/self/maps").unwrap().lines() {
            let mut words = line.split_whitespace();
            let (range, access) = (words.next().unwrap(), words.next().unwrap());
            if !access.starts_with("rw") {
                continue;
            }
            let (from, to) = range.split_once('-').unwrap();
            let [from, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).unwrap());
            if !is_wanted(from, to) {
                continue;
            }
            buffer.resize((to - from) as usize, 0);
            if memory.read_exact_at(&mut buffer, from).is_ok() {
                // The system's search for a byte is fast, also in a test build.
                let mut rest = &buffer[..];
                while rest.skip_until(self.0[0] ^ 0x5a).unwrap() > 0 {
                    let at = buffer.len() - rest.len() - 1;
                    let window = buffer.get(at..at + self.0.len());
                    found += usize::from(window.is_some_and(|window| self.is_at(window)));
                }
            }
            // What was copied here is not to be found again.
            buffer.zeroize();
        }
        found
    }
}

/// A call that sends its token request to somebody who never answers, and everything that goes with it.
fn use_up(options: &[(&str, &str)]) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut all = Options::new();
    let usual = [
        ("tenant_id", "t"),
        ("client_id", "c"),
        ("api_url", url.as_str()),
        ("login_url", url.as_str()),
        ("proxy", "none"),
        ("timeout_ms", "300"),
    ];
    for (name, value) in usual.iter().chain(options) {
        all.set(name, value).unwrap();
    }
    let client = Client::new(&all).unwrap();
    drop(all);
    let error = client.actions("", None).unwrap_err();
    assert_eq!(error.status(), mde::Status::Deadline, "{error}");
}

/// One test at a time has the memory.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[test]
fn the_search_finds_a_present_secret() {
    let _turn = turn();
    let mark = Mark::new(b"a-mark-that-is-here-0815");
    let here = mark.text();
    assert!(mark.count() > 0);
    drop(here);
    assert_eq!(mark.count(), 0);
}

#[test]
fn nothing_is_left_of_a_secret() {
    let _turn = turn();
    let secret = Mark::new(b"a-secret-to-be-wiped-4711");
    use_up(&[("client_secret", &secret.text())]);
    assert_eq!(secret.count(), 0);
}

/// Signs in with this certificate, key and password: nothing is left of the password, of the key, and of its text.
#[track_caller]
fn nothing_is_left_of(certificate: &str, key: Option<&str>) {
    nothing_is_left_of_options(["client_certificate", "client_key"], certificate, key);
}

#[track_caller]
fn nothing_is_left_of_options(names: [&str; 2], certificate: &str, key: Option<&str>) {
    let _turn = turn();
    let keys = Keys::new();
    let password = Mark::new(b"a-password-to-be-wiped-42");
    keys.write("password", password.text().as_bytes());
    keys.openssl("pkcs12 -export -in cert.pem -inkey key.pem -out own.p12 -passout file:password");
    keys.openssl("pkcs8 -topk8 -in key.pem -out encrypted.pem -passout file:password");
    // A piece of the key as DER has it: some bytes of its first prime.
    keys.openssl("rsa -in key.pem -traditional -outform DER -out key.der");
    let mut der = keys.bytes("key.der");
    let prime = Mark::new(&der[600..624]);
    der.zeroize();
    let mut pem = keys.text("key.pem");
    let line = Mark::new(&pem.lines().nth(5).unwrap().as_bytes()[..32]);
    pem.zeroize();
    {
        let mut options = vec![(names[0], keys.path(certificate))];
        options.extend(key.map(|key| (names[1], keys.path(key))));
        if names[0] == "tls_certificate" {
            options.push(("client_secret", "something to sign in with".to_owned()));
        }
        let password = password.text();
        let mut options: Vec<_> =
            options.iter().map(|(name, value)| (*name, value.as_str())).collect();
        options.push(("certificate_password", &password));
        use_up(&options);
    }
    assert_eq!([&password, &prime, &line].map(Mark::count), [0; 3], "password, key, its text");
}

#[test]
fn nothing_is_left_of_a_pkcs12_file() {
    nothing_is_left_of("own.p12", None);
}

#[test]
fn nothing_is_left_of_an_encrypted_key() {
    nothing_is_left_of("cert.pem", Some("encrypted.pem"));
}

#[test]
fn nothing_is_left_of_a_key() {
    nothing_is_left_of("cert.pem", Some("key.pem"));
}

#[test]
fn nothing_is_left_of_a_key_for_gateways() {
    let names = ["tls_certificate", "tls_key"];
    nothing_is_left_of_options(names, "own.p12", None);
    nothing_is_left_of_options(names, "cert.pem", Some("encrypted.pem"));
    nothing_is_left_of_options(names, "cert.pem", Some("key.pem"));
}

/// Options in JSON that are refused, with secrets beside what is wrong. `~` is the secret.
#[test]
fn nothing_is_left_of_refused_settings() {
    let _turn = turn();
    let secret = Mark::new(b"refused-with-others-4711");
    for json in [
        r#"{"client_secret":"~","cloud":"mars"}"#,
        r#"{"client_secret":"~","timeout_ms":true}"#,
        r#"{"timeout_ms":-1,"client_secret":"~"}"#,
        r#"{"client_secret":"~","no_such_option":"x"}"#,
        r#"{"no_such_option":"~"}"#,
        r#"{"client_secret":["~",{"x":"~"}]}"#,
        r#"{"timeout_ms":"~"}"#,
        r#"{"timeout_ms":{"~":5}}"#,
        r#"{"~":"x"}"#,
        r#"{"client_secret":"~" oh}"#,
        r#"{"client_secret":"~","cloud":"#,
        r#"{"client_secret":"~\q"}"#,
        r#"{"access_token":"~ ~","client_secret":"~\n"}"#,
        r#"{"access_token":"~","certificate_password":"~","tenant_id":"a b"}"#,
        r#"{"proxy":"http://user:~@h","cloud":"mars"}"#,
        r#"{"proxy":"http://user:~@h:0"}"#,
        r#"{"proxy":"socks5://~:x@h"}"#,
        r#"{"quota_redis":"redis://user:~@h:0"}"#,
        r#"{"api_url":"https://user:~@h"}"#,
        r#"["~"]"#,
        r#""~""#,
        r#"{"client_secret":"~"} x"#,
    ] {
        // As it is, and with an escape in it, in a string that is allocated once.
        for with in ["refused-with", r"\u0072efused\u002Dwith"] {
            let marked = secret.text();
            let end = marked.get("refused-with".len()..).unwrap();
            let parts: Vec<&str> = json.split('~').flat_map(|part| [part, with, end]).collect();
            let text = Zeroizing::new(parts[..parts.len() - 2].concat());
            drop(marked);
            let refused = Options::new().set_json(&text).unwrap_err();
            drop(text);
            assert!(!refused.message().contains("refused"), "{refused}");
            assert_eq!(secret.count_in_heap(), 0, "{json} {with}");
        }
    }
}
