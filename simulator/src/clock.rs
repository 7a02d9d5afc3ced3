//! Simulated time, and the service's way to write a time stamp.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Counts simulated time from the start of the simulator.
#[derive(Debug, Clone)]
pub struct Clock {
    start: Instant,
    scale: f64,
}

impl Clock {
    pub fn new(scale: f64) -> Self {
        let scale = if scale.is_finite() && scale > 0.0 { scale } else { 1.0 };
        Clock { start: Instant::now(), scale }
    }

    /// Simulated time since the start.
    pub fn now(&self) -> Duration {
        self.start.elapsed().mul_f64(self.scale)
    }

    /// Real milliseconds since the start.
    pub fn real_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How long a simulated span takes in reality.
    pub fn real(&self, simulated: Duration) -> Duration {
        Duration::try_from_secs_f64(simulated.as_secs_f64() / self.scale).unwrap_or(Duration::MAX)
    }
}

/// Seconds from a user. Negative and other impossible values count as 0.
pub fn seconds(s: f64) -> Duration {
    Duration::try_from_secs_f64(s.max(0.0)).unwrap_or(Duration::MAX)
}

/// `2026-01-24T22:17:02.3601426Z`: seven digits of fraction with trailing zeros dropped, which
/// leaves none at all when the fraction is zero.
pub fn stamp(at: Timestamp) -> String {
    let ticks = at.subsec_nanosecond().unsigned_abs() / 100;
    let whole = at.strftime("%Y-%m-%dT%H:%M:%S");
    if ticks == 0 {
        return format!("{whole}Z");
    }
    let fraction = format!("{ticks:07}");
    format!("{whole}.{}Z", fraction.trim_end_matches('0'))
}

/// `Mon, 20 Oct 2025 02:05:29 GMT`, for headers and blob errors.
pub fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_zeros_are_dropped() {
        for (text, expected) in [
            ("2026-01-24T22:17:02.3601426Z", "2026-01-24T22:17:02.3601426Z"),
            ("2026-01-24T22:17:02.360142600Z", "2026-01-24T22:17:02.3601426Z"),
            ("2026-01-24T22:17:02.36Z", "2026-01-24T22:17:02.36Z"),
            ("2026-01-24T22:17:02.0000100Z", "2026-01-24T22:17:02.00001Z"),
            ("2026-01-24T22:17:02Z", "2026-01-24T22:17:02Z"),
        ] {
            assert_eq!(stamp(text.parse().unwrap()), expected);
        }
    }

    #[test]
    fn dates_of_headers() {
        assert_eq!(
            http_date("2025-10-20T02:05:29.9Z".parse().unwrap()),
            "Mon, 20 Oct 2025 02:05:29 GMT"
        );
    }
}
