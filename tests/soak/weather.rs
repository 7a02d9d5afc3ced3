use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mde_simulator::{Outcome, PackageFault, Simulator};
use serde_json::{Value, json};

use crate::accounts::Accounts;

/// Changes what goes wrong every second, in an order that is the same in each run. Takes the accounts meanwhile.
pub fn changes(sim: &Simulator, accounts: &mut Accounts, ended: &AtomicBool) {
    let mut random = fastrand::Rng::with_seed(24);
    let mut since = Instant::now();
    while !ended.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(100));
        if since.elapsed() < Duration::from_secs(1) {
            continue;
        }
        since = Instant::now();
        accounts.take(sim);
        change(sim, &mut random);
    }
}

fn change(sim: &Simulator, random: &mut fastrand::Rng) {
    let one_in = |random: &mut fastrand::Rng, count: u32| random.u32(0..count) == 0;
    // Often enough that some are noticed, and rarely enough that most calls succeed.
    if one_in(random, 7) {
        sim.revoke_tokens();
    }
    if one_in(random, 3) {
        let rules = rules();
        sim.script(rules[random.usize(0..rules.len())].clone()).unwrap();
    }
    let fault = match random.u32(0..6) {
        0 => PackageFault::Checksum,
        1 => PackageFault::Truncated,
        _ => PackageFault::None,
    };
    let outcome = if one_in(random, 5) { Outcome::Failed } else { Outcome::Succeeded };
    let (cut, uses) = (random.choice([0, 0, 1_500]).unwrap(), random.u32(0..3));
    let empty = random.bool();
    sim.set(|b| {
        b.package_fault = fault;
        b.outcome = outcome;
        b.cut_downloads_after = cut;
        b.link_uses = uses;
        b.empty_when_expired = empty;
    });
}

/// Replies that come in place of some real ones. None breaks off: the library does not report the status of such a
/// reply.
fn rules() -> [Value; 7] {
    let reads = json!({"method": "GET", "path_contains": "/api/machineactions/"});
    let lists = json!({"method": "GET", "query_contains": "filter"});
    let token = json!({"path_contains": "/oauth2/"});
    let all = json!({"method": "GET", "path_contains": "/api/"});
    [
        json!({"match": reads, "times": 3, "reply": {"status": 503}}),
        json!({"match": reads, "times": 2, "close": "before_reply"}),
        json!({"match": lists, "times": 2, "reply": {"status": 500, "body": "<html>"}}),
        json!({"match": lists, "times": 1, "reply": {"status": 429, "headers": {"Retry-After": "1"}}}),
        json!({"match": token, "times": 1, "reply": {"status": 503}}),
        json!({"match": all, "times": 10, "delay_ms": 150}),
        json!({"match": all, "times": 2, "reply": {"status": 504, "headers": {"Content-Type": "text/html"}}}),
    ]
}
