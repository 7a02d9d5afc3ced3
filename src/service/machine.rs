//! Device records as the service describes them, kept whole like actions.
//!
//! Source: "Machine resource type", and the service's own `$metadata`.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::text::{json, surrogates};

/// One device: the service's own JSON, and the members that the library reads.
#[derive(Clone, Debug)]
pub struct Machine {
    json: Box<RawValue>,
    id: String,
    record: Value,
}

impl Machine {
    fn from_json(json: &str) -> Result<Machine, &'static str> {
        let unusable = |_| "is not a usable record";
        let json = surrogates::paired(json.trim_ascii()).into_owned();
        let json = RawValue::from_string(json).map_err(unusable)?;
        let record: Value = serde_json::from_str(json.get()).map_err(unusable)?;
        match record.get("id").and_then(Value::as_str) {
            Some(id) if !id.is_empty() => Ok(Machine { json, id: id.to_owned(), record }),
            _ => Err("has no device id"),
        }
    }

    /// The record as the service sent it, unknown members included: a JSON object.
    pub fn json(&self) -> &str {
        self.json.get()
    }

    /// The device id, 40 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The DNS name. Several devices may have the same.
    pub fn name(&self) -> Option<&str> {
        self.text("computerDnsName")
    }

    /// The operating system, for example `Windows11`, `macOS` or `Linux`; the set grows.
    pub fn os_platform(&self) -> Option<&str> {
        self.text("osPlatform")
    }

    /// `Active`, `Inactive`, `ImpairedCommunication`, `NoSensorData`, …
    pub fn health_status(&self) -> Option<&str> {
        self.text("healthStatus")
    }

    /// `Onboarded`, `CanBeOnboarded`, `Unsupported` or `InsufficientInfo`.
    pub fn onboarding_status(&self) -> Option<&str> {
        self.text("onboardingStatus")
    }

    /// Whether the service considers this record a possible duplicate of another one.
    pub fn is_potential_duplicate(&self) -> bool {
        self.is_true("isPotentialDuplication")
    }

    /// Whether the record was merged into another.
    pub fn is_merged(&self) -> bool {
        self.text("mergedIntoMachineId").is_some()
    }

    /// Whether the device was excluded from the service's views.
    pub fn is_excluded(&self) -> bool {
        self.is_true("isExcluded")
    }

    /// The text of a member. One that is missing, null, empty or of another type is `None`.
    fn text(&self, member: &str) -> Option<&str> {
        self.record.get(member).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    fn is_true(&self, member: &str) -> bool {
        self.record.get(member) == Some(&Value::Bool(true))
    }
}

/// Serialized as the service sent it.
impl Serialize for Machine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

/// Whether an id is the service's own, 40 hexadecimal digits. Other ids, such as Entra device ids, are looked up first.
pub(crate) fn is_device_id(id: &str) -> bool {
    id.len() == 40 && id.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The record in a reply's body. The error completes "the reply …".
pub(crate) fn machine(body: &[u8]) -> Result<Machine, &'static str> {
    Machine::from_json(std::str::from_utf8(body).map_err(|_| "is not UTF-8")?)
}

/// The records of a list: `{"value":[…]}`.
pub(crate) fn machines(body: &[u8]) -> Result<Vec<Machine>, &'static str> {
    #[derive(Deserialize)]
    struct List<'a> {
        #[serde(borrow)]
        value: Vec<&'a RawValue>,
    }
    let list: List = json::read(body).ok_or("is not a list of devices")?;
    list.value.into_iter().map(|one| Machine::from_json(one.get())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_leniently_and_kept_whole() {
        let json = r#"{"id":"a","isExcluded":null,"isPotentialDuplication":"yes","computerDnsName":7,"new":[1]}"#;
        let one = machine(json.as_bytes()).unwrap();
        assert_eq!((one.json(), one.id(), one.name()), (json, "a", None));
        assert!(!one.is_excluded() && !one.is_potential_duplicate() && !one.is_merged());
        for bad in ["", "[]", "{}", r#"{"id":null}"#, r#"["a"]"#] {
            assert!(machine(bad.as_bytes()).is_err(), "{bad}");
        }
        let list = br#"{"@odata.context":"c","value":[{"id":"a"},{"id":"b"}]}"#;
        assert_eq!(machines(list).unwrap().len(), 2);
        assert!(machines(b"{}").is_err());
    }
}
