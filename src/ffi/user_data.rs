//! The host's pointer for the calls of a callback that the library keeps.

use std::ffi::c_void;

use super::library::mde_free_fn;
use crate::os::{self, fork};

/// A pointer of the host, freed by the host's function when its last holder is dropped.
pub(super) struct UserData {
    pointer: *mut c_void,
    free: mde_free_fn,
    /// The process that set the pointer. A forked child does not free it: the resource behind it (a file, a
    /// connection, a lock) is the parent's.
    process: u64,
}

impl UserData {
    pub(super) fn new(pointer: *mut c_void, free: mde_free_fn) -> UserData {
        UserData { pointer, free, process: fork::incarnation() }
    }

    pub(super) fn get(&self) -> *mut c_void {
        self.pointer
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(free) = self.free.filter(|_| self.process == fork::incarnation()) {
            let pointer = self.pointer;
            // SAFETY: the host gave this function for this pointer, and nothing uses the pointer after this.
            os::callback::call(&mut || unsafe { free(pointer) });
        }
    }
}

// SAFETY: the pointer is only passed back; the header says that callbacks come from any thread.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}
