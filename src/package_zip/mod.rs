//! The check of a package on disk: whether it is a whole zip, every file matches its checksum, and it is safe to
//! unpack.
//!
//! A zip states every fact at least twice, and programs differ in which statement they use. So all statements are
//! compared, every file is decompressed, and any difference is refused. Nothing is written. Memory grows only with the
//! list of names.
//!
//! Bytes before the directory that belong to no entry are counted, not refused: some packers leave gaps, and programs
//! that use the directory skip them. From the directory on, no extra byte is allowed: programs find the end in
//! different ways.
//!
//! The records are read here instead of by a crate, since crates read them leniently. Only decompression is a crate's.
//! Format: PKWARE, APPNOTE.TXT 6.3.10.

mod content;
mod device;
mod directory;
mod entry;
mod fields;
mod file;
mod local;
mod member;
mod names;
mod problem;
mod report;
#[cfg(test)]
mod tests;

use std::fs::File;

use self::content::Checker;
pub use self::device::DeviceKind;
pub use self::entry::Entry;
use self::file::Source;
use self::member::Member;
pub(crate) use self::problem::Pause;
use self::problem::Problem;
pub(crate) use self::report::inspect;
pub use self::report::{Contents, InspectedPackage};
use crate::error::Result;

/// The most entries of a package. Real ones have some hundreds to a few thousand.
const MAX_ENTRIES: u64 = 100_000;
/// The most bytes of the central directory, and so of all names together.
const MAX_DIRECTORY: u64 = 32 << 20;
/// The most bytes of all files when unpacked.
const MAX_UNPACKED: u64 = 64 << 30;
/// [`MAX_RATIO`] applies only beyond this many unpacked bytes.
const SMALL: u64 = 1 << 30;
/// The largest ratio of unpacked to packed bytes. Text logs reach 20, deflate at most 1,032.
const MAX_RATIO: u64 = 200;

impl From<&'static str> for Problem {
    fn from(what: &'static str) -> Problem {
        Problem::Found(what)
    }
}

/// Checks an archive from its first byte to its last.
///
/// # Errors
/// [`Status::Integrity`](crate::status::Status::Integrity) names the entry and the problem.
/// [`Status::File`](crate::status::Status::File): the file cannot be read. Errors of `pause` are returned too.
pub(crate) fn verify(file: &File, pause: Pause<'_>) -> Result<Contents> {
    let whole = |problem: Problem| problem.into_error(None);
    let mut source = Source::new(file, pause).map_err(whole)?;
    let directory = directory::read(&mut source)?;
    let same_but_for_case = names::check(&directory.members)?;
    bounds(&directory.members, directory.start)?;

    let mut checker = Checker::new();
    let (mut end, mut unlisted) = (0, 0);
    for (_, number) in names::sorted(&directory.members, &mut |member| member.offset) {
        let Some(member) = directory.members.get(number as usize) else { continue };
        let about = |problem: Problem| problem.into_error(Some(&member.name));
        if member.offset < end {
            return Err(about("overlaps another entry".into()));
        }
        unlisted += member.offset - end;
        end = checker.check(&mut source, member, directory.start).map_err(about)?;
    }
    // The checker refused entries that reach into the directory.
    unlisted += directory.start.saturating_sub(end);
    Ok(Contents::new(directory.members, unlisted, same_but_for_case))
}

/// Refuses a package that would fill a disk, before any of it is decompressed.
fn bounds(members: &[Member], packed: u64) -> Result<()> {
    let is_bomb = |bytes: u64, packed: u64| bytes > SMALL && bytes / MAX_RATIO > packed;
    let mut total: u64 = 0;
    for member in members {
        total = total.saturating_add(member.bytes);
        if is_bomb(member.bytes, member.compressed) {
            let what = "would grow more than 200 times when unpacked, as a zip bomb does";
            return Err(Problem::from(what).into_error(Some(&member.name)));
        }
    }
    let what = if total > MAX_UNPACKED {
        "holds more than 64 GiB when unpacked"
    } else if is_bomb(total, packed) {
        "would grow more than 200 times when unpacked, as a zip bomb does"
    } else {
        return Ok(());
    };
    Err(Problem::from(what).into_error(None))
}
