//! Decisions per second through a log that processes share.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::location::{limiter, new_file};
use crate::measure::{cpu_time, median, rounds};
use crate::workers;

const LASTING: Duration = Duration::from_secs(1);

/// A table for the documented 1,500 calls. The window is so short that the table never fills up.
const LIMITS: &str = "collect=1500/0.001";
const SLOTS: usize = 1_500;

/// Longer than the lease of a call that nobody settles.
const LEASE: Duration = Duration::from_millis(1_200);

pub fn print(folder: &str, server: Option<&str>) {
    println!(
        "\nDecisions through the file, with room. Median of {} rounds of {} s.\n",
        rounds(5),
        LASTING.as_secs()
    );
    println!(
        "| table of 1,500 slots | processes | threads each | decisions per second | CPU µs per decision |\n\
         |---|---|---|---|---|"
    );
    for full in [false, true] {
        for (processes, threads) in CROWDS {
            let file = new_file(folder, "shared");
            if full {
                fill(&file);
            }
            let name = if full { "1,500 stamps" } else { "nearly empty" };
            let (rate, cpu) = speed(&file, LIMITS, processes, threads);
            println!("| {name} | {processes} | {threads} | {rate:.0} | {cpu:.1} |");
        }
    }
    if let Some(server) = server {
        crate::bucket::print(server);
    }
}

/// Processes, and threads of each.
pub const CROWDS: [(u32, u32); 3] = [(1, 1), (1, 8), (4, 2)];

/// Decisions per second of all processes, and microseconds of processor time for one.
pub fn speed(location: &str, limits: &str, processes: u32, threads: u32) -> (f64, f64) {
    let mut all = Vec::new();
    for _ in 0..rounds(5) {
        let words = ["shared-worker", location, limits, &threads.to_string()];
        let mut sum = (0.0, 0.0);
        for output in workers::run(processes, &words) {
            let numbers: Vec<f64> = output.split_whitespace().map(|n| n.parse().unwrap()).collect();
            sum = (sum.0 + numbers[0], sum.1 + numbers[1]);
        }
        all.push(sum);
    }
    let rate = median(all.iter().map(|(decisions, _)| decisions / LASTING.as_secs_f64()));
    (rate, median(all.iter().map(|(decisions, cpu)| cpu / decisions)))
}

/// Leaves an expired stamp in every slot. Each decision still reads the whole table.
fn fill(file: &str) {
    let limiter = limiter(file, LIMITS);
    let caller = limiter.caller(None);
    for _ in 0..SLOTS {
        // This is what a process that dies during the call leaves behind.
        std::mem::forget(caller.try_acquire().expect("there is room"));
    }
    thread::sleep(LEASE);
}

/// Decides for a while. Prints the number of decisions and their processor time in microseconds.
pub fn work(words: &[&str]) {
    let [location, limits, threads] = words else { panic!("location limits threads") };
    let threads: usize = threads.parse().unwrap();
    if let Some(server) = location.strip_prefix("bucket ") {
        return decide(threads, || crate::bucket::decider(server));
    }
    let limiter = limiter(location, limits);
    decide(threads, || {
        let caller = limiter.caller(None);
        move || caller.try_acquire().expect("there is room").replied()
    });
}

fn decide<D: FnMut()>(threads: usize, decider: impl Fn() -> D + Sync) {
    let (ready, go) = (Barrier::new(threads + 1), Barrier::new(threads + 1));
    let run = || {
        let mut decide = decider();
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
