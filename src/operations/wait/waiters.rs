//! The group of all calls that wait under one identity, and which of them is the poller.
//!
//! The poller polls the actions of the whole group and delivers what it saw. Every call takes its own updates and
//! reports them to its caller. That may call back into the host, for any length of time, and the callback may itself
//! wait for an action. So the poller hands over to another call before it takes its update.
//!
//! A call that follows many actions does other things between its steps. So it is the poller during a poll only, and
//! leaves the polling to a call that follows one action wherever there is one.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::followed::Followed;
use super::member::{Mail, Mailbox, Member, Update};
use super::poll::Target;
use super::round::Round;
use super::verdict::Verdict;
use super::watcher::{Change, Step};
use crate::account::Account;
use crate::call::Signal;
use crate::os::per_process::{PerProcess, shared};
use crate::service::action::MachineAction;
use crate::text::guid;

/// All calls of the process that wait under one identity.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    pub state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// In the order of their numbers, which is the order in which they joined.
    pub members: Vec<Member>,
    last_number: u64,
    /// The number of the call that polls for the group, now or next.
    pub poller: Option<u64>,
    last_list: Option<Instant>,
    /// When the first action is due, as long as that is known.
    pub first_due: Option<Instant>,
}

/// What a call that follows one action does next.
#[derive(Debug)]
pub(super) enum NextStep {
    /// Take this update. The next poll of the action is due at the given time.
    Take(Update, Instant),
    /// Poll all of these now, in a round.
    Poll(Vec<Target>),
    /// Sleep until then, or until woken.
    Sleep(Option<Instant>),
}

/// The groups, by the number of the token cache and the address of the service. The token cache stands for the
/// identity and the way to its authority.
type Groups = Vec<((usize, String), Weak<Waiters>)>;

static GROUPS: PerProcess<Mutex<Groups>> = PerProcess::new();

impl Waiters {
    /// The group of the calls that poll the same service under the same identity.
    pub(super) fn of(account: &Account) -> Arc<Waiters> {
        let key = (account.tokens.number(), account.api.as_str().to_owned());
        shared(&mut GROUPS.get().lock(), key, Arc::default)
    }

    /// Adds a call that follows one action. It leaves the group when the result is dropped.
    pub(super) fn join(
        self: &Arc<Waiters>,
        client: usize,
        action_id: &str,
        signal: &Arc<Signal>,
        interval: Duration,
        seen: Option<&MachineAction>,
    ) -> Waiter {
        let waiter = self.add(client, signal, interval, Mailbox::One(None));
        waiter.follow(0, guid::number(action_id).unwrap_or_default(), seen, Instant::now());
        waiter
    }

    /// Adds a call that follows many actions, none at first.
    pub(super) fn join_with_many(
        self: &Arc<Waiters>,
        client: usize,
        signal: &Arc<Signal>,
        interval: Duration,
    ) -> Waiter {
        self.add(client, signal, interval, Mailbox::Many(Mail::default()))
    }

    fn add(
        self: &Arc<Waiters>,
        client: usize,
        signal: &Arc<Signal>,
        interval: Duration,
        mailbox: Mailbox,
    ) -> Waiter {
        let mut state = self.state.lock();
        state.last_number += 1;
        let number = state.last_number;
        state.members.push(Member {
            number,
            client,
            signal: Arc::clone(signal),
            interval,
            followed: Vec::new(),
            mailbox,
            is_reporting: false,
        });
        Waiter { waiters: Arc::clone(self), number }
    }
}

/// The membership of one call in the group.
#[derive(Debug)]
pub(super) struct Waiter {
    pub waiters: Arc<Waiters>,
    pub number: u64,
}

impl Waiter {
    /// Follows an action under a key of the caller's choice. `action`: the number of its id. One that has ended is
    /// delivered at once.
    pub(super) fn follow(
        &self,
        key: u32,
        action: u128,
        seen: Option<&MachineAction>,
        now: Instant,
    ) {
        let state = &mut *self.waiters.state.lock();
        let Some(member) = state.member(self.number) else { return };
        if let (Mailbox::Many(mail), Some(seen)) = (&mut member.mailbox, seen) {
            let ended = match Verdict::of(seen) {
                Verdict::Waiting => None,
                Verdict::Succeeded => Some(Change::Succeeded(seen.clone())),
                Verdict::Failed(error) => Some(Change::Failed(error)),
            };
            if let Some(change) = ended {
                mail.changes.push((key, change));
                return;
            }
        }
        let one = Followed::new(key, action, seen, member.interval, now);
        let due = one.due;
        member.follow(one);
        if state.first_due().is_none_or(|first| due.is_some_and(|due| due <= first)) {
            state.first_due = due;
            state.wake_poller();
        }
    }

    /// Follows the action no longer.
    pub(super) fn unfollow(&self, key: u32) {
        let mut state = self.waiters.state.lock();
        let Some(member) = state.member(self.number) else { return };
        member.unfollow(key);
        let is_idle = member.followed.is_empty();
        state.first_due = None;
        if is_idle {
            state.hand_over(self.number, None);
        }
    }

    /// Decides what a call that follows one action does next. The first one that asks while there is no poller becomes
    /// the poller.
    pub(super) fn next_step(&self, now: Instant) -> NextStep {
        let mut state = self.waiters.state.lock();
        if let Some((update, due)) = state.member(self.number).and_then(Member::take_update) {
            state.hand_over(self.number, None);
            return NextStep::Take(update, due.unwrap_or(now));
        }
        if *state.poller.get_or_insert(self.number) != self.number {
            return NextStep::Sleep(None);
        }
        match state.next_poll() {
            next_poll if next_poll.is_some_and(|at| now < at) => NextStep::Sleep(next_poll),
            _ => NextStep::Poll(state.begin_poll(now)),
        }
    }

    /// What was delivered to a call that follows many actions.
    pub(super) fn take_step(&self) -> Option<Step> {
        let mut state = self.waiters.state.lock();
        let Mailbox::Many(mail) = &mut state.member(self.number)?.mailbox else { return None };
        mail.take_step()
    }

    /// What a call that follows many actions has to poll now. The error is when it has to ask again. `None`: when it is
    /// woken.
    pub(super) fn poll_now(&self, now: Instant) -> Result<Vec<Target>, Option<Instant>> {
        let mut state = self.waiters.state.lock();
        let next_poll = state.next_poll_of(self.number);
        if next_poll.is_none_or(|at| now < at) {
            return Err(next_poll);
        }
        state.poller = Some(self.number);
        Ok(state.begin_poll(now))
    }

    /// When a call that follows many actions has to ask again, if not when it is woken.
    pub(super) fn time_to_ask(&self) -> Option<Instant> {
        self.waiters.state.lock().next_poll_of(self.number)
    }

    /// Begins to deliver what a poll finds out.
    pub(super) fn round(&self) -> Round<'_> {
        Round::new(self)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut state = self.waiters.state.lock();
        if let Ok(at) = state.position(self.number) {
            state.members.remove(at);
        }
        state.first_due = None;
        state.hand_over(self.number, None);
    }
}

impl State {
    /// Makes another call the poller if `from` is it. A call that reports is passed over, and one of the client `except`
    /// is taken only if there is no other. Without a candidate, the next call that asks becomes the poller.
    ///
    /// A call that follows many actions is a candidate only after a poll that failed for its client alone: others would
    /// go on failing.
    pub(super) fn hand_over(&mut self, from: u64, except: Option<usize>) {
        if self.poller != Some(from) {
            return;
        }
        let mut candidates = self.members.iter().filter(|member| {
            let may_poll = match member.follows_many() {
                true => except.is_some_and(|it| it != member.client) && !member.followed.is_empty(),
                false => !member.is_reporting,
            };
            may_poll && member.number != from
        });
        let first = candidates.clone().next();
        let other = candidates.find(|member| Some(member.client) != except).or(first);
        self.poller = other.map(|member| member.number);
        match self.poller {
            Some(_) => self.wake_poller(),
            None => self.wake_those_with_many(from),
        }
    }

    /// Without a poller, a call that follows many actions has to find out when it may poll.
    fn wake_those_with_many(&self, except: u64) {
        for member in &self.members {
            if member.follows_many() && member.number != except {
                member.signal.wake();
            }
        }
    }

    fn begin_poll(&mut self, now: Instant) -> Vec<Target> {
        let targets: Vec<Target> = self
            .members
            .iter()
            .flat_map(|member| member.followed.iter().map(|one| Target::new(member, one, now)))
            .collect();
        if targets.len() > 1 {
            self.last_list = Some(now);
        }
        targets
    }

    /// When the next poll is due. Two lists are at least one interval apart, however many actions are added in between.
    fn next_poll(&mut self) -> Option<Instant> {
        let due = self.first_due()?;
        let mut followed = self.members.iter().flat_map(|member| &member.followed);
        if followed.nth(1).is_none() {
            return Some(due);
        }
        let interval = self.members.iter().map(|member| member.interval).min()?;
        Some(self.last_list.map_or(due, |last| due.max(last + interval)))
    }

    /// The same, unless another call is the poller.
    fn next_poll_of(&mut self, number: u64) -> Option<Instant> {
        match self.poller.is_none_or(|poller| poller == number) {
            true => self.next_poll(),
            false => None,
        }
    }

    fn first_due(&mut self) -> Option<Instant> {
        if self.first_due.is_none() {
            let followed = self.members.iter().flat_map(|member| &member.followed);
            self.first_due = followed.filter_map(|one| one.due).min();
        }
        self.first_due
    }

    fn wake_poller(&mut self) {
        if let Some(member) = self.poller.and_then(|poller| self.member(poller)) {
            member.signal.wake();
        }
    }

    pub(super) fn member(&mut self, number: u64) -> Option<&mut Member> {
        let at = self.position(number).ok()?;
        self.members.get_mut(at)
    }

    fn position(&self, number: u64) -> Result<usize, usize> {
        self.members.binary_search_by_key(&number, |member| member.number)
    }
}
