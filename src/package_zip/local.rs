//! The local header and the data descriptor of an entry, before and after its content.

use super::extra;
use super::fields::{length, number};
use super::file::Source;
use super::member::{Member, UTF8};
use super::names::is_separator;
use super::problem::Checked;
use super::reason;

pub(super) const LOCAL: &[u8] = b"PK\x03\x04";
const LOCAL_LENGTH: usize = 30;
const DESCRIPTOR: &[u8] = b"PK\x07\x08";

const ENCRYPTED: u64 = 0x0001;
/// Sizes and checksum follow the content.
const HAS_DESCRIPTOR: u64 = 0x0008;
/// A size that does not fit, or is not known yet.
const UNKNOWN: u64 = 0xffff_ffff;

/// What the header says about the bytes after it.
pub(super) struct Header {
    /// The position of the content.
    pub(super) start: u64,
    /// Whether a descriptor may follow the content, and whether it has to.
    descriptor: Option<Need>,
}

#[derive(Clone, Copy, PartialEq)]
enum Need {
    /// The header has everything, or only one of the two records mentions a descriptor.
    Optional,
    Required,
}

/// Compares the header with the directory.
pub(super) fn header(source: &mut Source<'_>, member: &mut Member) -> Checked<Header> {
    let head = source.exact(member.offset, LOCAL_LENGTH)?;
    if !head.starts_with(LOCAL) {
        return Err("is not at its position in the directory".into());
    }
    let (flags, method, crc32) = (number(head, 6, 2), number(head, 8, 2), number(head, 14, 4));
    // The order is that of the 64-bit extra field.
    let mut sizes = [number(head, 22, 4), number(head, 18, 4)];
    let (name, all) = (length(head, 26), length(head, 26) + length(head, 28));
    let start = member.offset + LOCAL_LENGTH as u64;
    let (name, extras) = source.exact(start, all)?.split_at(name);
    let extras = extra::read(extras, member.is_folder());
    let differs = flags ^ member.flags;
    if method != member.method || differs & ENCRYPTED != 0 {
        return Err("is described differently in its header than in the directory".into());
    }
    let is_same = |second: &&[u8]| {
        **second == *member.raw || member.second.as_deref().is_some_and(|one| one == *second)
    };
    let harm = if !same_path(name, &member.raw) {
        Some(reason::OTHER_NAME)
    } else if differs & UTF8 != 0 && !name.is_ascii() {
        Some(reason::OTHER_CHARACTERS)
    } else if extras.name.is_some_and(|second| !is_same(&second)) {
        Some(reason::SECOND_NAME)
    } else {
        extras.harm
    };
    member.harms(harm);

    // They may be missing then: the header was written before the content. A mention in the directory alone is no
    // excuse, since unzip believes the header then, and writes an empty file.
    let later = flags & HAS_DESCRIPTOR != 0;
    if let (Err(what), false) = (extras.lengthen(&mut sizes), later) {
        return Err(what.into());
    }
    let [bytes, compressed] = sizes;
    let numbers = [(crc32, member.crc32), (compressed, member.compressed), (bytes, member.bytes)];
    let is_whole = numbers.iter().all(|(here, there)| here == there);
    let agrees = numbers
        .iter()
        .all(|(here, there)| here == there || (later && matches!(*here, 0 | UNKNOWN)));
    if !agrees {
        return Err(
            "has other sizes or another checksum in its header than in the directory".into()
        );
    }
    let optional = is_whole || differs & HAS_DESCRIPTOR != 0;
    let need = if optional { Need::Optional } else { Need::Required };
    let has_descriptor = (flags | member.flags) & HAS_DESCRIPTOR != 0;
    Ok(Header { start: start + all as u64, descriptor: has_descriptor.then_some(need) })
}

/// Whether two names are equal, whichever separators they have.
fn same_path(one: &[u8], other: &[u8]) -> bool {
    let same = |(a, b): (&u8, &u8)| a == b || (is_separator(a) && is_separator(b));
    one.len() == other.len() && one.iter().zip(other).all(same)
}

impl Header {
    /// Checks the descriptor at `at`, if the entry has one. Returns the end of the entry.
    ///
    /// A descriptor may have a signature, and numbers of 32 or 64 bits. Nothing marks its form, so any form that agrees
    /// with the directory is accepted.
    pub(super) fn descriptor(
        &self,
        source: &mut Source<'_>,
        member: &Member,
        at: u64,
        limit: u64,
    ) -> Checked<u64> {
        let Some(need) = self.descriptor else { return Ok(at) };
        let most = usize::try_from(limit.saturating_sub(at)).unwrap_or(usize::MAX).min(24);
        let bytes = source.exact(at, most)?;
        let signed = if bytes.starts_with(DESCRIPTOR) { DESCRIPTOR.len() } else { 0 };
        for skipped in [signed, 0] {
            for size in [8, 4] {
                let end = skipped + 4 + 2 * size;
                if bytes.len() >= end
                    && number(bytes, skipped, 4) == member.crc32
                    && number(bytes, skipped + 4, size) == member.compressed
                    && number(bytes, skipped + 4 + size, size) == member.bytes
                {
                    return Ok(at + end as u64);
                }
            }
        }
        if need == Need::Optional {
            return Ok(at);
        }
        Err("has other sizes or another checksum after its content than in the directory".into())
    }
}
