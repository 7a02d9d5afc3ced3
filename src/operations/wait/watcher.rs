//! A call that follows many actions.

use std::sync::Arc;
use std::time::Instant;

use super::poll::{self, Live, Service};
use super::waiters::{Waiter, Waiters};
use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Stage};
use crate::service::action::MachineAction;
use crate::text::guid;

/// The actions that one call follows, polled with those of all other waiting calls of the identity.
#[derive(Debug)]
pub(crate) struct Watcher<'a> {
    account: &'a Account,
    call: Arc<Call>,
    waiter: Waiter,
}

/// What has become of one of many actions.
#[derive(Debug)]
pub(crate) enum Change {
    /// It is in another state than before, and has not ended.
    Waiting(MachineAction),
    /// It has ended with success, and is followed no longer.
    Succeeded(MachineAction),
    /// It has ended otherwise, the service does not know it, or its state has been unknown for too long. It is followed no
    /// longer. The error has the action, if the service knows it.
    Failed(Error),
}

/// What came of a step.
#[derive(Debug)]
pub(crate) enum Step {
    /// What became of actions, by their keys. Of a poll that succeeded and shows nothing new, there are none.
    Changes(Vec<(u32, Change)>),
    /// A poll failed, which is reported once for all actions. They are polled again.
    PollFailed(Error),
    /// There is nothing to do until then. The call's signal is woken if there is earlier.
    Idle(Option<Instant>),
}

impl<'a> Watcher<'a> {
    /// Follows no action yet. Polls are requests of this call.
    pub(crate) fn new(account: &'a Account, call: &Arc<Call>) -> Watcher<'a> {
        let client = std::ptr::from_ref(account).addr();
        let waiters = Waiters::of(account);
        let waiter = waiters.join_with_many(client, call.signal(), account.poll_interval);
        Watcher { account, call: Arc::clone(call), waiter }
    }

    /// Follows an action, as last seen. It takes the place of one with the same key. If it has ended, the next step says
    /// so. Keys in ascending order are the quickest.
    pub(crate) fn add(&mut self, key: u32, action: &MachineAction) {
        self.follow(key, action.id(), Some(action));
    }

    /// Follows an action of which only the id is known, a GUID. It is polled at once.
    pub(crate) fn add_unseen(&mut self, key: u32, action_id: &str) {
        self.follow(key, action_id, None);
    }

    fn follow(&self, key: u32, action_id: &str, seen: Option<&MachineAction>) {
        let action = guid::number(action_id).unwrap_or_default();
        self.waiter.follow(key, action, seen, Instant::now());
    }

    /// Follows the action no longer. A change of it may still come if it was delivered before.
    pub(crate) fn remove(&mut self, key: u32) {
        self.waiter.unfollow(key);
    }

    /// Does what is due: polls, unless another call does it. Never sleeps, but a poll takes the time of its requests.
    ///
    /// The call asks again until this is idle, and asks last of all before it sleeps: a sleep in between may have used up
    /// the wake. A stop of the call during a poll is a failure of the poll.
    pub(crate) fn step(&mut self, now: Instant) -> Step {
        advance(&self.waiter, &Live { account: self.account, call: &self.call }, now)
            .unwrap_or_else(|until| match self.call.check() {
                Err(stop) => Step::PollFailed(Error::from(stop).with_stage(Stage::Wait)),
                Ok(()) => Step::Idle(until),
            })
    }
}

/// The error is until when there is nothing to do.
fn advance(waiter: &Waiter, service: &dyn Service, now: Instant) -> Result<Step, Option<Instant>> {
    if let Some(step) = waiter.take_step() {
        return Ok(step);
    }
    let targets = waiter.poll_now(now)?;
    poll::poll(service, waiter.round(), targets);
    waiter.take_step().ok_or_else(|| waiter.time_to_ask())
}
