//! Machine actions, from `Pending` to their final state.
//!
//! <https://learn.microsoft.com/defender-endpoint/api/machineaction>

use std::borrow::Cow;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::clock::{Clock, seconds, stamp};
use crate::config::{Behaviour, Outcome};
use crate::ids;
use crate::machines::Machine;
use crate::query::{Entity, Kind, Member, Schema};

/// The one type of action that the simulator starts.
pub const COLLECT: &str = "CollectInvestigationPackage";

const STATUSES: &[&str] = &["Pending", "Cancelled", "TimeOut", "Failed", "InProgress", "Succeeded"];

/// One action. The JSON is kept as it is served.
#[derive(Debug, Clone)]
pub struct Action {
    shown: Map<String, Value>,
    /// The number of its machine.
    machine: Option<usize>,
    /// When it was created and when it entered its status, in simulated time.
    created: Duration,
    entered: Duration,
    /// The wall clock at `entered`.
    entered_at: Timestamp,
    /// Added by [`Actions::add`], so its status never changes.
    frozen: bool,
}

/// All actions, in order of creation.
#[derive(Debug, Default)]
pub struct Actions(Vec<Action>);

/// A request to start a collection.
#[derive(Debug, Default)]
pub struct Request<'a> {
    pub requestor: &'a str,
    pub comment: &'a str,
    pub title: Option<&'a str>,
    pub external_id: Option<&'a str>,
    pub source: Option<&'a str>,
}

impl Action {
    fn text(&self, member: &str) -> &str {
        self.shown.get(member).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn id(&self) -> &str {
        self.text("id")
    }

    pub fn machine_id(&self) -> &str {
        self.text("machineId")
    }

    /// The DNS name of the machine.
    pub fn machine_name(&self) -> &str {
        self.text("computerDnsName")
    }

    pub fn status(&self) -> &str {
        self.text("status")
    }

    pub fn is_collection(&self) -> bool {
        self.text("type") == COLLECT
    }

    pub fn is_final(&self) -> bool {
        !matches!(self.status(), "Pending" | "InProgress")
    }

    /// As served, without a context.
    pub fn to_json(&self) -> Value {
        Value::Object(self.shown.clone())
    }

    /// Whether the service knows its id already.
    pub fn is_visible(&self, behaviour: &Behaviour, now: Duration) -> bool {
        now >= self.created.saturating_add(seconds(behaviour.not_found_after_create_s))
    }

    /// Whether the list shows it already.
    pub fn is_listed(&self, behaviour: &Behaviour, now: Duration) -> bool {
        let lag = behaviour.not_found_after_create_s.max(behaviour.list_lag_s);
        now >= self.created.saturating_add(seconds(lag))
    }

    fn set(&mut self, member: &str, value: impl Into<Value>) {
        self.shown.insert(member.to_owned(), value.into());
    }

    fn enter(&mut self, status: &str, at: Duration, wall: Timestamp) {
        self.entered = at;
        self.entered_at = wall;
        self.set("status", status);
        self.set("lastUpdateDateTimeUtc", stamp(wall));
    }

    /// Enters the next state if that is due.
    fn step(&mut self, behaviour: &Behaviour, clock: &Clock, now: Duration) -> bool {
        let is_offline = self.machine.is_some_and(|machine| machine < behaviour.offline);
        if is_offline && !self.frozen && self.status() == "Pending" {
            // It waits as if it had been created when the machine is back.
            (self.entered, self.entered_at) = (now, Timestamp::now());
            return false;
        }
        let span = match self.status() {
            "Pending" => seconds(behaviour.pending_s),
            "InProgress" => seconds(behaviour.in_progress_s),
            _ => return false,
        };
        let due = self.entered.saturating_add(span);
        if self.frozen || due > now {
            return false;
        }
        let span = SignedDuration::try_from(clock.real(span)).unwrap_or(SignedDuration::MAX);
        let wall = self.entered_at.checked_add(span).unwrap_or(self.entered_at);
        if self.status() == "Pending" {
            self.enter("InProgress", due, wall);
            return true;
        }
        let outcome =
            behaviour.machine_outcomes.get(self.machine_id()).unwrap_or(&behaviour.outcome);
        match outcome {
            Outcome::Succeeded => self.enter("Succeeded", due, wall),
            Outcome::TimeOut => self.enter("TimeOut", due, wall),
            Outcome::Failed => {
                self.enter("Failed", due, wall);
                // E_FAIL. The service publishes no table of its values.
                self.set("errorHResult", -2_147_467_259_i64);
            }
        }
        true
    }
}

impl Actions {
    /// Brings every action up to the present.
    pub fn advance(&mut self, behaviour: &Behaviour, clock: &Clock) {
        let now = clock.now();
        for action in &mut self.0 {
            while action.step(behaviour, clock, now) {}
        }
    }

    pub fn all(&self) -> &[Action] {
        &self.0
    }

    /// Removes the oldest actions while there are more than so many, up to the first one that has not ended.
    pub fn take_oldest(&mut self, kept: usize) -> Vec<Action> {
        let most = self.0.len().saturating_sub(kept);
        let ended = self.0.iter().take(most).take_while(|action| action.is_final()).count();
        self.0.drain(..ended).collect()
    }

    pub fn find(&self, id: &str) -> Option<&Action> {
        self.0.iter().find(|action| action.id().eq_ignore_ascii_case(id))
    }

    /// The running collection of a machine.
    pub fn running_on(&self, machine: &str) -> Option<&Action> {
        self.0.iter().find(|a| a.is_collection() && !a.is_final() && a.machine_id() == machine)
    }

    /// Starts a collection.
    pub fn collect(
        &mut self,
        machine: Option<Machine<'_>>,
        request: &Request<'_>,
        clock: &Clock,
    ) -> Value {
        let wall = Timestamp::now();
        let updated = SignedDuration::from_nanos(i64::from(fastrand::u16(..900)) * 100);
        let updated = wall.checked_add(updated).unwrap_or(wall);
        let member = |name: &str| machine.as_ref().map(|it| it.member(name).into_owned());
        let shown = json!({
            "id": ids::guid(),
            "type": COLLECT,
            "title": request.title,
            "requestor": request.requestor,
            "requestorComment": request.comment,
            "status": "Pending",
            "machineId": member("id"),
            "computerDnsName": member("computerDnsName"),
            "creationDateTimeUtc": stamp(wall),
            "lastUpdateDateTimeUtc": stamp(updated),
            "cancellationRequestor": null,
            "cancellationComment": null,
            "cancellationDateTimeUtc": null,
            "errorHResult": 0,
            "scope": null,
            "externalId": request.external_id,
            "requestSource": request.source.unwrap_or("PublicApi"),
            "relatedFileInfo": null,
            "commands": [],
            "troubleshootInfo": null,
        });
        let now = clock.now();
        let map = if let Value::Object(map) = shown.clone() { map } else { Map::new() };
        self.0.push(Action {
            shown: map,
            machine: machine.map(|machine| machine.number),
            created: now,
            entered: now,
            entered_at: wall,
            frozen: false,
        });
        shown
    }

    /// Adds an action whose status never changes: a past one, or a type that the simulator cannot
    /// start. Missing members are those of a finished collection.
    pub fn add(&mut self, given: &Map<String, Value>, machine: Option<Machine<'_>>) -> Value {
        let clock = Clock::new(1.0);
        let request = Request { requestor: "Analyst@contoso.example", ..Request::default() };
        self.collect(machine, &request, &clock);
        let Some(action) = self.0.last_mut() else {
            return Value::Null;
        };
        action.frozen = true;
        action.created = Duration::ZERO;
        action.set("status", "Succeeded");
        for (name, value) in given {
            action.set(name, value.clone());
        }
        action.to_json()
    }

    /// Cancels an action; `None` if there is none that is not final.
    pub fn cancel(
        &mut self,
        id: &str,
        requestor: &str,
        comment: &str,
        now: Duration,
    ) -> Option<Value> {
        let action =
            self.0.iter_mut().find(|a| a.id().eq_ignore_ascii_case(id) && !a.is_final())?;
        let wall = Timestamp::now();
        action.set("cancellationRequestor", requestor);
        action.set("cancellationComment", comment);
        action.set("cancellationDateTimeUtc", stamp(wall));
        action.enter("Cancelled", now, wall);
        Some(action.to_json())
    }
}

impl Entity for &Action {
    fn member(&self, name: &str) -> Cow<'_, Value> {
        self.shown.get(name).map_or(Cow::Owned(Value::Null), Cow::Borrowed)
    }

    fn whole(&self) -> Value {
        self.to_json()
    }
}

/// The actions as a queried collection.
pub const SCHEMA: Schema = Schema {
    name: "MachineActions",
    type_name: "microsoft.windowsDefenderATP.api.MachineAction",
    members: &[
        Member::filterable("id", Kind::Guid),
        Member::filterable("status", Kind::Enum(STATUSES)),
        Member::filterable("machineId", Kind::Text),
        Member::filterable("type", Kind::Enum(TYPES)),
        Member::filterable("requestor", Kind::Text),
        Member::filterable("creationDateTimeUtc", Kind::Time),
        Member::other("title", Kind::Text),
        Member::other("requestorComment", Kind::Text),
        Member::other("computerDnsName", Kind::Text),
        Member::other("lastUpdateDateTimeUtc", Kind::Time),
        Member::other("cancellationRequestor", Kind::Text),
        Member::other("cancellationComment", Kind::Text),
        Member::other("cancellationDateTimeUtc", Kind::Time),
        Member::other("errorHResult", Kind::Number),
        Member::other("scope", Kind::Text),
        Member::other("externalId", Kind::Text),
        Member::other("requestSource", Kind::Text),
        Member::other("relatedFileInfo", Kind::Whole),
        Member::other("commands", Kind::Whole),
        Member::other("troubleshootInfo", Kind::Whole),
    ],
};

const TYPES: &[&str] = &[
    "Unknown",
    "RequestSample",
    "Block",
    "RunAntiVirusScan",
    "Offboard",
    "RegenerateId",
    COLLECT,
    "Isolate",
    "Unisolate",
    "StopAndQuarantineFile",
    "RestrictCodeExecution",
    "UnrestrictCodeExecution",
    "LiveResponse",
    "Troubleshoot",
    "LogsCollection",
    "TokenRefresh",
    "EndpointConfigManagementCheckin",
    "EnableActiveDirectoryUser",
    "DisableActiveDirectoryUser",
    "ResetPasswordActiveDirectoryUser",
    "ImmuneActiveDirectoryCustomPlaybook",
];
