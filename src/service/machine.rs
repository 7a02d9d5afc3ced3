//! Device records as the service describes them, kept whole like actions.
//!
//! Source: "Machine resource type", and the service's own `$metadata`.

use std::borrow::Cow;

use serde::Deserialize;
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

use super::action::TOO_DEEP;
use super::list;
use crate::text::json::{Lenient, is_deep};
use crate::text::surrogates;

/// One device: the service's own JSON, and the members that the library reads. It borrows the JSON, of which a list may
/// have more than 100 MB.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    json: &'a str,
    id: Box<str>,
    name: Option<Box<str>>,
    os_platform: Option<Box<str>>,
    health_status: Option<Box<str>>,
    onboarding_status: Option<Box<str>>,
    group: Option<Box<str>>,
    /// The array as it stands in the record.
    tags: &'a str,
    is_potential_duplicate: bool,
    is_merged: bool,
    is_excluded: bool,
}

impl<'a> Machine<'a> {
    /// Reads a record without lone surrogates. The error completes "the reply …".
    pub(crate) fn from_json(json: &'a str) -> Result<Machine<'a>, &'static str> {
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
            rbac_group_name: Lenient<'a>,
            #[serde(borrow)]
            machine_tags: Lenient<'a>,
            #[serde(borrow)]
            is_potential_duplication: Lenient<'a>,
            #[serde(borrow)]
            merged_into_machine_id: Lenient<'a>,
            #[serde(borrow)]
            is_excluded: Lenient<'a>,
        }
        // A derived reader would also take an array for a record.
        if !json.starts_with('{') {
            return Err("is not a JSON object");
        }
        let record: Record<'_> =
            serde_json::from_str(json).map_err(|_| "is not a usable record")?;
        if is_deep(json) {
            return Err(TOO_DEEP);
        }
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
            group: kept(record.rbac_group_name),
            tags: record.machine_tags.json(),
            is_potential_duplicate: record.is_potential_duplication.is_true(),
            is_merged: text(record.merged_into_machine_id).is_some(),
            is_excluded: record.is_excluded.is_true(),
            json,
        })
    }

    /// The record as the service sent it, unknown members included: a JSON object.
    pub fn json(&self) -> &str {
        self.json
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

    /// The name of its device group.
    pub fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// Whether one of its tags is the wanted one.
    pub(crate) fn has_tag(&self, is_wanted: &dyn Fn(&str) -> bool) -> bool {
        let mut found = false;
        list::each(self.tags, &mut |tag| {
            found = serde_json::from_str::<String>(tag).is_ok_and(|tag| is_wanted(&tag));
            !found
        });
        found
    }

    /// A number that no other device has, in whatever case the id is written. The id is a hash, and 128 bits of it are
    /// enough.
    pub(crate) fn number(&self) -> u128 {
        let digits = self.id.get(8..).unwrap_or_default();
        u128::from_str_radix(digits, 16).unwrap_or_default()
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
impl Serialize for Machine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json: &RawValue = serde_json::from_str(self.json).map_err(S::Error::custom)?;
        json.serialize(serializer)
    }
}

/// Whether an id is the service's own, 40 hexadecimal digits. Other ids, such as Entra device ids, are looked up first.
pub(crate) fn is_device_id(id: &str) -> bool {
    id.len() == 40 && id.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The text of a reply's body that is one record. The error completes "the reply …".
pub(crate) fn record(body: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "is not UTF-8")?;
    Ok(surrogates::paired(text.trim_ascii()))
}

/// Reads the records of a list, `{"value":[…]}`, until the reader returns `false`. Returns whether the list names a next
/// page.
pub(crate) fn machines(
    body: &[u8],
    reader: &mut dyn FnMut(&Machine<'_>) -> bool,
) -> Result<bool, &'static str> {
    let (mut more, mut problem) = (true, "is not a list of devices");
    let read = list::read(body, &mut |record| {
        if more {
            match Machine::from_json(&surrogates::paired(record)) {
                Ok(machine) => more = reader(&machine),
                Err(unusable) => {
                    problem = unusable;
                    return false;
                }
            }
        }
        true
    });
    read.map(|next| next.is_some()).ok_or(problem)
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
        let text = record(json.as_bytes()).unwrap();
        let one = Machine::from_json(&text).unwrap();
        assert_eq!((one.json(), one.id(), one.name()), (json.as_str(), id, None));
        assert_eq!(serde_json::to_string(&one).unwrap(), json);
        assert!(!one.is_excluded() && !one.is_potential_duplicate() && !one.is_merged());
        assert!(record(b"\xff").is_err());
        assert_eq!(record(b" \"a\\ud83d\"\n").unwrap(), "\"a\\ufffd\"");
        let odd = format!(r#"{{"id":"{id}\u202e"}}"#);
        for bad in ["", "[]", "{}", r#"{"id":null}"#, r#"["a"]"#, r#"{"id":"a"}"#, &odd] {
            assert!(Machine::from_json(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_is_read_until_the_reader_has_enough() {
        let id = "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9";
        let list = format!(r#"{{"@odata.context":"c","value":[{{"id":"{id}"}},{{"id":"{id}"}}]}}"#);
        let count = |list: &str, most| {
            let mut count = 0;
            let next = machines(list.as_bytes(), &mut |machine| {
                assert_eq!(machine.id(), id);
                count += 1;
                count < most
            });
            (next, count)
        };
        assert_eq!(count(&list, 9), (Ok(false), 2));
        assert_eq!(count(&list, 1), (Ok(false), 1));
        let linked = list.replace("\"c\"", "\"c\",\"@odata.nextLink\":\"https://h/x\"");
        assert_eq!(count(&linked, 9), (Ok(true), 2));
        let bad = list.replace("}]", "},7]");
        assert_eq!(count(&bad, 9), (Err("is not a JSON object"), 2));
        // The rest of the reply must be a list all the same.
        assert_eq!(count(&bad, 1), (Ok(false), 1));
        assert_eq!(count(&list[..list.len() - 1], 1).0, Err("is not a list of devices"));
        assert_eq!(count("{}", 9).0, Err("is not a list of devices"));
    }

    #[test]
    fn tags_and_numbers_are_compared() {
        let id = "49E96A8DD67AC4F1CE9952CCEDCDE711F0CE28E9";
        let with = |members: &str| format!(r#"{{"id":"{id}"{members}}}"#);
        let tagged = with(r#","machineTags":[null,["b"],"a\u0062",{},"c"],"rbacGroupName":"g""#);
        let tagged = Machine::from_json(&tagged).unwrap();
        for (tag, has) in [("ab", true), ("c", true), ("b", false), ("", false)] {
            assert_eq!(tagged.has_tag(&|it| it == tag), has, "{tag}");
        }
        assert_eq!(tagged.group(), Some("g"));
        for none in ["", r#","machineTags":null"#, r#","machineTags":"a""#, r#","machineTags":{}"#]
        {
            assert!(!Machine::from_json(&with(none)).unwrap().has_tag(&|_| true), "{none}");
        }
        assert_eq!(tagged.number(), 0xd67a_c4f1_ce99_52cc_edcd_e711_f0ce_28e9);
    }
}
