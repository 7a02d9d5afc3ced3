//! Connections: names, TLS and proxies.

use super::{Expected, Rule, rule};
use crate::fault::Fault::*;
use crate::step::Step::*;

pub const RULES: &[Rule] = &[
    rule(
        &[Lookup],
        &[
            Refused,
            Unreachable,
            Stall,
            Garbage,
            Truncated,
            Missing,
            Empty,
            Http5xx,
            NoDescriptors,
            NoThread,
        ],
        Expected::of("resolve", 2).retryable(),
        "nothing was sent, and a resolver may answer soon",
    ),
    rule(
        &[Connect, Token, Collect, List, Read, Cancel, Link, Download],
        &[Refused, Unreachable],
        Expected::of("connect", 2).retryable(),
        "nothing was sent, so even a collection is safe to try again",
    ),
    rule(
        &[Connect],
        &[NoDescriptors],
        Expected::of("connect", 2).retryable(),
        "nothing was sent, and the process may have descriptors soon",
    ),
    rule(
        &[Tls],
        &[ResetBefore, ResetWithin, ResetAfter, ClosedAfter, Stall, StallInBody, EndlessDrip],
        Expected::of("connect", 2).retryable(),
        "the connection could not be opened, and no request was sent",
    ),
    rule(
        &[Tls],
        &[ResetInHead, Truncated],
        Expected::of("connect", 1).retryable(),
        "the same, at each byte",
    ),
    rule(
        &[Tls],
        &[Garbage, Html, ClockAhead, ClockBehind],
        Expected::of("tls", 1),
        "the peer is not who it should be, and a second handshake would show the same",
    ),
    rule(&[Tls], &[Drip], Expected::of("ok", 1), "slow is no fault"),
    rule(
        &[Proxy],
        &[
            Refused,
            Unreachable,
            ResetBefore,
            ResetWithin,
            ResetAfter,
            ClosedAfter,
            Stall,
            StallInBody,
            EndlessDrip,
            NoDescriptors,
            NoThread,
        ],
        Expected::of("proxy", 2).retryable(),
        "no tunnel was opened, so nothing was sent, and the proxy may be back",
    ),
    rule(
        &[Proxy],
        &[ResetInHead, Truncated],
        Expected::of("proxy", 1).retryable(),
        "the same, at each byte",
    ),
    rule(
        &[Proxy],
        &[Http408, Http5xx, Http429Silent],
        Expected::of("proxy", 2).retryable(),
        "the proxy refuses for now, and nothing was sent",
    ),
    rule(
        &[Proxy],
        &[Http429],
        Expected::of("proxy", 1).retryable(),
        "the call has no time for the wait that the proxy names",
    ),
    rule(
        &[Proxy],
        &[Http429Once],
        Expected::of("ok", 2),
        "the wait that the proxy names is kept, and then the tunnel opens",
    ),
    rule(
        &[Proxy],
        &[
            HeadTooLong,
            Garbage,
            EndlessInterim,
            Redirect,
            Http400,
            Http401,
            Http403,
            Http404,
            Http407,
            Http410,
            Http412,
            Other4xx,
        ],
        Expected::of("proxy", 1),
        "the proxy refuses, or is none, and asking again changes nothing",
    ),
    rule(
        &[Proxy],
        &[Html],
        Expected::of("tls", 1),
        "what comes through the tunnel is no handshake",
    ),
    rule(
        &[Proxy],
        &[Drip, Interim],
        Expected::of("ok", 1),
        "slow is no fault, and 1xx is no answer",
    ),
];
