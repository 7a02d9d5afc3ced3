//! Jobs in virtual time, with the real engine and journal: each seed decides the devices, the quotas, what fails, and when
//! the process ends. After each run every device has exactly one outcome, no device was asked twice, and the service has
//! refused no request.
//!
//! `MDE_FLEET_SEEDS` is the number of seeds. `MDE_FLEET_SEED` prints what happens with one of them.

mod checks;
mod compaction;
mod disk;
mod downloads;
mod driver;
mod followed;
mod host;
mod journal;
mod plan;
mod seed;
mod service;
mod start;
mod watcher;
mod world;

use self::host::{Run, Tally, play, play_plan};
use self::plan::Plan;

const SEEDS: u64 = 10_000;

/// Names the seed of a run that has failed.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("MDE_FLEET_SEED={}", self.0);
        }
    }
}

fn play_named(seed: u64) -> Run {
    let _named = Named(seed);
    play(seed)
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn every_device_has_one_outcome_whatever_happens() {
    if let Some(seed) = variable("MDE_FLEET_SEED") {
        let run = play_named(seed);
        println!("{}{:?}", run.trace, run.tally);
        return;
    }
    let (first, seeds) =
        (variable("MDE_FLEET_FIRST").unwrap_or(0), variable("MDE_FLEET_SEEDS").unwrap_or(SEEDS));
    let half = |begin: u64| {
        let mut tally = Tally::default();
        let seeds = (first + begin..first + seeds).step_by(2);
        seeds.for_each(|seed| tally.add(&play_named(seed).tally));
        tally
    };
    let all = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        let mut all = half(0);
        all.add(&other.join().unwrap());
        all
    });
    println!("{all:?}");
    if seeds >= SEEDS {
        all.check_that_all_was_met();
    }
}

#[test]
fn a_seed_replays_the_same_run() {
    for seed in 0..100 {
        assert_eq!(play_named(seed), play_named(seed), "seed {seed}");
    }
}

#[test]
fn a_calm_job_takes_little_longer_than_the_quota_needs() {
    for (seed, count) in [(1, 1), (2, 3), (3, 50), (4, 500)] {
        let mut random = fastrand::Rng::with_seed(seed);
        let plan = Plan::calm(&mut random, count);
        let tally = play_plan(plan, random).tally;
        assert_eq!((tally.done, tally.calls), (count, 1));
    }
}
