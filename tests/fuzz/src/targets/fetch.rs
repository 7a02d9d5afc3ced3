//! A whole fetch, twice to the same path, from a server that answers as the input says.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use mde::{Cancel, Client, Event, Options, Status};
use serde_json::Value;

use super::input::Input;
use super::server::{MACHINE, Server};
use super::{SECRET, check_error, scratch};

/// How long a call may take. Answers come at once, so what takes longer only waits.
const PATIENCE: Duration = Duration::from_millis(200);

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);
static SERVICE: AtomicU32 = AtomicU32::new(1);
/// The server has one list of answers.
static CLIENT: LazyLock<Mutex<Arc<Client>>> = LazyLock::new(|| Mutex::new(Arc::new(client())));

fn client() -> Client {
    let url = SERVER.url(SERVICE.load(Ordering::Relaxed));
    let mut options = Options::new();
    for (name, value) in [
        ("api_url", url.as_str()),
        ("access_token", "token"),
        ("proxy", "none"),
        ("max_retries", "1"),
        ("poll_interval_ms", "100"),
        ("idle_timeout_ms", "100"),
        ("quota", "fail"),
        ("quota_limits", "collect=1000000/1;read=1000000/1;list=1000000/1;link=1000000/1"),
    ] {
        options.set(name, value).expect("an option");
    }
    Client::new(&options).expect("a client")
}

pub fn run(data: &[u8]) {
    let mut client = CLIENT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut input = Input::new(data);
    let cancel_at = input.byte();
    SERVER.prepare(&mut input, &SERVER.url(SERVICE.load(Ordering::Relaxed)));
    let is_closed = scratch::with(|folder| {
        let path = folder.file("package.zip");
        let path = path.to_str().expect("UTF-8");
        let one = fetch(&client, path, cancel_at);
        let other = fetch(&client, path, 0);
        folder.clear();
        [one, other].iter().any(|it| matches!(it, Status::Throttled | Status::RateLimited))
    });
    if is_closed {
        // The endpoint stays closed for this service. Another one goes on.
        SERVICE.fetch_add(1, Ordering::Relaxed);
        *client = Arc::new(self::client());
    }
}

/// `cancel_at`: the number of the event at which the callback ends the call, if it is not 0.
fn fetch(client: &Client, path: &str, cancel_at: u8) -> Status {
    let cancel = Cancel::new(Some(PATIENCE));
    let was_there = std::fs::exists(path).expect("a folder");
    let mut events = 0_u8;
    let mut progress = |event: &Event<'_>| {
        let json: Value = serde_json::from_str(&event.to_json()).expect("JSON");
        assert!(json["stage"].is_string(), "{json}");
        events = events.saturating_add(1);
        if events == cancel_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let fetched = client.fetch_package(MACHINE, "why", path, Some(&mut progress), Some(&cancel));
    let is_there = std::fs::exists(path).expect("a folder");
    match fetched {
        Ok(fetched) => {
            let document: Value = serde_json::from_str(&fetched.to_json()).expect("JSON");
            assert_eq!(document["package"]["path"], path);
            // Only a whole package has the name.
            mde::inspect_package(path, None, None).expect("a whole package");
            Status::Ok
        }
        Err(error) => {
            check_error(&error);
            assert!(!error.message().contains(SECRET), "the link is a secret: {error}");
            assert_eq!(is_there, was_there, "{error}, and a package");
            error.status()
        }
    }
}
