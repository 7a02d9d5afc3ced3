//! The flags of the program and what they set.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use mde_simulator::{
    Application, Behaviour, Config, CountAt, Duplicate, Endpoint, Faults, Limit, Outcome,
    PackageFault, QuotaMode,
};

const SESSION: &str = r#"Example session (one simulated minute passes in a second):
  mde-simulator --listen 127.0.0.1:8080 --time-scale 60 &
  U=http://127.0.0.1:8080
  T=$(curl -s $U/9d4b7c1e-2f60-4a85-8c3d-51e0a7b6f924/oauth2/v2.0/token \
      -d grant_type=client_credentials -d client_id=3a8f5d02-6b7c-4e19-9f48-c2d1708be563 \
      --data-urlencode 'client_secret=sim8Q~not+a/real=secret&100%' \
      --data-urlencode scope=https://api.securitycenter.microsoft.com/.default |
      sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl -s -H "Authorization: Bearer $T" "$U/api/machines?\$top=1&\$select=id"
  curl -s -H "Authorization: Bearer $T" -H 'Content-Type: application/json' \
      -d '{"Comment":"why"}' $U/api/machines/MACHINE_ID/collectInvestigationPackage
  curl -s -H "Authorization: Bearer $T" $U/api/machineactions/ACTION_ID
  curl -s -H "Authorization: Bearer $T" $U/api/machineactions/ACTION_ID/getPackageUri
  curl -s -o package.zip 'THE_LINK'        # without the token, and without its quotation marks

Control it while it runs (JSON; see the README for scripted replies):
  curl -s $U/_control/behaviour -d '{"outcome":"Failed","pending_s":0}'
  curl -s $U/_control/script -d '{"match":{"path_contains":"machineactions"},"reply":{"status":503}}'
  curl -s $U/_control/stats
"#;

/// A simulator of the Microsoft Defender for Endpoint API, to develop and test clients that collect
/// investigation packages without a tenant.
///
/// It signs applications in, has some machines, runs collections through their states, returns links
/// that expire, serves real packages, and refuses calls beyond the documented quotas. "Simulated"
/// seconds pass --time-scale times as fast as real ones.
#[derive(Parser)]
#[command(version, after_help = SESSION)]
pub struct Flags {
    /// Address and port to listen on; port 0 lets the system choose
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Serve HTTPS, with a certificate from a test authority made at each start
    #[arg(long)]
    tls: bool,
    /// Write the test authority's certificate (PEM) to this file; needs --tls
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub ca_out: Option<PathBuf>,
    /// Write the port to this file once it is listening
    #[arg(long, value_name = "FILE")]
    pub port_file: Option<PathBuf>,
    /// Do not print a line for each request
    #[arg(long)]
    pub quiet: bool,
    /// Simulated seconds per real second: for quota windows, actions and links; not for time stamps
    /// and tokens
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    time_scale: f64,
    /// How many machines the tenant has
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    machines: usize,
    /// How many of the first machines have the tag DMZ; another tag as TAG=COUNT; may be repeated
    #[arg(long, value_name = "[TAG=]COUNT", value_parser = tagged)]
    tagged: Vec<(String, usize)>,
    /// The names of device groups, which take the machines in turn
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    groups: Vec<String>,
    /// How many of the first machines are offline: an action stays Pending until its machine is back
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    offline: usize,
    /// An application that may sign in, as TENANT:CLIENT:SECRET:ROLE,ROLE (the secret may hold
    /// colons); may be repeated [default: one with a fixed identity, as in the example below]
    #[arg(long, value_name = "APP", value_parser = application)]
    application: Vec<Application>,
    /// Life of a token, in real seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3599)]
    token_lifetime: u64,
    /// How calls are counted: any window of the limit's length, windows one after the other, or not
    #[arg(long, value_enum, default_value = "sliding")]
    quota_mode: Mode,
    /// Other limits than the documented ones, in calls per simulated seconds, such as
    /// "link=2/60,120/3600;collect=10/60"; endpoints: collect read list cancel link machines
    /// [default: 100/60,1500/3600, but 2/60,120/3600 for link]
    #[arg(long, value_name = "LIMITS", value_parser = limits)]
    quota_limits: Option<Limits>,
    /// When a call is counted, between its arrival and its reply
    #[arg(long, value_enum, default_value = "arrival")]
    count_at: Counted,
    /// Let refused calls use up the quota as well
    #[arg(long)]
    count_refused: bool,
    /// Where fixed windows begin, in simulated seconds after the start
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    fixed_phase: f64,
    /// Delay of each reply, in real milliseconds: one number or a range
    #[arg(long, value_name = "MS[-MS]", default_value = "0", value_parser = range)]
    latency: (u64, u64),
    /// Send Retry-After with a 429; recorded replies of the service have none
    #[arg(long)]
    retry_after: bool,
    /// A path before all others, as gateways add it, such as /gateway/mde
    #[arg(long, value_name = "PATH", default_value = "")]
    path_prefix: String,
    /// Most entries in one page of a list
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    page_size: usize,
    /// How long an action stays Pending, in simulated seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    pending: f64,
    /// How long it then stays InProgress, in simulated seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    in_progress: f64,
    /// How actions end
    #[arg(long, value_enum, default_value = "succeeded")]
    outcome: End,
    /// How actions on one machine end, as ID=OUTCOME; may be repeated
    #[arg(long, value_name = "ID=OUTCOME", value_parser = machine_outcome)]
    machine_outcome: Vec<(String, Outcome)>,
    /// Return links bare, not wrapped in a pair of quotation marks
    #[arg(long)]
    bare_links: bool,
    /// How long a link can be used, in simulated seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    link_lifetime: f64,
    /// How long a new action cannot be found, in simulated seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    not_found_after_create: f64,
    /// How long the list does not show a new action, in simulated seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    list_lag: f64,
    /// What becomes of requests for a collection, in a hundred: the connection is closed, or a 5xx
    /// or 408 sent, before or after it was carried out, or it arrives late; such as
    /// "lost-before=5,lost-after=5,failed-before=5,failed-after=5,late=5"
    #[arg(long, value_name = "FAULTS", default_value = "", hide_default_value = true, value_parser = faults)]
    faults: Faults,
    /// How late requests arrive at most, in simulated seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    late: f64,
    /// Repeat what is drawn by chance: faults, and --duplicate=either
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// What a second collection on a busy machine gets: a 400, the running action again, or either
    #[arg(long, value_enum, default_value = "refuse400")]
    duplicate: Second,
    /// The error code of that 400
    #[arg(long, value_name = "CODE", default_value = "ActiveRequestAlreadyExists")]
    duplicate_code: String,
    /// Ignore Range on downloads and always send the whole package
    #[arg(long)]
    no_ranges: bool,
    /// Size of an incompressible file added to each package, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    package_bytes: u64,
    /// Another content and ETag for each package, as if it had been collected again
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    package_edition: u32,
    /// What is wrong with each package: nothing, a file's checksum, its last quarter is missing, or
    /// it is a web page
    #[arg(long, value_enum, default_value = "none")]
    package_fault: Fault,
    /// How many downloads, or parts of one, a link allows; 0 for any number
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    link_uses: u32,
    /// Answer invalid links with 200 and an empty body instead of 403
    #[arg(long)]
    empty_when_expired: bool,
    /// Send downloads in chunks, without a length
    #[arg(long)]
    chunked_downloads: bool,
    /// Cut the connection of a download after so many bytes of its body; 0 for never
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    cut_downloads_after: u64,
    /// Greatest speed of a download, in bytes per real second; 0 for no limit
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    download_rate: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Fault {
    None,
    Checksum,
    Truncated,
    Unsafe,
    Html,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Sliding,
    Fixed,
    Off,
}

#[derive(Clone, Copy, ValueEnum)]
enum Counted {
    Arrival,
    Reply,
    Random,
}

#[derive(Clone, Copy, ValueEnum)]
enum End {
    Succeeded,
    Failed,
    TimeOut,
}

#[derive(Clone, Copy, ValueEnum)]
enum Second {
    Refuse400,
    ReturnExisting,
    Either,
}

/// One name, so that the flag takes one value.
type Limits = std::collections::BTreeMap<Endpoint, Vec<Limit>>;

fn application(text: &str) -> Result<Application, String> {
    let wrong = "must be TENANT:CLIENT:SECRET:ROLE,ROLE";
    let (tenant, rest) = text.split_once(':').ok_or(wrong)?;
    let (client, rest) = rest.split_once(':').ok_or(wrong)?;
    let (secret, roles) = rest.rsplit_once(':').ok_or(wrong)?;
    Ok(Application {
        tenant_id: tenant.to_owned(),
        client_id: client.to_owned(),
        client_secret: secret.to_owned(),
        roles: roles.split(',').filter(|r| !r.is_empty()).map(str::to_owned).collect(),
    })
}

fn limits(text: &str) -> Result<Limits, String> {
    let mut all = Limits::new();
    for part in text.split(';').filter(|part| !part.trim().is_empty()) {
        let (name, list) = part.split_once('=').ok_or("must be ENDPOINT=CALLS/SECONDS")?;
        let endpoint = Endpoint::ALL
            .into_iter()
            .find(|endpoint| endpoint.name() == name.trim())
            .ok_or_else(|| format!("no endpoint `{name}`"))?;
        let limits = list.split(',').map(|limit| {
            let (calls, seconds) = limit.split_once('/')?;
            let seconds = seconds.trim().parse().ok().filter(|s| *s > 0)?;
            Some(Limit { calls: calls.trim().parse().ok()?, seconds })
        });
        let limits: Option<Vec<Limit>> = limits.collect();
        all.insert(endpoint, limits.ok_or_else(|| format!("`{list}` is not CALLS/SECONDS"))?);
    }
    Ok(all)
}

fn tagged(text: &str) -> Result<(String, usize), String> {
    let (tag, count) = text.rsplit_once('=').unwrap_or(("DMZ", text));
    let count = count.trim().parse().map_err(|_| format!("`{count}` is no whole number"))?;
    Ok((tag.to_owned(), count))
}

fn faults(text: &str) -> Result<Faults, String> {
    let mut faults = Faults::default();
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        let (name, share) = part.split_once('=').ok_or("must be FAULT=SHARE")?;
        let share = share.trim().parse().map_err(|_| format!("`{share}` is no whole number"))?;
        *match name.trim() {
            "lost-before" => &mut faults.lost_before,
            "lost-after" => &mut faults.lost_after,
            "failed-before" => &mut faults.failed_before,
            "failed-after" => &mut faults.failed_after,
            "late" => &mut faults.late,
            _ => return Err(format!("no fault `{name}`")),
        } = share;
    }
    Ok(faults)
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    let number = |s: &str| s.trim().parse::<u64>().map_err(|e| e.to_string());
    let (least, most) = (number(least)?, number(most)?);
    if least <= most { Ok((least, most)) } else { Err("the range is empty".to_owned()) }
}

fn machine_outcome(text: &str) -> Result<(String, Outcome), String> {
    let (id, outcome) = text.split_once('=').ok_or("must be ID=OUTCOME")?;
    Ok((id.to_owned(), End::from_str(outcome, true)?.into()))
}

impl From<End> for Outcome {
    fn from(end: End) -> Self {
        match end {
            End::Succeeded => Outcome::Succeeded,
            End::Failed => Outcome::Failed,
            End::TimeOut => Outcome::TimeOut,
        }
    }
}

impl From<Flags> for Config {
    fn from(flags: Flags) -> Self {
        let mut config = Config {
            listen: flags.listen,
            tls: flags.tls,
            time_scale: flags.time_scale,
            machines: flags.machines,
            tags: flags.tagged.into_iter().collect(),
            groups: flags.groups,
            token_lifetime_s: flags.token_lifetime,
            quota_mode: match flags.quota_mode {
                Mode::Sliding => QuotaMode::Sliding,
                Mode::Fixed => QuotaMode::Fixed,
                Mode::Off => QuotaMode::Off,
            },
            count_at: match flags.count_at {
                Counted::Arrival => CountAt::Arrival,
                Counted::Reply => CountAt::Reply,
                Counted::Random => CountAt::Random,
            },
            count_refused: flags.count_refused,
            fixed_phase_s: flags.fixed_phase,
            latency_ms: flags.latency,
            retry_after: flags.retry_after,
            path_prefix: flags.path_prefix,
            page_size: flags.page_size,
            seed: flags.seed,
            behaviour: Behaviour {
                pending_s: flags.pending,
                in_progress_s: flags.in_progress,
                offline: flags.offline,
                outcome: flags.outcome.into(),
                machine_outcomes: flags.machine_outcome.into_iter().collect(),
                quoted_links: !flags.bare_links,
                link_lifetime_s: flags.link_lifetime,
                not_found_after_create_s: flags.not_found_after_create,
                list_lag_s: flags.list_lag,
                faults: Faults { late_s: flags.late, ..flags.faults },
                duplicate: match flags.duplicate {
                    Second::Refuse400 => Duplicate::Refuse400,
                    Second::ReturnExisting => Duplicate::ReturnExisting,
                    Second::Either => Duplicate::Either,
                },
                duplicate_code: flags.duplicate_code,
                ranges: !flags.no_ranges,
                package_bytes: flags.package_bytes,
                package_edition: flags.package_edition,
                package_fault: match flags.package_fault {
                    Fault::None => PackageFault::None,
                    Fault::Checksum => PackageFault::Checksum,
                    Fault::Truncated => PackageFault::Truncated,
                    Fault::Unsafe => PackageFault::Unsafe,
                    Fault::Html => PackageFault::Html,
                },
                link_uses: flags.link_uses,
                empty_when_expired: flags.empty_when_expired,
                chunked_downloads: flags.chunked_downloads,
                cut_downloads_after: flags.cut_downloads_after,
                download_rate: flags.download_rate,
            },
            ..Config::default()
        };
        if !flags.application.is_empty() {
            config.applications = flags.application;
        }
        config.quota_limits.extend(flags.quota_limits.unwrap_or_default());
        config
    }
}
