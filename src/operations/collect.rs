//! Starting a collection: once, even when one runs already or the reply gets lost.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::http::reply::{Reply, TOLERATED_SKEW};
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
    /// The action was found rather than answered: a collection was running already, or the reply was
    /// lost and the list showed that this call had started it.
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
    /// By both clocks: the one stands still while the machine sleeps, the other may be set.
    began: (Instant, SystemTime),
    /// How far those may be off.
    grain: Duration,
}

/// `POST /api/machines/{id}/collectInvestigationPackage`
///
/// A request that may have been carried out is not sent again: the list of the device's actions tells
/// whether it was, and an empty list proves nothing, since the list may lag behind.
pub(crate) fn collect(
    account: &Account,
    call: &Arc<Call>,
    machine_id: &str,
    comment: &str,
) -> Result<Collected> {
    let began = (Instant::now(), SystemTime::now());
    let job = Job { account, call, machine_id, comment, began, grain: CLOCK_GRAIN };
    let error = match job.send() {
        Ok(collected) => return Ok(collected),
        Err(error) if error.status() == Status::AlreadyRunning => {
            return job.already_running(error);
        }
        Err(error) if !call.is_unsettled() => return Err(error),
        Err(error) => error,
    };
    match job.look() {
        Ok(Some(action)) => {
            call.set_unsettled(false);
            Ok(Collected { action, adopted: true })
        }
        Ok(None) => Err(unknown(error, None, machine_id)),
        Err(why) => Err(unknown(error, Some(&why), machine_id)),
    }
}

/// The collection that a request with this comment, sent at `began` or later, has started. Another process may have
/// sent it, so nothing but the time of day tells how long ago that was, and the clock may have been set since.
pub(crate) fn started_since(
    account: &Account,
    call: &Arc<Call>,
    machine_id: &str,
    comment: &str,
    began: SystemTime,
) -> Result<Option<MachineAction>> {
    // Still to come: the clock was set back, by more than this.
    let set_back = began.duration_since(SystemTime::now()).unwrap_or_default();
    let grain = TOLERATED_SKEW.saturating_add(set_back);
    Job { account, call, machine_id, comment, began: (Instant::now(), began), grain }.look()
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

    /// Looks whether a request whose reply was lost has started a collection: one with our comment,
    /// created since we began.
    fn look(&self) -> Result<Option<MachineAction>> {
        const NEWEST: usize = 20;
        self.looking(|id| {
            let filter = format!("machineId eq '{id}' and type eq '{KIND}'");
            let recent = actions::recent(self.account, self.call, &filter, NEWEST)?;
            // By the service's clock: when it answered, less the time that has passed here since.
            let answered = recent.date.unwrap_or_else(SystemTime::now);
            let passed = self.began.0.elapsed().max(self.began.1.elapsed().unwrap_or_default());
            let began = answered.checked_sub(passed.saturating_add(self.grain));
            Ok(recent.actions.into_iter().find(|action| {
                let ours = action.requestor_comment().map(str::trim) == Some(self.comment.trim());
                let created = action.created_at();
                let since = created.zip(began).is_some_and(|(created, began)| created >= began);
                is_collection_of(action, id) && ours && since
            }))
        })
    }

    /// The service refused because a collection runs on the device: find it.
    fn already_running(&self, refusal: Error) -> Result<Collected> {
        match (self.account.on_duplicate, self.find_running()) {
            (OnDuplicate::Adopt, Ok(Some(action))) => Ok(Collected { action, adopted: true }),
            (OnDuplicate::Error, Ok(Some(action))) => {
                let id = action.id().to_owned();
                Err(refusal.action(&id, Some(action.json())))
            }
            (OnDuplicate::Error, _) => Err(refusal),
            // The caller wants to stop: that comes first.
            (OnDuplicate::Adopt, Err(error)) if error.is_stop() => Err(error),
            (OnDuplicate::Adopt, Ok(None)) => {
                let message = "a collection runs on the device, but the list of actions does not \
                               show it; it may have ended this moment, so try again";
                Err(refusal.reclassified(Status::AlreadyRunning, message.to_owned(), true))
            }
            (OnDuplicate::Adopt, Err(error)) => {
                let message = format!(
                    "a collection runs on the device, but it could not be looked up: {}",
                    error.message()
                );
                Err(refusal.reclassified(Status::AlreadyRunning, message, error.is_retryable()))
            }
        }
    }

    fn find_running(&self) -> Result<Option<MachineAction>> {
        self.looking(|id| {
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

    /// Looks for an action of the device, a few times with pauses: the list may lag behind.
    fn looking(
        &self,
        look: impl Fn(&str) -> Result<Option<MachineAction>>,
    ) -> Result<Option<MachineAction>> {
        const PAUSES: [Duration; 3] =
            [Duration::ZERO, Duration::from_millis(500), Duration::from_millis(1_500)];
        let id = self.device_id()?;
        for pause in PAUSES {
            self.call.pause(pause)?;
            if let Some(action) = look(&id)? {
                return Ok(Some(action));
            }
        }
        Ok(None)
    }

    /// The list knows devices by their 40-digit id only; any other id is looked up.
    fn device_id(&self) -> Result<String> {
        let id = self.machine_id;
        if machine::is_device_id(id) {
            return Ok(id.to_ascii_lowercase());
        }
        let reply = self.account.perform(self.call, &endpoint::machine(id))?;
        let machine = machine::machine(&reply.body)
            .map_err(|problem| actions::not_understood(&reply, problem))?;
        // It goes into a filter.
        Ok(machine.id().replace('\'', "''"))
    }
}

/// The kind of action this is about.
pub(crate) const KIND: &str = "CollectInvestigationPackage";

/// What the filter asked for is checked again: something in between may have dropped the query.
fn is_collection_of(action: &MachineAction, device_id: &str) -> bool {
    let on_device = action.machine_id().is_some_and(|id| id.eq_ignore_ascii_case(device_id));
    on_device && action.kind() == Some(KIND)
}

/// Dates in headers have whole seconds, and the two clocks are read at different moments.
const CLOCK_GRAIN: Duration = Duration::from_secs(5);

/// Some duplicates are answered with the action that runs already instead of an error: it carries
/// another comment than ours, or was created well before the service answered.
fn is_older_request(action: &MachineAction, comment: &str, reply: &Reply) -> bool {
    const CLEARLY_EARLIER: Duration = Duration::from_secs(60);
    let other_comment = action.requestor_comment().is_some_and(|c| c.trim() != comment.trim());
    let created = action.created_at();
    let age = reply.date().zip(created).and_then(|(now, created)| now.duration_since(created).ok());
    other_comment || age.is_some_and(|age| age > CLEARLY_EARLIER)
}

/// Nobody knows, and the caller has to look. A stop keeps its status.
fn unknown(error: Error, why: Option<&Error>, machine_id: &str) -> Error {
    let look = format!(
        "it is not known whether a collection was started on {machine_id}; look for it among the \
         device's actions before trying again"
    );
    if error.is_stop() {
        let message = format!("{}; {look}", error.message());
        let status = error.status();
        return error.reclassified(status, message, false);
    }
    match why {
        None => {
            let message = format!("{}; the list does not show one yet; {look}", error.message());
            error.reclassified(Status::OutcomeUnknown, message, false)
        }
        Some(stop) if stop.is_stop() => {
            let message = format!("{} while a lost reply was looked into; {look}", stop.message());
            error.reclassified(stop.status(), message, false)
        }
        Some(why) => {
            let message = format!(
                "{}; looking it up failed too ({}); {look}",
                error.message(),
                why.message()
            );
            error.reclassified(Status::OutcomeUnknown, message, false)
        }
    }
}
