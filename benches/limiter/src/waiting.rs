//! The cost of callers that wait for a slot.

use std::thread;
use std::time::Duration;

use mde::Cancel;
use mde::bench_hooks::Limiter;

use crate::location::{MEMORY, database, limiter, new_file};
use crate::measure::{cpu_time, voluntary_switches};

const LIMITS: &str = "collect=1/60";
const THREADS: usize = 64;
const LASTING: Duration = Duration::from_secs(5);

pub fn print(folder: &str, server: Option<&str>) {
    println!(
        "\n{THREADS} threads that wait for a slot, for {} s, all together.\n",
        LASTING.as_secs()
    );
    println!("| log | CPU ms | share of a core | voluntary context switches |");
    println!("|---|---|---|---|");
    let memory = limiter(MEMORY, LIMITS);
    memory.caller(None).try_acquire().unwrap().replied();
    row("memory", &memory);

    // Only the shared log has the calls that filled it.
    for (name, location) in shared("ended", folder, server, 6) {
        limiter(&location, LIMITS).caller(None).try_acquire().unwrap().replied();
        row(&format!("{name}, filled by another process"), &limiter(&location, LIMITS));
    }
    for (name, location) in shared("under-way", folder, server, 7) {
        let other = limiter(&location, LIMITS);
        let caller = other.caller(None);
        let _permit = caller.try_acquire().unwrap();
        let name = format!("{name}, filled by calls of another process that are under way");
        row(&name, &limiter(&location, LIMITS));
    }
}

/// Empty logs of each kind that processes share.
fn shared(
    file: &str,
    folder: &str,
    server: Option<&str>,
    number: u32,
) -> Vec<(&'static str, String)> {
    let mut locations = vec![("file", new_file(folder, file))];
    locations.extend(server.map(|server| ("Redis", database(server, number))));
    locations
}

fn row(name: &str, limiter: &Limiter) {
    let cancel = Cancel::new(None);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| assert!(limiter.caller(Some(&cancel)).acquire().is_none()));
        }
        while limiter.usage().1 < THREADS {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(200));
        let switches = voluntary_switches();
        let cpu = cpu_time();
        thread::sleep(LASTING);
        let cpu = cpu_time().saturating_sub(cpu);
        let switches = voluntary_switches() - switches;
        cancel.trigger();
        println!(
            "| {name} | {:.2} | {:.4} % | {switches} |",
            cpu.as_secs_f64() * 1e3,
            cpu.as_secs_f64() / LASTING.as_secs_f64() * 100.0
        );
    });
}
