//! The limiter's clock: monotonic, in nanoseconds, replaceable in tests.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use crate::call::{Call, Stop};

/// Nanoseconds since an arbitrary start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(u64);

impl Time {
    #[cfg(test)]
    pub(crate) const fn from_nanos(nanos: u64) -> Time {
        Time(nanos)
    }

    pub(crate) fn plus(self, duration: Duration) -> Time {
        Time(
            self.0
                .saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    pub(crate) fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Tells the time, and sleeps a call until a time or until it is woken.
pub(crate) trait Clock: Debug + Send + Sync {
    fn now(&self) -> Time;
    fn wait(&self, call: &Call, until: Option<Time>) -> Result<(), Stop>;
}

/// The system's monotonic clock. It does not run while the machine sleeps on Linux, which only makes
/// the log hold its entries longer.
#[derive(Debug)]
pub(crate) struct SystemClock {
    start: Instant,
}

impl SystemClock {
    pub(crate) fn new() -> SystemClock {
        SystemClock {
            start: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time::default().plus(self.start.elapsed())
    }

    fn wait(&self, call: &Call, until: Option<Time>) -> Result<(), Stop> {
        call.wait(until.and_then(|at| self.start.checked_add(at.since(Time::default()))))
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! A clock that stands still until it is told to move.

    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    pub(crate) struct FakeClock(AtomicU64);

    impl FakeClock {
        pub(crate) fn advance(&self, by: Duration) {
            self.0
                .fetch_add(u64::try_from(by.as_nanos()).unwrap(), Ordering::SeqCst);
        }
    }

    impl Clock for FakeClock {
        fn now(&self) -> Time {
            Time(self.0.load(Ordering::SeqCst))
        }

        /// Looks every millisecond of real time whether the fake time has come; a wake ends it too.
        fn wait(&self, call: &Call, until: Option<Time>) -> Result<(), Stop> {
            if until.is_none_or(|at| self.now() < at) {
                call.wait(Some(Instant::now() + Duration::from_millis(1)))?;
            }
            call.check()
        }
    }
}
