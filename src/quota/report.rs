//! How the quota stands, in the form callers get it.

use std::time::Duration;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::limiter::Limiter;
use super::limits::Limits;
use crate::error::millis_up;
use crate::service::endpoint::Quota;

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

/// One entry per endpoint and window. Without a limiter nothing was spent yet.
pub(crate) fn report(limiter: Option<&Limiter>, limits: &Limits) -> Vec<QuotaWindow> {
    let mut entries = Vec::new();
    for quota in Quota::ALL {
        let snapshot = limiter.map(|limiter| limiter.snapshot(quota, limits)).unwrap_or_default();
        for (at, window) in limits.of(quota).iter().enumerate() {
            entries.push(QuotaWindow {
                endpoint: quota.name(),
                limit: window.limit,
                window: window.length,
                used: snapshot.used.get(at).copied().unwrap_or(0),
                in_flight: snapshot.in_flight,
                queued: snapshot.queued,
                available_in: snapshot.available_in,
            });
        }
    }
    entries
}
