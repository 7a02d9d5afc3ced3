//! Starts a collection, and never a second one, even if one runs already or the reply is lost.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::http::reply::{CLOCK_TOLERANCE, Reply};
use crate::operations::actions;
use crate::options::OnDuplicate;
use crate::service::action::{self, MachineAction};
use crate::service::{endpoint, machine};
use crate::status::Status;

/// A collection that runs on the device now.
#[derive(Clone, Debug)]
pub struct Collected {
    /// The machine action to follow.
    pub action: MachineAction,
    /// The action was found in the list: a collection was running already, or the reply to this call's request was lost.
    pub adopted: bool,
}

impl Collected {
    /// `{"action":{…},"adopted":false}`
    pub fn to_json(&self) -> String {
        let end = if self.adopted { ",\"adopted\":true}" } else { ",\"adopted\":false}" };
        action::document("{\"action\":", [self.action.json()], end)
    }
}

/// One request for a collection.
struct Job<'a> {
    account: &'a Account,
    call: &'a Arc<Call>,
    machine_id: &'a str,
    comment: &'a str,
    /// By both clocks: the first stands still while the machine sleeps, the second may be set.
    began: (Instant, SystemTime),
    /// The tolerance for the error of those clocks.
    tolerance: Duration,
}

/// `POST /api/machines/{id}/collectInvestigationPackage`
///
/// A request that may have been carried out is not sent again. Instead, the list of the device's actions is searched
/// for its action. An empty list proves nothing, since the list may lag behind.
pub(crate) fn collect(
    account: &Account,
    call: &Arc<Call>,
    machine_id: &str,
    comment: &str,
) -> Result<Collected> {
    let began = (Instant::now(), SystemTime::now());
    let job = Job { account, call, machine_id, comment, began, tolerance: DATE_TOLERANCE };
    let error = match job.send() {
        Ok(collected) => return Ok(collected),
        Err(error) if error.status() == Status::AlreadyRunning => {
            return job.already_running(error);
        }
        Err(error) if !call.is_unsettled() => return Err(error),
        Err(error) => error,
    };
    match job.find_started() {
        Ok(Some(action)) => {
            call.set_unsettled(false);
            Ok(Collected { action, adopted: true })
        }
        Ok(None) => Err(unknown(error, None, machine_id)),
        Err(reason) => Err(unknown(error, Some(&reason), machine_id)),
    }
}

/// The collection that a request with this comment, sent at `began` or later, has started.
///
/// Another process may have sent it, so its age is known by the system clock only, which may have been set since.
pub(crate) fn started_since(
    account: &Account,
    call: &Arc<Call>,
    machine_id: &str,
    comment: &str,
    began: SystemTime,
) -> Result<Option<MachineAction>> {
    // If `began` is in the future, the clock was set back by at least the difference.
    let set_back = began.duration_since(SystemTime::now()).unwrap_or_default();
    let tolerance = CLOCK_TOLERANCE.saturating_add(set_back);
    Job { account, call, machine_id, comment, began: (Instant::now(), began), tolerance }
        .find_started()
}

impl Job<'_> {
    fn send(&self) -> Result<Collected> {
        let request = endpoint::collect(self.machine_id, self.comment);
        let reply = self.account.perform(self.call, &request)?;
        match actions::read_action(&reply) {
            Ok(action) => {
                self.call.set_unsettled(false);
                let adopted = is_older_request(&action, self.comment, &reply);
                Ok(Collected { action, adopted })
            }
            Err(problem) => Err(actions::not_understood(&reply, problem)),
        }
    }

    /// Searches for the collection that a request without a reply has started: one with our comment, created since we
    /// began.
    fn find_started(&self) -> Result<Option<MachineAction>> {
        const NEWEST: usize = 20;
        self.search(|id| {
            let filter = format!("machineId eq '{id}' and type eq '{KIND}'");
            let recent = actions::recent(self.account, self.call, &filter, NEWEST)?;
            // By the service's clock: the date of its reply, less the time since we began.
            let answered = recent.date.unwrap_or_else(SystemTime::now);
            let passed = self.began.0.elapsed().max(self.began.1.elapsed().unwrap_or_default());
            let began = answered.checked_sub(passed.saturating_add(self.tolerance));
            Ok(recent.actions.into_iter().find(|action| {
                let ours = action.requestor_comment().map(str::trim) == Some(self.comment.trim());
                let created = action.created_at();
                let since = created.zip(began).is_some_and(|(created, began)| created >= began);
                is_collection_of(action, id) && ours && since
            }))
        })
    }

    /// Finds the collection for which the service has refused to start another one.
    fn already_running(&self, refusal: Error) -> Result<Collected> {
        match (self.account.on_duplicate, self.find_running()) {
            (OnDuplicate::Adopt, Ok(Some(action))) => Ok(Collected { action, adopted: true }),
            (OnDuplicate::Error, Ok(Some(action))) => {
                let id = action.id().to_owned();
                Err(refusal.action(&id, Some(action.json())))
            }
            (OnDuplicate::Error, _) => Err(refusal),
            // A stop of the call is more important than the refusal.
            (OnDuplicate::Adopt, Err(error)) if error.is_stop() => Err(error),
            (OnDuplicate::Adopt, Ok(None)) => {
                let message = "a collection runs on the device, but the list of actions does not \
                               show it; it may have ended this moment, so try again";
                Err(refusal.reclassified(Status::AlreadyRunning, message.to_owned(), true))
            }
            (OnDuplicate::Adopt, Err(error)) => {
                let message = format!(
                    "a collection runs on the device, but it could not be found: {}",
                    error.message()
                );
                Err(refusal.reclassified(Status::AlreadyRunning, message, error.is_retryable()))
            }
        }
    }

    fn find_running(&self) -> Result<Option<MachineAction>> {
        self.search(|id| {
            let filter = format!(
                "machineId eq '{id}' and type eq '{KIND}' \
                 and (status eq 'Pending' or status eq 'InProgress')"
            );
            let recent = actions::recent(self.account, self.call, &filter, 1)?;
            Ok(recent
                .actions
                .into_iter()
                .find(|action| is_collection_of(action, id) && !action.status().is_final()))
        })
    }

    /// Searches for an action of the device, a few times with pauses, since the list may lag behind.
    fn search(
        &self,
        find: impl Fn(&str) -> Result<Option<MachineAction>>,
    ) -> Result<Option<MachineAction>> {
        const PAUSES: [Duration; 3] =
            [Duration::ZERO, Duration::from_millis(500), Duration::from_millis(1_500)];
        let id = self.device_id()?;
        for pause in PAUSES {
            self.call.pause(pause)?;
            if let Some(action) = find(&id)? {
                return Ok(Some(action));
            }
        }
        Ok(None)
    }

    /// The 40-digit id of the device, since the list knows no other. Any other id is looked up.
    fn device_id(&self) -> Result<String> {
        let id = self.machine_id;
        if machine::is_device_id(id) {
            return Ok(id.to_ascii_lowercase());
        }
        let reply = self.account.perform(self.call, &endpoint::machine(id))?;
        let machine = machine::machine(&reply.body)
            .map_err(|problem| actions::not_understood(&reply, problem))?;
        // The id becomes part of an OData string.
        Ok(machine.id().replace('\'', "''"))
    }
}

/// The type of a collection's machine action.
pub(crate) const KIND: &str = "CollectInvestigationPackage";

/// Checks an action against the filter again, since a proxy or gateway may have dropped the query.
fn is_collection_of(action: &MachineAction, device_id: &str) -> bool {
    let on_device = action.machine_id().is_some_and(|id| id.eq_ignore_ascii_case(device_id));
    on_device && action.kind() == Some(KIND)
}

/// Dates in headers have whole seconds, and the two clocks are read at different moments.
const DATE_TOLERANCE: Duration = Duration::from_secs(5);

/// Whether the reply contains an action of an earlier request. The service may answer so to a duplicate.
///
/// Such an action has another comment, or was created well before the reply.
fn is_older_request(action: &MachineAction, comment: &str, reply: &Reply) -> bool {
    const CLEARLY_EARLIER: Duration = Duration::from_secs(60);
    let other_comment = action.requestor_comment().is_some_and(|c| c.trim() != comment.trim());
    let created = action.created_at();
    let age = reply.date().zip(created).and_then(|(now, created)| now.duration_since(created).ok());
    other_comment || age.is_some_and(|age| age > CLEARLY_EARLIER)
}

/// The error if it is not known whether a collection was started. A stop keeps its status.
fn unknown(error: Error, reason: Option<&Error>, machine_id: &str) -> Error {
    let advice = format!(
        "it is not known whether a collection was started on {machine_id}; look for it among the \
         device's actions before trying again"
    );
    if error.is_stop() {
        let message = format!("{}; {advice}", error.message());
        let status = error.status();
        return error.reclassified(status, message, false);
    }
    match reason {
        None => {
            let message = format!("{}; the list does not show one yet; {advice}", error.message());
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
