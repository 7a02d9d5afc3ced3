//! The gate for text from outside: on one line, of characters that are seen, limited in length, without secrets.
//!
//! Text passes it where it enters: the words of a reply when the reply is read, a name when its record is read.

mod secrets;

pub(crate) use secrets::mask;

use super::invisible::is_invisible;

/// The replacement for a secret.
const MASK: &str = "***";

/// Cleans text of the service, a proxy or the system for messages and logs.
///
/// Control characters become spaces, and characters that are not seen are left out. URL queries, logins, and anything
/// that looks like a secret or token are masked. Known secrets are masked before, by [`mask`]: part of one would not be
/// recognised.
pub(crate) fn clean(text: &str, max_bytes: usize) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for part in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        word.clear();
        word.extend(part.chars().filter(|c| !is_invisible(*c)));
        if word.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        push_word(&mut out, &word);
        if out.len() > max_bytes {
            break;
        }
    }
    shortened(out, max_bytes)
}

/// A name or path as a message shows it: nothing is masked, since names may look random.
pub(crate) fn visible(text: &str, max_bytes: usize) -> String {
    // The usual case.
    if text.len() <= max_bytes && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let seen = |c: char| if c.is_control() || is_invisible(c) { '?' } else { c };
    shortened(text.chars().take(max_bytes + 1).map(seen).collect(), max_bytes)
}

fn shortened(mut text: String, max_bytes: usize) -> String {
    if text.len() > max_bytes {
        let mut end = max_bytes;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

fn push_word(out: &mut String, word: &str) {
    match word.split_once("://") {
        None => push_runs(out, word),
        Some((before, address)) => {
            push_runs(out, before);
            out.push_str("://");
            let (visible, hidden) = match address.find(['?', '#']) {
                Some(at) => (address.get(..at).unwrap_or_default(), true),
                None => (address, false),
            };
            let authority_end = visible.find('/').unwrap_or(visible.len());
            let rest = match visible.get(..authority_end).and_then(|host| host.rfind('@')) {
                Some(at) => {
                    out.push_str(MASK);
                    visible.get(at..).unwrap_or_default()
                }
                None => visible,
            };
            push_runs(out, rest);
            if hidden {
                out.push('?');
                out.push_str(MASK);
            }
        }
    }
}

/// Splits at characters that no token contains, so that a token is found inside quotes and brackets too.
fn push_runs(out: &mut String, text: &str) {
    let part_of_token = |c: char| c.is_ascii_alphanumeric() || "-_.+/=%~".contains(c);
    let mut run_start = 0;
    for (at, c) in text.char_indices() {
        if !part_of_token(c) {
            push_run(out, text.get(run_start..at).unwrap_or_default());
            out.push(c);
            run_start = at + c.len_utf8();
        }
    }
    push_run(out, text.get(run_start..).unwrap_or_default());
}

fn push_run(out: &mut String, run: &str) {
    if run.contains("eyJ") || looks_random(run) {
        out.push_str(MASK);
    } else {
        out.push_str(run);
    }
}

/// Secrets mix cases and digits, or are long and without structure. Ids and names do not: GUIDs and device
/// ids are hexadecimal in one case, host names and permissions are words.
fn looks_random(run: &str) -> bool {
    let has = |test: fn(&u8) -> bool| run.as_bytes().iter().any(test);
    let mixed =
        has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    let alphanumeric = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    let longest_piece = run.split(['.', '/', '-', '_']).map(str::len).max().unwrap_or(0);
    let is_device_id = longest_piece == 40;
    (run.len() >= 20 && (mixed || run.contains('~')))
        || (alphanumeric && longest_piece > 32 && !is_device_id)
        || longest_piece > 64
}

#[cfg(test)]
mod tests {
    use super::{clean, visible};

    #[test]
    fn ordinary_messages_stay_as_they_are() {
        for text in [
            "Machine 49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9 was not found",
            "The key value (5382f7ea-7557-4ab7-9782-d50480024a4e) from request is not valid.",
            "Missing application roles. API required roles: Machine.Read.All,Machine.ReadWrite.All",
            "API calls quota exceeded! Maximum allowed 30 per 00:01:00",
            "see https://docs.example/reference",
        ] {
            assert_eq!(clean(text, 1_000), text);
        }
    }

    #[test]
    fn secrets_and_tokens_are_masked() {
        assert_eq!(clean("bad eyJhbGciOiJub25lIn0.e30.x token", 99), "bad *** token");
        assert_eq!(
            clean("at https://b.example/p.zip?sig=abc&se=1 now", 99),
            "at https://b.example/p.zip?*** now"
        );
        assert_eq!(clean("via http://user:pass@proxy:3128/", 99), "via http://***@proxy:3128/");
        assert_eq!(clean("secret=Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4MTIz.", 99), "***");
        assert_eq!(clean("secret 'abcDEF123abcDEF123abcDEF123abcDEF123~x'", 99), "secret '***'");
        assert_eq!(clean("got Abc8Q~xY_z1-Kq.7LmNopQrStUv12", 99), "got ***");
        assert_eq!(
            clean(r#"{"t":"eyJabc.e30.x","u":"https://h/x"}"#, 99),
            r#"{"t":"***","u":"https://h/x"}"#
        );
        assert_eq!(clean("https://h/dl/eyJabc.e30.x now", 99), "https://*** now");
        assert_eq!(clean(&"a".repeat(65), 99), "***");
    }

    #[test]
    fn text_is_one_line_of_limited_length() {
        assert_eq!(clean("a\r\nb\tc\u{0}d", 99), "a b c d");
        assert_eq!(clean("", 9), "");
        assert_eq!(clean(&"é".repeat(100), 9), "éééé…");
    }

    #[test]
    fn characters_that_are_not_seen_are_left_out() {
        let all = [
            "\u{202e}",
            "\u{2066}",
            "\u{200d}",
            "\u{2060}",
            "\u{feff}",
            "\u{ad}",
            "\u{61c}",
            "\u{180e}",
            "\u{e0001}",
            "\u{e0041}",
            "\u{fffa}",
            "\u{1d175}",
        ];
        for hidden in all {
            assert_eq!(clean(&format!("gn{hidden}p.exe"), 99), "gnp.exe", "{hidden:?}");
            assert_eq!(visible(&format!("/a/gn{hidden}p"), 99), "/a/gn?p", "{hidden:?}");
        }
        for line_end in ["\u{2028}", "\u{2029}", "\u{85}", "\u{b}", "\u{1b}", "\u{9b}"] {
            assert_eq!(clean(&format!("a{line_end}b"), 99), "a b", "{line_end:?}");
        }
        // A token that hides behind one is found.
        assert_eq!(clean("got e\u{200b}yJhbGciOiJub25lIn0.e30.x", 99), "got ***");
        assert_eq!(clean("Müller 中 \u{1f4e6}", 99), "Müller 中 \u{1f4e6}");
    }

    #[test]
    fn a_name_is_shown_as_it_is() {
        assert_eq!(visible("/a/Abc8QxYz1Kq7LmNopQrStUv12", 99), "/a/Abc8QxYz1Kq7LmNopQrStUv12");
        assert_eq!(visible("a\nb\u{1b}[2J", 99), "a?b?[2J");
        assert_eq!(visible(&"x".repeat(99), 9), "xxxxxxxxx…");
    }
}
