//! What a download needs of a Windows file system.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::ffi::windows::{self, Links};
pub(super) use crate::ffi::windows::{has_other_names, rename_new};

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

pub(super) fn try_lock(file: &File) -> io::Result<bool> {
    match fs4::FileExt::try_lock(file) {
        Ok(()) => Ok(true),
        Err(fs4::TryLockError::WouldBlock) => Ok(false),
        Err(fs4::TryLockError::Error(error)) => Err(error),
    }
}

pub(super) fn unlock(file: &File) {
    let _ = fs4::FileExt::unlock(file);
}

pub(super) fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    file.seek_read(bytes, at)
}

pub(super) fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match file.seek_write(rest, at + done as u64)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => done += n,
        }
    }
    Ok(())
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
