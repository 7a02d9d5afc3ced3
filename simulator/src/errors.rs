//! The error bodies of the API.
//!
//! <https://learn.microsoft.com/defender-endpoint/api/common-errors>

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::config::Limit;
use crate::ids;
use crate::quota::Refusal;
use crate::reply::Reply;

/// `{"error":{"code","message","target"}}`. The target, which support needs, is a GUID or a
/// diagnostics span. Both forms are on record, so errors alternate between them.
pub fn error(status: StatusCode, code: &str, message: &str) -> Reply {
    static SPAN_NEXT: AtomicBool = AtomicBool::new(false);
    let target =
        if SPAN_NEXT.fetch_xor(true, Ordering::Relaxed) { ids::span() } else { ids::guid() };
    with_target(status, code, message, &target)
}

fn with_target(status: StatusCode, code: &str, message: &str, target: &str) -> Reply {
    let body = json!({"error": {"code": code, "message": message, "target": target}});
    Reply::error(status, &body)
}

/// An action id that is no GUID; the recorded reply has a span as its target.
pub fn not_a_guid(key: &str) -> Reply {
    let message = format!(
        "The key value ({key}) from request is not valid. The key value should be format of type \
         'Edm.Guid'."
    );
    with_target(StatusCode::BAD_REQUEST, "BadRequest", &message, &ids::span())
}

/// A query option that the service does not have: no code, no target, but details.
pub fn unsupported_option(name: &str) -> Reply {
    let body: Value = json!({"error": {
        "code": "",
        "message": format!(
            "The query specified in the URI is not valid. Custom query option '{name}' that \
             starts with '$' is not supported."
        ),
        "details": [],
    }});
    Reply::error(StatusCode::BAD_REQUEST, &body)
}

/// A query option whose value makes no sense.
pub fn bad_query(why: &str) -> Reply {
    let message = format!("The query specified in the URI is not valid. {why}");
    error(StatusCode::BAD_REQUEST, "ODataError", &message)
}

/// A body that is not the JSON object expected.
pub fn bad_body() -> Reply {
    error(StatusCode::BAD_REQUEST, "InvalidRequestBody", "Request body is incorrect")
}

/// No such machine.
pub fn no_machine(id: &str) -> Reply {
    error(StatusCode::NOT_FOUND, "ResourceNotFound", &format!("Machine {id} was not found"))
}

/// No such action.
pub fn no_action(id: &str) -> Reply {
    error(StatusCode::NOT_FOUND, "ResourceNotFound", &format!("MachineAction {id} was not found"))
}

/// No token, or one that is not valid.
pub fn unauthorized(why: &str) -> Reply {
    error(
        StatusCode::UNAUTHORIZED,
        "Unauthorized",
        &format!("Unauthorized request - reason of failure: {why}"),
    )
}

/// A token without the permission, in the wording of 2026.
pub fn forbidden(required: &[&str], held: &[String]) -> Reply {
    let message = format!(
        "Missing application roles. API required roles: {}, application roles: {}.",
        required.join(","),
        held.join(",")
    );
    error(StatusCode::FORBIDDEN, "Forbidden", &message)
}

/// A quota is used up. The code is the number as text. The wait, in real time, is in the message,
/// and in `Retry-After` only if that is configured.
pub fn quota_exceeded(refusal: &Refusal, wait: Duration, retry_after: bool) -> Reply {
    let seconds = (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1);
    let Limit { calls, seconds: window } = refusal.limit;
    let window = format!("{:02}:{:02}:{:02}", window / 3600, window / 60 % 60, window % 60);
    let message = format!(
        "API calls quota exceeded! Maximum allowed {calls} per {window} for the key \
         Destination+TenantID+AppID. You can send requests again in {seconds} seconds."
    );
    let reply = with_target(StatusCode::TOO_MANY_REQUESTS, "429", &message, &ids::guid());
    if retry_after { reply.with("retry-after", &seconds.to_string()) } else { reply }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_rounded_up_to_whole_seconds() {
        let limit = Limit { calls: 2, seconds: 3600 };
        for (wait, named) in [(0.0, 1), (0.001, 1), (7.2, 8), (8.0, 8)] {
            let refusal = Refusal { limit, wait: Duration::ZERO };
            let reply = quota_exceeded(&refusal, Duration::from_secs_f64(wait), true);
            let text = String::from_utf8(reply.body.to_vec()).unwrap();
            let expected = format!(
                "Maximum allowed 2 per 01:00:00 for the key Destination+TenantID+AppID. You can \
                 send requests again in {named} seconds."
            );
            assert!(text.contains(&expected), "{text}");
            assert_eq!(reply.headers["retry-after"], named.to_string());
        }
    }
}
