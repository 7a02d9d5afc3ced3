//! A decision of the limiter allocates no memory once its buffers have their final size.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../src/allocations.rs"]
mod allocations;

use std::time::Duration;

use mde::bench_hooks::{Limiter, hold};

/// The length of the log: as many stamps as the documented limits allow.
const STAMPS: u32 = 1_500;

#[test]
fn a_decision_allocates_nothing() {
    let step = hold(Duration::from_secs(3_600)) / STAMPS + Duration::from_nanos(1);
    let limiter = Limiter::stepping("collect=100/60,1500/3600", step).unwrap();
    let caller = limiter.caller(None);
    let decide = || caller.try_acquire().unwrap().replied();
    (0..2 * STAMPS).for_each(|_| decide());
    let before = allocations::count();
    (0..10 * STAMPS).for_each(|_| decide());
    assert_eq!(allocations::count() - before, 0);
    // The log had that length, and the counter works.
    assert!(limiter.usage().0 >= STAMPS as usize - 1);
    assert!(allocations::count() > before);
}
