//! Requests to the API and to the sign-in service.

use super::{Expected, Rule, rule};
use crate::fault::Fault::*;
use crate::step::Step::{self, *};

/// Requests that may be sent twice: they read, or they cancel.
const REPEATED: &[Step] = &[Token, List, Read, Cancel, Link];
/// Requests to the API that may be sent twice.
const SERVICE: &[Step] = &[List, Read, Cancel, Link];
/// Requests that may be sent twice and whose reply has the result.
const RESULTS: &[Step] = &[Token, List, Read, Link];
/// All requests over HTTP but that for a package.
const REQUESTS: &[Step] = &[Token, Collect, List, Read, Cancel, Link];

pub const RULES: &[Rule] = &[
    rule(
        REPEATED,
        &[ResetBefore, ResetWithin, ResetAfter, ClosedAfter, Stall, StallInBody],
        Expected::of("broken", 2).retryable(),
        "requests that only read, and those that cancel, are sent again",
    ),
    rule(
        REPEATED,
        &[ResetInHead, ResetInBody, Truncated],
        Expected::of("broken", 1).retryable(),
        "no part of a reply counts as the whole",
    ),
    rule(
        REQUESTS,
        &[Drip, Interim, Extra, Huge, ClockAhead, ClockBehind],
        Expected::of("ok", 1),
        "slow is no fault, unknown members are kept, and no clock but that of the service is compared",
    ),
    rule(
        REPEATED,
        &[EndlessDrip, EndlessInterim],
        Expected::of("deadline", 1).retryable(),
        "the deadline ends a call wherever it waits",
    ),
    rule(
        REPEATED,
        &[TooLong, HeadTooLong, OddLength, BrokenChunks, Garbage, Redirect],
        Expected::of("protocol", 1),
        "the reply is another service's, and would be the same again",
    ),
    rule(
        RESULTS,
        &[ShortLength, Compressed, Html, Missing, Null, Empty],
        Expected::of("protocol", 1),
        "the reply is another service's, and would be the same again",
    ),
    rule(
        &[List, Read],
        &[Deep],
        Expected::of("protocol", 1),
        "a record that the host's own reader of JSON may not take is not handed on",
    ),
    rule(
        &[Token, Link],
        &[Deep],
        Expected::of("ok", 1),
        "the member is skipped, however deep it is, and nothing of it is handed on",
    ),
    rule(
        &[Cancel],
        &[ShortLength, Compressed, Html, Deep, Missing, Null, Empty],
        Expected::of("ok", 1),
        "the status accepts the request, and the action itself shows the rest",
    ),
    rule(
        SERVICE,
        &[Http400, Http410, Http412, Other4xx],
        Expected::of("bad_request", 1),
        "the service refuses the request as it is",
    ),
    rule(
        &[Collect],
        &[Http400, Http410, Http412, Other4xx],
        Expected::of("bad_request", 1),
        "a refusal starts nothing, so the outcome is known",
    ),
    rule(
        &[Token],
        &[Http400, Http401, Http403, Http404, Http410, Http412, Other4xx],
        Expected::of("token", 1),
        "the sign-in service refuses",
    ),
    rule(
        &[Collect, List, Read, Cancel, Link],
        &[Http401],
        Expected::of("unauthorized", 1),
        "a token from `access_token` is not renewed",
    ),
    rule(
        &[Collect, List, Read, Cancel, Link],
        &[Http403],
        Expected::of("forbidden", 1),
        "a permission is missing until somebody grants it",
    ),
    rule(
        &[Collect, List, Read, Cancel],
        &[Http404],
        Expected::of("not_found", 1),
        "there is no such device or action",
    ),
    rule(
        &[Link],
        &[Http404],
        Expected::of("not_ready", 3).retryable(),
        "the action has succeeded, so its link may still come: it is asked for as long as time is left",
    ),
    rule(
        REQUESTS,
        &[Http407],
        Expected::of("proxy", 1),
        "a proxy asks for a login that this client has not",
    ),
    rule(
        REPEATED,
        &[Http408, Http5xx],
        Expected::of("service", 2).retryable(),
        "requests that only read, and those that cancel, are sent again",
    ),
    rule(
        REQUESTS,
        &[Http429],
        Expected::of("throttled", 1).retryable(),
        "the call has no time for the wait that is named",
    ),
    rule(
        &[Collect, List, Read, Cancel, Link],
        &[Http429Silent],
        Expected::of("throttled", 1).retryable(),
        "the endpoint is closed for a minute, for which the call has no time",
    ),
    rule(
        &[Token],
        &[Http429Silent],
        Expected::of("throttled", 2).retryable(),
        "the usual pause lies before the next attempt",
    ),
    rule(
        REQUESTS,
        &[Http429Once],
        Expected::of("ok", 2),
        "the wait that is named is kept, and then the request is sent again",
    ),
];
