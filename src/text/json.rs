//! Reading and writing JSON through text only. A parser for bytes or a writer for formatted text would make the library
//! larger.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// The most levels of a record that is handed on. Some readers of the host take 64 and no more, and documents add a few.
const MOST_LEVELS: usize = 32;

/// Whether a valid text has more levels than the readers of the host may take.
pub(crate) fn is_deep(text: &str) -> bool {
    // Nearly every record opens fewer than that in all.
    let opened = memchr::memchr2_iter(b'{', b'[', text.as_bytes());
    if opened.take(MOST_LEVELS + 1).count() <= MOST_LEVELS {
        return false;
    }
    let (mut level, mut in_text, mut is_escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => level += 1,
            b'}' | b']' if !in_text => level = level.saturating_sub(1),
            _ => {}
        }
        if level > MOST_LEVELS {
            return true;
        }
    }
    false
}

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

/// The text that a JSON string stands for. `None`: it is no string, or has half of a character.
pub(crate) fn unescaped(string: &str) -> Option<Zeroizing<String>> {
    let mut rest = string.strip_prefix('"')?.strip_suffix('"')?;
    // Allocated once: a string that grows leaves copies behind. No escape is shorter than its character.
    let mut text = Zeroizing::new(String::with_capacity(rest.len()));
    while let Some((before, escape)) = rest.split_once('\\') {
        text.push_str(before);
        let (kind, after) = escape.split_at_checked(1)?;
        rest = after;
        text.push(match kind {
            "b" => '\u{8}',
            "f" => '\u{c}',
            "n" => '\n',
            "r" => '\r',
            "t" => '\t',
            "u" => {
                let (first, after) = unit(after)?;
                let second = after.strip_prefix("\\u").and_then(unit);
                let (c, after) = match (char::from_u32(first), second) {
                    (Some(c), _) => (c, after),
                    (None, Some((second @ 0xdc00..=0xdfff, after))) if first < 0xdc00 => (
                        char::from_u32(0x1_0000 + ((first & 0x3ff) << 10) + (second & 0x3ff))?,
                        after,
                    ),
                    _ => return None,
                };
                rest = after;
                c
            }
            other => other.chars().next()?,
        });
    }
    text.push_str(rest);
    Some(text)
}

/// A UTF-16 code unit in four digits, and what follows it.
fn unit(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_counted_outside_of_texts() {
        let nested = |levels: usize| {
            ["[".repeat(levels), r#""[\"[""#.to_owned(), "]".repeat(levels)].concat()
        };
        assert!(!is_deep(&nested(MOST_LEVELS)) && is_deep(&nested(MOST_LEVELS + 1)));
        let wide = format!("[{}[]]", "{},".repeat(10 * MOST_LEVELS));
        let text = format!("\"{}\"", "[".repeat(10 * MOST_LEVELS));
        assert!(!is_deep(&wide) && !is_deep(&text));
    }

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

    #[test]
    fn strings_of_other_than_text_have_none() {
        for bad in
            ["5", "null", "[]", r#""\ud83d""#, r#""\ud83dx""#, r#""\ude00""#, r#""\ud83d\u0041""#]
        {
            assert_eq!(unescaped(bad), None, "{bad}");
        }
    }
}
