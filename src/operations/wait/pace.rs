//! How often an action is polled.

use std::time::Duration;

/// An action that takes long is polled once a minute.
const SLOWEST: Duration = Duration::from_secs(60);

/// The pause before the next poll of an action that has been in its state for `age`.
///
/// It is an eighth of `age`, so that an end is noticed with a delay of at most an eighth. It is at least `fastest`
/// (`poll_interval_ms`), and at most a minute unless `fastest` is longer.
pub(super) fn pause(age: Duration, fastest: Duration) -> Duration {
    (age / 8).min(SLOWEST).max(fastest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_from_the_interval_to_a_minute() {
        let (second, fastest) = (Duration::from_secs(1), Duration::from_secs(15));
        assert_eq!(pause(Duration::ZERO, fastest), fastest);
        assert_eq!(pause(120 * second, fastest), fastest);
        assert_eq!(pause(240 * second, fastest), 30 * second);
        assert_eq!(pause(86_400 * second, fastest), SLOWEST);
        assert_eq!(pause(second, 300 * second), 300 * second);
    }
}
