//! Random patterns of calls. Each call is one number, so that proptest draws and shrinks quickly. Zero is the simplest
//! call: it comes at once and is answered at once.

use std::time::Duration;

use proptest::prelude::*;

use super::service::{MS, nanos, reach};
use crate::quota::window::Window;

/// One caller, and its call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// How long it comes after the previous caller.
    pub gap: u64,
    /// How long the call lasts.
    pub latency: u64,
    pub end: End,
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Replied,
    GivenUp,
    NotSent,
}

#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub windows: Vec<Window>,
    pub arrivals: Vec<Arrival>,
    /// The seed of all other random choices.
    pub seed: u64,
}

const MOST_CALLS: usize = 48;

pub(super) fn patterns() -> impl Strategy<Value = Pattern> {
    let windows = prop::collection::vec(any::<u32>(), 1..=3);
    let arrivals = prop::collection::vec(any::<u64>(), 1..MOST_CALLS);
    (windows, arrivals, any::<u64>()).prop_map(|(windows, arrivals, seed)| {
        let windows: Vec<Window> = windows.into_iter().map(window).collect();
        let arrivals = arrivals.into_iter().map(|gene| arrival(Gene(gene), &windows)).collect();
        Pattern { windows, arrivals, seed }
    })
}

/// A window from 1 ms to more than an hour. Every order of magnitude is equally likely.
fn window(gene: u32) -> Window {
    let mut gene = Gene(gene.into());
    let limit = [1, 1, 2, 2, 3, 4, 6, 10][gene.take(3)];
    let length = (MS << gene.take(4)) << gene.take(3);
    let odd = match gene.take(1) {
        0 => 0,
        _ => length / 4_096 * gene.take(12) as u64 + gene.take(9) as u64,
    };
    Window { limit, length: Duration::from_nanos(length + odd) }
}

fn arrival(mut gene: Gene, windows: &[Window]) -> Arrival {
    let window = &windows[gene.take(4) % windows.len()];
    let gap = match gene.take(3) {
        0..=3 => 0,
        4 => part(nanos(window) / 16, &mut gene),
        5 => part(nanos(window) * 2, &mut gene),
        // Around the end of a window or its hold time.
        6 => nanos(window) - 1 + gene.take(2) as u64,
        _ => reach(window) - 1 + gene.take(2) as u64,
    };
    let latency = match gene.take(3) {
        0..=2 => 0,
        3 | 4 => part(nanos(window) / 64, &mut gene),
        5 | 6 => part(nanos(window), &mut gene),
        _ => part(nanos(window) * 3, &mut gene),
    };
    let end = match gene.take(3) {
        0..=5 => End::Replied,
        6 => End::GivenUp,
        _ => End::NotSent,
    };
    Arrival { gap, latency, end }
}

fn part(whole: u64, gene: &mut Gene) -> u64 {
    whole / 4_096 * gene.take(12) as u64 + gene.take(3) as u64
}

/// A random number, consumed bit by bit.
struct Gene(u64);

impl Gene {
    fn take(&mut self, bits: u32) -> usize {
        let taken = self.0 & ((1 << bits) - 1);
        self.0 >>= bits;
        usize::try_from(taken).unwrap()
    }
}
