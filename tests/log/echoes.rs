//! Secrets that a peer repeats: in every encoding, in every place of a reply that becomes a message, a log line, an event,
//! a state file or the name of a file. No secret here looks like one, so only knowing it helps.

use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use mde_tests::encodings::{encodings, json, marks_of};
use mde_tests::packages::{Folder, package};
use mde_tests::peers::responder::{Answer, Asked, Responder};
use mde_tests::peers::stub_proxy::StubProxy;
use mde_tests::{Client, Outcome, id};
use serde_json::{Value, json};

use super::Log;

const TOKEN: &str = "canary-token/of+plain.words=only";
const SECRET: &str = "canary~Secret.\"<of>&'plain'%/+= words";
const PASSWORD: &str = "canary-pass\\word/of plain: words?";
const QUERY: &str = "token=canary%2flink+of;plain&words=canary-second-part";

/// What a peer says, put by the test that runs.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<String>>);

impl Said {
    fn get(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

/// Everything that a host gets to see.
struct Seen {
    log: Log,
    said: Said,
    texts: HashSet<String>,
    lines: usize,
}

impl Seen {
    fn start() -> Seen {
        Seen { log: Log::start(), said: Said::default(), texts: HashSet::new(), lines: 0 }
    }

    /// A failure, without the action in it: that is data, as the service sent it.
    #[track_caller]
    fn failed(&mut self, outcome: Outcome) {
        let mut error = outcome.document["error"].clone();
        assert!(error.is_object(), "{}", outcome.text);
        error.as_object_mut().unwrap().remove("action");
        self.texts_in(&error);
    }

    /// Each text of a document as it is, not as JSON writes it.
    fn texts_in(&mut self, value: &Value) {
        match value {
            Value::String(text) => drop(self.texts.insert(text.clone())),
            Value::Array(all) => all.iter().for_each(|one| self.texts_in(one)),
            Value::Object(all) => all.values().for_each(|one| self.texts_in(one)),
            _ => {}
        }
    }

    fn files(&mut self, folder: &Folder) {
        for name in folder.names() {
            if name.ends_with(".json") {
                let content = fs::read_to_string(folder.0.join(&name)).unwrap();
                self.texts_in(&serde_json::from_str(&content).unwrap());
            }
            self.texts.insert(name);
        }
    }

    /// For every encoding of the secret, the calls of `calls`.
    fn every_encoding(&mut self, secret: &str, mut calls: impl FnMut(&mut Seen)) {
        for said in encodings(secret) {
            *self.said.0.lock().unwrap() = said;
            calls(self);
            let lines = self.log.take();
            self.lines += lines.len();
            self.texts.extend(lines.into_iter().map(|(_, line)| line));
        }
    }

    #[track_caller]
    fn shows_nothing_of(self, secrets: &[&str]) {
        assert!(self.lines > 20 && self.texts.len() > 4, "{} {}", self.lines, self.texts.len());
        for mark in secrets.iter().flat_map(|secret| marks_of(secret)).chain(["canary".to_owned()])
        {
            let found: Vec<_> = self.texts.iter().filter(|text| text.contains(&mark)).collect();
            assert!(found.is_empty(), "{mark} in:\n{found:#?}");
        }
        assert!(self.texts.iter().any(|text| text.contains("***")), "{:#?}", self.texts);
    }
}

fn client(server: &Responder, more: &[(&str, &str)]) -> Client {
    let with = |options: &[(&str, &str)]| Client::with(options);
    with_options(server, more, with).unwrap_or_else(|outcome| panic!("{}", outcome.text))
}

/// The same with a callback for tokens.
fn client_of(
    server: &Responder,
    more: &[(&str, &str)],
    provide: impl Fn() -> Option<(String, u64)> + Send + Sync + 'static,
) -> Client {
    with_options(server, more, |options| Client::with_provider(options, Box::new(provide)))
}

fn with_options<T>(
    server: &Responder,
    more: &[(&str, &str)],
    make: impl FnOnce(&[(&str, &str)]) -> T,
) -> T {
    let url = server.url();
    let usual = [
        ("tenant_id", "11111111-2222-3333-4444-555555555555"),
        ("client_id", "66666666-7777-8888-9999-000000000000"),
        ("api_url", url.as_str()),
        ("login_url", url.as_str()),
        ("max_retries", "1"),
        ("on_unknown", "report"),
        ("poll_interval_ms", "100"),
        ("quota_limits", "link=100000/60;collect=100000/60;read=100000/60;list=100000/60"),
        ("proxy", "none"),
    ];
    make(&[&usual, more].concat())
}

fn error_document(said: &str) -> Value {
    json!({"error": {"code": said, "message": format!("bad '{said}', {said}"), "target": said}})
}

/// The refusals of a service, and of what stands before it.
fn refusals() -> Vec<fn(&str) -> Answer> {
    vec![
        |said| Answer::json(400, &error_document(said)),
        |said| Answer::json(401, &error_document(said)),
        |said| Answer::json(403, &error_document(&format!("x{said}"))).with("Content-Type", said),
        // As it stands: what the peer escaped is a part of the JSON.
        |said| Answer {
            status: 404,
            headers: vec![],
            body: format!(r#"{{"error":{{"code":"NotFound","message":"no {said}"}}}}"#),
        },
        |said| Answer::json(409, &json!({"statusCode": 409, "message": format!("not '{said}'")})),
        |said| Answer::json(500, &json!({"title": said, "detail": format!("{said} and {said}")})),
        |said| Answer {
            status: 502,
            headers: vec![("Content-Type", said.to_owned())],
            body: format!("<html><title>about {said}</title></html>"),
        },
        |said| Answer { status: 418, headers: vec![], body: format!("{}{said}", "so ".repeat(70)) },
        |said| Answer {
            status: 200,
            headers: vec![("Content-Type", said.to_owned())],
            body: said.to_owned(),
        },
        |said| Answer {
            status: 302,
            headers: vec![("Location", format!("https://h/{said}"))],
            body: said.to_owned(),
        },
    ]
}

#[test]
fn the_service_repeats_the_token() {
    let mut seen = Seen::start();
    for answer in refusals() {
        let said = seen.said.clone();
        let server = Responder::start(move |_| answer(&said.get()));
        let client = client(&server, &[("access_token", TOKEN), ("max_retries", "0")]);
        seen.every_encoding(TOKEN, |seen| {
            seen.failed(client.list(""));
            seen.failed(client.action(&id(1)));
            seen.failed(client.find("pc"));
        });
    }
    seen.shows_nothing_of(&[TOKEN]);
}

/// The names that become texts: a state, a device, its computer. The action itself is data.
#[test]
fn the_service_repeats_the_token_where_it_succeeds() {
    let more = [("access_token", TOKEN), ("max_retries", "0"), ("wait_timeout_ms", "150")];
    is_masked_where_it_succeeds(|server| client(server, &more));
}

/// Each request has a token of its own.
#[test]
fn the_service_repeats_a_token_of_unknown_lifetime_where_it_succeeds() {
    let more = [("max_retries", "0"), ("wait_timeout_ms", "150")];
    is_masked_where_it_succeeds(|server| client_of(server, &more, || Some((TOKEN.to_owned(), 0))));
}

#[track_caller]
fn is_masked_where_it_succeeds(make: impl FnOnce(&Responder) -> Client) {
    let mut seen = Seen::start();
    let (said, zip) = (seen.said.clone(), package(99, 1));
    let body = zip.iter().map(|byte| char::from(byte & 0x7f)).collect::<String>();
    let server = Responder::start(move |asked| match asked.path() {
        path if path.ends_with("getPackageUri") => {
            Answer::json(200, &json!({"value": format!("{}/p", host(asked))}))
        }
        "/p" => Answer { status: 503, headers: vec![], body: body.clone() },
        path if path.contains("machineactions/") => {
            let said = said.get();
            let status = if path.ends_with('1') { "Succeeded" } else { &said };
            let id = path.rsplit('/').next().unwrap();
            Answer::json(
                200,
                &json!({"id": id, "status": status, "computerDnsName": said, "machineId": said}),
            )
        }
        _ => {
            let next =
                format!("/api/machineactions/{}?$skip=1", said.get().replace(['/', ' '], ""));
            Answer::json(200, &json!({"value": [], "@odata.nextLink": next}))
        }
    });
    let client = make(&server);
    seen.every_encoding(TOKEN, |seen| {
        let folder = Folder::new();
        seen.failed(client.download_until(&id(1), &folder.0, None, |_| 0));
        seen.failed(client.download_until(&id(2), &folder.0, None, |_| 0));
        seen.files(&folder);
        let mut events = Vec::new();
        let mut progress = |event: Value| {
            events.push(event);
            true
        };
        let outcome = client.wait_until(&id(2), Some(&mut progress), None);
        events.iter().for_each(|event| seen.texts_in(event));
        seen.failed(outcome);
    });
    seen.shows_nothing_of(&[TOKEN]);
}

/// A reply takes so long that the token of its request is replaced twice.
#[test]
fn the_service_repeats_a_token_that_was_renewed_meanwhile() {
    let mut seen = Seen::start();
    let (said, renewals) = (seen.said.clone(), Arc::new(AtomicUsize::new(0)));
    let (arrived, slow) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (reached, go_on) = (Arc::clone(&arrived), Arc::clone(&slow));
    let server = Responder::start(move |asked| {
        let id = asked.path().rsplit('/').next().unwrap();
        let is_slow = id.ends_with('1');
        if is_slow {
            reached.wait();
            go_on.wait();
        }
        let status = if is_slow { said.get() } else { "Pending".to_owned() };
        Answer::json(200, &json!({"id": id, "status": status}))
    });
    let count = Arc::clone(&renewals);
    let provide = move || match count.fetch_add(1, Ordering::Relaxed) % 3 {
        0 => Some((TOKEN.to_owned(), 1)),
        number => Some((format!("another-token-{number}"), 1)),
    };
    let client = client_of(&server, &[("max_retries", "0")], provide);
    let nap = || std::thread::sleep(Duration::from_millis(1_050));
    let folder = Folder::new();
    for said in [TOKEN.to_owned(), json(TOKEN)] {
        *seen.said.0.lock().unwrap() = said;
        let outcome = std::thread::scope(|scope| {
            let slow_call = scope.spawn(|| client.download(&id(1), &folder.file()));
            arrived.wait();
            for _ in 0..2 {
                nap();
                client.action(&id(2)).ok();
            }
            slow.wait();
            slow_call.join().unwrap()
        });
        assert!(outcome.document["error"]["message"].as_str().unwrap().contains("in state ***"));
        seen.failed(outcome);
        nap();
    }
    assert_eq!(renewals.load(Ordering::Relaxed), 6);
    let lines = seen.log.take();
    seen.texts.extend(lines.into_iter().map(|(_, line)| line));
    let marks = marks_of(TOKEN);
    for text in &seen.texts {
        assert!(!marks.iter().any(|mark| text.contains(mark)), "{text}");
    }
}

fn host(asked: &Asked) -> String {
    format!("http://{}", asked.headers["host"])
}

#[test]
fn the_sign_in_service_repeats_the_secret() {
    let mut seen = Seen::start();
    let answers: Vec<fn(&str) -> Answer> = vec![
        |said| {
            let all = json!({"error": said, "error_description": format!("AADSTS7000215: wrong '{said}', {said}\r\nTrace"),
                "trace_id": said, "correlation_id": said, "error_codes": [said]});
            Answer::json(401, &all)
        },
        |said| Answer::json(400, &json!({"message": format!("{} {said}", "so ".repeat(130))})),
        |said| Answer {
            status: 400,
            headers: vec![("Content-Type", said.to_owned())],
            body: format!(r#"{{"error":"{said}","error_description":"no {said}"}}"#),
        },
        |said| Answer {
            status: 500,
            headers: vec![("Content-Type", said.to_owned())],
            body: said.to_owned(),
        },
    ];
    for answer in answers {
        let said = seen.said.clone();
        let server = Responder::start(move |_| answer(&said.get()));
        let client = client(&server, &[("client_secret", SECRET), ("max_retries", "0")]);
        seen.every_encoding(SECRET, |seen| seen.failed(client.list("")));
    }
    // The one that granted: now the service knows the secret.
    for answer in refusals() {
        let said = seen.said.clone();
        let server = Responder::start(move |asked| match asked.is_token_request() {
            true => Answer::token("other"),
            false => answer(&said.get()),
        });
        let client = client(&server, &[("client_secret", SECRET), ("max_retries", "0")]);
        seen.every_encoding(SECRET, |seen| seen.failed(client.action(&id(1))));
    }
    seen.shows_nothing_of(&[SECRET]);
}

#[test]
fn a_proxy_repeats_its_login() {
    let mut seen = Seen::start();
    let said = seen.said.clone();
    let proxy = StubProxy::start(move |mut near, port| {
        let said = said.get();
        let reply = match port {
            1 => format!("HTTP/1.1 403 {said}\r\n\r\n"),
            2 => format!("HTTP/1.1 502 {}{said}\r\n\r\n", "so ".repeat(35)),
            3 => format!("HTTP/1.1 407 {said}\r\nProxy-Authenticate: {said}\r\n\r\n"),
            _ => format!("HTTP/1.1 200 {said}\r\n\r\nHTTP/1.1 401 {said}\r\n\r\n"),
        };
        let _ = std::io::Write::write_all(&mut near, reply.as_bytes());
    });
    let login = format!("dom\\user:{PASSWORD}");
    let url = format!(
        "http://{}@127.0.0.1:{}",
        percent_encoding::utf8_percent_encode(&login, percent_encoding::NON_ALPHANUMERIC),
        proxy.port
    );
    let unused = Responder::start(|_| Answer::token("x"));
    for port in 1..5 {
        let api = format!("https://service.example:{port}");
        let options = [
            ("proxy", url.as_str()),
            ("api_url", &api),
            ("access_token", "other"),
            ("max_retries", "0"),
        ];
        let client = client(&unused, &options);
        for secret in [login.as_str(), PASSWORD] {
            seen.every_encoding(secret, |seen| seen.failed(client.list("")));
        }
    }
    seen.shows_nothing_of(&[&login, PASSWORD]);
}

/// What the download host was sent is the link's query, and after a redirect the query of that.
#[test]
fn a_download_host_repeats_the_link() {
    let mut seen = Seen::start();
    let answers: Vec<fn(&str) -> Answer> = vec![
        |said| Answer {
            status: 403,
            headers: vec![
                ("x-ms-error-code", said.to_owned()),
                ("x-ms-request-id", said.to_owned()),
            ],
            body: format!(
                "<Error><Code>{said}</Code><Message>no {said} here\nRequestId</Message></Error>"
            ),
        },
        |said| Answer {
            status: 404,
            headers: vec![],
            body: format!("<Error><Message>{}{said}</Message></Error>", "so ".repeat(80)),
        },
        |said| Answer::json(500, &error_document(said)),
        |said| Answer {
            status: 302,
            headers: vec![("Location", format!("https://{}.example/", host_name(said)))],
            body: String::new(),
        },
        |said| Answer {
            status: 302,
            headers: vec![("Location", format!("ftp://{said}"))],
            body: said.to_owned(),
        },
        |said| Answer {
            status: 206,
            headers: vec![
                ("Content-Range", said.to_owned()),
                ("ETag", format!("\"{said}\"")),
                ("Last-Modified", said.to_owned()),
            ],
            body: said.to_owned(),
        },
        // Cut off, so that a state file stays.
        |said| Answer {
            status: 200,
            headers: vec![
                ("ETag", format!("\"{said}\"")),
                ("Last-Modified", said.to_owned()),
                ("Transfer-Encoding", "chunked".to_owned()),
            ],
            body: "4\r\nPK\x03\x04\r\nxx\r\n".to_owned(),
        },
    ];
    for answer in answers {
        let said = seen.said.clone();
        let server = Responder::start(move |asked| match asked.path() {
            "/first" => Answer {
                status: 307,
                headers: vec![("Location", "/second?other=canary-of-the-redirect".to_owned())],
                body: String::new(),
            },
            "/second" => answer(&said.get()),
            path if path.ends_with("getPackageUri") => {
                Answer::json(200, &json!({"value": format!("{}/first?{QUERY}", host(asked))}))
            }
            path => Answer::json(
                200,
                &json!({"id": path.rsplit('/').next().unwrap(), "status": "Succeeded"}),
            ),
        });
        let client = client(
            &server,
            &[("access_token", "other"), ("download_hosts", "127.0.0.1"), ("max_retries", "0")],
        );
        for secret in
            [QUERY, "canary%2flink+of;plain", "canary-second-part", "canary-of-the-redirect"]
        {
            seen.every_encoding(secret, |seen| {
                let folder = Folder::new();
                let mut events = Vec::new();
                let outcome = client.download_until(&id(1), &folder.file(), None, |event| {
                    events.push(event);
                    0
                });
                events.iter().for_each(|event| seen.texts_in(event));
                seen.failed(outcome);
                seen.files(&folder);
            });
        }
    }
    seen.shows_nothing_of(&[
        QUERY,
        "canary%2flink+of;plain",
        "canary-second-part",
        "canary-of-the-redirect",
    ]);
}

/// A text if a host name can carry it.
fn host_name(said: &str) -> &str {
    match said.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)) {
        true => said,
        false => "elsewhere",
    }
}

/// Line ends, escapes of terminals, marks of direction and characters that are not seen, from everybody.
#[test]
fn no_text_has_characters_that_are_not_seen() {
    let mut seen = Seen::start();
    let odd =
        "a\r\nb\u{1b}[2Jc\u{202e}d\u{200b}e\u{2028}f\u{e0041}g\u{85}h\u{feff}i\u{9b}j\u{2066}k";
    *seen.said.0.lock().unwrap() = json(odd);
    let answers: Vec<fn(&str) -> Answer> = vec![
        |said| Answer {
            status: 400,
            headers: vec![],
            body: format!(
                r#"{{"error":{{"code":"{said}","message":"{said}","target":"{said}"}},"error_description":"{said}"}}"#
            ),
        },
        |said| Answer {
            status: 400,
            headers: vec![],
            body: format!(
                r#"{{"error":"{said}","error_description":"{said}","trace_id":"{said}"}}"#
            ),
        },
        |said| Answer {
            status: 403,
            headers: vec![],
            body: serde_json::from_str(&format!("\"{said}\"")).unwrap(),
        },
    ];
    for answer in answers {
        let said = seen.said.clone();
        let server = Responder::start(move |_| answer(&said.get()));
        let client = client(&server, &[("client_secret", SECRET)]);
        seen.failed(client.list(""));
        let client = self::client(&server, &[("access_token", TOKEN)]);
        seen.failed(client.list(""));
        seen.failed(client.action(&id(1)));
    }
    let said = seen.said.clone();
    let server = Responder::start(move |asked| {
        let id = asked.path().rsplit('/').next().unwrap();
        let said = said.get();
        let body = format!(r#"{{"id":"{id}","status":"{said}","computerDnsName":"{said}"}}"#);
        Answer { status: 200, headers: vec![], body }
    });
    let client = client(&server, &[("access_token", TOKEN), ("wait_timeout_ms", "150")]);
    let mut events = Vec::new();
    let mut progress = |event: Value| {
        events.push(event);
        true
    };
    let outcome = client.wait_until(&id(1), Some(&mut progress), None);
    assert!(!events.is_empty());
    events.iter().for_each(|event| seen.texts_in(event));
    seen.failed(outcome);
    let lines = seen.log.take();
    seen.texts.extend(lines.into_iter().map(|(_, line)| line));
    assert!(seen.texts.iter().any(|text| text.contains("a b [2Jcde f")), "{:#?}", seen.texts);
    for text in &seen.texts {
        let odd = text.chars().find(|c| {
            c.is_control() || "\u{202e}\u{200b}\u{2028}\u{e0041}\u{feff}\u{2066}".contains(*c)
        });
        assert_eq!(odd, None, "{text:?}");
    }
}
