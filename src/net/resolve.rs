//! Names to addresses, without blocking longer than the call may.
//!
//! The system's resolver cannot be interrupted. So a lookup runs on a thread of its own, which is
//! abandoned when the call is stopped first; literal addresses need none, and a connection that is
//! kept open needs no lookup at all.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Instant;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::failure::Failure;
use super::socket::wait_for;
use crate::Status;

/// Tells the HTTP library nothing: the connector resolves, and only when it has to connect.
#[derive(Debug)]
pub(crate) struct OnConnect;

impl Resolver for OnConnect {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}

/// The addresses of a host, in the system's order.
pub(crate) fn lookup(host: &str, port: u16, limit: Instant) -> Result<Vec<SocketAddr>, Failure> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let failed = |why: &str| {
        Failure::new(Status::Resolve, format!("the name `{host}` could not be resolved: {why}"))
    };
    let (sender, answer) = channel();
    let name = bare.to_owned();
    std::thread::Builder::new()
        .name("mde-resolve".to_owned())
        .spawn(move || {
            let addresses = (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
            // Nobody listens any more when the call was stopped first.
            let _ = sender.send(addresses);
        })
        .map_err(|_| failed("the system started no thread for the lookup"))?;
    let answered = wait_for(limit, |slice| match answer.recv_timeout(slice) {
        Ok(addresses) => Ok(Some(addresses)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => Ok(Some(Err(std::io::ErrorKind::Other.into()))),
    })?;
    match answered {
        None => Err(failed("no answer within `connect_timeout_ms`")),
        Some(Err(error)) => Err(failed(&error.kind().to_string())),
        Some(Ok(addresses)) if Vec::<SocketAddr>::is_empty(&addresses) => {
            Err(failed("it has no address"))
        }
        Some(Ok(addresses)) => Ok(addresses),
    }
}
