//! Machine actions as the service describes them, kept whole.
//!
//! The service adds members and enum names without notice. So an action keeps the service's text for the callers, and
//! the few members that the library needs. A missing, null or oddly typed member counts as unknown. An id must be a GUID.
//!
//! Source: "machineAction resource type", and the service's own `$metadata`.

use std::time::SystemTime;

use serde::Deserialize;
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

use super::machine::is_device_id;
use crate::text::guid::is_guid;
use crate::text::json::{Lenient, is_deep};
use crate::text::{redact, surrogates};

/// The state of a machine action.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ActionStatus {
    /// The device has not started it.
    Pending,
    /// The device runs it.
    InProgress,
    /// It ended with success.
    Succeeded,
    /// It ended with a failure.
    Failed,
    /// The device did not start or finish it in time.
    TimeOut,
    /// It was cancelled.
    Cancelled,
    /// A state that this version does not know, by the service's name. Empty: the service sent none.
    Other(String),
}

/// The longest name that is kept of a state that this version does not know.
const LONGEST_STATE: usize = 64;

impl ActionStatus {
    pub(super) fn from_name(name: String, mask: &dyn Fn(&mut String)) -> ActionStatus {
        // Some gateways write the names in lower case.
        match name.as_str() {
            _ if name.eq_ignore_ascii_case("Pending") => ActionStatus::Pending,
            _ if name.eq_ignore_ascii_case("InProgress") => ActionStatus::InProgress,
            _ if name.eq_ignore_ascii_case("Succeeded") => ActionStatus::Succeeded,
            _ if name.eq_ignore_ascii_case("Failed") => ActionStatus::Failed,
            _ if name.eq_ignore_ascii_case("TimeOut") => ActionStatus::TimeOut,
            _ if name.eq_ignore_ascii_case("Cancelled") => ActionStatus::Cancelled,
            // Older replies used the American spelling.
            _ if name.eq_ignore_ascii_case("Canceled") => ActionStatus::Cancelled,
            _ => {
                let name = masked(name, mask);
                ActionStatus::Other(redact::clean(&name, LONGEST_STATE))
            }
        }
    }

    /// The service's name of the state.
    pub fn name(&self) -> &str {
        match self {
            ActionStatus::Pending => "Pending",
            ActionStatus::InProgress => "InProgress",
            ActionStatus::Succeeded => "Succeeded",
            ActionStatus::Failed => "Failed",
            ActionStatus::TimeOut => "TimeOut",
            ActionStatus::Cancelled => "Cancelled",
            ActionStatus::Other(name) => name,
        }
    }

    /// Whether the action has reached its end.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            ActionStatus::Succeeded
                | ActionStatus::Failed
                | ActionStatus::TimeOut
                | ActionStatus::Cancelled
        )
    }
}

/// Serialized as the service's name.
impl Serialize for ActionStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The type of a collection's machine action.
pub(crate) const COLLECTION: &str = "CollectInvestigationPackage";

/// The problem of a record that the host's own reader of JSON may not take.
pub(super) const TOO_DEEP: &str = "has a record that is nested too deeply";

/// The longest name that is kept of a device.
const LONGEST_NAME: usize = 255;

/// The name without secrets. One that is much longer than any real one is not looked at: masking takes time and memory.
fn masked(mut name: String, mask: &dyn Fn(&mut String)) -> String {
    const LONGEST: usize = 4_096;
    if name.len() > LONGEST {
        return "…".to_owned();
    }
    mask(&mut name);
    name
}

/// One machine action: the service's own JSON, and the members that the library reads.
#[derive(Clone, Debug)]
pub struct MachineAction {
    json: Box<str>,
    status: ActionStatus,
    members: Box<Members>,
}

/// The members that the library reads. Those that are not strings count as unknown.
#[derive(Clone, Debug)]
struct Members {
    id: Box<str>,
    kind: Option<Box<str>>,
    machine_id: Option<Box<str>>,
    computer_name: Option<Box<str>>,
    comment: Option<Box<str>>,
    created: Option<Box<str>>,
}

impl MachineAction {
    /// Parses one action. `mask` masks the secrets that the service was sent. The error completes "the reply …".
    ///
    /// The JSON is kept as it is. The names in it that become part of messages, events and file names are cleaned here.
    pub(crate) fn from_json(
        json: &str,
        mask: &dyn Fn(&mut String),
    ) -> Result<MachineAction, &'static str> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Record<'a> {
            #[serde(borrow)]
            id: Lenient<'a>,
            #[serde(borrow)]
            status: Lenient<'a>,
            #[serde(borrow, rename = "type")]
            kind: Lenient<'a>,
            #[serde(borrow, rename = "machineId")]
            machine_id: Lenient<'a>,
            #[serde(borrow, rename = "computerDnsName")]
            computer_name: Lenient<'a>,
            #[serde(borrow, rename = "requestorComment")]
            comment: Lenient<'a>,
            #[serde(borrow, rename = "creationDateTimeUtc")]
            created: Lenient<'a>,
        }
        let json = &*surrogates::paired(json.trim_ascii());
        // A derived reader would also take an array for a record.
        if !json.starts_with('{') {
            return Err("is not a JSON object");
        }
        // Parses the whole text, to check it.
        let record: Record<'_> =
            serde_json::from_str(json).map_err(|_| "is not a usable record")?;
        if is_deep(json) {
            return Err(TOO_DEEP);
        }
        let id = record.id.text().filter(|id| !id.is_empty()).ok_or("has no action id")?;
        if !is_guid(&id) {
            return Err("has an action id that is no GUID");
        }
        let name =
            |text: String| redact::visible(&masked(text, mask), LONGEST_NAME).into_boxed_str();
        let machine_id = record.machine_id.text().filter(|id| !id.is_empty());
        let members = Members {
            id: id.into(),
            kind: record.kind.text().map(Box::from),
            machine_id: machine_id.map(|id| if is_device_id(&id) { id.into() } else { name(id) }),
            computer_name: record.computer_name.text().filter(|name| !name.is_empty()).map(name),
            comment: record.comment.text().map(Box::from),
            created: record.created.text().map(Box::from),
        };
        let status = ActionStatus::from_name(record.status.text().unwrap_or_default(), mask);
        Ok(MachineAction { json: json.into(), status, members: Box::new(members) })
    }

    /// The action as the service sent it, unknown members included: a JSON object.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// `{"action":{…}}`
    pub fn to_json(&self) -> String {
        document("{\"action\":", [self.json()], "}")
    }

    /// The action's id, a GUID.
    pub fn id(&self) -> &str {
        &self.members.id
    }

    /// Whether this is the action with that id.
    pub(crate) fn has_id(&self, id: &str) -> bool {
        self.id().eq_ignore_ascii_case(id)
    }

    /// The action's state.
    pub fn status(&self) -> &ActionStatus {
        &self.status
    }

    /// The kind of action, for example `CollectInvestigationPackage`; the set grows.
    pub fn kind(&self) -> Option<&str> {
        self.members.kind.as_deref()
    }

    /// The device's id, 40 hexadecimal digits.
    pub fn machine_id(&self) -> Option<&str> {
        self.members.machine_id.as_deref()
    }

    /// The device's DNS name. The service does not know it in the first moments of an action.
    pub fn computer_name(&self) -> Option<&str> {
        self.members.computer_name.as_deref()
    }

    /// The comment of the request for the action.
    pub fn requestor_comment(&self) -> Option<&str> {
        self.members.comment.as_deref()
    }

    /// When the action was created: ISO 8601, UTC, with up to seven fraction digits.
    pub fn created(&self) -> Option<&str> {
        self.members.created.as_deref()
    }

    /// When the action was created, if the text is readable.
    pub(crate) fn created_at(&self) -> Option<SystemTime> {
        humantime::parse_rfc3339_weak(self.created()?).ok()
    }

    /// Checks that this is not the action of another device, or of another kind than a collection. `device`: its id, as
    /// far as it is known. Members that are missing are not compared. The error completes "the reply …".
    pub(crate) fn check_collection_of(&self, device: Option<&str>) -> Result<(), &'static str> {
        if self.kind().is_some_and(|kind| !kind.eq_ignore_ascii_case(COLLECTION)) {
            return Err("has an action that is no collection");
        }
        match self.machine_id().zip(device) {
            Some((named, device)) if !named.eq_ignore_ascii_case(device) => {
                Err("has an action of another device")
            }
            _ => Ok(()),
        }
    }
}

/// Serialized as the service sent it.
impl Serialize for MachineAction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.json).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// Joins JSON texts into a document, with commas between them. Parsing them again for a `RawValue` would cost a tenth
/// of a call.
pub(crate) fn document<'a>(
    before: &str,
    texts: impl IntoIterator<Item = &'a str, IntoIter: Clone>,
    after: &str,
) -> String {
    let texts = texts.into_iter();
    // The first text has no comma before it. That byte is for the NUL at the end of C strings.
    let length = texts.clone().map(|text| text.len() + 1).sum::<usize>().max(1);
    let mut document = String::with_capacity(before.len() + length + after.len());
    document.push_str(before);
    for (at, text) in texts.enumerate() {
        document.push_str(if at > 0 { "," } else { "" });
        document.push_str(text);
    }
    document.push_str(after);
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(json: &str) -> Result<MachineAction, &'static str> {
        MachineAction::from_json(&json.replace("\"a\"", &format!("\"{ID}\"")), &|_| {})
    }

    const ID: &str = "5382f7ea-7557-4ab7-9782-d50480024a4e";

    #[test]
    fn unknown_members_and_numbers_survive_exactly() {
        let json = r#"{"id":"a","status":"Pending","newMember":{"n":1.10,"big":123456789012345678901234567890}}"#;
        assert_eq!(action(json).unwrap().json(), json.replace("\"a\"", &format!("\"{ID}\"")));
    }

    #[test]
    fn unknown_states_keep_their_name() {
        for name in ["succeeded", "SUCCEEDED", "Succeeded"] {
            let json = format!(r#"{{"id":"a","status":"{name}"}}"#);
            assert_eq!(action(&json).unwrap().status(), &ActionStatus::Succeeded);
        }
        let odd = action(r#"{"id":"a","status":"Paused"}"#).unwrap();
        assert_eq!(odd.status(), &ActionStatus::Other("Paused".into()));
        assert!(!odd.status().is_final());
        let none = action(r#"{"id":"a","status":null}"#).unwrap();
        assert_eq!(none.status(), &ActionStatus::Other(String::new()));
        let typed = action(r#"{"id":"a","status":{"x":[1]},"machineId":7}"#).unwrap();
        assert_eq!(typed.status(), &ActionStatus::Other(String::new()));
        assert_eq!(typed.machine_id(), None);
    }

    #[test]
    fn an_action_needs_an_id() {
        for bad in [
            r#"{}"#,
            r#"{"id":null}"#,
            r#"{"id":""}"#,
            r#"[]"#,
            r#""x""#,
            r#"{"id":5}"#,
            r#"["a"]"#,
            r#"{"id":"a"} x"#,
            r#"{"id":"a",}"#,
            r#"{"id":"5382f7ea75574ab79782d50480024a4e"}"#,
            r#"{"id":"5382f7ea-7557-4ab7-9782-d50480024a4e\n"}"#,
            r#"{"id":"\u202e382f7ea-7557-4ab7-9782-d50480024a4e"}"#,
            "{\"id\":\"a\",\"b\":\"\u{0}\"}",
            "",
        ] {
            assert!(action(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_for_messages_and_files_are_clean_and_the_json_is_not_changed() {
        let json = format!(
            r#"{{"id":"{ID}","status":"Odd\u001b[2J\u202e","computerDnsName":"pc\n\u200b-secret-1","machineId":"m\r"}}"#
        );
        let masked =
            MachineAction::from_json(&json, &|text| redact::mask(text, &["secret-1"])).unwrap();
        assert_eq!(masked.status().name(), "Odd [2J");
        assert_eq!((masked.computer_name(), masked.machine_id()), (Some("pc??-***"), Some("m?")));
        assert_eq!(masked.json(), json);
        let state = action(r#"{"id":"a","status":"canary-state"}"#).unwrap();
        assert_eq!(state.status().name(), "canary-state");
    }

    #[test]
    fn another_device_and_another_kind_are_noticed() {
        let (device, other) = ("a1".repeat(20), "b2".repeat(20));
        let of = |members: &str| action(&format!(r#"{{"id":"a"{members}}}"#)).unwrap();
        let check = |members: &str| of(members).check_collection_of(Some(&device));
        for fine in [
            String::new(),
            format!(r#","machineId":"{}","type":"{COLLECTION}""#, device.to_uppercase()),
            r#","machineId":null,"type":8"#.to_owned(),
            r#","machineId":"","type":"collectinvestigationpackage""#.to_owned(),
        ] {
            assert_eq!(check(&fine), Ok(()), "{fine}");
        }
        for id in [other.as_str(), "x", &device[1..]] {
            let members = format!(r#","machineId":"{id}","type":"{COLLECTION}""#);
            assert_eq!(check(&members), Err("has an action of another device"), "{id}");
            assert_eq!(of(&members).check_collection_of(None), Ok(()));
        }
        let long = format!(r#","machineId":"{}""#, "x".repeat(5_000));
        assert_eq!(check(&long), Err("has an action of another device"));
        let isolation = format!(r#","machineId":"{device}","type":"Isolate""#);
        assert_eq!(check(&isolation), Err("has an action that is no collection"));
    }
}
