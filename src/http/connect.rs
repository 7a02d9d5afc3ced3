//! Opening a connection: the proxy, if any, the addresses, and the race among them.

use std::sync::Arc;

use ureq::unversioned::transport::{ConnectionDetails, Connector};

use super::attempt::Goal;
use super::failure::Failure;
use super::proxy::{Proxies, Proxy};
use super::race;
use super::resolve::Lookups;
use super::socket::Exchange;
use super::tls::Trust;
use super::trace::Recorder;
use super::transport::{Connection, Stream};

/// Opens the connections of one client.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    pub tls: Arc<Trust>,
    pub proxies: Arc<Proxies>,
    pub lookups: Arc<Lookups>,
    /// For proxies, which may let only known programs through.
    pub user_agent: Arc<str>,
    /// Records how connections are opened, for a check of the access.
    pub recorder: Option<Arc<Recorder>>,
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
        let stream = self.open(host, port, secure, b"").map_err(Failure::wrap)?;
        Ok(Some(Connection::new(stream)))
    }
}

impl Dialer {
    /// Opens a connection that is usable: see [`race`]. Without TLS that takes a reply to `probe`, if there is one. The
    /// reply is then the first thing to read.
    pub(crate) fn open(
        &self,
        host: &str,
        port: u16,
        secure: bool,
        probe: &'static [u8],
    ) -> Result<Stream, Failure> {
        let limit = Exchange::connecting()?;
        let recorder = self.recorder.as_ref();
        if let Some(recorder) = recorder {
            recorder.begin(host, port, self.proxies.way(host, port));
        }
        let tls = match secure {
            false => None,
            true => Some(
                self.tls
                    .config_for(host, port, recorder)
                    .map_err(|error| Failure::new(error.status(), error.message().to_owned()))?,
            ),
        };
        let proxy = self.proxies.for_host(host, port);
        let (tls, user_agent) = (tls.as_ref(), &*self.user_agent);
        let recorder = self.recorder.as_deref();
        let goal = Goal { host, port, proxy, user_agent, tls, probe, recorder };
        let (name, port) = proxy.map_or((host, port), Proxy::address);
        let addresses = self
            .lookups
            .addresses(name, port, limit)
            .map_err(|failure| goal.unreachable(failure))?;
        if let Some(recorder) = recorder {
            recorder.looked_up();
        }
        let winner = race::run(&addresses, limit, &goal)?;
        if addresses.len() > 1 {
            self.lookups.remember(name, winner.address());
        }
        Ok(winner.into_stream())
    }
}
