//! What the quota file needs of Windows.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::windows::fs::FileExt;
use std::path::Path;

use super::layout;
use crate::ffi::windows::{self, Links};

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
    windows::is_still_at(open, path, Links::Followed)
}

/// Puts a new file in the place of the one that is open. Only NTFS does so, since Windows 10. On other file systems the
/// open file gets the content of the new one.
pub(super) fn replace(open: &File, new: &Path, path: &Path) -> io::Result<()> {
    if windows::patiently(|| std::fs::rename(new, path)).is_ok() {
        return Ok(());
    }
    rewrite(open, &std::fs::read(new)?)?;
    // Replaced is replaced, whoever else holds what is left.
    let _ = std::fs::remove_file(new);
    Ok(())
}

/// A crash in the middle leaves a file that counts as damaged, and so as spent: the sector with the head and its
/// checksum comes last, and until then says nothing but whose file it is.
fn rewrite(open: &File, bytes: &[u8]) -> io::Result<()> {
    const SECTOR: usize = 512;
    let (first, rest) = bytes.split_at(bytes.len().min(SECTOR));
    let mut unfinished = layout::MAGIC.to_vec();
    unfinished.resize(first.len(), 0);
    let length = open.metadata()?.len();
    if bytes.len() as u64 > length {
        // First of all, as long as a full disk harms nothing.
        open.set_len(bytes.len() as u64).inspect_err(|_| {
            let _ = open.set_len(length);
        })?;
    }
    write_at(open, &unfinished, 0)?;
    open.sync_all()?;
    open.set_len(bytes.len() as u64)?;
    write_at(open, rest, first.len() as u64)?;
    open.sync_all()?;
    write_at(open, first, 0)?;
    open.sync_all()
}

/// Not to be told from a file's metadata.
#[derive(PartialEq, Eq)]
pub(super) struct Rights;

pub(super) fn rights(_: &Metadata) -> Rights {
    Rights
}

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
