//! Opening a connection: resolve, connect, tunnel if there is a proxy, handshake if it is TLS.

use std::sync::Arc;
use std::time::Instant;

use ureq::unversioned::transport::{ConnectionDetails, Connector};

use super::failure::Failure;
use super::proxy::{Proxies, Proxy};
use super::resolve::Lookups;
use super::socket::{Exchange, Socket};
use super::tls::{self, Trust};
use super::transport::{Connection, Stream};
use super::tunnel;
use crate::error::Error;
use crate::status::Status;

/// Opens the connections of one client.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    pub tls: Arc<Trust>,
    pub proxies: Arc<Proxies>,
    pub lookups: Arc<Lookups>,
    /// For proxies, which may let only known programs through.
    pub user_agent: Arc<str>,
}

impl Connector<()> for Dialer {
    type Out = Connection;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Connection>, ureq::Error> {
        let secure = details.needs_tls();
        let host = details.uri.host().unwrap_or_default();
        let port = details.uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = self.open(host, port, secure).map_err(Failure::wrap)?;
        Ok(Some(Connection::new(stream)))
    }
}

impl Dialer {
    pub(crate) fn open(&self, host: &str, port: u16, secure: bool) -> Result<Stream, Failure> {
        Exchange::connecting(|limit| {
            let proxy = self.proxies.for_host(host, port);
            let socket = match proxy {
                None => self.connect(host, port, limit)?,
                Some(proxy) => self.through(proxy, host, port, limit)?,
            };
            Ok(match secure {
                true => {
                    let unusable =
                        |error: Error| Failure::new(error.status(), error.message().to_owned());
                    let tls = self.tls.config().map_err(unusable)?;
                    let stream = tls::handshake(&tls, host, socket);
                    Stream::Tls(Box::new(stream.map_err(|failure| match proxy {
                        Some(proxy) => failure.through(&proxy.authority()),
                        None => failure,
                    })?))
                }
                false => Stream::Plain(socket),
            })
        })
    }

    fn through(
        &self,
        proxy: &Proxy,
        host: &str,
        port: u16,
        limit: Instant,
    ) -> Result<Socket, Failure> {
        let (proxy_host, proxy_port) = proxy.address();
        let unreachable = |why: &str| {
            format!("the proxy {} is not reachable: {why}; check `proxy`", proxy.authority())
        };
        let mut socket = self.connect(proxy_host, proxy_port, limit).map_err(|failure| {
            failure.relabel(Status::Resolve, Status::Proxy, unreachable).relabel(
                Status::Connect,
                Status::Proxy,
                unreachable,
            )
        })?;
        tunnel::open(proxy, &self.user_agent, &mut socket, host, port)?;
        Ok(socket)
    }

    /// Tries each address in turn. Each but the last gets half of the time that is left.
    fn connect(&self, host: &str, port: u16, limit: Instant) -> Result<Socket, Failure> {
        let addresses = self.lookups.addresses(host, port, limit)?;
        let mut last = None;
        let mut left = addresses.len();
        for address in addresses {
            let now = Instant::now();
            let whole = limit.saturating_duration_since(now);
            let share = if left > 1 { whole / 2 } else { whole };
            left -= 1;
            match Socket::connect(address, now + share) {
                Ok(Some(socket)) => return Ok(socket),
                Ok(None) => {}
                Err(failure) if failure.is_transient() => last = Some(failure),
                Err(failure) => return Err(failure),
            }
        }
        Err(last.unwrap_or_else(|| {
            Failure::new(
                Status::Connect,
                format!("{host}:{port} did not answer within `connect_timeout_ms`; check firewall and proxy"),
            )
        }))
    }
}
