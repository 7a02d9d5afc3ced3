//! The service's error replies in all their forms, as errors of this library.
//!
//! Forms: `{"error":{code,message,target}}`; the same with an empty code and `details` (OData); no body (404, 405); and
//! the replies of proxies and gateways. Source: "Common REST API error codes".

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use crate::text::surrogates;

use crate::error::{Error, Stage};
use crate::http::reply::{MAX_RETRY_AFTER, Reply};
use crate::status::Status;
use crate::text::json::Lenient;
use crate::text::{redact, seconds};

/// The most bytes of the service's text in messages.
const MAX_TEXT: usize = 1_024;

/// The most bytes of a code and of a tracking id.
const MAX_ID: usize = 128;

/// The most bytes of a gateway's text.
const MAX_OTHER_TEXT: usize = 256;

/// The shortest time for which a 429 closes the endpoint.
const SHORTEST_THROTTLE: Duration = Duration::from_secs(1);

/// For a 429 without a time: the length of the shorter window.
const DEFAULT_THROTTLE: Duration = Duration::from_secs(60);

/// The content of an error reply.
#[derive(Debug, Default)]
pub(crate) struct Fault {
    pub code: String,
    pub message: String,
    pub target: String,
    /// Whether there is a body that is none of the service's error documents.
    pub is_other_body: bool,
    /// What a gateway or proxy says in such a body.
    pub other_text: String,
}

impl Fault {
    /// Reads an error body. Any bytes give a fault.
    pub(crate) fn read(body: &[u8]) -> Fault {
        #[derive(Deserialize)]
        struct Document<'a> {
            #[serde(borrow)]
            error: Inner<'a>,
        }
        #[derive(Deserialize)]
        struct Inner<'a> {
            #[serde(borrow, default)]
            code: Lenient<'a>,
            #[serde(borrow, default)]
            message: Lenient<'a>,
            #[serde(borrow, default)]
            target: Lenient<'a>,
        }
        let text = |member: Lenient<'_>, most| {
            redact::clean(&member.text_or_number().unwrap_or_default(), most)
        };
        // Invalid UTF-8 must not hide the rest of the text.
        let text_of_body = String::from_utf8_lossy(body);
        match serde_json::from_str::<Document<'_>>(&surrogates::paired(&text_of_body)) {
            Ok(Document { error }) => Fault {
                code: text(error.code, MAX_ID),
                message: text(error.message, MAX_TEXT),
                target: text(error.target, MAX_ID),
                ..Fault::default()
            },
            Err(_) => Fault {
                is_other_body: !body.is_empty(),
                other_text: redact::clean(&words_of(&text_of_body), MAX_OTHER_TEXT),
                ..Fault::default()
            },
        }
    }

    /// Whether an action is already running on the device: by the code, or the message in older replies.
    fn is_duplicate(&self) -> bool {
        self.code == "ActiveRequestAlreadyExists"
            || self.message.to_ascii_lowercase().contains("already in progress")
    }

    /// Whether a 401 is about the tenant's licence or account, which another token does not cure: "Unauthorized
    /// request - reason of failure: Account mode is inactive", "…: No Tvm license".
    fn is_licence(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        ["licen", "account mode"].iter().any(|word| message.contains(word))
    }

    fn is_unsupported_device(&self) -> bool {
        matches!(self.code.as_str(), "OsPlatformNotSupported" | "ClientVersionNotSupported")
    }
}

/// Whether another token may help after this reply.
pub(crate) fn may_be_cured_by_a_token(reply: &Reply) -> bool {
    reply.status == 401 && !Fault::read(&reply.body).is_licence()
}

/// The advice for a 403 to a token that does not show its permissions.
pub(crate) const PERMISSIONS: &str = "grant the application Machine.CollectForensics and Machine.Read.All with an administrator's consent, and check that \
     `cloud` and `scope` fit the tenant";

/// Whether a refusal is about the permissions of the token, and not that of a proxy or gateway.
pub(crate) fn is_about_permissions(reply: &Reply) -> bool {
    reply.status == 403 && !Fault::read(&reply.body).is_other_body
}

/// The advice for a 403 to a token with the permissions `held`. Any one of `needed` suffices.
pub(crate) fn permissions_note(needed: &[&str], held: &[String]) -> String {
    let needs = needed.join(" or ");
    let has = match held {
        [] => "has no permission at all".to_owned(),
        held => format!("has {}", redact::clean(&held.join(", "), 400)),
    };
    match needed.iter().any(|name| held.iter().any(|held| held == name)) {
        true => format!(
            "the token has {needs}, so check that `cloud` and `scope` fit the tenant, and read the service's message"
        ),
        false => format!(
            "this call needs {needs}, and the token {has}: grant what is missing (API WindowsDefenderATP), with an \
             administrator's consent"
        ),
    }
}

/// The error for a reply that is not a success.
pub(crate) fn error(reply: &Reply) -> Error {
    let fault = Fault::read(&reply.body);
    let (status, advice) = classify(reply.status, &fault);
    let mut message =
        format!("cannot {}: the service answered {}", reply.purpose, reply.describe_status());
    if !fault.message.is_empty() {
        message.push_str(": ");
        message.push_str(fault.message.trim_end_matches('.'));
    } else if !fault.code.is_empty() {
        message.push_str(": ");
        message.push_str(&fault.code);
    } else if fault.is_other_body {
        message.push_str(" with a body that is not the service's (");
        message.push_str(&reply.describe_content());
        message.push(')');
        if !fault.other_text.is_empty() {
            message.push_str(", a gateway's or proxy's: ");
            message.push_str(fault.other_text.trim_end_matches('.'));
        }
    } else {
        message.push_str(" without a body");
    }
    if !advice.is_empty() {
        message.push_str("; ");
        message.push_str(advice);
    }
    let clock = reply.clock_warning().filter(|_| status == Status::Unauthorized);
    let wait = match status {
        Status::Throttled => Some(throttle(reply, &[&fault.message, &fault.other_text])),
        _ => reply.retry_after(),
    };
    Error::new(status, message)
        .with_note(clock.as_deref().unwrap_or_default())
        .with_note(reply.about_certificate.as_deref().unwrap_or_default())
        .with_stage(Stage::Reply)
        .http(reply.status)
        .service(Some(fault.code), Some(fault.target))
        .after(wait)
}

fn classify(http_status: u16, fault: &Fault) -> (Status, &'static str) {
    match http_status {
        300..=399 => (
            Status::Protocol,
            "redirects are not followed with a token; check `api_url`, and any proxy or gateway",
        ),
        400 if fault.is_duplicate() => (
            Status::AlreadyRunning,
            "wait for the running collection, or set `on_duplicate=adopt` to get it",
        ),
        400 if fault.is_unsupported_device() => {
            (Status::UnsupportedDevice, "this device cannot do it; do not repeat the request")
        }
        401 if fault.is_licence() => (
            Status::Unauthorized,
            "this is about the tenant's licence or account, which no token cures: check that Defender for Endpoint is \
             licensed and active there",
        ),
        401 => (
            Status::Unauthorized,
            "check the application's registration, and that `cloud` and `scope` fit the tenant",
        ),
        403 if fault.is_other_body => (
            Status::Forbidden,
            "the service did not refuse this: check any proxy or gateway before `api_url`",
        ),
        403 => (Status::Forbidden, ""),
        404 if fault.is_other_body || fault.code.is_empty() => {
            (Status::NotFound, "if every call fails in this way, check `api_url`")
        }
        404 => (Status::NotFound, "check the id"),
        405 => (Status::BadRequest, "check that `api_url` names this service"),
        407 => (Status::Proxy, "a proxy asks for a login; set it in `proxy`"),
        // A 408 is that of a gateway which gave up on the service.
        408 | 500..=599 => (Status::Service, "try again later"),
        429 => (Status::Throttled, "wait retry_after_ms before the next call"),
        400..=499 => (Status::BadRequest, ""),
        _ => (Status::Protocol, "check `api_url`, and any proxy or gateway"),
    }
}

/// How long a 429 closes the endpoint: by the header, else by the seconds in the message, else a minute. The service
/// may round the wait down to 0, and retries without a pause would all fail.
fn throttle(reply: &Reply, messages: &[&str]) -> Duration {
    let in_messages = || messages.iter().find_map(|message| seconds_in(message));
    let named = reply.retry_after().or_else(in_messages);
    named.unwrap_or(DEFAULT_THROTTLE).max(SHORTEST_THROTTLE)
}

/// The words in the body of a gateway: the message of a JSON object, the title of a page, or the text as it is.
fn words_of(body: &str) -> String {
    #[derive(Deserialize)]
    struct Words<'a> {
        #[serde(borrow, default, alias = "Message")]
        message: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        error_description: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        detail: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        error: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        title: Option<Cow<'a, str>>,
    }
    if let Ok(words) = serde_json::from_str::<Words<'_>>(body) {
        let said = words
            .message
            .or(words.error_description)
            .or(words.detail)
            .or(words.error)
            .or(words.title);
        return said.unwrap_or_default().into_owned();
    }
    if !body.trim_start().starts_with('<') {
        return body.to_owned();
    }
    let lower = body.to_ascii_lowercase();
    let title = lower.find("<title>").map(|at| at + "<title>".len());
    let end = lower.find("</title>");
    title.zip(end).and_then(|(from, to)| body.get(from..to)).unwrap_or_default().to_owned()
}

/// "You can send requests again in 8 seconds.", "Retry after 8 seconds."
fn seconds_in(message: &str) -> Option<Duration> {
    let words: Vec<&str> = message.split_whitespace().collect();
    words.windows(3).find_map(|three| match three {
        ["in" | "after", number, unit] if unit.starts_with("sec") => {
            seconds::read(number).map(|wait| wait.min(MAX_RETRY_AFTER))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, body: body.as_bytes().to_vec().into(), ..Reply::default() }
    }

    fn status_of(http: u16, body: &str) -> Status {
        error(&reply(http, body)).status()
    }

    #[test]
    fn every_form_has_its_status() {
        let normal = |code: &str| {
            format!(r#"{{"error":{{"code":"{code}","message":"m","target":"|a.b."}}}}"#)
        };
        for (http, body, status) in [
            (400, normal("InvalidRequestBody"), Status::BadRequest),
            (400, normal("ActiveRequestAlreadyExists"), Status::AlreadyRunning),
            (
                400,
                r#"{"error":{"code":"BadRequest","message":"Action is already in progress"}}"#
                    .into(),
                Status::AlreadyRunning,
            ),
            (400, normal("OsPlatformNotSupported"), Status::UnsupportedDevice),
            (400, normal("ClientVersionNotSupported"), Status::UnsupportedDevice),
            (
                400,
                r#"{"error":{"code":"","message":"query","details":[]}}"#.into(),
                Status::BadRequest,
            ),
            (401, normal("Unauthorized"), Status::Unauthorized),
            (403, normal("Forbidden"), Status::Forbidden),
            (404, normal("ResourceNotFound"), Status::NotFound),
            (404, String::new(), Status::NotFound),
            (405, String::new(), Status::BadRequest),
            (429, normal("429"), Status::Throttled),
            (408, "".into(), Status::Service),
            (500, normal("InternalServerError"), Status::Service),
            (503, "<html>".into(), Status::Service),
            (302, String::new(), Status::Protocol),
            (407, "<html>".into(), Status::Proxy),
            (413, "x".into(), Status::BadRequest),
        ] {
            assert_eq!(status_of(http, &body), status, "{http} {body}");
        }
    }

    #[test]
    fn a_401_about_the_licence_is_not_about_the_token() {
        let of = |why: &str| {
            reply(
                401,
                &format!(
                    r#"{{"error":{{"code":"Unauthorized","message":"Unauthorized request - reason of failure: {why}"}}}}"#
                ),
            )
        };
        for why in ["Account mode is inactive", "No Tvm license"] {
            assert!(!may_be_cured_by_a_token(&of(why)), "{why}");
            assert!(error(&of(why)).message().contains("no token cures"));
        }
        assert!(may_be_cured_by_a_token(&of("token expired")));
        assert!(may_be_cured_by_a_token(&reply(401, "")));
    }

    #[test]
    fn the_403_of_a_gateway_is_not_about_permissions() {
        let page = reply(403, "<html><title>Blocked by policy</title></html>");
        assert!(!is_about_permissions(&page));
        let text = error(&page).to_string();
        assert!(text.contains("Blocked by policy") && text.contains("proxy or gateway"), "{text}");
        assert!(!text.contains("consent"), "{text}");
        for body in ["", r#"{"error":{"code":"Forbidden","message":"no"}}"#] {
            assert!(is_about_permissions(&reply(403, body)), "{body}");
        }
    }

    #[test]
    fn permissions_are_compared() {
        let held = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let note = |names: &[&str]| permissions_note(&["A.Read", "A.Write"], &held(names));
        assert_eq!(
            note(&["B.Read"]),
            "this call needs A.Read or A.Write, and the token has B.Read: grant what is missing (API WindowsDefenderATP), \
             with an administrator's consent"
        );
        assert!(note(&[]).contains("no permission at all"));
        assert!(note(&["A.Write"]).contains("`scope`"));
    }

    #[test]
    fn a_wrong_clock_is_reported_with_a_401() {
        let date = SystemTime::now() - Duration::from_secs(900);
        let mut late = reply(401, "");
        late.date = Some(httpdate::fmt_http_date(date));
        assert!(error(&late).message().contains("clock is 15 minutes"), "{}", error(&late));
        late.status = 404;
        assert!(!error(&late).message().contains("clock"));
    }

    #[test]
    fn tracking_ids_are_kept_in_any_form() {
        let e = error(&reply(
            400,
            r#"{"error":{"code":"BadRequest","message":"m","target":"|b18-6.1."}}"#,
        ));
        assert_eq!(e.request_id(), Some("|b18-6.1."));
        assert_eq!(e.service_code(), Some("BadRequest"));
    }

    #[test]
    fn odd_members_do_not_hide_the_rest() {
        let e =
            error(&reply(400, r#"{"error":{"code":17,"message":null,"target":{},"details":[]}}"#));
        assert_eq!((e.service_code(), e.request_id()), (Some("17"), None));
    }

    #[test]
    fn what_a_gateway_says_is_shown() {
        for (body, said) in [
            (
                r#"{"statusCode":429,"message":"Rate limit is exceeded. Try again in 30 seconds."}"#,
                "Try again in 30 seconds",
            ),
            ("Slow down, retry after 30 sec", "Slow down, retry after 30 sec"),
            ("<html><head><TITLE>Busy: in 30 seconds</TITLE></head></html>", "Busy: in 30 seconds"),
            (r#"{"Message":"Wait. Try again in 30 seconds"}"#, "Wait. Try again in 30 seconds"),
            (
                r#"{"type":"about:blank","title":"Busy, come back in 30 seconds","status":429}"#,
                "Busy, come back",
            ),
            (r#"{"error":"wait","detail":"after 30 seconds, please"}"#, "after 30 seconds, please"),
        ] {
            let error = error(&reply(429, body));
            assert!(error.message().contains(said), "{error}");
            assert_eq!(error.retry_after(), Some(Duration::from_secs(30)), "{body}");
        }
        let secret = error(&reply(403, r#"{"message":"no eyJhbGciOiJub25lIn0.e30.x"}"#));
        assert!(secret.message().contains("a gateway's or proxy's: no ***;"), "{secret}");
        let long = error(&reply(403, &"word ".repeat(1_000)));
        assert!(long.message().len() < 800, "{long}");
    }

    #[test]
    fn a_429_names_the_wait_in_header_or_message() {
        let with = |header: Option<&str>, message: &str| {
            let mut reply =
                reply(429, &format!(r#"{{"error":{{"code":"429","message":"{message}"}}}}"#));
            reply.retry_after = header.map(str::to_owned);
            error(&reply).retry_after().unwrap().as_secs()
        };
        let real = "API calls quota exceeded! Maximum allowed 30 per 00:01:00 for the key \
                    Destination+TenantID+AppID. You can send requests again in 8 seconds.";
        assert_eq!(with(None, real), 8);
        assert_eq!(with(Some("3"), real), 3);
        assert_eq!(with(Some("soon"), real), 8);
        assert_eq!(with(None, "API calls quota exceeded! maximum allowed 45 per 00:01:00"), 60);
        assert_eq!(with(Some("99999999"), real), 86_400);
        assert_eq!(with(Some("2.5"), real), 3);
        assert_eq!(with(None, "again in 8.5 seconds"), 9);
        let http_date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(30));
        assert!((28..=30).contains(&with(Some(&http_date), real)));
    }
}
