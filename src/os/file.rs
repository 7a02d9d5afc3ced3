//! Files: one careful open, and what the standard library does not offer for them on every system.
//!
//! An open waits for no pipe and takes none of the host's standard descriptors.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::random;
#[cfg(unix)]
use super::unix as system;
#[cfg(windows)]
use super::windows as system;

pub(crate) use system::{
    Rights, attribute, free_space, has_other_names, is_still_at, keep_rights,
    private_unless_shared, replace, rights, set_attribute,
};

/// What a file is opened for. The mode has a meaning on Unix alone: on Windows a new file has the rights of its folder.
#[derive(Clone, Copy)]
#[cfg_attr(windows, expect(dead_code, reason = "Windows does not read the modes"))]
pub(crate) enum Access {
    Read,
    /// Reading and writing. The file must exist.
    Update,
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
        Access::Update => options.read(true).write(true),
        Access::Write(_) => options.read(true).write(true).create(true).truncate(false),
        Access::Create(_) => options.read(true).write(true).create_new(true),
    };
    system::open(options, access, links, path)
}

/// Opens a file that only this user writes. To be written to, it has this name alone: otherwise it could be another file
/// of this user, to which somebody has made a hard link.
pub(crate) fn open_own(path: &Path, access: Access) -> io::Result<File> {
    let file = open(path, access, Links::Refused)?;
    is_regular(&file)?;
    is_trusted(&file, path)?;
    match access {
        Access::Read => Ok(file),
        _ if has_other_names(&file) => Err(refused("it has another name, a hard link")),
        _ => Ok(file),
    }
}

/// Refuses a file of another user.
pub(crate) fn is_own(file: &File, path: &Path) -> io::Result<()> {
    system::is_own(file).or_else(|refused| is_as_new(file, path, refused))
}

/// Refuses a file that another user may have written. Root may write everywhere.
pub(crate) fn is_trusted(file: &File, path: &Path) -> io::Result<()> {
    system::is_trusted(file).or_else(|refused| is_as_new(file, path, refused))
}

/// Refuses a file of a user with whom this one shares no files: by a group that may write to it, or as root.
pub(crate) fn is_shared(file: &File, path: &Path) -> io::Result<()> {
    system::is_shared(file).or_else(|refused| is_as_new(file, path, refused))
}

/// Takes the rights of all users but the owner.
pub(super) fn make_private(file: &File, path: &Path) -> io::Result<()> {
    system::make_private(file).or_else(|refused| is_as_new(file, path, refused))
}

/// Accepts a file that looks as a new file of this process would, and otherwise refuses it.
///
/// On most file systems such a file belongs to this user alone. On others, such as FAT, vboxsf, and NFS with squashed
/// users, all files have one owner and mode. There the mount decides who may write, as folders do on Windows.
fn is_as_new(file: &File, path: &Path, refused: io::Error) -> io::Result<()> {
    let new = suffixed(path, &format!(".{:08x}", random::generator().u32(..)));
    let made = open(&new, Access::Create(Mode::OwnerOnly), Links::Refused);
    let rights = |file: &File| file.metadata().map(|metadata| system::rights(&metadata)).ok();
    let same = made.is_ok_and(|made| {
        let _ = fs::remove_file(&new);
        rights(&made).is_some_and(|made| rights(file) == Some(made))
    });
    if same { Ok(()) } else { Err(refused) }
}

/// Removes the file that has this path, if there is one.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether nothing has this path, or something else than a folder. What cannot be looked at may be a folder.
pub(crate) fn is_no_folder(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(metadata) => !metadata.is_dir(),
        Err(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
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

/// Whether the error says that a file is not ours. One of the system says nothing about that: it may pass.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
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

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_error_of_the_system_says_nothing_about_a_file() {
        assert!(is_refusal(&refused("it belongs to another user")));
        assert!(!is_refusal(&io::Error::from_raw_os_error(5)));
    }

    #[test]
    fn only_what_is_known_to_be_no_folder_is_none() {
        let folder = std::env::temp_dir().join(format!("mde-folder-{:016x}", fastrand::u64(..)));
        fs::create_dir(&folder).unwrap();
        let file = folder.join("file");
        fs::write(&file, "").unwrap();
        assert!(!is_no_folder(&folder));
        assert!(is_no_folder(&file) && is_no_folder(&file.join("below")));
        assert!(is_no_folder(&folder.join("none")));
        // A name that no file can have is none of the two kinds of errors.
        assert!(!is_no_folder(&folder.join("x".repeat(300))));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_in_doubt_is_ours_only_if_a_new_one_looks_the_same() {
        let folder = std::env::temp_dir().join(format!("mde-as-new-{:016x}", fastrand::u64(..)));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("file");
        let file = open(&path, Access::Create(Mode::OwnerOnly), Links::Refused).unwrap();
        for (mode, is_ours) in [(0o600, true), (0o644, false), (0o700, false), (0o666, false)] {
            file.set_permissions(fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_as_new(&file, &path, refused("doubt")).is_ok(), is_ours, "{mode:o}");
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "the new file is gone");
        fs::remove_dir_all(&folder).unwrap();
        assert!(is_as_new(&file, &path, refused("doubt")).is_err());
    }
}
