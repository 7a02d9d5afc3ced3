use std::time::{Duration, Instant};

use mde_simulator::{Config, CountAt, Endpoint, Limit, QuotaMode, Simulator};

use crate::http::{Caller, Got};

fn start(change: impl FnOnce(&mut Config)) -> Simulator {
    let mut config = Config::default();
    change(&mut config);
    Simulator::start(config).unwrap()
}

/// The seconds that a refusal names.
fn seconds_in(got: &Got) -> u64 {
    let message = got.message();
    let (_, rest) = message.split_once("send requests again in ").unwrap();
    rest.strip_suffix(" seconds.").unwrap().parse().unwrap()
}

#[test]
fn a_hundred_calls_a_minute_are_allowed() {
    let sim = start(|_| {});
    let caller = Caller::new(&sim);
    for n in 0..100 {
        assert_eq!(caller.get("/api/machineactions").status, 200, "{n}");
    }
    let got = caller.get("/api/machineactions");
    assert_eq!((got.status, got.code().as_str()), (429, "429"));
    let message = got.message();
    assert!(
        message.starts_with(
            "API calls quota exceeded! Maximum allowed 100 per 00:01:00 for the key \
             Destination+TenantID+AppID. You can send requests again in "
        ),
        "{message}"
    );
    assert!((50..=60).contains(&seconds_in(&got)), "{message}");
    assert!(got.header("retry-after").is_none());
    assert_eq!(got.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(sim.refusals(), 1);
    let requests = sim.requests();
    assert_eq!(requests.iter().filter(|r| r.refused_by_quota).count(), 1);
    assert_eq!(requests.last().unwrap().status, 429);
    // Each endpoint counts for itself.
    assert_eq!(caller.get("/api/machines").status, 200);
}

#[test]
fn two_links_a_minute_are_allowed() {
    let sim = start(|c| {
        c.retry_after = true;
        c.behaviour.pending_s = 0.0;
        c.behaviour.in_progress_s = 0.0;
    });
    let caller = Caller::new(&sim);
    let id = caller.collected(0);
    let path = format!("/api/machineactions/{id}/getPackageUri");
    let statuses: Vec<u16> = (0..3).map(|_| caller.get(&path).status).collect();
    assert_eq!(statuses, [200, 200, 429]);
    let got = caller.get(&path);
    assert!(got.message().contains("Maximum allowed 2 per 00:01:00"));
    assert_eq!(got.header("retry-after"), Some(seconds_in(&got).to_string().as_str()));
}

/// Refused calls do not count, errors do, and a sliding window opens again after its length.
#[test]
fn a_sliding_window_opens_after_its_length_in_simulated_time() {
    let limits = vec![Limit { calls: 5, seconds: 60 }];
    let sim = start(|c| {
        c.time_scale = 60.0;
        c.quota_limits.insert(Endpoint::Read, limits);
    });
    let caller = Caller::new(&sim);
    let call = || caller.get("/api/machineactions/none").status;
    let first = Instant::now();
    assert_eq!((0..5).map(|_| call()).collect::<Vec<_>>(), [400; 5]);
    let full = Instant::now();
    let mut refused = 0;
    while call() == 429 {
        refused += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(refused > 10, "{refused}");
    assert!(first.elapsed() >= Duration::from_secs(1), "{:?}", first.elapsed());
    assert!(full.elapsed() < Duration::from_secs(10), "{:?}", full.elapsed());
    assert_eq!(sim.refusals(), refused);
}

#[test]
fn a_fixed_window_opens_at_its_boundary() {
    let limits = vec![Limit { calls: 5, seconds: 60 }];
    let sim = start(|c| {
        c.time_scale = 60.0;
        c.quota_mode = QuotaMode::Fixed;
        c.fixed_phase_s = 30.0;
        c.quota_limits.insert(Endpoint::Read, limits);
    });
    let caller = Caller::new(&sim);
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(2600) {
        caller.get("/api/machineactions/none");
    }
    // Boundaries lie half a real second after the start, and then every second. Calls come one
    // after the other, so each is counted before the next arrives.
    let calls: Vec<_> = sim.requests().into_iter().filter(|r| r.endpoint == "read").collect();
    let mut opened = 0;
    for three in calls.windows(3) {
        if three[0].status == 429 && three[1].status == 400 {
            opened += 1;
            let (before, after) = (three[0].at_ms + 500, three[2].at_ms + 500);
            assert!(before / 1000 < after / 1000, "no boundary from {before} to {after}");
        }
    }
    assert!(opened >= 1);
}

#[test]
fn the_hour_counts_beside_the_minute() {
    let limits = vec![Limit { calls: 3, seconds: 60 }, Limit { calls: 4, seconds: 3600 }];
    let sim = start(|c| {
        c.time_scale = 240.0;
        c.quota_limits.insert(Endpoint::Read, limits);
    });
    let caller = Caller::new(&sim);
    let call = || caller.get("/api/machineactions/none");
    assert_eq!((0..4).map(|_| call().status).collect::<Vec<_>>(), [400, 400, 400, 429]);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(call().status, 400);
    let got = call();
    assert!(got.message().contains("Maximum allowed 4 per 01:00:00"), "{}", got.message());
    assert!((13..=15).contains(&seconds_in(&got)), "real seconds: {}", got.message());
}

/// A call is performed at the instant at which it is counted, which shows when that is.
#[test]
fn calls_are_counted_at_the_chosen_instant() {
    for count_at in [CountAt::Arrival, CountAt::Reply] {
        let sim = start(|c| {
            c.count_at = count_at;
            c.latency_ms = (400, 400);
        });
        let caller = Caller::new(&sim);
        std::thread::scope(|scope| {
            let sent = Instant::now();
            let collecting = scope.spawn(|| caller.collect(0).status);
            while sim.actions().is_empty() {
                std::thread::sleep(Duration::from_millis(2));
            }
            match count_at {
                CountAt::Arrival => assert_eq!(sim.requests().pop().unwrap().status, 0),
                _ => assert!(sent.elapsed() >= Duration::from_millis(400)),
            }
            assert_eq!(collecting.join().unwrap(), 201);
        });
    }
}
