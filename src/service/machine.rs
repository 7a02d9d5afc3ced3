//! Device records as the service describes them, kept whole like actions.
//!
//! Source: "Machine resource type", and the service's own `$metadata`.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};
use serde_json::value::RawValue;

use super::model::text;

/// One device: the service's own JSON, and the members the library looks at.
#[derive(Clone, Debug)]
pub struct Machine {
    json: Box<str>,
    id: String,
    view: View,
}

impl Machine {
    fn from_json(json: &str) -> Result<Machine, &'static str> {
        let json = json.trim_ascii();
        // A derived reader would also take an array for a record.
        if !json.starts_with('{') {
            return Err("is not a JSON object");
        }
        let mut view: View = serde_json::from_str(json).map_err(|_| "is not a usable record")?;
        let Some(id) = view.id.take().filter(|id| !id.is_empty()) else {
            return Err("has no device id");
        };
        Ok(Machine { json: json.into(), id, view })
    }

    /// The record exactly as the service sent it, unknown members included: a JSON object.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The device id, 40 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The DNS name. Several devices may have the same.
    pub fn name(&self) -> Option<&str> {
        self.view.name.as_deref().filter(|name| !name.is_empty())
    }

    /// The operating system, for example `Windows11`, `macOS` or `Linux`; the set grows.
    pub fn os_platform(&self) -> Option<&str> {
        self.view.os_platform.as_deref()
    }

    /// `Active`, `Inactive`, `ImpairedCommunication`, `NoSensorData`, …
    pub fn health_status(&self) -> Option<&str> {
        self.view.health_status.as_deref()
    }

    /// `Onboarded`, `CanBeOnboarded`, `Unsupported` or `InsufficientInfo`.
    pub fn onboarding_status(&self) -> Option<&str> {
        self.view.onboarding_status.as_deref()
    }

    /// Whether the service takes this record for a possible duplicate of another.
    pub fn is_potential_duplicate(&self) -> bool {
        self.view.is_potential_duplicate
    }

    /// Whether the record was merged into another.
    pub fn is_merged(&self) -> bool {
        self.view.merged_into.as_ref().is_some_and(|id| !id.is_empty())
    }

    /// Whether the device was excluded from the service's views.
    pub fn is_excluded(&self) -> bool {
        self.view.is_excluded
    }
}

#[derive(Clone, Debug, Deserialize)]
struct View {
    #[serde(default, deserialize_with = "text")]
    id: Option<String>,
    #[serde(default, rename = "computerDnsName", deserialize_with = "text")]
    name: Option<String>,
    #[serde(default, rename = "osPlatform", deserialize_with = "text")]
    os_platform: Option<String>,
    #[serde(default, rename = "healthStatus", deserialize_with = "text")]
    health_status: Option<String>,
    #[serde(default, rename = "onboardingStatus", deserialize_with = "text")]
    onboarding_status: Option<String>,
    #[serde(default, rename = "mergedIntoMachineId", deserialize_with = "text")]
    merged_into: Option<String>,
    #[serde(default, rename = "isPotentialDuplication", deserialize_with = "is_true")]
    is_potential_duplicate: bool,
    #[serde(default, rename = "isExcluded", deserialize_with = "is_true")]
    is_excluded: bool,
}

/// A member that is `true`; anything else is not.
fn is_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Lenient {
        Bool(bool),
        Other(IgnoredAny),
    }
    Ok(matches!(Lenient::deserialize(deserializer)?, Lenient::Bool(true)))
}

/// The record in a reply's body; the error completes "the reply …".
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
    let list: List = serde_json::from_slice(body).map_err(|_| "is not a list of devices")?;
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
