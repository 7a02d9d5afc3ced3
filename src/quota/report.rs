//! The state of the quota as callers get it.

use std::time::Duration;

use serde::Serialize;
use serde_json::Number;

use super::limiter::Limiter;
use super::rules::Rules;
use super::snapshot::Snapshot;
use crate::error::millis_up;
use crate::service::quota::Quota;
use crate::text::json;

/// How much of each quota is used, and where the call log is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuotaStatus {
    /// One entry per endpoint and window.
    pub quotas: Vec<QuotaWindow>,
    /// Where the call log is.
    pub log: QuotaLog,
    /// `false`: neither the options nor a token name the tenant and application yet. Then only the limits are known,
    /// and the figures are zero.
    pub known: bool,
}

/// Where the call log is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct QuotaLog {
    /// `process` (in memory), `file` or `redis`.
    pub kind: &'static str,
    /// The file's path or the server's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Why the shared log is not in use, so that this process counts only its own calls; or why other processes may
    /// be unable to use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl QuotaStatus {
    /// `{"quotas":[{…},…],"log":{…}}`
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            quotas: Vec<Row>,
            log: &'a QuotaLog,
            #[serde(skip_serializing_if = "Option::is_none")]
            known: Option<bool>,
        }
        json::text(&Document {
            quotas: self.quotas.iter().map(|window| Row::new(window, self.known)).collect(),
            log: &self.log,
            known: (!self.known).then_some(false),
        })
    }
}

/// One window of one endpoint's quota, over all processes that share the log.
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
    /// Calls that were sent and have no reply yet.
    pub in_flight: usize,
    /// Calls that wait for a slot.
    pub queued: usize,
    /// How long the next call would wait. `None`: until a call in flight has ended.
    pub available_in: Option<Duration>,
    /// How long the endpoint stays closed after a 429.
    pub closed_for: Option<Duration>,
}

/// A window in the document.
#[derive(Serialize)]
struct Row {
    endpoint: &'static str,
    limit: u32,
    window_s: Number,
    #[serde(flatten)]
    figures: Option<Figures>,
}

/// The figures of a window, which are absent until tenant and application are known.
#[derive(Serialize)]
struct Figures {
    used: usize,
    in_flight: usize,
    queued: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    available_in_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_by: Option<&'static str>,
}

impl Row {
    fn new(window: &QuotaWindow, known: bool) -> Row {
        let figures = Figures {
            used: window.used,
            in_flight: window.in_flight,
            queued: window.queued,
            available_in_ms: window.available_in.map(millis_up),
            closed_ms: window.closed_for.map(millis_up),
            closed_by: window.closed_for.map(|_| "throttled"),
        };
        Row {
            endpoint: window.endpoint,
            limit: window.limit,
            window_s: seconds(window.window),
            figures: known.then_some(figures),
        }
    }
}

/// The length in seconds, as an integer where possible.
fn seconds(length: Duration) -> Number {
    let whole = Number::from(length.as_secs());
    match length.subsec_nanos() {
        0 => whole,
        _ => Number::from_f64(length.as_secs_f64()).unwrap_or(whole),
    }
}

/// The status before tenant and application are known.
pub(crate) fn unknown(rules: &Rules, shared: Option<(&'static str, String)>) -> QuotaStatus {
    let log = match shared {
        None => QuotaLog { kind: "process", place: None, trouble: None },
        Some((kind, place)) => QuotaLog { kind, place: Some(place), trouble: None },
    };
    QuotaStatus { quotas: windows(rules, |_| Snapshot::default()), log, known: false }
}

pub(crate) fn report(limiter: &Limiter, rules: &Rules) -> QuotaStatus {
    let quotas = windows(rules, |quota| limiter.snapshot(quota, rules));
    let log = match rules.ledger.get() {
        None => QuotaLog { kind: "process", place: None, trouble: None },
        Some(ledger) => {
            let (kind, place) = ledger.location();
            QuotaLog { kind, place: Some(place), trouble: ledger.trouble() }
        }
    };
    QuotaStatus { quotas, log, known: true }
}

fn windows(rules: &Rules, of: impl Fn(Quota) -> Snapshot) -> Vec<QuotaWindow> {
    let mut entries = Vec::new();
    for quota in Quota::ALL {
        let snapshot = of(quota);
        let mut used = snapshot.used.into_iter();
        for window in rules.limits.of(quota) {
            entries.push(QuotaWindow {
                endpoint: quota.name(),
                limit: window.limit,
                window: window.length,
                used: used.next().unwrap_or_default(),
                in_flight: snapshot.in_flight,
                queued: snapshot.queued,
                available_in: snapshot.available_in,
                closed_for: snapshot.closed_for,
            });
        }
    }
    entries
}
