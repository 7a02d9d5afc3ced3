//! Threads: the library's own, which look names up and take no signal that is meant for the host; and which one this is.

use std::io;
use std::thread::{Builder, JoinHandle};

/// A number that no other thread has as long as this one runs. The standard library's would keep memory for every thread
/// of the host.
#[cfg(not(feature = "shuttle"))]
pub(crate) fn id() -> usize {
    thread_local!(static PLACE: u8 = const { 0 });
    PLACE.with(|place| std::ptr::from_ref(place).addr())
}

/// The threads of a model are none of the system's. No two numbers are the same.
#[cfg(feature = "shuttle")]
pub(crate) fn id() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// Starts a thread that signals of the host pass by.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let builder = Builder::new().name(name.to_owned());
    with_signals_blocked(|| builder.spawn(work))
}

/// A new thread starts with the signal mask of the one that starts it.
#[cfg(unix)]
fn with_signals_blocked<T>(start: impl FnOnce() -> T) -> T {
    use nix::sys::signal::{SigSet, SigmaskHow, Signal};

    let mut blocked = SigSet::all();
    // What a thread does to itself is for the host's crash handler.
    for own in [
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGFPE,
        Signal::SIGILL,
        Signal::SIGTRAP,
        Signal::SIGSYS,
        Signal::SIGABRT,
    ] {
        blocked.remove(own);
    }
    let _restored = blocked.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok().map(Restored);
    start()
}

/// Gives the calling thread its mask back, however `start` ends.
#[cfg(unix)]
struct Restored(nix::sys::signal::SigSet);

#[cfg(unix)]
impl Drop for Restored {
    fn drop(&mut self) {
        let _ = self.0.thread_set_mask();
    }
}

#[cfg(not(unix))]
fn with_signals_blocked<T>(start: impl FnOnce() -> T) -> T {
    start()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::fs::read_to_string;

    /// The bits of `SIGTERM`, `SIGSEGV` and the first real-time signal.
    fn blocked() -> [bool; 3] {
        let status = read_to_string("/proc/thread-self/status").unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        let mask = u64::from_str_radix(mask.trim(), 16).unwrap();
        [15, 11, 34].map(|signal| mask >> (signal - 1) & 1 == 1)
    }

    #[test]
    fn signals_pass_the_threads_by() {
        let before = blocked();
        let seen = super::spawn("mde-test", blocked).unwrap().join().unwrap();
        assert_eq!(seen, [true, false, true]);
        assert_eq!(blocked(), before, "the mask of the thread that calls");
    }
}
