//! The HTTP library, set up once per client and used for every request.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use rustls_pki_types::CertificateDer;
use ureq::Agent;
use ureq::config::{AutoHeaderValue, Config};
use ureq::http;
use ureq::http::header::{HeaderName, HeaderValue};

use super::body::Incoming;
use super::connect::Dialer;
use super::failure::Failure;
use super::proxy::{Choice, Proxies};
use super::reply::Reply;
use super::resolve::OnConnect;
use super::socket::{Exchange, Head};
use super::tls::Trust;
use crate::call::Call;
use crate::error::Result;
use crate::http::method::Method;
use crate::log::{self, Level};
use crate::status::Status;
use crate::text::secret_line::SecretLine;

/// What is known before the first connection.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Whether it is known that something is reached over TLS: then a certificate store must be there now, and
    /// else when it turns out.
    pub secure: bool,
    pub extra_roots: Vec<CertificateDer<'static>>,
    pub proxy: Choice,
    pub no_proxy: Option<String>,
    pub connect_timeout: Duration,
    pub idle_timeout: Duration,
    pub user_agent: String,
}

/// One HTTP request.
pub(crate) struct Outgoing<'a> {
    pub method: Method,
    pub url: &'a str,
    /// A header that anybody may see.
    pub header: Option<(HeaderName, &'static str)>,
    /// One that nobody may see.
    pub secret: Option<&'a SecretLine>,
    pub body: &'a str,
    pub max_reply: usize,
}

/// Sends requests over connections that are kept open between calls.
#[derive(Debug)]
pub(crate) struct Http {
    agent: RwLock<Agent>,
    config: Config,
    dialer: Dialer,
    /// The header lines that every request carries, to the service and to others.
    lines: Arc<str>,
    plain_lines: Arc<str>,
    connect_timeout: Duration,
    idle_timeout: Duration,
}

impl Http {
    pub(crate) fn new(settings: Settings) -> Result<Http> {
        // This reads the environment for a proxy and has no form that does not; what it finds is not used.
        let config = Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Tunnels are opened by our dialer.
            .proxy(None)
            // Among the lines that the link adds.
            .user_agent(AutoHeaderValue::None)
            .accept(AutoHeaderValue::None)
            .accept_encoding(AutoHeaderValue::None)
            .max_idle_connections(8)
            .max_idle_connections_per_host(8)
            .max_idle_age(Duration::from_secs(30))
            .build();
        let dialer = Dialer {
            tls: Arc::new(Trust::new(settings.extra_roots, settings.secure)?),
            proxies: Arc::new(Proxies::new(&settings.proxy, settings.no_proxy.as_deref())?),
            lookups: Arc::default(),
        };
        Ok(Http {
            agent: RwLock::new(Agent::with_parts(config.clone(), dialer.clone(), OnConnect)),
            config,
            dialer,
            // The service compresses if it is offered; its replies are too small to gain from it.
            lines: format!(
                "user-agent: {}\r\naccept: application/json\r\naccept-encoding: identity\r\n",
                settings.user_agent
            )
            .into(),
            plain_lines: format!(
                "user-agent: {}\r\naccept: */*\r\naccept-encoding: identity\r\n",
                settings.user_agent
            )
            .into(),
            connect_timeout: settings.connect_timeout,
            idle_timeout: settings.idle_timeout,
        })
    }

    /// Forgets all connections: after a contained defect their state is not to be trusted.
    pub(crate) fn reset(&self) {
        *self.agent.write() =
            Agent::with_parts(self.config.clone(), self.dialer.clone(), OnConnect);
    }

    /// What opens connections to others than the service: with the same trust, and never through an HTTP proxy.
    pub(crate) fn dialer_without_proxy(&self) -> Dialer {
        Dialer { proxies: Arc::default(), ..self.dialer.clone() }
    }

    /// The same without a proxy, with connections of its own, and with at most this much time for each of them.
    pub(crate) fn direct(&self, connect_timeout: Duration) -> Http {
        let dialer = self.dialer_without_proxy();
        Http {
            agent: RwLock::new(Agent::with_parts(self.config.clone(), dialer.clone(), OnConnect)),
            config: self.config.clone(),
            dialer,
            lines: Arc::clone(&self.lines),
            plain_lines: Arc::clone(&self.plain_lines),
            connect_timeout: connect_timeout.min(self.connect_timeout),
            idle_timeout: self.idle_timeout,
        }
    }

    /// How long connecting may take.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// How hosts are reached: see [`Proxies::route`].
    pub(crate) fn route(&self) -> Option<[String; 2]> {
        self.dialer.proxies.route()
    }

    /// The login of the proxy, which nobody may see.
    pub(crate) fn proxy_login(&self) -> Option<&str> {
        self.dialer.proxies.login()
    }

    /// Sends one request and reads the whole reply, whatever its status.
    pub(crate) fn send(
        &self,
        call: &Arc<Call>,
        request: &Outgoing<'_>,
    ) -> std::result::Result<Reply, Failure> {
        let head =
            Head { lines: Arc::clone(&self.lines), secret: request.secret.cloned(), bulk: false };
        let exchange = Exchange::enter(call, self.connect_timeout, self.idle_timeout, head);
        // A clone shares the connections; the lock is not held while the request is under way.
        let agent = self.agent.read().clone();
        exchange_once(&agent, request).map_err(|failure| {
            let uri = request.url.parse::<http::Uri>().unwrap_or_default();
            failure.sent(exchange.was_sent()).with_host(uri.host().unwrap_or_default())
        })
    }

    /// Asks any host for something large, without a token: head now, body as the caller reads it. Counts what it sends.
    pub(crate) fn fetch(
        &self,
        call: &Arc<Call>,
        uri: &http::Uri,
        headers: &[(&'static str, String)],
        requests: &mut u32,
    ) -> std::result::Result<Incoming, Failure> {
        let agent = self.agent.read().clone();
        let mut is_first = true;
        loop {
            *requests += 1;
            let began = Instant::now();
            let mut builder = http::Request::get(uri);
            for (name, value) in headers {
                builder = builder.header(*name, value);
            }
            let unbuildable = |_| Failure::new(Status::Internal, "the request could not be built");
            let request = builder.body(()).map_err(unbuildable)?;
            let head = Head { lines: Arc::clone(&self.plain_lines), secret: None, bulk: true };
            let exchange = Exchange::enter(call, self.connect_timeout, self.idle_timeout, head);
            let failure = match agent.run(request) {
                Ok(response) => return Ok(Incoming::new(response, exchange)),
                Err(error) => Failure::unwrap(error),
            };
            let host = uri.host().unwrap_or_default();
            let was_silent = began.elapsed() >= self.idle_timeout;
            // A host may close a connection it has kept just when it is used again. That says nothing of the host,
            // and to begin again from a link that works once would cost another link.
            let has_ended =
                exchange.used_kept_connection() && failure.is_transient() && !was_silent;
            if !(has_ended && is_first) {
                return Err(failure.sent(exchange.was_sent()).with_host(host));
            }
            is_first = false;
            log::line(Level::Debug, || {
                format!("the kept connection to {host} has ended: once more")
            });
        }
    }
}

fn exchange_once(agent: &Agent, request: &Outgoing<'_>) -> std::result::Result<Reply, Failure> {
    let mut builder = http::Request::builder().method(request.method.as_str()).uri(request.url);
    if let Some((name, value)) = &request.header {
        builder = builder.header(name, HeaderValue::from_static(value));
    }
    let unbuildable = |_| Failure::new(Status::Internal, "the request could not be built");
    let response = match request.method {
        Method::Get => agent.run(builder.body(()).map_err(unbuildable)?),
        Method::Post => agent.run(builder.body(request.body).map_err(unbuildable)?),
    }
    .map_err(Failure::unwrap)?;

    let header = |name| {
        let value = response.headers().get(name)?;
        Some(value.to_str().ok()?.to_owned())
    };
    let mut reply = Reply {
        status: response.status().as_u16(),
        content_type: header(http::header::CONTENT_TYPE),
        retry_after: header(http::header::RETRY_AFTER),
        date: header(http::header::DATE),
        challenge: match response.status().as_u16() {
            401 => header(http::header::WWW_AUTHENTICATE),
            _ => None,
        },
        ..Reply::default()
    };
    let limit = request.max_reply;
    let body = response.into_body();
    let expected = body.content_length().unwrap_or_default().min(64 * 1024);
    // One more, so that the end is seen without growing.
    reply.body.reserve_exact(usize::try_from(expected).unwrap_or_default() + 1);
    let mut body = body.into_reader().take(limit as u64 + 1);
    body.read_to_end(&mut reply.body).map_err(Failure::from_io)?;
    if reply.body.len() > limit {
        return Err(Failure::new(
            Status::Protocol,
            format!("the reply is larger than {limit} bytes, so it is not this service's"),
        ));
    }
    Ok(reply)
}
