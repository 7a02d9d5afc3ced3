//! The operations, in the order in which an investigation package lives.

use std::sync::Arc;
use std::time::{Duration, Instant};

use once_cell::sync::OnceCell;
use zeroize::Zeroizing;

use crate::actions;
use crate::arguments;
use crate::call::{self, Call, Cancel, Running};
use crate::collect::{self, Collected};
use crate::log::{self, Level};
use crate::net::agent::{Http, Settings};
use crate::net::tls;
use crate::options::{OnDuplicate, OnFullQuota, Options};
use crate::quota::limiter::Limiter;
use crate::quota::limits::Limits;
use crate::quota::report::{QuotaWindow, report};
use crate::service::base_url::BaseUrl;
use crate::service::cloud;
use crate::service::model::MachineAction;
use crate::token::Token;
use crate::token::cache::Cache;
use crate::token::choice;
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
    /// Known from the first token on.
    pub(crate) limiter: OnceCell<Arc<Limiter>>,
    pub(crate) tenant_id: Option<String>,
    pub(crate) client_id: Option<String>,
    client_secret: Option<Zeroizing<String>>,
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
            return Err(Error::new(Status::Config, "option `cloud` names no known cloud"));
        };
        let api = BaseUrl::or_default(options.api_url.as_ref(), cloud.api_url)?;
        let max_retries = options.max_retries.unwrap_or(DEFAULT_RETRIES);
        let user_agent = match &options.user_agent {
            Some(host) => format!("{host} mde/{}", env!("CARGO_PKG_VERSION")),
            None => concat!("mde/", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let http = Http::new(Settings {
            extra_roots: options
                .ca_file
                .as_deref()
                .map_or_else(|| Ok(Vec::new()), tls::read_roots)?,
            proxy: options.proxy.clone(),
            no_proxy: options.no_proxy.clone(),
            connect_timeout: options.connect_timeout.get(),
            idle_timeout: options.idle_timeout.get(),
            user_agent,
        })?;
        let limits = options.quota_limits.clone().unwrap_or_default();
        Ok(Client {
            process: std::process::id(),
            http,
            tokens: Cache::new(choice::source(options, cloud, max_retries)?),
            limits: limits.share(options.quota_share.unwrap_or(100)),
            on_full_quota: options.quota,
            on_duplicate: options.on_duplicate,
            max_retries,
            limiter: OnceCell::new(),
            tenant_id: options.tenant_id.clone(),
            client_id: options.client_id.clone(),
            client_secret: options.client_secret.clone(),
            timeout: Some(options.timeout.get()).filter(|timeout| !timeout.is_zero()),
            running: Arc::default(),
            api,
        })
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
        let machine_id = arguments::machine_id(machine_id)?;
        let comment = arguments::comment(comment)?;
        self.run("collect_package", cancel, |call| {
            collect::collect(self, call, machine_id, comment)
        })
    }

    /// Reads one machine action. `action_id`: its GUID. Source: "Get machineAction API".
    pub fn action(&self, action_id: &str, cancel: Option<&Cancel>) -> Result<MachineAction> {
        let action_id = arguments::action_id(action_id)?;
        self.run("get_action", cancel, |call| actions::read(self, call, action_id))
    }

    /// Lists machine actions, newest first, all pages of them. `odata_filter`: an OData expression over
    /// id, status, machineId, type, requestor and creationDateTimeUtc, or empty for all; up to 8,192 bytes.
    /// Source: "List machineActions API".
    pub fn actions(
        &self,
        odata_filter: &str,
        cancel: Option<&Cancel>,
    ) -> Result<Vec<MachineAction>> {
        let filter = arguments::odata_filter(odata_filter)?;
        self.run("list_actions", cancel, |call| actions::list(self, call, filter))
    }

    /// How much of each quota is used by this process, and when the next call could go out.
    pub fn quota(&self) -> Result<Vec<QuotaWindow>> {
        self.run("quota_status", None, |_| {
            Ok(report(self.limiter.get().map(AsRef::as_ref), &self.limits))
        })
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

    /// Runs one operation under the client's deadline and the caller's cancel handle.
    fn run<T>(
        &self,
        name: &str,
        cancel: Option<&Cancel>,
        operation: impl FnOnce(&Arc<Call>) -> Result<T>,
    ) -> Result<T> {
        self.check_process()?;
        let started = Instant::now();
        let call = Arc::new(Call::begin(&self.running, self.timeout, cancel));
        let _aftermath = Aftermath { client: self, call: &call };
        let result = call.check().map_err(Error::from).and_then(|()| operation(&call));
        let result = result.map_err(|error| {
            let error = if call.is_unsettled() { error.outcome_unknown() } else { error };
            error.mask(|text| self.mask(text))
        });
        log::line(Level::Info, || {
            let outcome = result.as_ref().map_or_else(Error::to_string, |_| "ok".to_owned());
            format!("{name} took {} ms: {outcome}", started.elapsed().as_millis())
        });
        result
    }

    /// Takes known secrets out of a text that others had a hand in.
    fn mask(&self, text: &mut String) {
        let secret = self.client_secret.as_ref().map(|secret| secret.as_str());
        let token = self.tokens.current();
        let known = [secret, token.as_ref().map(Token::text), self.http.proxy_login()];
        for secret in known.into_iter().flatten().filter(|secret| secret.len() >= 6) {
            if text.contains(secret) {
                *text = text.replace(secret, "***");
            }
        }
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

/// Tidies up when a panic unwinds through a call, while the call still keeps the client alive.
struct Aftermath<'a> {
    client: &'a Client,
    call: &'a Call,
}

impl Drop for Aftermath<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.client.http.reset();
            call::note_aftermath(self.call.is_unsettled());
        }
    }
}
