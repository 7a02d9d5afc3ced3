//! What the quota file needs of Windows.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::windows::fs::FileExt;
use std::path::Path;

pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
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

/// Whether others who open the path get the file that is open.
pub(super) fn is_still_at(open: &File, _: &Metadata, path: &Path) -> bool {
    crate::ffi::windows::is_still_at(open, path)
}

/// Puts a new file in the place of the one that is open. Only NTFS does so, since Windows 10. On other file systems the
/// open file gets the content of the new one: a crash in the middle leaves a file that counts as damaged.
pub(super) fn replace(open: &File, new: &Path, path: &Path) -> io::Result<()> {
    if std::fs::rename(new, path).is_ok() {
        return Ok(());
    }
    let bytes = std::fs::read(new)?;
    write_at(open, &bytes, 0)?;
    open.set_len(bytes.len() as u64)?;
    open.sync_all()?;
    // Replaced is replaced, whoever else holds what is left.
    let _ = std::fs::remove_file(new);
    Ok(())
}

/// Not to be told from a file's metadata.
pub(super) type Rights = ();

pub(super) fn rights(_: &Metadata) -> Rights {}

/// New files have the rights that their folder gives them.
pub(super) fn keep_rights(new: &File, old: &Metadata) -> Result<(), String> {
    new.set_permissions(old.permissions()).map_err(|_| "is not read-only as it was".to_owned())
}

pub(super) fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.seek_read(rest, at + done as u64)? {
            0 => break,
            n => done += n,
        }
    }
    Ok(done)
}

pub(super) fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match file.seek_write(rest, at + done as u64)? {
            0 => return Err(ErrorKind::WriteZero.into()),
            n => done += n,
        }
    }
    Ok(())
}
