//! The error replies of the download host. Blob storage sends XML, the service sends JSON, and a proxy or gateway
//! may send anything.
//!
//! Source: "Status and error codes" of Azure Storage.

use std::time::Duration;

use crate::error::{Error, Stage};
use crate::http::reply::Reply;
use crate::service::fault::Fault;
use crate::status::Status;
use crate::text::redact;

/// The most bytes of an error document that are read.
pub(super) const MAX_DOCUMENT: usize = 16 * 1024;

/// The most characters of the host's text in an error message.
const MAX_TEXT: usize = 256;

/// The parts of the reply's head that an error is made from.
#[derive(Debug, Default)]
pub(crate) struct Head<'a> {
    pub status: u16,
    pub host: &'a str,
    pub code: Option<&'a str>,
    pub request_id: Option<&'a str>,
    pub retry_after: Option<&'a str>,
    pub date: Option<&'a str>,
}

/// The error for a reply without a package.
///
/// The details of the document are left out, since they repeat the string that was signed.
pub(crate) fn error(head: &Head<'_>, body: &[u8]) -> Error {
    let (code, text, target) = read(body);
    let code = head.code.map(|code| redact::clean(code, 64)).filter(|c| !c.is_empty()).or(code);
    let request_id = head.request_id.map(|id| redact::clean(id, 128)).or(target);
    let (status, retryable, advice) = classify(head.status);
    let mut message = format!(
        "cannot download the package: {} answered HTTP {}",
        redact::clean(head.host, 255),
        head.status
    );
    for part in [code.as_deref(), text.as_deref()].into_iter().flatten() {
        message.push_str(": ");
        message.push_str(part.trim_end_matches('.'));
    }
    message.push_str("; ");
    message.push_str(advice);
    Error::new(status, message)
        .with_stage(Stage::Download)
        .http(head.status)
        .service(code, request_id)
        .retryable(retryable)
        .after(wait(head, status))
}

fn classify(http_status: u16) -> (Status, bool, &'static str) {
    match http_status {
        401 | 403 => (
            Status::Forbidden,
            true,
            "the link is no longer valid, or this host's clock or a proxy is wrong; try again",
        ),
        404 => (Status::NotFound, false, "the package is not there; collect a new one"),
        410 => (Status::NotFound, true, "the link is no longer valid; try again"),
        407 => (Status::Proxy, false, "a proxy requires a login; set it in `proxy`"),
        408 | 500..=599 => (Status::Service, true, "try again later"),
        429 => (Status::Throttled, true, "wait retry_after_ms before the next call"),
        400..=499 => (Status::BadRequest, false, "the host does not accept the request"),
        _ => (Status::Protocol, false, "check the proxy or gateway in front of that host"),
    }
}

fn wait(head: &Head<'_>, status: Status) -> Option<Duration> {
    let text = |value: Option<&str>| value.map(str::to_owned);
    let reply =
        Reply { retry_after: text(head.retry_after), date: text(head.date), ..Reply::default() };
    reply.retry_after().filter(|_| matches!(status, Status::Throttled | Status::Service))
}

/// Code, message and tracking id of an error document of either kind.
fn read(body: &[u8]) -> (Option<String>, Option<String>, Option<String>) {
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    if body.trim_ascii_start().starts_with(b"{") {
        let fault = Fault::read(body);
        return (some(fault.code), some(fault.message), some(fault.target));
    }
    let text = String::from_utf8_lossy(body);
    let element = |name: &str| {
        let (_, after) = text.split_once(&format!("<{name}>"))?;
        let (inside, _) = after.split_once(&format!("</{name}>"))?;
        // The lines after the first contain the request's id and the time.
        Some(unescape(inside.trim().lines().next()?))
    };
    let cleaned = |name, max| element(name).and_then(|text| some(redact::clean(&text, max)));
    (cleaned("Code", 64), cleaned("Message", MAX_TEXT), None)
}

fn unescape(text: &str) -> String {
    let mut text = text.to_owned();
    for (escape, character) in
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")]
    {
        text = text.replace(escape, character);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRED: &str = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error>\
        <Code>AuthenticationFailed</Code><Message>Server failed to authenticate the request. Make sure \
        it is formed &amp; signed.\nRequestId:1234\nTime:2026-01-01</Message><AuthenticationErrorDetail>\
        Signature did not match. String to sign used was r\n\nsig=SECRET</AuthenticationErrorDetail></Error>";

    fn of(status: u16, body: &str) -> Error {
        error(&Head { status, host: "acc.blob.example", ..Head::default() }, body.as_bytes())
    }

    #[test]
    fn an_xml_error_is_read_without_the_string_that_was_signed() {
        let e = of(403, EXPIRED);
        assert_eq!(e.service_code(), Some("AuthenticationFailed"));
        assert_eq!((e.status(), e.is_retryable()), (Status::Forbidden, true));
        assert!(e.message().contains("Make sure it is formed & signed;"), "{e}");
        assert!(!e.message().contains("SECRET") && !e.message().contains("1234"), "{e}");
    }

    #[test]
    fn headers_override_the_body_and_any_body_is_accepted() {
        let head = Head {
            status: 503,
            host: "h",
            code: Some("ServerBusy"),
            request_id: Some("r-1"),
            retry_after: Some("7"),
            date: None,
        };
        let e = error(&head, b"<Code>Other</Code>");
        assert_eq!((e.service_code(), e.request_id()), (Some("ServerBusy"), Some("r-1")));
        assert_eq!(e.retry_after(), Some(Duration::from_secs(7)));
        for body in ["", "<html>", "<Code>", "{", "<Code></Code>", "\u{0}\u{0}"] {
            assert_eq!(of(404, body).status(), Status::NotFound, "{body}");
        }
        let e = of(404, r#"{"error":{"code":"ResourceNotFound","message":"m","target":"t"}}"#);
        assert_eq!((e.service_code(), e.request_id()), (Some("ResourceNotFound"), Some("t")));
    }
}
