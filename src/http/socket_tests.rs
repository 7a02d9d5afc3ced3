//! A read's slice is an hour here: what ends sooner was ended.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::call::{Cancel, Running};
use crate::error::Error;
use crate::quota::ledger::{Answer, Held, Keeper, Ledger, Outcome, Renewal, Slot, View, lease};
use crate::quota::limiter::Refusal;
use crate::quota::window::Window;
use crate::service::endpoint::Quota;

/// What becomes of a read from a peer that says nothing, while `meanwhile` happens.
fn read_from_silence(call: Call, meanwhile: impl FnOnce()) -> Error {
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = peer.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    let reader = thread::spawn(move || {
        let head = Head { lines: "".into(), secret: None, bulk: false };
        let _exchange = Exchange::enter(&Arc::new(call), READ_SLICE, 2 * READ_SLICE, head);
        let limit = Instant::now() + READ_SLICE;
        // It may be stopped as early as here.
        let read = Socket::connect(address, limit)
            .and_then(|socket| socket.unwrap().read(&mut [0; 16]).map_err(Failure::from_io));
        tell.send(Error::from(read.unwrap_err())).unwrap();
    });
    let _connection = peer.accept().unwrap();
    meanwhile();
    let error = told.recv_timeout(Duration::from_secs(30)).expect("the read goes on");
    reader.join().unwrap();
    error
}

#[test]
fn a_trigger_ends_a_read_whenever_it_comes() {
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

/// A shared log in which a slot is to be renewed.
#[derive(Debug)]
struct Log {
    made: Instant,
    renewals: AtomicU32,
    renewing_takes: Duration,
}

impl Log {
    /// Lets the call hold a slot that was taken so long ago.
    fn lend(call: &Call, window: Duration, since: Duration, renewing_takes: Duration) -> Arc<Log> {
        let log =
            Arc::new(Log { made: Instant::now(), renewals: AtomicU32::new(0), renewing_takes });
        let windows = [Window { limit: 1, length: window }];
        let slot = Slot { place: 1, owner: 1 };
        let ledger = Arc::clone(&log) as Arc<dyn Ledger>;
        let held = Held::new(&ledger, Quota::Read, slot, log.now().saturating_sub(since));
        call.set_keeper(Some(Keeper::new(&held, &windows)));
        log
    }
}

impl Ledger for Log {
    fn begin(&self, _: Quota, _: &[Window], _: &Call) -> Result<Answer, Refusal> {
        Ok(Answer::Alone(1))
    }

    fn settle(&self, _: Quota, _: Slot, _: Outcome, _: &[Window]) {}

    fn renew(&self, _: Quota, _: Slot, _: &[Window]) -> Renewal {
        thread::sleep(self.renewing_takes);
        self.renewals.fetch_add(1, Ordering::Relaxed);
        Renewal::Kept
    }

    fn throttled(
        &self,
        _: Quota,
        _: Option<Slot>,
        _: Duration,
        _: &[Window],
    ) -> Option<Vec<usize>> {
        None
    }

    fn view(&self, _: Quota, _: &[Window], _: Option<&Call>) -> Option<View> {
        None
    }

    fn now(&self) -> Duration {
        Duration::from_secs(3_600) + self.made.elapsed()
    }

    fn place(&self) -> (&'static str, String) {
        ("test", String::new())
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

#[test]
fn a_slot_is_renewed_while_the_reply_is_waited_for() {
    let call = Call::begin(&Arc::default(), Some(Duration::from_millis(1_400)), None);
    let window = Duration::from_millis(100);
    assert_eq!(lease(&[Window { limit: 1, length: window }]), Duration::from_secs(1));
    let log = Log::lend(&call, window, Duration::ZERO, Duration::ZERO);
    assert_eq!(read_from_silence(call, || ()).status(), Status::Deadline);
    // Every 250 ms.
    assert!((3..=5).contains(&log.renewals.load(Ordering::Relaxed)), "{log:?}");
}

#[test]
fn what_a_renewal_takes_is_not_added_to_the_deadline() {
    let began = Instant::now();
    let call = Call::begin(&Arc::default(), Some(Duration::from_secs(2)), None);
    let window = Duration::from_secs(60);
    // Half a second from now it is time.
    let since = lease(&[Window { limit: 1, length: window }]) / 4 - Duration::from_millis(500);
    let log = Log::lend(&call, window, since, Duration::from_secs(1));
    assert_eq!(read_from_silence(call, || ()).status(), Status::Deadline);
    assert_eq!(log.renewals.load(Ordering::Relaxed), 1);
    assert!(began.elapsed() < Duration::from_millis(2_900), "{:?}", began.elapsed());
}
