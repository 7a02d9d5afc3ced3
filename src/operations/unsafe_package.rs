//! The error for a package that could do harm where it is unpacked.

use crate::error::{Error, Stage};
use crate::package_zip::Contents;
use crate::status::Status;
use crate::text::redact;

/// The message names the first of the unsafe entries.
pub(crate) fn error(contents: &Contents) -> Error {
    let mut message = String::new();
    if let Some(first) = contents.unsafe_entries.first() {
        message = match first.is_the_package() {
            true => format!("the file {}", first.reason()),
            false => format!("entry `{}` {}", redact::clean(first.name(), 200), first.reason()),
        };
    }
    match contents.unsafe_count.saturating_sub(1) {
        0 => {}
        more => message.push_str(&format!(", and {more} more could do harm")),
    }
    message.push_str("; do not unpack the file as it is");
    Error::new(Status::Unsafe, message).with_stage(Stage::Verify)
}
