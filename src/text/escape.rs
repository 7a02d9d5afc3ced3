//! Text as a part of an address.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but RFC 3986 "unreserved" is escaped.
pub(crate) const COMPONENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Borrowed where nothing is to be escaped, as in an id.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, COMPONENT).into()
}
