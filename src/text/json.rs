//! JSON documents as text: the parser for bytes and the writer for formatted text would each be a second one in the
//! library.

use serde::{Deserialize, Serialize};

/// Reads a document; one that is not UTF-8 throughout is none.
pub(crate) fn read<'a, T: Deserialize<'a>>(document: &'a [u8]) -> Option<T> {
    serde_json::from_str(std::str::from_utf8(document).ok()?).ok()
}

/// Writes a document; what this library writes has no part that could not be.
pub(crate) fn text(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
