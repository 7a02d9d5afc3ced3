//! Options: set by name, checked at once, copied by the client.
//!
//! `table` has a row for each option, and no other option exists. The settings of a client and `docs/options.md`
//! are made from it. `spec` defines a row, `checks` the checks that rows share.

mod checks;
mod members;
mod spec;
mod table;

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::http::proxy::Choice;
use crate::http::proxy::login::Allowed;
use crate::quota::limits::Limits;
use crate::quota::redis::{Fallback, Target};
use crate::service::cloud::Cloud;
use crate::service::hosts::Hosts;
use crate::sign_in::certificate::Algorithm;
use crate::sign_in::managed::Which;
use crate::sign_in::{Signer, TokenProvider};
use crate::status::Status;
use crate::text::json;
use crate::text::url::BaseUrl;

pub(crate) use spec::Preset;
use spec::Spec;
pub(crate) use table::TABLE;

/// Longest value of any option.
const MAX_VALUE: usize = 64 * 1024;

/// The options of a client. Each is set by name and checked at once. The client copies them.
#[derive(Clone)]
pub struct Options(Settings);

/// The values of the options. `Settings::default()` is blank: the table has the defaults.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    pub(crate) tenant_id: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) client_secret: Option<Zeroizing<String>>,
    pub(crate) client_certificate: Option<Zeroizing<String>>,
    pub(crate) client_key: Option<Zeroizing<String>>,
    pub(crate) certificate_password: Option<Zeroizing<String>>,
    pub(crate) certificate_algorithm: Algorithm,
    pub(crate) certificate_chain: bool,
    pub(crate) signer: Option<Arc<dyn Signer>>,
    pub(crate) federated_token_file: Option<String>,
    pub(crate) managed_identity: Option<Which>,
    pub(crate) access_token: Option<Zeroizing<String>>,
    pub(crate) token_provider: Option<Arc<dyn TokenProvider>>,
    pub(crate) auth: Option<Auth>,
    pub(crate) cloud: Option<&'static Cloud>,
    pub(crate) api_url: Option<BaseUrl>,
    pub(crate) login_url: Option<BaseUrl>,
    pub(crate) scope: Option<String>,
    pub(crate) ca_file: Option<String>,
    pub(crate) tls_certificate: Option<Zeroizing<String>>,
    pub(crate) tls_key: Option<Zeroizing<String>>,
    pub(crate) proxy: Choice,
    pub(crate) no_proxy: Option<String>,
    pub(crate) proxy_auth: Allowed,
    pub(crate) connect_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    /// `None`: no limit.
    pub(crate) timeout: Option<Duration>,
    /// `None`: no limit.
    pub(crate) wait_timeout: Option<Duration>,
    pub(crate) poll_interval: Duration,
    pub(crate) max_retries: u32,
    pub(crate) on_duplicate: OnDuplicate,
    pub(crate) on_unknown: OnUnknown,
    pub(crate) quota: OnFullQuota,
    pub(crate) quota_limits: Limits,
    pub(crate) quota_share: u32,
    pub(crate) quota_file: Option<String>,
    pub(crate) quota_redis: Option<Target>,
    pub(crate) quota_redis_fallback: Fallback,
    pub(crate) download_hosts: Hosts,
    pub(crate) max_package_bytes: u64,
    pub(crate) accept_unsafe: bool,
    pub(crate) downloads_at_once: u32,
    pub(crate) record: Option<String>,
    pub(crate) user_agent: Option<String>,
}

/// How to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    AccessToken,
    TokenProvider,
    ClientSecret,
    Certificate,
    Federated,
    WorkloadIdentity,
    ManagedIdentity,
}

/// What to do when a collection already runs on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnDuplicate {
    #[default]
    Adopt,
    Error,
}

/// What to do when the outcome of a request for a collection is not known, and the list of actions shows none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnUnknown {
    #[default]
    Resend,
    Report,
}

/// What to do when the quota has no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnFullQuota {
    #[default]
    Wait,
    Fail,
}

impl Settings {
    /// Whether the quota's log is reached over TLS.
    pub(crate) fn quota_redis_is_secure(&self) -> bool {
        self.quota_redis.as_ref().is_some_and(Target::is_secure)
    }
}

impl Default for Options {
    fn default() -> Options {
        Options::new()
    }
}

impl Options {
    /// Options with every default.
    pub fn new() -> Options {
        let mut settings = Settings::default();
        for spec in TABLE {
            if let Preset::Value(value) = spec.preset {
                // A test makes sure that each default is accepted.
                let _ = (spec.set)(&mut settings, value);
            }
        }
        Options(settings)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0
    }

    /// Sets one option by name. Nothing changes when the value is not accepted.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let spec = find(name)?;
        if value.len() > MAX_VALUE {
            return Err(refused(spec, &format!("is longer than {MAX_VALUE} bytes")));
        }
        (spec.set)(&mut self.0, value).map_err(|problem| refused(spec, &problem))
    }

    /// Sets several options from a JSON object of names and values. On error it sets none of them.
    pub fn set_json(&mut self, json: &str) -> Result<()> {
        let members = members::members(json).map_err(|(line, column)| {
            Error::argument(
                "json",
                &format!("is not a JSON object (line {line}, column {column})"),
                "an object of option names and values, for example {\"cloud\":\"eu\"}",
            )
        })?;
        let mut changed = self.clone();
        for (name, value) in members {
            let name = json::unescaped(name).unwrap_or_default();
            let spec = find(&name)?;
            let number = || serde_json::from_str(value).ok().filter(|_| spec.numeric);
            if let Some(text) = json::unescaped(value) {
                changed.set(&name, &text)?;
            } else if let Some(number) = number() {
                changed.set(&name, &whole(&number))?;
            } else {
                return Err(refused(spec, "has a JSON value of the wrong type"));
            }
        }
        *self = changed;
        Ok(())
    }

    /// Lets the host provide the tokens; see [`TokenProvider`]. Returns the provider that was set before.
    pub fn set_token_provider(
        &mut self,
        provider: Arc<dyn TokenProvider>,
    ) -> Option<Arc<dyn TokenProvider>> {
        self.0.token_provider.replace(provider)
    }

    /// Lets the host sign with the key of option `client_certificate`, which then has no key; see [`Signer`]. Returns the
    /// signer that was set before.
    pub fn set_signer(&mut self, signer: Arc<dyn Signer>) -> Option<Arc<dyn Signer>> {
        self.0.signer.replace(signer)
    }
}

/// Some writers of JSON give every number a fraction or an exponent: `60000.0` and `6e4` are 60000.
fn whole(number: &serde_json::Number) -> String {
    /// Up to here a float has no gaps between whole numbers.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) if float.fract() == 0.0 && float.abs() < EXACT => format!("{float:.0}"),
        _ => number.to_string(),
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
        // A name of another form may be a secret in the wrong place.
        let plausible = |b: u8| b.is_ascii_alphabetic() || b == b'_' || b == b'-';
        let shown = match name.len() <= 32 && name.bytes().all(plausible) {
            true => name,
            false => "(not shown)",
        };
        Error::new(
            Status::Config,
            format!("option `{shown}` is unknown; expected one of {}", names.join(", ")),
        )
    })
}

/// The message does not repeat the value, which may be a secret in the wrong place.
fn refused(spec: &Spec, problem: &str) -> Error {
    let Spec { name, accepts, .. } = spec;
    Error::new(Status::Config, format!("option `{name}` {problem}; expected {accepts}"))
}

#[cfg(test)]
mod tests;
