//! What others spend of the same quota, as far as the service's refusals show it.
//!
//! We never send more than the limits allow, so a 429 means that somebody else uses the same application,
//! or that the service counts more strictly than it says. Either way the calls that were missing are left out
//! of our own budget, so that what waits here does not go out all at once when the endpoint opens again, but
//! one after the other: each reply that is no refusal brings one of them back, and every window that passes
//! without another refusal half of them.

use std::time::Duration;

use super::clock::Time;
use super::ledger::BETWEEN_WARNINGS;
use super::window::Window;
use crate::log::{self, Level};
use crate::service::endpoint::Quota;

/// Calls left to others, per window.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    seen: Vec<Seen>,
    warned: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    length: Duration,
    calls: u32,
    at: Time,
}

/// A refusal taught something that is worth telling the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lesson {
    window: Window,
    calls: u32,
}

impl Seen {
    fn left(&self, now: Time) -> u32 {
        let passed = now.since(self.at).as_nanos() / self.length.as_nanos().max(1);
        u32::try_from(passed)
            .ok()
            .and_then(|halvings| self.calls.checked_shr(halvings))
            .unwrap_or(0)
    }
}

impl Foreign {
    /// The service refused a call while we had `used` this many calls in each of the windows. The window that
    /// was nearest to its limit is taken for the one that was full.
    pub(crate) fn learn(
        &mut self,
        windows: &[Window],
        used: impl Iterator<Item = usize>,
        now: Time,
    ) -> Option<Lesson> {
        // In thousandths.
        let fullness =
            |used: usize, window: &Window| used.saturating_mul(1_000) / window.limit as usize;
        let (window, used) = windows
            .iter()
            .zip(used)
            .max_by(|(w, used), (x, more)| fullness(*used, w).cmp(&fullness(*more, x)))?;
        // Room for one: the service has named the time when it takes another one.
        let used = u32::try_from(used).unwrap_or(u32::MAX).saturating_add(1);
        let missing = window.limit.saturating_sub(used);
        // Whoever is refused at full speed goes a little slower.
        let calls = missing.max(window.limit / 10).max(1).min(window.limit - 1);
        self.seen.retain(|seen| seen.length != window.length);
        self.seen.push(Seen { length: window.length, calls, at: now });
        if self.warned.is_some_and(|last| now.since(last) < BETWEEN_WARNINGS) {
            return None;
        }
        self.warned = Some(now);
        Some(Lesson { window: *window, calls })
    }

    /// The service took a call.
    pub(crate) fn ease(&mut self) {
        for seen in &mut self.seen {
            seen.calls = seen.calls.saturating_sub(1);
        }
    }

    /// How many calls of the window of this length are left to others.
    pub(crate) fn of(&self, length: Duration, now: Time) -> u32 {
        self.seen.iter().find(|seen| seen.length == length).map_or(0, |seen| seen.left(now))
    }

    pub(crate) fn is_known(&self, now: Time) -> bool {
        self.seen.iter().any(|seen| seen.left(now) > 0)
    }

    /// The windows without the calls that are left to others; at least one call each stays.
    pub(crate) fn leave_room(&self, windows: &[Window], now: Time) -> Vec<Window> {
        let less = |window: &Window| {
            let limit = window.limit.saturating_sub(self.of(window.length, now)).max(1);
            Window { limit, ..*window }
        };
        windows.iter().map(less).collect()
    }

    /// When some of them come back next.
    pub(crate) fn eases_at(&self, now: Time) -> Option<Time> {
        let next = |seen: &Seen| {
            let length = seen.length.as_nanos().max(1);
            let windows = now.since(seen.at).as_nanos() / length + 1;
            let ahead = u64::try_from(windows * length).unwrap_or(u64::MAX);
            seen.at.plus(Duration::from_nanos(ahead))
        };
        self.seen.iter().filter(|seen| seen.left(now) > 0).map(next).min()
    }
}

/// Tells the host what was learned.
pub(crate) fn warn(quota: Quota, lesson: Lesson) {
    log::line(Level::Warn, || {
        let Lesson { window, calls } = lesson;
        format!(
            "the service refused a call on `{}` although our own calls left room: others use the same \
             application; leaving them {calls} of {} calls per {} ms for a while",
            quota.name(),
            window.limit,
            window.length.as_millis()
        )
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: [Window; 2] = [
        Window { limit: 100, length: Duration::from_secs(60) },
        Window { limit: 1_500, length: Duration::from_secs(3_600) },
    ];

    fn at(seconds: u64) -> Time {
        Time::default().plus(Duration::from_secs(seconds))
    }

    fn limits(foreign: &Foreign, now: Time) -> Vec<u32> {
        foreign.leave_room(&WINDOWS, now).iter().map(|w| w.limit).collect()
    }

    #[test]
    fn what_is_missing_is_left_to_others_and_comes_back_one_by_one_and_by_halves() {
        let mut foreign = Foreign::default();
        assert!(!foreign.is_known(at(0)) && foreign.eases_at(at(0)).is_none());
        assert!(foreign.learn(&WINDOWS, [36, 400].into_iter(), at(10)).is_some());
        assert_eq!(limits(&foreign, at(10)), [37, 1_500]);
        foreign.ease();
        assert_eq!(limits(&foreign, at(10)), [38, 1_500]);
        foreign.ease();
        foreign.ease();
        assert_eq!(foreign.eases_at(at(11)), Some(at(70)));
        assert_eq!(limits(&foreign, at(70)), [70, 1_500]);
        assert_eq!(foreign.eases_at(at(70)), Some(at(130)));
        assert_eq!(limits(&foreign, at(10 + 7 * 60)), [100, 1_500]);
        assert!(!foreign.is_known(at(10 + 7 * 60)));
    }

    #[test]
    fn the_fuller_window_is_taken_for_the_full_one() {
        let mut foreign = Foreign::default();
        foreign.learn(&WINDOWS, [20, 1_200].into_iter(), at(0));
        assert_eq!(limits(&foreign, at(0)), [100, 1_201]);
    }

    #[test]
    fn at_full_speed_a_tenth_is_left_and_never_everything() {
        let mut foreign = Foreign::default();
        for used in [100, 99, 95, 90] {
            foreign.learn(&WINDOWS, [used, 100].into_iter(), at(0));
            assert_eq!(limits(&foreign, at(0)), [90, 1_500]);
        }
        foreign.learn(&WINDOWS, [1, 0].into_iter(), at(0));
        assert_eq!(limits(&foreign, at(0)), [2, 1_500]);
        let one = [Window { limit: 1, ..WINDOWS[0] }];
        foreign.learn(&one, [0].into_iter(), at(0));
        assert_eq!(foreign.leave_room(&one, at(0)), one);
    }

    #[test]
    fn the_host_is_told_once_a_minute() {
        let mut foreign = Foreign::default();
        let told = [0, 1, 59, 60, 119, 120]
            .map(|second| foreign.learn(&WINDOWS, [0, 0].into_iter(), at(second)).is_some());
        assert_eq!(told, [true, false, false, true, false, true]);
    }
}
