//! Requests for a collection whose caller is not told what became of them, drawn by chance.

use std::time::Duration;

use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use crate::clock::seconds;
use crate::routes::Asked;
use crate::script::{Act, Outcome, ScriptedReply};
use crate::state::State;

/// How many in a hundred requests for a collection meet each fault.
///
/// [`Config::seed`](crate::Config::seed) repeats the draws, in the order in which requests arrive.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// The connection is closed without a byte, and nothing was done.
    pub lost_before: u32,
    /// The same after the request was carried out.
    pub lost_after: u32,
    /// A gateway answers 408, 500, 502, 503 or 504, and nothing was done.
    pub failed_before: u32,
    /// The same after the request was carried out.
    pub failed_after: u32,
    /// A gateway answers 504 at once, and the request arrives up to `late_s` later.
    pub late: u32,
    /// In simulated seconds.
    pub late_s: f64,
}

const FAILURES: [StatusCode; 5] = [
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];

/// The fault that a request meets, if any.
pub fn draw(state: &State, asked: &Asked) -> Option<Act> {
    let path = asked.path.to_ascii_lowercase();
    if asked.method != Method::POST || !path.ends_with("/collectinvestigationpackage") {
        return None;
    }
    let mut world = state.world();
    let faults = world.behaviour.faults.clone();
    let kinds = [
        (faults.lost_before, false, false),
        (faults.lost_after, true, false),
        (faults.failed_before, false, true),
        (faults.failed_after, true, true),
    ];
    let mut drawn = world.random.u32(..100);
    let act = |process, outcome| Act { process, delay: Duration::ZERO, late: None, outcome };
    for (share, process, fails) in kinds {
        if drawn < share {
            let failure = world.random.choice(FAILURES).unwrap_or_default();
            let reply = || Outcome::Reply(Box::new(ScriptedReply::empty(failure)));
            return Some(act(process, if fails { reply() } else { Outcome::Close }));
        }
        drawn -= share;
    }
    if drawn >= faults.late {
        return None;
    }
    let late = state.clock.real(seconds(faults.late_s)).mul_f64(world.random.f64());
    let reply = Box::new(ScriptedReply::empty(StatusCode::GATEWAY_TIMEOUT));
    Some(Act { late: Some(late), ..act(false, Outcome::Reply(reply)) })
}
