//! The faults: what goes wrong.

macro_rules! faults {
    ($($fault:ident => $name:literal,)+) => {
        /// A fault. It may have several forms, which all have one outcome.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $($fault,)+
        }

        impl Fault {
            pub const ALL: [Fault; [$($name),+].len()] = [$(Fault::$fault),+];

            pub fn name(self) -> &'static str {
                match self {
                    $(Fault::$fault => $name,)+
                }
            }
        }
    };
}

faults! {
    Refused => "refused",
    Unreachable => "unreachable",
    ResetBefore => "reset before the request is read",
    ResetWithin => "reset within the request",
    ResetAfter => "reset after the request",
    ClosedAfter => "closed after the request",
    ResetInHead => "reset at each byte of the reply's head",
    ResetInBody => "reset at each byte of the reply's body",
    Truncated => "closed at each byte of the reply",
    Stall => "silent after the request",
    StallInBody => "silent within the reply",
    Drip => "a byte at a time",
    EndlessDrip => "a byte at a time, without end",
    TooLong => "a reply that is too long",
    HeadTooLong => "a head that is too long",
    ShortLength => "a `Content-Length` that is too small",
    OddLength => "a `Content-Length` that is none, or two",
    BrokenChunks => "broken chunks",
    ShortRange => "a range that ends before its end",
    Garbage => "bytes that are no HTTP",
    Interim => "1xx before the reply",
    EndlessInterim => "1xx without end",
    Compressed => "compression that nobody asked for",
    Html => "200 with a web page",
    Deep => "deep JSON",
    Huge => "JSON with very many members",
    Missing => "a member is missing",
    Extra => "unknown members",
    Null => "a member is null",
    Empty => "an empty body",
    Redirect => "redirects",
    Http400 => "400",
    Http401 => "401",
    Http403 => "403",
    Http404 => "404",
    Http407 => "407",
    Http408 => "408",
    Http410 => "410",
    Http412 => "412",
    Other4xx => "other 4xx",
    Http5xx => "5xx",
    Http429 => "429 that names a time",
    Http429Silent => "429 that names no time",
    Http429Once => "429 once, for a second",
    ClockAhead => "a clock that is a day ahead",
    ClockBehind => "a clock that is a day behind",
    DiskFull => "the disk is full",
    ReadOnly => "the folder is read-only",
    FileGone => "a file is gone",
    NameTaken => "a file has the name",
    NoDescriptors => "no descriptor is left",
    NoThread => "no thread can be started",
}

use Fault::*;

impl Fault {
    /// Whether a peer is there that takes the request, at least in part.
    pub fn reaches_peer(self) -> bool {
        !matches!(self, Refused | Unreachable | NoDescriptors)
    }

    /// Whether the fault is one of this host and not of a peer. It is played in a process of its own.
    pub fn is_of_the_host(self) -> bool {
        matches!(self, DiskFull | ReadOnly | NoDescriptors | NoThread)
    }

    /// Whether the cell loops over many bytes, and so with `max_retries=0`.
    pub fn is_loop(self) -> bool {
        matches!(self, ResetInHead | ResetInBody | Truncated)
    }
}
