//! Reads one value out of a JSON document by a JSON pointer (RFC 6901).

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The text is not JSON.
    Json,
    /// The pointer does not begin with `/`.
    Pointer,
    /// The document has no such value.
    Value,
}

/// Finds a value: a string without quotes and escapes, the JSON text of any other value, `None` for null.
///
/// Works on raw text, level by level. So there is no limit on depth, and numbers stay as they were written.
pub(crate) fn find(json: &str, pointer: &str) -> Result<Option<String>, Missing> {
    let not_json = |_| Missing::Json;
    let mut value: &RawValue = serde_json::from_str(json).map_err(not_json)?;
    if !pointer.is_empty() {
        let steps = pointer.strip_prefix('/').ok_or(Missing::Pointer)?;
        for step in steps.split('/') {
            let step = step.replace("~1", "/").replace("~0", "~");
            value = child(value, &step).ok_or(Missing::Value)?;
        }
    }
    match value.get() {
        "null" => Ok(None),
        text if text.starts_with('"') => serde_json::from_str(text).map(Some).map_err(not_json),
        text => Ok(Some(text.to_owned())),
    }
}

/// The member or item of a value. Of several members with one name the last counts, as in most parsers.
fn child<'a>(value: &'a RawValue, step: &str) -> Option<&'a RawValue> {
    match value.get().as_bytes().first()? {
        b'{' => {
            serde_json::Deserializer::from_str(value.get()).deserialize_map(Member(step)).ok()?
        }
        b'[' => {
            let is_index =
                step == "0" || (!step.starts_with('0') && step.bytes().all(|b| b.is_ascii_digit()));
            let at: usize = step.parse().ok().filter(|_| is_index)?;
            let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
            items.get(at).copied()
        }
        _ => None,
    }
}

/// Finds the member of this name without keeping the others.
struct Member<'s>(&'s str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
        let mut found = None;
        while let Some(Name(name)) = members.next_key()? {
            let value = members.next_value()?;
            if name == self.0 {
                found = Some(value);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_find_values_of_every_kind() {
        let json =
            r#" {"a":{"b/c":["x",1.50,true,null,{"~":"t\n\u00e9"}]},"n":123456789012345678901} "#;
        let some = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(find(json, "/a/b~1c/0"), some("x"));
        assert_eq!(find(json, "/a/b~1c/1"), some("1.50"));
        assert_eq!(find(json, "/a/b~1c/2"), some("true"));
        assert_eq!(find(json, "/a/b~1c/3"), Ok(None));
        assert_eq!(find(json, "/a/b~1c/4/~0"), some("t\né"));
        assert_eq!(find(json, "/n"), some("123456789012345678901"));
        assert_eq!(find("[1]", ""), some("[1]"));
    }

    #[test]
    fn missing_values_and_invalid_input_are_errors() {
        assert_eq!(find("{}", "/a"), Err(Missing::Value));
        assert_eq!(find("[1]", "/01"), Err(Missing::Value));
        assert_eq!(find("[1]", "/-"), Err(Missing::Value));
        assert_eq!(find("[1]", "/1"), Err(Missing::Value));
        assert_eq!(find("5", "/a"), Err(Missing::Value));
        assert_eq!(find("", ""), Err(Missing::Json));
        assert_eq!(find("{", ""), Err(Missing::Json));
        assert_eq!(find("{}", "a"), Err(Missing::Pointer));
    }

    #[test]
    fn deep_documents_do_not_overflow_the_stack() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(find(&deep, "/0/0/0").map(|v| v.unwrap().len()), Ok(199_994));
    }
}
