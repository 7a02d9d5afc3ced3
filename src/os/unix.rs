//! What the library needs of Unix systems and the standard library does not offer: files.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::descriptor::above_standard;
use super::file::{Access, Links, refused};

pub(crate) fn open(
    mut options: OpenOptions,
    access: Access,
    links: Links,
    path: &Path,
) -> io::Result<File> {
    // Without NONBLOCK the open of a pipe waits for its other end. Without NOCTTY a terminal may become the host's.
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    if links == Links::Refused {
        flags |= OFlags::NOFOLLOW;
    }
    if let Access::Write(mode) | Access::Create(mode) = access {
        options.mode(mode as u32);
    }
    let file = options.custom_flags(flags.bits() as i32).open(path);
    let file = file.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) if links == Links::Refused => refused("it is a symbolic link"),
        _ => error,
    })?;
    Ok(above_standard(file.into())?.into())
}

pub(super) fn is_own(file: &File) -> io::Result<()> {
    match file.metadata()?.uid() == rustix::process::geteuid().as_raw() {
        true => Ok(()),
        false => Err(refused("it belongs to another user")),
    }
}

pub(super) fn is_trusted(file: &File) -> io::Result<()> {
    let about = file.metadata()?;
    if about.uid() != 0 && about.uid() != rustix::process::geteuid().as_raw() {
        return Err(refused("it belongs to another user"));
    }
    match about.mode() & 0o022 {
        0 => Ok(()),
        _ => Err(refused("other users may write to it")),
    }
}

pub(super) fn is_shared(file: &File) -> io::Result<()> {
    let (about, me) = (file.metadata()?, rustix::process::geteuid());
    let by_owner = me.is_root() || about.uid() == 0 || about.uid() == me.as_raw();
    let is_member = || {
        let groups = rustix::process::getgroups().unwrap_or_default();
        let mut groups = groups.into_iter().chain([rustix::process::getegid()]);
        groups.any(|group| group.as_raw() == about.gid())
    };
    match by_owner || about.mode() & 0o020 != 0 && is_member() {
        true => Ok(()),
        false => Err(refused("it belongs to another user, and to no group of this one")),
    }
}

/// Leaves a new file to its owner, unless the group may write to it, too. Whoever may only read it could lock it.
pub(crate) fn private_unless_shared(file: &File) -> io::Result<()> {
    match file.metadata()?.mode() & 0o020 {
        0 => make_private(file),
        _ => Ok(()),
    }
}

pub(super) fn make_private(file: &File) -> io::Result<()> {
    match file.metadata()?.permissions().mode() & 0o077 {
        0 => Ok(()),
        _ => file.set_permissions(Permissions::from_mode(0o600)),
    }
}

/// Whether the file has other hard links. Bytes written to it would show under all of them.
pub(crate) fn has_other_names(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.nlink() > 1)
}

/// Whether the path still names this file.
pub(crate) fn is_still_at(file: &File, path: &Path, links: Links) -> bool {
    let id = |metadata: &Metadata| (metadata.dev(), metadata.ino());
    let there = match links {
        Links::Followed => fs::metadata(path),
        Links::Refused => fs::symlink_metadata(path),
    };
    file.metadata().is_ok_and(|ours| there.is_ok_and(|theirs| id(&ours) == id(&theirs)))
}

/// The bytes that the file system has left for this user.
pub(crate) fn free_space(file: &File, _: &Path) -> Option<u64> {
    let about = rustix::fs::fstatvfs(file).ok()?;
    about.f_bavail.checked_mul(about.f_frsize)
}

/// Renames a file to a path that must be free. `Unsupported` if the system can only replace what is there.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // NFS does not know the flag, old kernels and container runtimes not the call.
            Err(error) if is_not_offered(error) => {}
            other => return Ok(other?),
        }
    }
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(error) if Errno::from_io_error(&error).is_some_and(is_not_offered) => {
            Err(io::ErrorKind::Unsupported.into())
        }
        Err(error) => Err(error),
    }
}

/// Whether the file system or a sandbox may lack what was asked for. Some of these errors have other causes, too. Then
/// the next way fails as well.
fn is_not_offered(error: Errno) -> bool {
    matches!(
        error,
        Errno::INVAL
            | Errno::NOSYS
            | Errno::NOTSUP
            | Errno::PERM
            | Errno::ACCESS
            | Errno::MLINK
            | Errno::XDEV
    ) || error == Errno::OPNOTSUPP
}

/// Replaces a file by another one, at once or not at all.
pub(crate) fn replace(new: &Path, path: &Path) -> io::Result<()> {
    fs::rename(new, path)
}

/// Sets an extended attribute of the file. Returns false if the file system keeps none.
pub(crate) fn set_attribute(file: &File, name: &str, value: &str) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::{XattrFlags, fsetxattr};
        fsetxattr(file, name, value.as_bytes(), XattrFlags::empty()).is_ok()
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    {
        let _ = (file, name, value);
        false
    }
}

/// An extended attribute of the file, of up to 256 bytes.
pub(crate) fn attribute(file: &File, name: &str) -> Option<String> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        let mut value = [0; 256];
        let length = rustix::fs::fgetxattr(file, name, &mut value).ok()?;
        String::from_utf8(value.get(..length)?.to_vec()).ok()
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    {
        let _ = (file, name);
        None
    }
}

/// The user, group and mode of a file.
pub(crate) type Rights = (u32, u32, u32);

pub(crate) fn rights(file: &Metadata) -> Rights {
    (file.uid(), file.gid(), file.mode())
}

/// Gives a new file the rights of the one that it replaces. The error names the rights that it lacks, to complete "the
/// new file …".
pub(crate) fn keep_rights(new: &File, old: &Metadata) -> Result<(), String> {
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
