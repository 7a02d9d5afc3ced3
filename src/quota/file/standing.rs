//! How the entries of an endpoint stand at one instant, and what follows for the next call.

use std::time::Duration;

use super::layout::{Entry, Gate};
use crate::quota::ledger::between_looks;
use crate::quota::limiter::WindowSnapshot;
use crate::quota::window::{Window, longest_hold};

/// How the entries of an endpoint stand at one instant.
pub(crate) struct Standing {
    now: u64,
    /// By place.
    stamps: Vec<u64>,
    pub in_flight: usize,
    /// Nanoseconds until every window has room, if nothing else happens.
    pub wait: u64,
}

impl Standing {
    pub(crate) fn of(entries: &[Entry], windows: &[Window], now: u64) -> Standing {
        let stamps: Vec<u64> = entries.iter().map(|entry| entry.stamp).collect();
        let in_flight = entries.iter().filter(|e| e.owner != 0 && e.stamp > now).count();
        let mut sorted: Vec<u64> = stamps.iter().copied().filter(|stamp| *stamp > 0).collect();
        sorted.sort_unstable();
        let wait_for = |window: &Window| {
            // The call that must have left the window for another one to fit in.
            let stamp = sorted.get(sorted.len().checked_sub(window.limit as usize)?)?;
            Some(stamp.saturating_add(nanos(window.hold())).saturating_sub(now))
        };
        let wait = windows.iter().filter_map(wait_for).max().unwrap_or(0);
        Standing { now, stamps, in_flight, wait }
    }

    /// Whether a call may go, and into which place, or after how many nanoseconds it is worth asking again.
    pub(crate) fn decide(&self, gate: Gate, windows: &[Window]) -> Decision {
        let closed = gate.closed_for(self.now);
        let wait = self.wait.max(closed);
        match self.reusable(gate.memory.max(memory(windows))) {
            Some(place) if wait == 0 => Decision::Take(place),
            // The windows have room, but every entry still matters to somebody with a wider one.
            None if wait == 0 => Decision::Wait(nanos(LONG_LOOK)),
            _ => {
                let again = match self.in_flight {
                    0 => wait,
                    _ => wait.min(nanos(between_looks(windows))),
                };
                Decision::Wait(again.max(closed).max(1))
            }
        }
    }

    /// A place whose entry matters to nobody any more.
    pub(crate) fn reusable(&self, memory: u64) -> Option<u64> {
        let free = |stamp: &u64| *stamp == 0 || stamp.saturating_add(memory) <= self.now;
        self.stamps.iter().position(free).map(|place| place as u64)
    }

    pub(crate) fn snapshot(&self, window: Window) -> WindowSnapshot {
        let free =
            |stamp: &u64| stamp.saturating_add(nanos(window.hold())).saturating_sub(self.now);
        let used =
            self.stamps.iter().filter(|stamp| **stamp > 0).map(free).filter(|wait| *wait > 0);
        let mut waits: Vec<u64> = used.collect();
        waits.sort_unstable();
        let free_in = waits.iter().map(|wait| Duration::from_nanos(*wait)).collect();
        WindowSnapshot { used: waits.len(), free_in, ..WindowSnapshot::default() }
    }
}

/// How long to wait for a place in a table that is full of what matters to others.
const LONG_LOOK: Duration = Duration::from_millis(250);

/// What becomes of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Take(u64),
    Wait(u64),
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// [`longest_hold`] as it stands in the file.
pub(crate) fn memory(windows: &[Window]) -> u64 {
    nanos(longest_hold(windows))
}
