//! Machine actions as the service describes them, kept whole.
//!
//! The service adds members and enum names without notice. So an action keeps the service's text for the callers, and
//! the few members that the library needs. A missing, null or oddly typed member counts as unknown.
//!
//! Source: "machineAction resource type", and the service's own `$metadata`.

use std::time::SystemTime;

use serde::Deserialize;
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::text::{json, surrogates};

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

impl ActionStatus {
    fn from_name(name: &str) -> ActionStatus {
        // Some gateways write the names in lower case.
        match name {
            _ if name.eq_ignore_ascii_case("Pending") => ActionStatus::Pending,
            _ if name.eq_ignore_ascii_case("InProgress") => ActionStatus::InProgress,
            _ if name.eq_ignore_ascii_case("Succeeded") => ActionStatus::Succeeded,
            _ if name.eq_ignore_ascii_case("Failed") => ActionStatus::Failed,
            _ if name.eq_ignore_ascii_case("TimeOut") => ActionStatus::TimeOut,
            _ if name.eq_ignore_ascii_case("Cancelled") => ActionStatus::Cancelled,
            // Older replies used the American spelling.
            _ if name.eq_ignore_ascii_case("Canceled") => ActionStatus::Cancelled,
            _ => ActionStatus::Other(name.to_owned()),
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

/// One machine action: the service's own JSON, and the members that the library reads.
#[derive(Clone, Debug)]
pub struct MachineAction {
    json: Box<str>,
    status: ActionStatus,
    members: Box<Members>,
}

/// The members that the library reads. A member that is not a string counts as unknown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Members {
    id: Value,
    status: Value,
    #[serde(rename = "type")]
    kind: Value,
    #[serde(rename = "machineId")]
    machine_id: Value,
    #[serde(rename = "computerDnsName")]
    computer_name: Value,
    #[serde(rename = "requestorComment")]
    comment: Value,
    #[serde(rename = "creationDateTimeUtc")]
    created: Value,
}

impl MachineAction {
    /// Parses one action. The error completes "the reply …".
    pub(crate) fn from_json(json: &str) -> Result<MachineAction, &'static str> {
        let json = &*surrogates::paired(json.trim_ascii());
        // A derived reader would also take an array for a record.
        if !json.starts_with('{') {
            return Err("is not a JSON object");
        }
        // Parses the whole text, to check it.
        let members: Box<Members> =
            serde_json::from_str(json).map_err(|_| "is not a usable record")?;
        if members.id.as_str().is_none_or(str::is_empty) {
            return Err("has no action id");
        }
        let status = ActionStatus::from_name(members.status.as_str().unwrap_or_default());
        Ok(MachineAction { json: json.into(), status, members })
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
        self.members.id.as_str().unwrap_or_default()
    }

    /// The action's state.
    pub fn status(&self) -> &ActionStatus {
        &self.status
    }

    /// The kind of action, for example `CollectInvestigationPackage`; the set grows.
    pub fn kind(&self) -> Option<&str> {
        self.members.kind.as_str()
    }

    /// The device's id, 40 hexadecimal digits.
    pub fn machine_id(&self) -> Option<&str> {
        self.members.machine_id.as_str()
    }

    /// The device's DNS name. The service does not know it in the first moments of an action.
    pub fn computer_name(&self) -> Option<&str> {
        self.members.computer_name.as_str().filter(|name| !name.is_empty())
    }

    /// The comment of the request for the action.
    pub fn requestor_comment(&self) -> Option<&str> {
        self.members.comment.as_str()
    }

    /// When the action was created: ISO 8601, UTC, with up to seven fraction digits.
    pub fn created(&self) -> Option<&str> {
        self.members.created.as_str()
    }

    /// When the action was created, if the text is readable.
    pub(crate) fn created_at(&self) -> Option<SystemTime> {
        humantime::parse_rfc3339_weak(self.created()?).ok()
    }
}

/// Serialized as the service sent it.
impl Serialize for MachineAction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.json).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// One page of a list: `{"value":[…],"@odata.nextLink":"…"}`.
pub(crate) struct Page {
    pub actions: Vec<MachineAction>,
    pub next: Option<String>,
}

impl Page {
    pub(crate) fn from_slice(body: &[u8]) -> Result<Page, &'static str> {
        #[derive(Deserialize)]
        struct List<'a> {
            #[serde(borrow)]
            value: Vec<&'a RawValue>,
            #[serde(default, rename = "@odata.nextLink")]
            next: Value,
        }
        let list: List = json::read(body).ok_or("is not a list of actions")?;
        Ok(Page {
            actions: list
                .value
                .into_iter()
                .map(|action| MachineAction::from_json(action.get()))
                .collect::<Result<_, _>>()?,
            next: list.next.as_str().filter(|next| !next.is_empty()).map(str::to_owned),
        })
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
        MachineAction::from_json(json)
    }

    #[test]
    fn unknown_members_and_numbers_survive_exactly() {
        let json = r#"{"id":"a","status":"Pending","newMember":{"n":1.10,"big":123456789012345678901234567890}}"#;
        assert_eq!(action(json).unwrap().json(), json);
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
            "{\"id\":\"a\",\"b\":\"\u{0}\"}",
            "",
        ] {
            assert!(action(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pages_carry_their_next_link() {
        let page = Page::from_slice(
            br#"{"@odata.context":"c","@odata.nextLink":"https://h/api/x?$skip=2","value":[{"id":"a"},{"id":"b"}]}"#,
        )
        .unwrap();
        assert_eq!(page.actions.len(), 2);
        assert_eq!(page.next.as_deref(), Some("https://h/api/x?$skip=2"));
        assert!(Page::from_slice(br#"{"value":{}}"#).is_err());
        assert!(Page::from_slice(br#"{"value":[{}]}"#).is_err());
    }
}
