//! Cancels a machine action and waits until it has ended.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result, Stage};
use crate::operations::actions;
use crate::service::action::{ActionStatus, MachineAction};
use crate::service::endpoint;
use crate::status::Status;
use crate::text::json;

/// An action that has ended after a request to cancel it.
#[derive(Clone, Debug, Serialize)]
pub struct Ended {
    /// The machine action in its final state.
    pub action: MachineAction,
    /// Whether that state is Cancelled. Otherwise the action had ended before.
    pub cancelled: bool,
}

impl Ended {
    fn new(action: MachineAction) -> Ended {
        Ended { cancelled: *action.status() == ActionStatus::Cancelled, action }
    }

    /// `{"action":{…},"cancelled":true}`
    pub fn to_json(&self) -> String {
        json::text(self)
    }
}

/// The pauses between two polls. They are short at first, since most actions end at once.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// `POST /api/machineactions/{id}/cancel`
///
/// It then polls the action until it has ended, since a reply that accepts the request often shows the old state.
pub(crate) fn cancel(
    account: &Account,
    call: &Arc<Call>,
    action_id: &str,
    comment: &str,
) -> Result<Ended> {
    let reply = account.perform(call, &endpoint::cancel(action_id, comment));
    let mut last = match reply {
        // A reply with another action shows nothing of this one, whose state is read.
        Ok(reply) => {
            actions::read_action(account, &reply).ok().filter(|action| action.has_id(action_id))
        }
        // The service refuses to cancel an action that has ended, with various errors. So its state is read.
        Err(refusal) if matches!(refusal.status(), Status::BadRequest | Status::AlreadyRunning) => {
            match actions::read(account, call, action_id) {
                Ok(action) if action.status().is_final() => return Ok(Ended::new(action)),
                // An earlier request cancels it, perhaps one of this call whose reply was lost.
                Ok(action) if refusal.status() == Status::AlreadyRunning => Some(action),
                Ok(action) => return Err(refusal.action(action_id, Some(action.json()))),
                Err(_) => return Err(refusal.action(action_id, None)),
            }
        }
        Err(error) => return Err(error.action(action_id, None)),
    };
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(action) = last.take_if(|action| action.status().is_final()) {
            return Ok(Ended::new(action));
        }
        let read = call
            .pause(pause)
            .map_err(Error::from)
            .and_then(|()| actions::read(account, call, action_id));
        match read {
            Ok(action) => last = Some(action),
            Err(error) => return Err(accepted_but(error, action_id, last.as_ref())),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The error for a failure after the service has accepted the request.
fn accepted_but(error: Error, action_id: &str, last: Option<&MachineAction>) -> Error {
    let message = format!(
        "{}; the service has accepted to cancel the action, but it was not seen to end; wait for it, or \
         cancel it again",
        error.message()
    );
    error
        .with_message(message)
        .with_stage(Stage::Wait)
        .action(action_id, last.map(MachineAction::json))
}
