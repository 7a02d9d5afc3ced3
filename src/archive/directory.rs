//! The end of a zip: the end record, and the central directory that it leads to.

use super::fields::{Fields, extra};
use super::file::Source;
use super::{Checked, MAX_DIRECTORY, MAX_ENTRIES, Problem, names};
use crate::Result;

const END: &[u8] = b"PK\x05\x06";
const END_LENGTH: usize = 22;
const LOCATOR: &[u8] = b"PK\x06\x07";
const LOCATOR_LENGTH: u64 = 20;
const END_64: &[u8] = b"PK\x06\x06";
const END_64_LENGTH: usize = 56;
const CENTRAL: &[u8] = b"PK\x01\x02";
const CENTRAL_LENGTH: usize = 46;
/// Extra fields: 64-bit sizes, and Info-ZIP's name in UTF-8.
const ZIP64: u16 = 0x0001;
const UNICODE_PATH: u16 = 0x7075;

/// Encrypted, patched, strongly encrypted, directory encrypted.
const UNREADABLE: u16 = 0x2061;

/// What the central directory says.
pub(super) struct Directory {
    pub(super) members: Vec<Member>,
    /// Where it begins; all content lies before.
    pub(super) start: u64,
    /// Bytes between it and the end records.
    pub(super) unlisted: u64,
}

/// One entry of it.
pub(super) struct Member {
    /// The name as it stands in the archive.
    pub(super) raw: Box<[u8]>,
    /// The same, fit to show.
    pub(super) name: String,
    pub(super) flags: u16,
    pub(super) method: u16,
    /// Time and date as MS-DOS writes them.
    pub(super) time: u16,
    pub(super) date: u16,
    pub(super) crc32: u32,
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

struct End {
    entries: u64,
    size: u64,
    offset: u64,
    /// Where the end records begin.
    at: u64,
}

/// Reads and checks the directory; the content is yet to be looked at.
pub(super) fn read(source: &mut Source<'_>) -> Result<Directory> {
    let whole = |problem: Problem| problem.into_error(None);
    let end = end(source).map_err(whole)?;
    let past = bounds(&end).map_err(whole)?;
    let mut members = Vec::new();
    let mut at = end.offset;
    for _ in 0..end.entries {
        let mut name = None;
        let read = member(source, &mut at, past, &mut name);
        members.push(read.map_err(|problem| problem.into_error(name.as_deref()))?);
    }
    if at != past {
        return Err(whole("has another length of directory than its end record says".into()));
    }
    Ok(Directory { members, start: end.offset, unlisted: end.at - past })
}

/// Where the directory ends.
fn bounds(end: &End) -> Checked<u64> {
    if end.entries > MAX_ENTRIES {
        return Err("has more than 100,000 entries".into());
    }
    if end.size > MAX_DIRECTORY {
        return Err("has a directory of more than 32 MiB".into());
    }
    let past = end.offset.checked_add(end.size).filter(|past| *past <= end.at);
    past.ok_or(
        "has a directory that reaches into its end record: a part of the file is missing".into(),
    )
}

fn end(source: &mut Source<'_>) -> Checked<End> {
    let tail = source.len().min((END_LENGTH + usize::from(u16::MAX)) as u64);
    let before = source.len() - tail;
    let bytes = source.exact(before, usize::try_from(tail).unwrap_or(0))?;
    // The record ends with a comment that reaches exactly to the end of the file.
    let fits = |at: &usize| {
        let rest = bytes.get(*at..).unwrap_or_default();
        let Some((record, comment)) = rest.split_at_checked(END_LENGTH) else { return false };
        let length = record.get(END_LENGTH - 2..).and_then(|field| Fields(field).u16());
        record.starts_with(END) && length.map(usize::from) == Some(comment.len())
    };
    let mut found = (0..bytes.len()).filter(fits);
    let (first, second) = (found.next(), found.next());
    let Some(at) = first else {
        let begin = if source.len() < 2 { &[] } else { source.exact(0, 2)? };
        return Err(match begin {
            b"PK" => "does not end as a zip does: it is cut short, or something was appended",
            _ => "is not a zip",
        }
        .into());
    };
    if second.is_some() {
        return Err("has two end records, so that programs differ in what they see in it".into());
    }
    let mut fields = Fields(bytes.get(at + END.len()..).unwrap_or_default());
    let record = read_end(&mut fields, before + at as u64).ok_or("has a short end record")?;
    end_64(source, record)
}

/// Numbers of disks are read as one that tells whether there are several.
fn read_end(fields: &mut Fields<'_>, at: u64) -> Option<(End, bool)> {
    let (disk, start_disk) = (fields.u16()?, fields.u16()?);
    let (here, entries) = (fields.u16()?, fields.u16()?);
    let (size, offset) = (fields.u32()?, fields.u32()?);
    let split = disk != start_disk || (disk != 0 && disk != u16::MAX) || here != entries;
    Some((End { entries: entries.into(), size: size.into(), offset: offset.into(), at }, split))
}

/// Follows the locator in front of the end record to the one with longer numbers, if there is one.
fn end_64(source: &mut Source<'_>, (end, split): (End, bool)) -> Checked<End> {
    let several = "is one part of an archive of several";
    if split {
        return Err(several.into());
    }
    let Some(locator) = end.at.checked_sub(LOCATOR_LENGTH) else { return Ok(end) };
    let mut fields = Fields(source.exact(locator, LOCATOR_LENGTH as usize)?);
    if fields.take(LOCATOR.len()) != Some(LOCATOR) {
        return Ok(end);
    }
    let short = "has a short end record";
    let disk = fields.u32().ok_or(short)?;
    let at = fields.u64().ok_or(short)?;
    let disks = fields.u32().ok_or(short)?;
    if disk != 0 || disks > 1 {
        return Err(several.into());
    }
    let mut fields = Fields(source.exact(at, END_64_LENGTH)?);
    if fields.take(END_64.len()) != Some(END_64) {
        return Err("has no long end record where its locator says".into());
    }
    let length = fields.u64().ok_or(short)?;
    // Itself without signature and length; it may have grown at its end.
    if at.checked_add(12).and_then(|start| start.checked_add(length)) != Some(locator)
        || length < (END_64_LENGTH - 12) as u64
    {
        return Err("has a long end record of another length than it says".into());
    }
    fields.take(4).ok_or(short)?;
    let (disk, start_disk) = (fields.u32().ok_or(short)?, fields.u32().ok_or(short)?);
    let mut next = || fields.u64().ok_or(short);
    let (here, entries, size, offset) = (next()?, next()?, next()?, next()?);
    if disk != 0 || start_disk != 0 || here != entries {
        return Err(several.into());
    }
    // The short record repeats what fits into it.
    let differs = |long: u64, short: u64, most: u64| short != most && short != long;
    if differs(entries, end.entries, u16::MAX.into())
        || differs(size, end.size, u32::MAX.into())
        || differs(offset, end.offset, u32::MAX.into())
    {
        return Err("has two end records that disagree".into());
    }
    Ok(End { entries, size, offset, at })
}

/// Reads the entry at `at` and moves on. `shown` gets its name as soon as it is known.
fn member(
    source: &mut Source<'_>,
    at: &mut u64,
    past: u64,
    shown: &mut Option<String>,
) -> Checked<Member> {
    let head = source.exact(*at, CENTRAL_LENGTH)?;
    let mut fields = Fields(head);
    if fields.take(CENTRAL.len()) != Some(CENTRAL) {
        return Err("has something else in its directory where an entry should be".into());
    }
    let (mut member, lengths, mode) = read_member(&mut fields).ok_or("has a short directory")?;
    let [name, extra_length, comment] = lengths.map(usize::from);
    let variable = source.exact(*at + CENTRAL_LENGTH as u64, name + extra_length + comment)?;
    *at += (CENTRAL_LENGTH + variable.len()) as u64;
    if *at > past {
        return Err("has a directory entry that reaches beyond the directory".into());
    }
    let (raw, rest) = variable.split_at(name);
    let extras = rest.get(..extra_length).unwrap_or_default();
    member.raw = raw.into();
    member.name = String::from_utf8_lossy(raw).into_owned();
    *shown = Some(member.name.clone());
    names::safe(raw)?;
    if let Some(unicode) = unicode_name(raw, extra(extras, UNICODE_PATH)?) {
        names::safe(unicode.as_bytes())?;
        member.name = unicode.to_owned();
    }
    long_sizes(&mut member, extra(extras, ZIP64)?)?;
    readable(&member, mode)?;
    Ok(member)
}

/// The lengths are those of name, extra field and comment.
fn read_member(fields: &mut Fields<'_>) -> Option<(Member, [u16; 3], u32)> {
    fields.take(4)?;
    let (flags, method, time, date) = (fields.u16()?, fields.u16()?, fields.u16()?, fields.u16()?);
    let (crc32, compressed, bytes) = (fields.u32()?, fields.u32()?.into(), fields.u32()?.into());
    let lengths = [fields.u16()?, fields.u16()?, fields.u16()?];
    fields.take(4)?;
    let mode = fields.u32()? >> 16;
    let offset = fields.u32()?.into();
    let (raw, name) = (Box::default(), String::new());
    let member = Member { raw, name, flags, method, time, date, crc32, compressed, bytes, offset };
    Some((member, lengths, mode))
}

/// Takes the numbers that were too long for the entry from its extra field, in the order of the format.
fn long_sizes(member: &mut Member, zip64: Option<&[u8]>) -> Checked<()> {
    let mut fields = Fields(zip64.unwrap_or_default());
    for number in [&mut member.bytes, &mut member.compressed, &mut member.offset] {
        if *number == u64::from(u32::MAX) {
            *number = fields.u64().ok_or("lacks its 64-bit sizes")?;
        }
    }
    Ok(())
}

/// The name that Info-ZIP adds when the system's own character set is not UTF-8, if it belongs to this one.
fn unicode_name<'a>(raw: &[u8], field: Option<&'a [u8]>) -> Option<&'a str> {
    let mut fields = Fields(field?);
    let version = fields.take(1)?;
    let crc = fields.u32()?;
    let belongs = version == [1] && crc == crc32fast::hash(raw);
    std::str::from_utf8(fields.0).ok().filter(|_| belongs)
}

/// Refuses what cannot be checked, and what is no plain file.
fn readable(member: &Member, mode: u32) -> Checked<()> {
    /// The kinds of file in a Unix mode, and the two that a package may have; 0 where the packer does not say.
    const KIND: u32 = 0xf000;
    const FOLDER: u32 = 0x4000;
    const FILE: u32 = 0x8000;
    const LINK: u32 = 0xa000;
    if member.flags & UNREADABLE != 0 {
        return Err("is encrypted, and packages are not".into());
    }
    if !matches!(member.method, super::content::STORED | super::content::DEFLATED) {
        return Err(
            "is packed in a way that packages are not; known are stored and deflated".into()
        );
    }
    if member.is_folder() && member.bytes != 0 {
        return Err("is a folder and yet has content".into());
    }
    match mode & KIND {
        0 | FOLDER | FILE => Ok(()),
        LINK => {
            Err("is a symbolic link, which could lead out of the folder it is unpacked in".into())
        }
        _ => Err("is a device, pipe or socket".into()),
    }
}
