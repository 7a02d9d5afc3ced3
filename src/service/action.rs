//! Machine actions as the service describes them, kept whole.
//!
//! The service adds members and enum names without notice, so an action is two things here: the text
//! as it came, which is what callers get, and the few members the library itself needs, read
//! leniently: a missing, null or oddly typed member is simply not known.
//!
//! Source: "machineAction resource type", and the service's own `$metadata`.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::time::SystemTime;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::text::{json, surrogates};

/// The state of a machine action.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ActionStatus {
    /// Not yet taken up by the device.
    Pending,
    /// The device works on it.
    InProgress,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// The device did not take it up, or did not finish it, in time.
    TimeOut,
    /// Cancelled.
    Cancelled,
    /// A state this version does not know, by the service's name (empty: the service gave none).
    Other(String),
}

impl ActionStatus {
    fn from_name(name: &str) -> ActionStatus {
        match name {
            "Pending" => ActionStatus::Pending,
            "InProgress" => ActionStatus::InProgress,
            "Succeeded" => ActionStatus::Succeeded,
            "Failed" => ActionStatus::Failed,
            "TimeOut" => ActionStatus::TimeOut,
            // Older replies used the American spelling.
            "Cancelled" | "Canceled" => ActionStatus::Cancelled,
            other => ActionStatus::Other(other.to_owned()),
        }
    }

    /// The service's name for it.
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

/// One machine action: the service's own JSON, and the members the library looks at.
#[derive(Clone, Debug)]
pub struct MachineAction {
    json: Box<str>,
    id: Text,
    status: ActionStatus,
    kind: Option<Text>,
    machine_id: Option<Text>,
    computer_name: Option<Text>,
    comment: Option<Text>,
    created: Option<Text>,
}

/// A string of a record. A list may have ten thousand records, so what stands in one is not stored again.
#[derive(Clone, Debug)]
enum Text {
    /// Where it stands in the JSON.
    Within(Range<usize>),
    /// As it is without the escapes that it is written with.
    Own(Box<str>),
}

impl Text {
    fn of(json: &str, text: Cow<'_, str>) -> Text {
        match text {
            Cow::Borrowed(text) => {
                let start = text.as_ptr().addr().wrapping_sub(json.as_ptr().addr());
                Text::Within(start..start.wrapping_add(text.len()))
            }
            Cow::Owned(text) => Text::Own(text.into()),
        }
    }

    fn within<'a>(&'a self, json: &'a str) -> &'a str {
        match self {
            Text::Within(range) => json.get(range.clone()).unwrap_or_default(),
            Text::Own(text) => text,
        }
    }
}

impl MachineAction {
    /// Reads one action; the error says what is missing.
    pub(crate) fn from_json(json: &str) -> Result<MachineAction, &'static str> {
        let json = &*surrogates::paired(json.trim_ascii());
        // A derived reader would also take an array for a record.
        if !json.starts_with('{') {
            return Err("is not a JSON object");
        }
        // The whole text is read, and so checked, although most of it is not looked at.
        let view: View = serde_json::from_str(json).map_err(|_| "is not a usable record")?;
        let text = |text| Text::of(json, text);
        let Some(id) = view.id.filter(|id| !id.is_empty()) else {
            return Err("has no action id");
        };
        Ok(MachineAction {
            json: json.into(),
            id: text(id),
            status: ActionStatus::from_name(view.status.as_deref().unwrap_or_default()),
            kind: view.kind.map(text),
            machine_id: view.machine_id.map(text),
            computer_name: view.computer_name.filter(|name| !name.is_empty()).map(text),
            comment: view.comment.map(text),
            created: view.created.map(text),
        })
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
        self.id.within(&self.json)
    }

    /// The action's state.
    pub fn status(&self) -> &ActionStatus {
        &self.status
    }

    /// The kind of action, for example `CollectInvestigationPackage`; the set grows.
    pub fn kind(&self) -> Option<&str> {
        self.text(&self.kind)
    }

    /// The device's id, 40 hexadecimal digits.
    pub fn machine_id(&self) -> Option<&str> {
        self.text(&self.machine_id)
    }

    /// The device's DNS name; unknown to the service in an action's first moments.
    pub fn computer_name(&self) -> Option<&str> {
        self.text(&self.computer_name)
    }

    /// The comment given when the action was requested.
    pub fn requestor_comment(&self) -> Option<&str> {
        self.text(&self.comment)
    }

    /// When the action was created: ISO 8601, UTC, with up to seven fraction digits.
    pub fn created(&self) -> Option<&str> {
        self.text(&self.created)
    }

    /// The same as a time, as far as it can be read.
    pub(crate) fn created_at(&self) -> Option<SystemTime> {
        humantime::parse_rfc3339_weak(self.created()?).ok()
    }

    fn text<'a>(&'a self, member: &'a Option<Text>) -> Option<&'a str> {
        Some(member.as_ref()?.within(&self.json))
    }
}

/// A member that is a string, or not known.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    deserializer.deserialize_any(TextOrNot)
}

/// Takes a string, and reads past anything else.
struct TextOrNot;

impl<'de> Visitor<'de> for TextOrNot {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

#[derive(Deserialize)]
struct View<'a> {
    #[serde(default, borrow, deserialize_with = "text")]
    id: Option<Cow<'a, str>>,
    #[serde(default, borrow, deserialize_with = "text")]
    status: Option<Cow<'a, str>>,
    #[serde(default, borrow, rename = "type", deserialize_with = "text")]
    kind: Option<Cow<'a, str>>,
    #[serde(default, borrow, rename = "machineId", deserialize_with = "text")]
    machine_id: Option<Cow<'a, str>>,
    #[serde(default, borrow, rename = "computerDnsName", deserialize_with = "text")]
    computer_name: Option<Cow<'a, str>>,
    #[serde(default, borrow, rename = "requestorComment", deserialize_with = "text")]
    comment: Option<Cow<'a, str>>,
    #[serde(default, borrow, rename = "creationDateTimeUtc", deserialize_with = "text")]
    created: Option<Cow<'a, str>>,
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
            #[serde(default, borrow, rename = "@odata.nextLink", deserialize_with = "text")]
            next: Option<Cow<'a, str>>,
        }
        let list: List = json::read(body).ok_or("is not a list of actions")?;
        Ok(Page {
            actions: list
                .value
                .into_iter()
                .map(|action| MachineAction::from_json(action.get()))
                .collect::<Result<_, _>>()?,
            next: list.next.filter(|next| !next.is_empty()).map(Cow::into_owned),
        })
    }
}

/// Puts JSON texts into a document, with commas between them.
pub(crate) fn document<'a>(
    before: &str,
    texts: impl IntoIterator<Item = &'a str, IntoIter: Clone>,
    after: &str,
) -> String {
    let texts = texts.into_iter();
    // The first has no comma before it, whose room is for the NUL that C wants.
    let length = texts.clone().map(|text| text.len() + 1).sum::<usize>().max(1);
    let mut document = String::with_capacity(before.len() + length + after.len());
    document.push_str(before);
    for (place, text) in texts.enumerate() {
        document.push_str(if place > 0 { "," } else { "" });
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
