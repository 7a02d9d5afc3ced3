//! The most calls in any minute and any hour, from a caller that takes every slot at once. In virtual time.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, FakeRelativeClock};
use governor::{Quota, RateLimiter};
use mde::bench_hooks::Limiter;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const SIMULATED: Duration = Duration::from_secs(6 * 3_600);

pub fn print() {
    println!(
        "\nThe most calls in any minute and any hour of six, under a caller who takes every slot at once.\n"
    );
    println!("| limiter | calls in six hours | in a minute, limit 100 | in an hour, limit 1,500 |");
    println!("|---|---|---|---|");
    for (name, calls) in [("ours", ours()), ("governor", governor())] {
        let [minute, hour] = [MINUTE, HOUR].map(|length| most_in(&calls, length));
        println!("| {name} | {} | {minute} | {hour} |", calls.len());
    }
}

fn ours() -> Vec<Duration> {
    let limiter = Limiter::in_virtual_time("collect=100/60,1500/3600").unwrap();
    let caller = limiter.caller(None);
    simulate(|now| match caller.try_acquire() {
        Ok(permit) => {
            permit.replied();
            None
        }
        Err(wait) => {
            let wait = wait.expect("nothing is in flight");
            limiter.advance(wait);
            Some(now + wait)
        }
    })
}

fn governor() -> Vec<Duration> {
    let clock = FakeRelativeClock::default();
    let limit = |calls| NonZeroU32::new(calls).unwrap();
    let buckets = [Quota::per_minute(limit(100)), Quota::per_hour(limit(1_500))]
        .map(|quota| RateLimiter::direct_with_clock(quota, clock.clone()));
    simulate(|now| {
        let full = buckets.iter().find_map(|bucket| bucket.check().err())?;
        let wait = full.wait_time_from(clock.now());
        clock.advance(wait);
        Some(now + wait)
    })
}

/// The times of all calls. `ask` returns `None` if a call may go out now, or the time of the next attempt.
fn simulate(mut ask: impl FnMut(Duration) -> Option<Duration>) -> Vec<Duration> {
    let (mut now, mut calls) = (Duration::ZERO, Vec::new());
    while now < SIMULATED {
        match ask(now) {
            None => calls.push(now),
            Some(later) => now = later,
        }
    }
    calls
}

/// The most calls in any half-open window of this length.
fn most_in(calls: &[Duration], length: Duration) -> usize {
    let inside = |(at, start): (usize, &Duration)| {
        calls[at..].iter().take_while(|call| **call < *start + length).count()
    };
    calls.iter().enumerate().map(inside).max().unwrap_or_default()
}
