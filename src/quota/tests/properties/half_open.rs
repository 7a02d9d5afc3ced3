//! After a 429 one call at a time goes out, until one gets a reply that is none; and nobody waits for ever.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::patterns::{Arrival, End, Pattern, patterns};
use super::play::{Subject, Turn};
use super::service::roll;
use super::subjects::{SharedEntries, WholeLimiter, rules};
use super::{OF_THE_OTHERS, config};

/// What can be refused.
pub(super) trait Throttled: Subject {
    /// The call that took the `n`th slot was refused with 429, and a wait in nanoseconds.
    fn refuse(&mut self, n: usize, wait: u64, now: u64);
}

/// The endpoint, as the promise has it.
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
    /// It is refused, and so many nanoseconds are named.
    refused: Option<u64>,
}

/// More looks than any caller needs for a slot.
const MOST_LOOKS: u32 = 10_000;

/// Plays the pattern, with one reply in so many a 429.
fn play<S: Throttled>(
    pattern: &Pattern,
    subject: &mut S,
    one_in: u64,
) -> Result<(), TestCaseError> {
    let (mut endpoint, mut calls) = (Endpoint::default(), Vec::<Call>::new());
    let mut pending = BinaryHeap::new();
    let (mut now, mut comes, mut dice) = (0_u64, 0_u64, pattern.dice | 1);
    for Arrival { gap, latency, end } in &pattern.arrivals {
        comes += gap;
        now = now.max(comes);
        let mut looks = 0;
        loop {
            while let Some(Reverse((at, n))) =
                pending.peek().copied().filter(|Reverse((at, _))| *at <= now)
            {
                pending.pop();
                end_call(&mut endpoint, subject, &calls, n, at);
            }
            looks += 1;
            prop_assert!(looks < MOST_LOOKS, "nobody goes at {now}");
            let next_end = pending.peek().map(|Reverse((at, _))| *at);
            now = match subject.take(now) {
                Turn::Go => break,
                Turn::At(at) if at > now => next_end.map_or(at, |end| end.min(at)),
                Turn::AfterReply => next_end.expect("somebody is in flight"),
                turn => panic!("no way on at {now}: {turn:?}"),
            };
        }
        prop_assert!(now >= endpoint.closed_until, "gone at {now} into a closed endpoint");
        prop_assert!(!endpoint.half_open || pending.is_empty(), "two at once at {now}");
        dice = roll(dice);
        let refused =
            (*end == End::Replied && dice % one_in == 0).then_some((dice >> 32) % 4 * latency);
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
    fn the_limiter_lets_one_call_out_until_one_is_not_refused(
        pattern in patterns(),
        one_in in 1_u64..8,
    ) {
        let rules = rules(&pattern);
        play(&pattern, &mut WholeLimiter::new(&rules), one_in)?;
    }

    #[test]
    fn the_shared_log_lets_one_call_out_until_one_is_not_refused(
        pattern in patterns(),
        one_in in 1_u64..8,
    ) {
        play(&pattern, &mut SharedEntries::new(&pattern.windows), one_in)?;
    }
}
