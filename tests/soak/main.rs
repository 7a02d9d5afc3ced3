//! The library in use for long: nothing grows, every request is accounted for, and the quota refuses none.
//!
//! A C program uses it, as `soak.c` says. Two minutes are enough to see what each call leaves behind.
//! `MDE_SOAK_SECONDS` makes it longer: before a release it runs for an hour.

/// What the library reports, against the log of the simulator.
mod accounts;
/// What the process has between two rounds.
mod samples;
/// What goes wrong meanwhile.
mod weather;

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mde_simulator::{Config, Duplicate, Endpoint, Faults};
use mde_tests::programs::{How, Scratch, Service, compile, run_with, start};

use accounts::Accounts;

const SOURCES: [&str; 7] = [
    "tests/soak/soak.c",
    "tests/soak/steps.c",
    "tests/soak/packages.c",
    "tests/soak/tally.c",
    "tests/soak/resources.c",
    "tests/c/service.c",
    "tests/c/support.c",
];

/// Sixty times as fast: a minute of the quota takes a second, and an hour a minute.
const SCALE: u64 = 60;

/// As many devices as the program divides among its workers.
const DEVICES: usize = 300;

/// The documented limits, as fast as the simulator.
fn limits() -> String {
    let of = |endpoint: Endpoint| {
        let limits = endpoint.documented_limits();
        let limits: Vec<_> =
            limits.iter().map(|it| format!("{}/{}", it.calls, it.seconds / SCALE)).collect();
        format!("{}={}", endpoint.name(), limits.join(","))
    };
    Endpoint::ALL.map(of).join(";")
}

fn config() -> Config {
    let mut config = Config {
        time_scale: SCALE as f64,
        machines: DEVICES,
        // Each is renewed after half of it, and some expire in between.
        token_lifetime_s: 20,
        seed: Some(24),
        ..Config::default()
    };
    config.behaviour.duplicate = Duplicate::Either;
    // None that arrives late: the service would count it in another minute than the library.
    config.behaviour.faults = Faults {
        lost_before: 2,
        lost_after: 2,
        failed_before: 2,
        failed_after: 2,
        ..Faults::default()
    };
    config
}

/// What a run has shown.
struct Outcome {
    accounts: Accounts,
    printed: String,
}

/// Runs the program for so long, in rounds of this length, with the mistakes that `leaks` names.
fn soak(seconds: u64, round: Duration, leaks: &str) -> Outcome {
    let service = Service::start(config());
    let program = compile(&SOURCES, How::Plain);
    let folder = Scratch::new("soak");
    let mut command = start(&program, How::Plain);
    service
        .describe(&mut command)
        .env("MDE_SOAK_LIMITS", limits())
        .env("MDE_SOAK_LEAK", leaks)
        // Without caches of free memory for each thread, so that what is used is known to the byte.
        .env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1")
        .arg(&folder.0)
        .arg(seconds.to_string())
        .arg(round.as_millis().to_string());
    let mut accounts = Accounts::default();
    let ended = AtomicBool::new(false);
    let limit = Duration::from_secs(2 * seconds + 120);
    let printed = std::thread::scope(|scope| {
        scope.spawn(|| weather::changes(&service.sim, &mut accounts, &ended));
        // Also if it fails, since the scope waits for the thread.
        let _end = End(&ended);
        run_with(&mut command, limit, |_| {}).expect(0).stdout
    });
    accounts.close(&service.sim);
    Outcome { accounts, printed }
}

/// Sets a flag when dropped.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn nothing_grows_and_every_request_is_accounted_for() {
    let seconds = env::var("MDE_SOAK_SECONDS").map_or(120, |text| text.parse().unwrap());
    let Outcome { accounts, printed } = soak(seconds, Duration::from_secs(10), "");
    println!("{printed}");
    println!("{accounts}");
    let mut found = samples::growth(&printed);
    found.extend(accounts.differences(&printed));
    assert_eq!(found, [] as [String; 0]);
}

/// The same checks, and a program that makes each mistake on purpose.
#[test]
fn mistakes_are_seen() {
    let leaks = "string descriptor thread file reply collection";
    let Outcome { accounts, printed } = soak(14, Duration::from_secs(1), leaks);
    let mut found = samples::growth(&printed);
    found.extend(accounts.differences(&printed));
    for seen in ["heap", "descriptors", "threads", "temp", "reply steady", "collections"] {
        let is_seen = found.iter().any(|text| text.starts_with(seen));
        assert!(is_seen, "{seen} is not in {found:#?}\n{printed}\n{accounts}");
    }
}
