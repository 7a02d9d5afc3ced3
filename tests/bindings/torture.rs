//! Every system call and every allocation of an operation fails once, by `tests/c/torture`.
//!
//! After each: a documented status, nothing leaked, nothing but whole packages under their names. The next call succeeds, and
//! each device has one collection. An allocation that fails ends the process, and the next call comes from another one.

mod driver;
mod plan;
mod verdict;

use mde_simulator::Behaviour;

use driver::torture;
use plan::{everything, sample};

/// An operation, and the service that it meets.
#[derive(Clone, Copy)]
struct Operation {
    name: &'static str,
    /// How many devices it collects from.
    devices: usize,
    behaviour: fn(&mut Behaviour),
    /// Whether allocations fail, too.
    allocates: bool,
    /// So many runs share a simulator. Calls for many devices list all actions that it has.
    batch: usize,
}

/// Collections that are over at once.
fn at_once(behaviour: &mut Behaviour) {
    (behaviour.pending_s, behaviour.in_progress_s) = (0.0, 0.0);
}

/// Collections that are over after some polls.
fn soon(behaviour: &mut Behaviour) {
    (behaviour.pending_s, behaviour.in_progress_s) = (0.004, 0.004);
}

/// Collections that do not end, so that a second request joins the first.
fn never(behaviour: &mut Behaviour) {
    behaviour.pending_s = 1e9;
}

/// Packages that are written in two pieces.
fn in_pieces(behaviour: &mut Behaviour) {
    at_once(behaviour);
    behaviour.package_bytes = 300_000;
}

const INSPECT: Operation =
    Operation { name: "inspect", devices: 0, behaviour: at_once, allocates: true, batch: 400 };
const COLLECT: Operation =
    Operation { name: "collect", devices: 1, behaviour: never, allocates: true, batch: 200 };
/// The C library does not survive every allocation that fails while it looks up a name: glibc has assertions there.
const LOOK_UP: Operation =
    Operation { name: "look-up", devices: 1, behaviour: never, allocates: false, batch: 200 };
const WAIT: Operation =
    Operation { name: "wait", devices: 1, behaviour: soon, allocates: true, batch: 200 };
const DOWNLOAD: Operation =
    Operation { name: "download", devices: 1, behaviour: in_pieces, allocates: true, batch: 200 };
const RESUME: Operation =
    Operation { name: "resume", devices: 1, behaviour: in_pieces, allocates: true, batch: 200 };
const FETCH: Operation =
    Operation { name: "fetch", devices: 1, behaviour: at_once, allocates: true, batch: 200 };
const FLEET: Operation =
    Operation { name: "fleet", devices: 2, behaviour: at_once, allocates: true, batch: 60 };
const NEW_QUOTA_FILE: Operation =
    Operation { name: "new-quota-file", devices: 1, behaviour: never, allocates: true, batch: 200 };
const QUOTA_FILE: Operation =
    Operation { name: "quota-file", devices: 1, behaviour: never, allocates: true, batch: 200 };

#[test]
fn an_inspection() {
    torture(INSPECT, sample);
}

#[test]
fn a_request_for_a_collection() {
    torture(COLLECT, sample);
}

#[test]
fn a_request_to_a_name() {
    torture(LOOK_UP, sample);
}

#[test]
fn a_wait() {
    torture(WAIT, sample);
}

#[test]
fn a_download() {
    torture(DOWNLOAD, sample);
}

#[test]
fn a_download_that_resumes() {
    torture(RESUME, sample);
}

#[test]
fn a_fetch() {
    torture(FETCH, sample);
}

#[test]
fn a_fleet() {
    torture(FLEET, sample);
}

#[test]
fn a_request_with_a_new_quota_file() {
    torture(NEW_QUOTA_FILE, sample);
}

#[test]
fn a_request_with_a_quota_file() {
    torture(QUOTA_FILE, sample);
}

/// Each way of each failure, once and from then on, and each allocation.
mod release_only {
    use super::*;

    #[test]
    fn an_inspection() {
        torture(INSPECT, everything);
    }

    #[test]
    fn a_request_for_a_collection() {
        torture(COLLECT, everything);
    }

    #[test]
    fn a_request_to_a_name() {
        torture(LOOK_UP, everything);
    }

    #[test]
    fn a_wait() {
        torture(WAIT, everything);
    }

    #[test]
    fn a_download() {
        torture(DOWNLOAD, everything);
    }

    #[test]
    fn a_download_that_resumes() {
        torture(RESUME, everything);
    }

    #[test]
    fn a_fetch() {
        torture(FETCH, everything);
    }

    #[test]
    fn a_fleet() {
        torture(FLEET, everything);
    }

    #[test]
    fn a_request_with_a_new_quota_file() {
        torture(NEW_QUOTA_FILE, everything);
    }

    #[test]
    fn a_request_with_a_quota_file() {
        torture(QUOTA_FILE, everything);
    }
}
