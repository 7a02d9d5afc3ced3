//! Addresses of every kind, on loopback: those that lead nowhere, refuse, accept and say nothing, and answer.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
use rustls::client::ClientConfig;

use super::*;
use crate::call::{Call, Cancel};
use crate::error::Error;
use crate::http::proxy::Proxy;
use crate::http::socket::{Exchange, Head};
use crate::status::Status;

/// Far above what an attempt here takes, far below any time limit here.
const SOON: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(20);

/// The probe of these tests.
const PING: &[u8] = b"ping";

/// A listener whose queue is full. It does not answer further requests to connect.
struct Nowhere {
    listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Nowhere {
    fn new() -> Nowhere {
        let listener = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&listener, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        listen(&listener, 0).unwrap();
        let listener = TcpListener::from(listener);
        let mut queue = Vec::new();
        let wait = Duration::from_millis(50);
        while let Ok(one) = TcpStream::connect_timeout(&listener.local_addr().unwrap(), wait) {
            queue.push(one);
        }
        Nowhere { listener, _queue: queue }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}

fn refusing() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Accepts connections in its queue, and says nothing.
struct Silent(TcpListener);

impl Silent {
    fn new() -> Silent {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Silent(listener)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// How many connections came. All of them must be closed by now.
    fn closed(&self) -> usize {
        let mut count = 0;
        while let Ok((mut peer, _)) = self.0.accept() {
            peer.set_nonblocking(false).unwrap();
            peer.set_read_timeout(Some(SOON)).unwrap();
            // An orderly end or a reset, but no silence.
            let mut received = Vec::new();
            let ended = peer.read_to_end(&mut received);
            let is_silent = |error: &io::Error| {
                matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
            };
            assert!(!ended.is_err_and(|error| is_silent(&error)), "it is still open");
            count += 1;
        }
        count
    }
}

/// Answers the first bytes after a while, and keeps the connection open.
fn answering(after: Duration, reply: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut peer in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut received = [0; 512];
                if peer.read(&mut received).is_ok_and(|amount| amount > 0) {
                    thread::sleep(after);
                    let _ = peer.write_all(reply);
                    let _ = peer.read_to_end(&mut Vec::new());
                }
                let _ = peer.shutdown(Shutdown::Both);
            });
        }
    });
    address
}

fn goal() -> Goal<'static> {
    Goal { host: "name.test", port: 443, ..Goal::default() }
}

/// The address that wins.
fn winner(call: Call, addresses: &[SocketAddr], goal: &Goal<'_>) -> Result<SocketAddr, Error> {
    let head = Head { lines: "".into(), secret: None, target: None, bulk: false };
    let _exchange = Exchange::enter(&Arc::new(call), LIMIT, LIMIT, head);
    let limit = Exchange::connecting().unwrap();
    let winner = run(addresses, limit, goal).map(|attempt| attempt.address());
    winner.map_err(Error::from)
}

fn unhurried() -> Call {
    Call::begin(&Arc::default(), None, None)
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn families_alternate_and_the_first_one_begins() {
    let v6 = |n: u16| at(&format!("[2001:db8::{n}]:1"));
    let v4 = |n: u16| at(&format!("192.0.2.{n}:1"));
    assert_eq!(order(vec![v6(1), v6(2), v6(3), v4(1), v4(2)]), [v6(1), v4(1), v6(2), v4(2), v6(3)]);
    assert_eq!(order(vec![v4(1), v6(1), v6(2)]), [v4(1), v6(1), v6(2)]);
    assert_eq!(order(vec![v4(2), v4(1)]), [v4(2), v4(1)]);
    assert_eq!(order(Vec::new()), []);
    let many: Vec<_> = (0..100).map(v6).chain((0..100).map(v4)).collect();
    assert_eq!(order(many)[..3], [v6(0), v4(0), v6(1)]);
}

#[test]
fn an_address_that_leads_nowhere_costs_one_pause() {
    let nowhere = [Nowhere::new(), Nowhere::new()];
    let live = Silent::new();
    let addresses = [nowhere[0].address(), nowhere[1].address(), live.address()];
    let began = Instant::now();
    assert_eq!(winner(unhurried(), &addresses, &goal()).unwrap(), live.address());
    assert!(began.elapsed() >= 2 * DELAY, "{:?}", began.elapsed());
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn an_address_that_refuses_costs_nothing() {
    let live = Silent::new();
    let mut addresses: Vec<_> = (0..20).map(|_| refusing()).collect();
    addresses.push(live.address());
    let began = Instant::now();
    assert_eq!(winner(unhurried(), &addresses, &goal()).unwrap(), live.address());
    assert!(began.elapsed() < 20 * DELAY, "{:?}", began.elapsed());
}

#[test]
fn an_address_that_accepts_and_says_nothing_loses_and_is_closed() {
    let silent = [Silent::new(), Silent::new(), Silent::new()];
    let late = Silent::new();
    let live = answering(Duration::ZERO, b"pong");
    let addresses: Vec<_> =
        silent.iter().map(Silent::address).chain([live, late.address()]).collect();
    let goal = Goal { probe: PING, ..goal() };
    assert_eq!(winner(unhurried(), &addresses, &goal).unwrap(), live);
    assert_eq!(silent.map(|silent| silent.closed()), [1, 1, 1]);
    assert_eq!(late.closed(), 0, "it was not needed");
}

#[test]
fn a_slow_address_may_still_win() {
    let slow = answering(3 * DELAY, b"pong");
    let (nowhere, silent) = (Nowhere::new(), Silent::new());
    let goal = Goal { probe: PING, ..goal() };
    let addresses = [slow, nowhere.address(), silent.address()];
    assert_eq!(winner(unhurried(), &addresses, &goal).unwrap(), slow);
    assert_eq!(silent.closed(), 1);
}

#[test]
fn an_address_that_hangs_up_is_passed_over_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let rude = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().for_each(drop));
    let live = answering(Duration::ZERO, b"pong");
    let goal = Goal { probe: PING, ..goal() };
    assert_eq!(winner(unhurried(), &[rude, rude, live], &goal).unwrap(), live);
    let error = winner(unhurried(), &[rude, rude], &goal).unwrap_err();
    assert_eq!(error.status(), Status::Connect);
    assert!(error.message().starts_with("`name.test` did not answer: "), "{}", error.message());
}

#[test]
fn a_definite_refusal_ends_the_race() {
    let proxy = Proxy::parse("http://proxy.test").unwrap();
    let goal = Goal { proxy: Some(&proxy), ..goal() };
    let other = Silent::new();
    let strict = answering(Duration::ZERO, b"HTTP/1.1 403 No\r\n\r\n");
    let error = winner(unhurried(), &[strict, other.address()], &goal).unwrap_err();
    assert_eq!((error.status(), error.http_status()), (Status::Proxy, Some(403)));
    // One that asks for a login is asked again, and not at another address.
    let login = answering(Duration::ZERO, b"HTTP/1.1 407 Who are you\r\n\r\n");
    assert_eq!(winner(unhurried(), &[login, other.address()], &goal).unwrap(), login);
    assert_eq!(other.closed(), 0);
    // A proxy that is overloaded is another matter.
    let busy = answering(Duration::ZERO, b"HTTP/1.1 503 Busy\r\n\r\n");
    let open = answering(Duration::ZERO, b"HTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(winner(unhurried(), &[busy, open], &goal).unwrap(), open);
    let error = winner(unhurried(), &[busy, busy], &goal).unwrap_err();
    assert_eq!((error.status(), error.http_status()), (Status::Proxy, Some(503)));
}

fn tls() -> Arc<ClientConfig> {
    let provider = Arc::new(crate::http::crypto::provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
    Arc::new(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

/// Runs `test` with the goals whose last phase each waits for another thing, and the words for its silence.
fn in_each_phase(test: impl Fn(&[SocketAddr], &Goal<'_>, &str)) {
    let (nowhere, silent) = ([Nowhere::new(), Nowhere::new()], [Silent::new(), Silent::new()]);
    let proxy = Proxy::parse("http://proxy.test").unwrap();
    let tls = tls();
    let dead = nowhere.map(|one| (one.address(), one));
    let quiet = [silent[0].address(), silent[1].address()];
    const CHECK: &str = "; check firewall and proxy";
    let late = "this took too long (100 ms, at most `connect_timeout_ms`)";
    test(
        &[dead[0].0, dead[1].0],
        &goal(),
        "name.test:443 did not answer in time (100 ms, at most `connect_timeout_ms`); check firewall and proxy",
    );
    let proxied = Goal { proxy: Some(&proxy), ..goal() };
    test(
        &[dead[0].0, dead[1].0],
        &proxied,
        "the proxy proxy.test:3128 is not reachable: proxy.test:3128 did not answer",
    );
    test(
        &quiet,
        &proxied,
        &format!("the proxy proxy.test:3128 did not answer the request for a tunnel: {late}"),
    );
    let secure = Goal { tls: Some(&tls), ..goal() };
    let incomplete = format!("`name.test` did not complete the TLS handshake: {late}{CHECK}");
    test(&quiet, &secure, &incomplete);
    test(&[dead[0].0, quiet[0]], &secure, &incomplete);
    let open = [answering(Duration::ZERO, b"HTTP/1.1 200 OK\r\n\r\n")];
    let tunnelled = Goal { proxy: Some(&proxy), ..secure };
    test(&open, &tunnelled, &format!("{incomplete} (through the proxy proxy.test:3128)"));
    test(
        &quiet,
        &Goal { probe: PING, ..goal() },
        &format!("`name.test` did not answer: {late}{CHECK}"),
    );
    // What had begun was closed. Where the time is short the second one is not reached.
    assert!(silent[0].closed() > 0);
    silent[1].closed();
}

#[test]
fn the_time_limit_ends_every_phase() {
    in_each_phase(|addresses, goal, words| {
        let limit = Duration::from_millis(100);
        let head = Head { lines: "".into(), secret: None, target: None, bulk: false };
        let _exchange = Exchange::enter(&Arc::new(unhurried()), limit, LIMIT, head);
        let ended = run(addresses, Exchange::connecting().unwrap(), goal).map(|_| ());
        let error = Error::from(ended.unwrap_err());
        assert!(error.message().contains(words), "no `{words}` in: {}", error.message());
        assert!(error.is_retryable(), "{}", error.message());
    });
}

#[test]
fn the_deadline_ends_every_phase() {
    in_each_phase(|addresses, goal, words| {
        let call = Call::begin(&Arc::default(), Some(Duration::from_millis(100)), None);
        let began = Instant::now();
        let error = winner(call, addresses, goal).unwrap_err();
        assert_eq!(error.status(), Status::Deadline, "{words}");
        assert!(began.elapsed() < SOON, "{words}");
    });
}

#[test]
fn cancelling_ends_every_phase() {
    in_each_phase(|addresses, goal, words| {
        let cancel = Cancel::new(None);
        let call = Call::begin(&Arc::default(), None, Some(&cancel));
        let trigger = thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            cancel.trigger();
        });
        let began = Instant::now();
        let error = winner(call, addresses, goal).unwrap_err();
        assert_eq!(error.status(), Status::Cancelled, "{words}");
        assert!(began.elapsed() < SOON, "{words}");
        trigger.join().unwrap();
    });
}

#[test]
fn every_address_gets_its_chance_where_the_time_is_short() {
    let nowhere: Vec<_> = (0..8).map(|_| Nowhere::new()).collect();
    let live = Silent::new();
    let addresses: Vec<_> = nowhere.iter().map(Nowhere::address).chain([live.address()]).collect();
    let head = Head { lines: "".into(), secret: None, target: None, bulk: false };
    // Less than eight usual pauses.
    let limit = Duration::from_millis(1_500);
    let _exchange = Exchange::enter(&Arc::new(unhurried()), limit, LIMIT, head);
    let winner = run(&addresses, Exchange::connecting().unwrap(), &goal()).unwrap();
    assert_eq!(winner.address(), live.address());
}
