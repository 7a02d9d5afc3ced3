//! The end record of a zip, and the central directory that it points to.

use super::fields::{length, number};
use super::file::Source;
use super::member::Member;
use super::problem::Checked;
use super::{MAX_DIRECTORY, MAX_ENTRIES, MAX_SIZE, content, extra, kind, reason};

pub(super) const END: &[u8] = b"PK\x05\x06";
const END_LENGTH: usize = 22;
const LOCATOR: &[u8] = b"PK\x06\x07";
const LOCATOR_LENGTH: usize = 20;
pub(super) const END_64: &[u8] = b"PK\x06\x06";
const END_64_LENGTH: usize = 56;
pub(super) const CENTRAL: &[u8] = b"PK\x01\x02";
const CENTRAL_LENGTH: usize = 46;
/// The newest version of the format that programs have in common, 4.6, in tenths.
const NEWEST: u64 = 46;
/// Encrypted, patched, strongly encrypted, directory encrypted.
const UNREADABLE: u64 = 0x2061;

/// The content of the central directory.
pub(super) struct Directory {
    pub(super) members: Vec<Member>,
    /// The position of the directory. All content is before it.
    pub(super) start: u64,
    /// Why it has more than is checked. It has no members then.
    pub(super) too_large: Option<&'static str>,
}

struct End {
    entries: u64,
    size: u64,
    offset: u64,
    /// The position of the first end record.
    at: u64,
}

/// Reads and checks the directory, without the content.
pub(super) fn read(source: &mut Source<'_>) -> Checked<Directory> {
    let end = end(source)?;
    let past =
        end.offset.checked_add(end.size).filter(|past| *past <= end.at).ok_or(
            "has a directory that reaches into its end record: a part of the file is missing",
        )?;
    let too_large = match end {
        End { entries, size, .. } if entries.saturating_mul(CENTRAL_LENGTH as u64) > size => {
            return Err(OTHER_LENGTH.into());
        }
        End { entries, .. } if entries > MAX_ENTRIES => Some(reason::MANY_ENTRIES),
        End { size, .. } if size > MAX_DIRECTORY => Some(reason::LONG_DIRECTORY),
        _ => None,
    };
    let mut directory = Directory { members: Vec::new(), start: end.offset, too_large };
    if too_large.is_some() {
        return Ok(directory);
    }
    directory.members.reserve_exact(usize::try_from(end.entries).unwrap_or(0));
    let mut at = end.offset;
    for _ in 0..end.entries {
        directory.members.push(member(source, &mut at, past)?);
    }
    if at != past {
        return Err(OTHER_LENGTH.into());
    }
    // Some programs use the position in the end record, others count back from the end record.
    if past != end.at {
        return Err(
            "has something between its directory and its end record, so that programs may \
                    read it differently"
                .into(),
        );
    }
    Ok(directory)
}

const OTHER_LENGTH: &str = "has a directory whose length does not match its end record";

fn end(source: &mut Source<'_>) -> Checked<End> {
    let tail = source.len().min((END_LENGTH + usize::from(u16::MAX)) as u64);
    let before = source.len() - tail;
    let bytes = source.exact(before, usize::try_from(tail).unwrap_or(0))?;
    // The comment in the record must end at the end of the file, but for the padding of a page blob. All programs skip
    // that.
    let fits = |at: &usize| {
        let rest = bytes.get(*at..).unwrap_or_default();
        let Some((record, rest)) = rest.split_at_checked(END_LENGTH) else { return false };
        let padding = rest.get(length(record, END_LENGTH - 2)..);
        record.starts_with(END) && padding.is_some_and(is_padding)
    };
    let Some(at) = (0..bytes.len()).find(fits) else {
        let begin = if source.len() < 2 { &[] } else { source.exact(0, 2)? };
        return Err(match begin {
            b"PK" => "does not end as a zip does: it is cut short, or something was appended",
            _ => "is not a zip",
        }
        .into());
    };
    let record = bytes.get(at..).unwrap_or_default();
    // Many programs use the last signature, even if its comment does not fit.
    if record.windows(END.len()).skip(1).any(|window| window == END) {
        return Err("has two end records, so that programs may read it differently".into());
    }
    let (disk, start_disk) = (number(record, 4, 2), number(record, 6, 2));
    let (here, entries) = (number(record, 8, 2), number(record, 10, 2));
    if disk != start_disk || !matches!(disk, 0 | 0xffff) || here != entries {
        return Err(SEVERAL.into());
    }
    let (size, offset) = (number(record, 12, 4), number(record, 16, 4));
    end_64(source, End { entries, size, offset, at: before + at as u64 })
}

/// Page blobs of Azure are multiples of this.
const PAGE: usize = 512;

fn is_padding(bytes: &[u8]) -> bool {
    bytes.len() < PAGE && bytes.iter().all(|byte| *byte == 0)
}

const SEVERAL: &str = "is one part of an archive of several";

/// Reads the 64-bit end record, if there is a locator before the end record.
fn end_64(source: &mut Source<'_>, end: End) -> Checked<End> {
    let Some(locator_at) = end.at.checked_sub(LOCATOR_LENGTH as u64) else { return Ok(end) };
    let locator = source.exact(locator_at, LOCATOR_LENGTH)?;
    if !locator.starts_with(LOCATOR) {
        return Ok(end);
    }
    let at = number(locator, 8, 8);
    if number(locator, 4, 4) != 0 || number(locator, 16, 4) > 1 {
        return Err(SEVERAL.into());
    }
    let record = source.exact(at, END_64_LENGTH)?;
    if !record.starts_with(END_64) {
        return Err("has no 64-bit end record at the position in its locator".into());
    }
    // The length excludes the signature and itself. Python expects the record right before its locator, so more fields, as
    // in later versions of the format, could hide another record.
    let expected = (END_64_LENGTH - 12) as u64;
    if number(record, 4, 8) != expected || at + END_64_LENGTH as u64 != locator_at {
        return Err("has a 64-bit end record whose length is wrong".into());
    }
    let (here, entries) = (number(record, 24, 8), number(record, 32, 8));
    if number(record, 16, 8) != 0 || here != entries {
        return Err(SEVERAL.into());
    }
    let (size, offset) = (number(record, 40, 8), number(record, 48, 8));
    // The 32-bit record repeats the numbers that fit into it.
    let differs = |long: u64, short: u64, most: u64| short != most && short != long;
    if differs(entries, end.entries, u16::MAX.into())
        || differs(size, end.size, u32::MAX.into())
        || differs(offset, end.offset, u32::MAX.into())
    {
        return Err("has two end records that disagree".into());
    }
    Ok(End { entries, size, offset, at })
}

/// Reads the entry at `at`, and advances `at`.
fn member(source: &mut Source<'_>, at: &mut u64, past: u64) -> Checked<Member> {
    let head = source.exact(*at, CENTRAL_LENGTH)?;
    if !head.starts_with(CENTRAL) {
        return Err("has something else in its directory where an entry should be".into());
    }
    let lengths = [28, 30, 32].map(|at| length(head, at));
    let (system, version) = (number(head, 5, 1), number(head, 6, 1));
    let attributes = number(head, 38, 4);
    // The order is that of the 64-bit extra field.
    let mut long = [number(head, 24, 4), number(head, 20, 4), number(head, 42, 4)];
    let mut member = Member {
        flags: number(head, 8, 2),
        method: number(head, 10, 2),
        modified: number(head, 12, 4),
        crc32: number(head, 16, 4),
        ..Member::default()
    };
    let variable = source.exact(*at + CENTRAL_LENGTH as u64, lengths.iter().sum())?;
    *at += (CENTRAL_LENGTH + variable.len()) as u64;
    if *at > past {
        return Err("has a directory entry that reaches beyond the directory".into());
    }
    let [name, extra_length, _] = lengths;
    let (raw, rest) = variable.split_at(name);
    member.raw = raw.into();
    let extras = extra::read(rest.get(..extra_length).unwrap_or_default(), member.is_folder());
    if extras.lengthen(&mut long).is_err() {
        return Err("has an entry in its directory that lacks its 64-bit sizes".into());
    }
    [member.bytes, member.compressed, member.offset] = long;
    if member.bytes.max(member.compressed) > MAX_SIZE {
        return Err("has an entry in its directory that is larger than any file can be".into());
    }
    member.second = extras.name.filter(|second| *second != raw).map(Box::from);
    member.harms(kind::harm(system, attributes, member.is_folder()));
    if member.is_folder() && member.bytes != 0 {
        member.harms(Some(reason::FULL_FOLDER));
    }
    member.harms(extras.harm);
    member.harms((version > NEWEST).then_some(reason::NEWER));
    let unreadable = if member.flags & UNREADABLE != 0 {
        Some(reason::ENCRYPTED)
    } else if !matches!(member.method, content::STORED | content::DEFLATED) {
        Some(reason::METHOD)
    } else {
        None
    };
    if let Some(reason) = unreadable {
        member.skip(reason);
    }
    Ok(member)
}
