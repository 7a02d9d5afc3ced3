//! The group of waiting calls, in virtual time.

mod group;
mod many;
mod one;
mod polls;
mod simulation;

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::member::Update;
use super::poll::{Service, Target};
use super::waiters::{Waiter, Waiters};
use crate::error::{Error, Result};
use crate::service::action::MachineAction;
use crate::service::action_list::{self, OnListed, PageEnd};
use crate::status::Status;
use crate::text::guid;

const INTERVAL: Duration = Duration::from_secs(15);

fn action(number: u128, status: &str) -> MachineAction {
    MachineAction::from_json(&record(number, status), &|_| {}).unwrap()
}

fn record(number: u128, status: &str) -> String {
    let id = guid::text(number);
    format!(
        r#"{{"id":"{id}","status":"{status}","creationDateTimeUtc":"2026-01-24T22:17:02.36Z"}}"#
    )
}

fn join(waiters: &Arc<Waiters>, number: u128) -> Waiter {
    join_as(waiters, 1, number)
}

fn join_as(waiters: &Arc<Waiters>, client: usize, number: u128) -> Waiter {
    waiters.join(client, &guid::text(number), &Arc::default(), INTERVAL, None)
}

fn join_with_many(waiters: &Arc<Waiters>, client: usize) -> Waiter {
    waiters.join_with_many(client, &Arc::default(), INTERVAL)
}

fn broken() -> Error {
    Error::new(Status::Broken, "lost")
}

/// Delivers the same state of all targets.
fn all_are(poller: &Waiter, targets: &[Target], status: &str, now: Instant) {
    let mut round = poller.round();
    for one in targets {
        round.deliver(one, Update::Seen(action(one.action, status)), now);
    }
}

fn all_fail(poller: &Waiter, targets: &[Target], error: &Error, now: Instant) {
    let mut round = poller.round();
    targets.iter().for_each(|one| round.fail(one, error, now));
}

fn numbers(targets: &[Target]) -> Vec<u128> {
    targets.iter().map(|one| one.action).collect()
}

/// A service that answers as it is told, and records what it was asked.
struct Scripted {
    /// The pages of each list, as bodies.
    pages: Vec<Result<String>>,
    reads: Box<dyn Fn(u128) -> Option<Update>>,
    filters: RefCell<Vec<String>>,
    /// The first rows of the pages that were asked for.
    skips: RefCell<Vec<usize>>,
    read: RefCell<Vec<u128>>,
    stopped: Cell<bool>,
    now: Cell<Instant>,
}

impl Scripted {
    fn new(pages: Vec<Result<String>>) -> Scripted {
        Scripted {
            pages,
            reads: Box::new(|_| None),
            filters: RefCell::default(),
            skips: RefCell::default(),
            read: RefCell::default(),
            stopped: Cell::new(false),
            now: Cell::new(Instant::now()),
        }
    }
}

impl Service for Scripted {
    fn read(&self, action_id: &str) -> Update {
        self.read_soon(action_id).unwrap()
    }

    fn read_soon(&self, action_id: &str) -> Option<Update> {
        let number = guid::number(action_id).unwrap();
        self.read.borrow_mut().push(number);
        (self.reads)(number)
    }

    fn page(&self, filter: &str, skip: usize, on_listed: OnListed<'_>) -> Result<PageEnd> {
        self.filters.borrow_mut().push(filter.to_owned());
        let mut skips = self.skips.borrow_mut();
        skips.push(skip);
        let body = self.pages[skips.len() - 1].clone()?;
        action_list::each(body.as_bytes(), 10_000, &|_| {}, on_listed)
            .map_err(|problem| Error::new(Status::Protocol, problem))
    }

    fn is_stopped(&self) -> bool {
        self.stopped.get()
    }

    fn now(&self) -> Instant {
        self.now.get()
    }
}
