//! How the quota stands, in the form callers get it.

use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Rules;
use super::limiter::{Limiter, Snapshot};
use crate::error::millis_up;
use crate::service::endpoint::Quota;
use crate::text::json;

/// How much of each quota is used, and where that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuotaStatus {
    /// One entry per endpoint and window.
    pub quotas: Vec<QuotaWindow>,
    /// Where the log lives.
    pub log: QuotaLog,
    /// `false`: neither the options nor a token have told yet whose quota is spent, so only the limits are known,
    /// and the figures are zero.
    pub known: bool,
}

/// Where the log of calls lives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuotaLog {
    /// `process` (in memory), `file` or `redis`.
    pub kind: &'static str,
    /// The file's path or the server's address.
    pub place: Option<String>,
    /// Why the shared log is not used at present, and this process counts only its own calls; or why others may not
    /// be able to use it.
    pub trouble: Option<String>,
}

impl QuotaStatus {
    /// `{"quotas":[{…},…],"log":{…}}`
    pub fn to_json(&self) -> String {
        json::text(self)
    }
}

impl Serialize for QuotaStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_map(None)?;
        let rows = self.quotas.iter().map(|window| Row { window, known: self.known });
        document.serialize_entry("quotas", &rows.collect::<Vec<_>>())?;
        document.serialize_entry("log", &self.log)?;
        if !self.known {
            document.serialize_entry("known", &false)?;
        }
        document.end()
    }
}

impl Serialize for QuotaLog {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut log = serializer.serialize_map(None)?;
        log.serialize_entry("kind", self.kind)?;
        if let Some(place) = &self.place {
            log.serialize_entry("place", place)?;
        }
        if let Some(trouble) = &self.trouble {
            log.serialize_entry("trouble", trouble)?;
        }
        log.end()
    }
}

/// One window of one endpoint's quota: as this process sees it or, where the log is shared, all who share it.
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
    /// How long the endpoint stays closed because the service said 429.
    pub closed_for: Option<Duration>,
}

/// A window as documents show it.
struct Row<'a> {
    window: &'a QuotaWindow,
    known: bool,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Row { window, known } = self;
        let mut row = serializer.serialize_map(None)?;
        row.serialize_entry("endpoint", window.endpoint)?;
        row.serialize_entry("limit", &window.limit)?;
        match window.window.subsec_nanos() {
            0 => row.serialize_entry("window_s", &window.window.as_secs())?,
            _ => row.serialize_entry("window_s", &window.window.as_secs_f64())?,
        }
        if !known {
            return row.end();
        }
        row.serialize_entry("used", &window.used)?;
        row.serialize_entry("in_flight", &window.in_flight)?;
        row.serialize_entry("queued", &window.queued)?;
        if let Some(wait) = window.available_in {
            row.serialize_entry("available_in_ms", &millis_up(wait))?;
        }
        if let Some(wait) = window.closed_for {
            row.serialize_entry("closed_ms", &millis_up(wait))?;
            row.serialize_entry("closed_by", "throttled")?;
        }
        row.end()
    }
}

/// What is known without knowing whose quota it is.
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
            let (kind, place) = ledger.place();
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
