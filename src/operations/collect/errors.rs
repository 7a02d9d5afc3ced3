//! What a call reports that has no collection.

use super::Job;
use crate::error::{Error, Stage};
use crate::options::OnDuplicate;
use crate::service::action::MachineAction;
use crate::status::Status;

pub(super) const NOT_SHOWN: &str = "a collection runs on the device, but the list of actions does not \
                                    show it; it may have ended this moment, so try again";

/// The error for a collection of somebody else, where `on_duplicate=error` is set.
pub(super) fn of_another(action: &MachineAction) -> Error {
    let message = "a collection runs on the device already; wait for it, or set `on_duplicate=adopt` \
                   to get it";
    Error::new(Status::AlreadyRunning, message)
        .with_stage(Stage::Reply)
        .action(action.id(), Some(action.json()))
}

impl Job<'_> {
    /// The error if a collection runs, and it was not found.
    pub(super) fn not_found(&self, refusal: Error, reason: Option<Error>) -> Error {
        match (reason, self.choices.on_duplicate) {
            // A stop of the call is more important than the refusal.
            (Some(stop), _) if stop.is_stop() && self.device.call().is_unsettled() => {
                self.unknown(refusal, Some(&stop))
            }
            (Some(stop), OnDuplicate::Adopt) if stop.is_stop() => stop,
            (_, OnDuplicate::Error) => refusal,
            (None, OnDuplicate::Adopt) => {
                refusal.reclassified(Status::AlreadyRunning, NOT_SHOWN.to_owned(), true)
            }
            (Some(error), OnDuplicate::Adopt) => {
                let message = format!(
                    "a collection runs on the device, but it could not be found: {}",
                    error.message()
                );
                refusal.reclassified(Status::AlreadyRunning, message, error.is_retryable())
            }
        }
    }

    /// The error if it is not known whether a collection was started. A stop keeps its status.
    pub(super) fn unknown(&self, error: Error, reason: Option<&Error>) -> Error {
        let advice = format!(
            "it is not known whether a collection was started on {}; look for it among the \
             device's actions before trying again",
            self.requests.machine_id
        );
        if error.is_stop() {
            let message = format!("{}; {advice}", error.message());
            let status = error.status();
            return error.reclassified(status, message, false);
        }
        match reason {
            None => {
                let message =
                    format!("{}; the list does not show one yet; {advice}", error.message());
                error.reclassified(Status::OutcomeUnknown, message, false)
            }
            Some(stop) if stop.is_stop() => {
                let message = format!(
                    "{} while the collection of a lost reply was searched for; {advice}",
                    stop.message()
                );
                error.reclassified(stop.status(), message, false)
            }
            Some(reason) => {
                let message = format!(
                    "{}; the search for it failed too ({}); {advice}",
                    error.message(),
                    reason.message()
                );
                error.reclassified(Status::OutcomeUnknown, message, false)
            }
        }
    }
}
