//! Decisions per second through a log that processes share.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::measure::{cpu_time, median};
use crate::place::{limiter, new_file};
use crate::workers;

const ROUNDS: usize = 5;
const LASTING: Duration = Duration::from_secs(1);

/// A table for the documented 1,500 calls, and windows so short that it never fills up.
const LIMITS: &str = "collect=1500/0.001";
const SLOTS: usize = 1_500;

/// How long calls that nobody ended are held to be under way, and a while.
const LEASE: Duration = Duration::from_millis(1_200);

pub fn print(folder: &str) {
    println!(
        "\nDecisions through the file, with room. Median of {ROUNDS} rounds of {} s.\n",
        LASTING.as_secs()
    );
    println!(
        "| table of 1,500 slots | processes | threads each | decisions per second | CPU µs per decision |"
    );
    println!("|---|---|---|---|---|");
    for full in [false, true] {
        for (processes, threads) in [(1, 1), (1, 8), (4, 2)] {
            let file = new_file(folder, "shared");
            if full {
                fill(&file);
            }
            row(&file, full, processes, threads);
        }
    }
}

fn row(file: &str, full: bool, processes: u32, threads: u32) {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let outputs = workers::run(processes, &["shared-worker", file, &threads.to_string()]);
        let mut sum = (0.0, 0.0);
        for output in outputs {
            let numbers: Vec<f64> = output.split_whitespace().map(|n| n.parse().unwrap()).collect();
            sum = (sum.0 + numbers[0], sum.1 + numbers[1]);
        }
        rounds.push(sum);
    }
    println!(
        "| {} | {processes} | {threads} | {:.0} | {:.1} |",
        if full { "1,500 stamps" } else { "nearly empty" },
        median(rounds.iter().map(|(decisions, _)| decisions / LASTING.as_secs_f64())),
        median(rounds.iter().map(|(decisions, cpu)| cpu / decisions)),
    );
}

/// Leaves a stamp in every slot. They are over when this returns, but a table is read whole either way.
fn fill(file: &str) {
    let limiter = limiter(file, LIMITS);
    let caller = limiter.caller(None);
    for _ in 0..SLOTS {
        // As if the process had died in the middle of the call.
        std::mem::forget(caller.ask().expect("there is room"));
    }
    thread::sleep(LEASE);
}

/// Decides for a while; prints how often, and the processor time it took, in microseconds.
pub fn work(words: &[&str]) {
    let [place, threads] = words else { panic!("place threads") };
    let threads: usize = threads.parse().unwrap();
    let limiter = limiter(place, LIMITS);
    let (ready, go) = (Barrier::new(threads + 1), Barrier::new(threads + 1));
    let run = || {
        let caller = limiter.caller(None);
        let decide = || caller.ask().expect("there is room").replied();
        (0..20).for_each(|_| decide());
        ready.wait();
        go.wait();
        let until = Instant::now() + LASTING;
        let mut count = 0u64;
        while Instant::now() < until {
            decide();
            count += 1;
        }
        count
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        ready.wait();
        workers::wait_to_go();
        let cpu = cpu_time();
        go.wait();
        let count: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        println!("{count} {}", (cpu_time() - cpu).as_micros());
    });
}
