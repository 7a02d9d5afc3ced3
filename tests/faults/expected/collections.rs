//! Requests for a collection, of which none may be sent twice without a search.

use super::{Expected, Rule, rule};
use crate::fault::Fault::*;
use crate::step::Step::*;

pub const RULES: &[Rule] = &[
    rule(
        &[Collect],
        &[
            ResetBefore,
            ResetWithin,
            ResetAfter,
            ClosedAfter,
            Stall,
            StallInBody,
            TooLong,
            HeadTooLong,
            ShortLength,
            OddLength,
            BrokenChunks,
            Garbage,
            Compressed,
            Html,
            Deep,
            Missing,
            Null,
            Empty,
            Http408,
            Http5xx,
        ],
        Expected::of("outcome_unknown", 2).unknown(),
        "it may have been carried out, and the list shows nothing, not even after a second request",
    ),
    rule(
        &[Collect],
        &[ResetInHead, ResetInBody, Truncated],
        Expected::of("outcome_unknown", 1).unknown(),
        "it may have been carried out, and the list cannot be read",
    ),
    rule(
        &[Collect],
        &[EndlessDrip, EndlessInterim],
        Expected::of("deadline", 1).unknown(),
        "the deadline ends a call wherever it waits, and the request may have been carried out",
    ),
    rule(
        &[Collect],
        &[Redirect],
        Expected::of("protocol", 1),
        "a redirect starts nothing, and is not followed with a token",
    ),
];
