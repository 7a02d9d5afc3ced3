//! What the contract says of each cell, by rules: one for each class of faults at the steps that treat it alike.
//!
//! A cell has exactly one rule, or one reason why it does not apply. The rules follow `docs/contract.md` and the pages that
//! it names, and not what the library happens to do.

mod absent;
mod collections;
mod connections;
mod files;
mod packages;
mod requests;

pub use self::absent::ABSENT;
use crate::fault::Fault;
use crate::step::Step;

/// All rules, in the order of the page.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    let parts =
        [connections::RULES, requests::RULES, collections::RULES, packages::RULES, files::RULES];
    parts.into_iter().flatten()
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    pub status: &'static str,
    pub retryable: bool,
    pub unknown: bool,
    /// How many requests are sent, or tried to be sent, with one retry allowed; none allowed where a cell loops over bytes.
    pub requests: u64,
    /// What is in the folder then. All names begin with that of the package.
    pub files: &'static [&'static str],
}

impl Expected {
    const fn of(status: &'static str, requests: u64) -> Expected {
        Expected { status, retryable: false, unknown: false, requests, files: NOTHING }
    }

    const fn retryable(mut self) -> Expected {
        self.retryable = true;
        self
    }

    const fn unknown(mut self) -> Expected {
        self.unknown = true;
        self
    }

    const fn leaves(mut self, files: &'static [&'static str]) -> Expected {
        self.files = files;
        self
    }
}

const NOTHING: &[&str] = &[];
/// The package itself.
const PACKAGE: &[&str] = &[""];
const PART: &[&str] = &[".part", ".part.json"];
const DAMAGED: &[&str] = &[".damaged"];
const STATE: &[&str] = &[".fetch.json"];

/// An outcome, for all of these faults at all of these steps.
pub struct Rule {
    pub steps: &'static [Step],
    pub faults: &'static [Fault],
    pub expected: Expected,
    pub because: &'static str,
}

/// Faults that cannot meet a step.
pub struct Absent {
    pub steps: &'static [Step],
    pub faults: &'static [Fault],
    pub because: &'static str,
}

const fn rule(
    steps: &'static [Step],
    faults: &'static [Fault],
    expected: Expected,
    because: &'static str,
) -> Rule {
    Rule { steps, faults, expected, because }
}

const fn absent(steps: &'static [Step], faults: &'static [Fault], because: &'static str) -> Absent {
    Absent { steps, faults, because }
}

/// What is said of a cell.
pub enum Said {
    Rule(&'static Rule),
    Absent,
}

/// Everything that is said of a cell. It should be one thing.
pub fn said(step: Step, fault: Fault) -> Vec<Said> {
    let is_it = |steps: &[Step], faults: &[Fault]| steps.contains(&step) && faults.contains(&fault);
    let rules = rules().filter(|rule| is_it(rule.steps, rule.faults)).map(Said::Rule);
    let absent = ABSENT.iter().filter(|one| is_it(one.steps, one.faults)).map(|_| Said::Absent);
    rules.chain(absent).collect()
}
