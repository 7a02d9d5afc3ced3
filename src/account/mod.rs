//! One identity at one service: connections, tokens and quota, made from a client's options.

mod attempts;
mod client_certificate;
pub(crate) mod sign_in;
pub(crate) mod turn;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use once_cell::sync::OnceCell;

use self::sign_in::SignIn;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::http::client::{Http, Settings};
use crate::http::tls;
use crate::options::{self, OnDuplicate, OnFullQuota, OnUnknown};
use crate::quota::file;
use crate::quota::ledger::Ledger;
use crate::quota::limiter::Limiter;
use crate::quota::redis;
use crate::quota::registry::{self, Key};
use crate::quota::report::{QuotaStatus, report, unknown};
use crate::quota::rules::Rules;
use crate::service::cloud;
use crate::service::hosts::Hosts;
use crate::sign_in::cache::Cache;
use crate::sign_in::claims::RequestedBy;
use crate::sign_in::{Token, claims};
use crate::status::Status;
use crate::text::guid::is_guid;
use crate::text::redact;
use crate::text::url::BaseUrl;

/// The connections, tokens and quota of one client, with the options for their use.
#[derive(Debug)]
pub(crate) struct Account {
    pub http: Http,
    pub tokens: Cache,
    pub api: BaseUrl,
    pub rules: Rules,
    pub on_full_quota: OnFullQuota,
    pub on_duplicate: OnDuplicate,
    pub on_unknown: OnUnknown,
    pub max_retries: u32,
    /// The time limit of an operation of one request, if there is one.
    pub timeout: Option<Duration>,
    pub poll_interval: Duration,
    /// Hosts that a package link may lead to.
    pub download_hosts: Hosts,
    pub max_package_bytes: u64,
    /// A package that could do harm where it is unpacked gets the final path, too.
    pub accept_unsafe: bool,
    /// How many packages of a job are downloaded at once.
    pub downloads_at_once: usize,
    /// The record of the collections that have ended, if there is one.
    pub record: Option<PathBuf>,
    /// Set by the first token, which names the identity.
    pub limiter: OnceCell<Arc<Limiter>>,
    quota_file: Option<String>,
    quota_redis: Option<redis::Target>,
    quota_redis_fallback: redis::Fallback,
    tenant_id: Option<String>,
    client_id: Option<String>,
}

impl Account {
    pub(crate) fn new(options: &options::Settings) -> Result<Account> {
        let Some(cloud) = options.cloud else {
            return Err(Error::new(Status::Config, "option `cloud` names no known cloud"));
        };
        if options.quota_file.is_some() && options.quota_redis.is_some() {
            let message =
                "options `quota_file` and `quota_redis` are both set; set only one of them";
            return Err(Error::new(Status::Config, message));
        }
        let api = BaseUrl::or_default(options.api_url.as_ref(), cloud.api_url)
            .map_err(|problem| Error::new(Status::Config, problem))?;
        let sign_in = sign_in::sign_in(options, cloud)?;
        // The way to the authority is part of the identity, since another way may lead to another authority.
        let mut identity = sign_in.identity();
        let user_agent = match &options.user_agent {
            Some(host) => format!("{host} mde/{}", env!("CARGO_PKG_VERSION")),
            None => concat!("mde/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let SignIn { source, tenant_id, client_id } = sign_in;
        let extra_roots =
            options.ca_file.as_deref().map_or_else(|| Ok(Vec::new()), tls::read_roots)?;
        if let Some(identity) = &mut identity {
            extra_roots.iter().for_each(|root| {
                identity.part(root);
            });
        }
        let hosts = [Some(api.authority()), source.host()];
        let hosts = hosts.into_iter().flatten().map(str::to_owned).collect();
        let certificate = client_certificate::load(options, hosts, identity.as_mut())?;
        let http = Http::new(Settings {
            secure: api.as_str().starts_with("https")
                || source.is_secure()
                || options.quota_redis_is_secure(),
            extra_roots,
            certificate,
            proxy: options.proxy.clone(),
            no_proxy: options.no_proxy.clone(),
            proxy_auth: options.proxy_auth,
            connect_timeout: options.connect_timeout,
            idle_timeout: options.idle_timeout,
            user_agent,
        })?;
        if let (Some(identity), Some([proxy, exceptions])) = (&mut identity, http.route()) {
            identity.part(proxy).secret(http.proxy_login().unwrap_or_default()).part(exceptions);
        }
        if options.quota_file.is_some() && options.quota_limits.most() > file::MOST_CALLS {
            return Err(Error::new(
                Status::Config,
                format!(
                    "option `quota_limits` has a limit that is too large for `quota_file`; expected up to \
                     {} calls",
                    file::MOST_CALLS
                ),
            ));
        }
        for (name, path) in [("quota_file", &options.quota_file), ("record", &options.record)] {
            let Some(path) = path else { continue };
            // One that cannot be looked at may be there. If it cannot be used either, the first use tells why.
            if Path::new(path).parent().is_none_or(crate::os::file::is_no_folder) {
                let problem = "is in a folder that is not there; make the folder first";
                let message = format!("option `{name}`: {path} {problem}");
                return Err(Error::new(Status::Config, message));
            }
        }
        Ok(Account {
            http,
            tokens: Cache::new(source, identity, options.max_retries),
            rules: Rules {
                limits: options.quota_limits.clone().share(options.quota_share),
                ledger: OnceCell::new(),
            },
            on_full_quota: options.quota,
            on_duplicate: options.on_duplicate,
            on_unknown: options.on_unknown,
            max_retries: options.max_retries,
            timeout: options.timeout,
            poll_interval: options.poll_interval,
            download_hosts: options.download_hosts.clone().and(&api),
            max_package_bytes: options.max_package_bytes,
            accept_unsafe: options.accept_unsafe,
            downloads_at_once: options.downloads_at_once as usize,
            record: options.record.as_ref().map(PathBuf::from),
            limiter: OnceCell::new(),
            quota_file: options.quota_file.clone(),
            quota_redis: options.quota_redis.clone(),
            quota_redis_fallback: options.quota_redis_fallback,
            tenant_id,
            client_id,
            api,
        })
    }

    /// The limiter of the identity that this token belongs to.
    pub(crate) fn limiter_of(&self, token: &Token) -> &Arc<Limiter> {
        let learn = || {
            let key = self.key_of(token);
            if let Some(ledger) = self.ledger(&key) {
                let _ = self.rules.ledger.set(ledger);
            }
            registry::limiter(&key)
        };
        self.limiter.get_or_init(learn)
    }

    /// The shared call log of this identity, if the options name one.
    fn ledger(&self, key: &Key) -> Option<Arc<dyn Ledger>> {
        if let Some(target) = &self.quota_redis {
            let dialer = self.http.dialer_without_proxy();
            return Some(redis::ledger(target, self.quota_redis_fallback, &dialer, key));
        }
        let path = self.quota_file.as_ref()?;
        Some(file::ledger(path, key, &self.rules.limits))
    }

    /// The usage of the quota. Sends no request.
    pub(crate) fn quota_status(&self) -> QuotaStatus {
        if let Some(limiter) = self.limiter.get() {
            return report(limiter, &self.rules);
        }
        // Before the first request the key comes from a token in the cache, or from the options.
        let key = match self.tokens.current() {
            Some(token) => Some(self.key_of(&token)),
            None => self.key_of_options(),
        };
        let Some(key) = key else {
            return unknown(&self.rules, self.shared_place());
        };
        let ledger = self.ledger(&key).map(OnceCell::with_value).unwrap_or_default();
        let rules = Rules { limits: self.rules.limits.clone(), ledger };
        report(&registry::limiter(&key), &rules)
    }

    /// The kind and the place of the shared call log.
    fn shared_place(&self) -> Option<(&'static str, String)> {
        if let Some(target) = &self.quota_redis {
            return Some((redis::KIND, target.shown()));
        }
        Some((file::KIND, self.quota_file.clone()?))
    }

    /// The key of the quota that future tokens will spend, if the options name the same ids as these tokens.
    fn key_of_options(&self) -> Option<Key> {
        let tenant = self.tenant_id.as_deref().filter(|id| is_guid(id))?;
        let application = self.client_id.as_deref().filter(|_| self.tokens.is_for_options())?;
        Some(Key::new(&cloud::family(self.api.authority()), tenant, application))
    }

    /// The key of the quota that a token spends.
    ///
    /// The service counts by the ids in the token. The options may name the tenant in another way, so they are used only
    /// if the token is not readable.
    pub(crate) fn key_of(&self, token: &Token) -> Key {
        let claims = claims::read(token.text());
        let tenant = claims.tenant.or_else(|| self.tenant_id.clone());
        let application = claims.application.or_else(|| self.client_id.clone());
        let family = cloud::family(self.api.authority());
        // Opaque tokens without ids share one quota, which is too small rather than too large.
        Key::new(
            &family,
            tenant.as_deref().unwrap_or("unknown"),
            application.as_deref().unwrap_or("unknown"),
        )
    }

    /// The service, and the tenant and the application as the token names them. Gets a token.
    pub(crate) fn identity(
        &self,
        call: &Arc<Call>,
    ) -> Result<(String, Option<String>, Option<String>)> {
        let token = self.tokens.get(&self.http, call)?;
        let claims = claims::read(token.text());
        Ok((cloud::family(self.api.authority()), claims.tenant, claims.application))
    }

    /// The identity that makes the requests, as far as its present token names it.
    pub(crate) fn requested_by(&self) -> Option<RequestedBy> {
        claims::read(self.tokens.current()?.text()).requested_by()
    }

    /// The part of a call for one request, which has `timeout_ms` as its limit. The operation may last longer.
    pub(crate) fn request_of(&self, call: &Arc<Call>) -> Arc<Call> {
        match self.timeout {
            Some(limit) if call.has_time_for(limit) => Arc::new(call.part(limit)),
            _ => Arc::clone(call),
        }
    }

    /// Masks the secrets of this client in a text from outside.
    pub(crate) fn mask(&self, text: &mut String) {
        self.mask_with(text, &[]);
    }

    /// Masks the secrets of this client, and further ones.
    pub(crate) fn mask_with(&self, text: &mut String, further: &[&str]) {
        let tokens = self.tokens.sent();
        let mut secrets = self.http.proxy_secrets();
        secrets.extend(self.tokens.secret());
        secrets.extend(tokens.iter().map(Token::text));
        secrets.extend(self.quota_redis.as_ref().map(redis::Target::password));
        secrets.extend(further);
        redact::mask(text, &secrets);
    }
}
