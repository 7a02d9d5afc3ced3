//! Slices of reads are an hour here. A read that ends sooner was interrupted.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::call::{Cancel, KeepAlive, Kept, Running};
use crate::error::Error;
use crate::http::attempt::Goal;
use crate::http::race;

/// The error of a read from a silent peer while `meanwhile` runs.
fn read_from_silence(call: Call, meanwhile: impl FnOnce()) -> Error {
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = peer.local_addr().unwrap();
    let (sender, receiver) = mpsc::channel();
    let reader = thread::spawn(move || {
        let head = Head { lines: "".into(), secret: None, target: None, bulk: false };
        let _exchange = Exchange::enter(&Arc::new(call), READ_SLICE, 2 * READ_SLICE, head);
        let limit = Instant::now() + READ_SLICE;
        let read = race::run(&[address], limit, &Goal::default())
            .and_then(|usable| usable.into_stream().read(&mut [0; 16]).map_err(Failure::from_io));
        sender.send(Error::from(read.unwrap_err())).unwrap();
    });
    peer.set_nonblocking(true).unwrap();
    let _connection = loop {
        match peer.accept() {
            Ok(connection) => break Some(connection),
            // It was stopped before it connected.
            Err(_) if reader.is_finished() => break None,
            Err(_) => thread::sleep(Duration::from_micros(100)),
        }
    };
    meanwhile();
    let error = receiver.recv_timeout(Duration::from_secs(30)).expect("the read does not end");
    reader.join().unwrap();
    error
}

#[test]
fn a_trigger_ends_a_read_at_any_moment() {
    for late in 0..40 {
        let cancel = Cancel::new(None);
        let call = Call::begin(&Arc::default(), None, Some(&cancel));
        let error = read_from_silence(call, || {
            thread::sleep(Duration::from_micros(50 * late));
            cancel.trigger();
        });
        assert_eq!(error.status(), Status::Cancelled);
    }
}

#[test]
fn closing_the_client_ends_a_read() {
    let running = Arc::new(Running::default());
    let call = Call::begin(&running, None, None);
    let error = read_from_silence(call, || {
        thread::sleep(Duration::from_millis(20));
        assert!(running.close(Duration::from_secs(30)));
    });
    assert_eq!(error.status(), Status::Closed);
}

#[test]
fn a_deadline_does_not_wait_for_the_slice() {
    for handle in [None, Some(Cancel::new(Some(Duration::from_millis(30))))] {
        let timeout = Duration::from_millis(if handle.is_some() { 60_000 } else { 30 });
        let call = Call::begin(&Arc::default(), Some(timeout), handle.as_ref());
        assert_eq!(read_from_silence(call, || ()).status(), Status::Deadline);
    }
}

/// A slot that is renewed at fixed intervals.
#[derive(Debug)]
struct Slot {
    renew_at: Instant,
    every: Duration,
    renewing_takes: Duration,
    renewals: Arc<AtomicU32>,
}

impl Slot {
    /// Gives the call a slot. Returns the number of its renewals.
    fn lend(call: &Call, first: Duration, every: Duration, takes: Duration) -> Arc<AtomicU32> {
        let renewals = Arc::new(AtomicU32::new(0));
        call.set_keeper(Some(Box::new(Slot {
            renew_at: Instant::now() + first,
            every,
            renewing_takes: takes,
            renewals: Arc::clone(&renewals),
        })));
        renewals
    }
}

impl KeepAlive for Slot {
    fn keep(&mut self) -> Kept {
        if Instant::now() >= self.renew_at {
            thread::sleep(self.renewing_takes);
            self.renewals.fetch_add(1, Ordering::Relaxed);
            self.renew_at += self.every;
        }
        Kept { is_lost: false, again_in: self.renew_at.saturating_duration_since(Instant::now()) }
    }
}

#[test]
fn a_slot_is_renewed_during_a_read() {
    let call = Call::begin(&Arc::default(), Some(Duration::from_millis(1_400)), None);
    let every = Duration::from_millis(250);
    let renewals = Slot::lend(&call, every, every, Duration::ZERO);
    assert_eq!(read_from_silence(call, || ()).status(), Status::Deadline);
    let renewals = renewals.load(Ordering::Relaxed);
    assert!((3..=5).contains(&renewals), "{renewals}");
}

#[test]
fn the_time_of_a_renewal_is_not_added_to_the_deadline() {
    let began = Instant::now();
    let call = Call::begin(&Arc::default(), Some(Duration::from_secs(2)), None);
    let (first, every) = (Duration::from_millis(500), Duration::from_secs(20));
    let renewals = Slot::lend(&call, first, every, Duration::from_secs(1));
    assert_eq!(read_from_silence(call, || ()).status(), Status::Deadline);
    assert_eq!(renewals.load(Ordering::Relaxed), 1);
    assert!(began.elapsed() < Duration::from_millis(2_900), "{:?}", began.elapsed());
}

#[test]
fn a_slot_is_renewed_while_a_connection_is_opened() {
    // It accepts in its queue, and says nothing.
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let call = Call::begin(&Arc::default(), Some(Duration::from_millis(1_400)), None);
    let every = Duration::from_millis(250);
    let renewals = Slot::lend(&call, every, every, Duration::ZERO);
    let head = Head { lines: "".into(), secret: None, target: None, bulk: false };
    let _exchange = Exchange::enter(&Arc::new(call), READ_SLICE, READ_SLICE, head);
    let goal = Goal { probe: b"ping", ..Goal::default() };
    let addresses = [peer.local_addr().unwrap()];
    let ended = race::run(&addresses, Instant::now() + READ_SLICE, &goal).map(|_| ());
    assert_eq!(Error::from(ended.unwrap_err()).status(), Status::Deadline);
    let renewals = renewals.load(Ordering::Relaxed);
    assert!((3..=5).contains(&renewals), "{renewals}");
}
