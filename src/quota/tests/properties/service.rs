//! Models of the service, independent of the log. They see when the bytes of a call may arrive, and have their own
//! clock.

use crate::quota::window::Window;

pub(super) const MS: u64 = 1_000_000;

pub(super) fn nanos(window: &Window) -> u64 {
    u64::try_from(window.length.as_nanos()).unwrap()
}

/// The longest time on our clock that a window of the service may cover. It is computed here and not taken from the
/// log, so that a wrong tolerance there is found.
pub(super) fn reach(window: &Window) -> u64 {
    nanos(window) + nanos(window) / 1_000 + MS
}

/// A call that was sent. The service counts it at any instant from the first to the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub first: u64,
    pub last: u64,
}

/// When the service counts each call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Counts {
    AsTheyAreSent,
    AsTheyAreAnswered,
    /// As near to this instant as possible.
    Around(u64),
    /// At random, from this seed.
    Anywhere(u64),
}

impl Counts {
    pub(super) fn of(self, calls: &[Sent]) -> Vec<u64> {
        let mut seed = match self {
            Counts::Anywhere(seed) => seed | 1,
            _ => 1,
        };
        let at = |call: &Sent| match self {
            Counts::AsTheyAreSent => call.first,
            Counts::AsTheyAreAnswered => call.last,
            Counts::Around(instant) => instant.clamp(call.first, call.last),
            Counts::Anywhere(_) => {
                seed = roll(seed);
                call.first + (seed >> 11) % (call.last - call.first + 1)
            }
        };
        calls.iter().map(at).collect()
    }
}

/// The next number of a pseudo-random sequence (xorshift).
pub(super) fn roll(mut seed: u64) -> u64 {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^ (seed << 17)
}

/// How a service defines one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The last `length`, excluding the instant at its beginning.
    Sliding,
    /// The last `length`, including the instant at its beginning.
    SlidingInclusive,
    /// Consecutive windows, of which one begins at this stamp.
    Fixed(u128),
}

/// The service's clock, in units that make every stamp an integer. `ticks` of them pass in a nanosecond of our clock,
/// and `per_nano` of them are a nanosecond for the service.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServiceClock {
    pub ticks: u64,
    pub per_nano: u64,
    pub error: Error,
}

/// How far a stamp is behind the service's time, in its units.
#[derive(Clone, Copy, Debug)]
pub(super) enum Error {
    /// Stamps are rounded down to a multiple of this resolution.
    Cut(u128),
    /// Each stamp is behind by less than this, at random from the seed.
    Short(u128, u64),
}

impl ServiceClock {
    pub(super) const EXACT: ServiceClock =
        ServiceClock { ticks: 1, per_nano: 1, error: Error::Cut(1) };

    /// How far the stamps of this clock may be behind, so that no window covers more of our time than the log allows.
    /// `None`: its rate alone exceeds the tolerance.
    pub(super) fn tolerance(&self, window: &Window) -> Option<u128> {
        let allowed = u128::from(reach(window)) * u128::from(self.ticks);
        allowed.checked_sub(self.length(window))
    }

    pub(super) fn length(&self, window: &Window) -> u128 {
        u128::from(nanos(window)) * u128::from(self.per_nano)
    }

    pub(super) fn stamp(&self, at: u64, seed: &mut u64) -> u128 {
        let exact = u128::from(at) * u128::from(self.ticks);
        match self.error {
            Error::Cut(0 | 1) | Error::Short(0, _) => exact,
            Error::Cut(resolution) => exact / resolution * resolution,
            Error::Short(most, _) => {
                *seed = roll(*seed);
                // Often by the maximum.
                let short = if *seed & 3 == 0 { most - 1 } else { u128::from(*seed) % most };
                exact.saturating_sub(short)
            }
        }
    }

    pub(super) fn stamps(&self, counted: &[u64]) -> Vec<u128> {
        let mut seed = match self.error {
            Error::Short(_, seed) => seed | 1,
            Error::Cut(_) => 1,
        };
        let mut stamps: Vec<u128> = counted.iter().map(|at| self.stamp(*at, &mut seed)).collect();
        stamps.sort_unstable();
        stamps
    }
}

/// Whether a service that gives the calls these stamps finds more than the limit in one window. The stamps are in
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

/// The most calls that any service can find in one window of this `length`, on our clock. The phase of the window and
/// the instants of counting are arbitrary. A window that begins at the last instant of a call is the worst: it holds
/// all calls sent before its end, except those whose last instant was before its beginning.
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
