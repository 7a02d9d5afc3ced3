//! What becomes of requests for a collection, by chance.

use std::time::{Duration, Instant};

use mde_simulator::{Config, Duplicate, Faults, QuotaMode, Simulator};
use serde_json::json;

use crate::http::Caller;
use crate::instant;

/// The status of a request for a collection; 0 if there was no reply.
fn collect(sim: &Simulator, caller: &Caller<'_>, machine: usize) -> u16 {
    let path = format!("/api/machines/{}/collectInvestigationPackage", sim.machine_id(machine));
    let kind = [("Content-Type", "application/json")];
    caller.send("POST", &path, &kind, Some(r#"{"Comment":"why"}"#)).map_or(0, |got| got.status)
}

fn seeded(seed: u64, faults: Faults) -> Simulator {
    let mut config =
        Config { quota_mode: QuotaMode::Off, machines: 300, seed: Some(seed), ..Config::default() };
    config.behaviour.faults = faults;
    Simulator::start(config).unwrap()
}

#[test]
fn faults_hit_before_and_after_the_work_and_a_seed_repeats_them() {
    let kinds = [
        (Faults { lost_before: 100, ..Faults::default() }, true, false),
        (Faults { lost_after: 100, ..Faults::default() }, true, true),
        (Faults { failed_before: 100, ..Faults::default() }, false, false),
        (Faults { failed_after: 100, ..Faults::default() }, false, true),
    ];
    for (faults, is_lost, is_done) in kinds {
        let sim = seeded(1, faults);
        let caller = Caller::new(&sim);
        let statuses: Vec<u16> = (0..40).map(|n| collect(&sim, &caller, n)).collect();
        assert_eq!(statuses.iter().all(|it| *it == 0), is_lost, "{statuses:?}");
        assert!(is_lost || (statuses.contains(&408) && statuses.contains(&503)), "{statuses:?}");
        assert_eq!(sim.actions().len(), if is_done { 40 } else { 0 });
    }
    let mixed = || Faults {
        lost_before: 15,
        lost_after: 15,
        failed_before: 15,
        failed_after: 15,
        ..Faults::default()
    };
    let run = |seed| -> Vec<(u16, usize)> {
        let sim = seeded(seed, mixed());
        let caller = Caller::new(&sim);
        (0..60).map(|n| (collect(&sim, &caller, n), sim.actions().len())).collect()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
    // Other requests meet none.
    let sim = seeded(7, mixed());
    let caller = Caller::new(&sim);
    assert!((0..60).all(|_| caller.get("/api/machineactions").status == 200));
}

#[test]
fn a_late_request_is_answered_first_and_carried_out_later() {
    let sim = seeded(3, Faults { late: 100, late_s: 2.0, ..Faults::default() });
    let caller = Caller::new(&sim);
    assert!((0..20).all(|n| collect(&sim, &caller, n) == 504));
    assert!(sim.actions().len() < 20);
    let began = Instant::now();
    while sim.actions().len() < 20 {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_list_may_lag_behind_the_action() {
    let sim = instant();
    sim.set(|b| b.list_lag_s = 1e9);
    let caller = Caller::new(&sim);
    let id = caller.collected(0);
    assert_eq!(caller.get(&format!("/api/machineactions/{id}")).status, 200);
    assert_eq!(caller.get("/api/machineactions").json()["value"], json!([]));
    sim.set(|b| b.list_lag_s = 0.0);
    assert_eq!(caller.get("/api/machineactions").json()["value"][0]["id"], id);
}

#[test]
fn a_duplicate_may_get_either_reply() {
    let sim = seeded(5, Faults::default());
    sim.set(|b| b.duplicate = Duplicate::Either);
    let caller = Caller::new(&sim);
    let statuses: Vec<u16> = (0..40).map(|_| collect(&sim, &caller, 0)).collect();
    assert!(statuses.contains(&400) && statuses[1..].contains(&201), "{statuses:?}");
    assert_eq!(sim.actions().len(), 1);
}
