//! What wakes and stops calls from outside, and the sets of calls that somebody may have to stop.

use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::os::process;
use crate::os::sync::{AtomicU8, Condvar, Mutex};

const RUNNING: u8 = 0;
pub(super) const CANCELLED: u8 = 1;
pub(super) const CLOSED: u8 = 2;

/// What wakes one call. Shared with whoever may have to: a cancel handle, the client, a queue.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    pub(super) stop: AtomicU8,
    pub(super) state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct Waiting {
    woken: bool,
    /// What the call reads from, which it does in this process.
    pub(super) reads: Option<(u64, Arc<TcpStream>)>,
}

impl Signal {
    /// Ends the current wait, or the next one if none is under way. A wait for the network is only ended by a stop.
    pub(crate) fn wake(&self) {
        self.state.lock().woken = true;
        self.changed.notify_one();
    }

    fn stop(&self, reason: u8) {
        // The first reason stands: a call cancelled by its caller stays cancelled under shutdown.
        let _ = self.stop.compare_exchange(RUNNING, reason, Ordering::AcqRel, Ordering::Acquire);
        match &self.state.lock().reads {
            // In a forked child it is the parent's connection, and the parent's read that would be ended.
            Some((process, stream)) if *process == process::incarnation() => {
                // Nothing is sent by this, but the read that waits has come to the end. One that cannot be ended so
                // looks by itself whether it was stopped.
                let _ = stream.shutdown(Shutdown::Read);
            }
            _ => {}
        }
        self.wake();
    }

    /// Lets a stop end what is read from `stream` until the result is dropped. `None`: it has been stopped.
    pub(crate) fn reading(&self, stream: &Arc<TcpStream>) -> Option<Reading<'_>> {
        let mut state = self.state.lock();
        // Looked at under the lock: who stops from here on finds the stream.
        if self.stop.load(Ordering::Acquire) != RUNNING {
            return None;
        }
        state.reads = Some((process::incarnation(), Arc::clone(stream)));
        Some(Reading(self))
    }

    /// Sleeps until `until` (for ever without), or until somebody wakes it.
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

/// A read under way that a stop ends.
pub(crate) struct Reading<'a>(&'a Signal);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.state.lock().reads = None;
    }
}

/// The calls that somebody may have to stop, now and, once stopped, for ever after.
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
        // Stopped before this call joined: nobody else will tell it.
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

    /// Stops every call as "closed" and waits until none is left. `false`: the time was too short.
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
