//! The tokens of a job over many devices, from the host's callback.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use mde_simulator::{DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT, Simulator};
use mde_tests::packages::{Folder, links_asked_for, quick};
use mde_tests::peers::keys::Keys;
use mde_tests::peers::responder::{Answer, Responder};
use mde_tests::{Cancel, Client};
use serde_json::{Value, json};

use super::fleet::{OPTIONS, all_there, devices, states};

/// The threads that the callback came on.
#[derive(Default)]
struct Calls(Mutex<Vec<ThreadId>>);

impl Calls {
    /// Counts a call. Returns how many there were before.
    fn count(&self) -> usize {
        let mut threads = self.0.lock().unwrap();
        threads.push(std::thread::current().id());
        threads.len() - 1
    }

    /// All came on this thread. Returns how many there were.
    #[track_caller]
    fn all_here(&self) -> usize {
        let threads = self.0.lock().unwrap();
        let here = std::thread::current().id();
        assert!(threads.iter().all(|thread| *thread == here), "{here:?}: {threads:?}");
        threads.len()
    }
}

/// A new token of the simulator's sign-in service.
fn issue(sim: &Simulator) -> String {
    let pairs = [
        ("grant_type", "client_credentials"),
        ("client_id", DEFAULT_CLIENT),
        ("client_secret", DEFAULT_SECRET),
        ("scope", "https://api.securitycenter.microsoft.com/.default"),
    ];
    let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let form = pairs.map(|(name, value)| format!("{name}={}", escaped(value))).join("&");
    let host = sim.origin().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let request = format!(
        "POST /{DEFAULT_TENANT}/oauth2/v2.0/token HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let body = reply.split_once("\r\n\r\n").unwrap().1;
    let body: Value = serde_json::from_str(body).unwrap();
    body["access_token"].as_str().unwrap().to_owned()
}

/// A client whose tokens come from this function. It returns a token and the seconds that it is valid for.
fn client(
    sim: &Simulator,
    more: &[(&str, &str)],
    provide: impl Fn() -> Option<(String, u64)> + Send + Sync + 'static,
) -> Client {
    let url = sim.api_url();
    let usual = [("api_url", url.as_str()), ("max_retries", "0"), ("timeout_ms", "30000")];
    Client::with_provider(&[&usual[..], &OPTIONS, more].concat(), Box::new(provide))
}

/// The first requests for a link find that the token is valid no longer.
fn refuse_tokens(sim: &Simulator, times: usize) {
    let why = json!({"error": {"code": "Unauthorized", "message": "Token has expired"}});
    sim.script(
        json!({"match": {"path_contains": "GetPackageUri"}, "times": times, "reply": {"status": 401, "json": why}}),
    )
    .unwrap();
}

#[test]
fn the_callback_comes_on_the_thread_of_the_call_alone() {
    for seconds in [0, 3_600] {
        let (sim, folder, calls) = (quick(), Folder::new(), Arc::new(Calls::default()));
        let (token, counted) = (issue(&sim), Arc::clone(&calls));
        let client = client(&sim, &[], move || {
            counted.count();
            Some((token.clone(), seconds))
        });
        let mut other_threads = 0;
        let here = std::thread::current().id();
        let mut progress = |_: Value| {
            other_threads += usize::from(std::thread::current().id() != here);
            true
        };
        let devices = devices(&sim, 0, 6);
        let document =
            client.fetch_packages(Some(&devices), &folder.0, Some(&mut progress), None).ok();
        all_there(&document, &sim, 6);
        assert_eq!(other_threads, 0);
        let asked = sim.requests().iter().filter(|one| one.path.starts_with("/api/")).count();
        match seconds {
            // Before each request, and once for the identity.
            0 => assert!(calls.all_here() >= asked, "{asked} requests"),
            _ => assert_eq!(calls.all_here(), 1),
        }
    }
}

/// So does the callback that signs: tokens live too short to be used twice.
#[test]
fn the_signer_comes_on_the_thread_of_the_call_alone() {
    let (sim, folder, calls) = (quick(), Folder::new(), Arc::new(Calls::default()));
    let (keys, token) = (Keys::new(), issue(&sim));
    let login = Responder::start(move |_| {
        Answer::json(200, &json!({"access_token": token, "expires_in": 0}))
    });
    let (api_url, login_url, certificate) = (sim.api_url(), login.url(), keys.path("cert.pem"));
    let usual = [
        ("api_url", api_url.as_str()),
        ("login_url", login_url.as_str()),
        ("tenant_id", DEFAULT_TENANT),
        ("client_id", DEFAULT_CLIENT),
        ("client_certificate", certificate.as_str()),
        ("max_retries", "0"),
        ("timeout_ms", "30000"),
    ];
    let counted = Arc::clone(&calls);
    let made =
        Client::with_signer(&[&usual[..], &OPTIONS].concat(), move |algorithm, data, sink| {
            counted.count();
            sink.set(&keys.sign("key.pem", algorithm, data))
        });
    let client = made.unwrap_or_else(|outcome| panic!("{}", outcome.text));
    let devices = devices(&sim, 0, 6);
    let document = client.fetch_packages(Some(&devices), &folder.0, None, None).ok();
    all_there(&document, &sim, 6);
    let asked = sim.requests().iter().filter(|one| one.path.starts_with("/api/")).count();
    assert!(calls.all_here() >= asked, "{asked} requests");
}

#[test]
fn a_token_that_a_download_finds_expired_is_renewed_there_too() {
    let (sim, folder, calls) = (quick(), Folder::new(), Arc::new(Calls::default()));
    refuse_tokens(&sim, 3);
    let sim = Arc::new(sim);
    let (service, counted) = (Arc::clone(&sim), Arc::clone(&calls));
    let client = client(&sim, &[], move || {
        counted.count();
        Some((issue(&service), 3_600))
    });
    let document = client.fetch_packages(Some(&devices(&sim, 0, 5)), &folder.0, None, None).ok();
    all_there(&document, &sim, 5);
    assert_eq!(links_asked_for(&sim), 5 + 3);
    let calls = calls.all_here();
    assert!((2..=4).contains(&calls), "{calls} tokens");
}

#[test]
fn a_callback_that_fails_for_a_download_ends_the_call_and_no_device() {
    let (sim, folder, calls) = (quick(), Folder::new(), Arc::new(Calls::default()));
    refuse_tokens(&sim, 1_000);
    let (token, counted) = (issue(&sim), Arc::clone(&calls));
    let fails = Arc::new(AtomicUsize::new(1));
    let flag = Arc::clone(&fails);
    let client = client(&sim, &[], move || {
        let is_first = counted.count() == 0;
        (is_first || flag.load(Ordering::Relaxed) == 0).then(|| (token.clone(), 3_600))
    });
    let list = devices(&sim, 0, 3);
    let outcome = client.fetch_packages(Some(&list), &folder.0, None, None);
    let states = states(&outcome.document).join(" ");
    assert!(!states.contains("failed") && !states.contains("done"), "{states}");
    let error = outcome.error("token");
    assert_eq!(error["stage"], "token", "{error}");
    assert!(error["message"].as_str().unwrap().contains("returned 7"), "{error}");
    assert!(calls.all_here() >= 2);
    fails.store(0, Ordering::Relaxed);
    sim.clear_script();
    all_there(&client.fetch_packages(None, &folder.0, None, None).ok(), &sim, 3);
    calls.all_here();
}

fn has_a_package(folder: &Path) -> bool {
    let mut names = fs::read_dir(folder).unwrap().map(|one| one.unwrap().file_name());
    names.any(|name| name.to_string_lossy().ends_with(".zip"))
}

#[test]
fn downloads_that_have_their_links_go_on_while_the_callback_is_slow() {
    let (sim, folder, calls) = (quick(), Folder::new(), Arc::new(Calls::default()));
    sim.set(|b| (b.package_bytes, b.download_rate) = (400_000, 400_000));
    let sim = Arc::new(sim);
    let (token, counted, service) = (issue(&sim), Arc::clone(&calls), Arc::clone(&sim));
    let (path, waited) = (folder.0.clone(), Arc::new(AtomicUsize::new(0)));
    let has_waited = Arc::clone(&waited);
    let client = client(&sim, &[], move || {
        counted.count();
        // The download with the token before has its link by then. Another one waits for this token.
        std::thread::sleep(Duration::from_millis(100));
        let began = Instant::now();
        while links_asked_for(&service) == 1 && !has_a_package(&path) {
            has_waited.store(1, Ordering::Relaxed);
            assert!(began.elapsed() < Duration::from_secs(20), "the download stands still");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some((token.clone(), 0))
    });
    let document = client.fetch_packages(Some(&devices(&sim, 0, 4)), &folder.0, None, None).ok();
    all_there(&document, &sim, 4);
    assert_eq!(waited.load(Ordering::Relaxed), 1, "it was called during a download");
    calls.all_here();
}

#[test]
fn a_stop_while_downloads_wait_for_their_tokens_ends_the_call() {
    let (sim, folder, calls) = (quick(), Folder::new(), Arc::new(Calls::default()));
    refuse_tokens(&sim, 1_000);
    let (token, counted, cancel) = (issue(&sim), Arc::clone(&calls), Arc::new(Cancel::new(60_000)));
    let handle = Arc::clone(&cancel);
    let client = client(&sim, &[], move || {
        // The second call is for a download.
        if counted.count() == 1 {
            handle.trigger();
            std::thread::sleep(Duration::from_millis(200));
            return None;
        }
        Some((token.clone(), 3_600))
    });
    let began = Instant::now();
    let list = devices(&sim, 0, 3);
    let outcome = client.fetch_packages(Some(&list), &folder.0, None, Some(&cancel));
    let states = states(&outcome.document).join(" ");
    assert!(states.contains("ready") && !states.contains("failed"), "{states}");
    outcome.error("cancelled");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(calls.all_here(), 2);
    sim.clear_script();
    all_there(&client.fetch_packages(None, &folder.0, None, None).ok(), &sim, 3);
    calls.all_here();
}
