//! The quota file on Windows.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

use super::layout;
use crate::os::lock::write_at;
use crate::os::windows::{self, Links};

pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

/// Creates a file. The path must not exist.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).open(path)
}

/// Whether the path still leads to the open file.
pub(super) fn is_still_at(open: &File, _: &Metadata, path: &Path) -> bool {
    windows::is_still_at(open, path, Links::Followed)
}

/// Replaces the open file by a new one. Only NTFS can do that, since Windows 10. On other file systems the open file
/// gets the content of the new one.
pub(super) fn replace(open: &File, new: &Path, path: &Path) -> io::Result<()> {
    if windows::patiently(|| std::fs::rename(new, path)).is_ok() {
        return Ok(());
    }
    rewrite(open, &std::fs::read(new)?)?;
    // The file is replaced, even if another process keeps the new one from being deleted.
    let _ = std::fs::remove_file(new);
    Ok(())
}

/// Writes the content of the open file. The sector with the head and its checksum comes last. A crash before that
/// leaves a file with only the magic bytes, which counts as damaged and so as spent.
fn rewrite(open: &File, bytes: &[u8]) -> io::Result<()> {
    const SECTOR: usize = 512;
    let (first, rest) = bytes.split_at(bytes.len().min(SECTOR));
    let mut unfinished = layout::MAGIC.to_vec();
    unfinished.resize(first.len(), 0);
    let length = open.metadata()?.len();
    if bytes.len() as u64 > length {
        // A full disk is found here, before anything is overwritten.
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

/// Windows does not keep the rights in a file's metadata.
#[derive(PartialEq, Eq)]
pub(super) struct Rights;

pub(super) fn rights(_: &Metadata) -> Rights {
    Rights
}

/// A new file has the rights that its folder gives it.
pub(super) fn keep_rights(new: &File, old: &Metadata) -> Result<(), String> {
    new.set_permissions(old.permissions()).map_err(|_| "is not read-only as it was".to_owned())
}
