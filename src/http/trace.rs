//! What it took to reach a host: addresses, proxy, TLS, the time of each phase, the peer's clock. Only a check of the
//! access records it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::ProtocolVersion;

use super::failure::Failure;
use super::reply::Reply;
use super::way::Way;
use crate::text::redact;

/// Records the connection that a request opens. The last one counts.
#[derive(Default)]
pub(crate) struct Recorder(Mutex<Option<Trace>>);

/// A connection that was opened, or as far as it came.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub host: String,
    pub port: u16,
    pub way: Way,
    pub tried: Vec<Tried>,
    pub tls: Option<&'static str>,
    /// The issuer of the certificate that the server presented, trusted or not.
    pub issuer: Option<String>,
    /// Whether that issuer is why the certificate was refused.
    pub is_issuer_unknown: bool,
    pub answer: Option<Answer>,
    began: Instant,
    looked_up: Option<Instant>,
}

/// An address, and when each phase of its attempt ended.
#[derive(Clone, Debug)]
pub(crate) struct Tried {
    pub address: SocketAddr,
    /// Why the attempt failed.
    pub problem: Option<String>,
    began: Instant,
    connected: Option<Instant>,
    tunnelled: Option<Instant>,
    secured: Option<Instant>,
    usable: Option<Instant>,
}

/// The head of a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    at: Instant,
    pub status: u16,
    /// How far this host's clock is ahead of the peer's, in seconds. `None`: the reply had no `Date`.
    pub clock_ahead: Option<i64>,
}

/// A phase of an attempt.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    Connected,
    Tunnelled,
    Secured(Option<ProtocolVersion>),
    Usable,
}

/// How long each phase lasted. `None`: it did not end, or there was none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Phases {
    pub lookup: Option<Duration>,
    pub connect: Option<Duration>,
    pub tunnel: Option<Duration>,
    pub tls: Option<Duration>,
    /// From the usable connection to the head of the reply.
    pub first_byte: Option<Duration>,
}

/// The most bytes of an issuer's name and of the problem of an address.
const MAX_TEXT: usize = 300;

// A derived one would bring those of all parts along: the HTTP library asks its connector for it.
impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorder")
    }
}

impl Recorder {
    pub(super) fn begin(&self, host: &str, port: u16, way: Way) {
        let mut trace = self.0.lock();
        // The ways that did not work.
        let before = trace
            .take()
            .filter(|old| old.answer.is_none() && (old.host.as_str(), old.port) == (host, port));
        *trace = Some(Trace {
            host: host.to_owned(),
            port,
            way,
            tried: before.map(|old| old.tried).unwrap_or_default(),
            tls: None,
            issuer: None,
            is_issuer_unknown: false,
            answer: None,
            began: Instant::now(),
            looked_up: None,
        });
    }

    fn note(&self, note: impl FnOnce(&mut Trace, Instant)) {
        let now = Instant::now();
        if let Some(trace) = &mut *self.0.lock() {
            note(trace, now);
        }
    }

    fn note_of(&self, address: SocketAddr, note: impl FnOnce(&mut Tried, Instant)) {
        self.note(|trace, now| {
            if let Some(tried) = trace.tried.iter_mut().rfind(|tried| tried.address == address) {
                note(tried, now);
            }
        });
    }

    pub(super) fn looked_up(&self) {
        self.note(|trace, now| trace.looked_up = Some(now));
    }

    /// An attempt begins. It takes the place of one that goes on with it, after the proxy has asked for a login.
    pub(super) fn trying(&self, address: SocketAddr) {
        self.note(|trace, now| {
            trace.tried.retain(|old| old.address != address || old.problem.is_some());
            trace.tried.push(Tried {
                address,
                problem: None,
                began: now,
                connected: None,
                tunnelled: None,
                secured: None,
                usable: None,
            });
        });
    }

    pub(super) fn reached(&self, address: SocketAddr, phase: Phase) {
        if let Phase::Secured(version) = phase {
            self.note(|trace, _| trace.tls = version.and_then(name_of));
        }
        self.note_of(address, |tried, now| {
            let at = match phase {
                Phase::Connected => &mut tried.connected,
                Phase::Tunnelled => &mut tried.tunnelled,
                Phase::Secured(_) => &mut tried.secured,
                Phase::Usable => &mut tried.usable,
            };
            *at = Some(now);
        });
    }

    pub(super) fn failed(&self, address: SocketAddr, why: &Failure) {
        let problem = redact::clean(&why.to_string(), MAX_TEXT);
        self.note_of(address, |tried, _| tried.problem = Some(problem));
    }

    pub(super) fn presented(&self, issuer: &str, is_unknown: bool) {
        let issuer = redact::visible(issuer, MAX_TEXT);
        self.note(|trace, _| (trace.issuer, trace.is_issuer_unknown) = (Some(issuer), is_unknown));
    }

    pub(super) fn answered(&self, reply: &Reply) {
        let (status, clock_ahead) = (reply.status, reply.clock_ahead());
        self.note(|trace, at| trace.answer = Some(Answer { at, status, clock_ahead }));
    }

    /// What was recorded since the last time. `None`: no connection was opened.
    pub(crate) fn take(&self) -> Option<Trace> {
        self.0.lock().take()
    }
}

impl Tried {
    /// How far the attempt came.
    fn progress(&self) -> usize {
        [self.connected, self.tunnelled, self.secured, self.usable].iter().flatten().count()
    }

    pub(crate) fn is_usable(&self) -> bool {
        self.usable.is_some()
    }
}

impl Trace {
    /// The phases of the attempt that came furthest.
    pub(crate) fn phases(&self) -> Phases {
        let since = |from: Option<Instant>, to: Option<Instant>| Some(to?.duration_since(from?));
        let mut phases =
            Phases { lookup: since(Some(self.began), self.looked_up), ..Phases::default() };
        if let Some(tried) = self.tried.iter().max_by_key(|tried| tried.progress()) {
            phases.connect = since(Some(tried.began), tried.connected);
            phases.tunnel = since(tried.connected, tried.tunnelled);
            phases.tls = since(tried.tunnelled.or(tried.connected), tried.secured);
            phases.first_byte = since(tried.usable, self.answer.map(|answer| answer.at));
        }
        phases
    }
}

fn name_of(version: ProtocolVersion) -> Option<&'static str> {
    match version {
        ProtocolVersion::TLSv1_2 => Some("TLS 1.2"),
        ProtocolVersion::TLSv1_3 => Some("TLS 1.3"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 443))
    }

    #[test]
    fn the_phases_are_those_of_the_attempt_that_came_furthest() {
        let recorder = Recorder::default();
        recorder.begin("a.test", 443, Way::default());
        recorder.looked_up();
        recorder.trying(at(1));
        recorder.trying(at(2));
        recorder.reached(at(1), Phase::Connected);
        recorder.failed(at(1), &Failure::new(Status::Connect, "no\u{202e}pe"));
        recorder.reached(at(2), Phase::Connected);
        recorder.reached(at(2), Phase::Secured(Some(ProtocolVersion::TLSv1_3)));
        recorder.reached(at(2), Phase::Usable);
        recorder.answered(&Reply { status: 401, ..Reply::default() });
        let trace = recorder.take().unwrap();
        assert!(recorder.take().is_none());
        let phases = trace.phases();
        assert!(phases.lookup.is_some() && phases.connect.is_some() && phases.tls.is_some());
        assert!(phases.first_byte.is_some() && phases.tunnel.is_none(), "{phases:?}");
        let [one, two] = &trace.tried[..] else { panic!("{trace:?}") };
        assert_eq!((one.problem.as_deref(), one.is_usable()), (Some("nope"), false));
        assert!(two.is_usable() && two.problem.is_none());
        assert_eq!(trace.tls, Some("TLS 1.3"));
        assert_eq!(
            trace.answer.map(|answer| (answer.status, answer.clock_ahead)),
            Some((401, None))
        );
    }

    #[test]
    fn ways_that_did_not_work_are_kept_until_an_answer() {
        let recorder = Recorder::default();
        let shown = || {
            let trace = recorder.0.lock().clone().unwrap();
            let addresses = trace.tried.iter().map(|tried| tried.address.ip().to_string());
            addresses.collect::<Vec<_>>().join(" ")
        };
        for last in [1, 2] {
            recorder.begin("a.test", 443, Way::default());
            recorder.trying(at(last));
            recorder.failed(at(last), &Failure::new(Status::Proxy, "nope"));
        }
        recorder.begin("a.test", 443, Way::default());
        recorder.trying(at(3));
        assert_eq!(shown(), "192.0.2.1 192.0.2.2 192.0.2.3");
        recorder.begin("a.test", 8443, Way::default());
        assert_eq!(shown(), "");
        recorder.trying(at(4));
        recorder.answered(&Reply::default());
        recorder.begin("a.test", 8443, Way::default());
        assert_eq!(shown(), "");
    }

    #[test]
    fn nothing_is_recorded_before_a_connection_is_opened() {
        let recorder = Recorder::default();
        recorder.looked_up();
        recorder.trying(at(1));
        recorder.answered(&Reply::default());
        assert!(recorder.take().is_none());
    }
}
