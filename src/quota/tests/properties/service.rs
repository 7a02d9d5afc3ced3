//! Models of the service, which know nothing of the log: what they see of a call is when its bytes may
//! arrive, and what they go by is a clock of their own.

use crate::quota::window::Window;

pub(super) const MS: u64 = 1_000_000;

pub(super) fn nanos(window: &Window) -> u64 {
    u64::try_from(window.length.as_nanos()).unwrap()
}

/// The longest stretch of our time that a window of the service is assumed to cover. Written down here once
/// more rather than taken from the log.
pub(super) fn reach(window: &Window) -> u64 {
    nanos(window) + nanos(window) / 1_000 + MS
}

/// One call that was sent: the service counts it at an instant of its choice, from the first to the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub first: u64,
    pub last: u64,
}

/// Where the service counts the calls that are on their way.
#[derive(Clone, Copy, Debug)]
pub(super) enum Counts {
    AsTheyAreSent,
    AsTheyAreAnswered,
    /// As near to this instant as it can.
    Around(u64),
    /// Anywhere, drawn from this.
    Anywhere(u64),
}

impl Counts {
    pub(super) fn of(self, calls: &[Sent]) -> Vec<u64> {
        let mut dice = match self {
            Counts::Anywhere(seed) => seed | 1,
            _ => 1,
        };
        let at = |call: &Sent| match self {
            Counts::AsTheyAreSent => call.first,
            Counts::AsTheyAreAnswered => call.last,
            Counts::Around(instant) => instant.clamp(call.first, call.last),
            Counts::Anywhere(_) => {
                dice = roll(dice);
                call.first + (dice >> 11) % (call.last - call.first + 1)
            }
        };
        calls.iter().map(at).collect()
    }
}

/// The next of a row of arbitrary numbers (xorshift).
pub(super) fn roll(mut dice: u64) -> u64 {
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^ (dice << 17)
}

/// What a service takes for one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The last `length`, without the instant at its beginning.
    Sliding,
    /// The last `length`, with the instant at its beginning.
    SlidingInclusive,
    /// One window after the other; one of them begins at this stamp.
    Fixed(u128),
}

/// The service's clock, in units that make every stamp whole: `ticks` of them pass in a nanosecond of ours,
/// and the service takes `per_nano` of them for a nanosecond.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServiceClock {
    pub ticks: u64,
    pub per_nano: u64,
    pub error: Error,
}

/// By how much a stamp falls short of the service's time, in its units.
#[derive(Clone, Copy, Debug)]
pub(super) enum Error {
    /// Stamps are cut to a multiple of this.
    Cut(u128),
    /// Each stamp falls short by less than this, drawn from the second.
    Short(u128, u64),
}

impl ServiceClock {
    pub(super) const EXACT: ServiceClock =
        ServiceClock { ticks: 1, per_nano: 1, error: Error::Cut(1) };

    /// By how much the stamps of this clock may fall short so that no window covers more of our time than
    /// the log allows for. `None`: its rate alone is too far from ours.
    pub(super) fn slack(&self, window: &Window) -> Option<u128> {
        let allowed = u128::from(reach(window)) * u128::from(self.ticks);
        allowed.checked_sub(self.length(window))
    }

    pub(super) fn length(&self, window: &Window) -> u128 {
        u128::from(nanos(window)) * u128::from(self.per_nano)
    }

    pub(super) fn stamp(&self, at: u64, dice: &mut u64) -> u128 {
        let exact = u128::from(at) * u128::from(self.ticks);
        match self.error {
            Error::Cut(0 | 1) | Error::Short(0, _) => exact,
            Error::Cut(grain) => exact / grain * grain,
            Error::Short(most, _) => {
                *dice = roll(*dice);
                // Often by all that it can be.
                let short = if *dice & 3 == 0 { most - 1 } else { u128::from(*dice) % most };
                exact.saturating_sub(short)
            }
        }
    }

    pub(super) fn stamps(&self, counted: &[u64]) -> Vec<u128> {
        let mut dice = match self.error {
            Error::Short(_, seed) => seed | 1,
            Error::Cut(_) => 1,
        };
        let mut stamps: Vec<u128> = counted.iter().map(|at| self.stamp(*at, &mut dice)).collect();
        stamps.sort_unstable();
        stamps
    }
}

/// Whether a service that puts these stamps on the calls finds more than the limit in one window. Stamps in
/// ascending order.
pub(super) fn refuses(stamps: &[u128], length: u128, limit: u32, kind: Kind) -> bool {
    let together = |earlier: u128, later: u128| match kind {
        Kind::Sliding => later - earlier < length,
        Kind::SlidingInclusive => later - earlier <= length,
        Kind::Fixed(begins) => {
            let window = |stamp: u128| (stamp + length - begins % length) / length;
            window(earlier) == window(later)
        }
    };
    let limit = limit as usize;
    stamps.iter().zip(stamps.iter().skip(limit)).any(|(first, last)| together(*first, *last))
}

/// The most calls that any service can find in one window of this `length` of our time, whatever its phase
/// and wherever it counts each call: the window that begins at the last instant of some call gets all that
/// were sent before it is over, except those whose last instant was before it began.
pub(super) fn most_in_a_window(calls: &[Sent], length: u64) -> usize {
    let mut firsts: Vec<u64> = calls.iter().map(|call| call.first).collect();
    let mut lasts: Vec<u64> = calls.iter().map(|call| call.last).collect();
    firsts.sort_unstable();
    lasts.sort_unstable();
    let (mut sent, mut over, mut most) = (0, 0, 0);
    for begins in &lasts {
        while firsts.get(sent).is_some_and(|first| *first < begins + length) {
            sent += 1;
        }
        while lasts[over] < *begins {
            over += 1;
        }
        most = most.max(sent - over);
    }
    most
}
