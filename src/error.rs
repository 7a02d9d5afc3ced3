//! What went wrong, in the form every caller gets it: one status, one message, and what is known.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::status::Status;
use crate::text::json;

/// The part of an operation in which it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Getting an access token.
    Token,
    /// Waiting for room in the quota.
    Quota,
    /// Before the service can have received the whole request.
    Send,
    /// After the request was sent: waiting for, or reading, the reply.
    Reply,
    /// Waiting for an action to end.
    Wait,
    /// Getting the link to a package.
    Link,
    /// Fetching a package.
    Download,
    /// Checking a package.
    Verify,
}

impl Stage {
    /// The name in error documents.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Token => "token",
            Stage::Quota => "quota",
            Stage::Send => "send",
            Stage::Reply => "reply",
            Stage::Wait => "wait",
            Stage::Link => "link",
            Stage::Download => "download",
            Stage::Verify => "verify",
        }
    }
}

/// Why an operation failed. Small enough to return by value; carries no secret.
#[derive(Clone, Debug)]
pub struct Error(Box<Details>);

#[derive(Clone, Debug)]
struct Details {
    status: Status,
    message: String,
    stage: Option<Stage>,
    http_status: Option<u16>,
    service_code: Option<String>,
    request_id: Option<String>,
    correlation_id: Option<String>,
    retryable: bool,
    retry_after: Option<Duration>,
    attempts: Option<u32>,
    action_id: Option<String>,
    action: Option<Box<str>>,
    outcome_unknown: bool,
    out_of_time: bool,
}

/// The result of every fallible operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with nothing but a status and a message that says what happened and what to do.
    pub(crate) fn new(status: Status, message: impl Into<String>) -> Error {
        Error(Box::new(Details {
            status,
            message: message.into(),
            stage: None,
            http_status: None,
            service_code: None,
            request_id: None,
            correlation_id: None,
            retryable: matches!(
                status,
                Status::Resolve
                    | Status::Connect
                    | Status::Broken
                    | Status::Service
                    | Status::RateLimited
                    | Status::Throttled
                    | Status::NotReady
                    | Status::Deadline
            ),
            retry_after: None,
            attempts: None,
            action_id: None,
            action: None,
            outcome_unknown: false,
            out_of_time: false,
        }))
    }

    /// An argument has an unusable value; `accepted` completes "expected …".
    pub(crate) fn argument(name: &str, problem: &str, accepted: &str) -> Error {
        Error::new(
            Status::InvalidArgument,
            format!("argument `{name}` {problem}; expected {accepted}"),
        )
    }

    /// Notes the stage, unless a more exact one is known already.
    pub(crate) fn with_stage(mut self, stage: Stage) -> Error {
        self.0.stage.get_or_insert(stage);
        self
    }

    /// Sets the stage: everything that goes wrong while signing in is about the token.
    pub(crate) fn with_only_stage(mut self, stage: Stage) -> Error {
        self.0.stage = Some(stage);
        self
    }

    /// Sets the stage of a request that is a step of a larger operation; what token and quota have to say
    /// stays theirs.
    pub(crate) fn with_step_stage(mut self, stage: Stage) -> Error {
        if !matches!(self.0.stage, Some(Stage::Token | Stage::Quota)) {
            self.0.stage = Some(stage);
        }
        self
    }

    pub(crate) fn http(mut self, status: u16) -> Error {
        self.0.http_status = Some(status);
        self
    }

    pub(crate) fn service(mut self, code: Option<String>, request_id: Option<String>) -> Error {
        self.0.service_code = code.filter(|c| !c.is_empty());
        self.0.request_id = request_id.filter(|r| !r.is_empty());
        self
    }

    pub(crate) fn correlation(mut self, id: Option<String>) -> Error {
        self.0.correlation_id = id.filter(|id| !id.is_empty());
        self
    }

    /// Completes the message.
    pub(crate) fn with_note(mut self, note: &str) -> Error {
        if !note.is_empty() {
            self.0.message.push_str("; ");
            self.0.message.push_str(note);
        }
        self
    }

    /// Notes that it was not tried again only because this caller had no time left for it.
    pub(crate) fn out_of_time(mut self) -> Error {
        self.0.out_of_time = true;
        self
    }

    pub(crate) fn retryable(mut self, retryable: bool) -> Error {
        self.0.retryable = retryable;
        self
    }

    pub(crate) fn after(mut self, wait: Option<Duration>) -> Error {
        self.0.retry_after = wait;
        self
    }

    pub(crate) fn attempts(mut self, attempts: u32) -> Error {
        self.0.attempts = Some(attempts);
        self
    }

    pub(crate) fn action(mut self, id: &str, action: Option<&str>) -> Error {
        self.0.action_id = Some(id.to_owned());
        self.0.action = action.map(Box::from);
        self
    }

    /// Notes the action this is about, unless it is known already; `action` as last seen.
    pub(crate) fn with_action(mut self, id: &str, action: Option<&str>) -> Error {
        self.0.action_id.get_or_insert_with(|| id.to_owned());
        if self.0.action.is_none() {
            self.0.action = action.map(Box::from);
        }
        self
    }

    /// The same facts under another status and message: what the failure means to the caller.
    pub(crate) fn reclassified(
        mut self,
        status: Status,
        message: String,
        retryable: bool,
    ) -> Error {
        self.0.status = status;
        self.0.message = message;
        self.0.retryable = retryable;
        self
    }

    /// The same failure in other words.
    pub(crate) fn with_message(mut self, message: String) -> Error {
        self.0.message = message;
        self
    }

    /// Whether the service itself said that it knows no such device or action. What lies in between answers 404 too,
    /// without this code.
    pub(crate) fn is_unknown_to_service(&self) -> bool {
        self.0.status == Status::NotFound && self.service_code() == Some("ResourceNotFound")
    }

    /// Notes that the request may have been carried out all the same; repeating it is not safe.
    pub(crate) fn outcome_unknown(mut self) -> Error {
        self.0.outcome_unknown = true;
        self.0.retryable = false;
        self
    }

    /// Replaces known secrets wherever somebody may have repeated them.
    pub(crate) fn mask(mut self, mask: impl Fn(&mut String)) -> Error {
        mask(&mut self.0.message);
        let Details { service_code, request_id, correlation_id, .. } = &mut *self.0;
        [service_code, request_id, correlation_id].into_iter().flatten().for_each(mask);
        self
    }

    /// The status, which is also what the C function returns.
    pub fn status(&self) -> Status {
        self.0.status
    }

    /// What happened and what to do about it, in English, without secrets.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// In which part of the operation it happened; `None` for mistakes in the call itself.
    pub fn stage(&self) -> Option<Stage> {
        self.0.stage
    }

    /// The HTTP status of the reply, when there was one.
    pub fn http_status(&self) -> Option<u16> {
        self.0.http_status
    }

    /// The service's own error code, for example `ResourceNotFound`.
    pub fn service_code(&self) -> Option<&str> {
        self.0.service_code.as_deref()
    }

    /// The tracking id to give to the service's support (`error.target`, or a trace id).
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// The sign-in service's id for everything that belongs to one request, also for its support.
    pub fn correlation_id(&self) -> Option<&str> {
        self.0.correlation_id.as_deref()
    }

    /// Whether the caller ended the call: by its deadline, by cancelling, or by shutting the client down.
    pub(crate) fn is_stop(&self) -> bool {
        matches!(self.0.status, Status::Deadline | Status::Cancelled | Status::Closed)
    }

    /// Whether the failure concerns only this caller: other callers of the same request do not share it.
    pub(crate) fn is_caller_specific(&self) -> bool {
        self.0.out_of_time || self.is_stop()
    }

    /// Whether the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// How long to wait before trying again, when it is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the request may have been carried out although the call failed: look before repeating it.
    pub fn is_outcome_unknown(&self) -> bool {
        self.0.outcome_unknown
    }

    /// How many requests were sent, when any was.
    pub fn attempts_made(&self) -> Option<u32> {
        self.0.attempts
    }

    /// The machine action this is about, when it is known.
    pub fn action_id(&self) -> Option<&str> {
        self.0.action_id.as_deref()
    }

    /// That action as last seen, as the service sent it.
    pub fn last_seen(&self) -> Option<&str> {
        self.0.action.as_deref()
    }

    /// The failure document: `{"error":{…}}`.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            error: Members<'a>,
        }
        let e = &*self.0;
        let action = e.action.as_deref().and_then(|action| serde_json::from_str(action).ok());
        let error = Members {
            status: e.status.code(),
            name: e.status.name(),
            message: &e.message,
            stage: e.stage.map(Stage::name),
            http_status: e.http_status,
            service_code: self.service_code(),
            request_id: self.request_id(),
            correlation_id: self.correlation_id(),
            retryable: e.retryable,
            retry_after_ms: e.retry_after.map(millis_up),
            attempts: e.attempts,
            outcome: e.outcome_unknown.then_some("unknown"),
            action_id: self.action_id(),
            action,
        };
        // If that ever failed, the status would still reach the caller through the return value.
        json::text(&Document { error })
    }
}

/// An error as documents show it.
#[derive(Serialize)]
struct Members<'a> {
    status: i32,
    name: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a RawValue>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.status.name(), self.0.message)
    }
}

impl std::error::Error for Error {}

/// Milliseconds, rounded up: a caller who waits this long has waited long enough.
pub(crate) fn millis_up(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_leaves_out_what_does_not_apply() {
        let error = Error::new(Status::Null, "argument `client` is NULL");
        assert_eq!(
            error.to_json(),
            r#"{"error":{"status":1,"name":"null","message":"argument `client` is NULL","retryable":false}}"#
        );
    }

    #[test]
    fn waits_are_rounded_up() {
        assert_eq!(millis_up(Duration::from_micros(1)), 1);
        assert_eq!(millis_up(Duration::from_millis(8)), 8);
        assert_eq!(millis_up(Duration::MAX), u64::MAX);
    }

    #[test]
    fn is_one_pointer() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
