//! Many calls that come, wait, report, fail and leave at random. Each learns of every end, once and in time.
//!
//! All is drawn from a seed, so a failure names the seed that repeats it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::INTERVAL;
use crate::call::Signal;
use crate::error::{Error, Result};
use crate::operations::wait::member::Update;
use crate::operations::wait::poll::{Service, Target, poll};
use crate::operations::wait::waiters::{NextStep, Waiter, Waiters};
use crate::operations::wait::watcher::{Change, Step};
use crate::service::action::MachineAction;
use crate::service::action_list::{self, OnListed, PageEnd};
use crate::status::Status;
use crate::text::guid;

const SEEDS: u64 = 400;

/// The longest delay of a call with many actions that has other things to do.
const LATE_S: u64 = 20;

/// An end is noticed within the longest pause, two intervals between lists, two late calls, and some polls.
const NOTICED_WITHIN: Duration = Duration::from_secs(60 + 2 * 15 + 2 * LATE_S + 30);

const SECOND: Duration = Duration::from_secs(1);

/// One action, with times since the start.
struct Action {
    number: u128,
    created: Duration,
    begins: Duration,
    ends: Duration,
    end: &'static str,
    /// When it can be read, and when it is in the list.
    appears: Duration,
    listed: Option<Duration>,
}

impl Action {
    fn status(&self, at: Duration) -> &'static str {
        match at {
            at if at < self.begins => "Pending",
            at if at < self.ends => "InProgress",
            _ => self.end,
        }
    }
}

struct World {
    start: (Instant, SystemTime),
    now: Duration,
    actions: Vec<Action>,
    /// When the requests of client 1 fail.
    fails: (Duration, Duration),
    random: RefCell<fastrand::Rng>,
}

impl World {
    fn record(&self, action: &Action) -> String {
        let created = humantime::format_rfc3339_millis(self.start.1 + action.created);
        let (id, status) = (guid::text(action.number), action.status(self.now));
        format!(r#"{{"id":"{id}","status":"{status}","creationDateTimeUtc":"{created}"}}"#)
    }

    fn instant(&self) -> Instant {
        self.start.0 + self.now
    }
}

/// The service as one call reaches it.
struct Reached<'a> {
    world: &'a World,
    client: usize,
    follows_many: bool,
}

impl Reached<'_> {
    fn travel(&self) -> Result<()> {
        let (from, to) = self.world.fails;
        if self.client == 1 && (from..to).contains(&self.world.now) {
            return Err(super::broken());
        }
        match self.follows_many && self.world.random.borrow_mut().u8(..) < 20 {
            true => Err(Error::new(Status::RateLimited, "full")),
            false => Ok(()),
        }
    }
}

impl Service for Reached<'_> {
    fn read(&self, action_id: &str) -> Update {
        if let Err(error) = self.travel() {
            return Update::Failed(error);
        }
        let number = guid::number(action_id);
        let action = self.world.actions.iter().find(|one| Some(one.number) == number).unwrap();
        match self.world.now < action.appears {
            true => Update::Missing(Error::new(Status::NotFound, "not there yet")),
            false => {
                let record = self.world.record(action);
                Update::Seen(MachineAction::from_json(&record, &|_| {}).unwrap())
            }
        }
    }

    fn read_soon(&self, action_id: &str) -> Option<Update> {
        match self.read(action_id) {
            Update::Failed(error) if error.status() == Status::RateLimited => None,
            update => Some(update),
        }
    }

    fn page(&self, filter: &str, _: usize, on_listed: OnListed<'_>) -> Result<PageEnd> {
        self.travel()?;
        let since = humantime::parse_rfc3339(filter.rsplit(' ').next().unwrap()).unwrap();
        let listed = self.world.actions.iter().filter(|one| {
            one.listed.is_some_and(|listed| listed <= self.world.now)
                && self.world.start.1 + one.created >= since
        });
        let records: Vec<String> = listed.map(|one| self.world.record(one)).collect();
        let body = format!(r#"{{"value":[{}]}}"#, records.join(","));
        action_list::each(body.as_bytes(), 10_000, &|_| {}, on_listed)
            .map_err(|problem| Error::new(Status::Protocol, problem))
    }

    fn is_stopped(&self) -> bool {
        false
    }

    fn now(&self) -> Instant {
        self.world.instant()
    }
}

/// What a call does at present.
enum Doing {
    Sleeps(Option<Duration>),
    Polls(Vec<Target>, Duration),
    Reports(Duration),
}

/// One call. It follows actions by their index in the world, which is its key for them.
struct Caller {
    client: usize,
    follows_many: bool,
    signal: Arc<Signal>,
    waiter: Option<Waiter>,
    doing: Doing,
    leaves: Option<Duration>,
    /// When the call begins to follow its actions.
    adds: BTreeMap<usize, Duration>,
    known: BTreeMap<usize, Known>,
}

/// What a call knows of an action.
struct Known {
    since: Duration,
    states: Vec<String>,
    ended: Option<Duration>,
}

impl Known {
    fn see(&mut self, action: &MachineAction, now: Duration) {
        self.states.push(action.status().name().to_owned());
        self.ended = action.status().is_final().then_some(now);
    }
}

impl Caller {
    fn new(world: &World, random: &mut fastrand::Rng) -> Caller {
        let follows_many = random.bool();
        let most = if follows_many { 15 } else { 1 };
        let keys = random.choose_multiple(0..world.actions.len(), most);
        let adds = keys.into_iter().map(|at| {
            let late = SECOND * random.u64(..60) as u32;
            (at, world.actions[at].created + late)
        });
        let adds = adds.collect();
        Caller {
            client: random.usize(1..3),
            follows_many,
            signal: Arc::default(),
            waiter: None,
            doing: Doing::Sleeps(None),
            leaves: (random.u8(..4) == 0).then(|| SECOND * random.u64(..900) as u32),
            adds,
            known: BTreeMap::new(),
        }
    }

    /// Follows the actions whose time has come.
    fn add(&mut self, world: &World, waiters: &Arc<Waiters>) {
        let due: Vec<usize> =
            self.adds.iter().filter(|(_, at)| **at <= world.now).map(|(key, _)| *key).collect();
        for at in due {
            self.adds.remove(&at);
            let number = world.actions[at].number;
            let known = Known { since: world.now, states: Vec::new(), ended: None };
            let known = self.known.entry(at).or_insert(known);
            if !self.follows_many {
                let id = guid::text(number);
                self.waiter = Some(waiters.join(self.client, &id, &self.signal, INTERVAL, None));
                continue;
            }
            let join = || waiters.join_with_many(self.client, &self.signal, INTERVAL);
            let waiter = self.waiter.get_or_insert_with(join);
            // Every other one as just started.
            let record = world.record(&world.actions[at]);
            let action = MachineAction::from_json(&record, &|_| {}).unwrap();
            let seen = Some(&action).filter(|_| at % 2 == 0);
            if let Some(action) = seen.filter(|action| !action.status().is_final()) {
                known.see(action, world.now);
            }
            waiter.follow(at as u32, number, seen, world.instant());
        }
    }

    /// Takes the update of the only action. The call leaves at the end, and if it has seen nothing before a failure.
    fn take(&mut self, update: Update, now: Duration) {
        let known = self.known.values_mut().next().unwrap();
        let stays = match update {
            Update::Seen(action) => {
                if known.states.last().map(String::as_str) != Some(action.status().name()) {
                    known.see(&action, now);
                }
                known.ended.is_none()
            }
            Update::Missing(_) => true,
            Update::Failed(_) => !known.states.is_empty(),
        };
        if !stays {
            self.waiter = None;
            self.leaves = Some(now);
        }
    }

    fn change(&mut self, key: u32, change: Change, now: Duration) {
        let known = self.known.get_mut(&(key as usize)).unwrap();
        assert_eq!(known.ended, None, "nothing comes after the end");
        match change {
            Change::Waiting(action) | Change::Succeeded(action) => known.see(&action, now),
            Change::Failed(error) => {
                let action = error.last_seen().unwrap();
                known.see(&MachineAction::from_json(action, &|_| {}).unwrap(), now);
            }
        }
    }
}

struct Simulation {
    seed: u64,
    world: World,
    waiters: Arc<Waiters>,
    callers: Vec<Caller>,
    random: fastrand::Rng,
    last_list: Option<Duration>,
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut seconds = |range: std::ops::Range<u64>| SECOND * random.u64(range) as u32;
        let actions = (0..20)
            .map(|n| {
                let created = seconds(0..300);
                let appears = created + seconds(0..40);
                let begins = created + seconds(0..400);
                let listed = (n % 7 > 0).then(|| appears + seconds(0..30));
                let ends = begins + seconds(0..900);
                let end = ["Succeeded", "Failed", "TimeOut"][n % 3];
                Action { number: n as u128 + 1, created, begins, ends, end, appears, listed }
            })
            .collect();
        let fails = match seconds(0..2).is_zero() {
            true => (Duration::ZERO, Duration::ZERO),
            false => (seconds(200..400), seconds(400..700)),
        };
        let world = World {
            start: (Instant::now(), SystemTime::now()),
            now: Duration::ZERO,
            actions,
            fails,
            random: RefCell::new(random.fork()),
        };
        let callers = (0..random.usize(1..7)).map(|_| Caller::new(&world, &mut random)).collect();
        let waiters = Arc::default();
        Simulation { seed, world, waiters, callers, random, last_list: None }
    }

    fn run(mut self) {
        for _ in 0..100_000 {
            let Some((at, who)) = self.next_event() else { return self.check() };
            self.world.now = at.max(self.world.now);
            self.act(who);
        }
        panic!("seed {}: it does not end", self.seed);
    }

    /// When a call does something next, and which one. Calls that do something at the same time come in any order.
    fn next_event(&mut self) -> Option<(Duration, usize)> {
        let now = self.world.now;
        let first = self.random.usize(..self.callers.len());
        let mut next = None;
        for n in 0..self.callers.len() {
            let who = (first + n) % self.callers.len();
            let late = SECOND * self.random.u64(..LATE_S) as u32;
            let caller = &mut self.callers[who];
            if let Doing::Sleeps(until) = &mut caller.doing {
                if caller.waiter.is_some() && caller.signal.take_wake() {
                    let at = if caller.follows_many { now + late } else { now };
                    *until = Some(until.map_or(at, |until| until.min(at)));
                }
            }
            let acts = match (&caller.waiter, &caller.doing) {
                (None, _) => None,
                (_, Doing::Sleeps(until)) => *until,
                (_, Doing::Polls(_, until) | Doing::Reports(until)) => Some(*until),
            };
            let leaves = caller.leaves.filter(|_| caller.waiter.is_some());
            let adds = caller.adds.values().min().copied();
            let at = [acts, leaves, adds].into_iter().flatten().min();
            next =
                [next, at.map(|at| (at.max(now), who))].into_iter().flatten().min_by_key(|it| it.0);
        }
        next
    }

    fn act(&mut self, who: usize) {
        let (now, instant) = (self.world.now, self.world.instant());
        let late = SECOND * self.random.u64(..LATE_S) as u32;
        let caller = &mut self.callers[who];
        if caller.leaves.is_some_and(|at| at <= now) {
            caller.waiter = None;
            caller.adds.clear();
            return;
        }
        // A call that polls or reports does nothing else.
        let is_busy =
            matches!(&caller.doing, Doing::Polls(_, until) | Doing::Reports(until) if *until > now);
        if is_busy {
            caller.adds.values_mut().for_each(|at| *at = (*at).max(now + SECOND));
            return;
        }
        caller.add(&self.world, &self.waiters);
        let Some(waiter) = &caller.waiter else { return };
        let doing = std::mem::replace(&mut caller.doing, Doing::Sleeps(None));
        if let Doing::Polls(targets, _) = doing {
            let (client, follows_many) = (caller.client, caller.follows_many);
            poll(&Reached { world: &self.world, client, follows_many }, waiter.round(), targets);
        }
        let mut changed = Vec::new();
        while let Some(step) = waiter.take_step() {
            if let Step::Changes(changes) = step {
                changed.extend(changes);
            }
        }
        let since = |until: Instant| until.saturating_duration_since(self.world.start.0);
        let next = match caller.follows_many {
            true => waiter.poll_now(instant).map_err(|until| until.map(|it| since(it) + late)),
            false => match waiter.next_step(instant) {
                NextStep::Poll(targets) => Ok(targets),
                NextStep::Sleep(until) => Err(until.map(since)),
                NextStep::Take(update, _) => {
                    let reports = if late < 5 * SECOND { 2 * late } else { Duration::ZERO };
                    caller.doing = Doing::Reports(now + reports);
                    return caller.take(update, now);
                }
            },
        };
        changed.into_iter().for_each(|(key, change)| caller.change(key, change, now));
        caller.doing = match next {
            Err(until) => Doing::Sleeps(until),
            Ok(targets) => {
                if targets.len() > 1 {
                    let gap = self.last_list.map_or(INTERVAL, |last| now - last);
                    assert!(gap >= INTERVAL, "seed {}: lists {gap:?} apart", self.seed);
                    self.last_list = Some(now);
                }
                Doing::Polls(targets, now + late.min(3 * SECOND))
            }
        };
    }

    /// Nothing happens any more, so every call that stayed knows all its ends.
    fn check(&self) {
        let seed = self.seed;
        for caller in &self.callers {
            let has_left = caller.leaves.is_some_and(|at| at <= self.world.now);
            for (at, Known { since, states, ended }) in &caller.known {
                let action = &self.world.actions[*at];
                assert!(
                    ended.is_some() || has_left,
                    "seed {seed}: the end of {at} was never noticed, many: {}",
                    caller.follows_many
                );
                let order = ["Pending", "InProgress", action.end];
                let places = states.iter().map(|it| order.iter().position(|one| one == it));
                let places: Vec<_> = places.map(Option::unwrap).collect();
                assert!(places.is_sorted_by(|a, b| a < b), "seed {seed}: {states:?}");
                let (from, to) = self.world.fails;
                let bound = match caller.client {
                    1 => NOTICED_WITHIN + to.saturating_sub(from),
                    // Client 1 may be asked in between, in vain.
                    _ => 2 * NOTICED_WITHIN,
                };
                let since = action.ends.max(*since).max(action.appears);
                let late = ended.map_or(Duration::ZERO, |it| it.saturating_sub(since));
                assert!(late <= bound, "seed {seed}: the end of {at} was noticed {late:?} late");
                assert!(ended.is_none_or(|it| it >= action.ends), "seed {seed}: too early");
            }
        }
        assert!(self.waiters.state.lock().members.iter().all(|member| member.followed.is_empty()));
    }
}

#[test]
fn every_end_is_noticed_once_and_in_time() {
    for seed in 0..SEEDS {
        Simulation::new(seed).run();
    }
}
