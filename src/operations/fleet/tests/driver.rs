//! A model of the driver: it does what the engine says, in virtual time.

use std::time::Duration;

use super::super::engine::{Engine, Key, Now, Request, Step, read};
use super::super::entry::State;
use super::checks::Checks;
use super::disk::SharedDisk;
use super::downloads::Download;
use super::service::{Answer, Endpoint, action_at, device_at, wall};
use super::watcher::{self, Change, Watcher};
use super::world::{End, Reply, World};
use crate::error::Error;
use crate::quota::clock::Time;
use crate::quota::window::Admission;
use crate::service::action::MachineAction;
use crate::status::Status;

/// A step takes two requests at most, and waits for nothing else. The longest that a reply takes is half a minute.
const LONGEST_STEP: Duration = Duration::from_secs(62);

/// More steps than that without any time passing are a loop.
const MOST_STEPS: u32 = 1_000;

pub(super) struct Driver<'w, 'e, 'o> {
    world: &'w mut World,
    engine: &'w mut Engine<'o, SharedDisk>,
    checks: &'e mut Checks,
    watcher: Watcher,
    has_slot: bool,
    began: Duration,
}

/// Runs one call until every device has its outcome.
pub(super) fn run(
    world: &mut World,
    engine: &mut Engine<'_, SharedDisk>,
    checks: &mut Checks,
) -> Result<(), End> {
    let began = world.now;
    let watcher = Watcher::default();
    let mut driver = Driver { world, engine, checks, watcher, has_slot: false, began };
    let ended = driver.follow_all().and_then(|()| driver.run());
    if matches!(ended, Err(End::Crash)) {
        return ended;
    }
    driver.release_slot();
    driver.take_downloads().and(driver.stop_downloads()).and(ended)
}

impl Driver<'_, '_, '_> {
    fn run(&mut self) -> Result<(), End> {
        let (mut steps, mut since) = (0, self.world.now);
        loop {
            steps = if self.world.now > since { 0 } else { steps + 1 };
            since = self.world.now;
            assert!(steps < MOST_STEPS, "it runs in a circle");
            self.check_stop()?;
            self.take_downloads()?;
            let poll_at = self.poll()?;
            let now = self.now();
            if let Some(error) = self.engine.lasting_trouble() {
                self.checks.is_in_an_outage(self.world, &error);
                return Err(End::Failed);
            }
            let slot_at = self.take_slot(now)?;
            let step = self.engine.next(now, self.has_slot);
            let longest = self.world.now + LONGEST_STEP;
            match self.written(step)? {
                Step::Download(key) => self.download(key)?,
                Step::Search { request, or_running } => self.search(&request, or_running)?,
                Step::Collect { request, searches } => self.collect(&request, searches)?,
                Step::Over => return Ok(()),
                Step::Wait(until) => {
                    self.release_slot();
                    if !self.world.ended.is_empty() {
                        continue;
                    }
                    let until = until.map(|until| self.began + until);
                    let download = self.world.next_event();
                    let next = [until, poll_at, slot_at, download].into_iter().flatten().min();
                    let stop = self.world.stop_at;
                    let next = next.unwrap_or_else(|| {
                        panic!("it waits for nothing: {:?}", self.engine.counts)
                    });
                    self.world.advance_until_woken(stop.map_or(next, |stop| stop.min(next)))?;
                    continue;
                }
            }
            assert!(self.world.now <= longest, "a step holds up the others");
        }
    }

    fn now(&self) -> Now {
        Now { passed: self.world.now - self.began, wall: wall(self.world.now) }
    }

    fn check_stop(&self) -> Result<(), End> {
        match self.world.stop_at {
            Some(at) if at <= self.world.now => Err(End::Stopped),
            _ => Ok(()),
        }
    }

    fn written<T>(&self, result: std::io::Result<T>) -> Result<T, End> {
        self.world.written(result)
    }

    fn follow_all(&mut self) -> Result<(), End> {
        let keys: Vec<Key> = self.engine.followed().collect();
        for key in keys {
            let action = self.action(key)?;
            self.watcher.add(self.world, key, action, false);
        }
        Ok(())
    }

    fn action(&self, key: Key) -> Result<usize, End> {
        let text = self.written(self.engine.text(key))?;
        let entry = read(&text).unwrap();
        let action = MachineAction::from_json(entry.action.unwrap().get(), &|_| {}).unwrap();
        Ok(action_at(action.id()))
    }

    fn take_slot(&mut self, now: Now) -> Result<Option<Duration>, End> {
        if self.has_slot || !self.engine.wants_slot(now) {
            return Ok(None);
        }
        let at = self.world.now;
        match self.world.quota(Endpoint::Collect).admission(at) {
            Admission::Now => {
                self.world.quota(Endpoint::Collect).begin();
                self.has_slot = true;
                Ok(None)
            }
            Admission::At(at) => Ok(Some(at.since(Time::default()))),
            Admission::AfterReply => Ok(None),
        }
    }

    fn release_slot(&mut self) {
        if std::mem::take(&mut self.has_slot) {
            self.world.quota(Endpoint::Collect).undo();
        }
    }

    fn poll(&mut self) -> Result<Option<Duration>, End> {
        loop {
            match self.watcher.step(self.world)? {
                watcher::Step::Idle(at) => return Ok(at),
                watcher::Step::Failed(error) => {
                    let now = self.now();
                    self.world.log(format_args!("poll: {}", error.status().name()));
                    if let Err(error) = self.engine.poll_failed(now, &error) {
                        assert_eq!(error.status(), Status::BadRequest);
                        self.checks.refused_polls += 1;
                        return Err(End::Failed);
                    }
                }
                watcher::Step::Changes(changes) => {
                    self.engine.went_well();
                    for (key, change) in changes {
                        // A change may come once more.
                        for _ in 0..1 + u8::from(self.world.is_unlucky()) {
                            self.take(key, &change)?;
                        }
                        self.note(key);
                    }
                }
            }
        }
    }

    fn take(&mut self, key: Key, change: &Change) -> Result<(), End> {
        let written = match change {
            Change::Seen(action) => {
                self.world.log(format_args!("{key} is {}", action.status().name()));
                self.engine.seen(key, action)
            }
            Change::Failed(error) => {
                self.world.log(format_args!("{key}: {}", error.status().name()));
                self.engine.lost(key, error)
            }
        };
        self.written(written)
    }

    /// Notes the devices that are ready, in their order.
    fn note(&mut self, key: Key) {
        if self.engine.state(key) == Some(State::Ready) {
            self.checks.is_ready(key);
        }
    }

    fn search(&mut self, request: &Request, or_running: bool) -> Result<(), End> {
        self.world.log(format_args!("search for {}", request.key));
        self.checks.searches += 1;
        if !self.found(request, or_running)? {
            let now = self.now();
            self.engine.not_found(request.key, now);
        }
        Ok(())
    }

    fn collect(&mut self, request: &Request, searches: bool) -> Result<(), End> {
        let device = device_at(&request.machine_id);
        let open = if request.is_open { ", open" } else { "" };
        self.world.log(format_args!("ask {device}{open}"));
        self.checks.is_asked(device);
        if searches {
            self.checks.late_slots += 1;
            if self.found(request, false)? {
                self.release_slot();
                return Ok(());
            }
        }
        if request.is_open {
            self.checks.may_be_sent_again(device, self.world.now);
        }
        self.checks.is_sent(device, request.is_open);
        assert!(std::mem::take(&mut self.has_slot), "a request without a slot");
        let comment = request.asked.comments().next().unwrap().clone();
        let act = |world: &mut World| {
            let now = world.now;
            world.service.collect(device, &comment, now, &mut world.random)
        };
        let reply = self.world.exchange(Endpoint::Collect, Some((device, &comment)), act);
        let is_lost = matches!(reply, Err(_) | Ok(Reply::Lost(_)));
        self.checks.was_sent(device, is_lost, self.world.now);
        let reply = reply?;
        self.world.log(format_args!("{}", reply.shown()));
        let now = self.now();
        match reply {
            Reply::Whole(Answer::Action(action)) => {
                let is_ours = self.world.service.actions[action].comment == comment;
                self.collected(request, action, !is_ours)
            }
            Reply::Whole(Answer::AlreadyRunning) => {
                let written = self.engine.meets_running(request, now);
                self.written(written)
            }
            Reply::Whole(Answer::Refused(status)) => {
                if status == Status::UnsupportedDevice {
                    self.checks.settled(device);
                }
                self.refused(request, &Error::new(status, "refused"))
            }
            Reply::NotSent(error) => self.refused(request, &error),
            Reply::Lost(error) => {
                self.checks.unsettled += 1;
                let written = self.engine.unsettled(request, now, &error);
                self.written(written)
            }
        }
    }

    /// Takes in what one list shows. `false`: the request may be sent.
    fn found(&mut self, request: &Request, or_running: bool) -> Result<bool, End> {
        let device = device_at(&request.machine_id);
        match self.poll_device(device, request, or_running)? {
            Ok(Some(action)) => self.collected(request, action, true)?,
            Ok(None) if request.is_open => return Ok(false),
            Ok(None) => {
                let error = Error::new(Status::AlreadyRunning, "not shown").retryable(true);
                self.refused(request, &error)?;
            }
            Err(error) => {
                self.world.log(format_args!("no search: {}", error.status().name()));
                let now = self.now();
                let written = self.engine.not_searched(request, now, &error);
                self.written(written)?;
            }
        }
        Ok(true)
    }

    fn poll_device(
        &mut self,
        device: usize,
        request: &Request,
        or_running: bool,
    ) -> Result<Result<Option<usize>, Error>, End> {
        const TOLERANCE: Duration = Duration::from_secs(5);
        // It does not wait for a slot.
        let now = self.world.now;
        let wait = match self.world.quota(Endpoint::List).admission(now) {
            Admission::Now => None,
            Admission::At(at) => Some(at.since(Time::default()).saturating_sub(now)),
            Admission::AfterReply => Some(Duration::ZERO),
        };
        if wait.is_some() {
            return Ok(Err(Error::new(Status::RateLimited, "no room").after(wait)));
        }
        self.world.quota(Endpoint::List).begin();
        let comments: Vec<&String> = request.asked.comments().collect();
        let since = request.asked.began() - TOLERANCE;
        let reply = self.world.exchange(Endpoint::List, None, |world| {
            let listed = world.service.list(device, world.now);
            let all = &world.service.actions;
            let is_ours = |at: &usize| {
                comments.contains(&&all[*at].comment) && wall(all[*at].created) >= since
            };
            let is_running = |at: &usize| or_running && all[*at].ends > world.now;
            let ours = listed.iter().copied().filter(|_| request.is_open).find(is_ours);
            ours.or_else(|| listed.iter().copied().find(is_running))
        })?;
        if let Reply::Whole(None) = reply {
            self.checks.listed(device, now);
        }
        Ok(match reply {
            Reply::Whole(found) => Ok(found),
            Reply::Lost(error) | Reply::NotSent(error) => Err(error),
        })
    }

    fn collected(&mut self, request: &Request, action: usize, adopted: bool) -> Result<(), End> {
        let key = request.key;
        self.checks.settled(device_at(&request.machine_id));
        let record = self.world.service.action(action, self.world.now);
        let date = Some(wall(self.world.now)).filter(|_| !adopted);
        let written = self.engine.collected(request, &record, adopted, date);
        self.written(written)?;
        if matches!(self.engine.state(key), Some(State::Waiting | State::Running)) {
            self.watcher.add(self.world, key, action, true);
        }
        self.checks.adopted += u32::from(adopted);
        self.note(key);
        Ok(())
    }

    fn refused(&mut self, request: &Request, error: &Error) -> Result<(), End> {
        self.world.log(format_args!("{}: refused: {}", request.key, error.status().name()));
        let now = self.now();
        let written = self.engine.refused(request, now, error);
        self.written(written)
    }

    fn download(&mut self, key: Key) -> Result<(), End> {
        let action = self.action(key)?;
        self.world.log(format_args!("download of {key}"));
        self.checks.is_downloaded(key);
        let now = self.world.now;
        let most = self.world.plan.downloads_at_once;
        self.world.downloads.push(Download::new(key, action, now));
        assert!(self.world.downloads.len() <= most, "a download has no place");
        Ok(())
    }

    fn take_downloads(&mut self) -> Result<(), End> {
        for (key, result) in std::mem::take(&mut self.world.ended) {
            let now = self.now();
            let written = match result {
                Ok(package) => self.engine.downloaded(key, &package),
                Err(error) => self.engine.not_downloaded(key, now, &error),
            };
            self.written(written)?;
        }
        Ok(())
    }

    fn stop_downloads(&mut self) -> Result<(), End> {
        let stop = Error::new(Status::Cancelled, "the call ends");
        for key in self.world.stop_downloads() {
            let now = self.now();
            let written = self.engine.not_downloaded(key, now, &stop);
            self.written(written)?;
        }
        Ok(())
    }
}
