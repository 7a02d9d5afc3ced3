//! One attempt to open a usable connection: TCP, the tunnel of a proxy, TLS, a first reply. It never waits.

use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustix::event::PollFlags;
use rustls::ClientConnection;
use rustls::client::ClientConfig;

use super::failure::Failure;
use super::proxy::Proxy;
use super::proxy::challenge::Challenge;
use super::socket::{Exchange, Socket};
use super::tls;
use super::trace::{Phase, Recorder};
use super::transport::Stream;
use super::tunnel::{self, Answer, Tunnel};
use crate::os::io_error::reason;
use crate::status::Status;

/// What makes a connection usable.
#[derive(Clone, Copy, Default)]
pub(super) struct Goal<'a> {
    pub host: &'a str,
    pub port: u16,
    pub proxy: Option<&'a Proxy>,
    /// The value of `Proxy-Authorization`.
    pub login: Option<&'a str>,
    /// For the proxy, which may let only known programs through.
    pub user_agent: &'a str,
    pub tls: Option<&'a Arc<ClientConfig>>,
    /// A request that every live peer answers. It is sent where there is no TLS, and its reply is left unread.
    pub probe: &'static [u8],
    pub recorder: Option<&'a Recorder>,
}

impl Goal<'_> {
    /// Notes something for a check of the access.
    pub(super) fn record(&self, note: impl FnOnce(&Recorder)) {
        if let Some(recorder) = self.recorder {
            note(recorder);
        }
    }

    fn reached(&self, address: SocketAddr, phase: Phase) {
        self.record(|recorder| recorder.reached(address, phase));
    }

    /// Makes a failure to reach the proxy one of the proxy.
    pub(super) fn unreachable(&self, failure: Failure) -> Failure {
        let Some(proxy) = self.proxy else { return failure };
        let said = |why: &str, other: &str| {
            let (proxy, setting) = (proxy.authority(), proxy.setting());
            format!("the proxy {proxy} is not reachable: {why}; check {setting} and {other}")
        };
        let failure = failure.relabel(Status::Resolve, Status::Proxy, |why| said(why, "DNS"));
        failure.relabel(Status::Connect, Status::Proxy, |why| said(why, "the firewall"))
    }

    /// The proxy opened no tunnel.
    pub(super) fn refused(&self, what: &str) -> Failure {
        let Goal { host, port, .. } = self;
        let proxy = self.proxy.map(Proxy::authority).unwrap_or_default();
        let message = format!("the proxy {proxy} did not open a tunnel to {host}:{port}: {what}");
        Failure::new(Status::Proxy, message)
    }

    /// No address accepted a connection in time.
    pub(super) fn no_answer(&self) -> Failure {
        let (host, port) = self.proxy.map_or((self.host, self.port), Proxy::address);
        let (limit, advice) = (Exchange::connect_limit(), self.advice("check firewall and proxy"));
        let message = format!("{host}:{port} did not answer in time ({limit}){advice}");
        self.unreachable(Failure::new(Status::Connect, message))
    }

    /// Advice about a peer, unless that is the proxy, which gets its own.
    fn advice(&self, advice: &str) -> String {
        match self.proxy {
            None => format!("; {advice}"),
            Some(_) => String::new(),
        }
    }

    fn through(&self, failure: Failure) -> Failure {
        match self.proxy {
            Some(proxy) => failure.through(&proxy.authority()),
            None => failure,
        }
    }
}

/// A connection that is being opened.
pub(super) struct Attempt {
    address: SocketAddr,
    socket: Socket,
    stage: Stage,
}

/// What makes it usable, once it is reached.
enum Stage {
    Connecting,
    Tunnel(Tunnel),
    /// The proxy asks for a login. The attempt goes on with [`Attempt::with_login`].
    LogIn(Challenge),
    Handshake(Box<ClientConnection>),
    Probe {
        sent: bool,
    },
    /// Nothing more: it is connected.
    Connected,
}

impl Stage {
    fn after_connecting(goal: &Goal<'_>) -> Result<Stage, Failure> {
        match goal.proxy {
            Some(_) => Ok(Stage::Tunnel(Tunnel::to(goal))),
            None => Stage::at_the_host(goal),
        }
    }

    fn at_the_host(goal: &Goal<'_>) -> Result<Stage, Failure> {
        match goal.tls {
            Some(config) => match tls::begin(config, goal.host) {
                Ok(connection) => Ok(Stage::Handshake(Box::new(connection))),
                Err(failure) => Err(goal.through(failure)),
            },
            None if goal.probe.is_empty() => Ok(Stage::Connected),
            None => Ok(Stage::Probe { sent: false }),
        }
    }
}

impl Attempt {
    pub(super) fn begin(address: SocketAddr, goal: &Goal<'_>) -> Result<Attempt, Failure> {
        let socket = Socket::begin(address).map_err(|error| {
            let why = reason(&error);
            let message = format!("cannot open a connection to {address}: {why}");
            goal.unreachable(Failure::new(Status::Connect, message))
        })?;
        Ok(Attempt { address, socket, stage: Stage::Connecting })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn socket(&self) -> &TcpStream {
        self.socket.stream()
    }

    /// What the socket must be ready for.
    pub(super) fn waits_for(&self) -> PollFlags {
        let writes = match &self.stage {
            Stage::Connecting => true,
            Stage::Tunnel(tunnel) => tunnel.wants_write(),
            Stage::Handshake(connection) => connection.wants_write(),
            Stage::Probe { .. } | Stage::Connected | Stage::LogIn(_) => false,
        };
        if writes { PollFlags::OUT } else { PollFlags::IN }
    }

    /// Goes as far as it can without waiting. Returns whether the connection is usable or the proxy asks for a login.
    /// `ready`: polling the socket says that it can go on.
    pub(super) fn advance(&mut self, goal: &Goal<'_>, ready: bool) -> Result<bool, Failure> {
        if let Stage::Connecting = self.stage {
            match self.socket.stream().take_error() {
                Ok(None) if !ready => return Ok(false),
                Ok(None) => {
                    goal.reached(self.address, Phase::Connected);
                    self.stage = Stage::after_connecting(goal)?;
                }
                Ok(Some(error)) | Err(error) => return Err(self.refused(goal, &error)),
            }
        }
        if let (Stage::Tunnel(tunnel), Some(proxy)) = (&mut self.stage, goal.proxy) {
            match tunnel.advance(goal, proxy, &mut self.socket)? {
                Answer::Pending => return Ok(false),
                Answer::Open => {
                    goal.reached(self.address, Phase::Tunnelled);
                    self.stage = Stage::at_the_host(goal)?;
                }
                Answer::LogIn(challenge) => {
                    self.stage = Stage::LogIn(challenge);
                    return Ok(true);
                }
            }
        }
        let is_usable = match &mut self.stage {
            Stage::Handshake(connection) => {
                let advanced = tls::advance(connection, goal.host, &mut self.socket);
                let is_complete = advanced.map_err(|failure| goal.through(failure))?;
                if is_complete {
                    goal.reached(self.address, Phase::Secured(connection.protocol_version()));
                }
                is_complete
            }
            Stage::Probe { sent } => {
                probe(&mut self.socket, sent, goal).map_err(|error| unanswered(goal, error))?
            }
            Stage::Connected => true,
            Stage::Connecting | Stage::Tunnel(_) | Stage::LogIn(_) => false,
        };
        if is_usable {
            self.socket.settle().map_err(|error| self.refused(goal, &error))?;
            goal.reached(self.address, Phase::Usable);
        }
        Ok(is_usable)
    }

    fn refused(&self, goal: &Goal<'_>, error: &io::Error) -> Failure {
        let (address, why) = (self.address, reason(error));
        let advice = goal.advice("check the address, firewall and proxy");
        let message = format!("{address} did not accept: {why}{advice}");
        goal.unreachable(Failure::new(Status::Connect, message))
    }

    /// The failure of a peer that accepted and then said nothing until the time was over. `None`: it did not accept.
    pub(super) fn silence(&self, goal: &Goal<'_>) -> Option<Failure> {
        let late = |advice: &str| {
            let limit = Exchange::connect_limit();
            let message = format!("this took too long ({limit}){advice}");
            io::Error::from(Failure::new(Status::Broken, message))
        };
        const CHECK: &str = "; check firewall and proxy";
        match &self.stage {
            Stage::Tunnel(_) => goal.proxy.map(|proxy| tunnel::failure(proxy, late(""))),
            Stage::Handshake(_) => Some(goal.through(tls::incomplete(goal.host, late(CHECK)))),
            Stage::Probe { .. } => Some(unanswered(goal, late(CHECK))),
            Stage::Connecting | Stage::Connected | Stage::LogIn(_) => None,
        }
    }

    /// What the proxy offers, if it asks for a login.
    pub(super) fn challenge(&self) -> Option<&Challenge> {
        match &self.stage {
            Stage::LogIn(challenge) => Some(challenge),
            _ => None,
        }
    }

    /// Asks the proxy once more, with the login of the goal, on a new connection if it closes this one.
    pub(super) fn with_login(self, goal: &Goal<'_>) -> Result<Attempt, Failure> {
        let is_open = self.challenge().is_some_and(|challenge| challenge.is_open);
        match is_open && self.socket.is_idle_and_open() {
            true => Ok(Attempt { stage: Stage::Tunnel(Tunnel::to(goal)), ..self }),
            false => {
                goal.record(|recorder| recorder.trying(self.address));
                Attempt::begin(self.address, goal)
            }
        }
    }

    /// The usable connection.
    pub(super) fn into_stream(self) -> Stream {
        match self.stage {
            Stage::Handshake(connection) => {
                Stream::Tls(Box::new(tls::stream(*connection, self.socket)))
            }
            _ => Stream::Plain(self.socket),
        }
    }
}

/// Sends the probe. Returns whether its reply has arrived.
fn probe(socket: &mut Socket, sent: &mut bool, goal: &Goal<'_>) -> io::Result<bool> {
    if !*sent {
        socket.write_all(goal.probe)?;
        *sent = true;
    }
    match socket.stream().peek(&mut [0]) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(_) => Ok(true),
        Err(error) if is_pending(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn unanswered(goal: &Goal<'_>, error: io::Error) -> Failure {
    Failure::from_io(error).relabel(Status::Broken, Status::Connect, |why| {
        format!("`{}` did not answer: {why}", goal.host)
    })
}

/// Whether the socket has to be polled again.
pub(super) fn is_pending(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
