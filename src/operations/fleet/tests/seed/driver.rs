//! Does what the engine says, as the library's driver does: it asks, polls, and starts downloads.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::super::super::engine::{Engine, Key, Now, Request, Step, read};
use super::super::super::entry::State;
use super::super::followed::{Followed, INTERVAL};
use super::super::service::{Answer, action_at, device_at, wall};
use super::Defect;
use super::download;
use super::journal_disk::JournalDisk;
use super::process::{DOWNLOADS, End, Ended, Process, written};
use super::world::{Ask, Told, World};
use crate::call::{Call, Cancel};
use crate::error::Error;
use crate::quota::clock::Time;
use crate::quota::limiter::Permit;
use crate::quota::snapshot::Refusal;
use crate::quota::turn::{self, Turn};
use crate::service::action::MachineAction;
use crate::service::quota::Quota;
use crate::status::Status;

struct Driver<'a, 'o> {
    world: &'a Rc<World>,
    process: &'a Rc<Process>,
    call: &'a Arc<Call>,
    engine: &'a mut Engine<'o, JournalDisk>,
    disk: &'a JournalDisk,
    followed: BTreeMap<Key, Followed>,
    downloads: Ended,
    stop_downloads: Cancel,
    turn: Option<Turn<'a, 'a>>,
    permit: Option<Permit<'a>>,
    began: Duration,
    stop_at: Option<Duration>,
}

/// Runs one call until every device has its outcome.
pub(super) async fn run(
    world: &Rc<World>,
    process: &Rc<Process>,
    call: &Arc<Call>,
    engine: &mut Engine<'_, JournalDisk>,
    disk: &JournalDisk,
) -> Result<(), End> {
    let began = world.now();
    let stops = !world.is_calm() && world.one_in(5);
    let mut driver = Driver {
        world,
        process,
        call,
        engine,
        disk,
        followed: BTreeMap::new(),
        downloads: Ended::default(),
        stop_downloads: Cancel::new(None),
        turn: None,
        permit: None,
        began,
        stop_at: stops.then(|| began + world.seconds(0..600)),
    };
    driver.follow_all()?;
    let ended = driver.run().await;
    if ended == Err(End::Crash) {
        return ended;
    }
    driver.release_slot();
    // The downloads end with the call. Those that have just ended are not downloaded again.
    world.time.end(process.id | DOWNLOADS);
    driver.take_downloads()?;
    let keys = 0..u32::try_from(driver.engine.devices.len()).unwrap();
    let stop = Error::new(Status::Cancelled, "the call ends");
    for key in keys {
        if driver.engine.devices[key as usize].is_downloading {
            let now = driver.now();
            let taken = driver.engine.not_downloaded(key, now, &stop);
            driver.written(taken)?;
        }
    }
    ended
}

impl<'a> Driver<'a, '_> {
    async fn run(&mut self) -> Result<(), End> {
        loop {
            let wakes = self.call.signal().wakes();
            self.check()?;
            self.take_downloads()?;
            let poll_at = self.poll().await?;
            let now = self.now();
            if self.engine.lasting_trouble().is_some() {
                return Err(End::Failed);
            }
            let slot_at = self.take_slot(now);
            match self.next(now)? {
                Step::Download(key) => self.download(key)?,
                Step::Search { request, or_running } => {
                    self.world.log(format_args!("search for {}", request.key));
                    if !self.found(&request, or_running).await? {
                        let now = self.now();
                        self.engine.not_found(request.key, now);
                    }
                    self.release_slot();
                }
                Step::Collect { request, searches } => {
                    self.collect(&request, searches).await?;
                    self.written(self.disk.release())?;
                    self.release_slot();
                }
                Step::Over => return Ok(()),
                Step::Wait(until) => {
                    self.release_slot();
                    let until = until.map(|until| self.began + until);
                    let times = [until, poll_at, slot_at, self.stop_at];
                    let next = times.into_iter().flatten().min();
                    self.world.time.wait(next, Some((self.call.signal(), wakes))).await;
                }
            }
        }
    }

    fn check(&self) -> Result<(), End> {
        self.written(Ok(()))?;
        match self.stop_at {
            Some(at) if at <= self.world.now() => Err(End::Stopped),
            _ => Ok(()),
        }
    }

    fn now(&self) -> Now {
        let now = self.world.now();
        Now { passed: now - self.began, wall: wall(now) }
    }

    fn written<T>(&self, result: std::io::Result<T>) -> Result<T, End> {
        written(self.process, result)
    }

    fn next(&mut self, now: Now) -> Result<Step, End> {
        let is_late = self.world.defect == Some(Defect::JournalAfterTheRequest);
        if is_late && self.permit.is_some() {
            self.disk.hold();
        }
        let step = self.engine.next(now, self.permit.is_some());
        let step = self.written(step)?;
        if !matches!(step, Step::Collect { .. }) {
            self.written(self.disk.release())?;
        }
        Ok(step)
    }

    fn follow_all(&mut self) -> Result<(), End> {
        let keys: Vec<Key> = self.engine.followed().collect();
        for key in keys {
            let action = self.action(key)?;
            self.follow(key, action, None);
        }
        Ok(())
    }

    fn follow(&mut self, key: Key, action: usize, state: Option<&'static str>) {
        self.followed.insert(key, Followed::new(action, state, self.world.now()));
    }

    fn action(&self, key: Key) -> Result<usize, End> {
        let text = self.written(self.engine.text(key))?;
        let entry = read(&text).unwrap();
        let action = MachineAction::from_json(entry.action.unwrap().get(), &|_| {}).unwrap();
        Ok(action_at(action.id()))
    }

    /// Takes a slot for the next collection. Returns when to ask again.
    fn take_slot(&mut self, now: Now) -> Option<Duration> {
        if !self.engine.wants_slot(now) {
            self.turn = None;
            return None;
        }
        let (process, rank) = (self.process, self.call.rank());
        let turn = match &mut self.turn {
            Some(turn) => turn,
            none => none.insert(Turn::new(&process.limiter, Quota::Collect, &process.rules, rank)),
        };
        match turn.step(self.call, true).unwrap() {
            turn::Step::Ready(permit) => {
                (self.turn, self.permit) = (None, Some(permit));
                None
            }
            turn::Step::Wait { next, .. } => {
                self.world.tally(|tally| &mut tally.waits_for_quota);
                next.recheck_at.map(|at| at.since(Time::default()))
            }
        }
    }

    fn release_slot(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.not_sent();
        }
    }

    /// A slot of the quota of lists, for which nothing waits. The error is when there may be one.
    fn list_slot(&self) -> Result<Permit<'a>, Option<Duration>> {
        let Process { limiter, rules, .. } = &**self.process;
        match limiter.acquire(Quota::List, rules, self.call, false) {
            Ok(permit) => Ok(permit),
            Err(Refusal::NoRoom(wait)) => Err(wait),
            Err(other) => panic!("{other:?}"),
        }
    }

    /// Polls all collections, if that is due. Returns when to ask again.
    async fn poll(&mut self) -> Result<Option<Duration>, End> {
        let Some(due) = self.followed.values().map(|one| one.due).min() else { return Ok(None) };
        let now = self.world.now();
        if due > now {
            return Ok(Some(due));
        }
        let permit = match self.list_slot() {
            Ok(permit) => permit,
            Err(wait) => return Ok(Some(now + wait.unwrap_or(INTERVAL))),
        };
        let told = self.world.exchange(&self.process.steps, permit, Ask::Poll).await;
        let now = self.world.now();
        match told {
            Ok(Told::Poll(at)) => {
                self.engine.went_well();
                self.take_poll(at)?;
            }
            Ok(told) => panic!("{told:?}"),
            Err(error) => {
                let wall = self.now();
                self.engine.poll_failed(wall, &error.retryable(true)).unwrap();
                self.followed.values_mut().for_each(|one| one.put_off(now));
            }
        }
        Ok(Some(now + Duration::from_millis(1)))
    }

    /// Takes in what a list says that was made at this time.
    fn take_poll(&mut self, at: Duration) -> Result<(), End> {
        let now = self.world.now();
        let mut changes = Vec::new();
        for (key, one) in &mut self.followed {
            let service = self.world.service.borrow();
            let state = service.actions[one.action].status(at);
            if !service.is_listed(one.action, at) || one.state == Some(state) {
                one.unchanged(now);
                continue;
            }
            one.changed(state, now);
            changes.push((*key, service.action(one.action, at)));
        }
        for (key, action) in changes {
            self.world.log(format_args!("{key} is {}", action.status().name()));
            let seen = self.engine.seen(key, &action);
            self.written(seen)?;
            if !matches!(self.engine.state(key), Some(State::Waiting | State::Running)) {
                self.followed.remove(&key);
            }
        }
        Ok(())
    }

    async fn collect(&mut self, request: &Request, searches: bool) -> Result<(), End> {
        let device = device_at(&request.machine_id);
        let open = if request.is_open { ", open" } else { "" };
        self.world.log(format_args!("process {}: ask {device}{open}", self.process.number));
        if searches && self.found(request, false).await? {
            return Ok(());
        }
        let comment = request.asked.comments().next().unwrap().clone();
        let ask = Ask::Collect { device, comment: comment.clone() };
        let permit = self.permit.take().unwrap();
        let told = self.world.exchange(&self.process.steps, permit, ask).await;
        self.written(self.disk.release())?;
        let now = self.now();
        match told {
            Ok(Told::Collect(Answer::Action(action))) => {
                let adopted = self.world.service.borrow().actions[action].comment != comment;
                self.collected(request, action, adopted)
            }
            Ok(Told::Collect(Answer::AlreadyRunning)) => {
                let taken = self.engine.meets_running(request, now);
                self.written(taken)
            }
            Ok(told) => panic!("{told:?}"),
            Err(error) => {
                let taken = self.engine.unsettled(request, now, &error);
                self.written(taken)
            }
        }
    }

    /// Takes in what one list shows. `false`: the request may be sent.
    async fn found(&mut self, request: &Request, or_running: bool) -> Result<bool, End> {
        self.world.tally(|tally| &mut tally.searches);
        let permit = match self.list_slot() {
            Ok(permit) => permit,
            Err(wait) => {
                let error = Error::new(Status::RateLimited, "no room").after(wait);
                self.not_searched(request, &error)?;
                return Ok(true);
            }
        };
        let ask = Ask::Search {
            device: device_at(&request.machine_id),
            comments: request.asked.comments().cloned().collect(),
            since: request.is_open.then(|| World::since_start(request.asked.began())),
            or_running,
        };
        match self.world.exchange(&self.process.steps, permit, ask).await {
            Ok(Told::Search(Some(action))) => self.collected(request, action, true)?,
            Ok(Told::Search(None)) if request.is_open => return Ok(false),
            Ok(Told::Search(None)) => {
                let error = Error::new(Status::AlreadyRunning, "not shown").retryable(true);
                let now = self.now();
                let taken = self.engine.refused(request, now, &error);
                self.written(taken)?;
            }
            Ok(told) => panic!("{told:?}"),
            Err(error) => self.not_searched(request, &error)?,
        }
        Ok(true)
    }

    fn not_searched(&mut self, request: &Request, error: &Error) -> Result<(), End> {
        let now = self.now();
        let taken = self.engine.not_searched(request, now, error);
        self.written(taken)
    }

    fn collected(&mut self, request: &Request, action: usize, adopted: bool) -> Result<(), End> {
        self.world.tally.borrow_mut().adopted += u32::from(adopted);
        let now = self.world.now();
        let record = self.world.service.borrow().action(action, now);
        let date = Some(wall(now)).filter(|_| !adopted);
        let taken = self.engine.collected(request, &record, adopted, date);
        self.written(taken)?;
        if matches!(self.engine.state(request.key), Some(State::Waiting | State::Running)) {
            let state = self.world.service.borrow().actions[action].status(now);
            self.follow(request.key, action, Some(state));
        }
        Ok(())
    }

    fn download(&mut self, key: Key) -> Result<(), End> {
        let action = self.action(key)?;
        let device = self.world.service.borrow().actions[action].device;
        self.world.log(format_args!("process {}: download of {key}", self.process.number));
        let (world, process) = (Rc::clone(self.world), Rc::clone(self.process));
        let (ended, call) = (Rc::clone(&self.downloads), Arc::clone(self.call));
        let own = self.call.beside(&self.stop_downloads);
        self.world.time.spawn(Some(process.id | DOWNLOADS), async move {
            let result = download::run(&world, &process, &own, device, action).await;
            if process.steps.is_gone() {
                world.tally(|tally| &mut tally.ends_in_a_step);
                return super::process::kill(&world, &process);
            }
            let shown = result.as_ref().map_or_else(|error| error.status().name(), |_| "done");
            world.log(format_args!("download of {key} ends: {shown}"));
            ended.borrow_mut().push((key, result));
            call.signal().wake();
        });
        Ok(())
    }

    fn take_downloads(&mut self) -> Result<(), End> {
        for (key, result) in self.downloads.take() {
            let now = self.now();
            let taken = match result {
                Ok(package) => self.engine.downloaded(key, &package),
                Err(error) => self.engine.not_downloaded(key, now, &error),
            };
            self.written(taken)?;
        }
        Ok(())
    }
}
