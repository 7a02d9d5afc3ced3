//! One poll under way: what it finds out is delivered to the group at once, action by action.

use std::time::Instant;

use super::member::{Member, Update};
use super::poll::Target;
use super::waiters::{State, Waiter};
use crate::error::Error;
use crate::service::action::ActionStatus;

/// The poll that a call makes for its group. Dropping it ends the poll.
#[derive(Debug)]
pub(super) struct Round<'a> {
    poller: &'a Waiter,
    /// Of the poller.
    client: usize,
    follows_many: bool,
    has_failed_for_others: bool,
}

impl<'a> Round<'a> {
    pub(super) fn new(poller: &'a Waiter) -> Round<'a> {
        let mut state = poller.waiters.state.lock();
        let (client, follows_many) = match state.member(poller.number) {
            Some(member) => (member.client, member.follows_many()),
            None => (0, false),
        };
        drop(state);
        Round { poller, client, follows_many, has_failed_for_others: false }
    }

    /// Whether the call knows this state of the action already, and needs nothing else of it.
    pub(super) fn is_known(&self, target: &Target, status: &ActionStatus, now: Instant) -> bool {
        let mut state = self.poller.waiters.state.lock();
        state.first_due = None;
        state.member(target.member).is_none_or(|member| member.knows(target, status, now))
    }

    /// Delivers what is known of one action.
    pub(super) fn deliver(&mut self, target: &Target, update: Update, now: Instant) {
        let failure = match &update {
            Update::Seen(_) => None,
            Update::Missing(error) | Update::Failed(error) => Some(error.clone()),
        };
        self.pass(target, failure.as_ref(), |member| member.receive(target, update, now));
    }

    /// Records that the poll has succeeded, whatever it has shown.
    pub(super) fn succeeded(&self) {
        let mut state = self.poller.waiters.state.lock();
        state.members.iter_mut().for_each(Member::poll_succeeded);
    }

    /// Delivers a failure of the poll, which may concern all actions.
    pub(super) fn fail(&mut self, target: &Target, error: &Error, now: Instant) {
        self.pass(target, Some(error), |member| member.fail(target, error, now));
    }

    /// Records that the action was read alone, if it is still followed. The next poll reads others first.
    pub(super) fn was_read(&self, target: &Target, now: Instant) {
        let mut state = self.poller.waiters.state.lock();
        if let Some(one) = state.member(target.member).and_then(|member| member.one(target)) {
            one.last_read = Some(now);
        }
    }

    fn pass(
        &mut self,
        target: &Target,
        failure: Option<&Error>,
        deliver: impl FnOnce(&mut Member) -> bool,
    ) {
        let mut state = self.poller.waiters.state.lock();
        state.first_due = None;
        let Some(member) = state.member(target.member) else { return };
        if failure.is_some_and(|error| !self.reaches(member, error)) {
            self.has_failed_for_others = true;
        } else if deliver(member) && member.number != self.poller.number {
            member.signal.wake();
        }
    }

    /// Whether a failure says something about the requests of this call as well.
    ///
    /// It does not if it may come from the settings of the poller's client. A call that follows many actions does not wait
    /// for its quota, as others may do.
    fn reaches(&self, member: &Member, error: &Error) -> bool {
        let is_impatient =
            self.follows_many && (error.is_about_quota() || error.is_caller_specific());
        let is_shared = member.client == self.client && !is_impatient;
        is_shared || member.number == self.poller.number
    }
}

impl Drop for Round<'_> {
    /// If the poll failed for calls of other clients, one of these becomes the poller. A call that follows many actions
    /// is the poller no longer.
    fn drop(&mut self) {
        let state: &mut State = &mut self.poller.waiters.state.lock();
        for member in state.members.iter_mut().filter(|member| member.follows_many()) {
            member.followed.retain(|one| one.due.is_some());
        }
        if self.has_failed_for_others || self.follows_many {
            let except = self.has_failed_for_others.then_some(self.client);
            state.hand_over(self.poller.number, except);
        }
    }
}
