//! The quota file on Unix systems.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use crate::os::descriptor::above_standard;

pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o660);
    Ok(above_standard(options.open(path)?.into())?.into())
}

/// Creates a file. The path must not exist.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o660);
    Ok(above_standard(options.open(path)?.into())?.into())
}

/// Whether the path still leads to the open file.
pub(super) fn is_still_at(_: &File, open: &Metadata, path: &Path) -> bool {
    let id = |meta: &Metadata| (meta.dev(), meta.ino());
    std::fs::metadata(path).is_ok_and(|there| id(&there) == id(open))
}

/// Replaces the open file by a new one.
pub(super) fn replace(_: &File, new: &Path, path: &Path) -> io::Result<()> {
    std::fs::rename(new, path)
}

/// The user, group and mode of a file.
pub(super) type Rights = (u32, u32, u32);

pub(super) fn rights(file: &Metadata) -> Rights {
    (file.uid(), file.gid(), file.mode())
}

/// Gives a new file the rights of the one that it replaces. The error names the rights that it lacks, to complete "the
/// new file …".
pub(super) fn keep_rights(new: &File, old: &Metadata) -> Result<(), String> {
    let mine = |new: &File| new.metadata().map(|meta| (meta.uid(), meta.gid())).ok();
    let (uid, gid) = (old.uid(), old.gid());
    if mine(new) != Some((uid, gid)) {
        // Only root may change the owner, but a member of the group may set the group.
        let _ = fchown(new, Some(uid), Some(gid)).or_else(|_| fchown(new, None, Some(gid)));
    }
    let now = mine(new);
    let same_group = now.is_some_and(|(_, now)| now == gid);
    let mut mode = old.mode() & 0o777;
    if !same_group {
        // The group is another one now. It had the rights of others before, and must not gain more.
        mode = (mode & !0o070) | ((mode & 0o007) << 3);
    }
    let same_mode = new.set_permissions(Permissions::from_mode(mode)).is_ok();
    // Root can use a file that belongs to another user.
    let same_owner = uid == 0 || now.is_some_and(|(now, _)| now == uid);
    match (same_owner, same_group, same_mode) {
        (true, true, true) => Ok(()),
        (true, true, false) => Err(format!("does not have its mode {mode:o}")),
        (false, true, _) => Err(format!("does not belong to user {uid}")),
        (true, false, _) => Err(format!("does not belong to group {gid}")),
        (false, false, _) => Err(format!("does not belong to user {uid} and group {gid}")),
    }
}
