//! How often an action is looked at.

use std::time::Duration;

/// Actions that take long are looked at once a minute.
const SLOWEST: Duration = Duration::from_secs(60);

/// The pause before the next look at an action that has been in its state for `age`: an eighth of that, so that
/// its end is noticed with at most an eighth of its time on top; never shorter than `fastest`
/// (`poll_interval_ms`), and not longer than a minute unless that is.
pub(super) fn pause(age: Duration, fastest: Duration) -> Duration {
    (age / 8).min(SLOWEST).max(fastest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_the_interval_to_a_minute() {
        let (second, fastest) = (Duration::from_secs(1), Duration::from_secs(15));
        assert_eq!(pause(Duration::ZERO, fastest), fastest);
        assert_eq!(pause(120 * second, fastest), fastest);
        assert_eq!(pause(240 * second, fastest), 30 * second);
        assert_eq!(pause(86_400 * second, fastest), SLOWEST);
        assert_eq!(pause(second, 300 * second), 300 * second);
    }
}
