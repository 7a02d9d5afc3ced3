//! What a failure says: about one device, or about all of them.

use std::time::Duration;

use crate::error::Error;
use crate::status::Status;

/// How often a device is tried again after transient failures. The next call tries it again as well.
pub(super) const MOST_TRIES: u8 = 4;

/// Failures that concern all devices end the call after this time without a success.
const LASTS: Duration = Duration::from_secs(300);

/// Failures that concern all devices and that no time cures end the call when there have been as many in a row.
const MOST_IN_A_ROW: u32 = 3;

/// The pause before a device is tried again.
pub(super) fn pause_of_device(tries: u8) -> Duration {
    Duration::from_secs(30 << tries.min(5))
}

/// Whether the failure is not that of one device: the next one would fail in the same way.
pub(super) fn concerns_all(error: &Error) -> bool {
    matches!(
        error.status(),
        Status::Token
            | Status::Unauthorized
            | Status::Forbidden
            | Status::Resolve
            | Status::Connect
            | Status::Tls
            | Status::Proxy
            | Status::DiskFull
    )
}

/// Whether the quota had no room. That is no failure.
pub(super) fn is_about_quota(error: &Error) -> bool {
    matches!(error.status(), Status::RateLimited | Status::Throttled)
}

/// Failures in a row that concern all devices. Nothing is asked before `until`.
#[derive(Debug)]
pub(super) struct Trouble {
    since: Duration,
    last: Duration,
    count: u32,
    pub until: Duration,
    error: Error,
}

impl Trouble {
    /// The trouble after one more failure.
    pub(super) fn after(earlier: Option<Trouble>, error: Error, now: Duration) -> Trouble {
        // A poll that shows nothing new is not reported, so failures far apart are no series.
        let earlier = earlier.filter(|earlier| now.saturating_sub(earlier.last) < LASTS);
        let (since, count) = earlier.map_or((now, 0), |earlier| (earlier.since, earlier.count));
        let pause = Duration::from_secs(1 << count.min(6));
        Trouble { since, last: now, count: count.saturating_add(1), until: now + pause, error }
    }

    /// The error that ends the call, if the trouble lasts.
    pub(super) fn lasting(&self) -> Option<Error> {
        let lasts = match self.error.is_retryable() && self.error.status() != Status::DiskFull {
            true => self.last.saturating_sub(self.since) >= LASTS,
            false => self.count >= MOST_IN_A_ROW,
        };
        lasts.then(|| self.error.clone())
    }
}
