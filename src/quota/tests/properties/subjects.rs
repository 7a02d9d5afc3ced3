//! The subjects of the properties: the log, the shared log and the limiter.

use std::sync::Arc;
use std::time::Duration;

use once_cell::sync::OnceCell;

use super::half_open::Throttled;
use super::patterns::{End, Pattern};
use super::simulation::{Report, Subject, Turn};
use crate::call::Call;
use crate::quota::clock::Time;
use crate::quota::clock::fake::FakeClock;
use crate::quota::file::{Decision, EndpointState, Entry, Usage, retention};
use crate::quota::ledger::lease;
use crate::quota::limiter::{Limiter, Permit};
use crate::quota::limits::Limits;
use crate::quota::rules::Rules;
use crate::quota::snapshot::Refusal;
use crate::quota::window::{Admission, Log, Window, grace_period};
use crate::service::quota::Quota;

fn in_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap()
}

/// The log by itself.
pub(super) struct LogAlone<'a> {
    log: Log,
    windows: &'a [Window],
}

impl<'a> LogAlone<'a> {
    pub(super) fn new(windows: &'a [Window]) -> LogAlone<'a> {
        LogAlone { log: Log::default(), windows }
    }
}

impl Subject for LogAlone<'_> {
    fn take(&mut self, now: u64) -> Turn {
        match self.log.admission(self.windows, Time::from_nanos(now)) {
            Admission::Now => {
                self.log.begin(self.windows);
                Turn::Go
            }
            Admission::At(at) => Turn::At(in_nanos(at.since(Time::default()))),
            Admission::AfterReply => Turn::AfterReply,
        }
    }

    fn end(&mut self, _: usize, end: End, now: u64) {
        let now = Time::from_nanos(now);
        match end {
            End::Replied => self.log.end(now),
            End::GivenUp => self.log.abandon(now, self.windows),
            End::NotSent => self.log.undo(),
        }
    }

    fn report(&mut self, now: u64) -> Report {
        let at = Time::from_nanos(now);
        Report {
            in_flight: self.log.in_flight(),
            is_idle: self.log.is_idle(at),
            used: self.windows.iter().map(|window| self.log.used(*window, at)).collect(),
        }
    }
}

/// The rule of the shared log, on entries in memory.
pub(super) struct SharedEntries<'a> {
    entries: Vec<Entry>,
    windows: &'a [Window],
    state: EndpointState,
    /// The place of the entry of each call in flight, and whether the call is a probe.
    places: Vec<Option<(usize, bool)>>,
    /// The number of refusals in a row.
    refused: u32,
}

/// A caller asks again often while a call is in flight, which may take hours in a pattern. The first rechecks come as
/// early as possible, and the others ever later.
const PROMPT_RECHECKS: u32 = 8;

impl<'a> SharedEntries<'a> {
    pub(super) fn new(windows: &'a [Window]) -> SharedEntries<'a> {
        let most = windows.iter().map(|window| window.limit).max().unwrap();
        let entries = vec![Entry::FREE; most as usize];
        let state = EndpointState { retention: retention(windows), ..EndpointState::default() };
        SharedEntries { entries, windows, state, places: Vec::new(), refused: 0 }
    }

    /// Renews all slots, as their holders do at least every quarter of the lease.
    fn renew(&mut self, now: u64) {
        let lease = in_nanos(lease(self.windows));
        for (place, _) in self.places.iter().flatten() {
            let entry = &mut self.entries[*place];
            entry.stamp = entry.stamp.max(now + lease - lease / 4);
        }
    }
}

/// The time zero marks a free place.
const START: u64 = 1;

impl Subject for SharedEntries<'_> {
    fn take(&mut self, now: u64) -> Turn {
        let now = now + START;
        self.renew(now);
        match Usage::of(&self.entries, self.windows, now).decide(self.state, self.windows) {
            Decision::Wait(full) => {
                self.refused += 1;
                let later = match self.places.iter().flatten().next() {
                    Some(_) => self.refused.saturating_sub(PROMPT_RECHECKS).min(20),
                    None => 0,
                };
                Turn::At(now + (in_nanos(full.recheck_in) << later) - START)
            }
            Decision::Take(place) => {
                let place = usize::try_from(place).unwrap();
                let stamp = now + in_nanos(lease(self.windows));
                self.entries[place] = Entry { stamp, owner: 1 };
                self.places.push(Some((place, self.state.half_open)));
                self.refused = 0;
                Turn::Go
            }
        }
    }

    fn end(&mut self, n: usize, end: End, now: u64) {
        let now = now + START;
        self.renew(now);
        self.refused = 0;
        let (place, probe) = self.places[n].take().unwrap();
        self.entries[place] = match end {
            End::Replied => {
                self.state.half_open &= !probe;
                Entry { stamp: now, owner: 0 }
            }
            End::NotSent => Entry::FREE,
            // The holder records it, or has died. Then the entry keeps the stamp of the last renewal.
            End::GivenUp if n % 2 == 0 => {
                Entry { stamp: now + in_nanos(grace_period(self.windows)), owner: 0 }
            }
            End::GivenUp => return,
        };
    }

    fn report(&mut self, now: u64) -> Report {
        let usage = Usage::of(&self.entries, self.windows, now + START);
        let used: Vec<_> = self.windows.iter().map(|window| usage.used(*window)).collect();
        Report { in_flight: usage.in_flight, is_idle: used.iter().all(|used| *used == 0), used }
    }
}

impl Throttled for SharedEntries<'_> {
    fn refuse(&mut self, n: usize, wait: u64, now: u64) {
        let now = now + START;
        self.renew(now);
        self.refused = 0;
        let (place, _) = self.places[n].take().unwrap();
        self.entries[place] = Entry { stamp: now, owner: 0 };
        self.state = self.state.closed(Duration::from_nanos(wait), now);
    }
}

pub(super) const QUOTA: Quota = Quota::Collect;

/// The rules with the windows of a pattern, parsed as from an option.
pub(super) fn rules(pattern: &Pattern) -> Rules {
    let seconds = |window: &Window| {
        let length = window.length;
        format!("{}/{}.{:09}", window.limit, length.as_secs(), length.subsec_nanos())
    };
    let windows: Vec<String> = pattern.windows.iter().map(seconds).collect();
    let limits = Limits::parse(&format!("{}={}", QUOTA.name(), windows.join(","))).unwrap();
    assert_eq!(limits.of(QUOTA), pattern.windows);
    Rules { limits, ledger: OnceCell::new() }
}

/// The whole limiter. Its callers do not wait.
pub(super) struct WholeLimiter<'a> {
    clock: Arc<FakeClock>,
    now: u64,
    limiter: Arc<Limiter>,
    rules: &'a Rules,
    permits: Vec<Option<Permit<'a>>>,
}

impl<'a> WholeLimiter<'a> {
    pub(super) fn new(rules: &'a Rules) -> WholeLimiter<'a> {
        let clock = Arc::new(FakeClock::default());
        let limiter = Arc::new(Limiter::new(Arc::<FakeClock>::clone(&clock)));
        WholeLimiter { clock, now: 0, limiter, rules, permits: Vec::new() }
    }

    fn advance(&mut self, now: u64) {
        self.clock.advance(Duration::from_nanos(now - self.now));
        self.now = now;
    }
}

impl Subject for WholeLimiter<'_> {
    fn take(&mut self, now: u64) -> Turn {
        self.advance(now);
        let call = Call::begin(&Arc::default(), None, None);
        match self.limiter.acquire(QUOTA, self.rules, &call, false) {
            Ok(permit) => {
                self.permits.push(Some(permit));
                Turn::Go
            }
            Err(Refusal::NoRoom(Some(wait))) => Turn::At(now + in_nanos(wait)),
            Err(Refusal::NoRoom(None)) => Turn::AfterReply,
            Err(other) => panic!("{other:?}"),
        }
    }

    fn end(&mut self, n: usize, end: End, now: u64) {
        self.advance(now);
        let permit = self.permits[n].take().unwrap();
        match end {
            End::Replied => permit.replied(),
            End::GivenUp => drop(permit),
            End::NotSent => permit.not_sent(),
        }
    }

    fn report(&mut self, now: u64) -> Report {
        self.advance(now);
        let snapshot = self.limiter.snapshot(QUOTA, self.rules);
        Report {
            in_flight: snapshot.in_flight,
            is_idle: self.limiter.is_idle(),
            used: snapshot.used,
        }
    }
}

impl Throttled for WholeLimiter<'_> {
    fn refuse(&mut self, n: usize, wait: u64, now: u64) {
        self.advance(now);
        let permit = self.permits[n].take().unwrap();
        permit.throttled(self.rules, Duration::from_nanos(wait));
    }
}
