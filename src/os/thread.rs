//! Threads: the library's own, which look names up or download packages and take no signal that is meant for the host;
//! and which one this is.

use std::cell::{Cell, RefCell};
use std::io;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};

static NUMBERS: AtomicU64 = AtomicU64::new(0);

fn next_number() -> NonZeroU64 {
    NonZeroU64::MIN.saturating_add(NUMBERS.fetch_add(1, Ordering::Relaxed))
}

/// A number that identifies this thread. The standard library's thread handles would leave memory with each thread of
/// the host, which leak checkers report.
pub(crate) fn number() -> NonZeroU64 {
    thread_local!(static OWN: Cell<Option<NonZeroU64>> = const { Cell::new(None) });
    // The threads of a model are none of the system's, so every number is another.
    #[cfg(all(test, target_os = "linux"))]
    if super::sync::is_model() {
        return next_number();
    }
    OWN.get().unwrap_or_else(|| {
        let own = next_number();
        OWN.set(Some(own));
        own
    })
}

/// The work of a thread. It is boxed, so that all threads share the code that starts them.
type Work<'w> = Box<dyn FnOnce() + Send + 'w>;

/// Starts a thread that signals of the host pass by.
pub(crate) fn spawn(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let builder = Builder::new().name(name.to_owned());
    let work: Work<'_> = Box::new(work);
    with_signals_blocked(|| builder.spawn(work))
}

/// Threads that end before [`scope`] returns.
pub(crate) struct Scope<'s> {
    running: RefCell<Vec<JoinHandle<()>>>,
    /// No shorter life is taken for `'s`.
    borrowed: PhantomData<fn(&'s ()) -> &'s ()>,
}

/// Runs this with threads beside it that may borrow, and joins them, also when it unwinds. The standard library's scope
/// would make a handle of the host's thread.
pub(crate) fn scope<'s, T>(run: impl FnOnce(&Scope<'s>) -> T) -> T {
    run(&Scope { running: RefCell::default(), borrowed: PhantomData })
}

impl<'s> Scope<'s> {
    /// Starts a thread.
    pub(crate) fn spawn(&self, name: &str, work: impl FnOnce() + Send + 's) -> io::Result<()> {
        let builder = Builder::new().name(name.to_owned());
        let work: Work<'s> = Box::new(work);
        // SAFETY: what the work borrows lives for `'s`, which is longer than the call of `scope`. That hands out a reference
        // alone, so this is always dropped before it returns, which joins the thread.
        let started = with_signals_blocked(|| unsafe { builder.spawn_unchecked(work) })?;
        // A thread that has ended keeps its stack until it is joined.
        let known = self.running.take();
        let (ended, mut running): (Vec<_>, Vec<_>) =
            known.into_iter().partition(JoinHandle::is_finished);
        running.push(started);
        self.running.replace(running);
        join(ended);
        Ok(())
    }
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        join(self.running.take());
    }
}

/// A thread that has panicked has ended as well.
fn join(threads: Vec<JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| drop(thread.join()));
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
        let (tell, told) = std::sync::mpsc::channel();
        let work = move || tell.send(blocked()).unwrap();
        super::spawn("mde-test", work).unwrap().join().unwrap();
        assert_eq!(told.recv().unwrap(), [true, false, true]);
        assert_eq!(blocked(), before, "the mask of the thread that calls");
    }

    #[test]
    fn the_threads_of_a_scope_end_before_it() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        use std::time::Duration;

        let (ended, ready) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            std::thread::sleep(Duration::from_millis(50));
            ready.fetch_add(usize::from(blocked() == [true, false, true]), Ordering::Relaxed);
            ended.fetch_add(1, Ordering::Relaxed);
        };
        super::scope(|scope| (0..3).for_each(|_| scope.spawn("mde-test", work).unwrap()));
        assert_eq!((ended.load(Ordering::Relaxed), ready.load(Ordering::Relaxed)), (3, 3));
        // Also when the scope unwinds, and when a thread has panicked.
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            super::scope(|scope| {
                scope.spawn("mde-test", || panic!("one of them")).unwrap();
                scope.spawn("mde-test", work).unwrap();
                panic!("the scope");
            })
        }));
        assert!(unwound.is_err());
        assert_eq!(ended.load(Ordering::Relaxed), 4);
    }
}
