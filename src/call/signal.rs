//! The signal that wakes or stops a call, and the sets of calls that are stopped together.

use std::net::{Shutdown, TcpStream};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::os::sync::{AtomicU8, Condvar, Mutex};
use crate::os::{fork, thread};

const RUNNING: u8 = 0;
pub(super) const CANCELLED: u8 = 1;
pub(super) const CLOSED: u8 = 2;

/// The signal of one call. Its cancel handle, its client and the queues it waits in share it.
#[derive(Debug)]
pub(crate) struct Signal {
    /// The thread that makes the call.
    thread: NonZeroU64,
    pub(super) stop: AtomicU8,
    pub(super) state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct Waiting {
    woken: bool,
    wakes: u64,
    /// The stream that the call reads from, and the process that reads.
    pub(super) reads: Option<(u64, Arc<TcpStream>)>,
}

impl Default for Signal {
    fn default() -> Signal {
        Signal {
            thread: thread::number(),
            stop: AtomicU8::default(),
            state: Mutex::default(),
            changed: Condvar::default(),
        }
    }
}

impl Signal {
    /// Ends the current wait, or the next one if none is under way. Only a stop ends a wait for the network.
    pub(crate) fn wake(&self) {
        let mut state = self.state.lock();
        (state.woken, state.wakes) = (true, state.wakes + 1);
        drop(state);
        self.changed.notify_one();
    }

    /// How often the signal was woken. A call with several things to wait for compares it before it sleeps: a sleep in
    /// between may have used up a wake.
    pub(crate) fn wakes(&self) -> u64 {
        self.state.lock().wakes
    }

    fn stop(&self, reason: u8) {
        // The first reason remains: a call that was cancelled stays so when its client is shut down.
        let _ = self.stop.compare_exchange(RUNNING, reason, Ordering::AcqRel, Ordering::Acquire);
        match &self.state.lock().reads {
            // In a forked child the stream is the parent's, so this would end the parent's read.
            Some((process, stream)) if fork::is_this_process(*process) => {
                // This sends nothing, and ends the waiting read. On a system where it does not, the read itself checks
                // for a stop.
                let _ = stream.shutdown(Shutdown::Read);
            }
            _ => {}
        }
        self.wake();
    }

    /// Lets a stop end the reads from `stream` until the result is dropped. `None` if the call was stopped.
    pub(crate) fn reading(&self, stream: &Arc<TcpStream>) -> Option<Reading<'_>> {
        let mut state = self.state.lock();
        // Checked under the lock, so that a later stop finds the stream.
        if self.stop.load(Ordering::Acquire) != RUNNING {
            return None;
        }
        state.reads = Some((fork::incarnation(), Arc::clone(stream)));
        Some(Reading(self))
    }

    /// Whether the signal was woken since the last sleep. The next sleep is not ended by that.
    #[cfg(test)]
    pub(crate) fn take_wake(&self) -> bool {
        std::mem::take(&mut self.state.lock().woken)
    }

    /// Sleeps until `until`, or until woken.
    pub(crate) fn sleep(&self, until: Option<Instant>) {
        let mut state = self.state.lock();
        while !state.woken {
            match until {
                None => self.changed.wait(&mut state),
                Some(at) => {
                    if self.changed.wait_until(&mut state, at).timed_out() {
                        break;
                    }
                }
            }
        }
        state.woken = false;
    }
}

/// A read under way, which a stop ends.
pub(crate) struct Reading<'a>(&'a Signal);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.state.lock().reads = None;
    }
}

/// The running calls of a cancel handle or a client. After a stop, every later call is stopped as well.
#[derive(Debug, Default)]
pub(crate) struct Running {
    stopped: AtomicU8,
    signals: Mutex<Vec<Arc<Signal>>>,
    emptied: Condvar,
}

impl Running {
    pub(super) fn add(&self, signal: &Arc<Signal>) {
        let mut signals = self.signals.lock();
        signals.push(Arc::clone(signal));
        // A stop before this call was added has not reached it.
        match self.stopped.load(Ordering::Acquire) {
            RUNNING => {}
            reason => signal.stop(reason),
        }
    }

    pub(super) fn remove(&self, signal: &Arc<Signal>) {
        let mut signals = self.signals.lock();
        if let Some(at) = signals.iter().position(|s| Arc::ptr_eq(s, signal)) {
            signals.swap_remove(at);
        }
        if signals.is_empty() {
            self.emptied.notify_all();
        }
    }

    pub(super) fn stop_all(&self, reason: u8) {
        let signals = self.signals.lock();
        self.stopped.store(reason, Ordering::Release);
        for signal in signals.iter() {
            signal.stop(reason);
        }
    }

    /// Whether this thread is inside one of the calls: a callback of it runs.
    pub(crate) fn is_entered_here(&self) -> bool {
        let here = thread::number();
        self.signals.lock().iter().any(|signal| signal.thread == here)
    }

    /// Stops every call as closed and waits until none is left. Returns false if the time was too short.
    pub(crate) fn close(&self, timeout: Duration) -> bool {
        self.stop_all(CLOSED);
        let until = Instant::now().checked_add(timeout);
        let mut signals = self.signals.lock();
        while !signals.is_empty() {
            match until {
                None => self.emptied.wait(&mut signals),
                Some(at) => {
                    if self.emptied.wait_until(&mut signals, at).timed_out() {
                        return signals.is_empty();
                    }
                }
            }
        }
        true
    }
}
