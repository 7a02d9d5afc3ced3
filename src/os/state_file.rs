//! Small files in which an operation notes how far it has come, so that a later one can carry on: written as a
//! whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::text::json;

/// Notes are short; anything larger is something else. Four comments of 32 KiB in which every byte is escaped fit in.
const MAX: u64 = 1 << 20;

/// Replaces the file at `path`, which only its owner can read. Whoever reads it, also after a crash of the
/// process or the machine, finds the old content or the new. One writer at a time.
pub(crate) fn write<T: Serialize>(path: &Path, note: &T) -> io::Result<()> {
    let text = serde_json::to_vec(note).map_err(io::Error::other)?;
    let beside = suffixed(path, ".new");
    // A crash may have left one. What is removed is a name, and what is made is new: a link that somebody
    // put there is not followed.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = create(&beside).and_then(|mut file| {
        file.write_all(&text)?;
        file.sync_all()
    });
    let replaced = written.and_then(|()| fs::rename(&beside, path));
    match &replaced {
        Ok(()) => sync_folder_of(path),
        Err(_) => drop(fs::remove_file(&beside)),
    }
    replaced
}

/// What the file at `path` notes; `None` if there is no file, or none that this version understands. For notes that
/// cost nothing but time when they are lost.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    json::read(&text(open(path).ok()?).ok()?)
}

/// What the file at `path`, which only we write, notes. `None`: there is no file, and nothing else; a note that
/// cannot be read is none that is not there.
pub(crate) fn read_own<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let file = match open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    is_own(&file)?;
    let note = json::read(&text(file)?);
    let foreign = || io::Error::new(ErrorKind::InvalidData, "it is no note of this version");
    Ok(Some(note.ok_or_else(foreign)?))
}

fn text(file: File) -> io::Result<Vec<u8>> {
    // A pipe or a device would be waited for.
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is no file"));
    }
    let mut text = Vec::new();
    file.take(MAX).read_to_end(&mut text)?;
    Ok(text)
}

/// Refuses what somebody else has put there. On Windows the folder decides who can.
fn is_own(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if file.metadata()?.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it belongs to another user"));
        }
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// Makes the names in a folder last, as far as the system can.
pub(crate) fn sync_folder_of(path: &Path) {
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        // Some file systems refuse; then it takes the system's usual half minute.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    #[cfg(not(unix))]
    let _ = path;
}

/// The path with something added to its last name.
pub(crate) fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    above_standard(options.open(path)?)
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
    }
    above_standard(options.open(path)?)
}

#[cfg(unix)]
fn above_standard(file: File) -> io::Result<File> {
    Ok(crate::os::descriptor::above_standard(file.into())?.into())
}

#[cfg(not(unix))]
fn above_standard(file: File) -> io::Result<File> {
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("journal-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn notes_come_back_and_leave_nothing_else() {
        let folder = folder("round");
        let path = folder.join("note");
        assert_eq!(read::<Vec<u32>>(&path), None);
        for note in [vec![1, 2], vec![3]] {
            write(&path, &note).unwrap();
            assert_eq!(read::<Vec<u32>>(&path), Some(note));
        }
        // What a crash left does not disturb.
        fs::write(suffixed(&path, ".new"), "torn").unwrap();
        write(&path, &vec![4]).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_no_note_is_none() {
        let folder = folder("foreign");
        let path = folder.join("note");
        for content in ["", "{", "\"text\"", "[1,2", "\u{0}\u{0}"] {
            fs::write(&path, content).unwrap();
            assert_eq!(read::<Vec<u32>>(&path), None, "{content:?}");
            assert!(read_own::<Vec<u32>>(&path).is_err(), "{content:?}");
        }
        assert_eq!(read::<Vec<u32>>(&folder), None);
        assert!(read_own::<Vec<u32>>(&folder).is_err());
        assert_eq!(read_own::<Vec<u32>>(&folder.join("none")).unwrap(), None);
        write(&path, &vec![5]).unwrap();
        assert_eq!(read_own(&path).unwrap(), Some(vec![5]));
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_it_and_links_are_not_followed() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder("links");
        let (path, other) = (folder.join("note"), folder.join("other"));
        fs::write(&other, "[9]").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert_eq!(read::<Vec<u32>>(&path), None);
        assert!(read_own::<Vec<u32>>(&path).is_err());
        std::os::unix::fs::symlink(&other, suffixed(&path, ".new")).unwrap();
        write(&path, &vec![1]).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "[9]");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_dir_all(folder).unwrap();
    }
}
