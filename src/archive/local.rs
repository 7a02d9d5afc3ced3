//! What stands before and after the content of an entry: its local header and data descriptor.

use super::Checked;
use super::directory::Member;
use super::fields::{Fields, extra};
use super::file::Source;

const LOCAL: &[u8] = b"PK\x03\x04";
const LOCAL_LENGTH: usize = 30;
const DESCRIPTOR: &[u8] = b"PK\x07\x08";
const ZIP64: u16 = 0x0001;

/// The sizes and the checksum follow the content.
const HAS_DESCRIPTOR: u16 = 0x0008;
/// Flags that change what is read: encryption, descriptor, character set of the name.
const MEANING: u16 = 0x0809;

/// Compares the header with the directory; returns where the content begins.
pub(super) fn header(source: &mut Source<'_>, member: &Member) -> Checked<u64> {
    let short = "has a short header";
    let mut fields = Fields(source.exact(member.offset, LOCAL_LENGTH)?);
    if fields.take(LOCAL.len()) != Some(LOCAL) {
        return Err("is not where the directory says".into());
    }
    let header = read(&mut fields).ok_or(short)?;
    let lengths = [header.name, header.extra].map(usize::from);
    let start = member.offset + LOCAL_LENGTH as u64;
    let variable = source.exact(start, lengths.iter().sum())?;
    let mut rest = Fields(variable);
    let [name, extras] = lengths.map(|length| rest.take(length).unwrap_or_default());
    if *name != *member.raw {
        return Err("has another name in its header than in the directory".into());
    }
    if header.method != member.method || (header.flags ^ member.flags) & MEANING != 0 {
        return Err("is described otherwise in its header than in the directory".into());
    }
    let (mut bytes, mut compressed) = (u64::from(header.bytes), u64::from(header.compressed));
    if let Some(zip64) = extra(extras, ZIP64)? {
        let mut fields = Fields(zip64);
        for number in [&mut bytes, &mut compressed] {
            if *number == u64::from(u32::MAX) {
                *number = fields.u64().ok_or("lacks its 64-bit sizes")?;
            }
        }
    }
    // Written before the content was known, they may be zero.
    let later = member.flags & HAS_DESCRIPTOR != 0;
    let agrees = |here: u64, there: u64| here == there || (later && here == 0);
    if !agrees(header.crc32.into(), member.crc32.into())
        || !agrees(compressed, member.compressed)
        || !agrees(bytes, member.bytes)
    {
        return Err(
            "has other sizes or another checksum in its header than in the directory".into()
        );
    }
    Ok(start + variable.len() as u64)
}

struct Header {
    flags: u16,
    method: u16,
    crc32: u32,
    compressed: u32,
    bytes: u32,
    name: u16,
    extra: u16,
}

fn read(fields: &mut Fields<'_>) -> Option<Header> {
    fields.take(2)?;
    let (flags, method) = (fields.u16()?, fields.u16()?);
    fields.take(4)?;
    let (crc32, compressed, bytes) = (fields.u32()?, fields.u32()?, fields.u32()?);
    Some(Header {
        flags,
        method,
        crc32,
        compressed,
        bytes,
        name: fields.u16()?,
        extra: fields.u16()?,
    })
}

/// Checks the descriptor at `at`, if there has to be one; returns where the entry ends.
///
/// It comes with or without a signature, and with numbers of 32 or 64 bits; nothing says which, so the one that agrees
/// with the directory is it.
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
    for skipped in [DESCRIPTOR.len(), 0] {
        for wide in [true, false] {
            let mut fields = Fields(bytes);
            let signed = fields.take(skipped).is_some_and(|taken| DESCRIPTOR.starts_with(taken));
            let crc32 = fields.u32();
            let mut number = || if wide { fields.u64() } else { fields.u32().map(u64::from) };
            let sizes = (number(), number());
            if signed
                && crc32 == Some(member.crc32)
                && sizes == (Some(member.compressed), Some(member.bytes))
            {
                return Ok(at + (bytes.len() - fields.0.len()) as u64);
            }
        }
    }
    Err("has other sizes or another checksum behind its content than in the directory".into())
}
