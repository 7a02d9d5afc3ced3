//! Starting a collection: once, even when one runs already or the reply gets lost.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::actions;
use crate::call::Call;
use crate::client::Client;
use crate::net::reply::Reply;
use crate::options::OnDuplicate;
use crate::service::endpoint;
use crate::service::model::{self, MachineAction};
use crate::{Error, Result, Stage, Status};

/// A collection that runs on the device now.
#[derive(Clone, Debug)]
pub struct Collected {
    /// The machine action to follow.
    pub action: MachineAction,
    /// The collection was running already, started by an earlier or another request.
    pub adopted: bool,
}

impl Serialize for Collected {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Document<'a> {
            action: &'a RawValue,
            adopted: bool,
        }
        Document { action: self.action.json(), adopted: self.adopted }.serialize(serializer)
    }
}

/// `POST /api/machines/{id}/collectInvestigationPackage`
pub(crate) fn collect(
    client: &Client,
    call: &Arc<Call>,
    machine_id: &str,
    comment: &str,
) -> Result<Collected> {
    match client.perform(call, &endpoint::collect(machine_id, comment)) {
        Ok(reply) => match actions::read_action(&reply) {
            Ok(action) => {
                let adopted = is_older_request(&action, comment, &reply);
                Ok(Collected { action, adopted })
            }
            Err(problem) => {
                Err(started_or_not(actions::not_understood(&reply, problem), machine_id))
            }
        },
        Err(error) if error.status() == Status::AlreadyRunning => {
            already_running(client, call, machine_id, error)
        }
        Err(error) => Err(started_or_not(error, machine_id)),
    }
}

/// Some duplicates are answered with the action that runs already instead of an error: it carries
/// another comment than ours, or was created well before the service answered.
fn is_older_request(action: &MachineAction, comment: &str, reply: &Reply) -> bool {
    const CLEARLY_EARLIER: Duration = Duration::from_secs(60);
    let other_comment = action.requestor_comment().is_some_and(|c| c.trim() != comment.trim());
    let created = action.created().and_then(|c| humantime::parse_rfc3339_weak(c).ok());
    let age = reply.date().zip(created).and_then(|(now, created)| now.duration_since(created).ok());
    other_comment || age.is_some_and(|age| age > CLEARLY_EARLIER)
}

/// The service refused because a collection runs on the device: find it.
fn already_running(
    client: &Client,
    call: &Arc<Call>,
    machine_id: &str,
    refusal: Error,
) -> Result<Collected> {
    let found = find_running(client, call, machine_id);
    match (client.on_duplicate, found) {
        (OnDuplicate::Adopt, Ok(Some(action))) => Ok(Collected { action, adopted: true }),
        (OnDuplicate::Error, Ok(Some(action))) => {
            let id = action.id().to_owned();
            Err(refusal.action(&id, Some(action.into_json())))
        }
        (OnDuplicate::Error, _) => Err(refusal),
        // The caller wants to stop: that comes first.
        (OnDuplicate::Adopt, Err(error))
            if matches!(error.status(), Status::Cancelled | Status::Deadline | Status::Closed) =>
        {
            Err(error)
        }
        (OnDuplicate::Adopt, Ok(None)) => {
            let message = "a collection runs on the device, but the list of actions does not show it; \
                           it may have ended this moment, so try again";
            Err(refusal.became(Status::AlreadyRunning, message.to_owned(), true))
        }
        (OnDuplicate::Adopt, Err(error)) => {
            let message = format!(
                "a collection runs on the device, but it could not be looked up: {}",
                error.message()
            );
            Err(refusal.became(Status::AlreadyRunning, message, error.is_retryable()))
        }
    }
}

/// The running collection of a device. The list may lag behind the refusal by a moment.
fn find_running(
    client: &Client,
    call: &Arc<Call>,
    machine_id: &str,
) -> Result<Option<MachineAction>> {
    const LOOKS: u32 = 3;
    const BETWEEN: Duration = Duration::from_millis(500);
    let id = device_id(client, call, machine_id)?;
    let filter = format!(
        "machineId eq '{id}' and type eq 'CollectInvestigationPackage' \
         and (status eq 'Pending' or status eq 'InProgress')"
    );
    for look in 1..=LOOKS {
        if let Some(action) = actions::newest(client, call, &filter)? {
            return Ok(Some(action));
        }
        if look < LOOKS {
            call.pause(BETWEEN)?;
        }
    }
    Ok(None)
}

/// The list knows devices by their 40-digit id only; any other id is looked up.
fn device_id(client: &Client, call: &Arc<Call>, machine_id: &str) -> Result<String> {
    if machine_id.len() == 40 && machine_id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(machine_id.to_ascii_lowercase());
    }
    let reply = client.perform(call, &endpoint::machine(machine_id))?;
    let id = model::machine_id(&reply.body)
        .ok_or_else(|| actions::not_understood(&reply, "has no device id"))?;
    // It goes into a filter.
    Ok(id.replace('\'', "''"))
}

/// An error after which nobody knows whether the collection was started says so.
fn started_or_not(error: Error, machine_id: &str) -> Error {
    let never_arrived = error.stage() != Some(Stage::Reply);
    let refused = matches!(error.http_status(), Some(300..=499));
    if never_arrived || refused {
        return error;
    }
    let look = format!(
        "it is not known whether a collection was started on {machine_id}; list its actions before \
         trying again"
    );
    match error.status() {
        // The caller's own stop keeps its status.
        status @ (Status::Cancelled | Status::Deadline | Status::Closed) => {
            let message = format!("{}; {look}", error.message());
            error.became(status, message, false)
        }
        _ => {
            let message = format!("{}; {look}", error.message());
            error.became(Status::OutcomeUnknown, message, false)
        }
    }
}
