//! The promise, against a model of the service that knows nothing of the log: no admitted call is ever
//! refused, and nobody waits without need. In virtual time.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// One call: how long after the previous one its caller comes, how long until the reply, and where
/// between the two (in thousandths) the service counts it.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    gap_ms: u64,
    latency_ms: u64,
    counted: u64,
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let gap = prop_oneof![4 => Just(0u64), 3 => 0u64..50, 2 => 0u64..2_000, 1 => 0u64..20_000];
    let latency = prop_oneof![3 => 0u64..5, 3 => 0u64..300, 1 => 0u64..9_000];
    let arrival = (gap, latency, 0u64..=1_000).prop_map(|(gap_ms, latency_ms, counted)| Arrival {
        gap_ms,
        latency_ms,
        counted,
    });
    prop::collection::vec(arrival, 1..160)
}

fn windows() -> impl Strategy<Value = Vec<Window>> {
    let short = (1u32..12, 100u64..2_000);
    let long = (1u32..40, 2_000u64..20_000);
    (short, long).prop_map(|(short, long)| {
        [short, long]
            .map(|(limit, ms)| Window { limit, length: Duration::from_millis(ms) })
            .to_vec()
    })
}

const MS: u64 = 1_000_000;

/// Plays greedy callers against the log; returns when each call was admitted, counted and answered.
fn play(arrivals: &[Arrival], windows: &[Window]) -> Vec<(u64, u64, u64)> {
    let mut log = Log::default();
    let mut pending: Vec<u64> = Vec::new();
    let mut calls = Vec::new();
    let (mut now, mut comes) = (0u64, 0u64);
    for arrival in arrivals {
        comes += arrival.gap_ms * MS;
        now = now.max(comes);
        loop {
            pending.sort_unstable();
            while pending.first().is_some_and(|end| *end <= now) {
                log.end(Time::from_nanos(pending.remove(0)));
            }
            let next_end = pending.first().copied();
            now =
                match log.admission(windows, Time::from_nanos(now)) {
                    Admission::Now => break,
                    Admission::At(free) => {
                        let free = u64::try_from(free.since(Time::default()).as_nanos()).unwrap();
                        // Waiting was needed: one nanosecond earlier a window was full.
                        assert!(windows.iter().any(|w| {
                            log.used(*w, Time::from_nanos(free - 1)) >= w.limit as usize
                        }));
                        next_end.map_or(free, |end| end.min(free))
                    }
                    Admission::AfterReply => next_end.expect("somebody is in flight"),
                };
        }
        log.begin(windows);
        let end = now + arrival.latency_ms * MS;
        calls.push((now, now + arrival.latency_ms * arrival.counted * MS / 1_000, end));
        pending.push(end);
    }
    calls
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A service that counts in a sliding window: at no counted instant are more than the limit inside.
    #[test]
    fn a_sliding_window_never_overflows(arrivals in arrivals(), windows in windows()) {
        let mut counted: Vec<u64> = play(&arrivals, &windows).iter().map(|c| c.1).collect();
        counted.sort_unstable();
        for window in &windows {
            let length = u64::try_from(window.length.as_nanos()).unwrap();
            for (at, end) in counted.iter().enumerate() {
                let inside = counted[..=at].iter().filter(|s| **s + length >= *end).count();
                prop_assert!(inside <= window.limit as usize, "{inside} in {window:?}");
            }
        }
    }

    /// A service that counts in fixed windows, wherever they start.
    #[test]
    fn a_fixed_window_never_overflows(arrivals in arrivals(), windows in windows(), phase in 0u64..20_000_000_000) {
        let calls = play(&arrivals, &windows);
        for window in &windows {
            let length = u64::try_from(window.length.as_nanos()).unwrap();
            let mut counts = std::collections::HashMap::new();
            for (_, counted, _) in &calls {
                let count = counts.entry((counted + phase) / length).or_insert(0u32);
                *count += 1;
                prop_assert!(*count <= window.limit, "{window:?}");
            }
        }
    }
}
