//! Virtual time: tasks of which one runs at a time, until it waits. So a run is the same each time.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::call::Signal;
use crate::quota::clock::fake::FakeClock;

/// More steps than that at one instant are a loop.
const MOST_STEPS: u32 = 10_000;

/// What a task waits for: a time, or that its signal is woken.
#[derive(Clone, Default)]
struct Wait {
    until: Option<Duration>,
    signal: Option<(Arc<Signal>, u64)>,
}

impl Wait {
    /// When the task goes on, seen at `now`.
    fn over_at(&self, now: Duration) -> Option<Duration> {
        let is_woken = self.signal.as_ref().is_some_and(|(signal, seen)| signal.wakes() != *seen);
        if is_woken { Some(now) } else { self.until }
    }
}

struct Task {
    /// Who has to be there for the task to go on.
    owner: Option<u32>,
    wait: Wait,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

/// The clock, and what waits for it.
pub(super) struct Timeline {
    now: Cell<Duration>,
    clock: Arc<FakeClock>,
    /// What the task waits for that runs.
    wait: RefCell<Wait>,
    new: RefCell<Vec<Task>>,
    ended: RefCell<Vec<u32>>,
}

impl Timeline {
    pub(super) fn new(clock: &Arc<FakeClock>) -> Timeline {
        Timeline {
            now: Cell::default(),
            clock: Arc::clone(clock),
            wait: RefCell::default(),
            new: RefCell::default(),
            ended: RefCell::default(),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.now.get()
    }

    pub(super) fn spawn(&self, owner: Option<u32>, future: impl Future<Output = ()> + 'static) {
        let wait = Wait { until: Some(self.now()), signal: None };
        self.new.borrow_mut().push(Task { owner, wait, future: Box::pin(future) });
    }

    /// The tasks of this owner go no further.
    pub(super) fn end(&self, owner: u32) {
        self.ended.borrow_mut().push(owner);
    }

    /// Waits until a time, or until the signal was woken more often than `seen`.
    pub(super) fn wait(
        &self,
        until: Option<Duration>,
        signal: Option<(&Arc<Signal>, u64)>,
    ) -> impl Future<Output = ()> {
        let signal = signal.map(|(signal, seen)| (Arc::clone(signal), seen));
        let wait = Wait { until, signal };
        std::future::poll_fn(move |_| match wait.over_at(self.now()) {
            Some(at) if at <= self.now() => Poll::Ready(()),
            _ => {
                *self.wait.borrow_mut() = wait.clone();
                Poll::Pending
            }
        })
    }

    pub(super) fn pass(&self, time: Duration) -> impl Future<Output = ()> {
        self.wait(Some(self.now() + time), None)
    }

    /// Lets time pass until nothing waits any more, or until `is_over`.
    pub(super) fn run(&self, is_over: impl Fn() -> bool) {
        let mut tasks: Vec<Task> = Vec::new();
        let mut steps = 0;
        while !is_over() {
            tasks.append(&mut self.new.borrow_mut());
            let ended = std::mem::take(&mut *self.ended.borrow_mut());
            tasks.retain(|task| task.owner.is_none_or(|owner| !ended.contains(&owner)));
            let now = self.now();
            let times = tasks.iter().map(|task| task.wait.over_at(now)).zip(0_usize..);
            let next = times.filter_map(|(at, n)| Some((at?.max(now), n))).min();
            let Some((at, n)) = next else { break };
            steps = if at > now { 0 } else { steps + 1 };
            assert!(steps < MOST_STEPS, "it runs in a circle");
            self.clock.advance(at - now);
            self.now.set(at);
            let polled = tasks[n].future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            match polled {
                Poll::Ready(()) => drop(tasks.remove(n)),
                Poll::Pending => tasks[n].wait = std::mem::take(&mut *self.wait.borrow_mut()),
            }
        }
        self.new.borrow_mut().clear();
    }
}
