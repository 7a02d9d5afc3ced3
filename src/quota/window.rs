//! The exact log of one endpoint, and the rule that reads it.

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
    /// A percentage of the calls, rounded down, at least one.
    pub(crate) fn share(self, percent: u32) -> Window {
        let cut = u64::from(self.limit) * u64::from(percent) / 100;
        Window { limit: u32::try_from(cut).unwrap_or(self.limit).max(1), ..self }
    }

    /// How long after its reply a call keeps its slot: the window, and a thousandth more, because our
    /// clock and the service's do not run at exactly the same rate.
    pub(crate) fn hold(self) -> Duration {
        self.length + self.length / 1_000 + Duration::from_millis(1)
    }
}

/// How long the bytes of an attempt that was given up may take to arrive.
pub(crate) fn straggling(windows: &[Window]) -> Duration {
    let shortest = windows.iter().map(|window| window.length).min().unwrap_or_default();
    shortest.min(Duration::from_secs(30))
}

/// How long an entry matters to whoever keeps these windows.
pub(crate) fn longest_hold(windows: &[Window]) -> Duration {
    windows.iter().map(|window| window.hold()).max().unwrap_or_default()
}

/// When a call may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Now,
    At(Time),
    /// As many calls are in flight as a window holds: not before one of them has ended.
    AfterReply,
}

/// The calls that occupy a slot: those in flight, and the instants at which the others ended.
#[derive(Debug, Default)]
pub(crate) struct Log {
    in_flight: usize,
    ended: VecDeque<Time>,
    /// How long an entry matters to the widest window that any call here was admitted under.
    memory: Duration,
}

impl Log {
    /// When the next call may go out under all of `windows`, as things stand at `now`.
    pub(crate) fn admission(&self, windows: &[Window], now: Time) -> Admission {
        let mut latest = None;
        for window in windows {
            let Some(room) = (window.limit as usize).checked_sub(self.in_flight).filter(|r| *r > 0)
            else {
                return Admission::AfterReply;
            };
            // The call that must have left the window: counted from the newest, the `room`-th one.
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
        self.memory = self.memory.max(longest_hold(windows));
    }

    /// The reply to a call has arrived, or its attempt is dead: its slot ages from now on.
    pub(crate) fn end(&mut self, now: Time) {
        self.end_at(now, now);
    }

    /// An attempt was given up without a reply. Its bytes may still be under way, in the network or in a
    /// proxy, and be counted when they arrive: its slot begins to age only when that has become unlikely.
    pub(crate) fn abandon(&mut self, now: Time, windows: &[Window]) {
        self.end_at(now.plus(straggling(windows)), now);
    }

    fn end_at(&mut self, stamp: Time, now: Time) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.ended.back().is_none_or(|last| *last <= stamp) {
            self.ended.push_back(stamp);
        } else {
            // Behind an abandoned attempt: only those are stamped ahead of time.
            let at = self.ended.partition_point(|earlier| *earlier <= stamp);
            self.ended.insert(at, stamp);
        }
        while self.ended.front().is_some_and(|stamp| stamp.plus(self.memory) <= now) {
            self.ended.pop_front();
        }
    }

    /// A call never left this machine: its slot is free at once.
    pub(crate) fn undo(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// How many calls occupy a slot of `window`.
    pub(crate) fn used(&self, window: Window, now: Time) -> usize {
        let alive = self.ended.iter().rev().take_while(|stamp| stamp.plus(window.hold()) > now);
        self.in_flight + alive.count()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether nothing here matters any more.
    pub(crate) fn is_idle(&self, now: Time) -> bool {
        self.in_flight == 0 && self.ended.back().is_none_or(|stamp| stamp.plus(self.memory) <= now)
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
    fn a_call_that_was_never_sent_costs_nothing() {
        let windows = [window(1, 60)];
        let mut log = Log::default();
        log.begin(&windows);
        log.undo();
        assert_eq!(log.admission(&windows, at(0)), Admission::Now);
        assert!(log.is_idle(at(0)));
    }

    #[test]
    fn the_log_does_not_grow_beyond_the_longest_window() {
        let windows = [window(100, 1), window(1_500, 10)];
        let mut log = Log::default();
        for n in 0..100_000 {
            log.begin(&windows);
            log.end(Time::from_nanos(n * SECOND / 100));
        }
        assert!(log.ended.len() <= 1_003, "{}", log.ended.len());
    }
}
