//! After a 429 one call at a time goes out until one is not refused, and no caller waits for ever.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::patterns::{Arrival, End, Pattern, patterns};
use super::service::roll;
use super::simulation::{Subject, Turn};
use super::subjects::{SharedEntries, WholeLimiter, rules};
use super::{OF_THE_OTHERS, config};

/// A subject whose calls the service may refuse with 429.
pub(super) trait Throttled: Subject {
    /// The call that took the `n`th slot was refused with 429. `wait` is in nanoseconds.
    fn refuse(&mut self, n: usize, wait: u64, now: u64);
}

/// The state that the endpoint must have.
#[derive(Default)]
struct Endpoint {
    closed_until: u64,
    half_open: bool,
}

#[derive(Clone, Copy)]
struct Call {
    end: End,
    /// It went out while the endpoint was half open.
    probe: bool,
    /// It is refused with this wait in nanoseconds.
    refused: Option<u64>,
}

/// No caller needs as many checks to get a slot.
const MOST_CHECKS: u32 = 10_000;

/// Simulates the pattern. One reply in `one_in` is a 429.
fn simulate<S: Throttled>(
    pattern: &Pattern,
    subject: &mut S,
    one_in: u64,
) -> Result<(), TestCaseError> {
    let (mut endpoint, mut calls) = (Endpoint::default(), Vec::<Call>::new());
    let mut pending = BinaryHeap::new();
    let (mut now, mut comes, mut seed) = (0_u64, 0_u64, pattern.seed | 1);
    for Arrival { gap, latency, end } in &pattern.arrivals {
        comes += gap;
        now = now.max(comes);
        let mut checks = 0;
        loop {
            while let Some(Reverse((at, n))) =
                pending.peek().copied().filter(|Reverse((at, _))| *at <= now)
            {
                pending.pop();
                end_call(&mut endpoint, subject, &calls, n, at);
            }
            checks += 1;
            prop_assert!(checks < MOST_CHECKS, "no call goes out at {now}");
            let next_end = pending.peek().map(|Reverse((at, _))| *at);
            now = match subject.take(now) {
                Turn::Go => break,
                Turn::At(at) if at > now => next_end.map_or(at, |end| end.min(at)),
                Turn::AfterReply => next_end.expect("a call is in flight"),
                turn => panic!("no progress at {now}: {turn:?}"),
            };
        }
        prop_assert!(now >= endpoint.closed_until, "admitted at {now} to a closed endpoint");
        prop_assert!(!endpoint.half_open || pending.is_empty(), "two at once at {now}");
        seed = roll(seed);
        let refused =
            (*end == End::Replied && seed % one_in == 0).then_some((seed >> 32) % 4 * latency);
        pending.push(Reverse((now + latency, calls.len())));
        calls.push(Call { end: *end, probe: endpoint.half_open, refused });
    }
    Ok(())
}

fn end_call<S: Throttled>(
    endpoint: &mut Endpoint,
    subject: &mut S,
    calls: &[Call],
    n: usize,
    at: u64,
) {
    let call = calls[n];
    match call.refused {
        Some(wait) => {
            subject.refuse(n, wait, at);
            endpoint.closed_until = endpoint.closed_until.max(at + wait);
            endpoint.half_open = true;
        }
        None => {
            subject.end(n, call.end, at);
            endpoint.half_open &= !(call.probe && call.end == End::Replied);
        }
    }
}

proptest! {
    #![proptest_config(config(OF_THE_OTHERS))]

    #[test]
    fn after_a_429_the_limiter_admits_one_call_at_a_time_until_one_is_not_refused(
        pattern in patterns(),
        one_in in 1_u64..8,
    ) {
        let rules = rules(&pattern);
        simulate(&pattern, &mut WholeLimiter::new(&rules), one_in)?;
    }

    #[test]
    fn after_a_429_the_shared_log_admits_one_call_at_a_time_until_one_is_not_refused(
        pattern in patterns(),
        one_in in 1_u64..8,
    ) {
        simulate(&pattern, &mut SharedEntries::new(&pattern.windows), one_in)?;
    }
}
