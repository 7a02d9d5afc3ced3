//! The limit on the length of a file that a process writes (`RLIMIT_FSIZE`).
//!
//! Beyond it the system sends `SIGXFSZ` to the thread that writes, which ends the process. If the thread blocks that
//! signal, the write only fails. The host's own handling of the signal is not changed.

#[cfg(unix)]
use std::io::ErrorKind;
use std::io::Result;
use std::marker::PhantomData;

#[cfg(unix)]
use nix::sys::signal::{SigSet, SigmaskHow, Signal};

/// Blocks the signal for the calling thread until this is dropped. So it must not leave the thread.
pub(crate) struct NoSignal {
    #[cfg(unix)]
    blocks: bool,
    thread: PhantomData<*const ()>,
}

#[cfg(unix)]
impl NoSignal {
    pub(crate) fn new() -> NoSignal {
        let before = SigSet::from(Signal::SIGXFSZ).thread_swap_mask(SigmaskHow::SIG_BLOCK);
        let blocks = before.is_ok_and(|before| !before.contains(Signal::SIGXFSZ));
        NoSignal { blocks, thread: PhantomData }
    }
}

#[cfg(unix)]
impl Drop for NoSignal {
    fn drop(&mut self) {
        if self.blocks {
            let _ = SigSet::from(Signal::SIGXFSZ).thread_unblock();
        }
    }
}

#[cfg(not(unix))]
impl NoSignal {
    pub(crate) fn new() -> NoSignal {
        NoSignal { thread: PhantomData }
    }
}

/// Takes back the signal that a failed write has sent, which would otherwise arrive as soon as it is not blocked.
#[cfg(unix)]
pub(crate) fn take_signal<T>(written: Result<T>) -> Result<T> {
    unsafe extern "C" {
        fn sigpending(set: *mut SigSet) -> std::ffi::c_int;
    }
    if written.as_ref().is_err_and(|error| error.kind() == ErrorKind::FileTooLarge) {
        let mut pending = SigSet::empty();
        // SAFETY: `SigSet` is a transparent `sigset_t`, and the pointer is valid for the call.
        let known = unsafe { sigpending(&raw mut pending) } == 0;
        // There is none if the host ignores it, or if the file system has the limit.
        if known && pending.contains(Signal::SIGXFSZ) {
            let _ = SigSet::from(Signal::SIGXFSZ).wait();
        }
    }
    written
}

#[cfg(not(unix))]
pub(crate) fn take_signal<T>(written: Result<T>) -> Result<T> {
    written
}
