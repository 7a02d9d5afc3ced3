//! One entry of the central directory.

/// One entry of the central directory, its numbers as the zip has them.
pub(super) struct Member {
    /// The name in the archive, unchanged.
    pub(super) raw: Box<[u8]>,
    /// The name as UTF-8.
    pub(super) name: String,
    pub(super) flags: u64,
    pub(super) method: u64,
    /// Time and, in the upper half, date in the form of MS-DOS.
    pub(super) modified: u64,
    pub(super) crc32: u64,
    pub(super) compressed: u64,
    pub(super) bytes: u64,
    /// The position of its local header.
    pub(super) offset: u64,
}

impl Member {
    /// Whether it is a folder, which has no content.
    pub(super) fn is_folder(&self) -> bool {
        matches!(self.raw.last(), Some(b'/' | b'\\'))
    }
}
