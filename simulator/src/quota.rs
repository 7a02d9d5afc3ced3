//! Counts calls as the service does: per tenant, application and endpoint, in a minute and an hour
//! at once.
//!
//! It is not documented where the service's windows begin, so there are fixed and sliding ones. Every
//! function takes the time as a parameter, in simulated time since the start.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::config::{Endpoint, Limit, QuotaMode};

/// The caller and the endpoint: "the key Destination+TenantID+AppID".
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub tenant: String,
    pub application: String,
    pub endpoint: Endpoint,
}

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The limit that was reached, or of several the one that opens last.
    pub limit: Limit,
    /// Simulated time until a call can be accepted again.
    pub wait: Duration,
}

/// All counters.
pub struct Quota {
    mode: QuotaMode,
    phase: Duration,
    count_refused: bool,
    counters: HashMap<Key, Vec<Counter>>,
}

impl Quota {
    pub fn new(mode: QuotaMode, phase: Duration, count_refused: bool) -> Self {
        Quota { mode, phase, count_refused, counters: HashMap::new() }
    }

    /// Counts one call at `now`, or returns why it is refused. `now` must never decrease.
    pub fn count(&mut self, key: Key, limits: &[Limit], now: Duration) -> Result<(), Refusal> {
        let (mode, phase) = (self.mode, self.phase);
        if mode == QuotaMode::Off {
            return Ok(());
        }
        let counters = self.counters.entry(key).or_insert_with(|| {
            limits.iter().map(|limit| Counter::new(mode, *limit, phase)).collect()
        });
        let refusal = counters
            .iter_mut()
            .filter_map(|counter| {
                counter.wait(now).map(|wait| Refusal { limit: counter.limit(), wait })
            })
            .max_by_key(|refusal| refusal.wait);
        if refusal.is_none() || self.count_refused {
            for counter in counters {
                counter.add(now);
            }
        }
        refusal.map_or(Ok(()), Err)
    }
}

/// The calls against one limit.
enum Counter {
    Sliding(Sliding),
    Fixed(Fixed),
}

impl Counter {
    fn new(mode: QuotaMode, limit: Limit, phase: Duration) -> Self {
        if mode == QuotaMode::Fixed {
            Counter::Fixed(Fixed { limit, phase, window: None, count: 0 })
        } else {
            Counter::Sliding(Sliding { limit, counted: VecDeque::new() })
        }
    }

    fn limit(&self) -> Limit {
        match self {
            Counter::Sliding(s) => s.limit,
            Counter::Fixed(f) => f.limit,
        }
    }

    /// The time until a slot is free; `None` if one is free now.
    fn wait(&mut self, now: Duration) -> Option<Duration> {
        match self {
            Counter::Sliding(s) => s.wait(now),
            Counter::Fixed(f) => f.wait(now),
        }
    }

    fn add(&mut self, now: Duration) {
        match self {
            Counter::Sliding(s) => s.counted.push_back(now),
            Counter::Fixed(f) => f.count += 1,
        }
    }
}

fn length(limit: Limit) -> Duration {
    Duration::from_secs(limit.seconds)
}

/// The instants of the calls in the window that ends now. A call leaves it exactly one window after
/// it was counted.
struct Sliding {
    limit: Limit,
    counted: VecDeque<Duration>,
}

impl Sliding {
    fn wait(&mut self, now: Duration) -> Option<Duration> {
        let window = length(self.limit);
        while self.counted.front().is_some_and(|at| *at + window <= now) {
            self.counted.pop_front();
        }
        // The slot is free when this call leaves the window. With a limit of 0 there is no such
        // call, and the answer is a whole window.
        let excess = self.counted.len().checked_sub(self.limit.calls)?;
        let leaves = self.counted.get(excess).map_or(now, |at| *at) + window;
        Some(leaves.saturating_sub(now))
    }
}

/// A count that starts from 0 in each window.
struct Fixed {
    limit: Limit,
    phase: Duration,
    window: Option<u128>,
    count: usize,
}

impl Fixed {
    fn wait(&mut self, now: Duration) -> Option<Duration> {
        let length = length(self.limit).as_nanos().max(1);
        // One window is added so that times before the phase do not fall below zero.
        let since = now.as_nanos() + length - self.phase.as_nanos() % length;
        let window = since / length;
        if self.window != Some(window) {
            self.window = Some(window);
            self.count = 0;
        }
        let rest = u64::try_from(length - since % length).unwrap_or(u64::MAX);
        (self.count >= self.limit.calls).then(|| Duration::from_nanos(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: f64) -> Duration {
        Duration::from_secs_f64(s)
    }

    fn key(application: &str) -> Key {
        Key { tenant: "t".into(), application: application.into(), endpoint: Endpoint::Read }
    }

    fn quota(mode: QuotaMode, phase: f64) -> Quota {
        Quota::new(mode, at(phase), false)
    }

    fn minute() -> Vec<Limit> {
        vec![Limit { calls: 100, seconds: 60 }]
    }

    #[test]
    fn sliding_accepts_again_exactly_one_window_after_the_oldest() {
        let mut q = quota(QuotaMode::Sliding, 0.0);
        for n in 0..100 {
            assert_eq!(q.count(key("a"), &minute(), at(10.0 + f64::from(n) * 0.25)), Ok(()));
        }
        let refused = q.count(key("a"), &minute(), at(40.0)).unwrap_err();
        assert_eq!(refused.wait, at(30.0));
        assert_eq!(refused.limit.calls, 100);
        let just_before = at(70.0) - Duration::from_nanos(1);
        assert!(q.count(key("a"), &minute(), just_before).is_err());
        assert_eq!(q.count(key("a"), &minute(), at(70.0)), Ok(()));
        // The next slot becomes free a quarter of a second later.
        assert_eq!(q.count(key("a"), &minute(), at(70.0)).unwrap_err().wait, at(0.25));
    }

    #[test]
    fn sliding_never_lets_two_hundred_through_around_a_boundary() {
        let mut q = quota(QuotaMode::Sliding, 0.0);
        let accepted = |q: &mut Quota, t: f64| {
            (0..100).filter(|_| q.count(key("a"), &minute(), at(t)).is_ok()).count()
        };
        assert_eq!(accepted(&mut q, 59.9), 100);
        assert_eq!(accepted(&mut q, 60.1), 0);
    }

    #[test]
    fn fixed_lets_two_hundred_through_around_a_boundary() {
        let mut q = quota(QuotaMode::Fixed, 0.0);
        let accepted = |q: &mut Quota, t: f64| {
            (0..150).filter(|_| q.count(key("a"), &minute(), at(t)).is_ok()).count()
        };
        assert_eq!(accepted(&mut q, 59.9), 100);
        assert_eq!(accepted(&mut q, 60.1), 100);
        assert_eq!(accepted(&mut q, 119.9), 0);
        assert_eq!(accepted(&mut q, 120.0), 100);
    }

    #[test]
    fn fixed_windows_begin_at_their_phase() {
        let mut q = quota(QuotaMode::Fixed, 17.5);
        let one = vec![Limit { calls: 1, seconds: 60 }];
        assert_eq!(q.count(key("a"), &one, at(0.0)), Ok(()));
        assert_eq!(q.count(key("a"), &one, at(10.0)).unwrap_err().wait, at(7.5));
        assert!(q.count(key("a"), &one, at(17.5) - Duration::from_nanos(1)).is_err());
        assert_eq!(q.count(key("a"), &one, at(17.5)), Ok(()));
        assert_eq!(q.count(key("a"), &one, at(17.5)).unwrap_err().wait, at(60.0));
    }

    #[test]
    fn all_limits_hold_together_and_the_longest_wait_is_returned() {
        let both = vec![Limit { calls: 2, seconds: 60 }, Limit { calls: 3, seconds: 3600 }];
        let mut q = quota(QuotaMode::Sliding, 0.0);
        assert!(q.count(key("a"), &both, at(0.0)).is_ok());
        assert!(q.count(key("a"), &both, at(1.0)).is_ok());
        assert_eq!(q.count(key("a"), &both, at(2.0)).unwrap_err().limit.seconds, 60);
        assert!(q.count(key("a"), &both, at(60.0)).is_ok());
        let refused = q.count(key("a"), &both, at(60.5)).unwrap_err();
        assert_eq!((refused.limit.seconds, refused.wait), (3600, at(3539.5)));
        assert!(q.count(key("a"), &both, at(3599.9)).is_err());
        assert!(q.count(key("a"), &both, at(3600.0)).is_ok());
    }

    #[test]
    fn applications_do_not_share() {
        let mut q = quota(QuotaMode::Sliding, 0.0);
        let one = vec![Limit { calls: 1, seconds: 60 }];
        assert!(q.count(key("a"), &one, at(0.0)).is_ok());
        assert!(q.count(key("b"), &one, at(0.0)).is_ok());
        assert!(q.count(key("a"), &one, at(0.0)).is_err());
    }

    #[test]
    fn refused_calls_use_a_slot_only_if_asked() {
        let one = vec![Limit { calls: 1, seconds: 60 }];
        for (count_refused, accepted) in [(false, true), (true, false)] {
            for mode in [QuotaMode::Sliding, QuotaMode::Fixed] {
                let mut q = Quota::new(mode, Duration::ZERO, count_refused);
                assert!(q.count(key("a"), &one, at(0.0)).is_ok());
                assert!(q.count(key("a"), &one, at(30.0)).is_err());
                let fixed = mode == QuotaMode::Fixed;
                assert_eq!(q.count(key("a"), &one, at(60.0)).is_ok(), accepted || fixed);
            }
        }
    }

    #[test]
    fn a_limit_of_zero_refuses_everything() {
        for mode in [QuotaMode::Sliding, QuotaMode::Fixed] {
            let mut q = Quota::new(mode, Duration::ZERO, false);
            let none = vec![Limit { calls: 0, seconds: 60 }];
            assert_eq!(q.count(key("a"), &none, at(0.0)).unwrap_err().wait, at(60.0));
        }
    }

    #[test]
    fn off_refuses_nothing() {
        let mut q = quota(QuotaMode::Off, 0.0);
        assert!((0..500).all(|_| q.count(key("a"), &minute(), at(0.0)).is_ok()));
    }
}
