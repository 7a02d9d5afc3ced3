//! The call log of one endpoint, and the rule of admission.

use std::collections::VecDeque;
use std::time::Duration;

use super::clock::Time;

/// At most `limit` calls in any window of `length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub limit: u32,
    pub length: Duration,
}

impl Window {
    /// The window with a percentage of its limit, rounded down, at least one call.
    pub(crate) fn share(self, percent: u32) -> Window {
        let cut = u64::from(self.limit) * u64::from(percent) / 100;
        Window { limit: u32::try_from(cut).unwrap_or(self.limit).max(1), ..self }
    }

    /// How long after its reply a call keeps its slot. A thousandth and a millisecond are the tolerance for the rate
    /// and the resolution of the service's clock.
    pub(crate) fn hold(self) -> Duration {
        self.length + self.length / 1_000 + Duration::from_millis(1)
    }
}

/// How long the bytes of a call that was given up may take to arrive.
pub(crate) fn grace_period(windows: &[Window]) -> Duration {
    let shortest = windows.iter().map(|window| window.length).min().unwrap_or_default();
    shortest.min(Duration::from_secs(30))
}

/// How long an entry counts in any of these windows.
pub(crate) fn longest_hold(windows: &[Window]) -> Duration {
    windows.iter().map(|window| window.hold()).max().unwrap_or_default()
}

/// When a call may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Now,
    At(Time),
    /// When a call in flight has ended, because as many are in flight as a window holds.
    AfterReply,
}

/// The calls that occupy a slot: the number in flight, and the instants at which the others ended, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    in_flight: usize,
    ended: VecDeque<Time>,
    /// How long an entry counts in the widest window that any call here was admitted under.
    retention: Duration,
}

impl Log {
    /// When the next call may go out under all of `windows`, seen at `now`.
    pub(crate) fn admission(&self, windows: &[Window], now: Time) -> Admission {
        let mut latest = None;
        for window in windows {
            let Some(room) = (window.limit as usize).checked_sub(self.in_flight).filter(|r| *r > 0)
            else {
                return Admission::AfterReply;
            };
            // The `room`-th newest call must have left the window.
            let Some(stamp) = self.ended.len().checked_sub(room).and_then(|at| self.ended.get(at))
            else {
                continue;
            };
            latest = latest.max(Some(stamp.plus(window.hold())));
        }
        match latest {
            Some(free) if free > now => Admission::At(free),
            _ => Admission::Now,
        }
    }

    /// A call takes a slot.
    pub(crate) fn begin(&mut self, windows: &[Window]) {
        self.in_flight += 1;
        self.retention = self.retention.max(longest_hold(windows));
    }

    /// The reply to a call has arrived. Its slot ages from now on.
    pub(crate) fn end(&mut self, now: Time) {
        self.end_at(now, now);
    }

    /// A call was given up without a reply. The network or a proxy may still deliver its bytes, and then the service
    /// counts it. Its slot ages from the end of the grace period.
    pub(crate) fn abandon(&mut self, now: Time, windows: &[Window]) {
        self.end_at(now.plus(grace_period(windows)), now);
    }

    fn end_at(&mut self, stamp: Time, now: Time) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.ended.back().is_none_or(|last| *last <= stamp) {
            self.ended.push_back(stamp);
        } else {
            // A call that was given up has a stamp in the future.
            let at = self.ended.partition_point(|earlier| *earlier <= stamp);
            self.ended.insert(at, stamp);
        }
        while self.ended.front().is_some_and(|stamp| stamp.plus(self.retention) <= now) {
            self.ended.pop_front();
        }
    }

    /// A call was never sent. Its slot is free at once.
    pub(crate) fn undo(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// How many calls occupy a slot of `window`.
    pub(crate) fn used(&self, window: Window, now: Time) -> usize {
        let alive = self.ended.iter().rev().take_while(|stamp| stamp.plus(window.hold()) > now);
        self.in_flight + alive.count()
    }

    /// When this many more calls can have gone out from `at` on. Each gets its reply at once, as those in flight do.
    pub(crate) fn earliest(mut self, calls: usize, windows: &[Window], at: Time) -> Time {
        while self.in_flight > 0 {
            self.end(at);
        }
        let mut at = at;
        for _ in 0..calls {
            if let Admission::At(free) = self.admission(windows, at) {
                at = free;
            }
            self.begin(windows);
            self.end(at);
        }
        at
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether no call counts any more.
    pub(crate) fn is_idle(&self, now: Time) -> bool {
        self.in_flight == 0
            && self.ended.back().is_none_or(|stamp| stamp.plus(self.retention) <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * SECOND)
    }

    fn window(limit: u32, seconds: u64) -> Window {
        Window { limit, length: Duration::from_secs(seconds) }
    }

    #[test]
    fn the_slot_ages_from_the_reply_not_from_the_send() {
        let windows = [window(1, 60)];
        let mut log = Log::default();
        assert_eq!(log.admission(&windows, at(0)), Admission::Now);
        log.begin(&windows);
        assert_eq!(log.admission(&windows, at(50)), Admission::AfterReply);
        log.end(at(50));
        let free = at(110).plus(Duration::from_millis(61));
        assert_eq!(log.admission(&windows, at(60)), Admission::At(free));
        assert_eq!(log.admission(&windows, free), Admission::Now);
    }

    #[test]
    fn all_windows_count_together() {
        let windows = [window(2, 1), window(3, 100)];
        let mut log = Log::default();
        for second in [0, 0, 10] {
            assert_eq!(log.admission(&windows, at(second)), Admission::Now);
            log.begin(&windows);
            log.end(at(second));
        }
        // The short window is free; the long one is full until its first entry leaves.
        let Admission::At(free) = log.admission(&windows, at(20)) else { panic!("must wait") };
        assert!(free > at(100) && free < at(101));
        assert_eq!(log.used(windows[0], at(20)), 0);
        assert_eq!(log.used(windows[1], at(20)), 3);
    }

    #[test]
    fn the_least_time_of_many_calls_is_that_of_the_windows() {
        let windows = [window(2, 60), window(120, 3_600)];
        let least =
            |log: &Log, calls| log.clone().earliest(calls, &windows, at(100)).since(at(100));
        let hold = windows[0].hold();
        let mut log = Log::default();
        assert_eq!(least(&log, 0), Duration::ZERO);
        assert_eq!(least(&log, 2), Duration::ZERO);
        assert_eq!(least(&log, 3), hold);
        assert_eq!(least(&log, 1_001), hold * 500);
        // One call ended before, and one is in flight.
        log.begin(&windows);
        log.end(at(50));
        log.begin(&windows);
        assert_eq!(least(&log, 1), hold - Duration::from_secs(50));
        assert_eq!(least(&log, 2), hold);
        // The wider window decides as well.
        let windows = [window(2, 1), window(3, 100)];
        let least = Log::default().earliest(7, &windows, at(0)).since(at(0));
        assert_eq!(least, windows[1].hold() * 2);
    }

    #[test]
    fn a_call_that_was_never_sent_frees_its_slot_at_once() {
        let windows = [window(1, 60)];
        let mut log = Log::default();
        log.begin(&windows);
        log.undo();
        assert_eq!(log.admission(&windows, at(0)), Admission::Now);
        assert!(log.is_idle(at(0)));
    }

    #[test]
    fn the_log_holds_no_more_than_the_calls_of_the_longest_window() {
        let windows = [window(100, 1), window(1_500, 10)];
        let mut log = Log::default();
        for n in 0..100_000 {
            log.begin(&windows);
            log.end(Time::from_nanos(n * SECOND / 100));
        }
        assert!(log.ended.len() <= 1_003, "{}", log.ended.len());
    }
}
