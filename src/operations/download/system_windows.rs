//! The file operations of a download on Windows.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::path::Path;

use crate::os::windows::{self, Links};
pub(super) use crate::os::windows::{has_other_names, rename_new};

/// Opens a link itself instead of its target. A link is not a file, so it is refused.
const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;

/// Opens or creates a file. It has the access rights of its folder.
pub(super) fn open_part(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file")),
    }
}

pub(super) fn open_final(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(path)
}

/// Whether the path still names this file. A link at the path does not.
pub(super) fn is_still_at(file: &File, path: &Path) -> bool {
    windows::is_still_at(file, path, Links::Taken)
}

/// The bytes that the volume has left for this user.
pub(super) fn room(_: &File, path: &Path) -> Option<u64> {
    windows::room(path.parent()?)
}

pub(super) fn set_receipt(_: &File, _: &str) -> bool {
    false
}

pub(super) fn receipt(_: &File) -> Option<String> {
    None
}
