//! Who may work on a place for as long as an operation lasts, with its waits: a file that is there meanwhile, and locked.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::{file_error, system};
use crate::error::Result;
use crate::os::lock;

/// A path, for us alone. A process that ends without a word gives it up too.
pub(crate) struct PathLock {
    path: PathBuf,
    file: File,
}

impl PathLock {
    /// Claims what the file at `path` stands for. `None`: somebody else has it.
    pub(crate) fn take(path: &Path) -> Result<Option<PathLock>> {
        let failed = |error| file_error("lock", path, &error);
        // Each round deals with somebody who gave it up just then, and took the file along.
        for _ in 0..16 {
            let file = system::open_part(path).map_err(failed)?;
            if !lock::try_lock(&file).map_err(failed)? {
                break;
            }
            let claim = PathLock { path: path.to_owned(), file };
            if system::is_still_at(&claim.file, path) {
                return Ok(Some(claim));
            }
        }
        Ok(None)
    }
}

impl Drop for PathLock {
    fn drop(&mut self) {
        // Removed while it is locked: whoever has opened it meanwhile sees that it is not there any more. A file with
        // something in it is not one of ours.
        let is_empty = self.file.metadata().is_ok_and(|metadata| metadata.len() == 0);
        if is_empty && system::is_still_at(&self.file, &self.path) {
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
    fn one_has_it_at_a_time_and_nothing_stays() {
        let path = std::env::temp_dir().join(format!("claim-{}.lock", std::process::id()));
        let first = PathLock::take(&path).unwrap();
        assert!(first.is_some() && PathLock::take(&path).unwrap().is_none());
        drop(first);
        assert!(!path.exists());
        let (held, taken) = (AtomicBool::new(false), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let Some(claim) = PathLock::take(&path).unwrap() else { continue };
                        assert!(!held.swap(true, Ordering::SeqCst), "two have it");
                        taken.fetch_add(1, Ordering::Relaxed);
                        held.store(false, Ordering::SeqCst);
                        drop(claim);
                    }
                });
            }
        });
        assert!(taken.into_inner() >= 4 && !path.exists());
    }
}
