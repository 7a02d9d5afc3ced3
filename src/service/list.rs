//! Lists of records: `{"value":[…],"@odata.nextLink":"…"}`, read one record at a time.
//!
//! A list of the smallest records has a hundred times more of them than one of the service's. So nothing is kept of a
//! record but what its reader keeps, and the reader may stop.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::text::json::Lenient;

/// Gets the text of a record. `false` ends the reading.
type Reader<'f> = &'f mut dyn FnMut(&str) -> bool;

/// Reads all records. Returns the link to the next page, or `None` if this is no list, or the reader ended it.
pub(super) fn read(body: &[u8], reader: Reader<'_>) -> Option<Option<String>> {
    let text = std::str::from_utf8(body).ok()?;
    let mut document = serde_json::Deserializer::from_str(text);
    let next = document.deserialize_map(List(reader)).ok()?;
    document.end().ok()?;
    Some(next)
}

/// Reads all records of an array. Nothing comes of any other value.
pub(super) fn each(array: &str, reader: Reader<'_>) {
    let _ = Records(reader).deserialize(&mut serde_json::Deserializer::from_str(array));
}

struct List<'f>(Reader<'f>);

impl<'de> Visitor<'de> for List<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Option<String>, A::Error> {
        let (mut next, mut lists) = (None, 0);
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "value" => {
                    members.next_value_seed(Records(&mut *self.0))?;
                    lists += 1;
                }
                "@odata.nextLink" => next = members.next_value::<Lenient<'de>>()?.text(),
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        match lists {
            1 => Ok(next.filter(|link| !link.is_empty())),
            _ => Err(A::Error::custom("")),
        }
    }
}

struct Records<'f>(Reader<'f>);

impl<'de> DeserializeSeed<'de> for Records<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Records<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<(), A::Error> {
        while let Some(record) = records.next_element::<&'de RawValue>()? {
            if !(self.0)(record.get()) {
                return Err(A::Error::custom(""));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(body: &str, most: usize) -> (Option<Option<String>>, Vec<String>) {
        let mut seen = Vec::new();
        let next = read(body.as_bytes(), &mut |record| {
            seen.push(record.to_owned());
            seen.len() < most
        });
        (next, seen)
    }

    #[test]
    fn records_come_one_by_one_until_the_reader_stops() {
        let list = r#"{"@odata.context":"c","value":[{"a":1}, 2,[3]],"@odata.nextLink":"https://h/\u0041","x":{}}"#;
        let (next, seen) = records(list, 9);
        assert_eq!(next, Some(Some("https://h/A".to_owned())));
        assert_eq!(seen, [r#"{"a":1}"#, "2", "[3]"]);
        let (next, seen) = records(list, 2);
        assert_eq!((next, seen.len()), (None, 2));
        for none in
            [r#"{"value":[],"@odata.nextLink":null}"#, r#"{"value":[],"@odata.nextLink":""}"#]
        {
            assert_eq!(records(none, 1), (Some(None), Vec::new()), "{none}");
        }
    }

    #[test]
    fn what_is_no_list_is_none() {
        for bad in [
            "",
            "{}",
            "[]",
            r#"[[{"a":1}]]"#,
            r#"{"value":{}}"#,
            r#"{"value":null}"#,
            r#"{"value":[1,]}"#,
            r#"{"value":[1]"#,
            r#"{"value":[1]} x"#,
            r#"{"value":[1],"value":[2]}"#,
        ] {
            assert_eq!(records(bad, 9).0, None, "{bad}");
        }
        assert_eq!(read(b"{\"value\":[\"\xff\"]}", &mut |_| true), None);
    }
}
