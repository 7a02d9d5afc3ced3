//! The check of a package on disk: whether it is a whole zip, every file matches its checksum, and it is safe to
//! unpack.
//!
//! A zip states every fact at least twice, and programs differ in which statement they use. So all statements are
//! compared, and every file is decompressed. Nothing is written. Memory grows only with the list of names.
//!
//! A difference that changes content is damage, and an error. What could do harm where it is unpacked is listed instead:
//! the device that made the package may be the suspect, and its package is evidence. `reason.rs` has the line between the
//! two, and all reasons.
//!
//! What unzip, 7-Zip and Python all read is accepted, such as headers without sizes. Bytes before the directory that
//! belong to no entry are counted: some packers leave gaps, and programs that use the directory skip them. A record
//! among them is unsafe: programs that read a pipe unpack what follows a header, and stop at an end. From the directory
//! on, no extra byte is allowed: programs find the end in different ways.
//!
//! The records are read here instead of by a crate, since crates read them leniently. Only decompression is a crate's.
//! Format: PKWARE, APPNOTE.TXT 6.3.10.

mod content;
mod device;
mod directory;
mod entry;
mod extra;
mod fields;
mod file;
mod fold;
mod kind;
mod local;
mod member;
mod names;
mod place;
mod problem;
mod reason;
mod report;
#[cfg(test)]
mod tests;
mod unsafe_entry;

use std::collections::BinaryHeap;
use std::fs::File;

use self::content::Checker;
pub use self::device::DeviceKind;
pub use self::entry::Entry;
use self::file::Source;
pub(crate) use self::file::naming;
use self::member::Member;
pub(crate) use self::problem::Pause;
use self::problem::{DamagedEntries, Problem};
pub(crate) use self::report::inspect;
pub use self::report::{Contents, InspectedPackage};
pub use self::unsafe_entry::UnsafeEntry;
use crate::error::Result;

/// The most entries of a package. Real ones have some hundreds to a few thousand.
const MAX_ENTRIES: u64 = 100_000;
/// The most bytes of the central directory, and so of all names together.
const MAX_DIRECTORY: u64 = 8 << 20;
/// The most bytes of a file, in all systems and in the documents.
const MAX_SIZE: u64 = i64::MAX.unsigned_abs();
/// The most bytes of all files when unpacked.
const MAX_UNPACKED: u64 = 64 << 30;
/// [`MAX_RATIO`] applies only beyond this many unpacked bytes.
const SMALL: u64 = 1 << 30;
/// The largest ratio of unpacked to packed bytes. Text logs reach 20, deflate at most 1,032.
const MAX_RATIO: u64 = 200;

/// Checks an archive from its first byte to its last.
///
/// What could do harm where it is unpacked is no error: it is listed.
///
/// # Errors
/// [`Status::Integrity`](crate::status::Status::Integrity): the archive is damaged. The message names the first damaged
/// entries and says how many there are.
/// [`Status::File`](crate::status::Status::File): the file cannot be read. Errors of `pause` are returned too.
pub(crate) fn verify(file: &File, pause: Pause<'_>) -> Result<Contents> {
    let mut source = Source::new(file, pause).map_err(Problem::of_the_file)?;
    let mut directory = directory::read(&mut source).map_err(Problem::of_the_file)?;
    if let Some(reason) = directory.too_large {
        return Ok(Contents::unchecked(reason));
    }
    let members = &mut directory.members;
    let (device, missing) = device::recognise(members);
    let of_windows = !matches!(device, Some(DeviceKind::MacOs | DeviceKind::Linux));
    names::check(members, of_windows);
    let same_but_for_case = place::check(members);
    bombs(members, directory.start);

    let mut checker = Checker::new();
    let mut damaged = DamagedEntries::default();
    let (mut end, mut unlisted, mut in_gaps) = (0, 0, None);
    // A heap needs less code than sorting slices.
    let offsets = BinaryHeap::from_iter(members.iter().map(|member| member.offset).zip(0_u32..));
    for (_, number) in offsets.into_sorted_vec() {
        let Some(member) = members.get_mut(number as usize) else { continue };
        match member.offset.checked_sub(end) {
            Some(gap) => {
                let found = harm_in_gap(&mut source, end, member.offset.min(directory.start))?;
                in_gaps = in_gaps.or(found);
                unlisted += gap;
            }
            // Many entries with one content would take hours to decompress.
            None => member.skip(reason::OVERLAPS),
        }
        let past = match checker.check(&mut source, member, directory.start) {
            Ok(past) => past,
            Err(Problem::Damage(what)) => {
                damaged.add(&member.name(), what);
                // The bytes before this were searched, and may have been decompressed.
                member.offset.saturating_add(member.compressed)
            }
            Err(stopped) => return Err(stopped.of_the_file()),
        };
        end = end.max(past);
    }
    damaged.none()?;
    // The checker refused entries that reach into the directory.
    unlisted += directory.start.saturating_sub(end);
    in_gaps = in_gaps.or(harm_in_gap(&mut source, end, directory.start)?);
    let mut contents = Contents::new(directory.members);
    (contents.device, contents.missing) = (device, missing);
    (contents.bytes_unlisted, contents.same_but_for_case) = (unlisted, same_but_for_case);
    if let Some(reason) = in_gaps {
        contents.harms(reason);
    }
    Ok(contents)
}

/// Why a gap could do harm: by the first record in it, which programs that read a pipe unpack, or at which they stop.
fn harm_in_gap(source: &mut Source<'_>, start: u64, end: u64) -> Result<Option<&'static str>> {
    let words = [local::LOCAL, directory::CENTRAL, directory::END, directory::END_64];
    let first = source.first_of(&words, start, end).map_err(Problem::of_the_file)?;
    Ok(first.map(|word| if word == local::LOCAL { reason::UNLISTED } else { reason::EARLY_END }))
}

/// Finds entries that would fill a disk. They are not decompressed.
fn bombs(members: &mut [Member], packed: u64) {
    let is_bomb = |bytes: u64, packed: u64| bytes > SMALL && bytes / MAX_RATIO > packed;
    let mut total: u64 = 0;
    for member in members {
        let with_it = total.saturating_add(member.bytes);
        if is_bomb(member.bytes, member.compressed) || is_bomb(with_it, packed) {
            member.skip(reason::BOMB);
        } else if with_it > MAX_UNPACKED {
            member.skip(reason::TOO_LARGE);
        } else {
            total = with_it;
        }
    }
}
