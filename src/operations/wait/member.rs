//! One waiting call: the actions that it follows, and what was delivered to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::followed::Followed;
use super::poll::Target;
use super::verdict::Verdict;
use super::watcher::{Change, Step};
use crate::call::Signal;
use crate::error::Error;
use crate::service::action::{ActionStatus, MachineAction};
use crate::status::Status;
use crate::text::guid;

/// What a poll has found out about one action.
#[derive(Debug)]
pub(super) enum Update {
    Seen(MachineAction),
    /// The service does not know the action.
    Missing(Error),
    Failed(Error),
}

/// What was delivered to a call and not taken yet.
#[derive(Debug)]
pub(super) enum Mailbox {
    /// The call follows one action. It reports every update, and decides what it means.
    One(Option<Update>),
    /// The call follows many actions, and gets their changes.
    Many(Mail),
}

/// What was delivered to a call that follows many actions.
#[derive(Debug, Default)]
pub(super) struct Mail {
    pub changes: Vec<(u32, Change)>,
    /// How polls went, if there were any. A failure is kept until it is taken.
    polled: Option<Result<(), Error>>,
}

/// What the group knows of one waiting call.
#[derive(Debug)]
pub(super) struct Member {
    pub number: u64,
    /// The client that the call belongs to. A failure of one client's poll must not reach the calls of another.
    pub client: usize,
    pub signal: Arc<Signal>,
    pub interval: Duration,
    /// In the order of their keys.
    pub followed: Vec<Followed>,
    pub mailbox: Mailbox,
    /// The call reports its update, possibly to the host's callback, and so cannot poll.
    pub is_reporting: bool,
}

impl Member {
    pub(super) fn follows_many(&self) -> bool {
        matches!(self.mailbox, Mailbox::Many(_))
    }

    /// Follows an action. One that was followed under this key is replaced. To append is quick, to insert takes longer.
    pub(super) fn follow(&mut self, one: Followed) {
        match self.position(one.key) {
            Ok(at) => {
                if let Some(old) = self.followed.get_mut(at) {
                    *old = one;
                }
            }
            Err(at) => self.followed.insert(at, one),
        }
    }

    /// Follows the action no longer.
    pub(super) fn unfollow(&mut self, key: u32) {
        if let Ok(at) = self.position(key) {
            self.followed.remove(at);
        }
    }

    /// The update of a call that follows one action, and when the action is due again. The call reports it next.
    pub(super) fn take_update(&mut self) -> Option<(Update, Option<Instant>)> {
        let Mailbox::One(update) = &mut self.mailbox else { return None };
        self.is_reporting = update.is_some();
        let due = self.followed.first().and_then(|one| one.due);
        update.take().map(|update| (update, due))
    }

    /// Whether the action is in the state that the call knows already, and the call needs nothing else of it.
    pub(super) fn knows(&mut self, target: &Target, state: &ActionStatus, now: Instant) -> bool {
        let (many, interval) = (self.follows_many(), self.interval);
        let Some(one) = self.one(target).filter(|one| many && one.is_still(state)) else {
            return false;
        };
        one.bounds.reset();
        one.pace(interval, now);
        true
    }

    /// Keeps the update until the call takes it, and sets the time of the next poll. Returns whether to wake the call.
    pub(super) fn receive(&mut self, target: &Target, update: Update, now: Instant) -> bool {
        let Some(one) = find(&mut self.followed, target) else { return false };
        let has_changed = match &update {
            Update::Seen(action) => one.observe(action, now),
            _ => false,
        };
        one.pace(self.interval, now);
        match &mut self.mailbox {
            Mailbox::One(last) => {
                // A final state lasts, so a later update does not replace it.
                let is_final =
                    matches!(last, Some(Update::Seen(action)) if action.status().is_final());
                if !is_final {
                    *last = Some(update);
                }
                true
            }
            Mailbox::Many(mail) => {
                let was_empty = mail.is_empty();
                mail.receive(one, update, has_changed, now);
                was_empty && !mail.is_empty()
            }
        }
    }

    /// The same for a failure that may concern all actions. A call that follows many gets it once. Such a call does not wait
    /// for its quota, so it often has failures, and polls again soon.
    pub(super) fn fail(&mut self, target: &Target, error: &Error, now: Instant) -> bool {
        let interval = self.interval;
        let Mailbox::Many(mail) = &mut self.mailbox else {
            return self.receive(target, Update::Failed(error.clone()), now);
        };
        let was_empty = mail.is_empty();
        mail.fail(error.clone());
        if let Some(one) = self.one(target) {
            one.due = Some(now + interval);
        }
        was_empty
    }

    /// A poll has succeeded. A call that follows many actions is told even if none has changed, but not woken for that.
    pub(super) fn poll_succeeded(&mut self) {
        if let Mailbox::Many(mail) = &mut self.mailbox {
            mail.polled.get_or_insert(Ok(()));
        }
    }

    /// The action of a poll, unless the call has left it since the poll began.
    pub(super) fn one(&mut self, target: &Target) -> Option<&mut Followed> {
        find(&mut self.followed, target)
    }

    fn position(&self, key: u32) -> Result<usize, usize> {
        self.followed.binary_search_by_key(&key, |one| one.key)
    }
}

fn find<'a>(followed: &'a mut [Followed], target: &Target) -> Option<&'a mut Followed> {
    let at = followed.binary_search_by_key(&target.key, |one| one.key).ok()?;
    followed.get_mut(at).filter(|one| one.action == target.action && one.due.is_some())
}

impl Mail {
    /// Whether there is nothing to wake the call for.
    fn is_empty(&self) -> bool {
        self.changes.is_empty() && !matches!(self.polled, Some(Err(_)))
    }

    fn fail(&mut self, error: Error) {
        if !matches!(self.polled, Some(Err(_))) {
            self.polled = Some(Err(error));
        }
    }

    /// What the call gets next: changes before a failure, also if it came first.
    pub(super) fn take_step(&mut self) -> Option<Step> {
        let has_changes = !self.changes.is_empty();
        match self.polled.take_if(|polled| polled.is_ok() || !has_changes) {
            Some(Err(error)) => Some(Step::PollFailed(error)),
            None if !has_changes => None,
            _ => Some(Step::Changes(std::mem::take(&mut self.changes))),
        }
    }

    fn receive(&mut self, one: &mut Followed, update: Update, has_changed: bool, now: Instant) {
        let change = match update {
            Update::Seen(action) => match one.bounds.seen(&action, now) {
                Verdict::Waiting if has_changed => Change::Waiting(action),
                Verdict::Waiting => return,
                Verdict::Succeeded => Change::Succeeded(action),
                Verdict::Failed(error) => Change::Failed(error),
            },
            Update::Missing(error) => match one.bounds.missing(error, now) {
                Some(error) => failed(one, error),
                None => return,
            },
            Update::Failed(error) if is_about_the_action(&error) => failed(one, error),
            Update::Failed(error) => return self.fail(error),
        };
        if !matches!(change, Change::Waiting(_)) {
            one.due = None;
        }
        self.changes.push((one.key, change));
    }
}

fn failed(one: &Followed, error: Error) -> Change {
    Change::Failed(error.with_action(&guid::text(one.action), None))
}

/// Whether the failure of a read, among others that succeed, is that of the action. A missing permission or a lost
/// connection concerns all.
fn is_about_the_action(error: &Error) -> bool {
    matches!(error.status(), Status::Protocol | Status::BadRequest) && !error.is_retryable()
}
