//! Downloads.

use super::{DAMAGED, Expected, PACKAGE, PART, Rule, rule};
use crate::fault::Fault::*;
use crate::step::Step::*;

pub const RULES: &[Rule] = &[
    rule(
        &[Download],
        &[ResetBefore, ResetWithin, ResetAfter, ClosedAfter, Stall, Empty],
        Expected::of("broken", 2).retryable(),
        "the link is good for another attempt",
    ),
    rule(
        &[Download],
        &[StallInBody, ShortRange],
        Expected::of("broken", 2).retryable().leaves(PART),
        "what has arrived is kept for the next call",
    ),
    rule(
        &[Download],
        &[ResetInHead],
        Expected::of("broken", 1).retryable(),
        "no byte of the package has arrived",
    ),
    rule(
        &[Download],
        &[ResetInBody, Truncated],
        Expected::of("broken", 1).retryable().leaves(PART),
        "what has arrived is kept for the next call",
    ),
    rule(
        &[Download],
        &[Drip, Interim, ClockAhead, ClockBehind],
        Expected::of("ok", 1).leaves(PACKAGE),
        "slow is no fault, 1xx is no answer, and no clock is compared",
    ),
    rule(
        &[Download],
        &[EndlessDrip, EndlessInterim],
        Expected::of("deadline", 1).retryable(),
        "the deadline ends a call wherever it waits",
    ),
    rule(
        &[Download],
        &[TooLong],
        Expected::of("integrity", 1),
        "of a package larger than `max_package_bytes` nothing is kept",
    ),
    rule(
        &[Download],
        &[HeadTooLong, OddLength, BrokenChunks, Garbage, Compressed, Redirect],
        Expected::of("protocol", 1),
        "the reply is another host's, and would be the same again",
    ),
    rule(
        &[Download],
        &[ShortLength, Html],
        Expected::of("integrity", 1).leaves(DAMAGED),
        "the host has sent all, and it is no whole package: it is kept as evidence",
    ),
    rule(
        &[Download],
        &[Http400, Other4xx],
        Expected::of("bad_request", 1),
        "the host refuses the request as it is",
    ),
    rule(
        &[Download],
        &[Http401, Http403],
        Expected::of("forbidden", 5).retryable(),
        "a young link may not be valid yet, so it is tried four times, and then another one once",
    ),
    rule(
        &[Download],
        &[Http404],
        Expected::of("not_found", 4),
        "a young link may not be valid yet, so it is tried four times",
    ),
    rule(
        &[Download],
        &[Http410],
        Expected::of("not_found", 2).retryable(),
        "the link is over, and another one is tried",
    ),
    rule(
        &[Download],
        &[Http412],
        Expected::of("integrity", 4).retryable(),
        "the package keeps changing, so it may be whole later",
    ),
    rule(&[Download], &[Http407], Expected::of("proxy", 1), "a proxy asks for a login"),
    rule(
        &[Download],
        &[Http408, Http5xx],
        Expected::of("service", 2).retryable(),
        "the host fails for now",
    ),
    rule(
        &[Download],
        &[Http429],
        Expected::of("throttled", 1).retryable(),
        "the call has no time for the wait that is named",
    ),
    rule(
        &[Download],
        &[Http429Silent],
        Expected::of("throttled", 2).retryable(),
        "the usual pause lies before the next attempt",
    ),
    rule(
        &[Download],
        &[Http429Once],
        Expected::of("ok", 2).leaves(PACKAGE),
        "the wait that is named is kept, and then the request is sent again",
    ),
    rule(
        &[Download],
        &[DiskFull],
        Expected::of("disk_full", 1).retryable().leaves(PART),
        "what has arrived is kept, and the same call resumes when there is room",
    ),
    rule(
        &[Download, Journal],
        &[ReadOnly],
        Expected::of("file", 0),
        "the folder is tried before anything is asked for",
    ),
    rule(
        &[Download, Journal],
        &[NoDescriptors],
        Expected::of("file", 0).retryable(),
        "files are tried before anything is asked for, and the process may have descriptors soon",
    ),
    rule(
        &[Download],
        &[FileGone],
        Expected::of("file", 1).retryable().leaves(&[".part.json"]),
        "somebody has removed the part, and the next call downloads the package anew",
    ),
    rule(
        &[Download],
        &[NameTaken],
        Expected::of("file", 0).leaves(PACKAGE),
        "no file is ever replaced, and that is seen before a link is asked for",
    ),
    rule(
        &[Verify],
        &[Truncated, Garbage, Html],
        Expected::of("integrity", 1).leaves(DAMAGED),
        "the host has sent all, and it is no whole package: it is kept as evidence",
    ),
    rule(
        &[Rename],
        &[DiskFull],
        Expected::of("disk_full", 1).retryable().leaves(PART),
        "the package is whole, and the next call gives it its name",
    ),
    rule(
        &[Rename],
        &[ReadOnly],
        Expected::of("file", 1).leaves(PART),
        "the package is whole, and stays until the folder may be written to",
    ),
    rule(
        &[Rename],
        &[FileGone],
        Expected::of("file", 1).retryable().leaves(&[".part.json"]),
        "somebody has removed the part, and the next call downloads the package anew",
    ),
    rule(
        &[Rename],
        &[NameTaken],
        Expected::of("file", 1).leaves(&["", ".part", ".part.json"]),
        "no file is ever replaced, and the package stays beside it",
    ),
    rule(
        &[Rename],
        &[NoDescriptors],
        Expected::of("ok", 1).leaves(PACKAGE),
        "the rename needs no descriptor",
    ),
];
