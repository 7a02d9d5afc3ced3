//! One entry of the central directory.

use std::borrow::Cow;

pub(super) const UTF8: u64 = 0x0800;

/// One entry of the central directory, its numbers as the zip has them.
#[derive(Default)]
pub(super) struct Member {
    /// The name in the archive, unchanged.
    pub(super) raw: Box<[u8]>,
    /// Info-ZIP's second name in the directory, if it is another one.
    pub(super) second: Option<Box<[u8]>>,
    pub(super) flags: u64,
    pub(super) method: u64,
    /// Time and, in the upper half, date in the form of MS-DOS.
    pub(super) modified: u64,
    pub(super) crc32: u64,
    pub(super) compressed: u64,
    pub(super) bytes: u64,
    /// The position of its local header.
    pub(super) offset: u64,
    /// Why it could do harm where it is unpacked.
    pub(super) harm: Option<&'static str>,
    /// Its content cannot be checked, or would be too much.
    pub(super) unchecked: bool,
}

impl Member {
    /// The name as UTF-8. Control characters are replaced as well: JSON has six bytes for each, and terminals obey them.
    pub(super) fn name(&self) -> Cow<'_, str> {
        let name = String::from_utf8_lossy(&self.raw);
        match name.contains(char::is_control) {
            true => name.replace(char::is_control, "\u{fffd}").into(),
            false => name,
        }
    }

    /// Whether it is a folder, which has no content.
    pub(super) fn is_folder(&self) -> bool {
        matches!(self.raw.last(), Some(b'/' | b'\\'))
    }

    /// Whether its name is marked as UTF-8.
    pub(super) fn is_utf8(&self) -> bool {
        self.flags & UTF8 != 0
    }

    /// Records why the entry could do harm, if it could. The first reason stays.
    pub(super) fn harms(&mut self, reason: Option<&'static str>) {
        self.harm = self.harm.or(reason);
    }

    /// Records why the content is not checked, which goes before other reasons. The first of its kind stays.
    pub(super) fn skip(&mut self, reason: &'static str) {
        self.harm = if self.unchecked { self.harm } else { Some(reason) };
        self.unchecked = true;
    }
}
