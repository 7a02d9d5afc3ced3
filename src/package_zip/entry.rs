//! One entry of a package, for callers.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use super::member::Member;

/// One entry of a package: a file or a folder. Names of folders end in a slash.
#[derive(Clone, Debug)]
pub struct Entry {
    name: Box<str>,
    bytes: u64,
    compressed: u64,
    crc32: u32,
    modified: u32,
}

impl Entry {
    pub(super) fn of(member: Member) -> Entry {
        let changed = match member.name() {
            Cow::Borrowed(_) => None,
            Cow::Owned(name) => Some(name),
        };
        // Otherwise it is UTF-8, and needs no copy.
        let name = changed.or_else(|| String::from_utf8(member.raw.into_vec()).ok());
        let name = name.unwrap_or_default().into();
        Entry {
            name,
            bytes: member.bytes,
            compressed: member.compressed,
            crc32: u32::try_from(member.crc32).unwrap_or(0),
            modified: u32::try_from(member.modified).unwrap_or(0),
        }
    }

    /// The path inside the package. What is not UTF-8 is replaced by U+FFFD, and so are control characters.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length of the content in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Length of the packed content in bytes.
    pub fn compressed(&self) -> u64 {
        self.compressed
    }

    /// Checksum of the content (CRC-32 of ISO 3309). The content matched it, unless it was not checked: the reasons of
    /// unsafe entries say so.
    pub fn crc32(&self) -> u32 {
        self.crc32
    }

    /// When the file was last changed, as `2026-01-31T23:59:58`, by the device's own clock and time zone, in steps of
    /// two seconds. `None`: the package has no valid time.
    pub fn modified(&self) -> Option<String> {
        let (date, time) = (self.modified >> 16, self.modified & 0xffff);
        let (month, day) = (date >> 5 & 15, date & 31);
        let (hour, minute, second) = (time >> 11, time >> 5 & 63, (time & 31) * 2);
        let valid = matches!(month, 1..=12) && day > 0 && hour < 24 && minute < 60 && second < 60;
        let year = (date >> 9) + 1980;
        valid.then(|| format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"))
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Members<'a> {
            name: &'a str,
            bytes: u64,
            compressed: u64,
            crc32: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            modified: Option<String>,
        }
        let Entry { bytes, compressed, crc32, .. } = *self;
        let crc32 = format!("{crc32:08x}");
        Members { name: self.name(), bytes, compressed, crc32, modified: self.modified() }
            .serialize(serializer)
    }
}
