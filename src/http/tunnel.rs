//! Opening a tunnel through an HTTP proxy (CONNECT), and explaining its refusals.

use std::io::{Read, Write};

use zeroize::Zeroizing;

use super::failure::Failure;
use super::proxy::Proxy;
use super::socket::Socket;
use crate::status::Status;
use crate::text::redact;

const MAX_HEAD: usize = 16 * 1024;

/// The most heads that are read before the one that counts.
const MAX_INTERIM: usize = 8;

/// Opens a tunnel to `host:port` on a connection to `proxy`.
pub(crate) fn open(
    proxy: &Proxy,
    user_agent: &str,
    socket: &mut Socket,
    host: &str,
    port: u16,
) -> Result<(), Failure> {
    let mut request = Zeroizing::new(format!(
        "CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: {user_agent}\r\n"
    ));
    if let Some(login) = proxy.authorization() {
        request.push_str("Proxy-Authorization: ");
        request.push_str(&login);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    socket.write_all(request.as_bytes()).map_err(|error| proxy_failure(proxy, error))?;
    let reply = final_head(socket).map_err(|error| proxy_failure(proxy, error))?;
    let refused = |what: &str| {
        Failure::new(
            Status::Proxy,
            format!(
                "the proxy {} did not open a tunnel to {host}:{port}: {what}",
                proxy.authority()
            ),
        )
    };
    match code(&reply) {
        Some(200..=299) => Ok(()),
        Some(407) => Err(refused(&login_asked_for(&reply, proxy)).http(407)),
        Some(code) => {
            let line = reply.lines().next().unwrap_or_default();
            let mut answer = redact::clean(line, 128);
            proxy.mask(&mut answer);
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

/// The head of the reply that is not an interim one (1xx).
fn final_head(socket: &mut Socket) -> std::io::Result<String> {
    let mut head = read_head(socket)?;
    for _ in 0..MAX_INTERIM {
        if !code(&head).is_some_and(|code| (100..200).contains(&code)) {
            break;
        }
        head = read_head(socket)?;
    }
    Ok(head)
}

/// Reads up to and including the empty line: the bytes after it belong to the tunnel. Lines may end without a carriage
/// return. Returns an empty text if the bytes are no head of a reply.
fn read_head(socket: &mut Socket) -> std::io::Result<String> {
    let mut head = Vec::with_capacity(256);
    let mut byte = [0u8; 1];
    while !head.ends_with(b"\n\r\n") && !head.ends_with(b"\n\n") {
        if head.len() >= MAX_HEAD || !HTTP.starts_with(head.get(..HTTP.len()).unwrap_or(&head)) {
            head.clear();
            break;
        }
        if socket.read(&mut byte)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// A proxy that is silent or closes the connection is a failure of the proxy, not of the service.
fn proxy_failure(proxy: &Proxy, error: std::io::Error) -> Failure {
    let failure = Failure::from_io(error);
    failure.relabel(Status::Broken, Status::Proxy, |why| {
        format!("the proxy {} did not answer the request for a tunnel: {why}", proxy.authority())
    })
}
