use std::ffi::{CStr, CString, c_char};
use std::io::{Read, Write};
use std::ptr::{null, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mde::ffi::client::{mde_client_free, mde_client_new};
use mde::ffi::library::{mde_json_get, mde_string_free};
use mde::ffi::options::{mde_options_free, mde_options_new, mde_options_set};
use mde::ffi::packages::mde_get_package_uri;
use mde::{Client, Options};
use mde_tests::packages::Folder;
use mde_tests::peers::listener::listener;
use mde_tests::peers::nginx::Nginx;
use mde_tests::peers::openssl::Pki;
use zeroize::{Zeroize, Zeroizing};

use super::{Mark, turn};

type Bytes = Zeroizing<Vec<u8>>;

/// A server that keeps nothing of what it is asked and answers. Each read is a request. Returns its port.
fn peer(answer: impl Fn(&[u8]) -> Bytes + Send + Sync + 'static) -> u16 {
    let listener = listener();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for mut near in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || {
                let mut asked = vec![0; 64 * 1024];
                while let Ok(length @ 1..) = near.read(&mut asked) {
                    let said = answer(&asked[..length]);
                    // Before the client goes on, and looks for what it has sent.
                    asked.zeroize();
                    asked.resize(64 * 1024, 0);
                    let written = near.write_all(&said);
                    drop(said);
                    if written.is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

/// A reply with these parts, allocated once.
fn reply(status: &str, header: &str, body: &[&str]) -> Bytes {
    let length: usize = body.iter().map(|part| part.len()).sum();
    let first = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n");
    let head = [first.as_str(), header, "\r\n"];
    Zeroizing::new([&head[..], body].concat().concat().into_bytes())
}

fn ok(body: &[&str]) -> Bytes {
    reply("200 OK", "", body)
}

/// The same without a length, one part in each chunk.
fn chunked(body: &[&str]) -> Bytes {
    let lengths: Vec<String> = body.iter().map(|part| format!("{:x}\r\n", part.len())).collect();
    let mut all = vec!["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"];
    for (part, length) in body.iter().zip(&lengths) {
        all.extend([length.as_str(), part, "\r\n"]);
    }
    all.push("0\r\n\r\n");
    Zeroizing::new(all.concat().into_bytes())
}

fn contains(text: &[u8], part: &str) -> bool {
    text.windows(part.len()).any(|window| window == part.as_bytes())
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn client(url: &str, more: &[(&str, &str)]) -> Client {
    let usual = [
        ("tenant_id", "t"),
        ("client_id", "c"),
        ("api_url", url),
        ("login_url", url),
        ("proxy", "none"),
        ("max_retries", "0"),
        ("timeout_ms", "60000"),
        ("wait_timeout_ms", "60000"),
    ];
    let mut all = Options::new();
    for (name, value) in usual.iter().chain(more) {
        all.set(name, value).unwrap();
    }
    Client::new(&all).unwrap()
}

const NO_ACTIONS: &str = r#"{"value":[]}"#;

/// What comes before a secret, so that a copy of it is at the end of freed memory. Its beginning is soon used again.
const FAR: usize = 3_000;

/// How a peer writes a token reply with this text in it.
type Grant = fn(&str) -> Bytes;

const BEFORE: &str = r#"{"token_type":"Bearer","expires_in":3599,"access_token":""#;

/// A sign-in service and an API in one, on one port.
fn service(token: &'static Mark, grant: Grant) -> u16 {
    peer(move |asked| match asked.starts_with(b"POST") {
        true => grant(&token.text()),
        false => ok(&[NO_ACTIONS]),
    })
}

static TOKEN: std::sync::LazyLock<Mark> =
    std::sync::LazyLock::new(|| Mark::new(b"a-token-that-was-received-0815"));

#[test]
fn nothing_is_left_of_a_received_token() {
    let _turn = turn();
    let grants: [Grant; 3] = [
        |token| ok(&[BEFORE, token, "\"}"]),
        // The buffer for it grows.
        |token| {
            let (far, more) = ("x".repeat(FAR), "x".repeat(20_000));
            chunked(&[
                r#"{"far":""#,
                &far,
                r#"","access_token":""#,
                token,
                r#"","more":""#,
                &more,
                "\"}",
            ])
        },
        // It has an escape, as .NET writes what could be HTML.
        |token| ok(&[BEFORE, r"\u003c", token, "\"}"]),
    ];
    for (number, grant) in grants.into_iter().enumerate() {
        let client = client(&url(service(&TOKEN, grant)), &[("client_secret", "x")]);
        client.actions("", None).unwrap();
        assert!(TOKEN.count() > 0, "{number}: it is in use");
        drop(client);
        assert_eq!(TOKEN.count(), 0, "{number}");
    }
}

/// TLS ends in another process.
#[test]
fn nothing_is_left_of_a_token_that_was_sent_over_tls() {
    let _turn = turn();
    let folder = Folder::new();
    let login = url(service(&TOKEN, |token| ok(&[BEFORE, token, "\"}"])));
    let api = peer(|_| ok(&[NO_ACTIONS]));
    let pki = Pki::new();
    pki.issue_for("api", "IP:127.0.0.1");
    let port = mde_tests::peers::ports::unused_port();
    let _tls = Nginx::start(
        &folder.0,
        &format!(
            "listen 127.0.0.1:{port} ssl; ssl_certificate {}; ssl_certificate_key {};
             location / {{ proxy_pass {}; proxy_buffering off; }}",
            pki.path("api"),
            pki.file("api.key"),
            url(api),
        ),
    );
    let api = format!("https://127.0.0.1:{port}");
    let ca = pki.path("root");
    let client = client(&api, &[("login_url", &login), ("client_secret", "x"), ("ca_file", &ca)]);
    client.actions("", None).unwrap();
    assert!(TOKEN.count() > 0, "it is in use");
    drop(client);
    assert_eq!(TOKEN.count(), 0);
}

const ID: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";

/// The link to a package, and the target of a redirect from there.
fn links() -> [Arc<Mark>; 2] {
    [&b"a-link-that-was-received-0815"[..], b"a-link-to-be-redirected-to-42"]
        .map(|text| Arc::new(Mark::new(text)))
}

/// An API that gives out the link.
fn api(link: Arc<Mark>, second: Arc<Mark>) -> u16 {
    let host = peer(move |asked| match asked.starts_with(b"GET /p.zip") {
        true => reply(
            "302 Found",
            &Zeroizing::new(
                ["Location: /q.zip?a=", &"x".repeat(FAR), "&sig=", &second.text(), "\r\n"].concat(),
            ),
            &[],
        ),
        false => reply("404 Not Found", "", &[]),
    });
    let far = "x".repeat(FAR);
    let before = format!(r#"{{"value":"{}/p.zip?a={far}\u0026sig="#, url(host));
    peer(move |asked| match contains(asked, "getPackageUri") {
        true => ok(&[&before, &link.text(), "\"}"]),
        false => ok(&[&format!(
            r#"{{"id":"{ID}","type":"CollectInvestigationPackage","status":"Succeeded"}}"#
        )]),
    })
}

#[test]
fn nothing_is_left_of_the_link_of_a_download() {
    let _turn = turn();
    let [link, second] = links();
    let folder = Folder::new();
    let api = api(Arc::clone(&link), Arc::clone(&second));
    let client = client(&url(api), &[("access_token", "x")]);
    let error = client.download_package(ID, &folder.path(), None, None).unwrap_err();
    assert_eq!(error.http_status(), Some(404), "{error}");
    drop((client, error));
    assert_eq!([link.count(), second.count()], [0; 2], "link, target of the redirect");
}

/// A string of C.
fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

#[test]
fn nothing_is_left_of_a_link_that_was_given_out() {
    let _turn = turn();
    let [link, second] = links();
    let api = url(api(Arc::clone(&link), second));
    let (mut client, mut json): (_, *mut c_char) = (null_mut(), null_mut());
    let options = mde_options_new();
    for (name, value) in
        [("tenant_id", "t"), ("api_url", &api), ("access_token", "x"), ("proxy", "none")]
    {
        let (name, value) = (c(name), c(value));
        // SAFETY: all pointers are valid for the call.
        let status = unsafe { mde_options_set(options, name.as_ptr(), value.as_ptr(), null_mut()) };
        assert_eq!(status, 0);
    }
    // SAFETY: as above.
    assert_eq!(unsafe { mde_client_new(options, &raw mut client, null_mut()) }, 0);
    // SAFETY: it is freed once.
    unsafe { mde_options_free(options) };
    let id = c(ID);
    // SAFETY: all pointers are valid for the call.
    let status = unsafe { mde_get_package_uri(client, id.as_ptr(), null(), &raw mut json) };
    assert_eq!(status, 0);
    let (member, mut uri): (_, *mut c_char) = (c("/uri"), null_mut());
    // SAFETY: as above.
    assert_eq!(unsafe { mde_json_get(json, member.as_ptr(), &raw mut uri) }, 0);
    // SAFETY: the library gave this string out.
    let given = Zeroizing::new(unsafe { CStr::from_ptr(uri) }.to_bytes().to_vec());
    assert!(given.ends_with(link.text().as_bytes()) && contains(&given, "x&sig="));
    drop(given);
    for text in [uri, json] {
        assert!(link.count() > 0, "it is in use");
        // SAFETY: the library gave this string out, and it is freed once.
        unsafe { mde_string_free(text) };
    }
    // SAFETY: it is freed once.
    unsafe { mde_client_free(client) };
    assert_eq!(link.count(), 0);
}

#[test]
fn nothing_is_left_of_the_login_of_a_proxy() {
    let _turn = turn();
    let password = Mark::new(b"a-password-of-a-proxy-0815");
    let login = Zeroizing::new(["user:", &password.text()].concat());
    let header = Mark::new(Zeroizing::new(STANDARD.encode(login.as_bytes())).as_bytes());
    drop(login);
    let was_sent = Arc::new(AtomicBool::new(false));
    let sent = Arc::clone(&was_sent);
    let port = peer(move |asked| match contains(asked, "Proxy-Authorization: Basic ") {
        true => {
            sent.store(true, Ordering::Relaxed);
            reply("502 Bad Gateway", "", &[])
        }
        false => reply("407 Log in", "Proxy-Authenticate: Basic realm=\"x\"\r\n", &[]),
    });
    let at = format!("@127.0.0.1:{port}");
    let proxy = Zeroizing::new(["http://user:", &password.text(), &at].concat());
    let client = client("https://api.example.test", &[("access_token", "x"), ("proxy", &proxy)]);
    drop(proxy);
    let error = client.actions("", None).unwrap_err();
    assert_eq!(error.http_status(), Some(502), "{error}");
    assert!(was_sent.load(Ordering::Relaxed) && password.count() > 0);
    drop(client);
    assert_eq!([&password, &header].map(Mark::count), [0; 2], "password, header");
}

#[test]
fn nothing_is_left_of_the_password_of_a_redis_server() {
    let _turn = turn();
    let password = Mark::new(b"a-password-of-a-redis-server-42");
    let was_sent = Arc::new(AtomicBool::new(false));
    let sent = Arc::clone(&was_sent);
    let port = peer(move |asked| {
        let is_login = contains(asked, "AUTH\r\n");
        sent.fetch_or(is_login, Ordering::Relaxed);
        let said = match (is_login, contains(asked, "PING")) {
            (true, _) => "+OK\r\n",
            (_, true) => "+PONG\r\n",
            _ => "-ERR unknown command\r\n",
        };
        Zeroizing::new(said.as_bytes().to_vec())
    });
    let api = url(peer(|_| ok(&[NO_ACTIONS])));
    let at = format!("@127.0.0.1:{port}");
    let redis = Zeroizing::new(["redis://user:", &password.text(), &at].concat());
    let client = client(&api, &[("access_token", "x"), ("quota_redis", &redis)]);
    drop(redis);
    client.actions("", None).unwrap();
    assert!(was_sent.load(Ordering::Relaxed) && password.count() > 0);
    drop(client);
    assert_eq!(password.count(), 0);
}
