//! Answers a request. Route, token, quota and permission are checked in this order.

use hyper::header::HeaderMap;
use hyper::{Method, StatusCode, header};

use crate::action_calls;
use crate::config::Endpoint;
use crate::download;
use crate::errors;
use crate::form;
use crate::machine_calls;
use crate::quota::Key;
use crate::reply::Reply;
use crate::sign_in;
use crate::state::State;

/// A request as it was read.
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: String,
}

/// The outcome of a request.
pub struct Answer {
    pub reply: Reply,
    /// For the log.
    pub endpoint: &'static str,
    pub refused_by_quota: bool,
}

/// A call of the API. The parts of its path keep the caller's letter case.
#[derive(Debug, PartialEq, Eq)]
pub enum Call {
    Collect { machine: String },
    ReadAction { id: String },
    ListActions,
    Cancel { id: String },
    Link { id: String },
    ReadMachine { id: String },
    ListMachines,
    FindByIp { arguments: String },
}

impl Call {
    /// The call that a path below `/api` means. Names are matched in any case.
    fn find(segments: &[String]) -> Option<Call> {
        let lower: Vec<String> = segments.iter().map(|s| s.to_ascii_lowercase()).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        let text = |at: usize| segments.get(at).cloned().unwrap_or_default();
        Some(match lower.as_slice() {
            ["v1.0", ..] => return Call::find(segments.get(1..)?).filter(|_| segments.len() > 1),
            ["machines"] => Call::ListMachines,
            ["machines", find] if find.starts_with("findbyip(") && find.ends_with(')') => {
                let inner = text(1);
                let inner = inner.split_once('(').map_or("", |(_, rest)| rest);
                Call::FindByIp { arguments: inner.trim_end_matches(')').to_owned() }
            }
            ["machines", _] => Call::ReadMachine { id: text(1) },
            ["machines", _, "collectinvestigationpackage"] => Call::Collect { machine: text(1) },
            ["machineactions"] => Call::ListActions,
            ["machineactions", _] => Call::ReadAction { id: text(1) },
            ["machineactions", _, "cancel"] => Call::Cancel { id: text(1) },
            ["machineactions", _, "getpackageuri" | "getpackageuri()"] => {
                Call::Link { id: text(1) }
            }
            _ => return None,
        })
    }

    fn method(&self) -> Method {
        match self {
            Call::Collect { .. } | Call::Cancel { .. } => Method::POST,
            _ => Method::GET,
        }
    }

    fn endpoint(&self) -> Endpoint {
        match self {
            Call::Collect { .. } => Endpoint::Collect,
            Call::ReadAction { .. } => Endpoint::Read,
            Call::ListActions => Endpoint::List,
            Call::Cancel { .. } => Endpoint::Cancel,
            Call::Link { .. } => Endpoint::Link,
            Call::ReadMachine { .. } | Call::ListMachines | Call::FindByIp { .. } => {
                Endpoint::Machines
            }
        }
    }
}

/// The application permissions of which an endpoint wants one.
fn roles(endpoint: Endpoint) -> &'static [&'static str] {
    match endpoint {
        Endpoint::Collect => &["Machine.CollectForensics"],
        Endpoint::Cancel => &[
            "Machine.CollectForensics",
            "Machine.Isolate",
            "Machine.RestrictExecution",
            "Machine.Scan",
            "Machine.Offboard",
            "Machine.StopAndQuarantine",
            "Machine.LiveResponse",
        ],
        _ => &["Machine.Read.All", "Machine.ReadWrite.All"],
    }
}

fn plain(reply: Reply, endpoint: &'static str) -> Answer {
    Answer { reply, endpoint, refused_by_quota: false }
}

fn wrong_method(allowed: &str) -> Reply {
    Reply::empty(StatusCode::METHOD_NOT_ALLOWED).with("allow", allowed)
}

/// Performs a request. If a quota covers it, this is the instant at which it is counted.
pub fn answer(state: &State, asked: &Asked) -> Answer {
    let not_found = || plain(Reply::empty(StatusCode::NOT_FOUND), "other");
    let Some(path) = asked.path.strip_prefix(state.config.path_prefix.as_str()) else {
        return not_found();
    };
    let Some(path) = path.strip_prefix('/') else {
        return not_found();
    };
    let segments: Vec<String> = path.split('/').map(form::decode_segment).collect();
    let lower: Vec<String> = segments.iter().map(|s| s.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    match lower.as_slice() {
        [_, "oauth2", "v2.0", "token"] => {
            let tenant = segments.first().map_or("", String::as_str);
            let reply = if asked.method == Method::POST {
                sign_in::answer(state, tenant, &asked.headers, &asked.body)
            } else {
                wrong_method("POST")
            };
            plain(reply, "token")
        }
        ["safedownload", file] if file.eq_ignore_ascii_case(download::FILE) => {
            let reply = if matches!(asked.method, Method::GET | Method::HEAD) {
                download::answer(state, asked)
            } else {
                wrong_method("GET, HEAD")
            };
            plain(reply, "download")
        }
        ["api", ..] => match segments.get(1..).and_then(Call::find) {
            Some(call) => api(state, asked, &call),
            None => not_found(),
        },
        _ => not_found(),
    }
}

fn api(state: &State, asked: &Asked, call: &Call) -> Answer {
    let endpoint = call.endpoint();
    let name = endpoint.name();
    if asked.method != call.method() {
        if asked.method == Method::POST && matches!(call, Call::Link { .. }) {
            // The one wrong method that is on record with a body.
            let message = format!(
                "No HTTP resource was found that matches the request URI '{}{}'.",
                state.origin, asked.path
            );
            return plain(errors::error(StatusCode::NOT_FOUND, "NotFound", &message), name);
        }
        return plain(wrong_method(call.method().as_str()), name);
    }
    let mut world = state.world();
    let caller = match world.tokens.caller(&asked.headers) {
        Ok(caller) => caller,
        Err(why) => return plain(errors::unauthorized(why), name),
    };
    let key =
        Key { tenant: caller.tenant.clone(), application: caller.application.clone(), endpoint };
    let limits = state.config.quota_limits.get(&endpoint).map_or(&[][..], Vec::as_slice);
    if let Err(refusal) = world.quota.count(key, limits, state.clock.now()) {
        let wait = state.clock.real(refusal.wait);
        let reply = errors::quota_exceeded(&refusal, wait, state.config.retry_after);
        return Answer { reply, endpoint: name, refused_by_quota: true };
    }
    drop(world);
    let required = roles(endpoint);
    if !caller.roles.iter().any(|held| required.contains(&held.as_str())) {
        return plain(errors::forbidden(required, &caller.roles), name);
    }
    let reply = match call {
        Call::Collect { machine } => action_calls::collect(state, &caller, machine, asked),
        Call::ReadAction { id } => action_calls::read(state, id),
        Call::ListActions => action_calls::list(state, &asked.path, &asked.query),
        Call::Cancel { id } => action_calls::cancel(state, &caller, id, asked),
        Call::Link { id } => action_calls::link(state, id),
        Call::ReadMachine { id } => machine_calls::read(state, id),
        Call::ListMachines => machine_calls::list(state, &asked.path, &asked.query),
        Call::FindByIp { arguments } => machine_calls::find_by_ip(state, arguments),
    };
    plain(reply.compressed_for(&asked.headers), name)
}

/// The body of a POST as a JSON object, or the reply that refuses it.
pub fn json_body(asked: &Asked) -> Result<serde_json::Map<String, serde_json::Value>, Reply> {
    let is_json = asked
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        return Err(errors::error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            "The request entity's media type is not supported for this resource.",
        ));
    }
    serde_json::from_str(&asked.body).map_err(|_| errors::bad_body())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(path: &str) -> Option<Call> {
        let segments: Vec<String> = path.split('/').map(str::to_owned).collect();
        Call::find(&segments)
    }

    #[test]
    fn paths_match_in_any_case_and_keep_the_callers_letters() {
        for path in [
            "machineactions/AbC/getPackageUri",
            "MachineActions/AbC/GetPackageUri",
            "v1.0/machineActions/AbC/GETPACKAGEURI",
        ] {
            assert_eq!(find(path), Some(Call::Link { id: "AbC".into() }), "{path}");
        }
        let arguments = "ip='10.0.0.1',timestamp=2019-09-22T08:44:05Z".to_owned();
        let found = find("machines/findByIp(ip='10.0.0.1',timestamp=2019-09-22T08:44:05Z)");
        assert_eq!(found, Some(Call::FindByIp { arguments }));
        for path in ["", "v1.0", "machine", "machines/a/b", "machineactions/a/cancel/b"] {
            assert_eq!(find(path), None, "{path}");
        }
    }
}
