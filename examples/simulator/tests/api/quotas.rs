use std::time::{Duration, Instant};

use mde_simulator::{Config, CountAt, Endpoint, Limit, QuotaMode, Simulator};

use crate::http::{Caller, Got};

fn start(change: impl FnOnce(&mut Config)) -> Simulator {
    let mut config = Config::default();
    change(&mut config);
    Simulator::start(config).unwrap()
}

/// The seconds that a refusal names.
fn told(got: &Got) -> u64 {
    let message = got.message();
    let (_, rest) = message.split_once("send requests again in ").unwrap();
    rest.strip_suffix(" seconds.").unwrap().parse().unwrap()
}

#[test]
fn a_hundred_a_minute_and_then_no_more() {
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
    assert!((50..=60).contains(&told(&got)), "{message}");
    assert!(got.header("retry-after").is_none());
    assert_eq!(
        got.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(sim.refusals(), 1);
    let requests = sim.requests();
    assert_eq!(requests.iter().filter(|r| r.refused_by_quota).count(), 1);
    assert_eq!(requests.last().unwrap().status, 429);
    // Each endpoint counts for itself.
    assert_eq!(caller.get("/api/machines").status, 200);
}

#[test]
fn two_links_a_minute() {
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
    assert_eq!(
        got.header("retry-after"),
        Some(told(&got).to_string().as_str())
    );
}

/// Refused calls do not count, errors do, and a sliding window opens again after its length.
#[test]
fn a_sliding_window_opens_after_its_length_in_simulated_time() {
    let limits = vec![Limit {
        calls: 5,
        seconds: 60,
    }];
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
    assert!(
        first.elapsed() >= Duration::from_secs(1),
        "{:?}",
        first.elapsed()
    );
    assert!(
        full.elapsed() < Duration::from_millis(1500),
        "{:?}",
        full.elapsed()
    );
    assert_eq!(sim.refusals(), refused);
}

#[test]
fn a_fixed_window_opens_at_its_boundary() {
    let limits = vec![Limit {
        calls: 5,
        seconds: 60,
    }];
    let sim = start(|c| {
        c.time_scale = 60.0;
        c.quota_mode = QuotaMode::Fixed;
        c.fixed_phase_s = 30.0;
        c.quota_limits.insert(Endpoint::Read, limits);
    });
    let caller = Caller::new(&sim);
    let call = || caller.get("/api/machineactions/none").status;
    while call() != 429 {}
    while call() == 429 {
        std::thread::sleep(Duration::from_millis(2));
    }
    // The first call of a window has just been counted; its boundary lies half a real second
    // after the start, or a whole number of seconds later.
    let last = sim.requests().last().unwrap().at_ms;
    let into = (last + 500) % 1000;
    assert!(into < 200, "{last}");
    assert_eq!(
        (0..5).map(|_| call()).collect::<Vec<_>>(),
        [400, 400, 400, 400, 429]
    );
}

#[test]
fn the_hour_counts_beside_the_minute() {
    let limits = vec![
        Limit {
            calls: 3,
            seconds: 60,
        },
        Limit {
            calls: 4,
            seconds: 3600,
        },
    ];
    let sim = start(|c| {
        c.time_scale = 240.0;
        c.quota_limits.insert(Endpoint::Read, limits);
    });
    let caller = Caller::new(&sim);
    let call = || caller.get("/api/machineactions/none");
    assert_eq!(
        (0..4).map(|_| call().status).collect::<Vec<_>>(),
        [400, 400, 400, 429]
    );
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(call().status, 400);
    let got = call();
    assert!(
        got.message().contains("Maximum allowed 4 per 01:00:00"),
        "{}",
        got.message()
    );
    assert!(
        (13..=15).contains(&told(&got)),
        "real seconds: {}",
        got.message()
    );
}

#[test]
fn calls_can_be_counted_at_the_reply() {
    let one = vec![Limit {
        calls: 1,
        seconds: 60,
    }];
    for (count_at, latest) in [(CountAt::Arrival, 120), (CountAt::Reply, 0)] {
        let sim = start(|c| {
            c.count_at = count_at;
            c.latency_ms = (150, 150);
            c.time_scale = 60.0;
            c.quota_limits.insert(Endpoint::Read, one.clone());
        });
        let caller = Caller::new(&sim);
        assert_eq!(caller.get("/api/machineactions/none").status, 400);
        // Sent right after the first reply: what is left of the window tells when it was counted.
        let sent = Instant::now();
        while caller.get("/api/machineactions/none").status == 429 {}
        let waited = u64::try_from(sent.elapsed().as_millis()).unwrap();
        assert!(waited + latest >= 1000, "{count_at:?} {waited}");
    }
}
