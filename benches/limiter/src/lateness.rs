//! How late a waiting caller takes a slot that has become free.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use mde::bench_hooks::hold;

use crate::location::{MEMORY, database, limiter, new_file};
use crate::measure::{percentile, shared_time, sorted};
use crate::workers;

const WINDOW: Duration = Duration::from_millis(50);
const LIMITS: &str = "collect=1/0.05";

pub fn print(folder: &str, wakes: u32, server: Option<&str>) {
    println!(
        "\nFrom a slot's falling free to its next owner's going, ms; one slot per {} ms, four waiting, {wakes} times.\n",
        WINDOW.as_millis()
    );
    println!("| log | processes | threads each | median | 99th percentile | longest |");
    println!("|---|---|---|---|---|---|");
    let file = new_file(folder, "lateness");
    let mut rows = vec![
        ("memory", MEMORY.to_owned(), 1, 4),
        ("file", file.clone(), 1, 4),
        ("file", file, 4, 1),
    ];
    if let Some(server) = server {
        rows.push(("Redis", database(server, 4), 1, 4));
        rows.push(("Redis", database(server, 5), 4, 1));
    }
    for (name, location, processes, threads) in rows {
        let late = sorted(lateness(&location, processes, threads, wakes));
        println!(
            "| {name} | {processes} | {threads} | {:.2} | {:.2} | {:.2} |",
            percentile(&late, 50),
            percentile(&late, 99),
            late[late.len() - 1]
        );
    }
}

/// The lateness of each slot in milliseconds.
fn lateness(location: &str, processes: u32, threads: u32, wakes: u32) -> Vec<f64> {
    // The start and late slots cost some time.
    let lasting = (hold(WINDOW) * (wakes + wakes / 10 + 10)).as_millis().to_string();
    let words = ["lateness-worker", location, &threads.to_string(), &lasting];
    let outputs = workers::run(processes, &words);
    let mut admitted: Vec<u64> =
        outputs.iter().flat_map(|output| output.lines()).map(|at| at.parse().unwrap()).collect();
    admitted.sort_unstable();
    let held = u64::try_from(hold(WINDOW).as_nanos()).unwrap();
    // Each caller releases its slot right after it read the clock, so this is an upper bound.
    let late = admitted
        .windows(2)
        .map(|two| two[1].checked_sub(two[0] + held).expect("never early") as f64 / 1e6);
    let late: Vec<f64> = late.take(wakes as usize).collect();
    assert_eq!(late.len(), wakes as usize);
    late
}

/// Acquires slots for a while, and prints the time of each.
pub fn work(words: &[&str]) {
    let [location, threads, millis] = words else { panic!("location threads milliseconds") };
    let (threads, millis): (u32, u64) = (threads.parse().unwrap(), millis.parse().unwrap());
    let limiter = limiter(location, LIMITS);
    workers::wait_to_go();
    let until = shared_time() + Duration::from_millis(millis);
    let admitted = Mutex::new(Vec::new());
    let run = || {
        let caller = limiter.caller(None);
        while shared_time() < until {
            let permit = caller.acquire().unwrap();
            let now = shared_time();
            permit.replied();
            admitted.lock().unwrap().push(now);
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(run))));
    for at in admitted.into_inner().unwrap() {
        println!("{}", at.as_nanos());
    }
}
