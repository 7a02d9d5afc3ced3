//! The devices that were found: their records as they stand in the document, and the problems of each.
//!
//! A hundred thousand records have more than 100 MB. So they are kept once, as text, and the document is completed in
//! place.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;

use crate::service::machine::Machine;

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
    /// In the order of documents.
    const ALL: [Problem; 7] = [
        Problem::SameName,
        Problem::PotentialDuplicate,
        Problem::Merged,
        Problem::Excluded,
        Problem::Unsupported,
        Problem::NotOnboarded,
        Problem::Offline,
    ];

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

/// A set of problems.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Problems(u8);

impl Problems {
    fn add(&mut self, problem: Problem) {
        self.0 |= 1 << problem as u8;
    }

    fn iter(self) -> impl Iterator<Item = Problem> {
        Problem::ALL.into_iter().filter(move |problem| self.0 & 1 << *problem as u8 != 0)
    }

    /// All but the shared name, for which the other devices must be known.
    fn of(machine: &Machine<'_>) -> Problems {
        let onboarding = machine.onboarding_status();
        let health = machine.health_status();
        let mut problems = Problems::default();
        for (problem, applies) in [
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
        ] {
            if applies {
                problems.add(problem);
            }
        }
        problems
    }
}

/// What is kept of a device beside its record.
#[derive(Clone, Debug)]
struct Check {
    id: [u8; 40],
    /// Where its record ends.
    end: usize,
    /// The hash of the name in lower case.
    name: Option<NonZeroU64>,
    problems: Problems,
}

/// The result of a search for devices.
#[derive(Clone, Debug)]
pub struct Found {
    /// The beginning of the document, up to the last record.
    text: String,
    checks: Vec<Check>,
    names: RandomState,
    most: usize,
    more: bool,
}

const BEGINNING: &str = "{\"machines\":[";

impl Found {
    /// No device yet, and this many at most.
    pub(super) fn new(most: usize) -> Found {
        let (checks, names) = (Vec::new(), RandomState::new());
        Found { text: BEGINNING.to_owned(), checks, names, most, more: false }
    }

    /// Adds a device. `false`: it is one too many, and no further ones are of use.
    pub(super) fn add(&mut self, machine: &Machine<'_>) -> bool {
        // Every id that was read has this length.
        let id = machine.id().as_bytes().try_into();
        match id {
            Ok(id) if self.checks.len() < self.most => {
                let name = machine.name().map(str::to_ascii_lowercase);
                append(&mut self.text, if self.checks.is_empty() { "" } else { "," });
                append(&mut self.text, machine.json());
                self.checks.push(Check {
                    id,
                    end: self.text.len(),
                    name: name.and_then(|name| NonZeroU64::new(self.names.hash_one(name))),
                    problems: Problems::of(machine),
                });
            }
            _ => self.more = true,
        }
        !self.more
    }

    /// There may be further devices, which were not read.
    pub(super) fn end_early(&mut self) {
        self.more = true;
    }

    /// Marks the devices whose name another one has too.
    pub(super) fn check_names(&mut self) {
        let number = |check: &Check| check.name.map(|name| u128::from(name.get()));
        let (mut once, mut again) = (HashSet::new(), HashSet::new());
        for name in self.checks.iter().filter_map(number) {
            if !once.insert(name) {
                again.insert(name);
            }
        }
        for check in &mut self.checks {
            if number(check).is_some_and(|name| again.contains(&name)) {
                check.problems.add(Problem::SameName);
            }
        }
    }

    /// Whether none was found.
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty()
    }

    /// How many devices were found, without those that are too many.
    pub fn len(&self) -> usize {
        self.checks.len()
    }

    /// Whether the query has found more devices than these. Then it is too wide.
    pub fn more(&self) -> bool {
        self.more
    }

    /// The devices and the problems of each. The records are read again for it.
    pub fn machines(&self) -> impl Iterator<Item = (Machine<'_>, Vec<Problem>)> + '_ {
        let mut start = BEGINNING.len();
        self.checks.iter().filter_map(move |check| {
            let record = self.text.get(start..check.end)?;
            // The next one is behind a comma.
            start = check.end + 1;
            Some((Machine::from_json(record).ok()?, check.problems.iter().collect()))
        })
    }

    /// `{"machines":[{…}],"checks":[{"id":"…","problems":["offline"]}],"more":false}`
    pub fn into_json(self) -> String {
        let mut text = self.text;
        append(&mut text, "],\"checks\":[");
        for (at, check) in self.checks.iter().enumerate() {
            append(&mut text, if at > 0 { ",{\"id\":\"" } else { "{\"id\":\"" });
            append(&mut text, std::str::from_utf8(&check.id).unwrap_or_default());
            append(&mut text, "\",\"problems\":[");
            for (at, problem) in check.problems.iter().enumerate() {
                append(&mut text, if at > 0 { ",\"" } else { "\"" });
                append(&mut text, problem.name());
                append(&mut text, "\"");
            }
            append(&mut text, "]}");
        }
        append(&mut text, if self.more { "],\"more\":true}" } else { "],\"more\":false}" });
        text
    }
}

/// Appends to a text that may become long. Its room grows by an eighth. A `String` would double it.
fn append(text: &mut String, part: &str) {
    // A byte more, for the NUL at the end of C strings.
    let needed = part.len() + 1;
    if text.capacity() - text.len() < needed {
        text.reserve_exact(needed.max(text.len() / 8));
    }
    text.push_str(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(letter: &str) -> String {
        letter.repeat(40)
    }

    fn found(machines: &[&str]) -> Found {
        let mut found = Found::new(1_000);
        for json in machines {
            let mut json = (*json).to_owned();
            for letter in ["a", "b", "c", "d", "e"] {
                json = json
                    .replace(&format!(r#""id":"{letter}""#), &format!(r#""id":"{}""#, id(letter)));
            }
            assert!(found.add(&Machine::from_json(&json).unwrap()));
        }
        found.check_names();
        found
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
            let json = found(&[&format!(r#"{{"id":"a",{members}}}"#)]).into_json();
            assert!(
                json.contains(&format!(
                    r#""checks":[{{"id":"{}","problems":["{problem}"]}}]"#,
                    id("a")
                )),
                "{json}"
            );
        }
        let fine = r#"{"id":"a","mergedIntoMachineId":null,"healthStatus":"Active","onboardingStatus":"Onboarded"}"#;
        let json = found(&[fine]).into_json();
        let expected = format!(
            r#"{{"machines":[{fine}],"checks":[{{"id":"a","problems":[]}}],"more":false}}"#
        );
        assert_eq!(json, expected.replace(r#""id":"a""#, &format!(r#""id":"{}""#, id("a"))));
        assert_eq!(found(&[]).into_json(), r#"{"machines":[],"checks":[],"more":false}"#);
    }

    #[test]
    fn devices_that_share_a_name_are_marked_and_read_again() {
        let same = found(&[
            r#"{"id":"a","computerDnsName":"pc1","healthStatus":"Inactive"}"#,
            r#"{"id":"b","computerDnsName":"PC1"}"#,
            r#"{"id":"c","computerDnsName":"pc2"}"#,
            r#"{"id":"d"}"#,
            r#"{"id":"e"}"#,
        ]);
        let read: Vec<(String, Vec<Problem>)> = same
            .machines()
            .map(|(machine, problems)| (machine.id().to_owned(), problems))
            .collect();
        let expected = [
            ("a", vec![Problem::SameName, Problem::Offline]),
            ("b", vec![Problem::SameName]),
            ("c", vec![]),
            ("d", vec![]),
            ("e", vec![]),
        ];
        assert_eq!(read, expected.map(|(letter, problems)| (id(letter), problems)));
        assert_eq!((same.len(), same.is_empty(), same.more()), (5, false, false));
    }

    #[test]
    fn a_hundred_thousand_devices_take_little_more_than_their_records() {
        let mut found = Found::new(100_000);
        let filling = "x".repeat(1_000);
        let mut records = 0;
        for number in 0..100_001 {
            let json = format!(
                r#"{{"id":"{number:040x}","computerDnsName":"PC{}","x":"{filling}"}}"#,
                number / 2
            );
            let taken = found.add(&Machine::from_json(&json).unwrap());
            assert_eq!(taken, number < 100_000);
            records += if taken { json.len() } else { 0 };
        }
        found.check_names();
        assert!(found.checks.iter().all(|check| check.problems.iter().count() == 1));
        let kept = found.text.capacity() + found.checks.capacity() * size_of::<Check>();
        assert!(kept < records + records / 4, "{kept} for {records}");
        assert_eq!((found.len(), found.more()), (100_000, true));
        let json = found.into_json();
        assert!(json.capacity() < records + records / 3, "{} for {records}", json.capacity());
        let document: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(document["checks"].as_array().unwrap().len(), 100_000);
        assert_eq!(document["checks"][99_999]["problems"], serde_json::json!(["same_name"]));
        assert_eq!(document["more"], true);
    }
}
