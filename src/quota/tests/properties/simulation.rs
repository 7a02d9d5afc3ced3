//! Simulates callers in virtual time. Each takes a slot from the log or the limiter as soon as there is one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::patterns::{Arrival, End, Pattern};
use super::service::{Sent, nanos, reach};
use crate::quota::window::Window;

/// A log or a limiter under test.
pub(super) trait Subject {
    /// Takes a slot if there is one.
    fn take(&mut self, now: u64) -> Turn;
    /// The call that took the `n`th slot has ended.
    fn end(&mut self, n: usize, end: End, now: u64);
    fn report(&mut self, now: u64) -> Report;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Go,
    At(u64),
    AfterReply,
}

/// The state that the subject reports.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub in_flight: usize,
    pub is_idle: bool,
    /// The slots in use of each window.
    pub used: Vec<usize>,
}

/// One call that took a slot.
#[derive(Clone, Copy, Debug)]
struct Event {
    began: u64,
    ended: u64,
    end: End,
}

/// A caller that had to wait.
#[derive(Clone, Copy, Debug)]
struct WaitingCaller {
    now: u64,
    turn: Turn,
    /// The number of calls that had taken a slot before.
    known: usize,
}

/// All calls and waits of a simulation.
#[derive(Debug)]
pub(super) struct History<'a> {
    windows: &'a [Window],
    events: Vec<Event>,
    waiting: Vec<WaitingCaller>,
    /// How long the bytes of a call that was given up may take to arrive.
    grace_period: u64,
}

/// The calls in flight, by when they end.
type Pending = BinaryHeap<Reverse<(u64, usize)>>;

fn next_end(pending: &Pending) -> Option<u64> {
    pending.peek().map(|Reverse((at, _))| *at)
}

/// Simulates the pattern to its end. `watch` is called before every attempt to take a slot.
pub(super) fn simulate<'a, S: Subject>(
    pattern: &'a Pattern,
    subject: &mut S,
    mut watch: impl FnMut(&mut S, &History<'_>, u64),
) -> History<'a> {
    let windows = &pattern.windows;
    let shortest = windows.iter().map(nanos).min().unwrap();
    let grace_period = shortest.min(30_000_000_000);
    let (events, waiting) = (Vec::with_capacity(pattern.arrivals.len()), Vec::new());
    let mut history = History { windows, events, waiting, grace_period };
    let mut pending = Pending::new();
    let (mut now, mut comes) = (0u64, 0u64);
    for Arrival { gap, latency, end } in &pattern.arrivals {
        comes += gap;
        // An earlier caller may have waited for longer.
        now = now.max(comes);
        loop {
            while next_end(&pending).is_some_and(|at| at <= now) {
                let Reverse((at, n)) = pending.pop().unwrap();
                subject.end(n, history.events[n].end, at);
            }
            watch(subject, &history, now);
            let turn = subject.take(now);
            if turn == Turn::Go {
                break;
            }
            history.waiting.push(WaitingCaller { now, turn, known: history.events.len() });
            now = match turn {
                Turn::At(at) if at > now => next_end(&pending).map_or(at, |end| end.min(at)),
                Turn::AfterReply => next_end(&pending).expect("a call is in flight"),
                turn => panic!("no progress at {now}: {turn:?}"),
            };
        }
        pending.push(Reverse((now + latency, history.events.len())));
        history.events.push(Event { began: now, ended: now + latency, end: *end });
    }
    history
}

impl History<'_> {
    /// The calls that were sent, each with the instants at which the service may count it.
    pub(super) fn sent(&self) -> Vec<Sent> {
        let sent = self.events.iter().filter(|event| event.end != End::NotSent);
        sent.map(|event| Sent { first: event.began, last: self.last(event) }).collect()
    }

    fn last(&self, event: &Event) -> u64 {
        match event.end {
            End::GivenUp => event.ended + self.grace_period,
            _ => event.ended,
        }
    }

    /// The same, as known at `now`. A call in flight may be counted at any later instant.
    fn sent_as_seen_at(&self, now: u64, known: usize) -> impl Iterator<Item = Sent> {
        self.events[..known].iter().filter_map(move |event| {
            let last = match event.ended <= now {
                false => u64::MAX,
                true if event.end == End::NotSent => return None,
                true => self.last(event),
            };
            Some(Sent { first: event.began, last })
        })
    }

    /// The state that the subject must report.
    pub(super) fn recount(&self, now: u64) -> Report {
        let lasts = self.sent_as_seen_at(now, self.events.len()).map(|sent| sent.last);
        let (in_flight, ended): (Vec<u64>, Vec<u64>) = lasts.partition(|last| *last == u64::MAX);
        let in_flight = in_flight.len();
        let used = |window: &Window| {
            in_flight + ended.iter().filter(|last| **last + reach(window) > now).count()
        };
        let used: Vec<usize> = self.windows.iter().map(used).collect();
        Report { in_flight, is_idle: used.iter().all(|used| *used == 0), used }
    }

    /// Each wait: the last instant at which the caller still waited, and the latest instants at which the service may
    /// have counted the earlier calls, in order.
    pub(super) fn waits(&self) -> impl Iterator<Item = (u64, Vec<u64>)> {
        self.waiting.iter().map(|caller| {
            let last = match caller.turn {
                Turn::At(at) => at - 1,
                _ => caller.now,
            };
            let before = self.sent_as_seen_at(caller.now, caller.known);
            let mut counted: Vec<u64> = before.map(|sent| sent.last.min(last)).collect();
            counted.sort_unstable();
            (last, counted)
        })
    }
}
