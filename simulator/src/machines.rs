//! The machines of the simulated tenant.
//!
//! <https://learn.microsoft.com/defender-endpoint/api/machine>

use hyper::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::clock::stamp;
use crate::errors;
use crate::ids;
use crate::query::{self, Kind, Member, Schema};
use crate::reply::Reply;
use crate::state::State;

/// All machines, in order of their number.
pub struct Machines(Vec<Value>);

fn text<'a>(machine: &'a Value, member: &str) -> &'a str {
    machine.get(member).and_then(Value::as_str).unwrap_or_default()
}

impl Machines {
    pub fn new(count: usize) -> Self {
        let now = Timestamp::now();
        Machines((1..=count).map(|n| machine(n, now)).collect())
    }

    pub fn all(&self) -> &[Value] {
        &self.0
    }

    /// Finds a machine by id or Entra device id, which the calls that start an action accept.
    pub fn by_id(&self, id: &str) -> Option<&Value> {
        let is = |m: &Value, member| text(m, member).eq_ignore_ascii_case(id);
        self.0.iter().find(|m| is(m, "id") || is(m, "aadDeviceId"))
    }

    /// Finds a machine by id, Entra device id or computer name, which reading accepts.
    pub fn by_id_or_name(&self, id: &str) -> Option<&Value> {
        self.by_id(id)
            .or_else(|| self.0.iter().find(|m| text(m, "computerDnsName").eq_ignore_ascii_case(id)))
    }
}

/// The n-th machine, counted from one.
fn machine(n: usize, now: Timestamp) -> Value {
    let n64 = n as u64;
    let address = format!("10.{}.{}.{}", n64 >> 16 & 255, n64 >> 8 & 255, n64 & 255);
    let mac = format!("000C29{:06X}", n64 & 0xff_ffff);
    let ago = |minutes: i64, nanos: i64| {
        let span = SignedDuration::from_mins(minutes) + SignedDuration::from_nanos(nanos);
        stamp(now.checked_sub(span).unwrap_or(now))
    };
    // The last full report is about daily, so it differs from machine to machine.
    let minutes = i64::try_from(n % 1440).unwrap_or(0);
    let platform = ["Windows11", "Windows10", "WindowsServer2022", "macOS", "Linux"];
    let platform = platform.get(n.saturating_sub(1) % platform.len()).unwrap_or(&"Windows11");
    let aad = ids::machine_id(n + 0x4000_0000);
    let aad: String = aad.chars().enumerate().take(32).fold(String::new(), |mut out, (at, c)| {
        if matches!(at, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(c);
        out
    });
    json!({
        "id": ids::machine_id(n - 1),
        "mergedIntoMachineId": null,
        "isPotentialDuplication": false,
        "isExcluded": false,
        "exclusionReason": null,
        "computerDnsName": format!("device-{n:04}.contoso.example"),
        "firstSeen": ago(60 * 24 * 90 + minutes, 1_618_923 * 100),
        "lastSeen": ago(minutes, 684_607_000),
        "osPlatform": platform,
        "osProcessor": "x64",
        "version": "23H2",
        "lastIpAddress": address,
        "lastExternalIpAddress": format!("203.0.113.{}", n % 254 + 1),
        "agentVersion": "10.8760.26100.1",
        "osBuild": 26100,
        "healthStatus": "Active",
        "deviceValue": "Normal",
        "rbacGroupId": 0,
        "rbacGroupName": null,
        "riskScore": "Medium",
        "exposureLevel": "High",
        "isAadJoined": true,
        "aadDeviceId": aad,
        "machineTags": [],
        "onboardingStatus": "Onboarded",
        "osArchitecture": "64-bit",
        "managedBy": "Intune",
        "managedByStatus": "Unknown",
        "ipAddresses": [
            {"ipAddress": address, "macAddress": mac, "type": "Ethernet", "operationalStatus": "Up"},
            {"ipAddress": format!("fe80::{:x}", n64), "macAddress": mac, "type": "Ethernet",
             "operationalStatus": "Up"},
            {"ipAddress": "127.0.0.1", "macAddress": null, "type": "SoftwareLoopback",
             "operationalStatus": "Up"}
        ],
        "vmMetadata": null,
    })
}

const LEVEL: Kind = Kind::Enum(&["None", "Low", "Medium", "High"]);

/// The machines as a queried collection.
pub const SCHEMA: Schema = Schema {
    name: "Machines",
    type_name: "microsoft.windowsDefenderATP.api.Machine",
    members: &[
        Member::filterable("id", Kind::Text),
        Member::filterable("computerDnsName", Kind::Text),
        Member::filterable("version", Kind::Text),
        Member::filterable("deviceValue", Kind::Enum(&["Normal", "Low", "High"])),
        Member::filterable("aadDeviceId", Kind::Guid),
        Member::filterable("lastSeen", Kind::Time),
        Member::filterable("exposureLevel", LEVEL),
        Member::filterable(
            "onboardingStatus",
            Kind::Enum(&["InsufficientInfo", "Onboarded", "CanBeOnboarded", "Unsupported"]),
        ),
        Member::filterable("lastIpAddress", Kind::Text),
        Member::filterable(
            "healthStatus",
            Kind::Enum(&[
                "Active",
                "Inactive",
                "ImpairedCommunication",
                "NoSensorData",
                "NoSensorDataImpairedCommunication",
                "Unknown",
            ]),
        ),
        Member::filterable("osPlatform", Kind::Text),
        Member::filterable("riskScore", LEVEL),
        Member::filterable("rbacGroupId", Kind::Number),
        Member::other("mergedIntoMachineId", Kind::Text),
        Member::other("isPotentialDuplication", Kind::Flag),
        Member::other("isExcluded", Kind::Flag),
        Member::other("exclusionReason", Kind::Text),
        Member::other("firstSeen", Kind::Time),
        Member::other("osProcessor", Kind::Text),
        Member::other("lastExternalIpAddress", Kind::Text),
        Member::other("agentVersion", Kind::Text),
        Member::other("osBuild", Kind::Number),
        Member::other("rbacGroupName", Kind::Text),
        Member::other("isAadJoined", Kind::Flag),
        Member::other("osArchitecture", Kind::Text),
        Member::other("managedBy", Kind::Text),
        Member::other("managedByStatus", Kind::Text),
        Member::other("machineTags", Kind::Whole),
        Member::other("ipAddresses", Kind::Whole),
        Member::other("vmMetadata", Kind::Whole),
    ],
};

/// Answers `GET /api/machines/{id}`.
pub fn read(state: &State, id: &str) -> Reply {
    match state.machines.by_id_or_name(id) {
        Some(machine) => {
            Reply::odata(StatusCode::OK, &query::in_context("Machines/$entity", machine))
        }
        None => errors::no_machine(id),
    }
}

/// Answers `GET /api/machines`. No match is a 404 here, not an empty list.
pub fn list(state: &State, path: &str, query: &str) -> Reply {
    let url = format!("{}{path}", state.origin);
    match query::list(&SCHEMA, state.machines.all(), query, &url, state.config.page_size) {
        Ok(page) if page.matched == 0 => none_found(),
        Ok(page) => Reply::odata(StatusCode::OK, &page.body),
        Err(reply) => reply,
    }
}

fn none_found() -> Reply {
    errors::error(StatusCode::NOT_FOUND, "ResourceNotFound", "No machines were found")
}

/// Answers `GET /api/machines/findbyip(ip='…',timestamp=…)`. The simulated machines never change
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
    let has = |machine: &&Value| {
        machine
            .get("ipAddresses")
            .and_then(Value::as_array)
            .is_some_and(|all| all.iter().any(|a| text(a, "ipAddress").parse() == Ok(ip)))
    };
    let found: Vec<Value> = state.machines.all().iter().filter(has).cloned().collect();
    if found.is_empty() {
        return none_found();
    }
    let body = json!({"@odata.context": query::context("Machines"), "value": found});
    Reply::odata(StatusCode::OK, &body)
}
