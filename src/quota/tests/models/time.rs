//! The time of a model. A thread moves it to the next instant for which a call sleeps. So a sleep may end before or
//! after any other event. A call that should be woken and is not sleeps for ever, which shuttle finds.

use std::sync::Arc;
use std::time::Duration;

use crate::call::{Call, Signal, Stop};
use crate::os::sync::{Condvar, Mutex};
use crate::quota::clock::{Clock, Time};

#[derive(Debug, Default)]
pub(super) struct ModelClock {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    now: Time,
    asleep: Vec<(Arc<Signal>, Time)>,
    deadlines: Vec<(Arc<Signal>, Time)>,
    /// The calls that wait, or need not wait any more.
    arrived: Vec<Arc<Signal>>,
    over: bool,
}

impl State {
    fn deadline(&self, call: &Call) -> Option<Time> {
        let of_call = self.deadlines.iter().find(|(signal, _)| Arc::ptr_eq(signal, call.signal()));
        of_call.map(|(_, at)| *at)
    }

    fn has_arrived(&self, signal: &Arc<Signal>) -> bool {
        self.arrived.iter().any(|arrived| Arc::ptr_eq(arrived, signal))
    }
}

impl ModelClock {
    /// Lets time pass until the scenario has ended.
    pub(super) fn run(&self) {
        let mut state = self.state.lock();
        loop {
            let next = state.asleep.iter().map(|(_, until)| *until).min();
            if state.over {
                return;
            }
            let Some(next) = next else {
                self.changed.wait(&mut state);
                continue;
            };
            state.now = state.now.max(next);
            state.asleep.retain(|(signal, until)| {
                if *until <= next {
                    signal.wake();
                }
                *until > next
            });
            // Other threads may run before the next instant.
            drop(state);
            state = self.state.lock();
        }
    }

    pub(super) fn end(&self) {
        self.state.lock().over = true;
        self.changed.notify_all();
    }

    /// Sets the call's deadline in the time of the model.
    pub(super) fn set_deadline(&self, call: &Call, after: Duration) {
        let mut state = self.state.lock();
        let at = state.now.plus(after);
        state.deadlines.push((Arc::clone(call.signal()), at));
    }

    /// The call waits, or needs not wait any more.
    pub(super) fn arrive(&self, signal: &Arc<Signal>) {
        let mut state = self.state.lock();
        if !state.has_arrived(signal) {
            state.arrived.push(Arc::clone(signal));
        }
        self.changed.notify_all();
    }

    pub(super) fn until_arrived(&self, signal: &Arc<Signal>) {
        let mut state = self.state.lock();
        while !state.has_arrived(signal) {
            self.changed.wait(&mut state);
        }
    }
}

impl Clock for ModelClock {
    fn now(&self) -> Time {
        self.state.lock().now
    }

    fn wait(&self, call: &Call, until: Option<Time>) -> Result<(), Stop> {
        self.arrive(call.signal());
        let mut state = self.state.lock();
        let deadline = state.deadline(call);
        if deadline.is_some_and(|at| at <= state.now) {
            return Err(Stop::Deadline);
        }
        if let Some(until) = [until, deadline].into_iter().flatten().min() {
            if until <= state.now {
                return call.check();
            }
            state.asleep.push((Arc::clone(call.signal()), until));
            self.changed.notify_all();
        }
        drop(state);
        let stopped = call.wait(None);
        let mut state = self.state.lock();
        // A call that was woken does not sleep for that instant any more.
        state.asleep.retain(|(signal, _)| !Arc::ptr_eq(signal, call.signal()));
        match deadline.is_some_and(|at| at <= state.now) {
            true => stopped.and(Err(Stop::Deadline)),
            false => stopped,
        }
    }

    /// `wait` checks the deadlines.
    fn check(&self, call: &Call, _: Time) -> Result<(), Stop> {
        call.check()
    }
}

/// A clock that stands still. A scenario that needs no time has fewer steps and so fewer schedules.
#[derive(Debug)]
pub(super) struct NoTime;

impl Clock for NoTime {
    fn now(&self) -> Time {
        Time::default()
    }

    fn wait(&self, call: &Call, _: Option<Time>) -> Result<(), Stop> {
        call.wait(None)
    }

    fn check(&self, call: &Call, _: Time) -> Result<(), Stop> {
        call.check()
    }
}
