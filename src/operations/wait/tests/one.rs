//! What a call that follows one action makes of updates.

use std::time::Instant;

use crate::error::{Error, Result, Stage};
use crate::operations::wait::member::Update;
use crate::operations::wait::verdict::{APPEARS_WITHIN, UNKNOWN_STATE_BOUND};
use crate::operations::wait::{Outcome, Watch};
use crate::service::action::MachineAction;
use crate::status::Status;

fn action(status: &str) -> MachineAction {
    let json = format!(r#"{{"id":"{ID}","status":"{status}"}}"#);
    MachineAction::from_json(&json, &|_| {}).unwrap()
}

const ID: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";

fn seen(status: &str) -> Update {
    Update::Seen(action(status))
}

fn failure(outcome: Outcome) -> Error {
    match outcome {
        Outcome::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

fn is_waiting(outcome: Result<Outcome>) -> bool {
    matches!(outcome.unwrap(), Outcome::Waiting)
}

#[test]
fn every_end_has_its_own_status() {
    for (state, status) in [
        ("Failed", Status::ActionFailed),
        ("TimeOut", Status::ActionTimedOut),
        ("Cancelled", Status::ActionCancelled),
        ("Canceled", Status::ActionCancelled),
    ] {
        let error = failure(Watch::new("a", None).take(seen(state), Instant::now()).unwrap());
        assert_eq!((error.status(), error.is_retryable()), (status, false), "{state}");
        assert!(
            error
                .to_json()
                .contains(&format!("\"action\":{{\"id\":\"{ID}\",\"status\":\"{state}\""))
        );
    }
    match Watch::new("a", None).take(seen("Succeeded"), Instant::now()).unwrap() {
        Outcome::Succeeded(action) => assert_eq!(action.id(), ID),
        other => panic!("{other:?}"),
    }
    for state in ["Pending", "InProgress", "Odd"] {
        assert!(is_waiting(Watch::new("a", None).take(seen(state), Instant::now())));
    }
}

#[test]
fn an_unknown_state_is_reported_after_a_bound() {
    let start = Instant::now();
    let mut watch = Watch::new("a", None);
    assert!(is_waiting(watch.take(seen("Odd"), start)));
    assert!(is_waiting(watch.take(seen("Odd"), start + UNKNOWN_STATE_BOUND / 2)));
    // A known state in between starts the bound again.
    assert!(is_waiting(watch.take(seen("Pending"), start + UNKNOWN_STATE_BOUND / 2)));
    let again = start + UNKNOWN_STATE_BOUND;
    assert!(is_waiting(watch.take(seen("Odd"), again)));
    let error = failure(watch.take(seen("Odd"), again + UNKNOWN_STATE_BOUND).unwrap());
    assert_eq!(error.status(), Status::Protocol);
    assert!(error.message().contains("`Odd`"), "{error}");
}

#[test]
fn a_new_action_may_be_missing_for_a_while() {
    let start = Instant::now();
    let mut watch = Watch::new("a", None);
    let missing = || Update::Missing(Error::new(Status::NotFound, "no such action"));
    assert!(is_waiting(watch.take(missing(), start)));
    assert!(is_waiting(watch.take(missing(), start + APPEARS_WITHIN / 2)));
    let error = watch.take(missing(), start + APPEARS_WITHIN).unwrap_err();
    assert_eq!((error.status(), error.stage()), (Status::NotFound, Some(Stage::Wait)));
}

#[test]
fn a_wait_survives_a_transient_failure_once_its_action_was_seen() {
    let now = Instant::now();
    let transient = || Update::Failed(Error::new(Status::Broken, "lost"));
    let lasting = || Update::Failed(Error::new(Status::Forbidden, "no"));
    assert!(Watch::new("a", None).take(transient(), now).is_err());
    let mut watch = Watch::new("a", Some(action("Pending")));
    assert!(is_waiting(watch.take(transient(), now)));
    assert_eq!(watch.take(lasting(), now).unwrap_err().status(), Status::Forbidden);
    let error = watch.explain(Error::new(Status::Deadline, "the deadline passed"));
    assert!(error.message().contains("`Pending`"), "{error}");
}
