//! All settings: [`Config`] is fixed at the start, [`Behaviour`] may change while the simulator runs.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::faults::Faults;

/// Tenant of the default application.
pub const DEFAULT_TENANT: &str = "9d4b7c1e-2f60-4a85-8c3d-51e0a7b6f924";
/// Client id of the default application.
pub const DEFAULT_CLIENT: &str = "3a8f5d02-6b7c-4e19-9f48-c2d1708be563";
/// Secret of the default application. It contains characters that a form body must escape.
pub const DEFAULT_SECRET: &str = "sim8Q~not+a/real=secret&100%";
/// The `requestor` of the default application. For other applications it is the client id, as the
/// service also does.
pub const DEFAULT_NAME: &str = "Simulator test application";

/// The settings that are fixed when the simulator starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Serve HTTPS with a certificate for `127.0.0.1` and `localhost` from a fresh test authority.
    pub tls: bool,
    /// Simulated seconds that pass in a real second. Scales quota windows, the durations of actions
    /// and the life of links; time stamps and tokens stay on the wall clock.
    pub time_scale: f64,
    /// How many machines the tenant has.
    pub machines: usize,
    /// The tags of machines: how many of the first machines have each.
    pub tags: BTreeMap<String, usize>,
    /// The names of device groups, which take the machines in turn. Without any, machines have no group.
    pub groups: Vec<String>,
    /// The applications that may sign in.
    pub applications: Vec<Application>,
    /// Life of a token in real seconds, as in `expires_in`.
    pub token_lifetime_s: u64,
    /// How calls are counted.
    pub quota_mode: QuotaMode,
    /// The limits of each endpoint; all limits of an endpoint apply together.
    pub quota_limits: BTreeMap<Endpoint, Vec<Limit>>,
    /// When, between arrival and reply, a call is counted.
    pub count_at: CountAt,
    /// Whether a refused call uses a slot as well.
    pub count_refused: bool,
    /// Where fixed windows begin, in simulated seconds after the start of the simulator.
    pub fixed_phase_s: f64,
    /// Least and greatest latency of a reply, in real milliseconds.
    pub latency_ms: (u64, u64),
    /// Whether a 429 carries `Retry-After`. The documentation promises it; no recorded reply of this
    /// service has one.
    pub retry_after: bool,
    /// A path in front of everything but the control endpoints, such as `/gateway/mde`.
    pub path_prefix: String,
    /// Most entries in one page of a list; the rest is behind `@odata.nextLink`.
    pub page_size: usize,
    /// Repeats what is drawn by chance: [`Behaviour::faults`] and [`Duplicate::Either`].
    pub seed: Option<u64>,
    /// How actions and downloads behave at first.
    pub behaviour: Behaviour,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: false,
            time_scale: 1.0,
            machines: 100,
            tags: BTreeMap::new(),
            groups: Vec::new(),
            applications: vec![Application::default()],
            token_lifetime_s: 3599,
            quota_mode: QuotaMode::Sliding,
            quota_limits: Endpoint::ALL.iter().map(|e| (*e, e.documented_limits())).collect(),
            count_at: CountAt::Arrival,
            count_refused: false,
            fixed_phase_s: 0.0,
            latency_ms: (0, 0),
            retry_after: false,
            path_prefix: String::new(),
            page_size: 10_000,
            seed: None,
            behaviour: Behaviour::default(),
        }
    }
}

/// An application registered in a tenant, with application permissions granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// Directory that the application belongs to.
    pub tenant_id: String,
    /// Application id.
    pub client_id: String,
    /// The value (not the id) of its secret.
    pub client_secret: String,
    /// Its permissions, such as `Machine.Read.All`.
    pub roles: Vec<String>,
}

impl Default for Application {
    fn default() -> Self {
        Application {
            tenant_id: DEFAULT_TENANT.to_owned(),
            client_id: DEFAULT_CLIENT.to_owned(),
            client_secret: DEFAULT_SECRET.to_owned(),
            roles: vec!["Machine.CollectForensics".to_owned(), "Machine.Read.All".to_owned()],
        }
    }
}

/// A kind of call with a quota of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// Start a collection.
    Collect,
    /// Read one action.
    Read,
    /// List actions.
    List,
    /// Cancel an action.
    Cancel,
    /// Get the download link of a package.
    Link,
    /// Read, list or find machines.
    Machines,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Endpoint; 6] = [
        Endpoint::Collect,
        Endpoint::Read,
        Endpoint::List,
        Endpoint::Cancel,
        Endpoint::Link,
        Endpoint::Machines,
    ];

    /// The name used in flags and statistics.
    pub fn name(self) -> &'static str {
        match self {
            Endpoint::Collect => "collect",
            Endpoint::Read => "read",
            Endpoint::List => "list",
            Endpoint::Cancel => "cancel",
            Endpoint::Link => "link",
            Endpoint::Machines => "machines",
        }
    }

    /// The limits that the documentation gives for this endpoint: 2 in a minute and 120 in an hour
    /// for a link, 100 and 1,500 for the rest.
    ///
    /// <https://learn.microsoft.com/defender-endpoint/api/get-package-sas-uri>
    pub fn documented_limits(self) -> Vec<Limit> {
        let (minute, hour) = match self {
            Endpoint::Link => (2, 120),
            _ => (100, 1500),
        };
        vec![Limit { calls: minute, seconds: 60 }, Limit { calls: hour, seconds: 3600 }]
    }
}

/// A number of calls in a window of simulated seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Calls allowed in one window.
    pub calls: usize,
    /// Length of the window in simulated seconds.
    pub seconds: u64,
}

/// How calls are counted against a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaMode {
    /// No window of the limit's length, wherever it starts, may hold more calls than the limit.
    Sliding,
    /// Windows follow one another without a gap; each counts from 0.
    Fixed,
    /// Nothing is refused.
    Off,
}

/// The instant at which a call is counted. It is not documented, so a client must be right for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountAt {
    /// When the request has arrived.
    Arrival,
    /// Just before the reply leaves.
    Reply,
    /// Anywhere between the two.
    Random,
}

/// The settings that may change while the simulator runs.
///
/// Durations are in simulated seconds. Running actions follow new values at once, but never return
/// to an earlier status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    /// How long an action stays `Pending`.
    pub pending_s: f64,
    /// How long it then stays `InProgress`.
    pub in_progress_s: f64,
    /// How many of the first machines are offline. Their actions stay `Pending`, and `pending_s` begins
    /// when they are back.
    pub offline: usize,
    /// How it ends.
    pub outcome: Outcome,
    /// How actions on particular machines end, by machine id.
    pub machine_outcomes: BTreeMap<String, Outcome>,
    /// Whether a link comes wrapped in a pair of literal quotation marks, as the documentation
    /// shows it.
    pub quoted_links: bool,
    /// How long a link can be used.
    pub link_lifetime_s: f64,
    /// How long a new action cannot be found by its id, in the list, or for its link.
    pub not_found_after_create_s: f64,
    /// How long the list does not show a new action, although its id is known.
    pub list_lag_s: f64,
    /// What becomes of requests for a collection.
    pub faults: Faults,
    /// What a second collection on a busy machine gets.
    pub duplicate: Duplicate,
    /// The error code of [`Duplicate::Refuse400`]. The service's own code varies: try also `""` and
    /// `BadRequest`.
    pub duplicate_code: String,
    /// Whether the download host answers `Range`; if not, it sends the whole package with 200.
    pub ranges: bool,
    /// Size of an incompressible file added to each package, in bytes, for downloads of any length.
    /// It is generated while it is sent and takes no memory.
    pub package_bytes: u64,
    /// Changes the content, and so the `ETag`, of every package: as if it had been collected again.
    pub package_edition: u32,
    /// What is wrong with every package.
    pub package_fault: PackageFault,
    /// How many downloads a link allows, each part of a package counted; 0 for any number. A request
    /// that gets an error does not count.
    pub link_uses: u32,
    /// Whether an invalid link gets 200 with an empty body instead of 403, as users of blob storage
    /// have reported.
    pub empty_when_expired: bool,
    /// Whether downloads come in chunks, without a length.
    pub chunked_downloads: bool,
    /// How many bytes of a body are sent before its connection is cut; 0 for all.
    pub cut_downloads_after: u64,
    /// Greatest speed of a download in bytes per real second; 0 for no limit.
    pub download_rate: u64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Behaviour {
            pending_s: 5.0,
            in_progress_s: 60.0,
            offline: 0,
            outcome: Outcome::Succeeded,
            machine_outcomes: BTreeMap::new(),
            quoted_links: true,
            link_lifetime_s: 60.0,
            not_found_after_create_s: 0.0,
            list_lag_s: 0.0,
            faults: Faults::default(),
            duplicate: Duplicate::Refuse400,
            duplicate_code: "ActiveRequestAlreadyExists".to_owned(),
            ranges: true,
            package_bytes: 0,
            package_edition: 0,
            package_fault: PackageFault::None,
            link_uses: 0,
            empty_when_expired: false,
            chunked_downloads: false,
            cut_downloads_after: 0,
            download_rate: 0,
        }
    }
}

/// A fault in a package that is served like any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PackageFault {
    /// Nothing.
    None,
    /// One file has content that does not match its checksum.
    Checksum,
    /// The host has only the first three quarters of the zip.
    Truncated,
    /// It is whole, and one file leaves the folder where it is unpacked.
    Unsafe,
    /// It is a web page, as a filtering proxy puts in place of a download.
    Html,
}

/// The final status of an action that nobody cancels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The package is ready.
    Succeeded,
    /// The device could not collect it.
    Failed,
    /// The device did not answer in time.
    TimeOut,
}

/// What a second collection on a busy machine gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Duplicate {
    /// 400 with [`Behaviour::duplicate_code`].
    Refuse400,
    /// 201 with the action that is already running.
    ReturnExisting,
    /// One of the two, by chance.
    Either,
}
