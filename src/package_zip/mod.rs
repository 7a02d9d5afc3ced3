//! The check of a package on disk: is it a whole zip, does every file in it have the content that its checksum
//! says, and is it safe to unpack.
//!
//! Everything in a zip is said at least twice, and programs that read it differ in whom they believe. So all that is said
//! is compared, every file is decompressed, and what does not agree is refused; nothing is written, and memory stays the
//! same at any size but for the list of names. Bytes in front of the directory that no entry claims are counted rather
//! than refused: some packers leave gaps, and no reader of the directory sees them. From the directory on, each byte
//! has its meaning: the end is where readers begin, and some look for it in other ways than others.
//!
//! The archive's own records are read by the code here rather than by a crate, as the library's other half is not to
//! read but to doubt them; `content` leaves decompression to one. The format: PKWARE, APPNOTE.TXT 6.3.10.

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

/// Most entries of a package; real ones have some hundreds to a few thousand.
const MAX_ENTRIES: u64 = 100_000;
/// Most bytes of the central directory, and so of all names together.
const MAX_DIRECTORY: u64 = 32 << 20;
/// Most bytes that all files together may have when unpacked.
const MAX_UNPACKED: u64 = 64 << 30;
/// Beyond this many bytes, what is unpacked may be ...
const SMALL: u64 = 1 << 30;
/// ... so many times as long as what is packed. Text logs reach 20, deflate at its end 1,032.
const MAX_RATIO: u64 = 200;

impl From<&'static str> for Problem {
    fn from(what: &'static str) -> Problem {
        Problem::Found(what)
    }
}

/// Checks an archive from its first byte to its last.
///
/// # Errors
/// [`Status::Integrity`](crate::status::Status::Integrity) with the entry and what is wrong with it, [`Status::File`](crate::status::Status::File) when the file cannot be read, and
/// whatever `pause` returns.
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
    // `Checker` has seen to it that no entry reaches into the directory.
    unlisted += directory.start.saturating_sub(end);
    Ok(Contents::new(directory.members, unlisted, same_but_for_case))
}

/// Refuses what would fill a disk when it is unpacked, before any of it is.
fn bounds(members: &[Member], packed: u64) -> Result<()> {
    let swells = |bytes: u64, packed: u64| bytes > SMALL && bytes / MAX_RATIO > packed;
    let mut total: u64 = 0;
    for member in members {
        total = total.saturating_add(member.bytes);
        if swells(member.bytes, member.compressed) {
            let what = "would grow more than 200 times when unpacked, as made to fill a disk";
            return Err(Problem::from(what).into_error(Some(&member.name)));
        }
    }
    let what = if total > MAX_UNPACKED {
        "holds more than 64 GiB when unpacked"
    } else if swells(total, packed) {
        "would grow more than 200 times when unpacked, as made to fill a disk"
    } else {
        return Ok(());
    };
    Err(Problem::from(what).into_error(None))
}
