//! Managed identities: Azure assigned an identity to this machine, app or server, and a local endpoint issues its
//! tokens.
//!
//! The environment selects the endpoint, as in Microsoft's own libraries: a platform that names its endpoint
//! ([`platform`]), a server that Azure Arc manages ([`arc`]), else a virtual machine ([`imds`]). Requests never use a
//! proxy, and go over plain HTTP only to addresses of this machine, its own network segment, or the platform.

mod arc;
mod imds;
mod platform;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::http::Uri;
use ureq::http::header::{CONTENT_TYPE, HeaderName};

use super::identity::Identity;
use super::{Token, attempts, grant, refusal};
use crate::call::Call;
use crate::error::{Error, Result};
use crate::http::client::{Http, Outgoing};
use crate::http::failure::Failure;
use crate::http::method::Method;
use crate::http::reply::Reply;
use crate::http::retry::{self, Next};
use crate::log::{self, Level};
use crate::os::environment::variable;
use crate::status::Status;
use crate::text::escape::escape;
use crate::text::guid::is_guid;
use crate::text::redact;
use crate::text::secret_line::SecretLine;
use crate::text::url::{is_loopback, without_brackets};

/// One of the machine's identities: option `managed_identity`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The machine's own.
    System,
    /// User-assigned ones.
    ClientId(String),
    ObjectId(String),
    ResourceId(String),
}

/// What option `managed_identity` accepts, for messages.
pub(crate) const ACCEPTED: &str =
    "system, client_id:GUID, object_id:GUID, or resource_id:/subscriptions/…";

/// What every resource id begins with.
const RESOURCES: &str = "/subscriptions/";

impl Which {
    pub(crate) fn parse(text: &str) -> std::result::Result<Which, String> {
        if text == "system" {
            return Ok(Which::System);
        }
        let unknown = || "names no identity".to_owned();
        let (kind, id) = text.split_once(':').ok_or_else(unknown)?;
        if id.is_empty() || id.len() > 1_024 || !id.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("has an id that is empty, too long, or has other characters".to_owned());
        }
        let make = match kind {
            "client_id" => Which::ClientId,
            "object_id" => Which::ObjectId,
            "resource_id" => {
                let start = id.get(..RESOURCES.len()).unwrap_or_default();
                return match start.eq_ignore_ascii_case(RESOURCES) {
                    true => Ok(Which::ResourceId(id.to_owned())),
                    false => Err(format!("has a resource id that does not begin with {RESOURCES}")),
                };
            }
            _ => return Err(unknown()),
        };
        match is_guid(id) {
            true => Ok(make(id.to_owned())),
            false => Err("has an id that is no GUID".to_owned()),
        }
    }

    fn id(&self) -> &str {
        match self {
            Which::System => "",
            Which::ClientId(id) | Which::ObjectId(id) | Which::ResourceId(id) => id,
        }
    }
}

/// The kind of endpoint, which determines its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Imds,
    AppService,
    /// App Service's protocol of 2017, which Azure Machine Learning has too.
    OldAppService,
    /// Windows containers of Azure Container Instances.
    Container,
    CloudShell,
    Arc,
}

/// A managed identity.
#[derive(Debug)]
pub(crate) struct Managed {
    kind: Kind,
    /// The whole URL, with its query.
    url: String,
    /// Cloud Shell alone takes a form.
    form: String,
    /// Host and port, for messages.
    authority: String,
    secret: Option<SecretLine>,
    /// The folder of the keys of Azure Arc's agent.
    folder: Option<PathBuf>,
}

/// How long opening a connection may take. Outside of Azure no host answers at these addresses.
const CONNECT: Duration = Duration::from_secs(2);

/// The documented pauses before the retries, in seconds. The last one is for all later retries.
const PAUSES: [u64; 5] = [0, 2, 6, 14, 30];

/// The longest pause after a refused or lost connection: a local endpoint is soon back, or does not exist.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long an update of the endpoint, which a 410 reports, may take.
const UPDATE: Duration = Duration::from_secs(70);

impl Managed {
    /// Finds the endpoint in the environment. Its requests name `scope` as a resource.
    pub(crate) fn find(which: &Which, scope: &str) -> Result<Managed> {
        let resource = scope.strip_suffix("/.default").unwrap_or(scope);
        let endpoint = variable("IDENTITY_ENDPOINT")?;
        let header = variable("IDENTITY_HEADER")?;
        let old = variable("MSI_ENDPOINT")?;
        let (kind, name, address, secret) = match (endpoint, header, old) {
            (Some(endpoint), Some(secret), _) => {
                if variable("IDENTITY_SERVER_THUMBPRINT")?.is_some() {
                    let message = "managed identities of Service Fabric are not supported; use a certificate or \
                        a token provider";
                    return Err(Error::new(Status::Config, message));
                }
                let kind = match endpoint.contains('?') {
                    true => Kind::Container,
                    false => Kind::AppService,
                };
                (kind, "IDENTITY_ENDPOINT", endpoint, Some(secret))
            }
            (Some(endpoint), None, _) => (Kind::Arc, "IDENTITY_ENDPOINT", endpoint, None),
            (None, _, Some(endpoint)) => match variable("MSI_SECRET")? {
                Some(secret) => (Kind::OldAppService, "MSI_ENDPOINT", endpoint, Some(secret)),
                None => (Kind::CloudShell, "MSI_ENDPOINT", endpoint, None),
            },
            (None, _, None) if arc::is_installed() => {
                (Kind::Arc, "IDENTITY_ENDPOINT", arc::ENDPOINT.to_owned(), None)
            }
            (None, _, None) => {
                let name = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
                let host = variable(name)?.unwrap_or_else(|| imds::HOST.to_owned());
                let host = host.trim_end_matches('/');
                (Kind::Imds, name, format!("{host}{}", imds::PATH), None)
            }
        };
        let authority = check(kind, &address).map_err(|problem| {
            let message = format!(
                "the environment variable {name} {problem}; managed identities expect http:// with a loopback or \
                 link-local address, or a private one together with IDENTITY_HEADER or MSI_SECRET"
            );
            Error::new(Status::Config, message)
        })?;
        let resource = escape(resource);
        let query = match kind {
            Kind::Imds => imds::query(which),
            Kind::AppService => platform::app_service(which),
            Kind::OldAppService => platform::old_app_service(which),
            Kind::Container => platform::container(which),
            Kind::CloudShell => platform::cloud_shell(which),
            Kind::Arc => arc::query(which),
        }?;
        let secret = match secret {
            Some(secret) => Some(platform::line(kind, secret)?),
            None => None,
        };
        let (url, form) = match kind {
            Kind::CloudShell => (address, format!("resource={resource}")),
            // Its own query has the version.
            Kind::Container => (format!("{address}&resource={resource}{query}"), String::new()),
            _ => (format!("{address}?resource={resource}{query}"), String::new()),
        };
        Ok(Managed { kind, url, form, authority, secret, folder: arc::folder() })
    }

    pub(super) fn secret(&self) -> Option<&str> {
        let line = self.secret.as_ref()?;
        Some(line.value(platform::header(self.kind), ""))
    }

    /// Adds everything that clients must have in common to share a token.
    pub(crate) fn identify(&self, identity: &mut Identity) {
        identity.part(&self.url).part(&self.form).secret(self.secret().unwrap_or_default());
    }

    pub(super) fn fetch(&self, http: &Http, call: &Arc<Call>, retries: u32) -> Result<Token> {
        // Connections are not kept: there is about one request an hour.
        let http = http.direct(CONNECT);
        let updated_by = Instant::now() + UPDATE;
        let mut updates = 0;
        attempts::retried(call, |attempt| {
            // Waiting for an update does not use up the retries of other refusals.
            let others = attempt - updates;
            let mut reply = self.ask(&http, call, others, retries)?;
            log::line(Level::Debug, || {
                format!(
                    "request for a managed identity's token: HTTP {} (attempt {attempt})",
                    reply.status
                )
            });
            self.read(&mut reply).map_err(|error| {
                let of_its_kind = match reply.status {
                    410 => {
                        updates += 1;
                        updates
                    }
                    _ => others,
                };
                let wait = error.retry_after();
                let next = next(reply.status, of_its_kind, retries, wait, updated_by);
                (error, next)
            })
        })
    }

    /// One attempt. An error carries what follows.
    fn ask(
        &self,
        http: &Http,
        call: &Arc<Call>,
        attempt: u32,
        retries: u32,
    ) -> std::result::Result<Reply, (Error, Next)> {
        let send = |secret| {
            let began = Instant::now();
            self.send(http, call, secret).map_err(|failure| {
                let next = retry::after_failure(&failure, true, attempt, retries);
                let error = self.unreachable(failure);
                let is_silence =
                    error.status() == Status::Connect && began.elapsed() >= http.connect_timeout();
                let next = match next {
                    // A host that does not even refuse the connection does not exist.
                    Next::Again(_) if is_silence => Next::GiveUp,
                    Next::Again(pause) => Next::Again(pause.min(LONGEST_PAUSE)),
                    Next::GiveUp => Next::GiveUp,
                };
                (error, next)
            })
        };
        let reply = send(self.secret.as_ref())?;
        match (self.kind, reply.status) {
            (Kind::Arc, 401) => {
                let key = arc::answer(&reply, self.folder.as_deref())
                    .map_err(|error| (error, Next::GiveUp))?;
                let mut reply = send(Some(&key))?;
                if !reply.is_success() {
                    // The reply may repeat the key.
                    let key = key.value(arc::HEADER, arc::SCHEME);
                    reply.mask(&|text| redact::mask(text, &[key]));
                }
                Ok(reply)
            }
            _ => Ok(reply),
        }
    }

    fn send(
        &self,
        http: &Http,
        call: &Arc<Call>,
        secret: Option<&SecretLine>,
    ) -> std::result::Result<Reply, Failure> {
        let headers = [
            (HeaderName::from_static("metadata"), "true"),
            (CONTENT_TYPE, "application/x-www-form-urlencoded"),
        ];
        let (method, count) = match self.kind {
            Kind::AppService | Kind::OldAppService | Kind::Container => (Method::Get, 0),
            Kind::Imds | Kind::Arc => (Method::Get, 1),
            Kind::CloudShell => (Method::Post, 2),
        };
        let request = Outgoing {
            method,
            url: &self.url,
            headers: headers.get(..count).unwrap_or_default(),
            secret,
            body: &self.form,
            max_reply: grant::MAX_REPLY,
        };
        http.send(call, &request)
    }

    fn unreachable(&self, failure: Failure) -> Error {
        let error = Error::from(failure);
        match error.status() {
            Status::Connect | Status::Broken => error.with_note(&format!(
                "no managed identity answers at {}: this machine may not be in Azure",
                self.authority
            )),
            _ => error,
        }
    }

    fn read(&self, reply: &mut Reply) -> Result<Token> {
        let who = "the managed identity's endpoint";
        if reply.is_success() {
            return grant::read(reply, who, "that this machine is in Azure");
        }
        let secret = self.secret().unwrap_or_default();
        reply.mask(&|text| redact::mask(text, &[secret]));
        let check = "assign the identity to this machine, and check `managed_identity`";
        let error = refusal::error(reply, who, check);
        Err(match reply.status {
            404 => {
                error.with_note("there may be no managed identity here; assign one to this machine")
            }
            _ => error,
        })
    }
}

/// What follows a refusal. `attempt` counts those of its kind, a 410 or another one. A 404 is retried too: the identity
/// may just have been assigned.
fn next(
    status: u16,
    attempt: u32,
    retries: u32,
    wait: Option<Duration>,
    updated_by: Instant,
) -> Next {
    // Limited by time instead of number: the duration of an update is known.
    if status == 410 && retries > 0 && Instant::now() < updated_by {
        let pause = Duration::from_secs(1 << attempt.saturating_sub(1).min(4));
        return Next::Again(pause.min(updated_by.saturating_duration_since(Instant::now())));
    }
    if attempt > retries || !matches!(status, 404 | 408 | 429 | 500..) {
        return Next::GiveUp;
    }
    let at = usize::try_from(attempt - 1).unwrap_or(usize::MAX).min(PAUSES.len() - 1);
    let pause = Duration::from_secs(PAUSES.get(at).copied().unwrap_or_default());
    // A random part is added, so that clients that were refused together do not retry together.
    Next::Again(pause.mul_f64(1.0 + 0.1 * retry::random()).max(wait.unwrap_or_default()))
}

/// Host and port of an address that is as near as those of this kind are; else the problem with it.
fn check(kind: Kind, address: &str) -> std::result::Result<String, &'static str> {
    let uri: Uri = address.parse().map_err(|_| "is not a URL")?;
    let authority = uri.authority().ok_or("has no host")?;
    if uri.scheme_str() != Some("http") {
        return Err("is not an http address");
    }
    let has_query = uri.query().is_some() && kind != Kind::Container;
    if has_query || address.contains('#') || authority.as_str().contains('@') {
        return Err("has a query, fragment or login");
    }
    let host = uri.host().unwrap_or_default();
    let is_platform =
        matches!(kind, Kind::AppService | Kind::OldAppService | Kind::Container | Kind::CloudShell);
    let bare = without_brackets(host);
    let is_near = match bare.parse() {
        Ok(IpAddr::V4(address)) => {
            // App Service on Linux has a link-local address, a different one each time. Containers have one of their
            // own network (RFC 1918), and those of Windows one of the shared space, which is not routed (RFC 6598).
            let [first, second, ..] = address.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            address.is_link_local() || is_platform && (address.is_private() || is_shared)
        }
        // The same in IPv6: link-local and unique local addresses.
        Ok(IpAddr::V6(address)) => {
            let [first, ..] = address.segments();
            is_platform && (first & 0xffc0 == 0xfe80 || first & 0xfe00 == 0xfc00)
        }
        Err(_) => false,
    };
    match is_loopback(host) || is_near {
        true => Ok(authority.to_string()),
        false => Err("would send tokens unencrypted through a network"),
    }
}
