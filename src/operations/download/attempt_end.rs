//! Why an attempt to download ended early, with the error that describes it.

use super::host_error;
use super::place::Place;
use super::validity::Validity;
use crate::account::Account;
use crate::error::{Error, Stage};
use crate::http::body::Incoming;
use crate::http::failure::Failure;
use crate::status::Status;

/// Why an attempt ended before the end of the package.
pub(super) enum AttemptEnd {
    /// The link does not lead to the package, or not yet, or not any more.
    LinkRefused(Error, Validity),
    Changed,
    WrongRange,
    /// The next attempt may succeed if the error is retryable.
    Failed(Error),
    /// No further attempt is made.
    Final(Error),
}

impl AttemptEnd {
    /// The same end without the secrets that the host was sent.
    pub(super) fn masked(self, place: &Place) -> AttemptEnd {
        let mask = |error: Error| error.mask(|text| place.mask(text));
        match self {
            AttemptEnd::LinkRefused(error, validity) => {
                AttemptEnd::LinkRefused(mask(error), validity)
            }
            AttemptEnd::Failed(error) => AttemptEnd::Failed(mask(error)),
            AttemptEnd::Final(error) => AttemptEnd::Final(mask(error)),
            end => end,
        }
    }
}

/// The error for a reply that breaks HTTP or leads away from the allowed hosts.
pub(super) fn protocol(message: &str) -> Error {
    let advice = "check the proxy or gateway in front of the download host";
    Error::new(Status::Protocol, format!("cannot download the package: {message}; {advice}"))
}

/// The error for a reply without a body.
pub(super) fn empty(http_status: u16) -> Error {
    let message =
        "the download host sent nothing, as it may when a link is no longer valid; try again";
    Error::new(Status::Broken, message).http(http_status)
}

/// The end of an attempt whose connection failed, or whose call was stopped.
pub(super) fn lost(failure: Failure) -> AttemptEnd {
    let error = Error::from(failure).with_step_stage(Stage::Download);
    if error.is_stop() { AttemptEnd::Final(error) } else { AttemptEnd::Failed(error) }
}

/// The end of an attempt with an error reply. Some statuses are about the link, the others about the host.
pub(super) fn refused(account: &Account, incoming: &mut Incoming, place: &Place) -> AttemptEnd {
    let status = incoming.status;
    let mut body = match incoming.read_beginning(host_error::MAX_DOCUMENT) {
        Ok(body) => body,
        Err(failure) => {
            let stopped = lost(failure);
            if matches!(stopped, AttemptEnd::Final(_)) {
                return stopped;
            }
            Vec::new()
        }
    };
    // Masked before anything is read: part of a secret would not be recognised.
    let secrets = place.secrets();
    let masked = |text: &str| {
        let mut text = text.to_owned();
        account.mask_with(&mut text, &secrets);
        text
    };
    body = masked(&String::from_utf8_lossy(&body)).into_bytes();
    let [code, request_id] =
        ["x-ms-error-code", "x-ms-request-id"].map(|name| incoming.header(name).map(masked));
    let retry_after = incoming.retry_after();
    let head = host_error::Head {
        status,
        host: &place.host,
        code: code.as_deref(),
        request_id: request_id.as_deref(),
        retry_after: retry_after.as_deref(),
        date: incoming.header("date"),
    };
    let error = host_error::error(&head, &body);
    match status {
        401 | 403 | 404 => AttemptEnd::LinkRefused(error, Validity::of(&body)),
        410 => AttemptEnd::LinkRefused(error, Validity::Over),
        _ => AttemptEnd::Failed(error),
    }
}
