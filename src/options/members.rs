//! Reads a JSON object of options without leaving copies of its values behind, which may be secrets.
//!
//! A JSON parser copies text with escapes into buffers of its own and names wrong values in its errors, and wipes
//! neither. Here it only finds where values begin and end.

use serde_json::value::RawValue;

/// Why a text is no object: the line and column of the problem.
pub(super) type Position = (usize, usize);

/// The members of an object, names and values as they are written.
pub(super) fn members(json: &str) -> Result<Vec<(&str, &str)>, Position> {
    let whole: &RawValue =
        serde_json::from_str(json).map_err(|error| (error.line(), error.column()))?;
    let no_object = || (1, 1);
    let mut rest = whole.get().strip_prefix('{').ok_or_else(no_object)?.trim_ascii_start();
    let mut members = Vec::new();
    while !rest.starts_with('}') {
        let (name, after) = one(rest).ok_or_else(no_object)?;
        let after = after.trim_ascii_start().strip_prefix(':').ok_or_else(no_object)?;
        let (value, after) = one(after).ok_or_else(no_object)?;
        members.push((name, value));
        rest = after.trim_ascii_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_ascii_start();
    }
    Ok(members)
}

/// The value that the text begins with, and what follows it.
fn one(text: &str) -> Option<(&str, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let value = values.next()?.ok()?;
    Some((value.get(), text.get(values.byte_offset()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::json::unescaped;

    #[test]
    fn members_are_found_as_they_are_written() {
        let json =
            " {\"a\" : \"x\\\"},{\", \"b\\u0041\":-1.5e3,\n\"c\":{\"d\":[1,\"}\"]},\"e\":null } ";
        let found = members(json).unwrap();
        let expected = [
            ("\"a\"", "\"x\\\"},{\""),
            ("\"b\\u0041\"", "-1.5e3"),
            ("\"c\"", "{\"d\":[1,\"}\"]}"),
            ("\"e\"", "null"),
        ];
        assert_eq!(found, expected);
        assert_eq!(members("{}"), Ok(Vec::new()));
        for bad in ["", "{", "[]", "\"x\"", "5", "{\"a\":1} x", "{\"a\":1,}", "{\"a\"}", "{a:1}"] {
            assert!(members(bad).is_err(), "{bad}");
        }
        assert_eq!(members("{\"a\":\n \"b\" c}"), Err((2, 6)));
    }

    proptest::proptest! {
        /// As the parser reads it, for any text.
        #[test]
        fn text_is_read_as_by_the_parser(text: String, other: String) {
            let json = serde_json::json!({format!("o{other}"): text, "n": [text]}).to_string();
            let found = members(&json).unwrap();
            let read = found.iter().find(|(_, value)| value.starts_with('"')).unwrap();
            let read = unescaped(read.1).unwrap();
            proptest::prop_assert_eq!(read.as_str(), text.as_str());
            let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let read = unescaped(&format!("\"{escaped}\"")).unwrap();
            proptest::prop_assert_eq!(read.as_str(), text.as_str());
        }
    }
}
