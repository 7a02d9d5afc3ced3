//! Masks known secrets in text of a peer that was sent them, in each encoding in which peers repeat what they got.
//!
//! Text and secrets are compared in a folded form, in which all encodings of a character are the same: plain, percent
//! and form, HTML entities, and escapes of JSON, also one in another. Base64 hides where a character begins, so a secret
//! has a form for each of the three places that it can have in a group.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::{Zeroize, Zeroizing};

use super::MASK;
use crate::text::invisible::is_invisible;

/// Masking shorter ones would damage ordinary words, and show by that what they are.
const SHORTEST: usize = 6;

/// The shortest part of a token that is masked alone.
const SHORTEST_PART: usize = 16;

/// Masks secrets in text from others. The text with the secrets is wiped.
pub(crate) fn mask(text: &mut String, secrets: &[&str]) {
    if let Some(masked) = masked(text, secrets) {
        text.zeroize();
        *text = masked;
    }
}

fn masked(text: &str, secrets: &[&str]) -> Option<String> {
    if text.len() < SHORTEST {
        return None;
    }
    // No encoding is shorter than what it encodes.
    let fits = |secret: &&str| (SHORTEST..=text.len()).contains(&secret.len());
    // A token may be repeated without its signature, or its signature alone.
    let parts =
        secrets.iter().filter(|secret| secret.len() > 2 * SHORTEST_PART).flat_map(|token| {
            token
                .split('.')
                .filter(move |part| part.len() >= SHORTEST_PART && part.len() < token.len())
        });
    let mut secrets: Vec<&str> = secrets.iter().copied().chain(parts).filter(fits).collect();
    secrets.dedup();
    if secrets.is_empty() {
        return None;
    }
    let folded = Folded::of(text);
    let mut found: Vec<(usize, usize)> = Vec::new();
    for secret in secrets {
        // What stands before the secret may look like the beginning of an escape that ends in it. What ends it may be
        // half of an escape.
        let plain = Some(secret.trim_end_matches('\\')).filter(|plain| plain.len() >= SHORTEST);
        let places = plain.into_iter().flat_map(|plain| text.match_indices(plain));
        found.extend(places.map(|(at, plain)| (at, at + plain.len())));
        folded.find(Folded::of(secret).needle(), &mut found);
        let others = found.len();
        for place in 0..3 {
            folded.find(Folded::of(&in_base64(secret, place)).needle(), &mut found);
        }
        // The rest of the group, and its padding.
        let is_code = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(byte);
        // Where a place was searched to: they may lie within each other.
        let mut reached = 0;
        if let Some(places) = found.get_mut(others..) {
            places.sort_unstable();
            for (from, to) in places {
                if *from < reached {
                    *to = (*to).max(reached);
                }
                while text.as_bytes().get(*to).is_some_and(is_code) {
                    *to += 1;
                }
                reached = *to;
            }
        }
    }
    if found.is_empty() {
        return None;
    }
    found.sort_unstable();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (from, to) in found {
        if to <= at {
            continue;
        }
        // A secret that begins in the one before is part of that mask.
        if from >= at {
            out.push_str(text.get(at..from).unwrap_or_default());
            out.push_str(MASK);
        }
        at = to;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    Some(out)
}

/// The characters of the Base64 form that depend on the secret alone if `place` bytes of its first group are another's.
fn in_base64(secret: &str, place: usize) -> Zeroizing<String> {
    let mut group = Zeroizing::new(Vec::with_capacity(place + secret.len()));
    group.resize(place, 0);
    group.extend_from_slice(secret.as_bytes());
    let whole = Zeroizing::new(STANDARD_NO_PAD.encode(&*group));
    let own = (8 * place).div_ceil(6)..8 * group.len() / 6;
    Zeroizing::new(whole.get(own).unwrap_or_default().to_owned())
}

/// Text in which all encodings of a character are the same. The second alphabet of Base64 (`-` and `_`) is that of the
/// first, and a blank is the plus sign of forms. Control characters, backslashes, and characters beyond U+FFFF are left
/// out.
struct Folded {
    bytes: Zeroizing<Vec<u8>>,
    /// Where in the text each of these bytes begins.
    starts: Vec<usize>,
    /// The length of the text.
    length: usize,
}

/// What an escape stands for.
enum Unescaped {
    Byte(u8),
    Char(Option<char>),
}

impl Folded {
    fn of(text: &str) -> Folded {
        // Allocated once: a vector that grows leaves copies behind.
        let mut folded = Folded {
            bytes: Zeroizing::new(Vec::with_capacity(text.len())),
            starts: Vec::with_capacity(text.len()),
            length: text.len(),
        };
        for (at, c) in text.char_indices() {
            folded.push_char(c, at);
            folded.unescape();
        }
        folded.drop_backslashes();
        folded
    }

    /// A backslash that is left may be the beginning of an escape in one text and a character in the other.
    fn drop_backslashes(&mut self) {
        let mut kept = 0;
        for at in 0..self.bytes.len() {
            if self.bytes.get(at) != Some(&b'\\') {
                self.bytes.swap(kept, at);
                self.starts.swap(kept, at);
                kept += 1;
            }
        }
        self.bytes.truncate(kept);
        self.starts.truncate(kept);
    }

    fn push_char(&mut self, c: char, at: usize) {
        if c.is_control() || is_invisible(c) || c > '\u{ffff}' {
            return;
        }
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            self.push(byte, at);
        }
    }

    fn push(&mut self, byte: u8, at: usize) {
        self.bytes.push(match byte {
            b' ' | b'-' => b'+',
            b'_' => b'/',
            byte => byte,
        });
        self.starts.push(at);
    }

    /// Replaces an escape at the end, and one that ends in what this stands for.
    fn unescape(&mut self) {
        while let Some((length, unescaped)) = escape_at_end(&self.bytes) {
            let kept = self.bytes.len() - length;
            let at = self.starts.get(kept).copied().unwrap_or_default();
            self.bytes.truncate(kept);
            self.starts.truncate(kept);
            match unescaped {
                Unescaped::Byte(byte) if byte < b' ' => {}
                Unescaped::Byte(byte) => self.push(byte, at),
                Unescaped::Char(c) => c.into_iter().for_each(|c| self.push_char(c, at)),
            }
            // A character beyond U+FFFF that was written byte by byte.
            if let [.., 0xf0..=0xf4, 0x80..=0xbf, 0x80..=0xbf, 0x80..=0xbf] = **self.bytes {
                self.bytes.truncate(kept.saturating_sub(3));
                self.starts.truncate(kept.saturating_sub(3));
            }
        }
    }

    /// What to search for. Its end may become part of an escape with what follows in the text.
    fn needle(&self) -> &[u8] {
        let end = self.bytes.iter().rposition(|byte| *byte != b'%').map_or(0, |last| last + 1);
        self.bytes.get(..end).unwrap_or_default()
    }

    /// Adds where in the text this is.
    fn find(&self, part: &[u8], found: &mut Vec<(usize, usize)>) {
        if part.len() < SHORTEST {
            return;
        }
        let windows = self.bytes.windows(part.len()).enumerate();
        for (at, _) in windows.filter(|(_, window)| *window == part) {
            let from = self.starts.get(at).copied().unwrap_or_default();
            let to = self.starts.get(at + part.len()).copied().unwrap_or(self.length);
            found.push((from, to));
        }
    }
}

/// The length of the escape at the end of this text, and what it stands for.
fn escape_at_end(text: &[u8]) -> Option<(usize, Unescaped)> {
    let number = |digits: &[u8], base: u32| {
        let digit = |sum: u32, byte: &u8| {
            sum.checked_mul(base)?.checked_add(char::from(*byte).to_digit(base)?)
        };
        if digits.is_empty() { None } else { digits.iter().try_fold(0, digit) }
    };
    let is_hex = |byte: u8| byte.is_ascii_hexdigit();
    match *text {
        [.., b'%', high, low] if is_hex(high) && is_hex(low) => {
            Some((3, Unescaped::Byte(number(&[high, low], 16)?.try_into().ok()?)))
        }
        [.., b'\\', escaped @ (b'"' | b'\\' | b'/' | b'\'')] => Some((2, Unescaped::Byte(escaped))),
        [.., b'\\', b'n' | b'r' | b't' | b'b' | b'f'] => Some((2, Unescaped::Char(None))),
        [.., b'\\', b'u', a, b, c, d] if [a, b, c, d].into_iter().all(is_hex) => {
            // Half of a pair has no character of its own.
            Some((6, Unescaped::Char(char::from_u32(number(&[a, b, c, d], 16)?))))
        }
        [.., b';'] => {
            /// The longest entity is `&#x10ffff;`.
            const LONGEST: usize = 10;
            let tail = text.get(text.len().saturating_sub(LONGEST)..)?;
            let entity = tail.get(tail.iter().rposition(|byte| *byte == b'&')?..)?;
            let c = match entity.get(1..entity.len() - 1)? {
                b"amp" => '&',
                b"lt" => '<',
                b"gt" => '>',
                b"quot" => '"',
                b"apos" => '\'',
                [b'#', b'x' | b'X', digits @ ..] => char::from_u32(number(digits, 16)?)?,
                [b'#', digits @ ..] => char::from_u32(number(digits, 10)?)?,
                _ => return None,
            };
            Some((entity.len(), Unescaped::Char(Some(c))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;

    #[test]
    fn a_text_of_nothing_but_encoded_secrets_is_searched_once() {
        // The length is a multiple of three, so that each of them begins a group of its own.
        let secret = "secret-of-21-bytes-00";
        let mut text = STANDARD_NO_PAD.encode(secret).repeat(20_000);
        mask(&mut text, &[secret]);
        assert_eq!(text, MASK);
    }

    fn json(text: &str) -> String {
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

    fn html(text: &str) -> String {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;")
    }

    /// Escapes with lower-case digits.
    fn in_lower_case(percent: &str) -> String {
        let mut parts = percent.split('%');
        let first = parts.next().unwrap().to_owned();
        parts.fold(first, |all, part| {
            format!("{all}%{}{}", part[..2].to_ascii_lowercase(), &part[2..])
        })
    }

    /// Every usual encoding of a text.
    pub(super) fn encodings(text: &str) -> Vec<String> {
        let percent = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let entities: String = text.chars().map(|c| format!("&#x{:x};", u32::from(c))).collect();
        let decimal: String = text.chars().map(|c| format!("&#{};", u32::from(c))).collect();
        let mut all = vec![
            text.to_owned(),
            percent.clone(),
            in_lower_case(&percent),
            percent.replace("%20", "+"),
            utf8_percent_encode(&percent, NON_ALPHANUMERIC).to_string(),
            html(text),
            html(&html(text)),
            entities,
            decimal,
            json(text),
            json(&json(text)),
            json(&json(&json(text))),
            json_in_hex(text),
            json(&json_in_hex(text)),
            json(&html(text)),
            html(&json(text)),
        ];
        for place in 0..3 {
            let inside = format!("{}{text}, and more", "x".repeat(place));
            let standard = STANDARD_NO_PAD.encode(&inside);
            all.push(json_in_hex(&standard));
            all.push(utf8_percent_encode(&standard, NON_ALPHANUMERIC).to_string());
            all.push(standard);
            all.push(URL_SAFE.encode(inside));
        }
        all
    }

    const SECRETS: [&str; 7] = [
        "canary~Secret.9%&/+= x",
        "Qq8Q~aB-_cD.eF<g>'h\"i",
        "%41&amp;\\n\\u0041+ % tail",
        "back\\slash\\\\nary",
        "dom\\user:p\u{e4}ssw\u{f6}rd\u{1f511}?",
        "se=2026&sig=a%2bB%2F%3d;x",
        "eyJhbGciOiJub25lIn0.eyJtYXJrIjoiY2FuYXJ5In0.canary-signature_x",
    ];

    #[test]
    fn a_secret_is_masked_in_every_encoding() {
        for secret in SECRETS {
            for encoded in encodings(secret) {
                for (before, after) in
                    [("", ""), ("said: ", " and more"), ("\"", "\""), ("'", "'}")]
                {
                    let mut text = format!("{before}{encoded}{after}");
                    mask(&mut text, &["other-secret", secret]);
                    assert!(text.contains(MASK), "{secret}: {encoded}");
                    // Base64 hides the neighbours of the secret, of which some characters stay.
                    assert!(text.len() <= before.len() + after.len() + 25, "{encoded}: {text}");
                    assert!(text.starts_with(before) && text.ends_with(after), "{text}");
                }
            }
        }
    }

    #[test]
    fn what_comes_before_a_secret_does_not_hide_it() {
        for before in ["\\", "%", "%4", "&", "\\u00", "C:\\", "\u{200b}", "&#", "\n"] {
            let mut text = format!("{before}123abc-nary;{before}");
            mask(&mut text, &["123abc-nary"]);
            assert_eq!(text, format!("{before}***;{before}"));
        }
        let mut text = "Basic dXNlcjpzd29yZGZpc2g=, not others".to_owned();
        mask(&mut text, &["user:swordfish"]);
        assert_eq!(text, "Basic ***, not others");
        let mut text = r#"{"password":"ends in \\"}"#.to_owned();
        mask(&mut text, &[r"ends in \"]);
        assert_eq!(text, r#"{"password":"***\\"}"#);
        let mut text = "a cana\u{200b}ry-of-\r\n mine".to_owned();
        mask(&mut text, &["canary-of- mine"]);
        assert_eq!(text, "a ***");
    }

    #[test]
    fn other_text_stays_as_it_is() {
        let same = "The value '%zz&unknown; \\q &#; %4' + \u{1f4e6} é is not valid (dXNlcjpwYXNz).";
        for secrets in [&["pass1"][..], &[], &["not-in-there"], &["", "The"], &["canary-é"]] {
            let mut text = same.to_owned();
            mask(&mut text, secrets);
            assert_eq!(text, same);
        }
    }

    #[test]
    fn the_page_says_which_secrets_are_too_short() {
        let page = include_str!("../../../docs/contract.md").replace('\n', " ");
        assert!(page.contains("fewer than six characters are not masked"));
        for (secret, text) in [("error", "an error"), ("errors", "an ***")] {
            let mut said = format!("an {secret}");
            mask(&mut said, &[secret]);
            assert_eq!(said, text);
        }
    }

    #[test]
    fn several_secrets_and_parts_of_a_token_are_masked() {
        let token = "eyJhbGciOiJub25lIn0.eyJtYXJrIjoiY2FuYXJ5In0.canary-signature";
        let mut text = format!(
            "{token}; eyJtYXJrIjoiY2FuYXJ5In0 canary-signature p%40ssword p@sswordp@ssword"
        );
        mask(&mut text, &[token, "p@ssword"]);
        assert_eq!(text, "***; *** *** *** ******");
    }

    #[test]
    fn what_only_begins_like_an_escape_hides_no_other_one() {
        for secret in ["\\u<A a 0", "\\u\"bc d e", "%&ab c de"] {
            for encoded in encodings(secret) {
                let mut text = format!("before {encoded} after");
                mask(&mut text, &[secret]);
                assert!(text.contains(MASK), "{encoded}");
            }
        }
    }

    proptest::proptest! {
        /// Any text with any secret in any encoding: nothing of the secret stays, and text without it does not change.
        #[test]
        fn any_secret_is_masked(before in ".{0,9}", secret in "[ -~]{8,40}", after in ".{0,9}", which in 0_usize..28) {
            let encoded = encodings(&secret)[which].clone();
            let mut text = format!("{before} {encoded} {after}");
            mask(&mut text, &[&secret]);
            // A secret of backslashes and the like is shorter when it is folded.
            if Folded::of(&secret).needle().len() >= SHORTEST {
                proptest::prop_assert!(text.contains(MASK), "{encoded}");
                proptest::prop_assert!(!text.contains(&secret));
            }
        }
    }
}
