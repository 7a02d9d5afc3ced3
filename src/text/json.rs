//! Reading and writing JSON through text only. A parser for bytes or a writer for formatted text would make the library
//! larger.

use serde::{Deserialize, Serialize};

/// Reads a document. `None`: it is not valid, or not UTF-8.
pub(crate) fn read<'a, T: Deserialize<'a>>(document: &'a [u8]) -> Option<T> {
    serde_json::from_str(std::str::from_utf8(document).ok()?).ok()
}

/// Writes a document. Writing the types of this library cannot fail.
pub(crate) fn text(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
