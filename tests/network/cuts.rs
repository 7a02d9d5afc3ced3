//! Thousands of collections over connections that break at every possible byte. None is started twice, and the
//! reported outcomes agree with the service's records.
//!
//! `MDE_TEST_SEED` repeats a run, as far as the order of threads allows.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use mde_simulator::{Config, LoggedRequest, QuotaMode, Simulator};
use mde_tests::peers::relay::Relay;
use mde_tests::{OK, Outcome, client};
use serde_json::Value;

/// Many, since most of their time goes into pauses.
const THREADS: usize = 100;
const UNLIMITED: &str = "collect=1000000/1;list=1000000/1;read=1000000/1;machines=1000000/1";

/// How the collections of a round ended.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    answered: usize,
    adopted: usize,
    /// Unknown to the caller, and carried out.
    unknown_and_done: usize,
    /// Unknown to the caller, and never received whole.
    unknown_and_not_done: usize,
    /// Failed for sure.
    failed: usize,
    cuts: [usize; 4],
}

fn seed() -> u64 {
    match std::env::var("MDE_TEST_SEED") {
        Ok(text) => text.parse().expect("MDE_TEST_SEED is a number"),
        Err(_) => fastrand::u64(..),
    }
}

/// Collects once from each of so many machines, and compares every answer with the service's records. `resends`: with
/// the default `on_unknown`.
fn round(seed: u64, machines: usize, tls: bool, resends: bool) {
    let context =
        format!("MDE_TEST_SEED={seed}, {machines} machines, tls: {tls}, resends: {resends}");
    let sim =
        Simulator::start(Config { machines, tls, quota_mode: QuotaMode::Off, ..Config::default() })
            .unwrap();
    // Some look-ups then find the collection in the first list, and some in a later one.
    sim.set(|behaviour| behaviour.not_found_after_create_s = if tls { 0.2 } else { 0.0 });
    let port = sim.api_url().rsplit_once(':').unwrap().1.parse().unwrap();
    let relay = Relay::start(port, seed);
    let url = sim.api_url().replace(&port.to_string(), &relay.port.to_string());
    let ca = mde_tests::scratch().join(format!("cuts-{}.pem", relay.port));
    let mut options = vec![
        ("api_url", url.as_str()),
        ("login_url", url.as_str()),
        ("quota_limits", UNLIMITED),
        ("max_retries", "2"),
        ("on_unknown", if resends { "resend" } else { "report" }),
        ("timeout_ms", "120000"),
    ];
    if let Some(pem) = sim.ca_pem() {
        std::fs::write(&ca, pem).unwrap();
        options.push(("ca_file", ca.to_str().unwrap()));
    }
    let client = client(&sim, &options);

    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    if n >= machines {
                        return;
                    }
                    // Then a request is refused and repeated with a fresh token, in between the cuts.
                    if n % 50 == 49 {
                        sim.revoke_tokens();
                    }
                    let outcome = client.collect(&sim.machine_id(n), &format!("case {n}"));
                    outcomes.lock().unwrap().push((sim.machine_id(n), outcome));
                }
            });
        }
    });
    let _ = std::fs::remove_file(&ca);
    let outcomes = outcomes.into_inner().unwrap();
    assert_eq!(outcomes.len(), machines, "{context}");
    let most = if resends { 3 } else { 1 };
    let mut tally = judge(&outcomes, &sim.actions(), &sim.requests(), most, &context);
    tally.cuts = relay.counts.cuts();
    // What a round has to have met, or it has shown nothing.
    let Tally { answered, adopted, unknown_and_not_done, cuts, .. } = tally;
    let met = answered > 0 && adopted > 0 && (resends || unknown_and_not_done > 0);
    assert!(met && cuts.iter().all(|count| *count > 0), "{context}: {tally:?}");
}

fn judge(
    outcomes: &[(String, Outcome)],
    actions: &[Value],
    requests: &[LoggedRequest],
    most: usize,
    context: &str,
) -> Tally {
    let mut done: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for action in actions {
        let text = |member: &str| action[member].as_str().unwrap();
        done.entry(text("machineId")).or_default().push(text("id"));
    }
    // A second request for a machine that is busy is refused, so actions alone would not show it.
    let mut received: BTreeMap<&str, usize> = BTreeMap::new();
    for request in requests.iter().filter(|r| r.method == "POST" && r.status != 401) {
        if let Some(rest) = request.path.strip_prefix("/api/machines/") {
            *received.entry(rest.split('/').next().unwrap()).or_default() += 1;
        }
    }
    let mut tally = Tally::default();
    for (machine, outcome) in outcomes {
        let told = format!("{context}\n{machine}: {}", outcome.text);
        let ids = done.get(machine.as_str()).map(Vec::as_slice).unwrap_or_default();
        assert!(ids.len() <= 1, "started {} times: {told}", ids.len());
        let times = received.get(machine.as_str()).copied().unwrap_or_default();
        assert!(times <= most, "received {times} times: {told}");
        let error = &outcome.document["error"];
        if outcome.status == OK {
            let id = outcome.document["action"]["id"].as_str().unwrap();
            assert_eq!(ids, [id], "the action told is not the machine's: {told}");
            match outcome.document["adopted"].as_bool().unwrap() {
                true => tally.adopted += 1,
                false => tally.answered += 1,
            }
        } else if error["outcome"] == "unknown" {
            assert_eq!(error["name"], "outcome_unknown", "{told}");
            assert_eq!(error["retryable"], false, "{told}");
            match ids.is_empty() {
                true => tally.unknown_and_not_done += 1,
                false => tally.unknown_and_done += 1,
            }
        } else {
            assert!(ids.is_empty(), "told as failed, and carried out: {told}");
            let name = error["name"].as_str().unwrap();
            let stage = error["stage"].as_str().unwrap();
            let may_be = match stage {
                "token" => ["connect", "broken", "token"].as_slice(),
                "send" => &["connect", "broken"],
                // Tokens were revoked twice in a row.
                "reply" => &["unauthorized"],
                _ => &[],
            };
            assert!(may_be.contains(&name), "{told}");
            tally.failed += 1;
        }
    }
    tally
}

#[test]
fn cut_connections_start_no_collection_twice() {
    round(seed(), 500, false, false);
}

#[test]
fn cut_tls_connections_start_no_collection_twice() {
    round(seed(), 500, true, false);
}

#[test]
fn requests_that_are_sent_again_over_cut_connections_start_no_collection_twice() {
    round(seed(), 300, false, true);
}

mod full {
    /// In rounds of their own, since the simulator looks through all machines and actions for each request;
    /// four side by side, since most of the time goes into pauses.
    #[test]
    fn ten_thousand_collections_over_cut_connections() {
        let (seed, next) = (super::seed(), super::AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, super::Ordering::SeqCst) as u64;
                        if number >= 10 {
                            return;
                        }
                        let seed = seed.wrapping_add(number);
                        super::round(seed, 1_000, number % 2 == 1, number % 4 > 1);
                    }
                });
            }
        });
    }
}
