//! How the entries of an endpoint stand at one instant, and what follows for the next call.

use std::time::Duration;

use super::layout::{EndpointState, Entry};
use crate::quota::ledger::{Full, between_looks};
use crate::quota::window::{Window, longest_hold};

/// How the entries of an endpoint stand at one instant.
pub(crate) struct Usage {
    now: u64,
    /// By place.
    stamps: Vec<u64>,
    /// Of the calls that are not under way, oldest first.
    ended: Vec<u64>,
    pub in_flight: usize,
    /// Nanoseconds until every window has room, if calls under way last. `None`: not before one of them has ended.
    free: Option<u64>,
}

impl Usage {
    pub(crate) fn of(entries: &[Entry], windows: &[Window], now: u64) -> Usage {
        let stamps: Vec<u64> = entries.iter().map(|entry| entry.stamp).collect();
        let is_under_way = |entry: &Entry| entry.owner != 0 && entry.stamp > now;
        let in_flight = entries.iter().filter(|entry| is_under_way(entry)).count();
        let ended = entries.iter().filter(|entry| entry.stamp > 0 && !is_under_way(entry));
        let mut ended: Vec<u64> = ended.map(|entry| entry.stamp).collect();
        ended.sort_unstable();
        // Until the call has left the window that must, for another one to fit in.
        let wait_for = |window: &Window| {
            let room = (window.limit as usize).checked_sub(in_flight).filter(|room| *room > 0)?;
            let stamp = ended.len().checked_sub(room).and_then(|at| ended.get(at));
            let left = |at: &u64| at.saturating_add(nanos(window.hold())).saturating_sub(now);
            Some(stamp.map_or(0, left))
        };
        let free = windows.iter().try_fold(0, |wait, window| Some(wait_for(window)?.max(wait)));
        Usage { now, stamps, ended, in_flight, free }
    }

    /// Whether a call may go, and into which place, or after how many nanoseconds it is worth asking again.
    pub(crate) fn decide(&self, state: EndpointState, windows: &[Window]) -> Decision {
        let closed = state.closed_for(self.now);
        let free = self.free_under(state);
        match self.reusable(state.memory.max(memory(windows))) {
            Some(place) if free == Some(0) => Decision::Take(place),
            // The windows have room, but every entry still matters to somebody with a wider one.
            None if free == Some(0) => {
                Decision::Wait(Full { look_in: LONG_LOOK, ..Full::default() })
            }
            _ => {
                let look = nanos(between_looks(windows));
                let again = match free {
                    Some(free) if self.in_flight == 0 => free,
                    _ => free.unwrap_or(look).min(look),
                };
                Decision::Wait(Full {
                    look_in: Duration::from_nanos(again.max(closed).max(1)),
                    free_in: self.available_in(state),
                    closed_for: Duration::from_nanos(closed),
                })
            }
        }
    }

    /// Nanoseconds until a call may go. `None`: not before a call under way has ended.
    fn free_under(&self, state: EndpointState) -> Option<u64> {
        let closed = state.closed_for(self.now);
        let is_probed = state.half_open && closed == 0 && self.in_flight > 0;
        self.free.filter(|_| !is_probed).map(|free| free.max(closed))
    }

    /// When there is room, as far as that is known.
    pub(crate) fn available_in(&self, state: EndpointState) -> Option<Duration> {
        self.free_under(state).map(Duration::from_nanos)
    }

    /// A place whose entry matters to nobody any more.
    pub(crate) fn reusable(&self, memory: u64) -> Option<u64> {
        let free = |stamp: &u64| *stamp == 0 || stamp.saturating_add(memory) <= self.now;
        self.stamps.iter().position(free).map(|place| place as u64)
    }

    /// How many calls occupy a slot of the window.
    pub(crate) fn used(&self, window: Window) -> usize {
        let counts = |stamp: &&u64| stamp.saturating_add(nanos(window.hold())) > self.now;
        self.in_flight + self.ended.iter().filter(counts).count()
    }
}

/// How long to wait for a place in a table that is full of what matters to others.
const LONG_LOOK: Duration = Duration::from_millis(250);

/// What becomes of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Take(u64),
    Wait(Full),
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// [`longest_hold`] as it stands in the file.
pub(crate) fn memory(windows: &[Window]) -> u64 {
    nanos(longest_hold(windows))
}

/// The most calls that these windows let out in a minute: any such stretch lies in so many of each.
fn burst(windows: &[Window]) -> u32 {
    const MINUTE: u128 = 60_000_000_000;
    let most = |window: &Window| {
        let windows = MINUTE.div_ceil(window.length.as_nanos().max(1));
        u32::try_from(windows).unwrap_or(u32::MAX).saturating_mul(window.limit)
    };
    windows.iter().map(most).min().unwrap_or_default()
}

impl EndpointState {
    /// The service said 429: nothing goes out for `wait`, and then one call at a time.
    pub(crate) fn closed(self, wait: Duration, now: u64) -> EndpointState {
        let until = now.saturating_add(nanos(wait));
        match until > self.closed_until {
            true => EndpointState { closed_until: until, closed_at: now, half_open: true, ..self },
            false => EndpointState { half_open: true, ..self },
        }
    }

    /// What is known once somebody with these windows has come. The widest window counts until nobody has come
    /// with it for as long as it lasts, so that others do not wait for entries that matter to nobody any more.
    pub(crate) fn claimed(self, windows: &[Window], now: u64) -> EndpointState {
        let mine = memory(windows);
        // Renewed a few times in a window, not with each call.
        let until = |memory: u64| now.saturating_add(memory).saturating_add(memory / 4);
        // Should the clock have been set back, it counts from now.
        let kept_until = self.memory_until.min(until(self.memory));
        let mut next = EndpointState {
            memory_until: kept_until,
            burst: self.burst.max(burst(windows)),
            ..self
        };
        if next.closed_at > now {
            (next.closed_at, next.closed_until) = (now, now.saturating_add(self.closed_for(now)));
        }
        let is_widest = mine >= self.memory || kept_until <= now;
        if is_widest && (mine != self.memory || kept_until < now.saturating_add(mine)) {
            (next.memory, next.memory_until) = (mine, until(mine));
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
    fn a_clock_that_was_set_back_keeps_nothing_closed_for_longer_than_it_was() {
        let hour = 3_600 * SECOND;
        let closed = EndpointState {
            closed_at: 2 * hour,
            closed_until: 2 * hour + 60 * SECOND,
            ..EndpointState::default()
        };
        let windows = [window(1, 60.0)];
        let state = closed.claimed(&windows, hour);
        assert_eq!(state.closed_for(hour), 60 * SECOND);
        let state = state.claimed(&windows, hour + 20 * SECOND);
        assert_eq!(state.closed_for(hour + 20 * SECOND), 40 * SECOND);
        assert_eq!(state.closed_for(hour + 60 * SECOND), 0);
    }

    #[test]
    fn the_calls_of_a_minute_are_those_of_the_strictest_window() {
        assert_eq!(burst(&[window(100, 60.0), window(1_500, 3_600.0)]), 100);
        assert_eq!(burst(&[window(1_000, 60.0), window(300, 3_600.0)]), 300);
        assert_eq!(burst(&[window(10, 1.0)]), 600);
        assert_eq!(burst(&[window(10, 59.0)]), 20);
        assert_eq!(burst(&[window(1_000_000, 0.001)]), u32::MAX);
    }

    #[test]
    fn the_widest_window_counts_as_long_as_somebody_comes_with_it_and_one_window_longer() {
        let (wide, narrow) = ([window(9, 100.0)], [window(9, 1.0)]);
        let mut state =
            EndpointState::default().claimed(&narrow, 5 * SECOND).claimed(&wide, 10 * SECOND);
        assert_eq!(state.memory, memory(&wide));
        let mut written = 0;
        for second in 10..500 {
            let next = state.claimed(&wide, second * SECOND).claimed(&narrow, second * SECOND);
            assert_eq!(next.memory, memory(&wide));
            written += u32::from(next != state);
            state = next;
        }
        assert!(written < 25, "{written}");
        for second in 500..600 {
            assert_eq!(state.claimed(&narrow, second * SECOND), state, "{second}");
        }
        state = state.claimed(&narrow, 626 * SECOND);
        assert_eq!(state.memory, memory(&narrow));
        // A clock that was set back.
        let ahead =
            EndpointState::default().claimed(&wide, 1_000 * SECOND).claimed(&narrow, SECOND);
        assert_eq!(ahead.memory, memory(&wide));
        assert_eq!(ahead.claimed(&narrow, 127 * SECOND).memory, memory(&narrow));
    }
}
