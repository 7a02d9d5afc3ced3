//! A simulator of the Microsoft Defender for Endpoint API for investigation packages.
//!
//! It has what an integrator needs: sign-in with a client secret, machines, machine actions that
//! pass through their states, download links that expire, real packages, quotas, and the service's
//! many forms of error. Any reply can be replaced by a scripted one: a status, a slow or endless
//! body, a connection that breaks.
//!
//! ```
//! use mde_simulator::{Config, Simulator};
//!
//! let sim = Simulator::start(Config { time_scale: 60.0, ..Config::default() })?;
//! println!("point your client at {} and {}", sim.api_url(), sim.login_url());
//! println!("and collect from {}", sim.machine_id(0));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Where Microsoft documents nothing, it follows replies that users of the service have published.

mod action_calls;
mod actions;
mod body;
mod clock;
mod config;
mod control;
mod download;
mod errors;
mod faults;
mod form;
mod ids;
mod links;
mod log;
mod machine_calls;
mod machines;
mod package;
mod ports;
mod query;
mod quota;
mod reply;
mod routes;
mod script;
mod server;
mod sign_in;
mod state;
mod tls;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use serde_json::Value;
use tokio::sync::oneshot;

pub use config::{
    Application, Behaviour, Config, CountAt, DEFAULT_CLIENT, DEFAULT_NAME, DEFAULT_SECRET,
    DEFAULT_TENANT, Duplicate, Endpoint, Limit, Outcome, PackageFault, QuotaMode,
};
pub use faults::Faults;
pub use log::LoggedRequest;
pub use ports::listen;

use state::{Observer, State};

/// A running simulator. It stops when dropped.
pub struct Simulator {
    state: Arc<State>,
    ca_pem: Option<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts a simulator on a background thread. It listens when this returns.
    ///
    /// # Errors
    /// The address cannot be listened on, or the certificate or the thread cannot be made.
    pub fn start(config: Config) -> io::Result<Simulator> {
        Simulator::launch(config, None)
    }

    /// Like [`start`](Self::start); `observer` is called with each request when it has ended.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_observed(
        config: Config,
        observer: impl Fn(&LoggedRequest) + Send + Sync + 'static,
    ) -> io::Result<Simulator> {
        Simulator::launch(config, Some(Box::new(observer)))
    }

    fn launch(mut config: Config, observer: Option<Observer>) -> io::Result<Simulator> {
        let prefix = config.path_prefix.trim_matches('/').to_owned();
        config.path_prefix = if prefix.is_empty() { prefix } else { format!("/{prefix}") };
        let identity =
            if config.tls { Some(tls::identity().map_err(io::Error::other)?) } else { None };
        let listener = ports::listen(config.listen)?;
        listener.set_nonblocking(true)?;
        let scheme = if config.tls { "https" } else { "http" };
        let origin = format!("{scheme}://{}", listener.local_addr()?);
        let (acceptor, ca_pem) =
            identity.map_or((None, None), |it| (Some(it.acceptor), Some(it.ca_pem)));
        let state = Arc::new(State::new(config, origin, observer));

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&state);
        let thread =
            std::thread::Builder::new().name("mde-simulator".to_owned()).spawn(move || {
                runtime.block_on(async move {
                    tokio::select! {
                        () = server::run(listener, acceptor, shared) => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Simulator { state, ca_pem, stop: Some(stop), thread: Some(thread) })
    }

    /// Scheme, address and port: where the control endpoints are, with or without a path prefix.
    pub fn origin(&self) -> &str {
        &self.state.origin
    }

    /// Base address of the API, such as `http://127.0.0.1:PORT`, with the path prefix if there is
    /// one.
    pub fn api_url(&self) -> String {
        self.state.base()
    }

    /// Base address of the sign-in service; the same as that of the API.
    pub fn login_url(&self) -> String {
        self.state.base()
    }

    /// The authority to trust, in PEM, if TLS is on.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Id of the n-th machine, counted from 0: 40 lower-case hex digits, the same in every run.
    /// From [`Config::machines`] on, ids that no machine has.
    pub fn machine_id(&self, n: usize) -> String {
        ids::machine_id(n)
    }

    /// Adds one scripted rule, or an array of them, behind those in force.
    ///
    /// # Errors
    /// A rule that makes no sense; then none is added.
    pub fn script(&self, rule: Value) -> Result<(), String> {
        self.state.world().script.add(rule)
    }

    /// Drops all scripted rules.
    pub fn clear_script(&self) {
        self.state.world().script.clear();
    }

    /// The requests so far, in order of arrival.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.state.log.requests()
    }

    /// Returns the requests that have ended, and forgets them. So a simulator that runs for hours stays small.
    pub fn take_requests(&self) -> Vec<LoggedRequest> {
        self.state.log.take_ended()
    }

    /// Returns the oldest actions that have ended, and forgets them. The latest `kept` ones stay.
    pub fn take_actions(&self, kept: usize) -> Vec<Value> {
        let taken = self.state.world().actions.take_oldest(kept);
        taken.iter().map(actions::Action::to_json).collect()
    }

    /// Forgets the requests and the count of refusals.
    pub fn clear_requests(&self) {
        self.state.log.clear();
    }

    /// How many calls quotas have refused.
    pub fn refusals(&self) -> usize {
        self.state.log.refusals()
    }

    /// All actions as they would be served now.
    pub fn actions(&self) -> Vec<Value> {
        control::actions(&self.state)
    }

    /// Adds an action whose status never changes: a past one, or one of another type. Missing
    /// members are those of a finished collection on the first machine. Returns the action.
    ///
    /// # Errors
    /// Not an object, or a member that actions do not have.
    pub fn add_action(&self, action: Value) -> Result<Value, String> {
        control::add(&self.state, &action)
    }

    /// Changes how the simulator behaves from now on.
    pub fn set(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.state.world().behaviour);
    }

    /// Revokes every token issued so far; returns how many there were.
    pub fn revoke_tokens(&self) -> usize {
        self.state.world().tokens.revoke()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
