//! Starting a collection: once, even when one runs already or the reply gets lost.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::actions;
use crate::call::Call;
use crate::client::Client;
use crate::log::{self, Level};
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
    /// The action was found rather than answered: a collection was running already, or the reply was
    /// lost and the list showed that this call had started it.
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

/// One request for a collection, through all its attempts.
struct Job<'a> {
    client: &'a Client,
    call: &'a Arc<Call>,
    machine_id: &'a str,
    comment: &'a str,
    began: Instant,
}

/// `POST /api/machines/{id}/collectInvestigationPackage`
///
/// A request that may have been carried out is never sent again blindly: the list of the device's
/// actions tells whether it was.
pub(crate) fn collect(
    client: &Client,
    call: &Arc<Call>,
    machine_id: &str,
    comment: &str,
) -> Result<Collected> {
    let job = Job { client, call, machine_id, comment, began: Instant::now() };
    let mut retries = 0;
    loop {
        let error = match job.send() {
            Ok(collected) => return Ok(collected),
            Err(error) if error.status() == Status::AlreadyRunning => {
                return job.already_running(error, retries > 0);
            }
            Err(error) if is_ambiguous(&error) => error,
            Err(error) => return Err(error),
        };
        match job.look() {
            Ok(Some(action)) => return Ok(Collected { action, adopted: true }),
            Ok(None) if retries < client.max_retries => retries += 1,
            Ok(None) => return Err(not_started(error)),
            Err(why) => return Err(unknown(error, &why, machine_id)),
        }
        log::line(Level::Warn, || format!("no collection was started, sending again: {error}"));
    }
}

impl Job<'_> {
    fn send(&self) -> Result<Collected> {
        let request = endpoint::collect(self.machine_id, self.comment);
        let reply = self.client.perform(self.call, &request)?;
        match actions::read_action(&reply) {
            Ok(action) => {
                let adopted = is_older_request(&action, self.comment, &reply);
                Ok(Collected { action, adopted })
            }
            Err(problem) => Err(actions::not_understood(&reply, problem)),
        }
    }

    /// Looks whether a request whose reply was lost has started a collection: one with our comment,
    /// created since we began. The list may lag behind by a moment, so absence is looked at twice.
    fn look(&self) -> Result<Option<MachineAction>> {
        const NEWEST: usize = 20;
        self.looking(|id| {
            let filter = format!("machineId eq '{id}' and type eq 'CollectInvestigationPackage'");
            let recent = actions::recent(self.client, self.call, &filter, NEWEST)?;
            // By the service's clock: when it answered, less the time that has passed here since.
            let answered = recent.date.unwrap_or_else(SystemTime::now);
            let began = answered.checked_sub(self.began.elapsed() + CLOCK_GRAIN);
            Ok(recent.actions.into_iter().find(|action| {
                let ours = action.requestor_comment().map(str::trim) == Some(self.comment.trim());
                let created = action.created().and_then(|c| humantime::parse_rfc3339_weak(c).ok());
                ours && created.zip(began).is_none_or(|(created, began)| created >= began)
            }))
        })
    }

    /// The service refused because a collection runs on the device: find it. After a lost reply that
    /// may well be the one we asked for, which is no duplicate.
    fn already_running(&self, refusal: Error, may_be_ours: bool) -> Result<Collected> {
        if may_be_ours {
            if let Some(action) = self.look()? {
                return Ok(Collected { action, adopted: true });
            }
        }
        match (self.client.on_duplicate, self.find_running()) {
            (OnDuplicate::Adopt, Ok(Some(action))) => Ok(Collected { action, adopted: true }),
            (OnDuplicate::Error, Ok(Some(action))) => {
                let id = action.id().to_owned();
                Err(refusal.action(&id, Some(action.into_json())))
            }
            (OnDuplicate::Error, _) => Err(refusal),
            // The caller wants to stop: that comes first.
            (OnDuplicate::Adopt, Err(error)) if is_stop(&error) => Err(error),
            (OnDuplicate::Adopt, Ok(None)) => {
                let message = "a collection runs on the device, but the list of actions does not \
                               show it; it may have ended this moment, so try again";
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

    fn find_running(&self) -> Result<Option<MachineAction>> {
        self.looking(|id| {
            let filter = format!(
                "machineId eq '{id}' and type eq 'CollectInvestigationPackage' \
                 and (status eq 'Pending' or status eq 'InProgress')"
            );
            let recent = actions::recent(self.client, self.call, &filter, 1)?;
            Ok(recent.actions.into_iter().next())
        })
    }

    /// Looks for an action of the device, a few times with pauses: the list may lag behind.
    fn looking(
        &self,
        look: impl Fn(&str) -> Result<Option<MachineAction>>,
    ) -> Result<Option<MachineAction>> {
        const LOOKS: u32 = 3;
        const BETWEEN: Duration = Duration::from_millis(500);
        let id = self.device_id()?;
        for round in 1..=LOOKS {
            if let Some(action) = look(&id)? {
                return Ok(Some(action));
            }
            if round < LOOKS {
                self.call.pause(BETWEEN)?;
            }
        }
        Ok(None)
    }

    /// The list knows devices by their 40-digit id only; any other id is looked up.
    fn device_id(&self) -> Result<String> {
        let id = self.machine_id;
        if id.len() == 40 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(id.to_ascii_lowercase());
        }
        let reply = self.client.perform(self.call, &endpoint::machine(id))?;
        let id = model::machine_id(&reply.body)
            .ok_or_else(|| actions::not_understood(&reply, "has no device id"))?;
        // It goes into a filter.
        Ok(id.replace('\'', "''"))
    }
}

/// Dates in headers have whole seconds, and the two clocks are read at different moments.
const CLOCK_GRAIN: Duration = Duration::from_secs(5);

/// Some duplicates are answered with the action that runs already instead of an error: it carries
/// another comment than ours, or was created well before the service answered.
fn is_older_request(action: &MachineAction, comment: &str, reply: &Reply) -> bool {
    const CLEARLY_EARLIER: Duration = Duration::from_secs(60);
    let other_comment = action.requestor_comment().is_some_and(|c| c.trim() != comment.trim());
    let created = action.created().and_then(|c| humantime::parse_rfc3339_weak(c).ok());
    let age = reply.date().zip(created).and_then(|(now, created)| now.duration_since(created).ok());
    other_comment || age.is_some_and(|age| age > CLEARLY_EARLIER)
}

fn is_stop(error: &Error) -> bool {
    matches!(error.status(), Status::Cancelled | Status::Deadline | Status::Closed)
}

/// Whether the request may have been carried out although it failed.
fn is_ambiguous(error: &Error) -> bool {
    let may_have_arrived = error.stage() == Some(Stage::Reply);
    let was_refused = matches!(error.http_status(), Some(300..=499));
    may_have_arrived && !was_refused
}

/// The list shows that nothing was started: the failure is what it was, and may be tried again.
fn not_started(error: Error) -> Error {
    let message = format!("{}; no collection was started", error.message());
    let status = error.status();
    error.became(status, message, true)
}

/// Nobody knows, and the caller has to look. A stop keeps its status.
fn unknown(error: Error, why: &Error, machine_id: &str) -> Error {
    let look = format!(
        "it is not known whether a collection was started on {machine_id}; list its actions before \
         trying again"
    );
    if is_stop(&error) {
        let message = format!("{}; {look}", error.message());
        let status = error.status();
        return error.became(status, message, false);
    }
    if is_stop(why) {
        let message = format!("{} while a lost reply was looked into; {look}", why.message());
        return error.became(why.status(), message, false);
    }
    let message =
        format!("{}; looking it up failed too ({}); {look}", error.message(), why.message());
    error.became(Status::OutcomeUnknown, message, false)
}
