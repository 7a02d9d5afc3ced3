//! The limiter's clock: monotonic, in nanoseconds. Tests replace it.

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
        Time(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    pub(crate) fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A clock on which a call can sleep until a time, or until it is woken.
pub(crate) trait Clock: Debug + Send + Sync {
    fn now(&self) -> Time;
    fn wait(&self, call: &Call, until: Option<Time>) -> Result<(), Stop>;

    /// Whether the call may continue. `now` was read just before, because another reading of the clock is costly.
    fn check(&self, call: &Call, now: Time) -> Result<(), Stop>;

    /// Whether the call's deadline is after that time.
    fn has_time(&self, _: &Call, _until: Time) -> bool {
        true
    }
}

/// The system's monotonic clock. On Linux it stops while the machine sleeps, so the log may keep entries longer
/// than necessary.
#[derive(Debug)]
pub(crate) struct SystemClock {
    start: Instant,
}

impl SystemClock {
    pub(crate) fn new() -> SystemClock {
        SystemClock { start: Instant::now() }
    }

    fn instant(&self, time: Time) -> Option<Instant> {
        self.start.checked_add(time.since(Time::default()))
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time::default().plus(self.start.elapsed())
    }

    fn wait(&self, call: &Call, until: Option<Time>) -> Result<(), Stop> {
        call.wait(until.and_then(|at| self.instant(at)))
    }

    fn check(&self, call: &Call, now: Time) -> Result<(), Stop> {
        self.instant(now).map_or_else(|| call.check(), |now| call.check_at(now))
    }

    fn has_time(&self, call: &Call, until: Time) -> bool {
        call.has_time_for(until.since(self.now()))
    }
}

#[cfg(any(test, feature = "test-hooks"))]
pub(crate) mod fake {
    //! A clock that stands still until a test moves it.

    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::call::Signal;

    #[derive(Debug, Default)]
    pub(crate) struct FakeClock(Mutex<State>);

    #[derive(Debug, Default)]
    struct State {
        now: Time,
        sleepers: Vec<(Time, Arc<Signal>)>,
    }

    impl FakeClock {
        /// Moves the clock, and wakes exactly the calls whose time has come.
        pub(crate) fn advance(&self, by: Duration) {
            let mut state = self.0.lock();
            state.now = state.now.plus(by);
            let now = state.now;
            state.sleepers.retain(|(until, signal)| {
                if *until <= now {
                    signal.wake();
                }
                *until > now
            });
        }
    }

    impl Clock for FakeClock {
        fn now(&self) -> Time {
            self.0.lock().now
        }

        fn wait(&self, call: &Call, until: Option<Time>) -> Result<(), Stop> {
            if let Some(until) = until {
                let mut state = self.0.lock();
                if until <= state.now {
                    return call.check();
                }
                state.sleepers.push((until, Arc::clone(call.signal())));
            }
            call.wait(None)
        }

        /// Deadlines are on the system's clock.
        fn check(&self, call: &Call, _: Time) -> Result<(), Stop> {
            call.check()
        }
    }
}
