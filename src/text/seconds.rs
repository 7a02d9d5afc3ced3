//! Numbers of seconds as services and gateways write them.

use std::time::Duration;

/// Reads `30`, `29.4`, which is rounded up, and either with a unit, `30 s` or `30 seconds`. Values beyond what fits are the
/// largest that does.
pub(crate) fn read(text: &str) -> Option<Duration> {
    let text = text.trim();
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(number.len()..).unwrap_or_default();
    if !["", "s", "sec", "second", "seconds"].iter().any(|known| unit.eq_ignore_ascii_case(known)) {
        return None;
    }
    let text = number.trim_end();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u64 = whole.parse().unwrap_or(u64::MAX);
    let begun = u64::from(fraction.bytes().any(|byte| byte != b'0'));
    Some(Duration::from_secs(whole.saturating_add(begun)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_rounded_up() {
        for (text, seconds) in [
            ("0", 0),
            (" 30 ", 30),
            ("29.0", 29),
            ("29.", 29),
            ("29.0001", 30),
            ("0.5", 1),
            ("2s", 2),
            ("120 Seconds", 120),
            ("1.5 sec", 2),
            ("99999999999999999999", u64::MAX),
            ("18446744073709551615.5", u64::MAX),
        ] {
            assert_eq!(read(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1,5",
            "inf",
            "0x10",
            "1.5.1",
            "1 m",
            "2 minutes",
            "s",
            "\u{661}",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
