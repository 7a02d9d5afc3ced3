//! Renames that replace nothing.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::file::{self, Access, Links, Mode, suffixed};
use super::patience::{Pause, patiently};
use super::state_file::UNFINISHED;

#[cfg(unix)]
use super::unix as system;
#[cfg(windows)]
use super::windows as system;

/// The ending of the path that [`probe`] renames to. It is no longer than [`UNFINISHED`].
const PROBED: &str = ".try";

/// Renames a file to a path that must be free, in one step of the system. `Unsupported` if the file system or a sandbox
/// offers no such step; then there is [`by_claim`].
pub(crate) fn at_once(from: &Path, to: &Path, pause: Pause<'_>) -> io::Result<()> {
    patiently(pause, &mut || system::rename_new(from, to))
}

/// Renames a file to a path that must be free, in two steps: an empty file claims the path, and the rename replaces that
/// claim. The claim can only be made where nothing is.
///
/// A crash between the steps leaves the claim, so callers record it before. A program that replaces the claim between
/// its check and the rename loses its file. Only [`at_once`] excludes that.
pub(crate) fn by_claim(from: &Path, to: &Path, pause: Pause<'_>) -> io::Result<()> {
    let claim = file::open(to, Access::Create(Mode::OwnerOnly), Links::Refused)?;
    let is_empty = claim.metadata().is_ok_and(|metadata| metadata.len() == 0);
    if !is_empty || !file::is_still_at(&claim, to, Links::Refused) {
        return Err(ErrorKind::AlreadyExists.into());
    }
    // Closed first: behind a shared folder may be a Windows host, which does not replace open files.
    drop(claim);
    let renamed = patiently(pause, &mut || fs::rename(from, to));
    if renamed.is_err() && is_empty_file(to) {
        let _ = fs::remove_file(to);
    }
    renamed
}

/// Renames a file to a path that must be free, in either way. A crash may leave the claim.
pub(crate) fn to_free_path(from: &Path, to: &Path, pause: Pause<'_>) -> io::Result<()> {
    match at_once(from, to, pause) {
        Err(error) if error.kind() == ErrorKind::Unsupported => by_claim(from, to, pause),
        done => done,
    }
}

/// Whether the path names an empty file, as a claim is.
pub(crate) fn is_empty_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0)
}

/// Renames an empty file beside `path` and removes it. The error shows before a download that its end would fail. Only
/// one caller may do so at a time.
pub(crate) fn probe(path: &Path, pause: Pause<'_>) -> io::Result<()> {
    let (from, to) = (suffixed(path, UNFINISHED), suffixed(path, PROBED));
    // A crash may have left them.
    for name in [&from, &to] {
        file::remove_if_there(name)?;
    }
    file::open(&from, Access::Create(Mode::OwnerOnly), Links::Refused)?;
    let renamed = to_free_path(&from, &to, pause);
    let last = if renamed.is_ok() { to } else { from };
    patiently(pause, &mut || file::remove_if_there(&last))?;
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_way_replaces_what_is_there() {
        let folder = std::env::temp_dir().join(format!("mde-rename-{:016x}", fastrand::u64(..)));
        fs::create_dir(&folder).unwrap();
        let path = |name: &str| folder.join(name);
        let pause: Pause<'_> = &|_| false;
        for way in [at_once, by_claim, to_free_path] {
            fs::write(path("new"), "new").unwrap();
            for content in ["theirs", ""] {
                fs::write(path("there"), content).unwrap();
                let error = way(&path("new"), &path("there"), pause).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::AlreadyExists);
                assert_eq!(fs::read_to_string(path("there")).unwrap(), content);
            }
            fs::remove_file(path("there")).unwrap();
            way(&path("new"), &path("there"), pause).unwrap();
            assert_eq!(fs::read_to_string(path("there")).unwrap(), "new");
            assert!(!path("new").exists());
            // A claim in vain does not stay.
            assert!(way(&path("none"), &path("other"), pause).is_err());
            assert!(!path("other").exists());
            fs::remove_file(path("there")).unwrap();
        }
        fs::remove_dir(folder).unwrap();
    }

    #[test]
    fn a_probe_leaves_nothing() {
        let folder = std::env::temp_dir().join(format!("mde-probe-{:016x}", fastrand::u64(..)));
        fs::create_dir(&folder).unwrap();
        for left in ["state.new", "state.try"] {
            fs::write(folder.join(left), "left by a crash").unwrap();
            probe(&folder.join("state"), &|_| false).unwrap();
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        }
        fs::remove_dir(&folder).unwrap();
        assert!(probe(&folder.join("state"), &|_| false).is_err());
    }
}
