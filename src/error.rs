//! Errors, as every caller gets them: a status, a message, and further facts.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::status::Status;
use crate::text::json;

/// The step of an operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Getting an access token.
    Token,
    /// Waiting for room in the quota.
    Quota,
    /// Sending a request: the service cannot have received all of it.
    Send,
    /// Waiting for a reply or reading it: the request was sent.
    Reply,
    /// Waiting for an action to end.
    Wait,
    /// Getting the link to a package.
    Link,
    /// Downloading a package.
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

/// Why an operation failed. It is one pointer in size and has no secrets.
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
    package: Option<Package>,
    packages: Option<Package>,
    outcome_unknown: bool,
    out_of_time: bool,
    is_of_system: bool,
}

/// The JSON of a package, which may list 100,000 entries and is left out of debug texts.
#[derive(Clone)]
struct Package(Box<str>);

impl fmt::Debug for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// The result of every fallible operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with a status, and a message that states what happened and what to do.
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
            package: None,
            packages: None,
            outcome_unknown: false,
            out_of_time: false,
            is_of_system: false,
        }))
    }

    /// An argument has an unusable value; `accepted` completes "expected …".
    pub(crate) fn argument(name: &str, problem: &str, accepted: &str) -> Error {
        Error::new(
            Status::InvalidArgument,
            format!("argument `{name}` {problem}; expected {accepted}"),
        )
    }

    /// Sets the stage, unless it is set already.
    pub(crate) fn with_stage(mut self, stage: Stage) -> Error {
        self.0.stage.get_or_insert(stage);
        self
    }

    /// Sets the stage, even if it is set already: all errors of signing in have stage `token`.
    pub(crate) fn with_only_stage(mut self, stage: Stage) -> Error {
        self.0.stage = Some(stage);
        self
    }

    /// Sets the stage of a request that is a step of a larger operation. Stages `token` and `quota` are kept.
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

    /// Appends to the message.
    pub(crate) fn with_note(mut self, note: &str) -> Error {
        if !note.is_empty() {
            self.0.message.push_str("; ");
            self.0.message.push_str(note);
        }
        self
    }

    /// Records that only this caller's lack of time prevented a retry.
    pub(crate) fn out_of_time(mut self) -> Error {
        self.0.out_of_time = true;
        self
    }

    /// Records that the system refused a file, and not what the file is.
    pub(crate) fn of_system(mut self) -> Error {
        self.0.is_of_system = true;
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

    /// Sets the action of the error, unless it is set already. `action`: its JSON as last seen.
    pub(crate) fn with_action(mut self, id: &str, action: Option<&str>) -> Error {
        self.0.action_id.get_or_insert_with(|| id.to_owned());
        if self.0.action.is_none() {
            self.0.action = action.map(Box::from);
        }
        self
    }

    /// Sets the package that was refused and kept. `package`: its JSON.
    pub(crate) fn with_package(mut self, package: String) -> Error {
        self.0.package = Some(Package(package.into()));
        self
    }

    /// Sets what is known of the devices of a job: `{"packages":[…],"summary":{…}}`.
    pub(crate) fn with_packages(mut self, document: String) -> Error {
        self.0.packages = Some(Package(document.into()));
        self
    }

    /// Replaces status and message, to describe the failure from the caller's view. Other facts stay.
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

    /// Replaces the message.
    pub(crate) fn with_message(mut self, message: String) -> Error {
        self.0.message = message;
        self
    }

    /// Whether the service itself reported that the device or action does not exist. Proxies and gateways answer 404
    /// too, but without this code.
    pub(crate) fn is_unknown_to_service(&self) -> bool {
        self.0.status == Status::NotFound && self.service_code() == Some("ResourceNotFound")
    }

    /// Records that the request may have been carried out, so that repeating it is not safe.
    pub(crate) fn outcome_unknown(mut self) -> Error {
        self.0.outcome_unknown = true;
        self.0.retryable = false;
        self
    }

    /// Masks known secrets in all texts from peers.
    pub(crate) fn mask(mut self, mask: impl Fn(&mut String)) -> Error {
        mask(&mut self.0.message);
        let Details { service_code, request_id, correlation_id, .. } = &mut *self.0;
        [service_code, request_id, correlation_id].into_iter().flatten().for_each(mask);
        self
    }

    /// The status, which the C function returns too.
    pub fn status(&self) -> Status {
        self.0.status
    }

    /// What happened and what to do about it, in English, without secrets.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The step that failed; `None` for mistakes in the call itself.
    pub fn stage(&self) -> Option<Stage> {
        self.0.stage
    }

    /// The HTTP status of the reply, if there was one.
    pub fn http_status(&self) -> Option<u16> {
        self.0.http_status
    }

    /// The service's own error code, for example `ResourceNotFound`.
    pub fn service_code(&self) -> Option<&str> {
        self.0.service_code.as_deref()
    }

    /// The tracking id for the service's support (`error.target`, or a trace id).
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// The sign-in service's correlation id, also for its support.
    pub fn correlation_id(&self) -> Option<&str> {
        self.0.correlation_id.as_deref()
    }

    /// Whether the caller ended the call: by its deadline, by cancelling, or by shutting the client down.
    pub(crate) fn is_stop(&self) -> bool {
        matches!(self.0.status, Status::Deadline | Status::Cancelled | Status::Closed)
    }

    /// Whether the quota had no room, by the library's own count or by the service's. The same request may have it later.
    pub(crate) fn is_about_quota(&self) -> bool {
        matches!(self.0.status, Status::RateLimited | Status::Throttled)
    }

    /// Whether the system refused a file: for want of rights or memory, or because the disk fails.
    pub(crate) fn is_of_system(&self) -> bool {
        self.0.is_of_system
    }

    /// Whether the failure concerns only this caller: other callers of the same request do not share it.
    pub(crate) fn is_caller_specific(&self) -> bool {
        self.0.out_of_time || self.is_stop()
    }

    /// Whether the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// How long to wait before trying again, if known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the request may have been carried out although the call failed. Check before repeating it.
    pub fn is_outcome_unknown(&self) -> bool {
        self.0.outcome_unknown
    }

    /// How many requests were sent, if any.
    pub fn attempts_made(&self) -> Option<u32> {
        self.0.attempts
    }

    /// The id of the machine action, if known.
    pub fn action_id(&self) -> Option<&str> {
        self.0.action_id.as_deref()
    }

    /// That action as last seen, as the service sent it.
    pub fn last_seen(&self) -> Option<&str> {
        self.0.action.as_deref()
    }

    /// The package that was refused and kept, as JSON: `{"path":"…","bytes":…,"sha256":"…",…}`. It is set for
    /// [`Status::Unsafe`], and for [`Status::Integrity`] where a download is kept.
    pub fn package(&self) -> Option<&str> {
        self.0.package.as_ref().map(|package| &*package.0)
    }

    /// How each device of a job over many stands, as JSON: `{"packages":[…],"summary":{…}}`.
    pub fn packages(&self) -> Option<&str> {
        self.0.packages.as_ref().map(|packages| &*packages.0)
    }

    /// The failure document: `{"error":{…}}`, with `"package":{…}` if one was refused and kept, and with
    /// `"packages":[…],"summary":{…}` of a job over many devices.
    pub fn to_json(&self) -> String {
        with_members(self.packages().map(str::to_owned), self.document())
    }

    /// The same without a copy of the devices, which may have 100 MB and more.
    pub(crate) fn into_json(mut self) -> String {
        let packages = self.0.packages.take();
        with_members(packages.map(|packages| packages.0.into_string()), self.document())
    }

    /// The failure document without the devices.
    fn document(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            error: Members<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            package: Option<&'a RawValue>,
        }
        let action = self.0.action.as_deref().and_then(|action| serde_json::from_str(action).ok());
        let package = self.package().and_then(|package| serde_json::from_str(package).ok());
        // Even without a document the caller would get the status through the return value.
        json::text(&Document { error: self.members(action), package })
    }

    /// The member `error` of documents, without the action.
    pub(crate) fn member(&self) -> String {
        json::text(&self.members(None))
    }

    /// The members of the failure document, with this action.
    pub(crate) fn members<'a>(&'a self, action: Option<&'a RawValue>) -> Members<'a> {
        let e = &*self.0;
        Members {
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
        }
    }
}

/// The members of an error in documents.
#[derive(Serialize)]
pub(crate) struct Members<'a> {
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

/// Puts the members of the text `document` at the front of those of `packages`, without a copy of them.
fn with_members(packages: Option<String>, mut document: String) -> String {
    let Some(mut whole) = packages else { return document };
    document.pop();
    document.push(',');
    whole.reserve_exact(document.len());
    // In place of the opening brace.
    whole.replace_range(..1, &document);
    whole
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.status.name(), self.0.message)
    }
}

impl std::error::Error for Error {}

/// Milliseconds, rounded up, so that a wait of this length suffices.
pub(crate) fn millis_up(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_omit_unknown_members() {
        let error = Error::new(Status::Null, "argument `client` is NULL");
        assert_eq!(
            error.to_json(),
            r#"{"error":{"status":1,"name":"null","message":"argument `client` is NULL","retryable":false}}"#
        );
    }

    #[test]
    fn a_package_stands_beside_the_error() {
        let error = Error::new(Status::Unsafe, "m").with_package(r#"{"path":"p"}"#.to_owned());
        assert_eq!(
            error.to_json(),
            r#"{"error":{"status":103,"name":"unsafe","message":"m","retryable":false},"package":{"path":"p"}}"#
        );
        assert_eq!(error.package(), Some(r#"{"path":"p"}"#));
        assert!(!format!("{error:?}").contains("path"), "{error:?}");
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
