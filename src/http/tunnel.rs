//! Opening a tunnel through an HTTP proxy (CONNECT) without waiting, and explaining its refusals.

use std::io::{self, Read, Write};

use zeroize::Zeroizing;

use super::attempt::{Goal, is_pending};
use super::failure::Failure;
use super::proxy::Proxy;
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
}

impl Tunnel {
    pub(super) fn to(goal: &Goal<'_>, proxy: &Proxy) -> Tunnel {
        let Goal { host, port, user_agent, .. } = goal;
        let mut request = Zeroizing::new(format!(
            "CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: {user_agent}\r\n"
        ));
        if let Some(login) = proxy.authorization() {
            request.push_str("Proxy-Authorization: ");
            request.push_str(&login);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        Tunnel { request, sent: 0, head: Vec::new(), interim: MAX_INTERIM }
    }

    /// Whether part of the request is not sent yet.
    pub(super) fn wants_write(&self) -> bool {
        self.sent < self.request.len()
    }

    /// Goes as far as the socket allows. Returns whether the tunnel is open.
    pub(super) fn advance(
        &mut self,
        goal: &Goal<'_>,
        proxy: &Proxy,
        socket: &mut Socket,
    ) -> Result<bool, Failure> {
        match self.exchange(socket) {
            Ok(mut head) => {
                // Before it is shortened: part of a secret would not be recognised.
                proxy.mask(&mut head);
                is_open(&head, goal, proxy).map(|()| true)
            }
            Err(error) if is_pending(&error) => Ok(false),
            Err(error) => Err(failure(proxy, error)),
        }
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
    let refused = |what: &str| {
        let (authority, Goal { host, port, .. }) = (proxy.authority(), goal);
        Failure::new(
            Status::Proxy,
            format!("the proxy {authority} did not open a tunnel to {host}:{port}: {what}"),
        )
    };
    match code(head) {
        Some(200..=299) => Ok(()),
        Some(407) => Err(refused(&login_asked_for(head, proxy)).http(407)),
        Some(code) => {
            let line = head.lines().next().unwrap_or_default();
            let answer = redact::clean(line, 128);
            let advice = match code {
                401 | 403 => "; check the login in `proxy`, and what the proxy allows",
                _ => "",
            };
            Err(refused(&format!("{answer}{advice}")).http(code).transient(code >= 500))
        }
        None => Err(refused("its answer is not HTTP")),
    }
}

/// The status of a reply's head.
fn code(head: &str) -> Option<u16> {
    let line = head.lines().next()?;
    line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.trim().parse().ok()
}

/// What a 407 means: which kinds of login the proxy offers, and what can be done about it.
fn login_asked_for(head: &str, proxy: &Proxy) -> String {
    let mut offered: Vec<String> = Vec::new();
    for line in head.lines().skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.trim().eq_ignore_ascii_case("proxy-authenticate") {
            let kind = value.trim().split([' ', ',']).next().unwrap_or_default();
            let is_word = kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if is_word && !kind.is_empty() && kind.len() <= 20 {
                offered.push(kind.to_owned());
            }
        }
    }
    let basic = offered.iter().any(|kind| kind.eq_ignore_ascii_case("basic"));
    match (offered.is_empty(), basic, proxy.has_login()) {
        (false, false, _) => format!(
            "it asks for a login (407) of the kind {}, and this library knows only Basic; allow these hosts without a \
             login, or let a local proxy sign in",
            offered.join(" or ")
        ),
        (_, _, false) => "it asks for a login (407); put user and password into `proxy`".to_owned(),
        (_, _, true) => {
            "it refuses the login (407); check the login in `proxy`, and what the proxy allows"
                .to_owned()
        }
    }
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
        format!("the proxy {} did not answer the request for a tunnel: {why}", proxy.authority())
    })
}
