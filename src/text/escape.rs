//! Escaping text for URLs.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All characters except RFC 3986 "unreserved".
pub(crate) const COMPONENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Escapes text for a path segment or a query value. Text without such characters is borrowed.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, COMPONENT).into()
}
