//! What has to hold after a run.

use std::fmt;

use serde_json::Value;

use super::Operation;
use super::plan::{RETRIES, Run, Usual};

/// What came of a run, as the program has printed it.
#[derive(Debug)]
pub struct Came {
    /// `returned`, `aborted` for want of memory, or `died`.
    pub end: String,
    pub allocations: usize,
    /// The name of the system call that failed. `-`: none.
    pub failed: String,
    /// The number of the error.
    error: i32,
    path: String,
    pub status: i32,
    /// The blocks of memory that the process keeps.
    pub kept: i64,
    /// The library has warned that it does not use the quota file.
    warned: bool,
    /// How many requests for collections the quota file has.
    used: i64,
    /// What the program has found.
    problem: String,
    document: String,
    /// The collections of each device.
    collections: Vec<usize>,
    /// The requests for a collection on the first device.
    requests: i64,
}

/// Numbers of errors, and two of the program's own.
mod errors {
    pub const EINTR: i32 = 4;
    pub const EAGAIN: i32 = 11;
    pub const ENFILE: i32 = 23;
    pub const EMFILE: i32 = 24;
    pub const ENOSPC: i32 = 28;
    pub const EDQUOT: i32 = 122;
    pub const SHORT: i32 = 1000;
    pub const LOST: i32 = 1001;
}

/// The statuses that a system call that fails may lead to.
mod statuses {
    pub const OK: i32 = 0;
    pub const RESOLVE: i32 = 40;
    pub const CONNECT: i32 = 41;
    pub const BROKEN: i32 = 44;
    pub const OUTCOME_UNKNOWN: i32 = 68;
    pub const ALREADY_RUNNING: i32 = 62;
    pub const INCOMPLETE: i32 = 70;
    pub const DEADLINE: i32 = 82;
    pub const FILE: i32 = 100;
    pub const DISK_FULL: i32 = 101;
}

use errors::*;
use statuses::*;

impl Came {
    pub fn read(fields: &[String], collections: Vec<usize>, requests: i64) -> Came {
        assert!(fields.len() >= 15, "{fields:?}");
        let number = |at: usize| fields[at].parse::<i64>().unwrap();
        Came {
            end: fields[2].clone(),
            allocations: number(4) as usize,
            failed: fields[5].clone(),
            error: number(6) as i32,
            path: fields[7].clone(),
            status: number(8) as i32,
            kept: number(10),
            warned: number(11) != 0,
            used: number(12),
            problem: fields[13].clone(),
            document: fields[14..].join(" "),
            collections,
            requests,
        }
    }

    fn document(&self) -> Value {
        serde_json::from_str(&self.document).unwrap_or_default()
    }

    /// The system call did nothing, and said so.
    fn is_refused(&self) -> bool {
        self.failed != "-" && ![EINTR, EAGAIN, SHORT, LOST].contains(&self.error)
    }

    /// Bytes that were not written, or not made durable.
    fn is_unwritten(&self) -> bool {
        let writes = ["write", "pwrite64", "fsync", "fdatasync"];
        self.is_refused() && writes.contains(&self.failed.as_str())
    }
}

impl fmt::Display for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Came { failed, error, path, status, end, .. } = self;
        let path = path.rsplit_once("/torture").map_or(path.as_str(), |(_, path)| path);
        write!(f, "{failed} of `{path}` failed with {error}; {end} with {status}")
    }
}

/// What is wrong. Nothing: the run is as it should be.
pub fn problems(operation: Operation, run: &Run, came: &Came, usual: &Usual) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |holds: bool, problem: String| {
        if !holds {
            found.push(problem);
        }
    };
    check(is_excused(came) || came.problem.is_empty(), came.problem.clone());
    let wanted: Vec<usize> = (0..2).map(|at| usize::from(at < operation.devices)).collect();
    let collections = &came.collections;
    check(*collections == wanted, format!("collections of the devices: {collections:?}"));
    if operation.name.ends_with("quota-file") {
        let is_known = came.warned || came.used >= came.requests;
        check(is_known, format!("{} of {} requests are counted", came.used, came.requests));
        let is_lost = came.is_unwritten() && came.path.contains("/quota");
        check(came.warned || !is_lost, "there is no warning".to_owned());
    }
    if came.end != "returned" {
        return found;
    }
    let kept = came.kept <= usual.kept;
    check(kept, format!("{} blocks of memory are kept, and not {}", came.kept, usual.kept));
    let Came { status, error, .. } = *came;
    let document = came.document();
    let shown = document["error"].to_string();
    let possible = [OK, RESOLVE, CONNECT, BROKEN, OUTCOME_UNKNOWN, DEADLINE, FILE, DISK_FULL];
    let is_possible = match operation.name {
        // One of the two calls meets the collection of the other.
        "collect" | "look-up" | "new-quota-file" | "quota-file" => status == ALREADY_RUNNING,
        "fleet" => status == INCOMPLETE,
        _ => false,
    };
    let is_possible = is_possible || possible.contains(&status);
    check(is_possible, format!("such an error: {shown}"));
    if status != OK {
        let schema = mde_tests::problem_of(&document);
        check(schema.is_none(), format!("{schema:?}: {document}"));
    }
    if [FILE, DISK_FULL].contains(&status) {
        let message = document["error"]["message"].as_str().unwrap_or_default();
        check(message.contains('/'), format!("no file is named: {shown}"));
    }
    if [ENOSPC, EDQUOT].contains(&error) {
        check([OK, DISK_FULL].contains(&status), format!("the disk is full: {shown}"));
    }
    if [EMFILE, ENFILE].contains(&error) && status == FILE {
        let is_retryable = document["error"]["retryable"] == true;
        check(is_retryable, format!("too many files are open: {shown}"));
    }
    let network = ["socket", "connect", "sendto", "recvfrom", "ppoll", "getsockopt", "setsockopt"];
    if network.contains(&came.failed.as_str()) && run.retries == RETRIES && !run.stays {
        check(status == OK, format!("it was not tried again: {shown}"));
    }
    if came.is_unwritten() && !run.stays && must_fail(operation, &came.path) {
        check(status != OK, "what was not written does not matter".to_owned());
    }
    found
}

/// Whether a call cannot succeed if bytes of this file are not written.
fn must_fail(operation: Operation, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let record = name.starts_with("record.jsonl")
        || name.starts_with("packages.jsonl")
        || name == "SHA256SUMS";
    match operation.name {
        "fleet" => record || name.starts_with("fleet.journal"),
        _ => record || name.ends_with(".part") || name.contains(".part.json"),
    }
}

/// Without its attribute a package keeps its state file, which is documented. So it does if the file could not be removed,
/// until the next download to this path.
fn is_excused(came: &Came) -> bool {
    let is_possible = match came.failed.as_str() {
        "fsetxattr" => true,
        "unlink" => came.path.ends_with(".part.json"),
        _ => false,
    };
    let problems = came.problem.split("; ");
    is_possible && problems.clone().all(|problem| problem.ends_with(".zip.part.json is left"))
}
