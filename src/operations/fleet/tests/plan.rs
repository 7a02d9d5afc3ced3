//! What a seed decides before a job begins: devices, quotas, faults, and what the caller does.

use std::time::Duration;

use super::service::{Device, Fate, Package};
use crate::quota::window::Window;
use crate::status::Status;

/// A time in which every request fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    pub from: Duration,
    pub to: Duration,
    pub status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    Known,
    Solved,
}

/// A device as the caller gives it.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub comment: Option<&'static str>,
    /// It is skipped, until the caller has solved its problem.
    pub problem: Option<Problem>,
    /// The first call that names the device.
    pub since: u32,
}

#[derive(Debug)]
pub(super) struct Plan {
    /// Nothing fails, and the job takes the least time.
    pub is_calm: bool,
    pub devices: Vec<Device>,
    pub given: Vec<Given>,
    /// Of the quotas, in the order of [`ENDPOINTS`](super::service::ENDPOINTS).
    pub windows: [Vec<Window>; 3],
    pub downloads_at_once: usize,
    /// Of a thousand requests or downloads, as many fail.
    pub faults: u32,
    pub outages: Vec<Outage>,
    /// How often the process ends at worst, and how often the caller stops a call.
    pub crashes: u32,
    pub stops: u32,
    pub failed_writes: u32,
    /// How many polls are refused for good.
    pub refused_polls: u32,
    /// How often the caller retries the devices that failed for good.
    pub retries: u32,
    /// The longest that the list lags.
    pub lag: Duration,
    /// Nothing fails after this time.
    pub calm_after: Duration,
}

pub(super) fn seconds(random: &mut fastrand::Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(random.u64(range.start * 1_000..range.end * 1_000))
}

fn window(limit: u32, seconds: u64) -> Window {
    Window { limit, length: Duration::from_secs(seconds) }
}

fn fate(random: &mut fastrand::Rng, is_calm: bool) -> Fate {
    let end = match random.u8(..if is_calm { 1 } else { 12 }) {
        0..9 => "Succeeded",
        9 => "Failed",
        10 => "TimeOut",
        _ => "Cancelled",
    };
    let package = match random.u8(..if is_calm { 1 } else { 12 }) {
        0..10 => Package::Good,
        10 => Package::Unsafe,
        _ => Package::Gone,
    };
    let (pending, runs) = (seconds(random, 1..60), seconds(random, 40..300));
    Fate { pending, runs, end, package }
}

fn device(random: &mut fastrand::Rng, at: usize, is_calm: bool) -> Device {
    let rarely = |random: &mut fastrand::Rng, one_in: u32| !is_calm && random.u32(..one_in) == 0;
    let refusal = rarely(random, 12).then(|| {
        let all = [Status::UnsupportedDevice, Status::NotFound, Status::BadRequest];
        (*random.choice(&all).unwrap(), random.u32(1..4))
    });
    let online_at = match rarely(random, 6) {
        true => seconds(random, 60..5_400),
        false => Duration::ZERO,
    };
    Device {
        id: format!("{at:040x}"),
        refusal,
        online_at,
        fates: (0..3).map(|_| fate(random, is_calm)).collect(),
        other: rarely(random, 10).then(|| fate(random, true)),
        started: 0,
        allowed: 1,
    }
}

impl Plan {
    /// A job in which nothing fails, with the quotas of the service.
    pub(super) fn calm(random: &mut fastrand::Rng, count: usize) -> Plan {
        let minute_and_hour = || vec![window(100, 60), window(1_500, 3_600)];
        Plan {
            is_calm: true,
            devices: (0..count).map(|at| device(random, at, true)).collect(),
            given: vec![Given { comment: None, problem: None, since: 0 }; count],
            windows: [
                minute_and_hour(),
                minute_and_hour(),
                vec![window(2, 60), window(120, 3_600)],
            ],
            downloads_at_once: 4,
            faults: 0,
            outages: Vec::new(),
            crashes: 0,
            stops: 0,
            failed_writes: 0,
            refused_polls: 0,
            retries: 0,
            lag: seconds(random, 0..10),
            calm_after: Duration::ZERO,
        }
    }

    pub(super) fn of(random: &mut fastrand::Rng) -> Plan {
        let count = random.usize(1..=12);
        if random.u8(..8) == 0 {
            return Plan::calm(random, count);
        }
        let devices = (0..count).map(|at| device(random, at, false)).collect();
        let given = (0..count).map(|_| Given {
            comment: random.choice([None, None, Some("of the device")]).unwrap(),
            problem: (random.u8(..12) == 0).then_some(Problem::Known),
            since: if random.u8(..4) == 0 { random.u32(..3) } else { 0 },
        });
        let given = given.collect();
        let minute = random.u64(20..=60);
        let windows = [
            vec![window(random.u32(1..=5), minute), window(random.u32(6..=12), 10 * minute)],
            vec![window(random.u32(5..=30), minute), window(random.u32(60..=90), 10 * minute)],
            vec![window(random.u32(1..=3), minute), window(random.u32(5..=12), 10 * minute)],
        ];
        let calm_after = seconds(random, 600..7_200);
        let outages = (0..random.u32(..3)).map(|_| {
            let from = calm_after.mul_f64(random.f64());
            let longest = *random.choice(&[120, 1_200]).unwrap();
            let length = seconds(random, 1..longest);
            let all = [Status::Connect, Status::Connect, Status::Unauthorized];
            let status = *random.choice(&all).unwrap();
            Outage { from, to: (from + length).min(calm_after), status }
        });
        let outages = outages.collect();
        Plan {
            is_calm: false,
            devices,
            given,
            windows,
            downloads_at_once: random.usize(1..=4),
            faults: *random.choice(&[0, 20, 100, 300, 700]).unwrap(),
            outages,
            crashes: random.u32(..7),
            stops: random.u32(..3),
            failed_writes: random.u32(..2),
            refused_polls: random.u32(..2),
            retries: random.u32(..3),
            lag: seconds(random, 0..10),
            calm_after,
        }
    }
}
