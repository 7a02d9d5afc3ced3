//! Callers against the log or the limiter, in virtual time: each takes its slot as soon as it is let.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::patterns::{Arrival, End, Pattern};
use super::service::{Sent, nanos, reach};
use crate::quota::window::Window;

/// What is put to the test.
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

/// What the subject says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub in_flight: usize,
    pub is_idle: bool,
    /// For each window, the slots in use.
    pub used: Vec<usize>,
}

/// One call that took a slot.
#[derive(Clone, Copy, Debug)]
struct Event {
    began: u64,
    ended: u64,
    end: End,
}

/// Somebody was told to wait.
#[derive(Clone, Copy, Debug)]
struct Told {
    now: u64,
    turn: Turn,
    /// So many had taken a slot before.
    known: usize,
}

/// All that happened, as seen from outside.
#[derive(Debug)]
pub(super) struct History<'a> {
    windows: &'a [Window],
    events: Vec<Event>,
    told: Vec<Told>,
    /// How long the bytes of a call that was given up may take.
    straggling: u64,
}

/// The calls in flight, by when they end.
type Pending = BinaryHeap<Reverse<(u64, usize)>>;

fn next_end(pending: &Pending) -> Option<u64> {
    pending.peek().map(|Reverse((at, _))| *at)
}

/// Plays the pattern to its end. `watch` is called before every attempt to take a slot.
pub(super) fn play<'a, S: Subject>(
    pattern: &'a Pattern,
    subject: &mut S,
    mut watch: impl FnMut(&mut S, &History<'_>, u64),
) -> History<'a> {
    let windows = &pattern.windows;
    let shortest = windows.iter().map(nanos).min().unwrap();
    let straggling = shortest.min(30_000_000_000);
    let (events, told) = (Vec::with_capacity(pattern.arrivals.len()), Vec::new());
    let mut history = History { windows, events, told, straggling };
    let mut pending = Pending::new();
    let (mut now, mut comes) = (0u64, 0u64);
    for Arrival { gap, latency, end } in &pattern.arrivals {
        comes += gap;
        // Somebody before may have had to wait for longer; the ends on the way come in their order.
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
            history.told.push(Told { now, turn, known: history.events.len() });
            now = match turn {
                Turn::At(at) if at > now => next_end(&pending).map_or(at, |end| end.min(at)),
                Turn::AfterReply => next_end(&pending).expect("somebody is in flight"),
                turn => panic!("no way on at {now}: {turn:?}"),
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
            End::GivenUp => event.ended + self.straggling,
            _ => event.ended,
        }
    }

    /// The same as it looked at `now` to who knows nothing of what comes after: the last instant of what is
    /// in flight may be any.
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

    /// What the subject should report.
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

    /// Each time that somebody had to wait: the last instant at which it was to wait, and when the service may
    /// have counted the calls before, as late as possible, in order.
    pub(super) fn waits(&self) -> impl Iterator<Item = (u64, Vec<u64>)> {
        self.told.iter().map(|told| {
            let waits = match told.turn {
                Turn::At(at) => at - 1,
                _ => told.now,
            };
            let before = self.sent_as_seen_at(told.now, told.known);
            let mut counted: Vec<u64> = before.map(|sent| sent.last.min(waits)).collect();
            counted.sort_unstable();
            (waits, counted)
        })
    }
}
