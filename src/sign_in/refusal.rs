//! A reply that refuses a token: its meaning in plain words, and the remedy.
//!
//! Source of the numbers: "Microsoft Entra authentication and authorization error codes". That page says that they may
//! change. So only the wording and retries depend on them; the status follows from the HTTP status and the OAuth error.

use serde::Deserialize;

use crate::error::Error;
use crate::http::reply::Reply;
use crate::status::Status;
use crate::text::json::{self, Lenient};
use crate::text::redact;

/// Meaning and remedy of the most common numbers.
const KNOWN: &[(&[u64], &str)] = &[
    (
        &[7_000_215],
        "the client secret is wrong: set `client_secret` to the secret's value, not to its id",
    ),
    (
        &[7_000_222],
        "the client secret has expired: make a new one in Entra and set `client_secret`",
    ),
    (
        &[700_016],
        "the application is not in this tenant: check `client_id`, `tenant_id` and `cloud`, and that an \
         administrator of the tenant has consented",
    ),
    (
        &[90_002],
        "the tenant is unknown here: check `tenant_id`, and whether `cloud` is the tenant's cloud",
    ),
    (
        &[90_038, 900_382, 900_432],
        "the tenant or application belongs to another national cloud: set `cloud` to it",
    ),
    (
        &[700_024],
        "the assertion is not valid at this time: set this host's clock, or renew the file's token",
    ),
    (
        &[700_027, 1_000_502],
        "the certificate is not accepted: check that it is among the application's certificates in Entra, that \
         it has not expired, and that `client_key` is its key (with a trusted issuer instead: \
         `certificate_chain=yes`)",
    ),
    (
        &[700_023],
        "the assertion is addressed to `login_url`: with a certificate, set it to the sign-in service's own address",
    ),
    (&[5_002_738], "the algorithm is not accepted: set `certificate_algorithm`"),
    (
        &[70_021, 700_211, 700_212, 700_213, 7_002_138],
        "no federated credential of the application fits the token: compare its issuer, subject (upper and \
         lower case count) and audience with the token's",
    ),
    (&[70_011, 1_002_012], "the scope is not valid: check `scope`; it ends in /.default"),
    (&[900_144], "the request lacks a parameter: check `login_url`, and any proxy or gateway"),
    (
        &[500_011, 650_052, 650_057],
        "Defender for Endpoint is not known in this tenant: check `cloud`, `scope` and the tenant's licence",
    ),
    (
        &[65_001, 650_056],
        "consent is missing: an administrator must grant the application its permissions of the API WindowsDefenderATP",
    ),
    (&[7_000_112], "the application is disabled: enable it in Entra"),
    (&[53_003], "a Conditional Access policy blocks the application: see its sign-in log in Entra"),
];

/// The documentation calls these transient.
const TRANSIENT: &[u64] = &[90_006, 90_012, 90_024, 90_033, 90_055, 90_090];

/// A refusal in any of its forms: Entra and IMDS send `error` as text, App Service sends `message`.
#[derive(Default)]
struct Refused {
    error: String,
    description: String,
    number: Option<u64>,
    trace: String,
    correlation: String,
}

impl Refused {
    fn read(body: &[u8]) -> Refused {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Document<'a> {
            #[serde(borrow)]
            error: Lenient<'a>,
            #[serde(borrow)]
            error_description: Lenient<'a>,
            #[serde(borrow)]
            message: Lenient<'a>,
            #[serde(borrow)]
            error_codes: Lenient<'a>,
            #[serde(borrow)]
            trace_id: Lenient<'a>,
            #[serde(borrow)]
            correlation_id: Lenient<'a>,
        }
        let document: Document<'_> = json::read(body).unwrap_or_default();
        let text = |member: Lenient<'_>| member.text().unwrap_or_default();
        let mut described = text(document.error_description);
        if described.is_empty() {
            described = text(document.message);
        }
        // Only the first line: the ids in the others are also members of their own.
        let line = described.lines().next().unwrap_or_default();
        Refused {
            error: redact::clean(&text(document.error), 64),
            description: redact::clean(line, 400),
            number: document.error_codes.first_number().or_else(|| number_in(line)),
            trace: redact::clean(&text(document.trace_id), 64),
            correlation: redact::clean(&text(document.correlation_id), 64),
        }
    }
}

/// `AADSTS7000215: …`
fn number_in(line: &str) -> Option<u64> {
    let rest = line.split_once("AADSTS")?.1;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

/// The error for a refusal by `who`, in whose reply the secrets are masked. `otherwise`: what to check if the cause is
/// unknown.
pub(crate) fn error(reply: &Reply, who: &str, otherwise: &str) -> Error {
    let refused = Refused::read(&reply.body);
    let mut message = format!("{who} answered {}", reply.describe_status());
    let parts: Vec<&str> = [refused.error.as_str(), refused.description.trim_end_matches('.')]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
    if parts.is_empty() && reply.redirect.is_some() {
        message.push_str(" in the place of a token");
    } else if parts.is_empty() {
        message.push_str(" with a body that is not its own (");
        message.push_str(&reply.describe_content());
        message.push(')');
    } else {
        message.push_str(": ");
        message.push_str(&parts.join(": "));
    }
    // The number may be in the part of the description that was cut off.
    if let Some(number) = refused.number.filter(|n| !message.contains(&n.to_string())) {
        message.push_str(&format!(" (AADSTS{number})"));
    }
    let is_transient = matches!(refused.error.as_str(), "temporarily_unavailable" | "server_error")
        || refused.number.is_some_and(|number| TRANSIENT.contains(&number));
    let status = match reply.status {
        429 => Status::Throttled,
        408 | 500.. => Status::Service,
        407 => Status::Proxy,
        300..=399 => Status::Protocol,
        _ if is_transient => Status::Service,
        _ => Status::Token,
    };
    let advice = KNOWN
        .iter()
        .find(|(numbers, _)| refused.number.is_some_and(|number| numbers.contains(&number)))
        .map(|(_, advice)| *advice);
    let advice = match status {
        Status::Token => advice.unwrap_or(otherwise),
        Status::Protocol => "check any proxy or gateway on the way",
        Status::Proxy => "check the login at the proxy",
        _ => "",
    };
    let clock = reply.clock_warning().filter(|_| matches!(reply.status, 400 | 401));
    Error::new(status, message)
        .with_note(advice)
        .with_note(clock.as_deref().unwrap_or_default())
        .with_note(reply.about_certificate.as_deref().unwrap_or_default())
        .http(reply.status)
        .service(Some(refused.error), Some(refused.trace))
        .correlation(Some(refused.correlation))
        .after(reply.retry_after())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn refusal(status: u16, body: &str) -> Error {
        let reply = Reply { status, body: body.as_bytes().to_vec().into(), ..Reply::default() };
        error(&reply, "the sign-in service", "check everything")
    }

    fn numbered(number: u64) -> String {
        format!(
            r#"{{"error":"invalid_client","error_description":"AADSTS{number}: Words.\r\nTrace ID: 1","error_codes":[{number}],"trace_id":"30b6df93","correlation_id":"c0ffee"}}"#
        )
    }

    #[test]
    fn a_refusal_has_cause_remedy_and_ids() {
        let error = refusal(401, &numbered(7_000_215));
        assert_eq!(
            error.message(),
            "the sign-in service answered HTTP 401: invalid_client: AADSTS7000215: Words; the client secret is \
             wrong: set `client_secret` to the secret's value, not to its id"
        );
        assert_eq!((error.status(), error.service_code()), (Status::Token, Some("invalid_client")));
        assert_eq!(
            (error.request_id(), error.correlation_id()),
            (Some("30b6df93"), Some("c0ffee"))
        );
    }

    #[test]
    fn every_listed_number_has_its_advice() {
        for (numbers, advice) in KNOWN {
            for number in *numbers {
                assert!(refusal(400, &numbered(*number)).message().ends_with(advice), "{number}");
            }
        }
        let of_text = r#"{"error":"x","error_description":"AADSTS90002: Tenant 't' not found."}"#;
        assert!(refusal(400, of_text).message().contains("the tenant is unknown here"));
        assert!(refusal(400, &numbered(1)).message().ends_with("; check everything"));
        let far = format!(
            r#"{{"error":"x","error_description":"{}","error_codes":[65001]}}"#,
            "y ".repeat(400)
        );
        assert!(refusal(400, &far).message().contains("(AADSTS65001); consent is missing"));
    }

    #[test]
    fn transient_refusals_are_retryable() {
        for number in TRANSIENT {
            let error = refusal(400, &numbered(*number));
            assert_eq!((error.status(), error.is_retryable()), (Status::Service, true), "{number}");
        }
        let unavailable = r#"{"error":"temporarily_unavailable"}"#;
        assert_eq!(refusal(400, unavailable).status(), Status::Service);
        assert_eq!(refusal(503, "<html>").status(), Status::Service);
        assert_eq!(refusal(429, "").status(), Status::Throttled);
    }

    #[test]
    fn a_repeated_secret_is_masked_even_where_the_text_is_cut_off() {
        for before in 380..400 {
            let said = format!("{} the-secret-itself and more", "x ".repeat(before / 2));
            let body = serde_json::json!({"error": "the-secret-itself", "error_description": said})
                .to_string();
            let mut reply =
                Reply { status: 400, body: body.as_bytes().to_vec().into(), ..Reply::default() };
            reply.mask(&|text| redact::mask(text, &["the-secret-itself"]));
            let error = error(&reply, "x", "y");
            assert!(!error.to_json().contains("the-s"), "{error}");
        }
    }

    #[test]
    fn refusals_in_other_forms_are_read() {
        assert!(
            refusal(400, r#"{"statusCode":400,"message":"No identity."}"#)
                .message()
                .contains("400: No identity;")
        );
        assert!(refusal(400, "nope").message().contains("a body that is not its own"));
        assert!(
            refusal(400, r#"{"error":{"code":"x"},"error_codes":"y"}"#)
                .message()
                .contains("not its own")
        );
    }

    #[test]
    fn a_wrong_clock_is_reported() {
        let date = SystemTime::now() - Duration::from_secs(3_600);
        let reply = Reply {
            status: 401,
            body: numbered(700_024).into_bytes().into(),
            date: Some(httpdate::fmt_http_date(date)),
            ..Reply::default()
        };
        let message = error(&reply, "x", "y").message().to_owned();
        assert!(
            message.contains("AADSTS700024") && message.contains("clock is 60 minutes"),
            "{message}"
        );
    }
}
