//! The file operations of a download on Unix.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::os::descriptor::above_standard;

/// The extended attribute with the receipt of the file.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
const RECEIPT: &str = "user.mde.package";

/// Opens or creates a file that only its owner can read. It follows no link and waits for no pipe.
pub(super) fn open_part(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = open(&mut options, path)?;
    let metadata = file.metadata()?;
    let refused = |why: &str| Err(io::Error::new(ErrorKind::InvalidInput, why));
    if !metadata.is_file() {
        return refused("it is not a file");
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return refused("it belongs to another user");
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Opens a file for reading, without following a link.
pub(super) fn open_final(path: &Path) -> io::Result<File> {
    open(OpenOptions::new().read(true), path)
}

fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = options.custom_flags(flags.bits() as i32).open(path);
    let file = file.map_err(|error| match rustix::io::Errno::from_io_error(&error) {
        Some(rustix::io::Errno::LOOP) => {
            io::Error::new(ErrorKind::InvalidInput, "it is a symbolic link")
        }
        _ => error,
    })?;
    Ok(above_standard(file.into())?.into())
}

/// Whether the file has other hard links. Bytes written to it would show under all of them.
pub(super) fn has_other_names(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.nlink() > 1)
}

/// Whether the path still names this file.
pub(super) fn is_still_at(file: &File, path: &Path) -> bool {
    let id = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(theirs)) => id(&ours) == id(&theirs),
        _ => false,
    }
}

/// The bytes that the file system has left for this user.
pub(super) fn room(file: &File, _: &Path) -> Option<u64> {
    let about = rustix::fs::fstatvfs(file).ok()?;
    about.f_bavail.checked_mul(about.f_frsize)
}

/// Renames a file to a path that must be free.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Some file systems, such as NFS, do not support this flag.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            other => return Ok(other?),
        }
    }
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

/// Sets the receipt of the file. Returns false if the file system keeps no attributes.
pub(super) fn set_receipt(file: &File, line: &str) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::{XattrFlags, fsetxattr};
        fsetxattr(file, RECEIPT, line.as_bytes(), XattrFlags::empty()).is_ok()
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    {
        let _ = (file, line);
        false
    }
}

pub(super) fn receipt(file: &File) -> Option<String> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        let mut line = [0; 256];
        let length = rustix::fs::fgetxattr(file, RECEIPT, &mut line).ok()?;
        String::from_utf8(line.get(..length)?.to_vec()).ok()
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    {
        let _ = file;
        None
    }
}
