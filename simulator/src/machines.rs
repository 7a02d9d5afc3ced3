//! The machines of the simulated tenant.
//!
//! <https://learn.microsoft.com/defender-endpoint/api/machine>

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::clock::stamp;
use crate::config::Config;
use crate::ids;
use crate::query::{Entity, Kind, Member, Schema};

const PLATFORMS: [&str; 5] = ["Windows11", "Windows10", "WindowsServer2022", "macOS", "Linux"];

/// The `rbacGroupId` of the first group.
const FIRST_GROUP: usize = 140;

/// All machines. A tenant may have a hundred thousand, so a record is made only when it is asked for.
pub struct Machines {
    count: usize,
    start: Timestamp,
    /// How many of the first machines have a tag.
    tags: BTreeMap<String, usize>,
    groups: Vec<String>,
    /// By id, counted from 0.
    numbers: HashMap<String, usize>,
}

/// One machine.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    all: &'a Machines,
    /// Counted from 0.
    pub number: usize,
    is_offline: bool,
}

impl Machines {
    pub fn new(config: &Config) -> Self {
        Machines {
            count: config.machines,
            start: Timestamp::now(),
            tags: config.tags.clone(),
            groups: config.groups.clone(),
            numbers: (0..config.machines).map(|n| (ids::machine_id(n), n)).collect(),
        }
    }

    /// The machines in order of their number, of which the first ones are offline.
    pub fn all(&self, offline: usize) -> impl Iterator<Item = Machine<'_>> {
        (0..self.count).map(move |number| self.at(number, offline))
    }

    fn at(&self, number: usize, offline: usize) -> Machine<'_> {
        Machine { all: self, number, is_offline: number < offline }
    }

    /// Finds a machine by id or Entra device id, which the calls that start an action accept.
    pub fn by_id(&self, id: &str, offline: usize) -> Option<Machine<'_>> {
        let id = id.to_ascii_lowercase();
        let number = self.numbers.get(&id).copied();
        let number = number.or_else(|| (0..self.count).find(|number| aad_id(*number) == id));
        number.map(|number| self.at(number, offline))
    }

    /// Finds a machine by id, Entra device id or computer name, which reading accepts.
    pub fn by_id_or_name(&self, id: &str, offline: usize) -> Option<Machine<'_>> {
        let has_name = |one: &Machine<'_>| one.name().eq_ignore_ascii_case(id);
        self.by_id(id, offline).or_else(|| self.all(offline).find(has_name))
    }
}

fn aad_id(number: usize) -> String {
    let digits = ids::machine_id(number + 0x4000_0001);
    digits.chars().enumerate().take(32).fold(String::new(), |mut out, (at, c)| {
        if matches!(at, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(c);
        out
    })
}

impl Machine<'_> {
    pub fn id(&self) -> String {
        ids::machine_id(self.number)
    }

    pub fn name(&self) -> String {
        format!("device-{:04}.contoso.example", self.number + 1)
    }

    pub fn platform(&self) -> &'static str {
        PLATFORMS.get(self.number % PLATFORMS.len()).copied().unwrap_or_default()
    }

    /// Its own addresses: the one in its network, and the link-local one.
    pub fn addresses(&self) -> [String; 2] {
        let n = self.number + 1;
        [format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255), format!("fe80::{n:x}")]
    }

    fn health(&self) -> &'static str {
        if self.is_offline { "Inactive" } else { "Active" }
    }

    fn tags(&self) -> Vec<&str> {
        let tags = self.all.tags.iter();
        tags.filter(|(_, count)| self.number < **count).map(|(tag, _)| tag.as_str()).collect()
    }

    /// The number and the name of its group. The groups take the machines in turn.
    fn group(&self) -> (usize, Option<&str>) {
        let at = self.number.checked_rem(self.all.groups.len()).unwrap_or_default();
        match self.all.groups.get(at) {
            Some(name) => (FIRST_GROUP + at, Some(name)),
            None => (0, None),
        }
    }

    fn record(&self) -> Value {
        let n = self.number + 1;
        let [address, link_local] = self.addresses();
        let (group_id, group) = self.group();
        let mac = format!("000C29{:06X}", n & 0xff_ffff);
        let ago = |minutes: i64, nanos: i64| {
            let span = SignedDuration::from_mins(minutes) + SignedDuration::from_nanos(nanos);
            stamp(self.all.start.checked_sub(span).unwrap_or(self.all.start))
        };
        // The last full report is about daily, so it differs from machine to machine.
        let minutes = i64::try_from(n % 1440).unwrap_or(0);
        json!({
            "id": self.id(),
            "mergedIntoMachineId": null,
            "isPotentialDuplication": false,
            "isExcluded": false,
            "exclusionReason": null,
            "computerDnsName": self.name(),
            "firstSeen": ago(60 * 24 * 90 + minutes, 1_618_923 * 100),
            "lastSeen": ago(minutes, 684_607_000),
            "osPlatform": self.platform(),
            "osProcessor": "x64",
            "version": "23H2",
            "lastIpAddress": address,
            "lastExternalIpAddress": format!("203.0.113.{}", n % 254 + 1),
            "agentVersion": "10.8760.26100.1",
            "osBuild": 26100,
            "healthStatus": self.health(),
            "deviceValue": "Normal",
            "rbacGroupId": group_id,
            "rbacGroupName": group,
            "riskScore": "Medium",
            "exposureLevel": "High",
            "isAadJoined": true,
            "aadDeviceId": aad_id(self.number),
            "machineTags": self.tags(),
            "onboardingStatus": "Onboarded",
            "osArchitecture": "64-bit",
            "managedBy": "Intune",
            "managedByStatus": "Unknown",
            "ipAddresses": [
                {"ipAddress": address, "macAddress": mac, "type": "Ethernet", "operationalStatus": "Up"},
                {"ipAddress": link_local, "macAddress": mac, "type": "Ethernet",
                 "operationalStatus": "Up"},
                {"ipAddress": "127.0.0.1", "macAddress": null, "type": "SoftwareLoopback",
                 "operationalStatus": "Up"}
            ],
            "vmMetadata": null,
        })
    }
}

impl Entity for Machine<'_> {
    /// The members by which many machines are filtered or sorted do not need the record.
    fn member(&self, name: &str) -> Cow<'_, Value> {
        Cow::Owned(match name {
            "id" => self.id().into(),
            "computerDnsName" => self.name().into(),
            "osPlatform" => self.platform().into(),
            "healthStatus" => self.health().into(),
            "rbacGroupId" => self.group().0.into(),
            "machineTags" => self.tags().into(),
            "aadDeviceId" => aad_id(self.number).into(),
            other => self.record().get(other).cloned().unwrap_or_default(),
        })
    }

    fn whole(&self) -> Value {
        self.record()
    }
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
        Member::filterable("machineTags", Kind::Texts),
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
        Member::other("ipAddresses", Kind::Whole),
        Member::other("vmMetadata", Kind::Whole),
    ],
};
