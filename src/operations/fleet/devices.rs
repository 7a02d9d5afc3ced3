//! The devices of a job, as callers give them.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::operations::arguments;
use crate::text::{json, redact, windows_name};

/// The most devices of one job.
pub(super) const MOST: usize = 100_000;

pub(super) const ACCEPTED: &str = "an array of device ids or of {\"machine_id\",\"comment\"?,\"file\"?}, the document of \
                        mde_find_machines, or {\"devices\":[...],\"retry\":\"failed\"}; up to 100,000 devices";

/// The problems for which a device is skipped. An offline one waits.
const SKIPPED: [&str; 4] = ["potential_duplicate", "merged", "unsupported", "not_onboarded"];

/// The devices of a job, each once, in the order given.
#[derive(Clone, Debug, Default)]
pub struct Devices {
    pub(super) list: Vec<Device>,
    /// Devices that failed for good are asked again.
    pub(super) retry_failed: bool,
    /// No devices were given. The job in the folder is resumed.
    pub(super) is_resume: bool,
}

/// One device.
#[derive(Clone, Debug)]
pub(super) struct Device {
    pub id: Box<str>,
    pub comment: Option<Box<str>>,
    pub file: Option<Box<str>>,
    /// The problems for which it is skipped, as a JSON array.
    pub problems: Option<Box<str>>,
}

impl Devices {
    /// No devices: the job in the folder is resumed.
    pub fn resume() -> Devices {
        Devices { is_resume: true, ..Devices::default() }
    }

    /// Reads the devices from JSON: an array of ids or of `{"machine_id","comment"?,"file"?}`, the document of
    /// `find_machines` with all that it has found, or `{"devices":[…],"retry":"failed"}`. An empty array resumes.
    pub fn from_json(text: &str) -> Result<Devices> {
        let text = text.trim_ascii();
        if text.starts_with('[') {
            return list(text);
        }
        let other = "is not JSON of these forms";
        if !text.starts_with('{') {
            return Err(refused(other));
        }
        let document: Document<'_> =
            serde_json::from_str(text).map_err(|_| {
                match unknown_member(text, &Document::MEMBERS) {
                    Some(unknown) => refused(&format!("has {unknown}")),
                    None => refused(other),
                }
            })?;
        match document {
            Document {
                devices: Some(devices),
                retry,
                machines: None,
                checks: None,
                more: None,
            } => {
                if retry.as_ref().is_some_and(|retry| retry != "failed") {
                    return Err(refused("has another `retry` than \"failed\""));
                }
                Ok(Devices { retry_failed: retry.is_some(), ..list(devices.get())? })
            }
            Document { devices: None, retry: None, machines: Some(machines), checks, more } => {
                if more == Some(true) {
                    return Err(Error::argument(
                        "devices_json",
                        "is a search that has found more devices than it names (`more` is true)",
                        "the document of a narrower query, or an array of the ids of these devices alone",
                    ));
                }
                found(machines, checks.unwrap_or_default())
            }
            _ => Err(refused(other)),
        }
    }
}

fn refused(problem: &str) -> Error {
    Error::argument("devices_json", problem, ACCEPTED)
}

/// The first member of an object that is not one of these, in words.
fn unknown_member(object: &str, members: &[&str]) -> Option<String> {
    const LONGEST: usize = 64;
    let all: BTreeMap<String, IgnoredAny> = serde_json::from_str(object).ok()?;
    let unknown = all.into_keys().find(|name| !members.contains(&name.as_str()))?;
    Some(format!("the unknown member `{}`", redact::visible(&unknown, LONGEST)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'a> {
    #[serde(borrow)]
    devices: Option<&'a RawValue>,
    retry: Option<String>,
    #[serde(borrow)]
    machines: Option<Vec<Id<'a>>>,
    checks: Option<Vec<Check>>,
    more: Option<bool>,
}

impl Document<'_> {
    const MEMBERS: [&'static str; 5] = ["devices", "retry", "machines", "checks", "more"];
}

/// A device record, or the item of a list.
#[derive(Deserialize)]
struct Id<'a> {
    #[serde(borrow)]
    id: json::Lenient<'a>,
}

#[derive(Deserialize)]
struct Check {
    id: String,
    problems: Vec<String>,
}

/// An array of ids, or of objects.
fn list(text: &str) -> Result<Devices> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        machine_id: String,
        comment: Option<String>,
        file: Option<String>,
    }
    const MEMBERS: [&str; 3] = ["machine_id", "comment", "file"];
    let items: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|_| refused("is not a JSON array"))?;
    let mut all = Collected::default();
    for (at, item) in items.iter().enumerate() {
        let item = item.get();
        let unusable = || match unknown_member(item, &MEMBERS) {
            Some(unknown) => refused(&format!("has an item {at} with {unknown}")),
            None => refused(&format!("has an item {at} that is no device")),
        };
        let device = match item.starts_with('"') {
            true => {
                let id: String = serde_json::from_str(item).map_err(|_| unusable())?;
                Device { id: id.into(), comment: None, file: None, problems: None }
            }
            false => {
                let item: Item = serde_json::from_str(item).map_err(|_| unusable())?;
                Device {
                    id: item.machine_id.into(),
                    comment: item.comment.map(Into::into),
                    file: item.file.map(Into::into),
                    problems: None,
                }
            }
        };
        all.add(device, at)?;
    }
    let is_resume = all.list.is_empty();
    Ok(Devices { list: all.list, retry_failed: false, is_resume })
}

/// The document of a search, whose problems are heeded.
fn found(machines: Vec<Id<'_>>, checks: Vec<Check>) -> Result<Devices> {
    let mut all = Collected::default();
    let mut checks: HashMap<String, Vec<String>> =
        checks.into_iter().map(|check| (check.id, check.problems)).collect();
    for (at, machine) in machines.iter().enumerate() {
        let id = machine.id.text().unwrap_or_default();
        let problems: Vec<String> = checks.remove(&id).unwrap_or_default();
        let problems: Vec<String> =
            problems.into_iter().filter(|one| SKIPPED.contains(&one.as_str())).collect();
        let problems = (!problems.is_empty()).then(|| json::text(&problems).into());
        all.add(Device { id: id.into(), comment: None, file: None, problems }, at)?;
    }
    Ok(Devices { list: all.list, retry_failed: false, is_resume: false })
}

#[derive(Default)]
struct Collected {
    list: Vec<Device>,
    ids: HashSet<String>,
    files: HashSet<String>,
}

impl Collected {
    /// Adds a device, unless it is there already.
    fn add(&mut self, device: Device, at: usize) -> Result<()> {
        let inside = |error: Error| {
            let message = format!("argument `devices_json`, item {at}: {}", error.message());
            error.with_message(message)
        };
        arguments::machine_id(&device.id).map_err(inside)?;
        if let Some(comment) = &device.comment {
            arguments::comment(comment).map_err(inside)?;
        }
        if !self.ids.insert(device.id.to_ascii_lowercase()) {
            return Ok(());
        }
        if let Some(file) = &device.file {
            check_file(file).map_err(inside)?;
            if !self.files.insert(file.to_lowercase()) {
                let problem = "is the name of two packages";
                return Err(inside(Error::argument("file", problem, "a name for each device")));
            }
        }
        if self.list.len() >= MOST {
            return Err(refused("has too many devices"));
        }
        self.list.push(device);
        Ok(())
    }
}

/// Accepts the name of a file in the folder that no file of the job has.
fn check_file(name: &str) -> Result<()> {
    const LONGEST: usize = 200;
    /// What the library writes itself, in the folder or beside a package.
    const RESERVED: [&str; 8] =
        [".journal", ".jsonl", ".json", ".lock", ".part", ".new", ".sha256", ".unsafe"];
    let lower = name.to_ascii_lowercase();
    let problem = match name.len() {
        0 => "is empty",
        _ if name.len() > LONGEST => "is too long",
        _ if name.contains(|c: char| c.is_control() || "/\\:*?\"<>|".contains(c)) => {
            "has characters that not every system allows"
        }
        _ if name.starts_with('.') || name.ends_with(['.', ' ']) => {
            "begins with a dot, or ends with a dot or a space"
        }
        _ if windows_name::is_device(name.as_bytes()) => "is a device on Windows",
        _ if RESERVED.iter().any(|ending| lower.ends_with(ending))
            || lower.ends_with(".damaged")
            || lower == "sha256sums" =>
        {
            "is one that the library uses itself"
        }
        _ => return Ok(()),
    };
    Err(Error::argument("file", problem, "the name of a file in the folder, such as pc1.zip"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    const A: &str = "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9";
    const B: &str = "59e96a8dd67ac4f1ce9952ccedcde711f0ce28e9";

    fn ids(devices: &Devices) -> Vec<&str> {
        devices.list.iter().map(|device| &*device.id).collect()
    }

    #[test]
    fn every_form_is_read_and_a_device_counts_once() {
        let upper = A.to_uppercase();
        let plain = Devices::from_json(&format!(r#" ["{A}", "{B}", "{upper}"] "#)).unwrap();
        assert_eq!(ids(&plain), [A, B]);
        let objects = format!(r#"[{{"machine_id":"{A}","comment":"why","file":"a.zip"}},"{B}"]"#);
        let devices = Devices::from_json(&objects).unwrap();
        assert_eq!(ids(&devices), [A, B]);
        assert_eq!(devices.list[0].file.as_deref(), Some("a.zip"));
        let again = format!(r#"{{"devices":{objects},"retry":"failed"}}"#);
        assert!(Devices::from_json(&again).unwrap().retry_failed);
        let found = format!(
            r#"{{"machines":[{{"id":"{A}","x":1}},{{"id":"{B}"}}],"checks":[{{"id":"{A}","problems":["offline"]}},{{"id":"{B}","problems":["merged","offline"]}}],"more":false}}"#
        );
        let devices = Devices::from_json(&found).unwrap();
        assert_eq!(ids(&devices), [A, B]);
        assert_eq!(devices.list[0].problems, None);
        assert_eq!(devices.list[1].problems.as_deref(), Some(r#"["merged"]"#));
        assert!(Devices::from_json("[]").unwrap().is_resume);
    }

    #[test]
    fn bad_devices_are_named() {
        let with_file =
            |file: &str| serde_json::json!([{"machine_id": A, "file": file}]).to_string();
        let mut bad: Vec<(String, &str)> = vec![
            (String::new(), "not JSON"),
            ("7".to_owned(), "not JSON"),
            ("{}".to_owned(), "not JSON"),
            ("[1]".to_owned(), "item 0"),
            (format!(r#"["{A}",{{"comment":"x"}}]"#), "an item 1 that is no device"),
            (
                format!(r#"["{A}",{{"machines_id":"{B}"}}]"#),
                "item 1 with the unknown member `machines_id`",
            ),
            (
                format!(r#"[{{"machine_id":"{A}","a\nb":1}}]"#),
                "item 0 with the unknown member `a?b`",
            ),
            (
                format!(r#"{{"device":["{A}"]}}"#),
                "has the unknown member `device`; expected an array",
            ),
            (format!(r#"{{"devices":["{A}"],"checks":[]}}"#), "not JSON of these forms"),
            (
                format!(r#"{{"machines":[{{"id":"{A}"}}],"retry":"failed"}}"#),
                "not JSON of these forms",
            ),
            (
                format!(r#"{{"machines":[{{"id":"{A}"}}],"check":[]}}"#),
                "the unknown member `check`",
            ),
            (
                format!(r#"{{"machines":[{{"id":"{A}"}}],"checks":[],"more":true}}"#),
                "(`more` is true); expected the document of a narrower query, or an array",
            ),
            (format!(r#"["{A}","a/b"]"#), "item 1: argument `machine_id`"),
            (r#"[{"machine_id":"a","comment":" "}]"#.to_owned(), "item 0: argument `comment`"),
            (format!(r#"{{"devices":["{A}"],"retry":"all"}}"#), "`retry`"),
            (
                format!(r#"[{{"machine_id":"{A}","file":"x"}},{{"machine_id":"{B}","file":"X"}}]"#),
                "item 1",
            ),
            (json::text(&(0..=MOST).map(|n| n.to_string()).collect::<Vec<_>>()), "too many"),
        ];
        for file in
            ["", "a/b", "..", "a\u{0}", "nul", "fleet.journal", "SHA256SUMS", "x.part", "x."]
        {
            bad.push((with_file(file), "item 0: argument `file`"));
        }
        for (text, part) in bad {
            let error = Devices::from_json(&text).unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument, "{error}");
            assert!(error.message().contains("`devices_json`"), "{error}");
            assert!(error.message().contains(part), "{error}");
        }
    }
}
