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
use super::client_certificate::ClientCertificate;
use super::connect::Dialer;
use super::failure::Failure;
use super::proxy::login::{Allowed, Logins};
use super::proxy::{Choice, Proxies};
use super::reply::{MAX_REFUSAL_READ, Reply};
use super::resolve::OnConnect;
use super::socket::{Exchange, Head};
use super::tls::Trust;
use super::trace::Recorder;
use crate::call::Call;
use crate::error::Result;
use crate::http::method::Method;
use crate::log::{self, Level};
use crate::status::Status;
use crate::text::byte_order_mark;
use crate::text::room::make_room;
use crate::text::secret_line::SecretLine;
use crate::text::secret_url::SecretUrl;
use crate::text::url::authority_of;

/// The options that concern connections.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Whether some endpoint is known to use TLS. Then the certificate store is loaded now, else on first use.
    pub secure: bool,
    pub extra_roots: Vec<CertificateDer<'static>>,
    pub certificate: Option<ClientCertificate>,
    pub proxy: Choice,
    pub no_proxy: Option<String>,
    pub proxy_auth: Allowed,
    pub connect_timeout: Duration,
    pub idle_timeout: Duration,
    pub user_agent: String,
}

/// One HTTP request.
pub(crate) struct Outgoing<'a> {
    pub method: Method,
    pub url: &'a str,
    /// Headers without a secret.
    pub headers: &'a [(HeaderName, &'static str)],
    /// A header line with a secret.
    pub secret: Option<&'a SecretLine>,
    pub body: &'a str,
    pub max_reply: usize,
}

/// What is expected of a reply that does not say its length, in bytes.
const UNKNOWN: u64 = 4 * 1024;

/// Sends requests over connections that are kept open between calls.
#[derive(Debug)]
pub(crate) struct Http {
    agent: RwLock<Agent>,
    config: Config,
    dialer: Dialer,
    /// The header lines of every request to the service. `plain_lines` are those of downloads.
    lines: Arc<str>,
    plain_lines: Arc<str>,
    connect_timeout: Duration,
    idle_timeout: Duration,
}

impl Http {
    pub(crate) fn new(settings: Settings) -> Result<Http> {
        // The builder always reads the proxy from the environment. `proxy(None)` discards it.
        let config = Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Our dialer opens the tunnels.
            .proxy(None)
            // The connection adds these lines itself.
            .user_agent(AutoHeaderValue::None)
            .accept(AutoHeaderValue::None)
            .accept_encoding(AutoHeaderValue::None)
            .max_idle_connections(8)
            .max_idle_connections_per_host(8)
            .max_idle_age(Duration::from_secs(30))
            .build();
        let trust = Trust::new(settings.extra_roots, settings.certificate, settings.secure)?;
        let dialer = Dialer {
            tls: Arc::new(trust),
            proxies: Arc::new(Proxies::new(&settings.proxy, settings.no_proxy.as_deref())?),
            logins: Arc::new(Logins::new(settings.proxy_auth)),
            lookups: Arc::default(),
            user_agent: settings.user_agent.as_str().into(),
            recorder: None,
        };
        Ok(Http {
            agent: RwLock::new(Agent::with_parts(config.clone(), dialer.clone(), OnConnect)),
            config,
            dialer,
            // Replies are too small to gain from compression, so none is offered.
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

    /// Drops all connections. After a caught panic their state cannot be trusted.
    pub(crate) fn reset(&self) {
        *self.agent.write() =
            Agent::with_parts(self.config.clone(), self.dialer.clone(), OnConnect);
    }

    /// A dialer with the same trusted certificates that never uses a proxy.
    pub(crate) fn dialer_without_proxy(&self) -> Dialer {
        Dialer { proxies: Arc::new(Proxies::none()), ..self.dialer.clone() }
    }

    /// A client without a proxy, with connections of its own. Opening one takes at most `connect_timeout`.
    pub(crate) fn direct(&self, connect_timeout: Duration) -> Http {
        Http {
            connect_timeout: connect_timeout.min(self.connect_timeout),
            ..self.with(self.dialer_without_proxy())
        }
    }

    /// The same client with connections of its own, and what records how they are opened.
    pub(crate) fn recorded(&self) -> (Http, Arc<Recorder>) {
        let recorder = Arc::new(Recorder::default());
        let dialer = Dialer { recorder: Some(Arc::clone(&recorder)), ..self.dialer.clone() };
        (self.with(dialer), recorder)
    }

    fn with(&self, dialer: Dialer) -> Http {
        Http {
            agent: RwLock::new(Agent::with_parts(self.config.clone(), dialer.clone(), OnConnect)),
            config: self.config.clone(),
            dialer,
            lines: Arc::clone(&self.lines),
            plain_lines: Arc::clone(&self.plain_lines),
            connect_timeout: self.connect_timeout,
            idle_timeout: self.idle_timeout,
        }
    }

    /// Asks this function for proxies, in the place of the system.
    #[cfg(test)]
    pub(crate) fn find_proxies_by(&mut self, find: crate::os::system_proxy::Find) {
        let proxies = Arc::new(Proxies::of_system(find));
        *self = self.with(Dialer { proxies, ..self.dialer.clone() });
    }

    /// How long connecting may take.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// The route to the hosts: see [`Proxies::route`].
    pub(crate) fn route(&self) -> Option<[String; 2]> {
        self.dialer.proxies.route()
    }

    /// The secrets that the proxy was sent.
    pub(crate) fn proxy_secrets(&self) -> Vec<&str> {
        self.dialer.proxies.secrets()
    }

    /// The login of the proxy, which is a secret.
    pub(crate) fn proxy_login(&self) -> Option<&str> {
        self.dialer.proxies.login()
    }

    /// Sends one request and reads the whole reply, whatever its status.
    pub(crate) fn send(
        &self,
        call: &Arc<Call>,
        request: &Outgoing<'_>,
    ) -> std::result::Result<Reply, Failure> {
        let (lines, secret) = (Arc::clone(&self.lines), request.secret.cloned());
        let head = Head { lines, secret, target: None, bulk: false };
        let exchange = Exchange::enter(call, self.connect_timeout, self.idle_timeout, head);
        // A clone shares the connections; the lock is not held while the request is under way.
        let agent = self.agent.read().clone();
        let about = || exchange.about_certificate();
        let recorder = self.dialer.recorder.as_deref();
        let mut reply = exchange_once(&agent, request, recorder).map_err(|failure| {
            let uri = request.url.parse::<http::Uri>().unwrap_or_default();
            let failure = failure.unread(about().is_some()).sent(exchange.was_sent());
            failure.with_host(uri.host().unwrap_or_default()).about_certificate(about())
        })?;
        reply.about_certificate = about().filter(|_| reply.is_about_a_certificate());
        Ok(reply)
    }

    /// Starts a download from any host, without a token. Returns after the head; the caller reads the body.
    /// Adds the requests that it sends to `requests`.
    pub(crate) fn fetch(
        &self,
        call: &Arc<Call>,
        link: &SecretUrl,
        headers: &[(&'static str, String)],
        requests: &mut u32,
    ) -> std::result::Result<Incoming, Failure> {
        let agent = self.agent.read().clone();
        let mut is_first = true;
        loop {
            *requests += 1;
            let began = Instant::now();
            let mut builder = http::Request::get(link.url.clone());
            for (name, value) in headers {
                builder = builder.header(*name, value);
            }
            let unbuildable = |_| Failure::new(Status::Internal, "the request could not be built");
            let request = builder.body(()).map_err(unbuildable)?;
            let (lines, target) = (Arc::clone(&self.plain_lines), Some(link.target()));
            let head = Head { lines, secret: None, target, bulk: true };
            let exchange = Exchange::enter(call, self.connect_timeout, self.idle_timeout, head);
            let failure = match agent.run(request) {
                Ok(response) => return Ok(Incoming::new(response, exchange)),
                Err(error) => Failure::unwrap(error),
            };
            let was_silent = began.elapsed() >= self.idle_timeout;
            // A host may close a keep-alive connection just when it is used again. The request is repeated at
            // once: the host is well, and a new link would cost another call of the quota.
            let has_ended =
                exchange.used_keep_alive_connection() && failure.is_transient() && !was_silent;
            if !(has_ended && is_first) {
                let about = exchange.about_certificate();
                let failure = failure.unread(about.is_some()).sent(exchange.was_sent());
                return Err(failure.with_host(link.host()).about_certificate(about));
            }
            is_first = false;
            log::line(Level::Debug, || {
                "the keep-alive connection was closed: sending the request again".to_owned()
            });
        }
    }
}

/// The type alone, without its parameters, if it is one. It becomes part of messages.
fn media_type(header: String) -> String {
    const LONGEST: usize = 64;
    let kind = header.split(';').next().unwrap_or_default().trim();
    let part_of_type = |b: u8| b.is_ascii_alphanumeric() || b"-+._/*".contains(&b);
    match kind.len() <= LONGEST && kind.contains('/') && kind.bytes().all(part_of_type) {
        true => kind.to_owned(),
        false => "a content type that is none".to_owned(),
    }
}

/// The host of a whole URL. What only continues a URL has none.
fn host_of(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    uri.scheme()?;
    authority_of(&uri)
}

/// The wait as Azure's gateways and storage write it, in seconds.
pub(super) fn in_milliseconds(headers: &http::HeaderMap) -> Option<String> {
    let names = ["retry-after-ms", "x-ms-retry-after-ms"];
    let value = names.iter().find_map(|name| headers.get(*name));
    let milliseconds: u64 = value?.to_str().ok()?.trim().parse().ok()?;
    Some(milliseconds.div_ceil(1_000).to_string())
}

fn exchange_once(
    agent: &Agent,
    request: &Outgoing<'_>,
    recorder: Option<&Recorder>,
) -> std::result::Result<Reply, Failure> {
    let mut builder = http::Request::builder().method(request.method.as_str()).uri(request.url);
    for (name, value) in request.headers {
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
        // `to_str` looks at each byte, which costs more than all else here. Messages clean what they show.
        Some(std::str::from_utf8(value.as_bytes()).ok()?.to_owned())
    };
    let mut reply = Reply {
        status: response.status().as_u16(),
        content_type: header(http::header::CONTENT_TYPE).map(media_type),
        retry_after: match response.status().is_success() {
            true => None,
            false => {
                header(http::header::RETRY_AFTER).or_else(|| in_milliseconds(response.headers()))
            }
        },
        date: header(http::header::DATE),
        redirect: match response.status().is_redirection() {
            false => None,
            true => header(http::header::LOCATION).and_then(|to| host_of(&to)),
        },
        challenge: match response.status().as_u16() {
            401 => header(http::header::WWW_AUTHENTICATE),
            _ => None,
        },
        ..Reply::default()
    };
    if let Some(recorder) = recorder {
        recorder.answered(&reply);
    }
    let is_cut = !response.status().is_success();
    let limit = if is_cut { request.max_reply.min(MAX_REFUSAL_READ) } else { request.max_reply };
    let body = response.into_body();
    let expected = body.content_length().unwrap_or(UNKNOWN).min(64 * 1024);
    // One byte more, so that the buffer does not grow to find the end.
    let mut room = usize::try_from(expected).unwrap_or_default() + 1;
    let mut body = body.into_reader().take(limit as u64 + 1);
    loop {
        make_room(&mut reply.body, room);
        // The head of the reply shows that the request was read.
        let read = body.by_ref().take(room as u64).read_to_end(&mut reply.body);
        if read.map_err(|error| Failure::from_io(error).unread(false))? < room {
            break;
        }
        room = reply.body.len();
    }
    byte_order_mark::remove(&mut reply.body);
    if reply.body.len() > limit && !is_cut {
        return Err(Failure::new(
            Status::Protocol,
            format!("the reply is larger than {limit} bytes, so it is not this service's"),
        ));
    }
    Ok(reply)
}
