//! Repairs JSON text that was cut in the middle of a character.

use std::borrow::Cow;

use memchr::memchr;

/// Replaces every lone surrogate, as in `"cut \ud83d"`, by the replacement character. Most JSON parsers refuse the
/// whole document for one. The service makes them when it shortens UTF-16 text.
pub(crate) fn paired(json: &str) -> Cow<'_, str> {
    // Records rarely have escapes.
    match memchr(b'\\', json.as_bytes()).and_then(|_| repaired(json.into())) {
        Some(repaired) => Cow::Owned(repaired),
        None => Cow::Borrowed(json),
    }
}

/// `None`: there is no lone surrogate.
#[inline(never)]
fn repaired(mut json: Vec<u8>) -> Option<String> {
    let (mut at, mut found) = (0, false);
    while let Some(byte) = json.get(at) {
        at += match (byte, unit(&json, at), unit(&json, at + 6)) {
            (b'\\', Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (b'\\', Some(0xd800..=0xdfff), _) => {
                json.iter_mut().skip(at + 2).zip(*b"fffd").for_each(|(digit, new)| *digit = new);
                found = true;
                6
            }
            // The escaped character starts no escape itself.
            (b'\\', ..) => 2,
            _ => 1,
        };
    }
    // The text is still UTF-8: only ASCII was replaced, by ASCII.
    found.then(|| String::from_utf8(json).ok()).flatten()
}

/// The UTF-16 code unit of an escape `\uXXXX` at this index.
fn unit(json: &[u8], at: usize) -> Option<u32> {
    let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_halves_are_replaced_and_nothing_else() {
        for same in [
            r#"{"a":"b"}"#,
            r#""\ud83d\ude00""#,
            r#""\\ud83d""#,
            r#""é\n\u00e9\\""#,
            r#""\u+123""#,
            r#""\ud8"#,
            r"\",
            "\\é",
            "",
        ] {
            assert!(matches!(paired(same), Cow::Borrowed(text) if text == same), "{same}");
        }
        for (cut, replaced) in [
            (r#""cut \ud83d""#, r#""cut \ufffd""#),
            (r#""\uDE00 cut""#, r#""\ufffd cut""#),
            (r#""\ud83d\ud83d\ude00é""#, r#""\ufffd\ud83d\ude00é""#),
            (r#""\ude00\ud83d\\u""#, r#""\ufffd\ufffd\\u""#),
        ] {
            assert_eq!(paired(cut), replaced);
            assert!(serde_json::from_str::<String>(cut).is_err());
            assert!(serde_json::from_str::<String>(replaced).is_ok());
        }
    }

    proptest::proptest! {
        /// Any text survives, and a lone surrogate after it is replaced.
        #[test]
        fn whole_text_is_kept(text: String, unit in 0xd800..0xe000_u16) {
            let json = serde_json::to_string(&text).unwrap();
            proptest::prop_assert_eq!(paired(&json), json.as_str());
            let cut = format!("{}\\u{unit:04x}\"", json.strip_suffix('"').unwrap());
            let read: String = serde_json::from_str(&paired(&cut)).unwrap();
            proptest::prop_assert_eq!(read, format!("{text}\u{fffd}"));
        }
    }
}
