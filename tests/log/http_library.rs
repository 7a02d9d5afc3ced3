//! What the logger of a Rust host gets from the HTTP library, which logs through the crate `log`.

use std::sync::{Mutex, Once};

use log::{Level, LevelFilter, Metadata, Record};
use mde_tests::Client;
use mde_tests::peers::responder::{Answer, Responder};
use serde_json::json;

use super::Log;

const TOKEN: &str = "canary-token-of-the-sign-in-service-0815";
const SECRET: &str = "canary~secret-of-the-application";
const LINK: &str = "token=canary-of-the-link%2f4711;x";
const REDIRECT: &str = "sig=canary-of-the-redirect%2f4711;x";

/// Level, target and text of each line.
static LINES: Mutex<Vec<(Level, String, String)>> = Mutex::new(Vec::new());

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = (record.level(), record.target().to_owned(), record.args().to_string());
        LINES.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

#[test]
fn gets_no_token_and_no_query_of_a_link() {
    let _log = Log::start();
    static ONCE: Once = Once::new();
    ONCE.call_once(|| log::set_logger(&Logger).unwrap());
    log::set_max_level(LevelFilter::Trace);
    let server = Responder::start(|asked| match asked.path() {
        path if path.contains("/token") => Answer::token(TOKEN),
        "/first" => Answer {
            status: 302,
            headers: vec![("Location", format!("/second?{REDIRECT}"))],
            body: String::new(),
        },
        "/second" => Answer { status: 404, headers: vec![], body: String::new() },
        path if path.ends_with("getPackageUri") => {
            let link = format!("http://{}/first?{LINK}", asked.headers["host"]);
            Answer::json(200, &json!({ "value": link }))
        }
        path => Answer::json(
            200,
            &json!({"id": path.rsplit('/').next().unwrap(), "status": "Succeeded"}),
        ),
    });
    let url = server.url();
    let client = Client::with(&[
        ("tenant_id", "t"),
        ("client_id", "c"),
        ("client_secret", SECRET),
        ("api_url", &url),
        ("login_url", &url),
        ("proxy", "none"),
        ("max_retries", "0"),
    ]);
    let client = client.unwrap_or_else(|outcome| panic!("{}", outcome.text));
    let folder = mde_tests::packages::Folder::new();
    client.download_until(&mde_tests::id(1), &folder.file(), None, |_| 0).error("not_found");
    log::set_max_level(LevelFilter::Off);
    let asked: Vec<_> = server.asked().into_iter().map(|asked| asked.target).collect();
    let ends = [format!("/first?{LINK}"), format!("/second?{REDIRECT}")];
    assert!(asked.ends_with(&ends), "{asked:?}");
    let lines = std::mem::take(&mut *LINES.lock().unwrap());
    let has = |part: &str| lines.iter().any(|(_, _, line)| line.contains(part));
    assert!(has("/first") && has("/second") && has("location"), "{lines:#?}");
    for (level, target, line) in &lines {
        for secret in [TOKEN, SECRET, LINK, REDIRECT, "canary-of"] {
            // Replies byte by byte are out of reach. `docs/rust.md` names the target.
            let is_wire = *level == Level::Trace && target.starts_with("ureq_proto");
            assert!(is_wire || !line.contains(secret), "{level} {target}: {line}");
        }
    }
}
