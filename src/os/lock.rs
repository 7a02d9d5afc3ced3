//! Files that several calls and processes use: read and written by position, and locked as a whole.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

#[cfg(unix)]
use std::os::unix::fs::FileExt;
#[cfg(windows)]
use std::os::windows::fs::FileExt;

use super::file::{self, Access, Links, Mode};
#[cfg(unix)]
use super::file_limit;

/// Opens or creates the file at `path`, which only its owner can read, and locks it. `None` if another handle has the
/// lock.
///
/// Nothing of a file is changed before it is known to be ours. One that other users may have written, or that has other
/// names, loses this name to a new file.
pub(crate) fn lock_at(path: &Path) -> io::Result<Option<File>> {
    // Each retry is for a holder that removed or renamed the file between our open and our lock, or for a new file.
    for _ in 0..16 {
        let file = file::open(path, Access::Write(Mode::OwnerOnly), Links::Refused)?;
        file::is_regular(&file)?;
        file::is_own(&file, path)?;
        if !try_lock(&file)? {
            break;
        }
        if file::is_still_at(&file, path, Links::Refused) {
            match file::is_trusted(&file, path) {
                Ok(()) if !file::has_other_names(&file) => {
                    file::make_private(&file, path)?;
                    return Ok(Some(file));
                }
                // The file may be ours, and hold what has arrived of a package.
                Err(error) if !file::is_refusal(&error) => return Err(error),
                _ => std::fs::remove_file(path)?,
            }
        }
        unlock(&file);
    }
    Ok(None)
}

/// Locks the file for this handle alone. `false`: another one has the lock.
#[cfg(unix)]
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    use rustix::fs::{FlockOperation, flock};
    use rustix::io::{Errno, retry_on_intr};

    match retry_on_intr(|| flock(file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Expressly: a child that was forked meanwhile has the file open too, and would keep the lock.
#[cfg(unix)]
pub(crate) fn unlock(file: &File) {
    let _ = rustix::fs::flock(file, rustix::fs::FlockOperation::Unlock);
}

#[cfg(windows)]
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    match fs4::FileExt::try_lock(file) {
        Ok(()) => Ok(true),
        Err(fs4::TryLockError::WouldBlock) => Ok(false),
        Err(fs4::TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(windows)]
pub(crate) fn unlock(file: &File) {
    let _ = fs4::FileExt::unlock(file);
}

/// Fills the buffer from this position on; how much of it, as the file may end before.
pub(crate) fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let at = at.saturating_add(done as u64);
        #[cfg(unix)]
        let got = file.read_at(rest, at);
        #[cfg(windows)]
        let got = file.seek_read(rest, at);
        match got {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes all of it. The caller holds a [`NoSignal`](super::file_limit::NoSignal).
#[cfg(unix)]
pub(crate) fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    file_limit::take_signal(file.write_all_at(bytes, at))
}

#[cfg(windows)]
pub(crate) fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match file.seek_write(rest, at + done as u64)? {
            0 => return Err(ErrorKind::WriteZero.into()),
            count => done += count,
        }
    }
    Ok(())
}
