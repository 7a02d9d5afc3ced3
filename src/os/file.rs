//! Files: one careful open, and what the standard library does not offer for them on every system.
//!
//! An open waits for no pipe and takes none of the host's standard descriptors.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

#[cfg(unix)]
use super::unix as system;
#[cfg(windows)]
use super::windows as system;

pub(crate) use system::{
    Rights, attribute, free_space, has_other_names, is_own, is_still_at, keep_rights, replace,
    rights, set_attribute,
};

/// What a file is opened for. The mode has a meaning on Unix alone: on Windows a new file has the rights of its folder.
#[derive(Clone, Copy)]
#[cfg_attr(windows, expect(dead_code, reason = "Windows does not read the modes"))]
pub(crate) enum Access {
    Read,
    /// Reading and writing. The file is created if it does not exist.
    Write(Mode),
    /// Reading and writing. The file must not exist yet.
    Create(Mode),
}

/// Who may use a file that is created.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    OwnerOnly = 0o600,
    OwnerAndGroup = 0o660,
}

/// What a path with a symbolic link at its end stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// The file that the link leads to.
    Followed,
    /// The link itself, which is not a file.
    Refused,
}

pub(crate) fn open(path: &Path, access: Access, links: Links) -> io::Result<File> {
    let mut options = OpenOptions::new();
    match access {
        Access::Read => options.read(true),
        Access::Write(_) => options.read(true).write(true).create(true).truncate(false),
        Access::Create(_) => options.read(true).write(true).create_new(true),
    };
    system::open(options, access, links, path)
}

/// Opens or creates a file that belongs to this user, and that no other user can read. Follows no link.
pub(crate) fn open_own(path: &Path) -> io::Result<File> {
    let file = open(path, Access::Write(Mode::OwnerOnly), Links::Refused)?;
    is_regular(&file)?;
    is_own(&file)?;
    system::make_private(&file)?;
    Ok(file)
}

/// Removes the file that has this path, if there is one.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Refuses a folder, a pipe, a device, or a link that was not followed.
pub(crate) fn is_regular(file: &File) -> io::Result<()> {
    match file.metadata()?.is_file() {
        true => Ok(()),
        false => Err(refused("it is not a file")),
    }
}

pub(super) fn refused(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, why)
}

/// Makes the names in the folder of `path` durable, as far as the system can.
pub(crate) fn sync_folder_of(path: &Path) {
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        // Some file systems refuse. Then the names are durable after the system's usual half minute.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    #[cfg(not(unix))]
    let _ = path;
}

/// The path with `suffix` added to its last name.
pub(crate) fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
