//! Reading and writing JSON through text only. A parser for bytes or a writer for formatted text would make the library
//! larger.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Reads a document. `None`: it is not valid, or not UTF-8.
pub(crate) fn read<'a, T: Deserialize<'a>>(document: &'a [u8]) -> Option<T> {
    serde_json::from_str(std::str::from_utf8(document).ok()?).ok()
}

/// Writes a document. Writing the types of this library cannot fail.
pub(crate) fn text(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A member of any type, of which only a text or a number is read. It costs no memory, whatever it holds.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Lenient<'a>(#[serde(borrow)] Option<&'a RawValue>);

impl<'a> Lenient<'a> {
    /// The text. A member that is missing or of another type has none.
    pub(crate) fn text(self) -> Option<String> {
        serde_json::from_str(self.json()).ok()
    }

    /// The text, or the digits of a number.
    pub(crate) fn text_or_number(self) -> Option<String> {
        let is_number = self.json().starts_with(|c: char| c == '-' || c.is_ascii_digit());
        if is_number { Some(self.json().to_owned()) } else { self.text() }
    }

    /// Whether it is `true`.
    pub(crate) fn is_true(self) -> bool {
        self.json() == "true"
    }

    /// The first number of an array.
    pub(crate) fn first_number(self) -> Option<u64> {
        let digits = self.json().strip_prefix('[')?.split([',', ']']).next()?;
        digits.trim().parse().ok()
    }

    /// As it stands in the document; empty if it is missing.
    pub(crate) fn json(self) -> &'a str {
        self.0.map_or("", RawValue::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_any_type_is_read_leniently() {
        #[derive(Deserialize)]
        struct Document<'a> {
            #[serde(borrow, default)]
            it: Lenient<'a>,
        }
        for (json, text, or_number, first) in [
            (r#"{}"#, None, None, None),
            (r#"{"it":null}"#, None, None, None),
            (r#"{"it":"a\nb"}"#, Some("a\nb"), Some("a\nb"), None),
            (r#"{"it":-1.50}"#, None, Some("-1.50"), None),
            (r#"{"it":[ 17 , 3]}"#, None, None, Some(17)),
            (r#"{"it":[]}"#, None, None, None),
            (r#"{"it":["1"]}"#, None, None, None),
            (r#"{"it":{"x":[1]}}"#, None, None, None),
            (r#"{"it":true}"#, None, None, None),
        ] {
            let it = read::<Document<'_>>(json.as_bytes()).unwrap().it;
            assert_eq!(it.text().as_deref(), text, "{json}");
            assert_eq!(it.text_or_number().as_deref(), or_number, "{json}");
            assert_eq!(it.first_number(), first, "{json}");
            assert_eq!(it.is_true(), json.contains("true"), "{json}");
        }
    }
}
