//! Device records as the service describes them, kept whole like actions.
//!
//! Source: "Machine resource type", and the service's own `$metadata`.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::list;
use crate::text::json::Lenient;
use crate::text::surrogates;

/// One device: the service's own JSON, and the members that the library reads.
#[derive(Clone, Debug)]
pub struct Machine {
    json: Box<RawValue>,
    id: Box<str>,
    name: Option<Box<str>>,
    os_platform: Option<Box<str>>,
    health_status: Option<Box<str>>,
    onboarding_status: Option<Box<str>>,
    is_potential_duplicate: bool,
    is_merged: bool,
    is_excluded: bool,
}

impl Machine {
    fn from_json(json: &str) -> Result<Machine, &'static str> {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Record<'a> {
            #[serde(borrow)]
            id: Lenient<'a>,
            #[serde(borrow)]
            computer_dns_name: Lenient<'a>,
            #[serde(borrow)]
            os_platform: Lenient<'a>,
            #[serde(borrow)]
            health_status: Lenient<'a>,
            #[serde(borrow)]
            onboarding_status: Lenient<'a>,
            #[serde(borrow)]
            is_potential_duplication: Lenient<'a>,
            #[serde(borrow)]
            merged_into_machine_id: Lenient<'a>,
            #[serde(borrow)]
            is_excluded: Lenient<'a>,
        }
        let unusable = |_| "is not a usable record";
        let json = surrogates::paired(json.trim_ascii()).into_owned();
        // A derived reader would also take an array for a record.
        if !json.starts_with('{') {
            return Err("is not a JSON object");
        }
        let json = RawValue::from_string(json).map_err(unusable)?;
        let record: Record<'_> = serde_json::from_str(json.get()).map_err(unusable)?;
        let text = |member: Lenient<'_>| member.text().filter(|text| !text.is_empty());
        let kept = |member: Lenient<'_>| text(member).map(Box::from);
        let id = text(record.id).ok_or("has no device id")?;
        if !is_device_id(&id) {
            return Err("has a device id that is not 40 hexadecimal digits");
        }
        Ok(Machine {
            id: id.into(),
            name: kept(record.computer_dns_name),
            os_platform: kept(record.os_platform),
            health_status: kept(record.health_status),
            onboarding_status: kept(record.onboarding_status),
            is_potential_duplicate: record.is_potential_duplication.is_true(),
            is_merged: text(record.merged_into_machine_id).is_some(),
            is_excluded: record.is_excluded.is_true(),
            json,
        })
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
        self.name.as_deref()
    }

    /// The operating system, for example `Windows11`, `macOS` or `Linux`; the set grows.
    pub fn os_platform(&self) -> Option<&str> {
        self.os_platform.as_deref()
    }

    /// `Active`, `Inactive`, `ImpairedCommunication`, `NoSensorData`, …
    pub fn health_status(&self) -> Option<&str> {
        self.health_status.as_deref()
    }

    /// `Onboarded`, `CanBeOnboarded`, `Unsupported` or `InsufficientInfo`.
    pub fn onboarding_status(&self) -> Option<&str> {
        self.onboarding_status.as_deref()
    }

    /// Whether the service considers this record a possible duplicate of another one.
    pub fn is_potential_duplicate(&self) -> bool {
        self.is_potential_duplicate
    }

    /// Whether the record was merged into another.
    pub fn is_merged(&self) -> bool {
        self.is_merged
    }

    /// Whether the device was excluded from the service's views.
    pub fn is_excluded(&self) -> bool {
        self.is_excluded
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

/// The records of a list, `{"value":[…]}`: the first `most` of them.
pub(crate) fn machines(body: &[u8], most: usize) -> Result<Vec<Machine>, &'static str> {
    let (mut machines, mut problem) = (Vec::new(), "is not a list of devices");
    let read = list::read(body, &mut |record| {
        if machines.len() < most {
            match Machine::from_json(record) {
                Ok(machine) => machines.push(machine),
                Err(unusable) => {
                    problem = unusable;
                    return false;
                }
            }
        }
        true
    });
    read.map(|_| machines).ok_or(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_leniently_and_kept_whole() {
        let id = "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9";
        let json = format!(
            r#"{{"id":"{id}","isExcluded":null,"isPotentialDuplication":"yes","computerDnsName":7,"new":[1]}}"#
        );
        let one = machine(json.as_bytes()).unwrap();
        assert_eq!((one.json(), one.id(), one.name()), (json.as_str(), id, None));
        assert!(!one.is_excluded() && !one.is_potential_duplicate() && !one.is_merged());
        let odd = format!(r#"{{"id":"{id}\u202e"}}"#);
        for bad in ["", "[]", "{}", r#"{"id":null}"#, r#"["a"]"#, r#"{"id":"a"}"#, &odd] {
            assert!(machine(bad.as_bytes()).is_err(), "{bad}");
        }
        let list = format!(r#"{{"@odata.context":"c","value":[{{"id":"{id}"}},{{"id":"{id}"}}]}}"#);
        assert_eq!(machines(list.as_bytes(), 9).unwrap().len(), 2);
        assert_eq!(machines(list.as_bytes(), 1).unwrap().len(), 1);
        assert!(machines(b"{}", 9).is_err());
    }
}
