//! Opening a tunnel through an HTTP proxy (CONNECT) without waiting, and explaining its refusals.
//!
//! A proxy that asks for a login is no refusal yet: [`super::proxy::login`] has the answer. One that is busy may open the
//! tunnel later, so its refusal is transient, as that of a service would be.

use std::io::{self, Read, Write};
use std::time::Duration;

use zeroize::Zeroizing;

use super::attempt::{Goal, is_pending};
use super::failure::Failure;
use super::proxy::Proxy;
use super::proxy::challenge::{Challenge, values};
use super::reply::Reply;
use super::socket::Socket;
use crate::status::Status;
use crate::text::redact;

const MAX_HEAD: usize = 16 * 1024;

/// The most heads that are read before the one that counts.
const MAX_INTERIM: usize = 8;

/// A tunnel that a proxy is asked for.
pub(super) struct Tunnel {
    request: Zeroizing<String>,
    sent: usize,
    /// What has arrived of the reply's head.
    head: Vec<u8>,
    /// How many interim replies may still come.
    interim: usize,
    /// The proxy asks for a login, and the rest of its reply is being read.
    challenge: Option<Challenge>,
}

/// What the proxy has answered.
pub(super) enum Answer {
    /// Part of the answer has yet to arrive.
    Pending,
    Open,
    LogIn(Challenge),
}

impl Tunnel {
    pub(super) fn to(goal: &Goal<'_>) -> Tunnel {
        let Goal { host, port, user_agent, .. } = goal;
        let mut request = Zeroizing::new(format!(
            "CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: {user_agent}\r\n"
        ));
        if let Some(login) = goal.login {
            // Allocated once: a string that grows leaves copies behind.
            let with_login =
                [request.as_str(), "Proxy-Authorization: ", login, "\r\n\r\n"].concat();
            request = Zeroizing::new(with_login);
        } else {
            request.push_str("\r\n");
        }
        Tunnel { request, sent: 0, head: Vec::new(), interim: MAX_INTERIM, challenge: None }
    }

    /// Whether part of the request is not sent yet.
    pub(super) fn wants_write(&self) -> bool {
        self.sent < self.request.len()
    }

    /// Goes as far as the socket allows.
    pub(super) fn advance(
        &mut self,
        goal: &Goal<'_>,
        proxy: &Proxy,
        socket: &mut Socket,
    ) -> Result<Answer, Failure> {
        if self.challenge.is_none() {
            let mut head = match self.exchange(socket) {
                Ok(head) => head,
                Err(error) if is_pending(&error) => return Ok(Answer::Pending),
                Err(error) => return Err(failure(proxy, error)),
            };
            // Before it is shortened: part of a secret would not be recognised.
            proxy.mask(&mut head);
            if code(&head) != Some(407) {
                return is_open(&head, goal, proxy).map(|()| Answer::Open);
            }
            self.challenge = Some(Challenge::read(&head));
        }
        let Some(mut challenge) = self.challenge.take() else { return Ok(Answer::Pending) };
        match challenge.read_body(socket) {
            Err(error) if is_pending(&error) => {
                self.challenge = Some(challenge);
                return Ok(Answer::Pending);
            }
            Err(_) => challenge.is_open = false,
            Ok(()) => {}
        }
        Ok(Answer::LogIn(challenge))
    }

    /// Sends the request, and reads the head of the reply that is not an interim one (1xx).
    fn exchange(&mut self, socket: &mut Socket) -> io::Result<String> {
        while self.wants_write() {
            let rest = self.request.as_bytes().get(self.sent..).unwrap_or_default();
            self.sent += socket.write(rest)?;
        }
        loop {
            read_head(socket, &mut self.head)?;
            let head = String::from_utf8_lossy(&self.head).into_owned();
            let is_interim = code(&head).is_some_and(|code| (100..200).contains(&code));
            if !is_interim || self.interim == 0 {
                return Ok(head);
            }
            self.interim -= 1;
            self.head.clear();
        }
    }
}

/// Checks the proxy's reply.
fn is_open(head: &str, goal: &Goal<'_>, proxy: &Proxy) -> Result<(), Failure> {
    match code(head) {
        Some(200..=299) => Ok(()),
        Some(code) => {
            let line = head.lines().next().unwrap_or_default();
            let answer = redact::clean(line, 128);
            let was_kept = goal.login.is_none() && proxy.has_login();
            let (setting, place) = (proxy.setting(), proxy.place_of_login());
            let advice = match code {
                401 | 403 if was_kept => format!(
                    "check what the proxy allows; it did not ask for the login in {place}: set `proxy_auth=basic` to send \
                     it at once"
                ),
                401 | 403 if proxy.has_login() => {
                    format!("check the login in {place}, and what the proxy allows")
                }
                401 | 403 => "check what the proxy allows".to_owned(),
                400 | 404 | 405 | 501 => format!(
                    "check host and port in {setting}, where a web server may be in its place, and what the proxy allows"
                ),
                300..=399 => format!("log in at its portal if it has one, and check {setting}"),
                502..=504 => format!("check that the proxy finds and reaches {}", goal.host),
                _ => "see the log of the proxy".to_owned(),
            };
            let is_busy = matches!(code, 408 | 429 | 500..=599);
            let refused = goal.refused(&format!("{answer}; {advice}")).http(code);
            Err(refused.transient(is_busy).after(wait(head).filter(|_| is_busy)))
        }
        None => {
            let what =
                format!("its answer is not HTTP; check host and port in {}", proxy.setting());
            Err(goal.refused(&what))
        }
    }
}

/// How long the proxy asks to wait.
fn wait(head: &str) -> Option<Duration> {
    let value = |name| values(head, name).next().map(str::to_owned);
    let (retry_after, date) = (value("retry-after"), value("date"));
    Reply { retry_after, date, ..Reply::default() }.retry_after()
}

/// The status of a reply's head.
fn code(head: &str) -> Option<u16> {
    let line = head.lines().next()?;
    line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.trim().parse().ok()
}

const HTTP: &[u8] = b"HTTP/";

/// Reads up to and including the empty line: the bytes after it belong to the tunnel. Lines may end without a carriage
/// return. Empties the head if the bytes are no head of a reply.
fn read_head(socket: &mut Socket, head: &mut Vec<u8>) -> io::Result<()> {
    let mut byte = [0u8; 1];
    while !head.ends_with(b"\n\r\n") && !head.ends_with(b"\n\n") {
        if head.len() >= MAX_HEAD || !HTTP.starts_with(head.get(..HTTP.len()).unwrap_or(head)) {
            head.clear();
            break;
        }
        if socket.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&byte);
    }
    Ok(())
}

/// A proxy that is silent or closes the connection is a failure of the proxy, not of the service.
pub(super) fn failure(proxy: &Proxy, error: io::Error) -> Failure {
    let failure = Failure::from_io(error);
    failure.relabel(Status::Broken, Status::Proxy, |why| {
        let (proxy, setting) = (proxy.authority(), proxy.setting());
        format!(
            "the proxy {proxy} did not answer the request for a tunnel: {why}; check host and port in {setting}"
        )
    })
}
