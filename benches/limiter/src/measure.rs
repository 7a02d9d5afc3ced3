//! Clocks, counters and medians.

use std::fs;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::allocations;

/// The number of rounds from the environment variable `ROUNDS`, or this default.
pub fn rounds(default: usize) -> usize {
    std::env::var("ROUNDS").map_or(default, |rounds| rounds.parse().expect("ROUNDS is a number"))
}

/// The cost of one decision.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub wall_ns: f64,
    pub cpu_ns: f64,
    pub allocations: f64,
}

/// The cost of `decisions` on each of `threads` threads. `worker` runs on each thread and returns the decision.
pub fn cost<W: FnMut()>(threads: u32, decisions: u32, worker: impl Fn() -> W + Sync) -> Cost {
    let ready = Barrier::new(threads as usize);
    let run = || {
        let mut decide = worker();
        // Warm up until every buffer has its final size.
        for _ in 0..decisions / 10 {
            decide();
        }
        ready.wait();
        let (began, cpu) = (Instant::now(), time_of(ClockId::ThreadCPUTime));
        let before = allocations::count();
        for _ in 0..decisions {
            decide();
        }
        let allocations = allocations::count() - before;
        let cpu = time_of(ClockId::ThreadCPUTime) - cpu;
        Share { began, ended: Instant::now(), cpu, allocations }
    };
    let shares: Vec<Share> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let began = shares.iter().map(|share| share.began).min().unwrap();
    let ended = shares.iter().map(|share| share.ended).max().unwrap();
    let cpu: Duration = shares.iter().map(|share| share.cpu).sum();
    let all = f64::from(decisions) * f64::from(threads);
    Cost {
        wall_ns: (ended - began).as_nanos() as f64 / all,
        cpu_ns: cpu.as_nanos() as f64 / all,
        allocations: shares.iter().map(|share| share.allocations).sum::<u64>() as f64 / all,
    }
}

/// The measurements of one thread.
struct Share {
    began: Instant,
    ended: Instant,
    cpu: Duration,
    allocations: u64,
}

/// User and system time of all threads of this process.
pub fn cpu_time() -> Duration {
    time_of(ClockId::ProcessCPUTime)
}

/// The time on a clock that all processes share.
pub fn shared_time() -> Duration {
    time_of(ClockId::Monotonic)
}

fn time_of(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// The voluntary context switches of all threads but the first.
pub fn voluntary_switches() -> u64 {
    let of = |task: fs::DirEntry| {
        let status = fs::read_to_string(task.path().join("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
        line.rsplit('\t').next().unwrap().parse::<u64>().unwrap()
    };
    let first = std::process::id().to_string();
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(Result::unwrap);
    tasks.filter(|task| task.file_name() != first.as_str()).map(of).sum()
}

pub fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    percentile(&sorted(values), 50)
}

/// The percentile of sorted values.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    values[((values.len() - 1) * percent).div_ceil(100)]
}

/// Median, smallest and largest value as text.
pub fn spread(values: impl IntoIterator<Item = f64>) -> String {
    let values = sorted(values);
    let (median, last) = (percentile(&values, 50), values.len() - 1);
    format!("{median:.2} ({:.2} to {:.2})", values[0], values[last])
}
