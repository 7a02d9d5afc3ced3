//! What a reply of the download host means for the part on disk.
//!
//! Bytes are appended only if the host names them as the next range of the same version. A host without ranges sends
//! the whole package again, and a host with a new package sends another version.

use super::part_state::PartState;

/// The parts of a reply's head that matter here.
#[derive(Debug, Default)]
pub(crate) struct Head<'a> {
    pub status: u16,
    pub length: Option<u64>,
    pub range: Option<&'a str>,
    pub etag: Option<&'a str>,
    pub modified: Option<&'a str>,
    pub encoding: Option<&'a str>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The whole package follows, from its beginning.
    Whole,
    /// The missing bytes follow, up to the position `end`, which may be before the end of the package.
    Rest { end: u64, total: Option<u64> },
    /// Nothing is missing.
    Complete,
    /// The host has another version than the one of the part.
    Changed,
    /// The range that follows is not the requested one.
    WrongRange,
    /// The body is compressed or otherwise encoded.
    Encoded,
    /// The body is empty. Some hosts answer so when a link is no longer valid.
    Empty,
    /// The reply has no package in it.
    Refused,
}

/// The meaning of a reply to a request for the bytes from position `have`, the length of the part.
pub(crate) fn meaning(head: &Head<'_>, have: u64, state: &PartState) -> Meaning {
    // Uploaders write what they take for the encoding into this property of a blob. None of these changes a byte.
    let plain = head.encoding.is_none_or(|name| {
        let same = ["", "identity", "none", "binary", "utf-8", "utf8", "7bit", "8bit"];
        same.iter().any(|plain| name.trim().eq_ignore_ascii_case(plain))
    });
    match head.status {
        200 | 206 if !plain => Meaning::Encoded,
        204 => Meaning::Empty,
        200 if head.length == Some(0) => Meaning::Empty,
        200 => Meaning::Whole,
        206 if have == 0 => Meaning::WrongRange,
        206 => rest(head, have, state),
        // The host's version lacks the validator or the position that the request named.
        412 => Meaning::Changed,
        416 if have > 0 => match head.range.and_then(unsatisfied) {
            Some(total) if total == have && !state.differs(head.etag, head.modified) => {
                Meaning::Complete
            }
            _ => Meaning::Changed,
        },
        _ => Meaning::Refused,
    }
}

fn rest(head: &Head<'_>, have: u64, state: &PartState) -> Meaning {
    let Some((first, last, total)) = head.range.and_then(satisfied) else {
        return Meaning::WrongRange;
    };
    let Some(end) = last.checked_add(1) else { return Meaning::WrongRange };
    let fits = first == have
        && end > first
        && total.is_none_or(|total| total >= end)
        && head.length.is_none_or(|length| length == end - first);
    if !fits {
        return Meaning::WrongRange;
    }
    let other_length = state.total.zip(total).is_some_and(|(ours, theirs)| ours != theirs);
    if other_length || state.differs(head.etag, head.modified) {
        return Meaning::Changed;
    }
    Meaning::Rest { end, total }
}

/// `bytes 5-9/10`: first, last, total.
fn satisfied(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = after_unit(text)?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let total = match total.trim() {
        "*" => None,
        digits => Some(number(digits)?),
    };
    Some((number(first)?, number(last)?, total))
}

/// `bytes */10`
fn unsatisfied(text: &str) -> Option<u64> {
    number(after_unit(text)?.trim().strip_prefix("*/")?)
}

fn after_unit(text: &str) -> Option<&str> {
    let (unit, rest) = text.trim().split_once(' ')?;
    unit.eq_ignore_ascii_case("bytes").then_some(rest)
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> PartState {
        let (etag, total) = (Some("\"1\"".to_owned()), Some(10));
        PartState { etag, total, ..PartState::of("a") }
    }

    fn of(status: u16, range: Option<&str>) -> Meaning {
        meaning(&Head { status, range, ..Head::default() }, 5, &state())
    }

    #[test]
    fn only_the_right_continuation_is_appended() {
        let rest = |end| Meaning::Rest { end, total: Some(10) };
        assert_eq!(of(206, Some("bytes 5-9/10")), rest(10));
        assert_eq!(of(206, Some("Bytes 5-7/10")), rest(8));
        assert_eq!(of(206, Some("bytes 5-9/*")), Meaning::Rest { end: 10, total: None });
        assert_eq!(of(206, Some("bytes 5-9/11")), Meaning::Changed);
        for wrong in [
            None,
            Some(""),
            Some("bytes"),
            Some("bytes 0-9/10"),
            Some("bytes 4-9/10"),
            Some("bytes 6-9/10"),
            Some("bytes 5-4/10"),
            Some("bytes 5-10/10"),
            Some("bytes 5-18446744073709551615/*"),
            Some("bytes +5-9/10"),
            Some("bytes */10"),
            Some("lines 5-9/10"),
        ] {
            assert_eq!(of(206, wrong), Meaning::WrongRange, "{wrong:?}");
        }
        let head = |length, etag| Head {
            status: 206,
            range: Some("bytes 5-9/10"),
            length,
            etag,
            ..Head::default()
        };
        assert_eq!(meaning(&head(Some(5), Some("\"1\"")), 5, &state()), rest(10));
        assert_eq!(meaning(&head(Some(4), None), 5, &state()), Meaning::WrongRange);
        assert_eq!(meaning(&head(Some(5), Some("\"2\"")), 5, &state()), Meaning::Changed);
        assert_eq!(meaning(&head(Some(5), None), 0, &state()), Meaning::WrongRange);
    }

    #[test]
    fn every_other_status_has_a_meaning() {
        assert_eq!(of(200, None), Meaning::Whole);
        assert_eq!(of(204, None), Meaning::Empty);
        assert_eq!(of(412, None), Meaning::Changed);
        assert_eq!(of(416, Some("bytes */5")), Meaning::Complete);
        assert_eq!(of(416, Some("bytes */4")), Meaning::Changed);
        assert_eq!(of(416, None), Meaning::Changed);
        for status in [403, 404, 410, 500, 301, 100] {
            assert_eq!(of(status, None), Meaning::Refused);
        }
        let empty = Head { status: 200, length: Some(0), ..Head::default() };
        assert_eq!(meaning(&empty, 0, &state()), Meaning::Empty);
        for plain in ["identity", "none", "Binary", "UTF-8", " 8bit "] {
            let head = Head { status: 200, encoding: Some(plain), ..Head::default() };
            assert_eq!(meaning(&head, 0, &PartState::default()), Meaning::Whole, "{plain}");
        }
        let encoded = Head { status: 200, encoding: Some("gzip"), ..Head::default() };
        assert_eq!(meaning(&encoded, 0, &state()), Meaning::Encoded);
    }
}
