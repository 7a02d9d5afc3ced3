//! Opening a tunnel through an HTTP proxy (CONNECT), and explaining its refusals.

use std::io::{Read, Write};

use zeroize::Zeroizing;

use super::failure::Failure;
use super::proxy::Proxy;
use super::socket::Socket;
use crate::status::Status;
use crate::text::redact;

const MAX_HEAD: usize = 16 * 1024;

/// Opens a tunnel to `host:port` on a connection to `proxy`.
pub(crate) fn open(
    proxy: &Proxy,
    socket: &mut Socket,
    host: &str,
    port: u16,
) -> Result<(), Failure> {
    let mut head =
        Zeroizing::new(format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n"));
    if let Some(login) = proxy.authorization() {
        head.push_str("Proxy-Authorization: ");
        head.push_str(&login);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    socket.write_all(head.as_bytes()).map_err(|error| proxy_failure(proxy, error))?;
    let reply = read_head(socket).map_err(|error| proxy_failure(proxy, error))?;
    let line = reply.split("\r\n").next().unwrap_or_default();
    let code: Option<u16> = line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|code| code.parse().ok());
    let refused = |what: &str| {
        Failure::new(
            Status::Proxy,
            format!(
                "the proxy {} did not open a tunnel to {host}:{port}: {what}",
                proxy.authority()
            ),
        )
    };
    match code {
        Some(200..=299) => Ok(()),
        Some(code) => {
            let answer = match code {
                407 => "it asks for a login (407)".to_owned(),
                _ => redact::clean(line, 128),
            };
            let advice = match (code, proxy.authorization()) {
                (407, None) => "; put user and password into `proxy`",
                (401 | 403 | 407, _) => "; check the login in `proxy`, and what the proxy allows",
                _ => "",
            };
            Err(refused(&format!("{answer}{advice}")).http(code).transient(code >= 500))
        }
        None => Err(refused("its answer is not HTTP")),
    }
}

const HTTP: &[u8] = b"HTTP/";

/// Reads up to and including the empty line: the bytes after it belong to the tunnel. Returns an empty text if the
/// bytes are no head of a reply.
fn read_head(socket: &mut Socket) -> std::io::Result<String> {
    let mut head = Vec::with_capacity(256);
    let mut byte = [0u8; 1];
    while !head.ends_with(b"\r\n\r\n") {
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
