//! What the attributes of an entry make of it: a file, a folder, a link or a device.

use super::reason;

/// Packers' systems whose attributes are those of MS-DOS: MS-DOS, OS/2, Windows under two numbers, VFAT.
const DOS: [u64; 5] = [0, 6, 10, 11, 14];
const DOS_FOLDER: u64 = 0x10;
const DOS_REPARSE_POINT: u64 = 0x400;
/// 7-Zip takes the upper half for a Unix mode then.
const DOS_WITH_MODE: u64 = 0x8000;

/// Why an entry with these attributes could do harm.
pub(super) fn harm(system: u64, attributes: u64, is_folder: bool) -> Option<&'static str> {
    if !DOS.contains(&system) || attributes & DOS_WITH_MODE != 0 {
        return of_mode(attributes >> 16, is_folder);
    }
    if attributes & DOS_REPARSE_POINT != 0 {
        return Some(reason::REPARSE_POINT);
    }
    (attributes & DOS_FOLDER != 0 && !is_folder).then_some(reason::FOLDER_OR_FILE)
}

/// Why an entry with this Unix mode could do harm. Some packers write no kind.
pub(super) fn of_mode(mode: u64, is_folder: bool) -> Option<&'static str> {
    match mode & 0xf000 {
        0 | 0x8000 => None,
        0x4000 => (!is_folder).then_some(reason::FOLDER_OR_FILE),
        0xa000 => Some(reason::LINK),
        _ => Some(reason::SPECIAL),
    }
}
