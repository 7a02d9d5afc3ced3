//! One entry of the central directory.

/// One entry of it.
pub(super) struct Member {
    /// The name as it stands in the archive.
    pub(super) raw: Box<[u8]>,
    /// The same, fit to show.
    pub(super) name: String,
    pub(super) flags: u64,
    pub(super) method: u64,
    /// Time and, in the upper half, date as MS-DOS writes them.
    pub(super) modified: u64,
    pub(super) crc32: u64,
    pub(super) compressed: u64,
    pub(super) bytes: u64,
    /// Where its local header lies.
    pub(super) offset: u64,
}

impl Member {
    /// Whether it is a folder, which has no content.
    pub(super) fn is_folder(&self) -> bool {
        matches!(self.raw.last(), Some(b'/' | b'\\'))
    }
}
