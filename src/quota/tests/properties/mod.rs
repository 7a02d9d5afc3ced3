//! The promise, against models of the service that share nothing with the log: no call that was let go is
//! ever refused, and nobody waits without need. In virtual time, for the log alone, for the limiter, and for the
//! rule of the log that processes share.
//!
//! What is assumed of the service, and nothing more:
//!
//! - It counts a call once, at any instant from our send to the arrival of its reply at our side; an attempt
//!   that was given up, up to the time that the log allows for stragglers.
//! - In any window of `length` by its own clock it lets `limit` calls through. The windows slide, with or without
//!   the instant at their beginning, or follow each other from any phase.
//! - Its clock may be slower than ours by a thousandth (1/1.001 of its rate; faster by any amount), and its
//!   stamps may fall short of its time, by a grain or at random, by less than what the thousandth leaves of
//!   `length / 1000 + 1 ms`: by 1 ms and a thousandth of the window if the rate is right.
//! - Coarser stamps do no harm either if the grain divides the window and, in a sliding window, the instant at
//!   the beginning does not count: whole seconds and a window of a minute. **Not covered**: a sliding window that
//!   counts whole seconds and both of its ends, since it is a second longer than it says.
//!
//! `MDE_PROPERTY_CASES` says how many patterns each property is shown.

mod half_open;
mod patterns;
mod play;
mod service;
mod subjects;

use proptest::prelude::*;

use self::patterns::{Pattern, patterns};
use self::play::{Subject, play};
use self::service::{
    Counts, Error, Kind, Sent, ServiceClock, most_in_a_window, reach, refuses, roll,
};
use self::subjects::{LogAlone, SharedEntries, WholeLimiter, rules};
use crate::quota::window::Window;

/// The log alone is fast; the share of the others is smaller.
const CASES: u32 = 100_000;
const OF_THE_OTHERS: u32 = 10;

fn config(one_in: u32) -> ProptestConfig {
    let wished = std::env::var("MDE_PROPERTY_CASES").ok();
    let cases = wished.map_or(CASES, |cases| cases.parse().expect("MDE_PROPERTY_CASES: a number"));
    let cases = (cases / one_in).max(1);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// The calls of a pattern that were sent, with the log in charge.
fn sent_by_the_log(pattern: &Pattern) -> Vec<Sent> {
    play(pattern, &mut LogAlone::new(&pattern.windows), |_, _, _| ()).sent()
}

/// Places at which a service may count: the plain ones, and crowds around what was last possible for a call.
fn counts(calls: &[Sent], dice: u64) -> [Counts; 5] {
    let around = |dice: u64| match calls.len() {
        0 => 0,
        n => calls[usize::try_from(dice >> 32).unwrap() % n].last,
    };
    [
        Counts::AsTheyAreSent,
        Counts::AsTheyAreAnswered,
        Counts::Anywhere(dice),
        Counts::Around(around(dice)),
        Counts::Around(around(roll(dice))),
    ]
}

/// Nowhere and by no choice of the instants are there more than the limit, even if every window is as long as
/// the log allows for.
fn nothing_could_be_refused(calls: &[Sent], windows: &[Window]) -> Result<(), TestCaseError> {
    for window in windows {
        let most = most_in_a_window(calls, reach(window));
        prop_assert!(most <= window.limit as usize, "{most} calls in {window:?}");
    }
    Ok(())
}

/// Clocks at the bounds of what is assumed, and within.
fn clocks(window: &Window, dice: u64) -> [ServiceClock; 4] {
    let clock = |ticks, per_nano| ServiceClock { ticks, per_nano, error: Error::Cut(1) };
    let short = |clock: ServiceClock, dice: u64| {
        let slack = clock.slack(window).expect("the rate is within the bounds");
        let most = match dice & 3 {
            0 => slack,
            1 => slack.min(1_000_000 * u128::from(clock.per_nano)),
            _ => slack * u128::from(dice >> 32) / (1 << 32),
        };
        let error = if dice & 4 == 0 { Error::Cut(most) } else { Error::Short(most, roll(dice)) };
        ServiceClock { error, ..clock }
    };
    let second = roll(dice);
    [
        short(clock(1_000, 1_001), dice),
        short(clock(1, 1), second),
        // Off by up to 0.05 % to either side.
        short(clock(999_500 + (dice >> 20) % 1_001, 1_000_000), roll(second)),
        short(clock(1_000_000 + (dice >> 20) % 500_000, 1_000_000), dice),
    ]
}

/// A wait that is over at `goes + 1`: had the caller gone at `goes`, a service within the bounds would have
/// found too many calls in one of the windows. `before` says when it counts those before, at the latest.
fn going_could_be_refused(goes: u64, before: &[u64], windows: &[Window]) -> bool {
    windows.iter().any(|window| {
        // The slowest clock. The newcomer's stamp falls short by all that is possible; of those before, the
        // ones that were counted since then fall short, too, and all others are exact.
        let slowest = ServiceClock { ticks: 1_000, per_nano: 1_001, error: Error::Cut(1) };
        let slack = slowest.slack(window).unwrap();
        let exact = |at: u64| slowest.stamp(at, &mut 1);
        let new = exact(goes).saturating_sub(slack - 1);
        let before = before.iter().map(|counted| exact(*counted).min(new));
        let stamps: Vec<u128> = before.chain([new]).collect();
        refuses(&stamps, slowest.length(window), window.limit, Kind::Sliding)
    })
}

fn nobody_waited_without_need<S: Subject>(
    pattern: &Pattern,
    subject: &mut S,
) -> Result<(), TestCaseError> {
    let history = play(pattern, subject, |_, _, _| ());
    for (goes, before) in history.waits() {
        prop_assert!(going_could_be_refused(goes, &before, &pattern.windows), "gone at {goes}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(1))]

    /// Whatever the service does within its bounds. The properties that follow are special cases, each with the
    /// service spelled out.
    #[test]
    fn no_choice_of_instants_overflows_any_window(pattern in patterns()) {
        nothing_could_be_refused(&sent_by_the_log(&pattern), &pattern.windows)?;
    }

    #[test]
    fn a_sliding_window_never_overflows(pattern in patterns()) {
        let calls = sent_by_the_log(&pattern);
        for counts in counts(&calls, pattern.dice) {
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

    /// Windows that begin anywhere, at a call, right before it and right after it.
    #[test]
    fn a_fixed_window_never_overflows(pattern in patterns()) {
        let calls = sent_by_the_log(&pattern);
        for counts in counts(&calls, pattern.dice) {
            let stamps = ServiceClock::EXACT.stamps(&counts.of(&calls));
            let dice = usize::try_from(pattern.dice >> 8).unwrap();
            let call = stamps.get(dice % stamps.len().max(1)).copied().unwrap_or_default();
            for window in &pattern.windows {
                let length = ServiceClock::EXACT.length(window);
                for begins in [u128::from(pattern.dice), call, call + 1, call + length - 1] {
                    prop_assert!(
                        !refuses(&stamps, length, window.limit, Kind::Fixed(begins)),
                        "{counts:?} {window:?} from {begins}"
                    );
                }
            }
        }
    }

    /// Clocks that are slow, fast, coarse or jittery within the bounds.
    #[test]
    fn another_clock_does_no_harm(pattern in patterns()) {
        let calls = sent_by_the_log(&pattern);
        let [.., counts] = counts(&calls, pattern.dice);
        let counted = counts.of(&calls);
        for window in &pattern.windows {
            for clock in clocks(window, pattern.dice) {
                let stamps = clock.stamps(&counted);
                for kind in [Kind::SlidingInclusive, Kind::Fixed(pattern.dice.into())] {
                    prop_assert!(
                        !refuses(&stamps, clock.length(window), window.limit, kind),
                        "{counts:?} {window:?} {clock:?} {kind:?}"
                    );
                }
            }
        }
    }

    /// Stamps far coarser than the slack, such as whole seconds, where the grain divides the window.
    #[test]
    fn a_grain_that_divides_the_window_does_no_harm(pattern in patterns()) {
        let calls = sent_by_the_log(&pattern);
        let dice = pattern.dice;
        let [.., counts] = counts(&calls, dice);
        let counted = counts.of(&calls);
        for window in &pattern.windows {
            let ticks = 999_001 + (dice >> 20) % 2_000;
            let clock = ServiceClock { ticks, per_nano: 1_000_000, error: Error::Cut(1) };
            let length = clock.length(window);
            let parts = [1, 2, 4, 5, 10, 1_000][usize::try_from(dice >> 60).unwrap() % 6];
            let grain = length / parts;
            let stamps = ServiceClock { error: Error::Cut(grain), ..clock }.stamps(&counted);
            let begins = grain * (u128::from(dice) % parts);
            for kind in [Kind::Sliding, Kind::Fixed(begins)] {
                prop_assert!(
                    !refuses(&stamps, length, window.limit, kind),
                    "{counts:?} {window:?} {clock:?} in {parts} {kind:?}"
                );
            }
        }
    }

    /// One nanosecond earlier than it was told, a caller could have been refused.
    #[test]
    fn nobody_waits_without_need(pattern in patterns()) {
        nobody_waited_without_need(&pattern, &mut LogAlone::new(&pattern.windows))?;
    }

    /// What the log says of itself is what a recount of everything that happened says.
    #[test]
    fn the_log_reports_what_it_holds(pattern in patterns()) {
        play(&pattern, &mut LogAlone::new(&pattern.windows), |log, history, now| {
            // A recount of every fourth instant is enough and takes as long as the other properties.
            if (now ^ pattern.dice) & 3 == 0 {
                assert_eq!(log.report(now), history.recount(now));
            }
        });
    }
}

proptest! {
    #![proptest_config(config(OF_THE_OTHERS))]

    #[test]
    fn the_limiter_lets_nobody_be_refused(pattern in patterns()) {
        let rules = rules(&pattern);
        let history = play(&pattern, &mut WholeLimiter::new(&rules), |_, _, _| ());
        nothing_could_be_refused(&history.sent(), &pattern.windows)?;
    }

    #[test]
    fn the_limiter_lets_nobody_wait_without_need(pattern in patterns()) {
        let rules = rules(&pattern);
        nobody_waited_without_need(&pattern, &mut WholeLimiter::new(&rules))?;
    }

    #[test]
    fn the_limiter_reports_what_it_holds(pattern in patterns()) {
        let rules = rules(&pattern);
        play(&pattern, &mut WholeLimiter::new(&rules), |limiter, history, now| {
            assert_eq!(limiter.report(now), history.recount(now));
        });
    }

    #[test]
    fn the_shared_log_lets_nobody_be_refused(pattern in patterns()) {
        let mut entries = SharedEntries::new(&pattern.windows);
        let history = play(&pattern, &mut entries, |_, _, _| ());
        nothing_could_be_refused(&history.sent(), &pattern.windows)?;
    }
}
