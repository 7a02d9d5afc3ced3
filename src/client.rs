//! The operations, in the order in which an investigation package lives.

use std::sync::Arc;
use std::time::Duration;

use once_cell::sync::OnceCell;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::actions;
use crate::call::{Call, Cancel, Running};
use crate::collect::{self, Collected};
use crate::error::millis_up;
use crate::net::agent::{Http, Settings};
use crate::options::{Auth, OnDuplicate, OnFullQuota, Options};
use crate::quota::limits::Limits;
use crate::quota::registry::Key;
use crate::service::base_url::BaseUrl;
use crate::service::cloud::{self, Cloud};
use crate::service::endpoint::Quota;
use crate::service::model::MachineAction;
use crate::token::cache::Cache;
use crate::token::claims::Claims;
use crate::token::client_secret::ClientSecret;
use crate::token::provider::Callback;
use crate::token::{Source, Token};
use crate::{Error, Result, Status};

/// One identity against one service. All methods may be called from many threads at once.
///
/// A client belongs to the process that made it: in a forked child every call returns `forked`.
#[derive(Debug)]
pub struct Client {
    process: u32,
    pub(crate) http: Http,
    pub(crate) tokens: Cache,
    pub(crate) api: BaseUrl,
    pub(crate) limits: Limits,
    pub(crate) on_full_quota: OnFullQuota,
    pub(crate) on_duplicate: OnDuplicate,
    pub(crate) max_retries: u32,
    /// Known at once when the options name tenant and application, else from the first token.
    pub(crate) quota_key: OnceCell<Key>,
    timeout: Option<Duration>,
    running: Arc<Running>,
}

const DEFAULT_RETRIES: u32 = 4;

impl Client {
    /// Makes a client from a copy of the options. Reads `ca_file` and, for `proxy=env`, the environment;
    /// opens no connection.
    pub fn new(options: &Options) -> Result<Client> {
        let default_cloud = || cloud::by_name("commercial");
        let Some(cloud) = options.cloud.or_else(default_cloud) else {
            return Err(Error::new(
                Status::Config,
                "option `cloud` names no known cloud",
            ));
        };
        let api = base(options.api_url.as_ref(), cloud.api_url)?;
        let max_retries = options.max_retries.unwrap_or(DEFAULT_RETRIES);
        let user_agent = match &options.user_agent {
            Some(host) => format!("{host} mde/{}", env!("CARGO_PKG_VERSION")),
            None => concat!("mde/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let http = Http::new(Settings {
            extra_roots: options
                .ca_file
                .as_deref()
                .map_or_else(|| Ok(Vec::new()), read_roots)?,
            proxy: options.proxy.clone(),
            no_proxy: options.no_proxy.clone(),
            connect_timeout: options.connect_timeout.get(),
            idle_timeout: options.idle_timeout.get(),
            user_agent,
        })?;
        let limits = options.quota_limits.clone().unwrap_or_default();
        let client = Client {
            process: std::process::id(),
            http,
            tokens: Cache::new(source(options, cloud, max_retries)?),
            limits: limits.share(options.quota_share.unwrap_or(100)),
            on_full_quota: options.quota,
            on_duplicate: options.on_duplicate,
            max_retries,
            quota_key: OnceCell::new(),
            timeout: Some(options.timeout.get()).filter(|timeout| !timeout.is_zero()),
            running: Arc::default(),
            api,
        };
        if let (Some(tenant), Some(application)) = (&options.tenant_id, &options.client_id) {
            client.learn_quota_key(tenant, application);
        } else if let Some(Claims {
            tenant: Some(tenant),
            application: Some(application),
        }) = client.tokens.claims()
        {
            client.learn_quota_key(&tenant, &application);
        }
        Ok(client)
    }

    /// Asks the service to collect an investigation package from a device.
    ///
    /// `machine_id`: the device id, 40 hexadecimal digits. Other ids that the service takes in its place,
    /// such as the Entra device id, are passed on.
    /// `comment`: why, for the audit trail; 1 to 32,768 bytes.
    /// Source: "Collect investigation package API".
    pub fn collect_package(
        &self,
        machine_id: &str,
        comment: &str,
        cancel: Option<&Cancel>,
    ) -> Result<Collected> {
        let machine_id = checked_machine_id(machine_id)?;
        let comment = checked_comment(comment)?;
        collect::collect(self, &self.begin(cancel)?, machine_id, comment)
    }

    /// Reads one machine action. `action_id`: its GUID. Source: "Get machineAction API".
    pub fn action(&self, action_id: &str, cancel: Option<&Cancel>) -> Result<MachineAction> {
        let action_id = checked_action_id(action_id)?;
        actions::read(self, &self.begin(cancel)?, action_id)
    }

    /// Lists machine actions, newest first, all pages of them. `odata_filter`: an OData expression over
    /// id, status, machineId, type, requestor and creationDateTimeUtc, or empty for all; up to 8,192 bytes.
    /// Source: "List machineActions API".
    pub fn actions(
        &self,
        odata_filter: &str,
        cancel: Option<&Cancel>,
    ) -> Result<Vec<MachineAction>> {
        let filter = checked_filter(odata_filter)?;
        actions::list(self, &self.begin(cancel)?, filter)
    }

    /// How much of each quota is used by this process, and when the next call could go out.
    pub fn quota(&self) -> Result<Vec<QuotaWindow>> {
        self.check_process()?;
        let limiter = self.limiter();
        Ok(Quota::ALL
            .into_iter()
            .flat_map(|quota| {
                let snapshot = limiter.as_ref().map(|l| l.snapshot(quota, &self.limits));
                let windows = self.limits.of(quota).iter().enumerate();
                windows.map(move |(at, window)| QuotaWindow {
                    endpoint: quota.name(),
                    limit: window.limit,
                    window: window.length,
                    used: snapshot
                        .as_ref()
                        .and_then(|s| s.used.get(at).copied())
                        .unwrap_or(0),
                    in_flight: snapshot.as_ref().map_or(0, |s| s.in_flight),
                    queued: snapshot.as_ref().map_or(0, |s| s.queued),
                    available_in: snapshot
                        .as_ref()
                        .map_or(Some(Duration::ZERO), |s| s.available_in),
                })
            })
            .collect())
    }

    /// Refuses new calls, ends running ones with `closed`, and waits for them.
    ///
    /// Not to be called from a callback of a call on the same client: it would wait for itself.
    pub fn shutdown(&self, timeout: Duration) -> Result<()> {
        self.check_process()?;
        match self.running.close(timeout) {
            true => Ok(()),
            false => Err(Error::new(
                Status::Deadline,
                "calls are still running; do not free the client before shutdown succeeds",
            )),
        }
    }

    /// Puts away what a contained defect may have damaged.
    pub(crate) fn recover(&self) {
        self.http.reset();
    }

    fn begin(&self, cancel: Option<&Cancel>) -> Result<Arc<Call>> {
        self.check_process()?;
        let call = Arc::new(Call::begin(&self.running, self.timeout, cancel));
        call.check()?;
        Ok(call)
    }

    /// First of all: a lock of the parent may be held by a thread that does not exist here.
    fn check_process(&self) -> Result<()> {
        if self.process == std::process::id() {
            return Ok(());
        }
        Err(Error::new(
            Status::Forked,
            "the client was made before a fork; make a new client in this process",
        ))
    }
}

/// One window of one endpoint's quota, as this process sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuotaWindow {
    /// `collect`, `read`, `list`, `cancel`, `link` or `machines`.
    pub endpoint: &'static str,
    /// Calls that fit into the window.
    pub limit: u32,
    /// Length of the window.
    pub window: Duration,
    /// Calls that occupy a slot now.
    pub used: usize,
    /// Calls whose reply has not arrived.
    pub in_flight: usize,
    /// Calls that wait for a slot.
    pub queued: usize,
    /// When a call could go out if it were the next one; `None`: not before a call in flight has ended.
    pub available_in: Option<Duration>,
}

impl Serialize for QuotaWindow {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("quota", 7)?;
        row.serialize_field("endpoint", self.endpoint)?;
        row.serialize_field("limit", &self.limit)?;
        match self.window.subsec_nanos() {
            0 => row.serialize_field("window_s", &self.window.as_secs())?,
            _ => row.serialize_field("window_s", &self.window.as_secs_f64())?,
        }
        row.serialize_field("used", &self.used)?;
        row.serialize_field("in_flight", &self.in_flight)?;
        row.serialize_field("queued", &self.queued)?;
        if let Some(wait) = self.available_in {
            row.serialize_field("available_in_ms", &millis_up(wait))?;
        }
        row.end()
    }
}

fn base(option: Option<&BaseUrl>, default: &str) -> Result<BaseUrl> {
    match option {
        Some(url) => Ok(url.clone()),
        None => BaseUrl::parse(default).map_err(|problem| Error::new(Status::Config, problem)),
    }
}

/// The certificates of `ca_file`. A file without one is a mistake, not an empty list.
fn read_roots(path: &str) -> Result<Vec<CertificateDer<'static>>> {
    let refused = |problem: &str| {
        Error::new(
            Status::Config,
            format!(
                "option `ca_file` {problem}; expected a file with one or more PEM certificates"
            ),
        )
    };
    let pem =
        std::fs::read(path).map_err(|e| refused(&format!("is not readable ({})", e.kind())))?;
    let roots: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| refused("has damaged PEM"))?;
    let mut store = rustls::RootCertStore::empty();
    let (usable, _) = store.add_parsable_certificates(roots.iter().cloned());
    match usable {
        0 => Err(refused("has no usable certificate")),
        _ => Ok(roots),
    }
}

/// Settles how to sign in.
fn source(options: &Options, cloud: &Cloud, max_retries: u32) -> Result<Source> {
    let config = |message: String| Err(Error::new(Status::Config, message));
    let given: Vec<(Auth, &str)> = [
        (
            Auth::AccessToken,
            "access_token",
            options.access_token.is_some(),
        ),
        (
            Auth::TokenProvider,
            "token_provider",
            options.token_provider.is_some(),
        ),
        (
            Auth::ClientSecret,
            "client_secret",
            options.client_secret.is_some(),
        ),
    ]
    .into_iter()
    .filter_map(|(auth, name, is_set)| is_set.then_some((auth, name)))
    .collect();
    let auth = match (options.auth, given.as_slice()) {
        (Some(auth), _) => auth,
        (None, [(auth, _)]) => *auth,
        (None, []) => {
            return config(
                "no way to sign in is set; expected `client_secret` (with `tenant_id` and `client_id`), \
                 `access_token`, or a token provider"
                    .to_owned(),
            );
        }
        (None, several) => {
            let names: Vec<_> = several.iter().map(|(_, name)| *name).collect();
            return config(format!(
                "several ways to sign in are set ({}); option `auth` expected to name one",
                names.join(", ")
            ));
        }
    };
    let needs =
        |option: &str| format!("option `{option}` is not set; signing in this way needs it");
    let scope = options.scope.as_deref().unwrap_or(cloud.scope);
    match auth {
        Auth::AccessToken => match &options.access_token {
            None => config(needs("access_token")),
            Some(token) => Token::new(token, None).map(Source::Fixed).map_err(|error| {
                let message = format!("option `access_token`: {}", error.message());
                Error::new(Status::Config, message)
            }),
        },
        Auth::TokenProvider => match &options.token_provider {
            None => config("no token provider is set; `auth=token_provider` needs one".to_owned()),
            Some(provider) => Ok(Source::Provider(Callback {
                provider: Arc::clone(provider),
                scope: scope.to_owned(),
            })),
        },
        Auth::ClientSecret => {
            match (
                &options.tenant_id,
                &options.client_id,
                &options.client_secret,
            ) {
                (None, ..) => config(needs("tenant_id")),
                (_, None, _) => config(needs("client_id")),
                (.., None) => config(needs("client_secret")),
                (Some(tenant), Some(client_id), Some(secret)) => {
                    let login = base(options.login_url.as_ref(), cloud.login_url)?;
                    Ok(Source::ClientSecret(ClientSecret::new(
                        login.as_str(),
                        tenant,
                        client_id,
                        secret,
                        scope,
                        max_retries,
                    )))
                }
            }
        }
    }
}

/// An id or name that stays inside its path segment whatever lies between here and the service.
fn checked_machine_id(id: &str) -> Result<&str> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let problem = match id.len() {
        0 => "is empty",
        1..=255 if !id.bytes().all(fits) => "has characters that no device id or name has",
        1..=255 if id.contains("..") || id == "." => "is a path",
        1..=255 => return Ok(id),
        _ => "is too long",
    };
    Err(Error::argument(
        "machine_id",
        problem,
        "the device id (40 hexadecimal digits), or up to 255 letters, digits, `-`, `_`, `.`",
    ))
}

fn checked_comment(comment: &str) -> Result<&str> {
    const MAX: usize = 32_768;
    let problem = match comment.len() {
        0 => "is empty, and the service requires one",
        1..=MAX if comment.trim().is_empty() => "is blank, and the service requires one",
        1..=MAX => return Ok(comment),
        _ => "is too long",
    };
    Err(Error::argument(
        "comment",
        problem,
        "1 to 32768 bytes of text that say why",
    ))
}

fn checked_action_id(id: &str) -> Result<&str> {
    let is_guid = id.len() == 36
        && id.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        });
    match is_guid {
        true => Ok(id),
        false => Err(Error::argument(
            "action_id",
            "is not a GUID",
            "a machine action's id, for example 5382f7ea-7557-4ab7-9782-d50480024a4e",
        )),
    }
}

fn checked_filter(filter: &str) -> Result<&str> {
    match filter.len() <= 8_192 {
        true => Ok(filter.trim()),
        false => Err(Error::argument(
            "odata_filter",
            "is too long",
            "an OData expression of up to 8192 bytes, or an empty string for all actions",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_leave_their_place_are_refused() {
        for bad in [
            "",
            "a/b",
            "a?b",
            "..",
            "a..b",
            ".",
            "a\nb",
            "a b",
            "a%2fb",
            "a#b",
            "é",
            &"x".repeat(256),
        ] {
            assert_eq!(
                checked_machine_id(bad).unwrap_err().status(),
                Status::InvalidArgument,
                "{bad:?}"
            );
        }
        for good in [
            "49e96a8dd67ac4f1ce9952ccedcde711f0ce28e9",
            "desktop-39g9tgl",
            "srv_1.contoso.example",
        ] {
            assert_eq!(checked_machine_id(good).unwrap(), good);
        }
        for bad in [
            "",
            "123",
            "5382f7ea75574ab79782d50480024a4e",
            "5382f7ea-7557-4ab7-9782-d50480024a4g",
        ] {
            assert!(checked_action_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn signing_in_is_inferred_or_refused_by_name() {
        let problem = |pairs: &[(&str, &str)]| {
            let mut options = Options::new();
            for (name, value) in pairs {
                options.set(name, value).unwrap();
            }
            options.set("proxy", "none").unwrap();
            Client::new(&options)
                .map(|_| ())
                .map_err(|e| e.message().to_owned())
        };
        assert!(problem(&[]).unwrap_err().contains("no way to sign in"));
        assert!(
            problem(&[("client_secret", "s")])
                .unwrap_err()
                .contains("`tenant_id` is not set")
        );
        let both = [
            ("client_secret", "s"),
            ("access_token", "t"),
            ("tenant_id", "t"),
            ("client_id", "c"),
        ];
        assert!(
            problem(&both)
                .unwrap_err()
                .contains("(access_token, client_secret)")
        );
        assert!(
            problem(&[("auth", "token_provider"), ("access_token", "t")])
                .unwrap_err()
                .contains("provider")
        );
        assert!(
            problem(&[("access_token", "a b")])
                .unwrap_err()
                .contains("`access_token`")
        );
        assert!(
            problem(&[("access_token", "t"), ("ca_file", "/nonexistent")])
                .unwrap_err()
                .contains("`ca_file`")
        );
        assert!(problem(&[("access_token", "t")]).is_ok());
    }
}
