//! What a download needs of a Windows file system.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::path::Path;

use crate::os::windows::{self, Links};
pub(super) use crate::os::windows::{has_other_names, rename_new};

/// Opens a link itself instead of what it leads to; then it is no file, and refused.
const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;

/// Opens, or makes, a file. Who can read it, the folder decides.
pub(super) fn open_part(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file")),
    }
}

pub(super) fn open_final(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(FILE_FLAG_OPEN_REPARSE_POINT).open(path)
}

/// Whether others who open the path get the same file; a link there is another.
pub(super) fn is_still_at(file: &File, path: &Path) -> bool {
    windows::is_still_at(file, path, Links::Taken)
}

/// How much the volume has left for us.
pub(super) fn room(_: &File, path: &Path) -> Option<u64> {
    windows::room(path.parent()?)
}

pub(super) fn set_receipt(_: &File, _: &str) -> bool {
    false
}

pub(super) fn receipt(_: &File) -> Option<String> {
    None
}
