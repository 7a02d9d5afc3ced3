//! The group of all calls that wait under one identity, and which of them is the poller.
//!
//! The poller polls the actions of the whole group and delivers what it saw. Every waiter takes its own update and
//! reports it to its caller. That may call back into the host, for any length of time, and the callback may itself
//! wait for an action. So the poller hands over to another waiter before it takes its update.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use super::pace;
use super::poll::{Answer, Observation, Target, Update};
use crate::account::Account;
use crate::call::Signal;
use crate::os::per_process::{PerProcess, shared};
use crate::service::action::{ActionStatus, MachineAction};

/// All calls of the process that wait under one identity.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order of their numbers, which is the order in which they joined.
    entries: Vec<Entry>,
    last_number: u64,
    /// The number of the waiter that polls for the group, now or next.
    poller: Option<u64>,
    last_list: Option<Instant>,
}

/// What the group knows of one waiter.
#[derive(Debug)]
struct Entry {
    number: u64,
    /// The client that the call belongs to. A failure of one client's poll must not reach the calls of another.
    client: usize,
    /// In lower case.
    action_id: String,
    signal: Arc<Signal>,
    interval: Duration,
    /// When the action is to be polled next.
    due: Instant,
    /// Since when the action has been seen in its present state.
    state_since: Instant,
    state: Option<ActionStatus>,
    created: Option<SystemTime>,
    /// When the action was last read alone, because the list does not contain it.
    last_read: Option<Instant>,
    /// What was delivered and not taken yet.
    update: Option<Update>,
    /// The waiter reports its update, possibly to the host's callback, and so cannot poll.
    is_reporting: bool,
}

/// What a waiting call does next.
#[derive(Debug)]
pub(super) enum NextStep {
    /// Take this update. The next poll of the action is due at the given time.
    Take(Update, Instant),
    /// Poll all of these now, then deliver the observations.
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

    /// Adds a waiter, which leaves the group when it is dropped. An action that was not `seen` yet is due at once.
    pub(super) fn join<'a>(
        self: &'a Arc<Waiters>,
        client: usize,
        action_id: &str,
        signal: &Arc<Signal>,
        interval: Duration,
        seen: Option<&MachineAction>,
    ) -> Waiter<'a> {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.last_number += 1;
        let number = state.last_number;
        state.entries.push(Entry {
            number,
            client,
            action_id: action_id.to_ascii_lowercase(),
            signal: Arc::clone(signal),
            interval,
            due: if seen.is_some() { now + interval } else { now },
            state_since: now,
            state: seen.map(|action| action.status().clone()),
            created: seen.and_then(MachineAction::created_at),
            last_read: None,
            update: None,
            is_reporting: false,
        });
        state.wake_poller();
        Waiter { waiters: self, number }
    }
}

/// The membership of one call in the group.
#[derive(Debug)]
pub(super) struct Waiter<'a> {
    waiters: &'a Waiters,
    number: u64,
}

impl Waiter<'_> {
    /// Decides what the call does next. The first waiter that asks while there is no poller becomes the poller.
    pub(super) fn next_step(&self, now: Instant) -> NextStep {
        let mut state = self.waiters.state.lock();
        if let Some(entry) = state.entry(self.number) {
            entry.is_reporting = entry.update.is_some();
            if let Some(update) = entry.update.take() {
                let due = entry.due;
                state.hand_over(self.number, None);
                return NextStep::Take(update, due);
            }
        }
        if *state.poller.get_or_insert(self.number) != self.number {
            return NextStep::Sleep(None);
        }
        let next_poll = state.next_poll();
        if next_poll.is_some_and(|at| now < at) {
            return NextStep::Sleep(next_poll);
        }
        if state.entries.len() > 1 {
            state.last_list = Some(now);
        }
        let targets = state.entries.iter().map(|entry| Target {
            number: entry.number,
            action_id: entry.action_id.clone(),
            created: entry.created,
            is_due: entry.due <= now,
            last_read: entry.last_read,
        });
        NextStep::Poll(targets.collect())
    }

    /// Delivers the poller's observations to the waiters and wakes them.
    ///
    /// A failure is delivered only to calls of the poller's own client, since it may come from that client's settings.
    /// If it concerns other clients, one of these becomes the poller.
    pub(super) fn deliver(&self, observations: Vec<Observation>) {
        let now = Instant::now();
        let mut state = self.waiters.state.lock();
        let Some(client) = state.entry(self.number).map(|entry| entry.client) else { return };
        let mut has_failed_for_others = false;
        for Observation { number, answer, was_read } in observations {
            let Some(entry) = state.entry(number) else { continue };
            if was_read {
                entry.last_read = Some(now);
            }
            match answer {
                Answer::NotInTime => continue,
                Answer::Update(Update::Seen(action)) => entry.receive_action(action, now),
                Answer::Update(_) if entry.client != client => {
                    has_failed_for_others = true;
                    continue;
                }
                Answer::Update(failure) => entry.receive(failure, now),
            }
            if number != self.number {
                entry.signal.wake();
            }
        }
        if has_failed_for_others {
            state.hand_over(self.number, Some(client));
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut state = self.waiters.state.lock();
        if let Ok(at) = state.position(self.number) {
            state.entries.remove(at);
        }
        state.hand_over(self.number, None);
    }
}

impl State {
    /// Makes another waiter the poller if `from` is it. A waiter that reports is passed over, and one of the client
    /// `except` is taken only if there is no other. Without a candidate, the next waiter that asks becomes the poller.
    fn hand_over(&mut self, from: u64, except: Option<usize>) {
        if self.poller != Some(from) {
            return;
        }
        let mut candidates =
            self.entries.iter().filter(|entry| !entry.is_reporting && entry.number != from);
        let first = candidates.clone().next();
        let other = candidates.find(|entry| Some(entry.client) != except).or(first);
        self.poller = other.map(|entry| entry.number);
        self.wake_poller();
    }

    /// When the next poll is due. Two lists are at least one interval apart, however many waiters join in between.
    fn next_poll(&self) -> Option<Instant> {
        let due = self.entries.iter().map(|entry| entry.due).min()?;
        if self.entries.len() < 2 {
            return Some(due);
        }
        let interval = self.entries.iter().map(|entry| entry.interval).min()?;
        Some(self.last_list.map_or(due, |last| due.max(last + interval)))
    }

    fn wake_poller(&mut self) {
        if let Some(entry) = self.poller.and_then(|poller| self.entry(poller)) {
            entry.signal.wake();
        }
    }

    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let at = self.position(number).ok()?;
        self.entries.get_mut(at)
    }

    fn position(&self, number: u64) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&number, |entry| entry.number)
    }
}

impl Entry {
    fn receive_action(&mut self, action: MachineAction, now: Instant) {
        if self.state.as_ref() != Some(action.status()) {
            self.state = Some(action.status().clone());
            self.state_since = now;
        }
        self.created = action.created_at().or(self.created);
        self.receive(Update::Seen(action), now);
    }

    /// Keeps the update until the waiter takes it, and sets the time of the next poll.
    fn receive(&mut self, update: Update, now: Instant) {
        let age = now.saturating_duration_since(self.state_since);
        self.due = now + pace::pause(age, self.interval);
        // A final state lasts, so a later update does not replace it.
        let is_final = matches!(&self.update, Some(Update::Seen(last)) if last.status().is_final());
        if !is_final {
            self.update = Some(update);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    const INTERVAL: Duration = Duration::from_secs(15);

    fn action(status: &str) -> MachineAction {
        let json = format!(
            r#"{{"id":"5382f7ea-7557-4ab7-9782-d50480024a4e","status":"{status}","creationDateTimeUtc":"2026-01-24T22:17:02.36Z"}}"#
        );
        MachineAction::from_json(&json, &|_| {}).unwrap()
    }

    fn join<'a>(waiters: &'a Arc<Waiters>, id: &str) -> Waiter<'a> {
        waiters.join(1, id, &Arc::default(), INTERVAL, None)
    }

    fn observation(one: &Target, update: Update) -> Observation {
        Observation { number: one.number, answer: Answer::Update(update), was_read: false }
    }

    fn seen(targets: &[Target]) -> Vec<Observation> {
        targets.iter().map(|one| observation(one, Update::Seen(action("Pending")))).collect()
    }

    fn failed(targets: &[Target]) -> Vec<Observation> {
        let error = || Error::new(crate::status::Status::Broken, "lost");
        targets.iter().map(|one| observation(one, Update::Failed(error()))).collect()
    }

    fn ids(step: NextStep) -> Vec<String> {
        match step {
            NextStep::Poll(targets) => targets.into_iter().map(|one| one.action_id).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_read_that_was_late_comes_last_in_the_next_poll() {
        let waiters = Arc::new(Waiters::default());
        let (first, _second) = (join(&waiters, "A"), join(&waiters, "b"));
        let now = Instant::now();
        let NextStep::Poll(targets) = first.next_step(now) else { panic!() };
        let number = targets[0].number;
        first.deliver(vec![Observation { number, answer: Answer::NotInTime, was_read: true }]);
        let NextStep::Poll(again) = first.next_step(now + 2 * INTERVAL) else { panic!() };
        assert_eq!((again[0].last_read.is_some(), again[1].last_read), (true, None));
        assert!(again[0].is_due, "the action is still waited for");
    }

    #[test]
    fn one_poller_polls_for_all_and_hands_over() {
        let waiters = Arc::new(Waiters::default());
        let (first, second) = (join(&waiters, "A"), join(&waiters, "b"));
        let now = Instant::now();
        let NextStep::Poll(targets) = first.next_step(now) else { panic!() };
        assert_eq!(targets.len(), 2);
        assert!(matches!(second.next_step(now), NextStep::Sleep(None)));
        first.deliver(seen(&targets));
        // The poller hands over before it takes its update.
        assert!(matches!(first.next_step(now), NextStep::Take(Update::Seen(_), _)));
        assert!(matches!(second.next_step(now), NextStep::Take(Update::Seen(_), _)));
        assert!(matches!(second.next_step(now), NextStep::Sleep(Some(_))));
        assert!(matches!(first.next_step(now), NextStep::Sleep(None)));
        drop(second);
        assert!(matches!(first.next_step(now), NextStep::Sleep(Some(_))));
        assert_eq!(ids(first.next_step(now + 2 * INTERVAL)), ["a"]);
    }

    #[test]
    fn a_new_waiter_waits_for_the_next_list() {
        let waiters = Arc::new(Waiters::default());
        let (first, _second) = (join(&waiters, "a"), join(&waiters, "b"));
        let now = Instant::now();
        assert!(matches!(first.next_step(now), NextStep::Poll(_)));
        let _third = join(&waiters, "c");
        first.deliver(Vec::new());
        assert!(
            matches!(first.next_step(now + INTERVAL / 2), NextStep::Sleep(Some(at)) if at == now + INTERVAL)
        );
        assert_eq!(ids(first.next_step(now + INTERVAL)), ["a", "b", "c"]);
    }

    #[test]
    fn a_failed_poll_is_not_repeated_at_once() {
        let waiters = Arc::new(Waiters::default());
        let only = join(&waiters, "a");
        let NextStep::Poll(targets) = only.next_step(Instant::now()) else { panic!() };
        only.deliver(failed(&targets));
        assert!(matches!(only.next_step(Instant::now()), NextStep::Take(Update::Failed(_), _)));
        assert!(matches!(only.next_step(Instant::now()), NextStep::Sleep(Some(_))));
    }

    #[test]
    fn a_failed_poll_reaches_only_the_pollers_client() {
        let waiters = Arc::new(Waiters::default());
        let first = join(&waiters, "a");
        let same = join(&waiters, "b");
        let other = waiters.join(2, "c", &Arc::default(), INTERVAL, None);
        let now = Instant::now();
        let NextStep::Poll(targets) = first.next_step(now) else { panic!() };
        first.deliver(failed(&targets));
        for waiter in [&first, &same] {
            assert!(matches!(waiter.next_step(now), NextStep::Take(Update::Failed(_), _)));
        }
        // A call of the other client is the poller now, and polls soon.
        assert!(matches!(other.next_step(now), NextStep::Sleep(Some(at)) if at <= now + INTERVAL));
        assert_eq!(ids(other.next_step(now + INTERVAL)), ["a", "b", "c"]);
    }

    #[test]
    fn a_failure_does_not_replace_a_final_state() {
        let waiters = Arc::new(Waiters::default());
        let (first, second) = (join(&waiters, "a"), join(&waiters, "b"));
        let now = Instant::now();
        let NextStep::Poll(targets) = first.next_step(now) else { panic!() };
        let end = |one: &Target| observation(one, Update::Seen(action("Succeeded")));
        first.deliver(targets.iter().map(end).collect());
        first.deliver(failed(&targets));
        assert!(matches!(second.next_step(now), NextStep::Take(Update::Seen(_), _)));
    }

    #[test]
    fn a_poller_that_leaves_during_its_poll_is_replaced() {
        let waiters = Arc::new(Waiters::default());
        let (first, second) = (join(&waiters, "a"), join(&waiters, "b"));
        let now = Instant::now();
        assert!(matches!(first.next_step(now), NextStep::Poll(_)));
        drop(first);
        assert_eq!(ids(second.next_step(now + INTERVAL)), ["b"]);
        drop(second);
        assert!(waiters.state.lock().entries.is_empty());
        assert_eq!(waiters.state.lock().poller, None);
    }
}
