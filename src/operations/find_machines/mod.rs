//! Finds devices, and the problems that may keep a collection from starting or ending.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::operations::actions::not_understood;
use crate::service::action::document;
use crate::service::endpoint::{self, Request};
use crate::service::machine::{Machine, is_device_id, machine, machines};
use crate::text::guid::is_guid;
use crate::text::json;

/// The most devices in a result. A query that finds more is too wide to act on.
const MOST: usize = 1_000;

/// The devices to find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Query<'a> {
    /// The service's own id, 40 hexadecimal digits.
    DeviceId(&'a str),
    /// The id in Entra, a GUID.
    EntraId(&'a str),
    /// An address, and when it was in use.
    Address(IpAddr, Option<SystemTime>),
    /// A DNS name or its beginning.
    Name(&'a str),
}

impl Query<'_> {
    /// Reads a query, whose form shows what it is.
    pub(crate) fn parse(text: &str) -> Result<Query<'_>> {
        let refused = |problem: &str| {
            Err(Error::argument(
                "query",
                problem,
                "a device id (40 hexadecimal digits), an Entra device id (a GUID), an IP address, optionally \
                 with the time when it was in use (10.0.0.5@2026-01-24T22:17:02Z), or a DNS name of up to 255 \
                 characters or its beginning",
            ))
        };
        let text = text.trim();
        let (address, time) = text.split_once('@').map_or((text, None), |(a, t)| (a, Some(t)));
        if let Ok(address) = address.parse::<IpAddr>() {
            return match time.map(humantime::parse_rfc3339) {
                None => Ok(Query::Address(address, None)),
                Some(Ok(time)) => Ok(Query::Address(address, Some(time))),
                Some(Err(_)) => refused("has a time that is not ISO 8601 in UTC"),
            };
        }
        match text.len() {
            0 => refused("is empty"),
            _ if is_device_id(text) => Ok(Query::DeviceId(text)),
            _ if is_guid(text) => Ok(Query::EntraId(text)),
            1..=255 if !text.contains(char::is_control) => Ok(Query::Name(text)),
            _ => refused("is too long or has control characters"),
        }
    }
}

/// A problem that may keep a collection from starting or ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Another device that was found has the same DNS name.
    SameName,
    /// The service marks this record as a possible duplicate of another.
    PotentialDuplicate,
    /// The record was merged into the one that `mergedIntoMachineId` names.
    Merged,
    /// The device was excluded from the service's views.
    Excluded,
    /// The device has no sensor that reports to this tenant, so nothing can collect a package.
    NotOnboarded,
    /// The service does not support the device.
    Unsupported,
    /// The device does not report, or not properly. A collection waits until it does.
    Offline,
}

impl Problem {
    /// The name in JSON documents.
    pub const fn name(self) -> &'static str {
        match self {
            Problem::SameName => "same_name",
            Problem::PotentialDuplicate => "potential_duplicate",
            Problem::Merged => "merged",
            Problem::Excluded => "excluded",
            Problem::NotOnboarded => "not_onboarded",
            Problem::Unsupported => "unsupported",
            Problem::Offline => "offline",
        }
    }
}

/// Serializes the name in JSON documents.
impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The result of a search for devices.
#[derive(Clone, Debug)]
pub struct Found {
    /// The devices, each as the service describes it.
    pub machines: Vec<Machine>,
    /// The problems of each of these devices.
    pub problems: Vec<Vec<Problem>>,
    /// The query has found more devices than these. It is too wide.
    pub more: bool,
}

impl Found {
    fn new(machines: Vec<Machine>, more: bool) -> Found {
        let is_shared = |machine: &Machine| {
            let same = |other: &&Machine| {
                let names = machine.name().zip(other.name());
                names.is_some_and(|(one, other)| one.eq_ignore_ascii_case(other))
            };
            machines.iter().filter(same).nth(1).is_some()
        };
        let problems = machines.iter().map(|one| problems_of(one, is_shared(one))).collect();
        Found { machines, problems, more }
    }

    /// `{"machines":[{…}],"checks":[{"id":"…","problems":["offline"]}],"more":false}`
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Check<'a> {
            id: &'a str,
            problems: &'a [Problem],
        }
        let checks = self.machines.iter().zip(&self.problems);
        let checks = checks.map(|(machine, problems)| Check { id: machine.id(), problems });
        let checks = json::text(&checks.collect::<Vec<_>>());
        let end = format!("],\"checks\":{checks},\"more\":{}}}", self.more);
        document("{\"machines\":[", self.machines.iter().map(Machine::json), &end)
    }
}

fn problems_of(machine: &Machine, shares_name: bool) -> Vec<Problem> {
    let onboarding = machine.onboarding_status();
    let health = machine.health_status();
    [
        (Problem::SameName, shares_name),
        (Problem::PotentialDuplicate, machine.is_potential_duplicate()),
        (Problem::Merged, machine.is_merged()),
        (Problem::Excluded, machine.is_excluded()),
        (Problem::Unsupported, onboarding == Some("Unsupported")),
        (
            Problem::NotOnboarded,
            matches!(onboarding, Some(status) if !matches!(status, "Onboarded" | "Unsupported")),
        ),
        (
            Problem::Offline,
            matches!(health, Some(status) if !matches!(status, "Active" | "Unknown")),
        ),
    ]
    .into_iter()
    .filter_map(|(problem, applies)| applies.then_some(problem))
    .collect()
}

/// Finds devices. The result is empty if there are none, in whatever way the service reports that.
pub(crate) fn find(account: &Account, call: &Arc<Call>, query: &Query<'_>) -> Result<Found> {
    let list = |request: Request| many(account, call, &request);
    let listed = |filter: String| list(endpoint::machines(&filter, MOST + 1));
    let mut found = match query {
        Query::DeviceId(id) => one(account, call, id)?,
        Query::EntraId(id) => listed(format!("aadDeviceId eq {id}"))?,
        Query::Address(address, time) => {
            // One minute ago, since this host's clock may be ahead of the service's.
            let time = time.or_else(|| SystemTime::now().checked_sub(Duration::from_secs(60)));
            let time = time.unwrap_or(SystemTime::UNIX_EPOCH).max(SystemTime::UNIX_EPOCH);
            let time = humantime::format_rfc3339_seconds(time).to_string();
            list(endpoint::machines_by_ip(&address.to_string(), &time))?
        }
        Query::Name(name) => {
            let name = name.replace('\'', "''");
            let exact = listed(format!("computerDnsName eq '{name}'"))?;
            match exact.is_empty() {
                true => listed(format!("startswith(computerDnsName,'{name}')"))?,
                false => exact,
            }
        }
    };
    let more = found.len() > MOST;
    found.truncate(MOST);
    Ok(Found::new(found, more))
}

fn one(account: &Account, call: &Arc<Call>, id: &str) -> Result<Vec<Machine>> {
    let Some(reply) = or_none(account.perform(call, &endpoint::machine(id)))? else {
        return Ok(Vec::new());
    };
    let found = machine(&reply.body).and_then(|one| match one.id().eq_ignore_ascii_case(id) {
        true => Ok(vec![one]),
        false => Err("has another device than the requested one"),
    });
    found.map_err(|problem| not_understood(&reply, problem))
}

fn many(account: &Account, call: &Arc<Call>, request: &Request) -> Result<Vec<Machine>> {
    let Some(reply) = or_none(account.perform(call, request))? else {
        return Ok(Vec::new());
    };
    machines(&reply.body, MOST + 1).map_err(|problem| not_understood(&reply, problem))
}

/// `None` for a 404 of the service, which means "no recent device" or "no such device".
fn or_none<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        // A proxy or gateway may answer 404 for every path of the service.
        Err(error) if error.is_unknown_to_service() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    #[test]
    fn the_form_of_a_query_shows_what_it_is() {
        let id = "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9";
        let guid = "80fe8ff8-2624-418e-9591-41f0491218f9";
        let time = humantime::parse_rfc3339("2026-01-24T22:17:02Z").unwrap();
        for (text, query) in [
            (id, Query::DeviceId(id)),
            (guid, Query::EntraId(guid)),
            ("10.0.0.5", Query::Address("10.0.0.5".parse().unwrap(), None)),
            (
                "fe80::1@2026-01-24T22:17:02Z",
                Query::Address("fe80::1".parse().unwrap(), Some(time)),
            ),
            (" device-1.contoso.example ", Query::Name("device-1.contoso.example")),
            ("o'neill", Query::Name("o'neill")),
        ] {
            assert_eq!(Query::parse(text).unwrap(), query, "{text}");
        }
        for bad in ["", "  ", "10.0.0.5@yesterday", "a\nb", &"x".repeat(256)] {
            let error = Query::parse(bad).unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument, "{bad:?}");
            assert!(error.message().contains("`query`"), "{error}");
        }
    }

    fn found(machines: &[&str]) -> Found {
        let read = |json: &&str| {
            let mut json = (*json).to_owned();
            for letter in ["a", "b", "c", "d", "e"] {
                json = json
                    .replace(&format!(r#""id":"{letter}""#), &format!(r#""id":"{}""#, id(letter)));
            }
            machine(json.as_bytes()).unwrap()
        };
        Found::new(machines.iter().map(read).collect(), false)
    }

    fn id(letter: &str) -> String {
        letter.repeat(40)
    }

    #[test]
    fn each_problem_is_named() {
        for (members, problem) in [
            (r#""isPotentialDuplication":true"#, "potential_duplicate"),
            (r#""mergedIntoMachineId":"x""#, "merged"),
            (r#""isExcluded":true"#, "excluded"),
            (r#""onboardingStatus":"CanBeOnboarded""#, "not_onboarded"),
            (r#""onboardingStatus":"Unsupported""#, "unsupported"),
            (r#""healthStatus":"Inactive""#, "offline"),
            (r#""healthStatus":"NoSensorData""#, "offline"),
        ] {
            let json = found(&[&format!(r#"{{"id":"a",{members}}}"#)]).to_json();
            assert!(
                json.contains(&format!(
                    r#""checks":[{{"id":"{}","problems":["{problem}"]}}]"#,
                    id("a")
                )),
                "{json}"
            );
        }
        let fine = r#"{"id":"a","mergedIntoMachineId":null,"healthStatus":"Active","onboardingStatus":"Onboarded"}"#;
        let json = found(&[fine]).to_json();
        let expected = format!(
            r#"{{"machines":[{fine}],"checks":[{{"id":"a","problems":[]}}],"more":false}}"#
        );
        assert_eq!(json, expected.replace(r#""id":"a""#, &format!(r#""id":"{}""#, id("a"))));
        let same = found(&[
            r#"{"id":"a","computerDnsName":"pc1"}"#,
            r#"{"id":"b","computerDnsName":"PC1"}"#,
            r#"{"id":"c","computerDnsName":"pc2"}"#,
            r#"{"id":"d"}"#,
            r#"{"id":"e"}"#,
        ]);
        let same: Vec<bool> = same.problems.iter().map(|p| p == &[Problem::SameName]).collect();
        assert_eq!(same, [true, true, false, false, false]);
    }
}
