//! One operation in flight: its deadline, what can stop it, and how it sleeps.
//!
//! Every wait of an operation goes through its [`Call`], so there is one rule for all of them: a
//! wait ends when its time has come, when somebody wakes it, when the deadline passes, when the
//! caller cancels, or when the client is shut down.

use std::cell::Cell;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::ffi::process;
use crate::quota::ledger::{Keeper, Kept};
use crate::sync::{AtomicU8, Condvar, Mutex};
use crate::{Error, Status};

/// Why an operation has to end early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Deadline,
    Cancelled,
    Closed,
}

impl From<Stop> for Error {
    fn from(stop: Stop) -> Error {
        match stop {
            Stop::Deadline => Error::new(Status::Deadline, "the deadline passed"),
            Stop::Cancelled => Error::new(Status::Cancelled, "the operation was cancelled"),
            Stop::Closed => Error::new(Status::Closed, "the client was shut down"),
        }
    }
}

const RUNNING: u8 = 0;
const CANCELLED: u8 = 1;
const CLOSED: u8 = 2;

/// What wakes one call. Shared with whoever may have to: a cancel handle, the client, a queue.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    stop: AtomicU8,
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    woken: bool,
    /// What the call reads from, which it does in this process.
    reads: Option<(u64, Arc<TcpStream>)>,
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
    fn add(&self, signal: &Arc<Signal>) {
        let mut signals = self.signals.lock();
        signals.push(Arc::clone(signal));
        // Stopped before this call joined: nobody else will tell it.
        match self.stopped.load(Ordering::Acquire) {
            RUNNING => {}
            reason => signal.stop(reason),
        }
    }

    fn remove(&self, signal: &Arc<Signal>) {
        let mut signals = self.signals.lock();
        if let Some(at) = signals.iter().position(|s| Arc::ptr_eq(s, signal)) {
            signals.swap_remove(at);
        }
        if signals.is_empty() {
            self.emptied.notify_all();
        }
    }

    fn stop_all(&self, reason: u8) {
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

/// Stops operations from outside: by hand, from any thread, or by its own deadline.
///
/// One handle may serve many calls, one after the other or at once. Once triggered it stays so.
#[derive(Clone, Debug)]
pub struct Cancel(Arc<CancelState>);

#[derive(Debug)]
struct CancelState {
    deadline: Option<Instant>,
    running: Running,
}

impl Cancel {
    /// A handle that is triggered by hand, or ends its calls with `deadline` once `timeout` has passed.
    pub fn new(timeout: Option<Duration>) -> Cancel {
        Cancel(Arc::new(CancelState {
            deadline: timeout.and_then(|t| Instant::now().checked_add(t)),
            running: Running::default(),
        }))
    }

    /// Ends every call that uses this handle, now and later, with `cancelled`. May be repeated.
    pub fn trigger(&self) {
        self.0.running.stop_all(CANCELLED);
    }
}

thread_local! {
    /// Whether the panic that is being contained on this thread left a request unsettled.
    static AFTERMATH: Cell<bool> = const { Cell::new(false) };
}

/// Leaves word, for whoever contains the panic that is unwinding.
pub(crate) fn note_aftermath(unsettled: bool) {
    AFTERMATH.set(unsettled);
}

/// What was left by the panic that has just been contained.
pub(crate) fn take_aftermath() -> bool {
    AFTERMATH.take()
}

/// One operation in flight.
#[derive(Debug)]
pub(crate) struct Call {
    signal: Arc<Signal>,
    began: Instant,
    deadline: Option<Instant>,
    cancel: Option<Cancel>,
    client: Arc<Running>,
    unsettled: AtomicBool,
    keeper: Mutex<Option<Keeper>>,
}

impl Call {
    /// Starts an operation that may last `timeout` and belongs to a client's set of running calls.
    pub(crate) fn begin(
        client: &Arc<Running>,
        timeout: Option<Duration>,
        cancel: Option<&Cancel>,
    ) -> Call {
        let began = Instant::now();
        let by_option = timeout.and_then(|t| began.checked_add(t));
        let by_handle = cancel.and_then(|c| c.0.deadline);
        let call = Call {
            signal: Arc::new(Signal::default()),
            began,
            deadline: [by_option, by_handle].into_iter().flatten().min(),
            cancel: cancel.cloned(),
            client: Arc::clone(client),
            unsettled: AtomicBool::new(false),
            keeper: Mutex::new(None),
        };
        call.client.add(&call.signal);
        if let Some(Cancel(state)) = &call.cancel {
            state.running.add(&call.signal);
        }
        call
    }

    /// A part of this operation that must not take longer than `limit`: whatever stops the whole stops it, too.
    pub(crate) fn part(&self, limit: Duration) -> Call {
        let began = Instant::now();
        Call {
            signal: Arc::clone(&self.signal),
            began,
            deadline: [self.deadline, began.checked_add(limit)].into_iter().flatten().min(),
            // Those who stop the whole know its signal, which is this one.
            cancel: None,
            client: Arc::default(),
            unsettled: AtomicBool::new(false),
            keeper: Mutex::new(None),
        }
    }

    /// Whether the operation may go on.
    pub(crate) fn check(&self) -> std::result::Result<(), Stop> {
        self.check_at(Instant::now())
    }

    /// The same for who has just looked at the clock: reading it costs more than all the rest of this.
    pub(crate) fn check_at(&self, now: Instant) -> std::result::Result<(), Stop> {
        match self.signal.stop.load(Ordering::Acquire) {
            CANCELLED => Err(Stop::Cancelled),
            CLOSED => Err(Stop::Closed),
            _ if self.deadline.is_some_and(|at| now >= at) => Err(Stop::Deadline),
            _ => Ok(()),
        }
    }

    /// When the operation began.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Sleeps until `until` (without: until woken), the deadline, or a stop, whichever comes first.
    pub(crate) fn wait(&self, until: Option<Instant>) -> std::result::Result<(), Stop> {
        self.check()?;
        self.signal.sleep([until, self.deadline].into_iter().flatten().min());
        self.check()
    }

    /// Sleeps for the whole of `pause`, unless stopped.
    pub(crate) fn pause(&self, pause: Duration) -> std::result::Result<(), Stop> {
        let until = Instant::now().checked_add(pause);
        while until.is_none_or(|at| Instant::now() < at) {
            self.wait(until)?;
        }
        Ok(())
    }

    /// Whether a pause of this length would end before the deadline.
    pub(crate) fn has_time_for(&self, pause: Duration) -> bool {
        let end = Instant::now().checked_add(pause);
        self.deadline.is_none_or(|deadline| end.is_some_and(|end| end < deadline))
    }

    /// Whether it is the deadline of the cancel handle that has passed.
    pub(crate) fn ended_by_handle(&self) -> bool {
        let by_handle = self.cancel.as_ref().and_then(|cancel| cancel.0.deadline);
        by_handle.is_some() && by_handle == self.deadline && self.has_passed()
    }

    /// Whether the deadline of the whole operation has passed, and not only that of a part.
    pub(crate) fn has_passed(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// When the operation must have ended.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What has to be kept alive from now on while this call waits for the network.
    pub(crate) fn set_keeper(&self, keeper: Option<Keeper>) {
        *self.keeper.lock() = keeper;
    }

    /// Keeps it alive. `None`: there is nothing to be kept.
    pub(crate) fn keep(&self) -> Option<Kept> {
        self.keeper.lock().as_mut().map(Keeper::keep)
    }

    /// Notes whether a request that changes something may have been carried out without our knowing.
    pub(crate) fn set_unsettled(&self, unsettled: bool) {
        self.unsettled.store(unsettled, Ordering::Relaxed);
    }

    /// Whether a request of this call may have been carried out without our knowing.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.unsettled.load(Ordering::Relaxed)
    }

    /// What others use to wake this call.
    pub(crate) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(Cancel(state)) = &self.cancel {
            state.running.remove(&self.signal);
        }
        self.client.remove(&self.signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(timeout_ms: u64, cancel: Option<&Cancel>) -> Call {
        Call::begin(&Arc::default(), Some(Duration::from_millis(timeout_ms)), cancel)
    }

    #[test]
    fn trigger_ends_a_wait_from_another_thread() {
        let cancel = Cancel::new(None);
        let call = call(60_000, Some(&cancel));
        let other = cancel.clone();
        let thread = std::thread::spawn(move || other.trigger());
        assert_eq!(call.pause(Duration::from_secs(30)), Err(Stop::Cancelled));
        thread.join().unwrap();
    }

    #[test]
    fn a_handle_triggered_before_the_call_stops_it() {
        let cancel = Cancel::new(None);
        cancel.trigger();
        assert_eq!(call(60_000, Some(&cancel)).check(), Err(Stop::Cancelled));
    }

    #[test]
    fn the_earlier_deadline_counts() {
        let cancel = Cancel::new(Some(Duration::ZERO));
        assert_eq!(call(60_000, Some(&cancel)).check(), Err(Stop::Deadline));
        assert_eq!(call(0, None).check(), Err(Stop::Deadline));
        assert_eq!(call(60_000, None).check(), Ok(()));
    }

    #[test]
    fn a_wake_before_the_wait_is_not_lost() {
        let call = call(60_000, None);
        call.signal().wake();
        assert_eq!(call.wait(None), Ok(()));
    }

    fn connection() -> (Arc<TcpStream>, TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Arc::new(stream), listener.accept().unwrap().0)
    }

    #[cfg(unix)]
    #[test]
    fn a_stop_in_a_forked_child_leaves_the_parents_connection_alone() {
        for of_another in [true, false] {
            let (stream, _peer) = connection();
            let cancel = Cancel::new(None);
            let call = call(60_000, Some(&cancel));
            let reader = process::incarnation() + u64::from(of_another);
            call.signal().state.lock().reads = Some((reader, Arc::clone(&stream)));
            cancel.trigger();
            stream.set_nonblocking(true).unwrap();
            let has_ended = stream.peek(&mut [0]).is_ok_and(|amount| amount == 0);
            assert_eq!(has_ended, !of_another);
        }
    }

    #[test]
    fn no_read_begins_once_the_call_is_stopped() {
        let (stream, _peer) = connection();
        let cancel = Cancel::new(None);
        let call = call(60_000, Some(&cancel));
        assert!(call.signal().reading(&stream).is_some());
        cancel.trigger();
        assert!(call.signal().reading(&stream).is_none());
    }

    #[test]
    fn close_stops_and_waits() {
        let running = Arc::new(Running::default());
        let call = Call::begin(&running, None, None);
        assert!(!running.close(Duration::from_millis(1)));
        assert_eq!(call.check(), Err(Stop::Closed));
        drop(call);
        assert!(running.close(Duration::ZERO));
    }
}
