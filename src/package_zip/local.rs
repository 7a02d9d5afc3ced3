//! The local header and the data descriptor of an entry, before and after its content.

use super::fields::{length, lengthen, number};
use super::file::Source;
use super::member::Member;
use super::problem::Checked;

const LOCAL: &[u8] = b"PK\x03\x04";
const LOCAL_LENGTH: usize = 30;
const DESCRIPTOR: &[u8] = b"PK\x07\x08";

/// Sizes and checksum follow the content.
const HAS_DESCRIPTOR: u64 = 0x0008;
/// Flags that change how the entry is read: encryption, descriptor, character set of the name.
const MEANING: u64 = 0x0809;

/// Compares the header with the directory. Returns the position of the content.
pub(super) fn header(source: &mut Source<'_>, member: &mut Member) -> Checked<u64> {
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
    if *name != *member.raw {
        member.harms("has another name in its header than in the directory");
    }
    if method != member.method || (flags ^ member.flags) & MEANING != 0 {
        return Err("is described differently in its header than in the directory".into());
    }
    lengthen(&mut sizes, extras)?;
    let [bytes, compressed] = sizes;
    // With a descriptor they may be zero: the header was written before the content.
    let later = member.flags & HAS_DESCRIPTOR != 0;
    let agrees = |here: u64, there: u64| here == there || (later && here == 0);
    if !agrees(crc32, member.crc32)
        || !agrees(compressed, member.compressed)
        || !agrees(bytes, member.bytes)
    {
        return Err(
            "has other sizes or another checksum in its header than in the directory".into()
        );
    }
    Ok(start + all as u64)
}

/// Checks the descriptor at `at`, if the entry has one. Returns the end of the entry.
///
/// A descriptor may have a signature, and numbers of 32 or 64 bits. Nothing marks its form, so any form that agrees
/// with the directory is accepted.
pub(super) fn descriptor(
    source: &mut Source<'_>,
    member: &Member,
    at: u64,
    limit: u64,
) -> Checked<u64> {
    if member.flags & HAS_DESCRIPTOR == 0 {
        return Ok(at);
    }
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
    Err("has other sizes or another checksum after its content than in the directory".into())
}
