//! The usage of an endpoint at one instant, and whether the next call may go out.

use std::time::Duration;

use super::layout::{EndpointState, Entry};
use crate::quota::ledger::{Full, recheck_interval};
use crate::quota::window::{Window, longest_hold};

/// The entries of an endpoint at one instant.
pub(crate) struct Usage {
    now: u64,
    /// The stamps of all entries, by place.
    stamps: Vec<u64>,
    /// The stamps of the calls that have ended, oldest first.
    ended: Vec<u64>,
    pub in_flight: usize,
    /// Nanoseconds until every window has room while the calls in flight last. `None`: one of them must end first.
    free: Option<u64>,
}

impl Usage {
    pub(crate) fn of(entries: &[Entry], windows: &[Window], now: u64) -> Usage {
        let stamps: Vec<u64> = entries.iter().map(|entry| entry.stamp).collect();
        let is_in_flight = |entry: &Entry| entry.owner != 0 && entry.stamp > now;
        let in_flight = entries.iter().filter(|entry| is_in_flight(entry)).count();
        let ended = entries.iter().filter(|entry| entry.stamp > 0 && !is_in_flight(entry));
        let mut ended: Vec<u64> = ended.map(|entry| entry.stamp).collect();
        ended.sort_unstable();
        // The time until a call leaves the window, which makes room for another one.
        let wait_for = |window: &Window| {
            let room = (window.limit as usize).checked_sub(in_flight).filter(|room| *room > 0)?;
            let stamp = ended.len().checked_sub(room).and_then(|at| ended.get(at));
            let left = |at: &u64| at.saturating_add(nanos(window.hold())).saturating_sub(now);
            Some(stamp.map_or(0, left))
        };
        let free = windows.iter().try_fold(0, |wait, window| Some(wait_for(window)?.max(wait)));
        Usage { now, stamps, ended, in_flight, free }
    }

    /// Whether the next call takes a place, or how long it waits.
    pub(crate) fn decide(&self, state: EndpointState, windows: &[Window]) -> Decision {
        let closed = state.closed_for(self.now);
        let free = self.free_under(state);
        match self.reusable(state.retention.max(retention(windows))) {
            Some(place) if free == Some(0) => Decision::Take(place),
            // The windows have room, but every entry still counts in a wider window of another process.
            None if free == Some(0) => {
                Decision::Wait(Full { recheck_in: LONG_RECHECK, ..Full::default() })
            }
            _ => {
                let interval = nanos(recheck_interval(windows));
                let again = match free {
                    Some(free) if self.in_flight == 0 => free,
                    _ => free.unwrap_or(interval).min(interval),
                };
                Decision::Wait(Full {
                    recheck_in: Duration::from_nanos(again.max(closed).max(1)),
                    available_in: self.available_in(state),
                    closed_for: Duration::from_nanos(closed),
                })
            }
        }
    }

    /// Nanoseconds until a call may go out. `None`: a call in flight must end first.
    fn free_under(&self, state: EndpointState) -> Option<u64> {
        let closed = state.closed_for(self.now);
        let is_probed = state.half_open && closed == 0 && self.in_flight > 0;
        self.free.filter(|_| !is_probed).map(|free| free.max(closed))
    }

    /// How long until a call may go out. `None`: a call in flight must end first.
    pub(crate) fn available_in(&self, state: EndpointState) -> Option<Duration> {
        self.free_under(state).map(Duration::from_nanos)
    }

    /// A place whose entry counts in no window any more.
    pub(crate) fn reusable(&self, retention: u64) -> Option<u64> {
        let free = |stamp: &u64| *stamp == 0 || stamp.saturating_add(retention) <= self.now;
        self.stamps.iter().position(free).map(|place| place as u64)
    }

    /// The number of calls that occupy a slot of the window.
    pub(crate) fn used(&self, window: Window) -> usize {
        let counts = |stamp: &&u64| stamp.saturating_add(nanos(window.hold())) > self.now;
        self.in_flight + self.ended.iter().filter(counts).count()
    }
}

/// How often to ask again while the table is full of entries that count in wider windows of other processes.
const LONG_RECHECK: Duration = Duration::from_millis(250);

/// Whether a call goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It takes this place.
    Take(u64),
    Wait(Full),
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// [`longest_hold`] in nanoseconds, as the file stores it.
pub(crate) fn retention(windows: &[Window]) -> u64 {
    nanos(longest_hold(windows))
}

/// The most calls that these windows admit in a minute. A minute lies within a few consecutive windows of each length.
pub(super) fn burst(windows: &[Window]) -> u32 {
    const MINUTE: u128 = 60_000_000_000;
    let most = |window: &Window| {
        let windows = MINUTE.div_ceil(window.length.as_nanos().max(1));
        u32::try_from(windows).unwrap_or(u32::MAX).saturating_mul(window.limit)
    };
    windows.iter().map(most).min().unwrap_or_default()
}

impl EndpointState {
    /// The state after a 429: closed for `wait`, and half open after that.
    pub(crate) fn closed(self, wait: Duration, now: u64) -> EndpointState {
        let until = now.saturating_add(nanos(wait));
        match until > self.closed_until {
            true => EndpointState { closed_until: until, closed_at: now, half_open: true, ..self },
            false => EndpointState { half_open: true, ..self },
        }
    }

    /// The state after a process with these windows has used the file. The widest window expires if no process uses
    /// it for its length. After that, nobody waits for entries that count only there.
    pub(crate) fn used_with(self, windows: &[Window], now: u64) -> EndpointState {
        let mine = retention(windows);
        // The extra quarter saves a write with each call: a few renewals per window are enough.
        let until = |retention: u64| now.saturating_add(retention).saturating_add(retention / 4);
        // If the clock was set back, the time counts from now.
        let kept_until = self.retention_until.min(until(self.retention));
        let mut next = EndpointState {
            retention_until: kept_until,
            burst: self.burst.max(burst(windows)),
            ..self
        };
        if next.closed_at > now {
            (next.closed_at, next.closed_until) = (now, now.saturating_add(self.closed_for(now)));
        }
        let is_widest = mine >= self.retention || kept_until <= now;
        if is_widest && (mine != self.retention || kept_until < now.saturating_add(mine)) {
            (next.retention, next.retention_until) = (mine, until(mine));
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn window(limit: u32, seconds: f64) -> Window {
        Window { limit, length: Duration::from_secs_f64(seconds) }
    }

    #[test]
    fn a_clock_that_was_set_back_closes_nothing_for_longer_than_the_429_did() {
        let hour = 3_600 * SECOND;
        let closed = EndpointState {
            closed_at: 2 * hour,
            closed_until: 2 * hour + 60 * SECOND,
            ..EndpointState::default()
        };
        let windows = [window(1, 60.0)];
        let state = closed.used_with(&windows, hour);
        assert_eq!(state.closed_for(hour), 60 * SECOND);
        let state = state.used_with(&windows, hour + 20 * SECOND);
        assert_eq!(state.closed_for(hour + 20 * SECOND), 40 * SECOND);
        assert_eq!(state.closed_for(hour + 60 * SECOND), 0);
    }

    #[test]
    fn the_strictest_window_limits_the_calls_of_a_minute() {
        assert_eq!(burst(&[window(100, 60.0), window(1_500, 3_600.0)]), 100);
        assert_eq!(burst(&[window(1_000, 60.0), window(300, 3_600.0)]), 300);
        assert_eq!(burst(&[window(10, 1.0)]), 600);
        assert_eq!(burst(&[window(10, 59.0)]), 20);
        assert_eq!(burst(&[window(1_000_000, 0.001)]), u32::MAX);
    }

    #[test]
    fn the_widest_window_counts_while_it_is_used_and_for_one_window_more() {
        let (wide, narrow) = ([window(9, 100.0)], [window(9, 1.0)]);
        let mut state =
            EndpointState::default().used_with(&narrow, 5 * SECOND).used_with(&wide, 10 * SECOND);
        assert_eq!(state.retention, retention(&wide));
        let mut written = 0;
        for second in 10..500 {
            let next = state.used_with(&wide, second * SECOND).used_with(&narrow, second * SECOND);
            assert_eq!(next.retention, retention(&wide));
            written += u32::from(next != state);
            state = next;
        }
        assert!(written < 25, "{written}");
        for second in 500..600 {
            assert_eq!(state.used_with(&narrow, second * SECOND), state, "{second}");
        }
        state = state.used_with(&narrow, 626 * SECOND);
        assert_eq!(state.retention, retention(&narrow));
        // After the clock was set back.
        let ahead =
            EndpointState::default().used_with(&wide, 1_000 * SECOND).used_with(&narrow, SECOND);
        assert_eq!(ahead.retention, retention(&wide));
        assert_eq!(ahead.used_with(&narrow, 127 * SECOND).retention, retention(&narrow));
    }
}
