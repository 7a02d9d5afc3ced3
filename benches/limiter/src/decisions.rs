//! The cost of one decision in memory: a slot is taken and released with a reply, and there is always room.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use mde::bench_hooks::{Caller, Limiter, hold};

use crate::measure::{Cost, cost, median, rounds, spread};

const DECISIONS: u32 = 400_000;

/// The fewest decisions of a thread. They take longer than a scheduler's time slice.
const EACH: u32 = 50_000;
const HOUR: Duration = Duration::from_secs(3_600);

/// The documented limits, with room for every thread beside 1,500 calls in the last hour.
const LIMITS: &str = "collect=200/60,1600/3600";

pub fn print() {
    println!(
        "\nOne decision in memory, with room. Median of {} rounds of {DECISIONS} decisions or more, ours and governor in \
         turn; ratios with smallest and largest.\n",
        rounds(9)
    );
    println!(
        "| stamps in the log | threads | limiter | wall ns | CPU ns | allocations | wall ratio | CPU ratio |\n\
         |---|---|---|---|---|---|---|---|"
    );
    for stamps in [1, 1_500] {
        for threads in [1, 8, 64] {
            rows(stamps, threads);
        }
    }
}

fn rows(stamps: u32, threads: u32) {
    let each = (DECISIONS / threads).max(EACH);
    let mut all = Vec::new();
    for round in 0..rounds(9) {
        let limiter = with_stamps(stamps);
        let buckets = Buckets::with_room();
        let ours = || cost(threads, each, || decider(limiter.caller(None)));
        let theirs = || cost(threads, each, || || buckets.decide());
        all.push(match round % 2 {
            0 => (ours(), theirs()),
            _ => {
                let theirs = theirs();
                (ours(), theirs)
            }
        });
        // Calls in flight at the end add to the stamps.
        let (used, _) = limiter.usage();
        assert!(used.abs_diff(stamps as usize) <= threads as usize, "{used} stamps");
    }
    let ratios = |of: fn(&Cost) -> f64| spread(all.iter().map(|(a, b)| of(a) / of(b)));
    let row = |name: &str, costs: Vec<Cost>, ratios: [String; 2]| {
        println!(
            "| {stamps} | {threads} | {name} | {:.0} | {:.0} | {} | {} | {} |",
            median(costs.iter().map(|cost| cost.wall_ns)),
            median(costs.iter().map(|cost| cost.cpu_ns)),
            median(costs.iter().map(|cost| cost.allocations)),
            ratios[0],
            ratios[1]
        );
    };
    let (ours, theirs) = all.iter().copied().unzip();
    row("ours", ours, [ratios(|cost| cost.wall_ns), ratios(|cost| cost.cpu_ns)]);
    row("governor", theirs, ["1".to_owned(), "1".to_owned()]);
}

/// Repeats one decision, for a count of instructions.
pub fn repeat(whose: &str, stamps: &str, count: &str) {
    let (stamps, count): (u32, u32) = (stamps.parse().unwrap(), count.parse().unwrap());
    let (limiter, buckets) = (with_stamps(stamps), Buckets::with_room());
    let mut ours = decider(limiter.caller(None));
    match whose {
        "ours" => (0..count).for_each(|_| ours()),
        _ => (0..count).for_each(|_| buckets.decide()),
    }
}

/// A limiter whose log fills up to this many stamps and stays at this length.
fn with_stamps(stamps: u32) -> Limiter {
    Limiter::stepping(LIMITS, (hold(HOUR) / stamps) + Duration::from_nanos(1)).unwrap()
}

fn decider(caller: Caller<'_>) -> impl FnMut() {
    move || caller.try_acquire().expect("there is room").replied()
}

/// Two token buckets in sequence, which is how a governor program keeps a rate per minute and one per hour.
struct Buckets([DefaultDirectRateLimiter; 2]);

impl Buckets {
    fn with_room() -> Buckets {
        let most = NonZeroU32::MAX;
        Buckets([Quota::per_minute(most), Quota::per_hour(most)].map(RateLimiter::direct))
    }

    fn decide(&self) {
        let Buckets(buckets) = self;
        assert!(buckets.iter().all(|bucket| bucket.check().is_ok()), "there is room");
    }
}
