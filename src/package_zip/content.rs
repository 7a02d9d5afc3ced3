//! Decompresses the content of an entry, to get its checksum and length. Nothing is kept.

use crc32fast::Hasher;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::file::Source;
use super::local;
use super::member::Member;
use super::problem::Checked;

pub(super) const STORED: u64 = 0;
pub(super) const DEFLATED: u64 = 8;

const OTHER_LENGTH: &str = "has another length than it declares";

/// Twice the window of deflate (32 KiB), which still fits the processor's cache.
const RING: usize = 64 * 1024;

/// The memory for decompression, used for one entry after the other.
pub(super) struct Checker {
    inflater: Box<DecompressorOxide>,
    ring: Box<[u8]>,
}

/// The result of decompressing an entry.
struct Unpacked {
    crc32: u32,
    /// `None`: more than declared. The rest was not decompressed.
    bytes: Option<u64>,
    /// Packed bytes after the end of the content.
    left: u64,
}

impl Checker {
    pub(super) fn new() -> Checker {
        Checker { inflater: Box::default(), ring: vec![0; RING].into_boxed_slice() }
    }

    /// Checks one entry, which must end before `limit`. Returns its end.
    pub(super) fn check(
        &mut self,
        source: &mut Source<'_>,
        member: &mut Member,
        limit: u64,
    ) -> Checked<u64> {
        source.pause()?;
        let header = local::header(source, member)?;
        let start = header.start;
        let end = start.checked_add(member.compressed).filter(|end| *end <= limit);
        let end = end.ok_or("reaches into the directory: a part of the file is missing")?;
        if member.unchecked {
            return header.descriptor(source, member, end, limit);
        }
        let unpacked = match member.method {
            // Some packers mark an empty file as deflated and write no content.
            DEFLATED if member.compressed > 0 => self.inflate(source, member, start)?,
            _ if member.compressed != member.bytes => return Err(OTHER_LENGTH.into()),
            _ => stored(source, member, start)?,
        };
        if unpacked.left > 0 || unpacked.bytes != Some(member.bytes) {
            return Err(OTHER_LENGTH.into());
        }
        if u64::from(unpacked.crc32) != member.crc32 {
            return Err("has content that does not match its checksum".into());
        }
        header.descriptor(source, member, end, limit)
    }

    fn inflate(
        &mut self,
        source: &mut Source<'_>,
        member: &Member,
        start: u64,
    ) -> Checked<Unpacked> {
        self.inflater.init();
        let mut crc32 = Hasher::new();
        let (mut left, mut bytes, mut place) = (member.compressed, 0_u64, 0);
        loop {
            source.pause()?;
            let packed = match left {
                0 => &[],
                _ => source.some(start + (member.compressed - left), left)?,
            };
            let more = (packed.len() as u64) < left;
            let flags = if more { TINFL_FLAG_HAS_MORE_INPUT } else { 0 };
            let (status, used, made) =
                decompress(&mut self.inflater, packed, &mut self.ring, place, flags);
            crc32.update(self.ring.get(place..place + made).unwrap_or_default());
            left = left.saturating_sub(used as u64);
            bytes += made as u64;
            place = (place + made) % RING;
            if bytes > member.bytes {
                return Ok(Unpacked { crc32: 0, bytes: None, left });
            }
            match status {
                TINFLStatus::Done => {
                    return Ok(Unpacked { crc32: crc32.finalize(), bytes: Some(bytes), left });
                }
                TINFLStatus::HasMoreOutput | TINFLStatus::NeedsMoreInput if used + made > 0 => {}
                _ => return Err("cannot be decompressed".into()),
            }
        }
    }
}

fn stored(source: &mut Source<'_>, member: &Member, start: u64) -> Checked<Unpacked> {
    let mut crc32 = Hasher::new();
    let mut left = member.compressed;
    while left > 0 {
        let part = source.some(start + (member.compressed - left), left)?;
        crc32.update(part);
        left -= part.len() as u64;
    }
    Ok(Unpacked { crc32: crc32.finalize(), bytes: Some(member.compressed), left })
}
