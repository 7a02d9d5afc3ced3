//! Every option: its name, what it means, what it accepts, its default. One table.
//!
//! `docs/options.md` is made from the table; an option that is not in it does not exist.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::net::proxy::{self, Choice, Proxy};
use crate::quota::limits::{self, Limits};
use crate::service::base_url::{self, BaseUrl};
use crate::service::cloud::{self, Cloud};
use crate::token::TokenProvider;
use crate::{Error, Result, Status};

/// What a client is made from. Set by name, checked at once, copied by the client.
#[derive(Clone, Default)]
pub struct Options {
    pub(crate) tenant_id: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) client_secret: Option<Zeroizing<String>>,
    pub(crate) access_token: Option<Zeroizing<String>>,
    pub(crate) token_provider: Option<Arc<dyn TokenProvider>>,
    pub(crate) auth: Option<Auth>,
    pub(crate) cloud: Option<&'static Cloud>,
    pub(crate) api_url: Option<BaseUrl>,
    pub(crate) login_url: Option<BaseUrl>,
    pub(crate) scope: Option<String>,
    pub(crate) ca_file: Option<String>,
    pub(crate) proxy: Choice,
    pub(crate) no_proxy: Option<String>,
    pub(crate) connect_timeout: Millis<10_000>,
    pub(crate) idle_timeout: Millis<60_000>,
    pub(crate) timeout: Millis<300_000>,
    pub(crate) max_retries: Option<u32>,
    pub(crate) on_duplicate: OnDuplicate,
    pub(crate) quota: OnFullQuota,
    pub(crate) quota_limits: Option<Limits>,
    pub(crate) quota_share: Option<u32>,
    pub(crate) user_agent: Option<String>,
}

/// How to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    AccessToken,
    TokenProvider,
    ClientSecret,
}

/// What to do when a collection already runs on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnDuplicate {
    #[default]
    Adopt,
    Error,
}

/// What to do when the quota has no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnFullQuota {
    #[default]
    Wait,
    Fail,
}

/// A duration with its default in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Millis<const DEFAULT: u64>(Option<Duration>);

impl<const DEFAULT: u64> Millis<DEFAULT> {
    pub(crate) fn get(self) -> Duration {
        self.0.unwrap_or(Duration::from_millis(DEFAULT))
    }
}

/// The value's problem, to complete "option `x` …".
type Checked = std::result::Result<(), String>;

/// One row of the table.
pub(crate) struct Spec {
    pub name: &'static str,
    pub accepts: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "for docs/options.md"))]
    pub default: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "for docs/options.md"))]
    pub about: &'static str,
    /// JSON numbers are accepted besides strings.
    numeric: bool,
    set: fn(&mut Options, &str) -> Checked,
}

/// Longest value of any option.
const MAX_VALUE: usize = 64 * 1024;

/// The longest time that can be set: a day.
const MAX_MILLIS: u64 = 86_400_000;

const URL: &str = base_url::ACCEPTED;

const fn text(
    name: &'static str,
    accepts: &'static str,
    default: &'static str,
    about: &'static str,
    set: fn(&mut Options, &str) -> Checked,
) -> Spec {
    Spec {
        name,
        accepts,
        default,
        about,
        numeric: false,
        set,
    }
}

const fn number(
    name: &'static str,
    accepts: &'static str,
    default: &'static str,
    about: &'static str,
    set: fn(&mut Options, &str) -> Checked,
) -> Spec {
    Spec {
        name,
        accepts,
        default,
        about,
        numeric: true,
        set,
    }
}

pub(crate) const TABLE: &[Spec] = &[
    text(
        "tenant_id",
        "the tenant's GUID or a domain name of it",
        "",
        "The Entra tenant. Needed for `client_secret`; with a token it tells whose quota is spent.",
        |o, v| name(v).map(|v| o.tenant_id = Some(v)),
    ),
    text(
        "client_id",
        "the application's GUID",
        "",
        "The application (client) id of the Entra app registration.",
        |o, v| name(v).map(|v| o.client_id = Some(v)),
    ),
    text(
        "client_secret",
        "the secret's value (not its id)",
        "",
        "A client secret of the application. Wiped from memory with the options and the client.",
        |o, v| secret(v).map(|v| o.client_secret = Some(v)),
    ),
    text(
        "access_token",
        "a bearer token, without the word Bearer",
        "",
        "A token obtained elsewhere. It is used as it is and never renewed.",
        |o, v| secret(v).map(|v| o.access_token = Some(v)),
    ),
    text(
        "auth",
        "access_token, token_provider or client_secret",
        "inferred from what is set",
        "How to sign in; needed only when several ways are set.",
        |o, v| {
            one_of(
                v,
                &[
                    ("access_token", Auth::AccessToken),
                    ("token_provider", Auth::TokenProvider),
                    ("client_secret", Auth::ClientSecret),
                ],
            )
            .map(|v| o.auth = Some(v))
        },
    ),
    text(
        "cloud",
        "commercial, us, eu, uk, au, swa, ina, aea, gcc, gcc_high or dod",
        "commercial",
        "The cloud of the tenant, or (`us` to `aea`) the nearest door to the commercial cloud.",
        |o, v| match cloud::by_name(v) {
            Some(found) => {
                o.cloud = Some(found);
                Ok(())
            }
            None => Err("names no known cloud".to_owned()),
        },
    ),
    text(
        "api_url",
        URL,
        "from `cloud`",
        "Base address of the API; requests go to `{api_url}/api/…`. A path prefix is kept, for gateways.",
        |o, v| url(v).map(|v| o.api_url = Some(v)),
    ),
    text(
        "login_url",
        URL,
        "from `cloud`",
        "Base address of the sign-in service; tokens come from `{login_url}/{tenant_id}/oauth2/v2.0/token`.",
        |o, v| url(v).map(|v| o.login_url = Some(v)),
    ),
    text(
        "scope",
        "1 to 1024 visible ASCII characters",
        "from `cloud`",
        "The scope to ask a token for. The commercial default keeps the older host name on purpose.",
        |o, v| visible(v, 1_024).map(|v| o.scope = Some(v)),
    ),
    text(
        "ca_file",
        "the path of a file with one or more PEM certificates",
        "none",
        "Certificates to trust besides the operating system's, for interception proxies and test set-ups.",
        |o, v| not_empty(v).map(|v| o.ca_file = Some(v)),
    ),
    text(
        "proxy",
        proxy::ACCEPTED,
        "env",
        "The HTTP proxy. `env` reads HTTPS_PROXY, https_proxy, ALL_PROXY and all_proxy, in this order, when \
         the client is made, and never uses a proxy for loopback addresses.",
        |o, v| match v {
            "env" => {
                o.proxy = Choice::Environment;
                Ok(())
            }
            "none" => {
                o.proxy = Choice::None;
                Ok(())
            }
            url => {
                o.proxy = Choice::Url(Proxy::parse(url)?);
                Ok(())
            }
        },
    ),
    text(
        "no_proxy",
        "names, addresses and CIDR ranges, separated by commas; * for all",
        "with proxy=env: NO_PROXY or no_proxy",
        "Hosts to reach without the proxy. A name covers the names below it.",
        |o, v| {
            o.no_proxy = Some(v.to_owned());
            Ok(())
        },
    ),
    number(
        "connect_timeout_ms",
        "1 to 86400000",
        "10000",
        "How long name lookup, connecting, proxy tunnel and TLS handshake may take together.",
        |o, v| millis(v, 1).map(|v| o.connect_timeout = Millis(Some(v))),
    ),
    number(
        "idle_timeout_ms",
        "1 to 86400000",
        "60000",
        "How long a peer may be silent while a request is sent or a reply is awaited or read.",
        |o, v| millis(v, 1).map(|v| o.idle_timeout = Millis(Some(v))),
    ),
    number(
        "timeout_ms",
        "0 to 86400000; 0 for no limit",
        "300000",
        "How long a whole operation may take, quota waits and retries included.",
        |o, v| millis(v, 0).map(|v| o.timeout = Millis(Some(v))),
    ),
    number(
        "max_retries",
        "0 to 20",
        "4",
        "How often a request is sent again after a passing failure, where that is safe.",
        |o, v| whole(v, 0, 20).map(|v| o.max_retries = Some(v)),
    ),
    text(
        "on_duplicate",
        "adopt or error",
        "adopt",
        "What mde_collect_package does when a collection already runs on the device: return that one, or fail.",
        |o, v| {
            one_of(
                v,
                &[("adopt", OnDuplicate::Adopt), ("error", OnDuplicate::Error)],
            )
            .map(|v| o.on_duplicate = v)
        },
    ),
    text(
        "quota",
        "wait or fail",
        "wait",
        "What a call does when the quota has no room: wait for its turn, or fail with rate_limited.",
        |o, v| {
            one_of(
                v,
                &[("wait", OnFullQuota::Wait), ("fail", OnFullQuota::Fail)],
            )
            .map(|v| o.quota = v)
        },
    ),
    text(
        "quota_limits",
        limits::ACCEPTED,
        "the documented limits",
        "The limits to keep, per endpoint. Clients that share an identity should be given the same.",
        |o, v| Limits::parse(v).map(|v| o.quota_limits = Some(v)),
    ),
    number(
        "quota_share",
        "1 to 100",
        "100",
        "Percentage of the limits that this product may use, to leave room for others with the same identity.",
        |o, v| whole(v, 1, 100).map(|v| o.quota_share = Some(v)),
    ),
    text(
        "user_agent",
        "1 to 256 visible ASCII characters and spaces",
        "none",
        "Name and version of the host product; stands before ours in the User-Agent header.",
        |o, v| agent(v).map(|v| o.user_agent = Some(v)),
    ),
];

impl Options {
    /// Options with every default.
    pub fn new() -> Options {
        Options::default()
    }

    /// Sets one option by name. Nothing changes when the value is not accepted.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let spec = find(name)?;
        if value.len() > MAX_VALUE {
            return Err(refused(spec, &format!("is longer than {MAX_VALUE} bytes")));
        }
        (spec.set)(self, value).map_err(|problem| refused(spec, &problem))
    }

    /// Sets several options from a JSON object of names and values; all of them or, on error, none.
    pub fn set_json(&mut self, json: &str) -> Result<()> {
        let parsed: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json)
            .map_err(|error| {
                Error::argument(
                    "json",
                    &format!(
                        "is not a JSON object (line {}, column {})",
                        error.line(),
                        error.column()
                    ),
                    "an object of option names and values, for example {\"cloud\":\"eu\"}",
                )
            })?;
        let mut changed = self.clone();
        for (name, value) in parsed {
            let spec = find(&name)?;
            match value {
                serde_json::Value::String(text) => changed.set(&name, &Zeroizing::new(text))?,
                serde_json::Value::Number(number) if spec.numeric => {
                    changed.set(&name, &number.to_string())?;
                }
                _ => return Err(refused(spec, "has a JSON value of the wrong type")),
            }
        }
        *self = changed;
        Ok(())
    }

    /// Lets the host get the tokens; see [`TokenProvider`].
    pub fn set_token_provider(&mut self, provider: Arc<dyn TokenProvider>) {
        self.token_provider = Some(provider);
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Some values are secrets, so none is shown.
        f.write_str("Options")
    }
}

fn find(name: &str) -> Result<&'static Spec> {
    TABLE.iter().find(|spec| spec.name == name).ok_or_else(|| {
        let names: Vec<_> = TABLE.iter().map(|spec| spec.name).collect();
        let shown: String = name
            .chars()
            .filter(|c| c.is_ascii_graphic())
            .take(40)
            .collect();
        Error::new(
            Status::Config,
            format!(
                "option `{shown}` is unknown; expected one of {}",
                names.join(", ")
            ),
        )
    })
}

/// The value itself is not repeated: it may be a secret in the wrong place.
fn refused(spec: &Spec, problem: &str) -> Error {
    let Spec { name, accepts, .. } = spec;
    Error::new(
        Status::Config,
        format!("option `{name}` {problem}; expected {accepts}"),
    )
}

fn not_empty(value: &str) -> std::result::Result<String, String> {
    match value.is_empty() {
        true => Err("is empty".to_owned()),
        false => Ok(value.to_owned()),
    }
}

fn secret(value: &str) -> std::result::Result<Zeroizing<String>, String> {
    not_empty(value).map(Zeroizing::new)
}

fn name(value: &str) -> std::result::Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
    match value.len() {
        0 => Err("is empty".to_owned()),
        1..=255 if value.chars().all(fits) && !value.contains("..") => Ok(value.to_owned()),
        _ => Err("has characters that no id or domain name has".to_owned()),
    }
}

fn visible(value: &str, max: usize) -> std::result::Result<String, String> {
    match (1..=max).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(value.to_owned()),
        false => Err("is empty, too long, or has other characters".to_owned()),
    }
}

fn agent(value: &str) -> std::result::Result<String, String> {
    let fits = |b: u8| b.is_ascii_graphic() || b == b' ';
    match (1..=256).contains(&value.len()) && value.bytes().all(fits) && value.trim() == value {
        true => Ok(value.to_owned()),
        false => Err("is empty, too long, or has other characters".to_owned()),
    }
}

fn url(value: &str) -> std::result::Result<BaseUrl, String> {
    BaseUrl::parse(value).map_err(str::to_owned)
}

fn whole<T: std::str::FromStr + PartialOrd>(
    value: &str,
    min: T,
    max: T,
) -> std::result::Result<T, String> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    match value.parse::<T>() {
        _ if !digits => Err("is not a whole number".to_owned()),
        Ok(number) if number >= min && number <= max => Ok(number),
        _ => Err("is out of range".to_owned()),
    }
}

fn millis(value: &str, min: u64) -> std::result::Result<Duration, String> {
    whole(value, min, MAX_MILLIS).map(Duration::from_millis)
}

fn one_of<T: Copy>(value: &str, choices: &[(&str, T)]) -> std::result::Result<T, String> {
    let found = choices.iter().find(|(name, _)| *name == value);
    found
        .map(|(_, choice)| *choice)
        .ok_or_else(|| "has an unknown value".to_owned())
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
