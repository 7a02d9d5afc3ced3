use std::thread::sleep;

use super::*;
use crate::call::Cancel;
use crate::options::Options;
use crate::os::system_proxy::Found;

/// An account that has a token, for a service that cannot be reached.
fn account(api: &str) -> Account {
    let mut options = Options::new();
    let pairs =
        [("api_url", api), ("access_token", "t"), ("proxy", "none"), ("connect_timeout_ms", "50")];
    for (name, value) in pairs {
        options.set(name, value).unwrap();
    }
    Account::new(options.settings()).unwrap()
}

fn call(timeout: Option<Duration>, cancel: Option<&Cancel>) -> Arc<Call> {
    Arc::new(Call::begin(&Arc::default(), timeout, cancel))
}

fn failed(access: &Access) -> Vec<(&str, Status, &str)> {
    let steps = access.steps().iter();
    steps.filter_map(|it| Some((it.name(), it.error()?.status(), it.error()?.message()))).collect()
}

#[test]
fn a_host_that_could_not_even_be_tried_has_failed() {
    let mut account = account("https://api.test");
    account.http.find_proxies_by(|_| {
        sleep(Duration::from_secs(2));
        Found::default()
    });
    let access = check(&account, &call(None, None)).unwrap();
    assert!(access.api_host.is_none());
    let failed = failed(&access);
    let (step, status, message) = failed[0];
    assert_eq!((step, status), ("api_host", Status::Proxy), "{failed:?}");
    assert!(message.starts_with("the system's proxy for api.test"), "{message}");
}

#[test]
fn the_end_of_its_time_fails_the_steps_that_are_left() {
    let account = account("http://127.0.0.1:1");
    let access = check(&account, &call(Some(Duration::ZERO), None)).unwrap();
    let failed = failed(&access);
    assert!(failed.iter().any(|(step, ..)| *step == "api_host"), "{failed:?}");
    for (_, status, message) in &failed {
        assert_eq!(*status, Status::Deadline);
        assert!(message.contains("no connection was tried"), "{message}");
        assert!(message.ends_with("or raise `timeout_ms`"), "{message}");
    }
    let late = Cancel::new(Some(Duration::ZERO));
    let error = check(&account, &call(None, Some(&late))).unwrap_err();
    assert_eq!(error.status(), Status::Deadline);
    let cancelled = Cancel::new(None);
    cancelled.trigger();
    let over = call(Some(Duration::ZERO), Some(&cancelled));
    assert_eq!(check(&account, &over).unwrap_err().status(), Status::Cancelled);
}

#[test]
fn a_step_ends_in_a_call_without_an_end() {
    let part = share(&call(None, None), 0.9);
    assert!(part.deadline().is_some_and(|at| at <= Instant::now() + LONGEST));
    assert!(!part.has_time_for(LONGEST));
}
