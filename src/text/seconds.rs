//! Numbers of seconds as services and gateways write them, and lengths of time for messages.

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

/// A length of time, rounded, in the unit that suits it: `59 seconds`, `121 minutes`, `5 hours`, `3 days`.
pub(crate) fn words(length: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let seconds = length.as_secs();
    let (unit, name) = match seconds {
        0..MINUTE => (1, "seconds"),
        MINUTE..=10_800 => (MINUTE, "minutes"),
        10_801..=172_800 => (HOUR, "hours"),
        _ => (DAY, "days"),
    };
    format!("{} {name}", seconds.saturating_add(unit / 2) / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_rounded() {
        for (seconds, expected) in [
            (59, "59 seconds"),
            (3_599, "60 minutes"),
            (7_229, "120 minutes"),
            (7_230, "121 minutes"),
            (10_800, "180 minutes"),
            (12_600, "4 hours"),
            (86_399, "24 hours"),
            (31 * 86_400 - 1, "31 days"),
            (u64::MAX, "213503982334601 days"),
        ] {
            assert_eq!(words(Duration::from_secs(seconds)), expected, "{seconds}");
        }
    }

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
