//! The replies to the calls on machines: read, list, find by address.

use hyper::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::errors;
use crate::machines::{Machine, SCHEMA};
use crate::query::{self, Entity};
use crate::reply::Reply;
use crate::state::State;

/// `GET /api/machines/{id}`
///
/// <https://learn.microsoft.com/defender-endpoint/api/get-machine-by-id>
pub fn read(state: &State, id: &str) -> Reply {
    let offline = state.world().behaviour.offline;
    match state.machines.by_id_or_name(id, offline) {
        Some(machine) => {
            Reply::odata(StatusCode::OK, &query::in_context("Machines/$entity", &machine.whole()))
        }
        None => errors::no_machine(id),
    }
}

/// `GET /api/machines`. No match is a 404 here, not an empty list.
///
/// <https://learn.microsoft.com/defender-endpoint/api/get-machines>
pub fn list(state: &State, path: &str, query: &str) -> Reply {
    let url = format!("{}{path}", state.origin);
    let offline = state.world().behaviour.offline;
    let machines = state.machines.all(offline);
    match query::list(&SCHEMA, machines, query, &url, state.config.page_size) {
        Ok(page) if page.matched == 0 => none_found(),
        Ok(page) => Reply::odata(StatusCode::OK, &page.body),
        Err(reply) => reply,
    }
}

fn none_found() -> Reply {
    errors::error(StatusCode::NOT_FOUND, "ResourceNotFound", "No machines were found")
}

/// `GET /api/machines/findbyip(ip='…',timestamp=…)`. The simulated machines never change
/// their addresses, so any instant of the last 30 days matches.
///
/// <https://learn.microsoft.com/defender-endpoint/api/find-machines-by-ip>
pub fn find_by_ip(state: &State, arguments: &str) -> Reply {
    let value = |name: &str| {
        arguments
            .split(',')
            .filter_map(|part| part.split_once('='))
            .find(|(n, _)| n.trim().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    };
    let invalid = |what: &str| errors::error(StatusCode::BAD_REQUEST, "InvalidInput", what);
    let quoted = |text: &'_ str| -> Option<String> {
        Some(text.strip_prefix('\'')?.strip_suffix('\'')?.to_owned())
    };
    let Some(ip) = value("ip").and_then(quoted) else {
        return errors::bad_query("The parameter 'ip' must be a quoted address.");
    };
    let Ok(ip) = ip.parse::<std::net::IpAddr>() else {
        return errors::error(
            StatusCode::BAD_REQUEST,
            "InvalidIpAddress",
            &format!("{ip} is not a valid IP address"),
        );
    };
    let Some(at) = value("timestamp").and_then(|text| text.parse::<Timestamp>().ok()) else {
        return errors::bad_query(
            "The parameter 'timestamp' must be of type 'Edm.DateTimeOffset'.",
        );
    };
    let age = Timestamp::now().duration_since(at);
    if age > SignedDuration::from_hours(24 * 30) || age < SignedDuration::from_mins(-15) {
        return invalid("The timestamp must be in the past 30 days");
    }
    let has = |machine: &Machine<'_>| {
        ip.is_loopback() || machine.addresses().iter().any(|own| own.parse() == Ok(ip))
    };
    let offline = state.world().behaviour.offline;
    let found = state.machines.all(offline).filter(has);
    let found: Vec<Value> = found.map(|machine| machine.whole()).collect();
    if found.is_empty() {
        return none_found();
    }
    let body = json!({"@odata.context": query::context("Machines"), "value": found});
    Reply::odata(StatusCode::OK, &body)
}
