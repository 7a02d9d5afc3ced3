//! State files: small files that record how far an operation has come, so that a later call can resume it. Each is
//! written as a whole or not at all.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::file::{self, Access, Links, Mode, suffixed, sync_folder_of};
use super::file_limit::{NoSignal, take_signal};
use super::patience::{Pause, patiently};
use crate::text::json;

/// The ending of a state file that is being written.
pub(crate) const UNFINISHED: &str = ".new";

/// The longest state file. Four comments of 32 KiB fit, even if every byte is escaped.
const MAX: u64 = 1 << 20;

/// Replaces the file at `path`, which only its owner can read. A reader finds the old content or the new one, also after
/// a crash of the process or the machine. Only one writer may run at a time.
pub(crate) fn write<T: Serialize>(path: &Path, state: &T, pause: Pause<'_>) -> io::Result<()> {
    let text = serde_json::to_vec(state).map_err(io::Error::other)?;
    write_text(path, &text, pause)
}

/// The same with any content.
pub(crate) fn write_text(path: &Path, text: &[u8], pause: Pause<'_>) -> io::Result<()> {
    patiently(pause, &mut || replace(path, text))
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let beside = suffixed(path, UNFINISHED);
    // A crash may have left this file. It is removed and created anew, so that a link at this path is not followed.
    file::remove_if_there(&beside)?;
    let access = Access::Create(Mode::OwnerOnly);
    let written = file::open(&beside, access, Links::Refused).and_then(|mut file| {
        let _no_signal = NoSignal::new();
        take_signal(file.write_all(text))?;
        file.sync_all()
    });
    let replaced = written.and_then(|()| fs::rename(&beside, path));
    match &replaced {
        Ok(()) => sync_folder_of(path),
        Err(_) => drop(fs::remove_file(&beside)),
    }
    replaced
}

/// The content of the file at `path`, which only this user writes. `None` if there is no such file, or none that this
/// version understands. It is for state that costs nothing but time when it is lost.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    json::read(&text(open(path).ok()?, MAX).ok()?)
}

/// The content of the file at `path`, which only this user writes. `None` only if the file does not exist. An
/// unreadable state file is an error: its collection may still be running.
pub(crate) fn read_own<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let Some(text) = read_text(path, MAX)? else { return Ok(None) };
    let other = || io::Error::new(ErrorKind::InvalidData, "it is not a state file of this version");
    Ok(Some(json::read(&text).ok_or_else(other)?))
}

/// The first `most` bytes of the file at `path`, which only this user writes. `None` if the file does not exist.
pub(crate) fn read_text(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    match open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        file => text(file?, most).map(Some),
    }
}

fn open(path: &Path) -> io::Result<File> {
    file::open_own(path, Access::Read)
}

fn text(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(most).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const NO_PAUSE: Pause<'_> = &|_| false;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("state-file-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_state_comes_back_and_no_other_file_stays() {
        let folder = folder("round");
        let path = folder.join("state");
        assert_eq!(read::<Vec<u32>>(&path), None);
        for state in [vec![1, 2], vec![3]] {
            write(&path, &state, NO_PAUSE).unwrap();
            assert_eq!(read::<Vec<u32>>(&path), Some(state));
        }
        // A file that a crash left does no harm.
        fs::write(suffixed(&path, ".new"), "torn").unwrap();
        write(&path, &vec![4], NO_PAUSE).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn other_content_is_no_state() {
        let folder = folder("other");
        let path = folder.join("state");
        for content in ["", "{", "\"text\"", "[1,2", "\u{0}\u{0}"] {
            fs::write(&path, content).unwrap();
            assert_eq!(read::<Vec<u32>>(&path), None, "{content:?}");
            assert!(read_own::<Vec<u32>>(&path).is_err(), "{content:?}");
        }
        assert_eq!(read::<Vec<u32>>(&folder), None);
        assert!(read_own::<Vec<u32>>(&folder).is_err());
        assert_eq!(read_own::<Vec<u32>>(&folder.join("none")).unwrap(), None);
        write(&path, &vec![5], NO_PAUSE).unwrap();
        assert_eq!(read_own(&path).unwrap(), Some(vec![5]));
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_it_and_links_are_not_followed() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder("links");
        let (path, other) = (folder.join("state"), folder.join("other"));
        fs::write(&other, "[9]").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert_eq!(read::<Vec<u32>>(&path), None);
        assert!(read_own::<Vec<u32>>(&path).is_err());
        std::os::unix::fs::symlink(&other, suffixed(&path, ".new")).unwrap();
        write(&path, &vec![1], NO_PAUSE).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "[9]");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_dir_all(folder).unwrap();
    }
}
