//! One operation in flight: its deadline, its stops and its waits.
//!
//! Every wait of an operation goes through its [`Call`], so one rule holds for all of them. A wait ends at its time, on
//! a wake, at the deadline, when the caller cancels, or when the client is shut down.

mod cancel;
pub(crate) mod contained;
mod keep_alive;
pub(crate) mod panic_note;
mod signal;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use self::cancel::Cancel;
pub(crate) use self::keep_alive::{KeepAlive, Kept};
use self::signal::{CANCELLED, CLOSED};
pub(crate) use self::signal::{Running, Signal};
use crate::error::Error;
use crate::os::sync::Mutex;
use crate::status::Status;

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

/// The rank of an operation's requests where calls wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// A call for one device. Somebody waits for it.
    Single,
    /// A call over many devices.
    Sweep,
}

/// One operation in flight.
#[derive(Debug)]
pub(crate) struct Call {
    signal: Arc<Signal>,
    rank: Rank,
    waits: bool,
    /// The signal of the operation that this call works beside, on a thread of the library.
    operation: Option<Arc<Signal>>,
    began: Instant,
    deadline: Option<Instant>,
    cancel: Option<Cancel>,
    client: Arc<Running>,
    /// How many requests that change something may have been carried out without a reply.
    unsettled: AtomicU32,
    keeper: Mutex<Option<Box<dyn KeepAlive>>>,
}

impl Call {
    /// Begins an operation that may last `timeout`, and adds it to the running calls of a client.
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
            rank: Rank::Single,
            waits: true,
            operation: None,
            began,
            deadline: [by_option, by_handle].into_iter().flatten().min(),
            cancel: cancel.cloned(),
            client: Arc::clone(client),
            unsettled: AtomicU32::new(0),
            keeper: Mutex::new(None),
        };
        call.add_to_sets();
        call
    }

    /// The same operation as a call over many devices. `waits`: whether its requests wait for quota. It decides in the
    /// place of the option `quota`.
    pub(crate) fn into_sweep(mut self, waits: bool) -> Call {
        (self.rank, self.waits) = (Rank::Sweep, waits);
        self
    }

    /// A call for a thread beside this operation, made on that thread. It is a sweep that waits for quota, and has a
    /// signal of its own.
    ///
    /// It ends with the operation's deadline, with the client, and with `cancel`. A stop of the operation does not reach
    /// it otherwise.
    pub(crate) fn beside(&self, cancel: &Cancel) -> Call {
        let call = Call {
            signal: Arc::new(Signal::default()),
            rank: Rank::Sweep,
            waits: true,
            operation: Some(Arc::clone(&self.signal)),
            began: Instant::now(),
            deadline: [self.deadline, cancel.0.deadline].into_iter().flatten().min(),
            cancel: Some(cancel.clone()),
            client: Arc::clone(&self.client),
            unsettled: AtomicU32::new(0),
            keeper: Mutex::new(None),
        };
        call.add_to_sets();
        call
    }

    /// Lets the client and the cancel handle stop the call.
    fn add_to_sets(&self) {
        self.client.add(&self.signal);
        if let Some(Cancel(state)) = &self.cancel {
            state.running.add(&self.signal);
        }
    }

    /// A part of this operation that may last `limit`. A stop of the operation stops the part as well.
    pub(crate) fn part(&self, limit: Duration) -> Call {
        let began = Instant::now();
        Call {
            signal: Arc::clone(&self.signal),
            rank: self.rank,
            waits: self.waits,
            operation: self.operation.clone(),
            began,
            deadline: [self.deadline, began.checked_add(limit)].into_iter().flatten().min(),
            // The handle and the client stop the operation by its signal, which the part shares.
            cancel: None,
            client: Arc::default(),
            unsettled: AtomicU32::new(0),
            keeper: Mutex::new(None),
        }
    }

    /// Returns an error if the operation was stopped or its deadline has passed.
    pub(crate) fn check(&self) -> std::result::Result<(), Stop> {
        self.check_at(Instant::now())
    }

    /// The same with the present time, for callers that have just read the clock. That costs more than all the rest.
    pub(crate) fn check_at(&self, now: Instant) -> std::result::Result<(), Stop> {
        match self.signal.stop.load(Ordering::Acquire) {
            CANCELLED => Err(Stop::Cancelled),
            CLOSED => Err(Stop::Closed),
            _ if self.deadline.is_some_and(|at| now >= at) => Err(Stop::Deadline),
            _ => Ok(()),
        }
    }

    pub(crate) fn rank(&self) -> Rank {
        self.rank
    }

    /// Whether the requests of a sweep wait for quota.
    pub(crate) fn waits(&self) -> bool {
        self.waits
    }

    /// The signal of the operation, if this call is on a thread of the library beside it.
    pub(crate) fn operation(&self) -> Option<&Arc<Signal>> {
        self.operation.as_ref()
    }

    /// When the operation began.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Sleeps until `until`, a wake, the deadline, or a stop, whichever comes first.
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

    /// Whether the deadline that has passed is that of the cancel handle.
    pub(crate) fn ended_by_handle(&self) -> bool {
        let by_handle = self.cancel.as_ref().and_then(|cancel| cancel.0.deadline);
        by_handle.is_some() && by_handle == self.deadline && self.has_passed()
    }

    /// Whether the deadline of this call has passed, and not only that of a part of it.
    pub(crate) fn has_passed(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// The time by which the operation must have ended.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Sets the slot to renew while this call waits for the network.
    pub(crate) fn set_keeper(&self, keeper: Option<Box<dyn KeepAlive>>) {
        *self.keeper.lock() = keeper;
    }

    /// Renews the slot. `None` if the call has none.
    pub(crate) fn keep(&self) -> Option<Kept> {
        self.keeper.lock().as_mut().map(|keeper| keeper.keep())
    }

    /// Records that a request is sent that changes something. Its outcome is not known from here on.
    pub(crate) fn begin_change(&self) {
        self.unsettled.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that the latest request did nothing. The outcome of earlier ones is as unknown as before.
    pub(crate) fn nothing_changed(&self) {
        self.unsettled.fetch_sub(1, Ordering::Relaxed);
    }

    /// Records that the outcome of all requests is known.
    pub(crate) fn settle(&self) {
        self.unsettled.store(0, Ordering::Relaxed);
    }

    /// How many requests of this call may have been carried out without a reply.
    pub(crate) fn unsettled(&self) -> u32 {
        self.unsettled.load(Ordering::Relaxed)
    }

    /// Whether a request of this call may have been carried out without a reply.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.unsettled() > 0
    }

    /// The signal with which others wake this call.
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
    use std::net::TcpStream;

    use super::*;
    #[cfg(unix)]
    use crate::os::fork;

    fn call(timeout_ms: u64, cancel: Option<&Cancel>) -> Call {
        Call::begin(&Arc::default(), Some(Duration::from_millis(timeout_ms)), cancel)
    }

    #[test]
    fn a_trigger_from_another_thread_ends_a_wait() {
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
            let reader = fork::incarnation() + u64::from(of_another);
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
    fn a_call_beside_another_ends_with_its_deadline_its_client_and_its_own_handle() {
        let (running, cancel) = (Arc::new(Running::default()), Cancel::new(None));
        let begin = |ms| Call::begin(&running, Some(Duration::from_millis(ms)), None);
        assert_eq!(begin(0).beside(&Cancel::new(None)).check(), Err(Stop::Deadline));
        let operation = begin(60_000).into_sweep(false);
        let beside = operation.beside(&cancel);
        assert_eq!((beside.rank(), beside.waits()), (Rank::Sweep, true));
        let part = beside.part(Duration::from_secs(1));
        for call in [&beside, &part] {
            assert!(call.operation().is_some_and(|it| Arc::ptr_eq(it, operation.signal())));
        }
        assert!(operation.operation().is_none());
        assert_eq!(beside.deadline(), operation.deadline());
        assert!(!Arc::ptr_eq(beside.signal(), operation.signal()));
        cancel.trigger();
        assert_eq!((beside.check(), operation.check()), (Err(Stop::Cancelled), Ok(())));
        // The client waits for it as for any other call.
        let another = operation.beside(&Cancel::new(None));
        drop((beside, operation));
        assert!(!running.close(Duration::from_millis(1)));
        assert_eq!(another.check(), Err(Stop::Closed));
        drop(another);
        assert!(running.close(Duration::ZERO));
    }

    #[test]
    fn a_part_has_the_rank_of_its_operation() {
        let part = |call: &Call| {
            let part = call.part(Duration::from_secs(1));
            (part.rank(), part.waits())
        };
        assert_eq!(part(&call(60_000, None)), (Rank::Single, true));
        assert_eq!(part(&call(60_000, None).into_sweep(false)), (Rank::Sweep, false));
    }

    #[test]
    fn close_stops_the_calls_and_waits_for_them() {
        let running = Arc::new(Running::default());
        let call = Call::begin(&running, None, None);
        assert!(!running.close(Duration::from_millis(1)));
        assert_eq!(call.check(), Err(Stop::Closed));
        drop(call);
        assert!(running.close(Duration::ZERO));
    }
}
