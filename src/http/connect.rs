//! Opening a connection: the proxies, if any, the addresses, the race among them, and the login at the proxy.

use std::sync::Arc;
use std::time::Instant;

use ureq::unversioned::transport::{ConnectionDetails, Connector};

use super::attempt::Goal;
use super::failure::Failure;
use super::proxy::login::Logins;
use super::proxy::{Proxies, Proxy};
use super::race;
use super::resolve::Lookups;
use super::socket::Exchange;
use super::tls::Trust;
use super::trace::Recorder;
use super::transport::{Connection, Stream};
use crate::status::Status;

/// Opens the connections of one client.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    pub tls: Arc<Trust>,
    pub proxies: Arc<Proxies>,
    pub logins: Arc<Logins>,
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
        let tls = match secure {
            false => None,
            true => Some(
                self.tls
                    .config_for(host, port, recorder)
                    .map_err(|error| Failure::new(error.status(), error.message().to_owned()))?,
            ),
        };
        let routes = self.proxies.routes(host, port, limit)?;
        let (tls, user_agent) = (tls.as_ref(), &*self.user_agent);
        let mut ways = routes.list.into_iter();
        let mut failed = Vec::new();
        loop {
            let Some(proxy) = ways.next() else {
                return Err(Failure::new(Status::Internal, "there is no way to the host"));
            };
            // Each way gets its chance, even where the time is short.
            let now = Instant::now();
            let left = limit.saturating_duration_since(now) / (ways.len() as u32 + 1);
            let until = if ways.len() == 0 { limit } else { now + left };
            let through = proxy.as_deref();
            if let Some(recorder) = recorder {
                recorder.begin(host, port, self.proxies.way(host, port, through));
            }
            let recorder = recorder.map(Arc::as_ref);
            let goal =
                Goal { host, port, proxy: through, login: None, user_agent, tls, probe, recorder };
            let failure = match self.reach(&goal, proxy.as_ref(), until) {
                Ok(stream) => return Ok(stream),
                Err(failure) => failure,
            };
            // Another proxy would ask for the same login.
            let may_be_the_way = failure.is_transient() && !failure.is_about_login();
            if may_be_the_way && ways.len() > 0 {
                failed.push(
                    proxy.as_ref().map_or("the host itself".to_owned(), |one| one.authority()),
                );
                // One that answers may serve other hosts well.
                if let Some(proxy) = through.filter(|_| failure.is_of_silent_proxy()) {
                    self.proxies.put_last(proxy);
                }
                continue;
            }
            if may_be_the_way {
                self.proxies.forget(host, port);
            }
            let tried = format!("tried before and not usable: {}", failed.join(", "));
            let tried = Some(tried.as_str()).filter(|_| !failed.is_empty());
            return Err(failure.with_note(routes.note.as_deref()).with_note(tried));
        }
    }

    /// Opens a connection by one of the ways.
    fn reach(
        &self,
        goal: &Goal<'_>,
        proxy: Option<&Arc<Proxy>>,
        limit: Instant,
    ) -> Result<Stream, Failure> {
        let (name, port) = goal.proxy.map_or((goal.host, goal.port), Proxy::address);
        let advice = match goal.proxy {
            Some(_) => "",
            None if self.proxies.is_unset() => {
                "; check the name and DNS, or set `proxy` if connections leave through one"
            }
            None => "; check the name and DNS",
        };
        let addresses = self
            .lookups
            .addresses(name, port, limit, advice)
            .map_err(|failure| goal.unreachable(failure))?;
        goal.record(Recorder::looked_up);
        let (mut login, header) = proxy.and_then(|proxy| self.logins.at_once(proxy)).unzip();
        let first = Goal { login: header.as_ref().map(|header| header.as_str()), ..*goal };
        let mut winner = race::run(&addresses, limit, &first)?;
        if addresses.len() > 1 {
            self.lookups.remember(name, winner.address());
        }
        while let (Some(challenge), Some(proxy)) = (winner.challenge(), proxy) {
            let address = winner.address();
            let noted = |failure| {
                goal.record(|recorder| recorder.failed(address, &failure));
                failure
            };
            let header = self.logins.answer(&mut login, challenge, goal, proxy, limit);
            let header = header.map_err(noted)?;
            let next = Goal { login: Some(header.as_str()), ..*goal };
            let again = winner.with_login(&next).map_err(noted)?;
            winner = race::resume(again, limit, &next)?;
        }
        Ok(winner.into_stream())
    }
}
