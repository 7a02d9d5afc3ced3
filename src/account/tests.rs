use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::*;
use crate::call::{Cancel, Running};
use crate::error::Error;
use crate::options::Options;
use crate::service::endpoint;
use crate::status::Status;

/// A service that answers one request per connection, with these statuses one after the other.
pub(crate) fn service(statuses: &'static [u16]) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        for status in statuses {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                let mut part = [0; 1_024];
                let read = stream.read(&mut part).unwrap();
                request.extend_from_slice(&part[..read]);
            }
            let wait = if *status == 429 { "Retry-After: 3\r\n" } else { "" };
            let head = format!("HTTP/1.1 {status} Status\r\nConnection: close\r\n{wait}");
            let reply =
                format!("{head}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}");
            stream.write_all(reply.as_bytes()).unwrap();
        }
    });
    (url, thread)
}

/// An account without sign-in, whose quotas have these limits.
pub(crate) fn account(url: &str, quota: &str, limits: &str) -> Account {
    let mut options = Options::new();
    let pairs = [
        ("api_url", url),
        ("access_token", "t"),
        ("proxy", "none"),
        ("quota_limits", limits),
        ("quota", quota),
    ];
    for (name, value) in pairs {
        options.set(name, value).unwrap();
    }
    Account::new(options.settings()).unwrap()
}

fn call() -> Call {
    Call::begin(&Arc::<Running>::default(), Some(Duration::from_secs(30)), None)
}

fn read() -> endpoint::Request {
    endpoint::action("5b7e1c90-0000-4000-8000-000000000001")
}

fn ready<'a>(turn: &mut Turn<'a>) -> Permit<'a> {
    match turn.poll().unwrap() {
        TurnStep::Ready(permit) => permit,
        TurnStep::Wait(at) => panic!("waits until {at:?}"),
    }
}

fn used(account: &Account) -> (usize, usize) {
    let status = account.quota_status();
    let row = status.quotas.iter().find(|row| row.endpoint == "read").unwrap();
    (row.used, row.queued)
}

#[test]
fn a_request_uses_the_slot_that_a_turn_has_taken() {
    let (url, service) = service(&[200, 503]);
    // The option does not count for a sweep.
    let account = account(&url, "fail", "read=2/60");
    assert_eq!(account.least_time(Quota::Read, 1), None);
    let call = Arc::new(call().into_sweep(true));
    let mut turn = account.turn(&call, Quota::Read).unwrap();
    assert_eq!(account.least_time(Quota::Read, 2), Some(Duration::ZERO));
    let permit = ready(&mut turn);
    assert_eq!(used(&account), (1, 0));
    account.perform_with(&call, &read(), permit).unwrap();
    assert_eq!(used(&account), (1, 0));
    // A slot that is not used is given back.
    ready(&mut turn).not_sent();
    // The second attempt takes a slot of its own, and there is none.
    let permit = ready(&mut turn);
    let impatient = Arc::new(self::call().into_sweep(false));
    let error = account.perform_with(&impatient, &read(), permit).unwrap_err();
    assert_eq!(error.status(), Status::RateLimited, "{error}");
    let TurnStep::Wait(Some(at)) = turn.poll().unwrap() else { panic!("no room expected") };
    let wait = at.duration_since(Instant::now());
    assert!((58..=60).contains(&wait.as_secs()), "{wait:?}");
    let least = account.least_time(Quota::Read, 1).unwrap();
    assert!((58..=60).contains(&least.as_secs()), "{least:?}");
    assert_eq!(used(&account), (2, 1));
    drop(turn);
    assert_eq!(used(&account), (2, 0));
    service.join().unwrap();
}

#[test]
fn a_sweep_that_does_not_wait_fails_at_once_whatever_the_option_says() {
    let (url, service) = service(&[200, 429]);
    let account = account(&url, "wait", "read=2/3");
    let impatient = Arc::new(call().into_sweep(false));
    account.perform(&impatient, &read()).unwrap();
    let refused = account.perform(&impatient, &read()).unwrap_err();
    assert_eq!((refused.status(), refused.attempts_made()), (Status::Throttled, Some(1)));
    let full = account.perform(&impatient, &read()).unwrap_err();
    assert_eq!(full.status(), Status::RateLimited, "{full}");
    service.join().unwrap();
}

#[test]
fn a_turn_ends_with_its_call_and_a_wait_is_woken() {
    let (url, service) = service(&[]);
    service.join().unwrap();
    let account = account(&url, "wait", "read=2/60");
    let cancel = Cancel::new(None);
    let driver =
        Arc::new(Call::begin(&Arc::<Running>::default(), None, Some(&cancel)).into_sweep(false));
    let mut turn = account.turn(&driver, Quota::Read).unwrap();
    let held = [ready(&mut turn), ready(&mut turn)];
    // Both are in flight, so their end decides.
    assert!(matches!(turn.poll(), Ok(TurnStep::Wait(None))));
    let [first, second] = held;
    std::thread::scope(|scope| {
        scope.spawn(|| first.not_sent());
        driver.wait(None).unwrap();
    });
    ready(&mut turn).not_sent();
    second.not_sent();
    cancel.trigger();
    let error: Error = turn.poll().err().unwrap();
    assert_eq!(error.status(), Status::Cancelled);
}
