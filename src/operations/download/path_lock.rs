//! A lock on a path for the whole of an operation, its waits included: a locked file that exists only meanwhile.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::file_error;
use crate::error::Result;
use crate::os::file::{self, Links};
use crate::os::lock;

/// A lock that one call of one process holds. The system releases it when the process ends.
pub(crate) struct PathLock {
    path: PathBuf,
    file: File,
}

impl PathLock {
    /// Takes the lock file at `path`. `None` if another call or process holds it.
    pub(crate) fn take(path: &Path) -> Result<Option<PathLock>> {
        let failed = |error| file_error("lock", path, &error);
        let file = lock::lock_at(path).map_err(failed)?;
        Ok(file.map(|file| PathLock { path: path.to_owned(), file }))
    }
}

impl Drop for PathLock {
    fn drop(&mut self) {
        // The file is removed while it is locked, so that a call that has opened it finds it gone. A file that is not
        // empty is not ours.
        let is_empty = self.file.metadata().is_ok_and(|metadata| metadata.len() == 0);
        if is_empty && file::is_still_at(&self.file, &self.path, Links::Refused) {
            let _ = fs::remove_file(&self.path);
        }
        lock::unlock(&self.file);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::*;

    #[test]
    fn one_holder_at_a_time_and_no_file_stays() {
        let path = std::env::temp_dir().join(format!("path-lock-{}.lock", std::process::id()));
        let first = PathLock::take(&path).unwrap();
        assert!(first.is_some() && PathLock::take(&path).unwrap().is_none());
        drop(first);
        assert!(!path.exists());
        let (held, taken) = (AtomicBool::new(false), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let Some(path_lock) = PathLock::take(&path).unwrap() else { continue };
                        assert!(!held.swap(true, Ordering::SeqCst), "two hold it");
                        taken.fetch_add(1, Ordering::Relaxed);
                        held.store(false, Ordering::SeqCst);
                        drop(path_lock);
                    }
                });
            }
        });
        assert!(taken.into_inner() >= 4 && !path.exists());
    }
}
