//! The encodings in which peers repeat what they were sent.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// A text in every usual encoding: plain, percent and form, HTML, JSON once and twice, and Base64 at the three places
/// that it can have in a group.
pub fn encodings(text: &str) -> Vec<String> {
    let percent = percent(text);
    let mut all = vec![
        text.to_owned(),
        percent.replace("%20", "+"),
        percent.replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d"),
        self::percent(&percent),
        percent,
        html(text),
        numeric(text),
        json(text),
        json(&json(text)),
        json_in_hex(text),
        json(&json_in_hex(text)),
        json(&html(text)),
    ];
    for place in ["", "u", "u:"] {
        let inside = format!("{place}{text}.");
        let standard = STANDARD.encode(&inside);
        all.extend([json_in_hex(&standard), standard, URL_SAFE_NO_PAD.encode(inside)]);
    }
    all.sort();
    all.dedup();
    all
}

/// What shows a text, in whichever encoding: it, and what Base64 makes of its middle.
pub fn marks_of(text: &str) -> Vec<String> {
    let middle = |place: usize| {
        let whole = STANDARD.encode([&"\0".repeat(place), text].concat());
        whole[4..whole.len() - 4].to_owned()
    };
    let mut marks = encodings(text);
    marks.extend((0..3).flat_map(|place| {
        let standard = middle(place);
        [standard.replace('+', "-").replace('/', "_"), standard]
    }));
    marks
}

fn percent(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('\'', "&#39;")
}

fn numeric(text: &str) -> String {
    text.chars().map(|c| format!("&#x{:x};", u32::from(c))).collect()
}

/// A text as it stands in a JSON string.
pub fn json(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}

/// JSON as .NET and PHP write it.
fn json_in_hex(text: &str) -> String {
    let escaped = |unit: u16| match u8::try_from(unit) {
        Ok(byte) if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        Ok(b'/') => "\\/".to_owned(),
        _ => format!("\\u{unit:04X}"),
    };
    text.encode_utf16().map(escaped).collect()
}
