//! State files.

use super::{Expected, PACKAGE, Rule, STATE, rule};
use crate::fault::Fault::*;
use crate::step::Step::*;

pub const RULES: &[Rule] = &[
    rule(
        &[Journal],
        &[Truncated, TooLong, Garbage, Html, Missing, Null, Empty, NameTaken],
        Expected::of("file", 0).leaves(STATE),
        "its collection may still be running, so nothing is asked for",
    ),
    rule(
        &[Journal],
        &[Extra, Huge, Deep],
        Expected::of("ok", 0).leaves(PACKAGE),
        "later versions may add members, and the fetch resumes",
    ),
    rule(
        &[Journal],
        &[FileGone],
        Expected::of("ok", 1).leaves(PACKAGE),
        "without a state file nothing was begun",
    ),
    rule(
        &[Journal],
        &[DiskFull],
        Expected::of("disk_full", 0).retryable(),
        "no collection is asked for before it is recorded",
    ),
];
