//! What could do harm where a package is unpacked, for callers.

use serde::Serialize;

use super::member::Member;
use super::reason;

/// The most entries that are listed. All are counted.
pub(super) const LISTED: usize = 100;
/// The most bytes of a name that is listed.
const MAX_NAME: usize = 1024;

/// An entry that could do harm where the package is unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnsafeEntry {
    name: Box<str>,
    reason: &'static str,
}

impl UnsafeEntry {
    /// The name, as [`Entry::name`](super::Entry::name) has it, and of a longer one the first 1,024 bytes. Empty for a
    /// reason that is the whole package's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The reason, to be read behind the name, such as "is a symbolic link".
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// Whether the reason is the whole package's.
    pub(crate) fn is_the_package(&self) -> bool {
        matches!(
            self.reason,
            reason::UNLISTED | reason::EARLY_END | reason::MANY_ENTRIES | reason::LONG_DIRECTORY
        )
    }

    /// The whole package.
    pub(super) fn package(reason: &'static str) -> UnsafeEntry {
        UnsafeEntry { name: Box::default(), reason }
    }
}

/// The first unsafe entries in the order of the directory, and how many there are.
pub(super) fn list(members: &[Member]) -> (Vec<UnsafeEntry>, u64) {
    let mut listed = Vec::new();
    let mut count = 0;
    for member in members {
        let Some(reason) = member.harm else { continue };
        count += 1;
        if listed.len() < LISTED {
            let name = member.name();
            let mut end = name.len().min(MAX_NAME);
            while !name.is_char_boundary(end) {
                end -= 1;
            }
            let name = name.get(..end).unwrap_or_default().into();
            listed.push(UnsafeEntry { name, reason });
        }
    }
    (listed, count)
}
