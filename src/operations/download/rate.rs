//! The rate of a download over the last seconds.

use std::time::{Duration, Instant};

/// A rate is an average over the last one to two spans.
const SPAN: Duration = Duration::from_secs(2);

pub(super) struct Rate {
    marks: [(Instant, u64); 2],
}

impl Rate {
    pub(super) fn new(now: Instant, bytes: u64) -> Rate {
        Rate { marks: [(now, bytes); 2] }
    }

    /// Bytes per second, with `bytes` downloaded at `now`.
    pub(super) fn at(&mut self, now: Instant, bytes: u64) -> u64 {
        let [older, newer] = self.marks;
        if now.saturating_duration_since(newer.0) >= SPAN {
            self.marks = [newer, (now, bytes)];
        }
        let millis = now.saturating_duration_since(older.0).as_millis().max(1);
        let per_second = u128::from(bytes.saturating_sub(older.1)) * 1_000 / millis;
        u64::try_from(per_second).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_the_last_seconds() {
        let start = Instant::now();
        let mut rate = Rate::new(start, 500);
        let at = |ms: u64| start + Duration::from_millis(ms);
        assert_eq!(rate.at(at(0), 500), 0);
        assert_eq!(rate.at(at(1_000), 1_500), 1_000);
        for second in 2..=10 {
            rate.at(at(second * 1_000), 500 + second * 1_000);
        }
        // Ten times as fast from now on.
        let mut last = 0;
        for second in 11..=20 {
            last = rate.at(at(second * 1_000), 10_500 + (second - 10) * 10_000);
        }
        assert_eq!(last, 10_000);
    }
}
