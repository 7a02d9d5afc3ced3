//! One line per operation and request, and a receiver that may use the library.

use mde::log::Level;
use mde_simulator::Simulator;
use mde_tests::{client, simulator};
use serde_json::json;

use super::Log;

/// There is a line of this level with this in it.
#[track_caller]
fn has(lines: &[(Level, String)], level: Level, part: &str) {
    assert!(lines.iter().any(|(l, line)| *l == level && line.contains(part)), "{part}: {lines:#?}");
}

/// A call that succeeds and one that does not.
fn two_calls(sim: &Simulator, log: &Log) -> Vec<(Level, String)> {
    let client = client(sim, &[]);
    client.collect(&sim.machine_id(0), "x").ok();
    client.collect(&"0".repeat(40), "x").error("not_found");
    log.take()
}

#[test]
fn requests_are_logged_at_debug() {
    let (sim, log) = (simulator(), Log::start());
    let lines = two_calls(&sim, &log);
    has(&lines, Level::Debug, "POST /api/machines/");
    has(&lines, Level::Debug, "HTTP 201 (attempt 1)");
}

#[test]
fn operations_are_logged_at_info() {
    let (sim, log) = (simulator(), Log::start());
    let lines = two_calls(&sim, &log);
    has(&lines, Level::Info, "collect_package took ");
    has(&lines, Level::Info, ": ok");
    has(&lines, Level::Info, ": not_found: ");
}

#[test]
fn a_line_is_one_line() {
    let (sim, log) = (simulator(), Log::start());
    let lines = two_calls(&sim, &log);
    assert!(!lines.is_empty() && lines.iter().all(|(_, line)| !line.contains('\n')), "{lines:#?}");
}

/// The receiver's own calls are not logged, since that would never end.
#[test]
fn the_receiver_may_use_the_library() {
    let sim = simulator();
    let inner = client(&sim, &[]);
    let log = Log::start_with(move || drop(inner.quota().ok()));
    let lines = two_calls(&sim, &log);
    has(&lines, Level::Info, "collect_package took ");
    assert!(!lines.iter().any(|(_, line)| line.contains("get_quota")), "{lines:#?}");
}

#[test]
fn a_lost_reply_is_logged_when_it_is_detected() {
    let (sim, log) = (simulator(), Log::start());
    let machine = sim.machine_id(1);
    let lost = json!({"match": {"path_contains": machine}, "times": 1, "process": true, "close": "before_reply"});
    sim.script(lost).unwrap();
    client(&sim, &[]).collect(&machine, "x");
    has(&log.take(), Level::Warn, "the reply to POST /api/machines/");
}

/// A pause is logged with its length, and a wait for the quota when it begins.
#[test]
fn a_throttled_call_logs_how_long_it_waits() {
    let (sim, log) = (simulator(), Log::start());
    let throttled = json!({"match": {"path_contains": "machineactions"}, "times": 1,
        "reply": {"status": 429, "headers": {"Retry-After": "2"}}});
    sim.script(throttled).unwrap();
    client(&sim, &[("max_retries", "1")]).list("").ok();
    let lines = log.take();
    has(&lines, Level::Warn, "throttled: trying again in 2000 ms");
    has(&lines, Level::Info, "room in the quota of endpoint `list`, for ");
}

#[test]
fn a_removed_receiver_gets_no_lines() {
    let (sim, log) = (simulator(), Log::start());
    mde::log::set(None);
    client(&sim, &[]).list("").ok();
    assert!(log.take().is_empty());
}
