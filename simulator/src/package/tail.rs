//! The records of a zip around a file that is made on the fly, with the 64-bit forms where needed.
//!
//! <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>, sections 4.3 and 4.5.3

/// 1 January 1980, the first day of the format: packages are the same at every start.
const DATE: u16 = 0x0021;
const NONE_32: u32 = u32::MAX;
const ZIP64: u16 = 0x0001;
const STORED: u16 = 0;

/// A stored file of the zip.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    pub name: &'a str,
    pub bytes: u64,
    pub crc32: u32,
}

impl Stored<'_> {
    fn is_long(&self) -> bool {
        self.bytes >= u64::from(NONE_32)
    }

    /// The fields that both its records share, from the version needed to the lengths of name and extra field.
    fn shared(&self, extra: usize) -> Vec<u8> {
        let version: u16 = if self.is_long() { 45 } else { 20 };
        let mut out = Vec::new();
        for field in [version, 0, STORED, 0, DATE] {
            out.extend(field.to_le_bytes());
        }
        out.extend(self.crc32.to_le_bytes());
        let size = u32::try_from(self.bytes).unwrap_or(NONE_32);
        out.extend(size.to_le_bytes());
        out.extend(size.to_le_bytes());
        for length in [self.name.len(), extra] {
            out.extend(u16::try_from(length).unwrap_or(0).to_le_bytes());
        }
        out
    }

    fn extra(&self) -> Vec<u8> {
        if !self.is_long() {
            return Vec::new();
        }
        let mut out = [ZIP64.to_le_bytes(), 16_u16.to_le_bytes()].concat();
        out.extend(self.bytes.to_le_bytes());
        out.extend(self.bytes.to_le_bytes());
        out
    }

    /// The local header, which precedes the file's bytes.
    pub fn local_header(&self) -> Vec<u8> {
        let extra = self.extra();
        let shared = self.shared(extra.len());
        [b"PK\x03\x04".as_slice(), &shared, self.name.as_bytes(), &extra].concat()
    }

    /// Its entry in the central directory; `offset` is where its local header lies.
    pub fn central_entry(&self, offset: u32) -> Vec<u8> {
        let extra = self.extra();
        let shared = self.shared(extra.len());
        // Version made by; then comment length, disk and both kinds of attributes, all 0.
        let (made_by, rest) = (45_u16.to_le_bytes(), [0; 10]);
        [
            b"PK\x01\x02".as_slice(),
            &made_by,
            &shared,
            &rest,
            &offset.to_le_bytes(),
            self.name.as_bytes(),
            &extra,
        ]
        .concat()
    }
}

/// The records that follow the central directory.
pub fn end(entries: u16, directory_at: u64, directory: usize) -> Vec<u8> {
    let size = directory as u64;
    let mut out = Vec::new();
    if directory_at >= u64::from(NONE_32) {
        out.extend(b"PK\x06\x06");
        out.extend(44_u64.to_le_bytes());
        out.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for field in [u64::from(entries), u64::from(entries), size, directory_at] {
            out.extend(field.to_le_bytes());
        }
        out.extend(b"PK\x06\x07\0\0\0\0");
        out.extend((directory_at + size).to_le_bytes());
        out.extend(1_u32.to_le_bytes());
    }
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(entries.to_le_bytes());
    out.extend(entries.to_le_bytes());
    out.extend(u32::try_from(size).unwrap_or(NONE_32).to_le_bytes());
    out.extend(u32::try_from(directory_at).unwrap_or(NONE_32).to_le_bytes());
    out.extend([0, 0]);
    out
}
