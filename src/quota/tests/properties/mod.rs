//! Two properties, checked with models of the service that are independent of the log: the service refuses no call
//! that was admitted, and no caller waits without need. They are checked in virtual time, for the log alone, for the
//! limiter, and for the rule of the shared log.
//!
//! The assumptions about the service:
//!
//! - It counts a call once, at any instant from our send until its reply arrives. It counts a call that was given up
//!   by the end of the grace period.
//! - It admits `limit` calls in any window of `length` on its own clock. The windows slide, with or without the instant
//!   at their beginning, or are fixed, with any phase.
//! - Its clock may be faster than ours by any amount, and slower by a thousandth (1/1.001 of the rate).
//! - Its stamps may be behind its time, by a clock resolution or at random. The tolerance for rate and stamps together
//!   is `length / 1000 + 1 ms`.
//! - Its clock resolution may be coarser if it divides the window, such as whole seconds and a window of a minute. In a
//!   sliding window the instant at the beginning must not count then.
//!
//! **Not covered** is a sliding window that counts whole seconds and both of its ends. It is a second longer than its
//! length.
//!
//! `MDE_PROPERTY_CASES` is the number of patterns for each property.

mod half_open;
mod patterns;
mod ranks;
mod service;
mod simulation;
mod subjects;

use proptest::prelude::*;

use self::patterns::{Pattern, patterns};
use self::service::{
    Counts, Error, Kind, Sent, ServiceClock, most_in_a_window, reach, refuses, roll,
};
use self::simulation::{Subject, simulate};
use self::subjects::{LogAlone, SharedEntries, WholeLimiter, rules};
use crate::quota::window::Window;

/// The default number of patterns. The limiter and the shared log are slower than the log alone and get a tenth.
const CASES: u32 = 100_000;
const OF_THE_OTHERS: u32 = 10;

fn config(one_in: u32) -> ProptestConfig {
    let wished = std::env::var("MDE_PROPERTY_CASES").ok();
    let cases = wished.map_or(CASES, |cases| cases.parse().expect("MDE_PROPERTY_CASES: a number"));
    let cases = (cases / one_in).max(1);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// The calls of a pattern that the log alone admits and that are sent.
fn sent_by_the_log(pattern: &Pattern) -> Vec<Sent> {
    simulate(pattern, &mut LogAlone::new(&pattern.windows), |_, _, _| ()).sent()
}

/// Ways to choose the instants of counting, among them as near as possible to the last instant of a call.
fn counts(calls: &[Sent], seed: u64) -> [Counts; 5] {
    let around = |seed: u64| match calls.len() {
        0 => 0,
        n => calls[usize::try_from(seed >> 32).unwrap() % n].last,
    };
    [
        Counts::AsTheyAreSent,
        Counts::AsTheyAreAnswered,
        Counts::Anywhere(seed),
        Counts::Around(around(seed)),
        Counts::Around(around(roll(seed))),
    ]
}

/// Checks that no window holds more than its limit, whatever the instants of counting, even if every window is as long
/// as the tolerance allows.
fn nothing_could_be_refused(calls: &[Sent], windows: &[Window]) -> Result<(), TestCaseError> {
    for window in windows {
        let most = most_in_a_window(calls, reach(window));
        prop_assert!(most <= window.limit as usize, "{most} calls in {window:?}");
    }
    Ok(())
}

/// Clocks at the limits of the tolerance, and within.
fn clocks(window: &Window, seed: u64) -> [ServiceClock; 4] {
    let clock = |ticks, per_nano| ServiceClock { ticks, per_nano, error: Error::Cut(1) };
    let short = |clock: ServiceClock, seed: u64| {
        let tolerance = clock.tolerance(window).expect("the rate is within the bounds");
        let most = match seed & 3 {
            0 => tolerance,
            1 => tolerance.min(1_000_000 * u128::from(clock.per_nano)),
            _ => tolerance * u128::from(seed >> 32) / (1 << 32),
        };
        let error = if seed & 4 == 0 { Error::Cut(most) } else { Error::Short(most, roll(seed)) };
        ServiceClock { error, ..clock }
    };
    let second = roll(seed);
    [
        short(clock(1_000, 1_001), seed),
        short(clock(1, 1), second),
        // Faster or slower by up to 0.05 %.
        short(clock(999_500 + (seed >> 20) % 1_001, 1_000_000), roll(second)),
        short(clock(1_000_000 + (seed >> 20) % 500_000, 1_000_000), seed),
    ]
}

/// Whether a service within the tolerance could refuse a call at `at`. `before` are the latest instants at which it
/// counts the earlier calls.
fn could_be_refused(at: u64, before: &[u64], windows: &[Window]) -> bool {
    windows.iter().any(|window| {
        // The slowest clock. The stamp of the new call is behind by the maximum. The stamps of calls that were counted
        // since then are behind as well, and all others are exact.
        let slowest = ServiceClock { ticks: 1_000, per_nano: 1_001, error: Error::Cut(1) };
        let tolerance = slowest.tolerance(window).unwrap();
        let exact = |at: u64| slowest.stamp(at, &mut 1);
        let new = exact(at).saturating_sub(tolerance - 1);
        let before = before.iter().map(|counted| exact(*counted).min(new));
        let stamps: Vec<u128> = before.chain([new]).collect();
        refuses(&stamps, slowest.length(window), window.limit, Kind::Sliding)
    })
}

fn no_wait_was_without_need<S: Subject>(
    pattern: &Pattern,
    subject: &mut S,
) -> Result<(), TestCaseError> {
    let history = simulate(pattern, subject, |_, _, _| ());
    for (at, before) in history.waits() {
        prop_assert!(could_be_refused(at, &before, &pattern.windows), "admitted at {at}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(1))]

    /// Any service that satisfies the assumptions. The next properties are special cases with a concrete service.
    #[test]
    fn no_choice_of_instants_overflows_any_window(pattern in patterns()) {
        nothing_could_be_refused(&sent_by_the_log(&pattern), &pattern.windows)?;
    }

    #[test]
    fn a_sliding_window_never_overflows(pattern in patterns()) {
        let calls = sent_by_the_log(&pattern);
        for counts in counts(&calls, pattern.seed) {
            let stamps = ServiceClock::EXACT.stamps(&counts.of(&calls));
            for window in &pattern.windows {
                let length = ServiceClock::EXACT.length(window);
                prop_assert!(
                    !refuses(&stamps, length, window.limit, Kind::SlidingInclusive),
                    "{counts:?} {window:?}"
                );
            }
        }
    }

    /// Windows that begin at random, at a call, right before it and right after it.
    #[test]
    fn a_fixed_window_never_overflows(pattern in patterns()) {
        let calls = sent_by_the_log(&pattern);
        for counts in counts(&calls, pattern.seed) {
            let stamps = ServiceClock::EXACT.stamps(&counts.of(&calls));
            let seed = usize::try_from(pattern.seed >> 8).unwrap();
            let call = stamps.get(seed % stamps.len().max(1)).copied().unwrap_or_default();
            for window in &pattern.windows {
                let length = ServiceClock::EXACT.length(window);
                for begins in [u128::from(pattern.seed), call, call + 1, call + length - 1] {
                    prop_assert!(
                        !refuses(&stamps, length, window.limit, Kind::Fixed(begins)),
                        "{counts:?} {window:?} from {begins}"
                    );
                }
            }
        }
    }

    /// Clocks that are slow, fast, coarse or jittery within the tolerance.
    #[test]
    fn another_clock_within_the_tolerance_refuses_no_call(pattern in patterns()) {
        let calls = sent_by_the_log(&pattern);
        let [.., counts] = counts(&calls, pattern.seed);
        let counted = counts.of(&calls);
        for window in &pattern.windows {
            for clock in clocks(window, pattern.seed) {
                let stamps = clock.stamps(&counted);
                for kind in [Kind::SlidingInclusive, Kind::Fixed(pattern.seed.into())] {
                    prop_assert!(
                        !refuses(&stamps, clock.length(window), window.limit, kind),
                        "{counts:?} {window:?} {clock:?} {kind:?}"
                    );
                }
            }
        }
    }

    /// Stamps far coarser than the tolerance, such as whole seconds.
    #[test]
    fn a_coarse_clock_whose_resolution_divides_the_window_refuses_no_call(pattern in patterns()) {
        let calls = sent_by_the_log(&pattern);
        let seed = pattern.seed;
        let [.., counts] = counts(&calls, seed);
        let counted = counts.of(&calls);
        for window in &pattern.windows {
            let ticks = 999_001 + (seed >> 20) % 2_000;
            let clock = ServiceClock { ticks, per_nano: 1_000_000, error: Error::Cut(1) };
            let length = clock.length(window);
            let parts = [1, 2, 4, 5, 10, 1_000][usize::try_from(seed >> 60).unwrap() % 6];
            let resolution = length / parts;
            let stamps = ServiceClock { error: Error::Cut(resolution), ..clock }.stamps(&counted);
            let begins = resolution * (u128::from(seed) % parts);
            for kind in [Kind::Sliding, Kind::Fixed(begins)] {
                prop_assert!(
                    !refuses(&stamps, length, window.limit, kind),
                    "{counts:?} {window:?} {clock:?} in {parts} {kind:?}"
                );
            }
        }
    }

    /// A call that went out one nanosecond earlier could have been refused.
    #[test]
    fn no_caller_waits_without_need(pattern in patterns()) {
        no_wait_was_without_need(&pattern, &mut LogAlone::new(&pattern.windows))?;
    }

    /// The log reports the same figures as a recount of all calls.
    #[test]
    fn the_log_reports_what_it_holds(pattern in patterns()) {
        simulate(&pattern, &mut LogAlone::new(&pattern.windows), |log, history, now| {
            // A recount at every fourth instant takes as long as the other properties.
            if (now ^ pattern.seed) & 3 == 0 {
                assert_eq!(log.report(now), history.recount(now));
            }
        });
    }
}

proptest! {
    #![proptest_config(config(OF_THE_OTHERS))]

    #[test]
    fn no_call_that_the_limiter_admits_is_refused(pattern in patterns()) {
        let rules = rules(&pattern);
        let history = simulate(&pattern, &mut WholeLimiter::new(&rules), |_, _, _| ());
        nothing_could_be_refused(&history.sent(), &pattern.windows)?;
    }

    #[test]
    fn no_caller_of_the_limiter_waits_without_need(pattern in patterns()) {
        let rules = rules(&pattern);
        no_wait_was_without_need(&pattern, &mut WholeLimiter::new(&rules))?;
    }

    #[test]
    fn the_limiter_reports_what_it_holds(pattern in patterns()) {
        let rules = rules(&pattern);
        simulate(&pattern, &mut WholeLimiter::new(&rules), |limiter, history, now| {
            assert_eq!(limiter.report(now), history.recount(now));
        });
    }

    #[test]
    fn no_call_that_the_shared_log_admits_is_refused(pattern in patterns()) {
        let mut entries = SharedEntries::new(&pattern.windows);
        let history = simulate(&pattern, &mut entries, |_, _, _| ());
        nothing_could_be_refused(&history.sent(), &pattern.windows)?;
    }
}
