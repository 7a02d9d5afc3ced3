//! Who waits for which action under one identity, and who of them looks for all.
//!
//! Whoever takes in update passes the looking on first: what the host does in its callback, and for how long, is
//! nobody else's concern, and the callback itself may wait for an action.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use super::pace;
use crate::account::Account;
use crate::call::Signal;
use crate::error::Error;
use crate::os::per_process::{PerProcess, shared};
use crate::service::action::{ActionStatus, MachineAction};

/// All waits of the process under one identity.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order of their numbers, which is that of their coming.
    places: Vec<Entry>,
    last_number: u64,
    /// Who looks next, or is looking.
    poller: Option<u64>,
    last_list: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    /// Whose call it is. What keeps one client from looking may not keep others from it.
    client: usize,
    action_id: String,
    signal: Arc<Signal>,
    interval: Duration,
    /// When it wants to be looked at.
    due: Instant,
    /// Since when the action has been in its state, for all that was seen.
    since: Instant,
    state: Option<ActionStatus>,
    created: Option<SystemTime>,
    /// When it was last read alone, because the list does not show it.
    read: Option<Instant>,
    update: Option<Update>,
    /// It takes in its update, which may call back into the host and last: it cannot look meanwhile.
    is_occupied: bool,
}

/// An action that somebody waits for.
#[derive(Debug)]
pub(super) struct Target {
    pub number: u64,
    pub action_id: String,
    pub created: Option<SystemTime>,
    /// Whether it is time to look at this one, and not only at others.
    pub is_due: bool,
    pub read: Option<Instant>,
}

/// What a look has shown of one of them.
#[derive(Debug)]
pub(super) struct Observation {
    pub number: u64,
    /// `None`: it was not answered in time.
    pub update: Option<Update>,
    /// The list did not show it.
    pub was_read: bool,
}

/// What a look at an action has shown.
#[derive(Debug)]
pub(super) enum Update {
    Seen(MachineAction),
    /// The service does not know it.
    Missing(Error),
    Failed(Error),
}

/// What a waiting call does next.
#[derive(Debug)]
pub(super) enum NextStep {
    /// Take this in; the next look is due then.
    Update(Update, Instant),
    /// Poll at all of these, now.
    Poll(Vec<Target>),
    /// Until then, or until woken.
    Sleep(Option<Instant>),
}

/// By token cache, which stands for the identity and the way to the authority, and address of the service.
type Groups = Vec<((usize, String), Weak<Waiters>)>;

static GROUPS: PerProcess<Mutex<Groups>> = PerProcess::new();

impl Waiters {
    /// The waiters of those who ask the same service as the same identity.
    pub(super) fn of(account: &Account) -> Arc<Waiters> {
        let key = (account.tokens.number(), account.api.as_str().to_owned());
        shared(&mut GROUPS.get().lock(), key, Arc::default)
    }

    /// Takes a place, which ends with the result. What nobody has seen yet is looked at soon.
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
        state.places.push(Entry {
            number,
            client,
            action_id: action_id.to_ascii_lowercase(),
            signal: Arc::clone(signal),
            interval,
            due: if seen.is_some() { now + interval } else { now },
            since: now,
            state: seen.map(|action| action.status().clone()),
            created: seen.and_then(MachineAction::created_at),
            read: None,
            update: None,
            is_occupied: false,
        });
        state.wake_poller();
        Waiter { waiters: self, number }
    }
}

/// A call's place on the waiters.
#[derive(Debug)]
pub(super) struct Waiter<'a> {
    waiters: &'a Waiters,
    number: u64,
}

impl Waiter<'_> {
    pub(super) fn turn(&self, now: Instant) -> NextStep {
        let mut state = self.waiters.state.lock();
        if let Some(entry) = state.place(self.number) {
            entry.is_occupied = entry.update.is_some();
            if let Some(update) = entry.update.take() {
                let due = entry.due;
                state.pass_on(self.number, None);
                return NextStep::Update(update, due);
            }
        }
        if *state.poller.get_or_insert(self.number) != self.number {
            return NextStep::Sleep(None);
        }
        let due = state.due();
        if due.is_some_and(|due| now < due) {
            return NextStep::Sleep(due);
        }
        if state.places.len() > 1 {
            state.last_list = Some(now);
        }
        let targets = state.places.iter().map(|entry| Target {
            number: entry.number,
            action_id: entry.action_id.clone(),
            created: entry.created,
            is_due: entry.due <= now,
            read: entry.read,
        });
        NextStep::Poll(targets.collect())
    }

    /// Gives everybody what was seen of theirs. That nothing was seen is for the clients alone whose look it was.
    pub(super) fn looked(&self, seen: Vec<Observation>) {
        let now = Instant::now();
        let mut state = self.waiters.state.lock();
        let Some(client) = state.place(self.number).map(|entry| entry.client) else { return };
        let mut in_vain = false;
        for Observation { number, update, was_read } in seen {
            let Some(entry) = state.place(number) else { continue };
            if was_read {
                entry.read = Some(now);
            }
            let Some(update) = update else { continue };
            match &update {
                Update::Seen(action) => {
                    if entry.state.as_ref() != Some(action.status()) {
                        entry.state = Some(action.status().clone());
                        entry.since = now;
                    }
                    entry.created = action.created_at().or(entry.created);
                }
                Update::Missing(_) | Update::Failed(_) if entry.client != client => {
                    in_vain = true;
                    continue;
                }
                Update::Missing(_) | Update::Failed(_) => {}
            }
            entry.postpone(now);
            // What has ended has ended, whatever was seen since.
            let keeps =
                matches!(&entry.update, Some(Update::Seen(last)) if last.status().is_final());
            if !keeps {
                entry.update = Some(update);
            }
            if number != self.number {
                entry.signal.wake();
            }
        }
        if in_vain {
            state.pass_on(self.number, Some(client));
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut state = self.waiters.state.lock();
        if let Ok(at) = state.position(self.number) {
            state.places.remove(at);
        }
        state.pass_on(self.number, None);
    }
}

impl State {
    /// Has somebody else look from now on, who is free to: if that can be, not the client `but`. When nobody is,
    /// whoever comes first does.
    fn pass_on(&mut self, from: u64, but: Option<usize>) {
        if self.poller != Some(from) {
            return;
        }
        let free = || self.places.iter().filter(|entry| !entry.is_occupied && entry.number != from);
        let other = free().find(|entry| Some(entry.client) != but).or_else(|| free().next());
        self.poller = other.map(|entry| entry.number);
        self.wake_poller();
    }

    /// When the next look is due. Who joins shortly after a list waits for the next one, so that there is at
    /// most one per interval however they come.
    fn due(&self) -> Option<Instant> {
        let due = self.places.iter().map(|entry| entry.due).min()?;
        if self.places.len() < 2 {
            return Some(due);
        }
        let interval = self.places.iter().map(|entry| entry.interval).min()?;
        Some(self.last_list.map_or(due, |last| due.max(last + interval)))
    }

    fn wake_poller(&mut self) {
        if let Some(entry) = self.poller.and_then(|poller| self.place(poller)) {
            entry.signal.wake();
        }
    }

    fn place(&mut self, number: u64) -> Option<&mut Entry> {
        let at = self.position(number).ok()?;
        self.places.get_mut(at)
    }

    fn position(&self, number: u64) -> Result<usize, usize> {
        self.places.binary_search_by_key(&number, |entry| entry.number)
    }
}

impl Entry {
    fn postpone(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.since);
        self.due = now + pace::pause(age, self.interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(15);

    fn action(id: &str, status: &str) -> MachineAction {
        let json = format!(
            r#"{{"id":"{id}","status":"{status}","creationDateTimeUtc":"2026-01-24T22:17:02.36Z"}}"#
        );
        MachineAction::from_json(&json).unwrap()
    }

    fn place<'a>(waiters: &'a Arc<Waiters>, id: &str) -> Waiter<'a> {
        waiters.join(1, id, &Arc::default(), INTERVAL, None)
    }

    fn observation(one: &Target, update: Update) -> Observation {
        Observation { number: one.number, update: Some(update), was_read: false }
    }

    fn seen(targets: &[Target]) -> Vec<Observation> {
        targets.iter().map(|one| observation(one, Update::Seen(action("x", "Pending")))).collect()
    }

    fn failed(targets: &[Target]) -> Vec<Observation> {
        let error = || Error::new(crate::status::Status::Broken, "lost");
        targets.iter().map(|one| observation(one, Update::Failed(error()))).collect()
    }

    fn ids(turn: NextStep) -> Vec<String> {
        match turn {
            NextStep::Poll(targets) => targets.into_iter().map(|one| one.action_id).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_not_answered_in_time_comes_last_at_the_next_look() {
        let waiters = Arc::new(Waiters::default());
        let (first, _second) = (place(&waiters, "A"), place(&waiters, "b"));
        let now = Instant::now();
        let NextStep::Poll(targets) = first.turn(now) else { panic!() };
        first.looked(vec![Observation { number: targets[0].number, update: None, was_read: true }]);
        let NextStep::Poll(again) = first.turn(now + 2 * INTERVAL) else { panic!() };
        assert_eq!((again[0].read.is_some(), again[1].read), (true, None));
        assert!(again[0].is_due, "it is still waited for");
    }

    #[test]
    fn one_looks_for_all_and_passes_it_on() {
        let waiters = Arc::new(Waiters::default());
        let (first, second) = (place(&waiters, "A"), place(&waiters, "b"));
        let now = Instant::now();
        let NextStep::Poll(targets) = first.turn(now) else { panic!() };
        assert_eq!(targets.len(), 2);
        assert!(matches!(second.turn(now), NextStep::Sleep(None)));
        first.looked(seen(&targets));
        // Who takes in update passes the looking on.
        assert!(matches!(first.turn(now), NextStep::Update(Update::Seen(_), _)));
        assert!(matches!(second.turn(now), NextStep::Update(Update::Seen(_), _)));
        assert!(matches!(second.turn(now), NextStep::Sleep(Some(_))));
        assert!(matches!(first.turn(now), NextStep::Sleep(None)));
        drop(second);
        assert!(matches!(first.turn(now), NextStep::Sleep(Some(_))));
        assert_eq!(ids(first.turn(now + 2 * INTERVAL)), ["a"]);
    }

    #[test]
    fn newcomers_wait_for_the_next_list() {
        let waiters = Arc::new(Waiters::default());
        let (first, _second) = (place(&waiters, "a"), place(&waiters, "b"));
        let now = Instant::now();
        assert!(matches!(first.turn(now), NextStep::Poll(_)));
        let _third = place(&waiters, "c");
        first.looked(Vec::new());
        assert!(
            matches!(first.turn(now + INTERVAL / 2), NextStep::Sleep(Some(at)) if at == now + INTERVAL)
        );
        assert_eq!(ids(first.turn(now + INTERVAL)), ["a", "b", "c"]);
    }

    #[test]
    fn a_look_that_failed_is_not_repeated_at_once() {
        let waiters = Arc::new(Waiters::default());
        let only = place(&waiters, "a");
        let NextStep::Poll(targets) = only.turn(Instant::now()) else { panic!() };
        only.looked(failed(&targets));
        assert!(matches!(only.turn(Instant::now()), NextStep::Update(Update::Failed(_), _)));
        assert!(matches!(only.turn(Instant::now()), NextStep::Sleep(Some(_))));
    }

    #[test]
    fn one_clients_trouble_is_its_own() {
        let waiters = Arc::new(Waiters::default());
        let first = place(&waiters, "a");
        let same = place(&waiters, "b");
        let other = waiters.join(2, "c", &Arc::default(), INTERVAL, None);
        let now = Instant::now();
        let NextStep::Poll(targets) = first.turn(now) else { panic!() };
        first.looked(failed(&targets));
        for place in [&first, &same] {
            assert!(matches!(place.turn(now), NextStep::Update(Update::Failed(_), _)));
        }
        // The other client looks for itself, and soon.
        assert!(matches!(other.turn(now), NextStep::Sleep(Some(at)) if at <= now + INTERVAL));
        assert_eq!(ids(other.turn(now + INTERVAL)), ["a", "b", "c"]);
    }

    #[test]
    fn an_end_that_was_seen_is_not_forgotten_for_a_failure() {
        let waiters = Arc::new(Waiters::default());
        let (first, second) = (place(&waiters, "a"), place(&waiters, "b"));
        let now = Instant::now();
        let NextStep::Poll(targets) = first.turn(now) else { panic!() };
        let end = |one: &Target| observation(one, Update::Seen(action("x", "Succeeded")));
        first.looked(targets.iter().map(end).collect());
        first.looked(failed(&targets));
        assert!(matches!(second.turn(now), NextStep::Update(Update::Seen(_), _)));
    }

    #[test]
    fn a_looker_who_leaves_in_the_middle_leaves_nobody_stuck() {
        let waiters = Arc::new(Waiters::default());
        let (first, second) = (place(&waiters, "a"), place(&waiters, "b"));
        let now = Instant::now();
        assert!(matches!(first.turn(now), NextStep::Poll(_)));
        drop(first);
        assert_eq!(ids(second.turn(now + INTERVAL)), ["b"]);
        drop(second);
        assert!(waiters.state.lock().places.is_empty());
        assert_eq!(waiters.state.lock().poller, None);
    }
}
