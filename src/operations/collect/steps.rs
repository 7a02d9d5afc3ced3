//! One request, and one list: the steps of a call over many devices, which does other things between them.
//!
//! After a lost request the caller lets [`LAG`](super::LAG) pass, and then reads the list once. If that shows nothing, it
//! sends the request again, at most [`LAG`](super::LAG) after the list.

use std::sync::Arc;

use super::device::Live;
use super::errors::{NOT_SHOWN, of_another};
use super::{Choices, Collected, Job, Requests, is_refused};
use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::options::OnDuplicate;
use crate::quota::limiter::Permit;
use crate::status::Status;

/// What came of one request.
#[derive(Debug)]
pub(crate) enum Sent {
    Collected(Collected),
    /// It started nothing, because a collection runs. The list shows that one.
    Running,
    /// It started nothing.
    Refused(Error),
    /// It may have been carried out.
    Lost(Error),
}

/// Sends the request once. `permit`: the slot, if the caller has taken it.
pub(crate) fn send(
    account: &Account,
    call: &Arc<Call>,
    requests: &Requests<'_>,
    permit: Option<Permit<'_>>,
) -> Sent {
    let device = Live::new(account, call, requests).with(permit);
    let sent = Job::new(&device, requests, Choices::of(account)).send();
    let is_lost = call.is_unsettled();
    call.settle();
    match sent {
        Ok(collected) => Sent::Collected(collected),
        Err(error) if is_lost => Sent::Lost(unknown(error)),
        Err(error) if is_refused(&error) => Sent::Running,
        Err(error) => Sent::Refused(error),
    }
}

/// The collection that one of the requests has started, if the list shows it. With `or_running` one that runs is found as
/// well. [`Status::AlreadyRunning`] says that no request is open, and that there is none to take.
pub(crate) fn find(
    account: &Account,
    call: &Arc<Call>,
    requests: &Requests<'_>,
    or_running: bool,
) -> Result<Option<Collected>> {
    let device = Live::new(account, call, requests);
    let choices = Choices::of(account);
    match Job::new(&device, requests, choices).poll(or_running)? {
        Some(found) if found.is_ours || choices.on_duplicate == OnDuplicate::Adopt => {
            Ok(Some(found.collected()))
        }
        Some(found) => Err(of_another(&found.action)),
        None if requests.open_since.is_none() => {
            Err(Error::new(Status::AlreadyRunning, NOT_SHOWN).retryable(true))
        }
        None => Ok(None),
    }
}

/// The error of a request that may have been carried out. A stop keeps its status.
fn unknown(error: Error) -> Error {
    if error.is_stop() {
        return error;
    }
    let message = format!(
        "{}; it is not known whether a collection was started, so it is searched for before the next request",
        error.message()
    );
    error.reclassified(Status::OutcomeUnknown, message, true)
}
