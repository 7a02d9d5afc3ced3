//! What a failure says: about one device, or about all of them.

use std::time::Duration;

use crate::error::{Error, Stage};
use crate::status::Status;

/// How often a device is tried again after transient failures. The next call tries it again as well.
pub(super) const MOST_TRIES: u8 = 4;

/// Failures that concern all devices, and that time may cure, end the call after this time without a success.
const LASTS: Duration = Duration::from_secs(300);

/// Failures that concern all devices end the call only if there have been as many in a row. If no time cures them, they do
/// so at once.
const MOST_IN_A_ROW: u32 = 3;

/// The pause before a device is tried again.
pub(super) fn pause_of_device(tries: u8) -> Duration {
    Duration::from_secs(30 << tries.min(5))
}

/// Whether the failure is not that of one device: the next one would fail in the same way.
pub(super) fn concerns_all(error: &Error) -> bool {
    // Whatever its status, without a token there is no request.
    let is_of_sign_in = error.stage() == Some(Stage::Token) && !error.is_stop();
    is_of_sign_in
        || error.is_of_system()
        || matches!(
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
        let (since, count) = earlier.map_or((now, 0), |earlier| (earlier.since, earlier.count));
        let pause = Duration::from_secs(1 << count.min(6));
        Trouble { since, last: now, count: count.saturating_add(1), until: now + pause, error }
    }

    /// The error that ends the call, if the trouble lasts.
    pub(super) fn lasting(&self) -> Option<Error> {
        let is_cured_by_time = self.error.is_retryable() && self.error.status() != Status::DiskFull;
        let has_lasted = self.last.saturating_sub(self.since) >= LASTS;
        let lasts = self.count >= MOST_IN_A_ROW && (has_lasted || !is_cured_by_time);
        lasts.then(|| self.error.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(passed: u64) -> Duration {
        Duration::from_secs(passed)
    }

    /// The trouble after failures at these times.
    fn trouble(status: Status, at: impl IntoIterator<Item = u64>) -> Trouble {
        let error = || Error::new(status, "m");
        at.into_iter()
            .fold(None, |so_far, at| Some(Trouble::after(so_far, error(), second(at))))
            .unwrap()
    }

    #[test]
    fn failures_that_time_cures_end_the_call_after_five_minutes() {
        assert!(trouble(Status::Connect, (0..300).step_by(10)).lasting().is_none());
        assert!(trouble(Status::Connect, (0..=300).step_by(10)).lasting().is_some());
    }

    #[test]
    fn other_failures_end_the_call_with_the_third_in_a_row() {
        assert!(trouble(Status::Forbidden, [0, 1]).lasting().is_none());
        assert!(trouble(Status::Forbidden, [0, 1, 2]).lasting().is_some());
    }

    /// Polls may be an hour apart.
    #[test]
    fn two_failures_are_no_series_however_far_apart() {
        assert!(trouble(Status::Connect, [0, 3_600]).lasting().is_none());
        assert!(trouble(Status::Connect, [0, 3_600, 7_200]).lasting().is_some());
        assert!(trouble(Status::Forbidden, [0, 3_600]).lasting().is_none());
        assert!(trouble(Status::Forbidden, [0, 3_600, 7_200]).lasting().is_some());
    }

    #[test]
    fn the_pause_grows_to_a_minute() {
        assert_eq!(trouble(Status::Connect, [0]).until, second(1));
        assert_eq!(trouble(Status::Connect, 0..4).until, second(3 + 8));
        assert_eq!(trouble(Status::Connect, 0..20).until, second(19 + 64));
    }

    #[test]
    fn a_failing_disk_concerns_all_devices_and_a_file_in_the_way_does_not() {
        let in_the_way = Error::new(Status::File, "it exists");
        assert!(!concerns_all(&in_the_way));
        assert!(concerns_all(&in_the_way.of_system()));
    }

    #[test]
    fn a_failure_to_sign_in_concerns_all_devices_whatever_its_status() {
        let failed = |status| Error::new(status, "no").with_stage(Stage::Token);
        assert!(concerns_all(&failed(Status::Service)));
        assert!(!concerns_all(&failed(Status::Cancelled)));
        assert!(!concerns_all(&Error::new(Status::Service, "no").with_stage(Stage::Reply)));
    }
}
