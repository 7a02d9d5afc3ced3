//! A model of the service: its quotas, its collections, and their packages.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use crate::quota::clock::Time;
use crate::quota::window::{Admission, Log, Window};
use crate::service::action::{COLLECTION, MachineAction};
use crate::status::Status;

/// The quotas that a job spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Collect,
    List,
    Link,
}

/// One quota, as the service counts it and as the clients on this host do.
#[derive(Debug)]
pub(super) struct Quota {
    pub windows: Vec<Window>,
    /// The file that all processes share.
    log: Log,
    in_flight: usize,
    counted: VecDeque<Duration>,
}

impl Quota {
    pub(super) fn new(windows: Vec<Window>) -> Quota {
        Quota { windows, log: Log::default(), in_flight: 0, counted: VecDeque::new() }
    }

    /// When the next request may go out.
    pub(super) fn admission(&self, now: Duration) -> Admission {
        self.log.admission(&self.windows, time(now))
    }

    pub(super) fn begin(&mut self) {
        self.log.begin(&self.windows);
        self.in_flight += 1;
    }

    pub(super) fn end(&mut self, now: Duration) {
        self.log.end(time(now));
        self.in_flight -= 1;
    }

    pub(super) fn undo(&mut self) {
        self.log.undo();
        self.in_flight -= 1;
    }

    pub(super) fn abandon(&mut self, now: Duration) {
        self.log.abandon(time(now), &self.windows);
        self.in_flight -= 1;
    }

    /// The process has ended. The leases of its slots run out.
    pub(super) fn crash(&mut self, now: Duration) {
        while self.in_flight > 0 {
            self.abandon(now);
        }
    }

    /// The service counts a request.
    pub(super) fn count(&mut self, now: Duration) {
        // The service's clock may be slower by a thousandth.
        let reach = |window: &Window| window.length + window.length / 1_010;
        let longest = self.windows.iter().map(reach).max().unwrap();
        while self.counted.front().is_some_and(|at| *at + longest < now) {
            self.counted.pop_front();
        }
        self.counted.push_back(now);
        for window in &self.windows {
            let within = self.counted.iter().rev().take_while(|at| **at + reach(window) >= now);
            assert!(within.count() <= window.limit as usize, "the service refuses a request: 429");
        }
    }

    /// The least time for as many requests.
    pub(super) fn least(&self, requests: usize) -> Duration {
        let mut sent: Vec<Duration> = Vec::new();
        for at in 0..requests {
            let after = |window: &Window| {
                let earlier = at.checked_sub(window.limit as usize)?;
                Some(sent[earlier] + window.length)
            };
            sent.push(self.windows.iter().filter_map(after).max().unwrap_or_default());
        }
        sent.last().copied().unwrap_or_default()
    }
}

fn time(since: Duration) -> Time {
    Time::default().plus(since)
}

/// The wall clock of the service and of the host.
pub(super) fn wall(now: Duration) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + now
}

/// What becomes of a collection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    pub pending: Duration,
    pub runs: Duration,
    pub end: &'static str,
    pub package: Package,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Package {
    Good,
    /// The check refuses it.
    Unsafe,
    /// The service has no link to it.
    Gone,
}

/// A device at the service.
#[derive(Debug)]
pub(super) struct Device {
    pub id: String,
    /// Why the service starts no collection, for as many requests.
    pub refusal: Option<(Status, u32)>,
    /// Before this time the device is offline.
    pub online_at: Duration,
    /// Of its collections, one after the other.
    pub fates: Vec<Fate>,
    /// Another product's collection, which runs when the first request comes.
    pub other: Option<Fate>,
    /// Our collections so far.
    pub started: u32,
    /// The most that the job may start so far.
    pub allowed: u32,
}

/// A collection.
#[derive(Debug)]
pub(super) struct Action {
    pub device: usize,
    pub comment: String,
    pub created: Duration,
    begins: Duration,
    pub ends: Duration,
    /// When the list shows it.
    shown: Duration,
    pub fate: Fate,
}

impl Action {
    pub(super) fn status(&self, now: Duration) -> &'static str {
        match () {
            () if now >= self.ends => self.fate.end,
            () if now >= self.begins => "InProgress",
            () => "Pending",
        }
    }
}

/// The reply to a request for a collection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Action(usize),
    AlreadyRunning,
    Refused(Status),
}

#[derive(Debug)]
pub(super) struct Service {
    pub devices: Vec<Device>,
    pub actions: Vec<Action>,
    /// The list lags by as much at most.
    pub lag: Duration,
}

impl Service {
    /// Carries out a request for a collection.
    pub(super) fn collect(
        &mut self,
        at: usize,
        comment: &str,
        now: Duration,
        random: &mut fastrand::Rng,
    ) -> Answer {
        let device = &mut self.devices[at];
        if let Some((status, times)) = &mut device.refusal {
            if *times > 0 {
                *times -= 1;
                return Answer::Refused(*status);
            }
        }
        if let Some(fate) = device.other.take() {
            self.start(at, "another product", fate, now, Duration::ZERO);
        }
        let running =
            self.actions.iter().position(|action| action.device == at && now < action.ends);
        if let Some(running) = running {
            return match random.bool() {
                true => Answer::Action(running),
                false => Answer::AlreadyRunning,
            };
        }
        let device = &mut self.devices[at];
        let fate = *device.fates.get(device.started as usize).or(device.fates.last()).unwrap();
        device.started += 1;
        assert!(device.started <= device.allowed, "a second collection on device {at}");
        let lag = self.lag.mul_f64(random.f64());
        Answer::Action(self.start(at, comment, fate, now, lag))
    }

    fn start(
        &mut self,
        at: usize,
        comment: &str,
        fate: Fate,
        now: Duration,
        lag: Duration,
    ) -> usize {
        let begins = (now + fate.pending).max(self.devices[at].online_at);
        // The service gives up a device that does not begin.
        let ends = if fate.end == "TimeOut" { now + fate.pending } else { begins + fate.runs };
        self.actions.push(Action {
            device: at,
            comment: comment.to_owned(),
            created: now,
            begins,
            ends,
            shown: now + lag,
            fate,
        });
        self.actions.len() - 1
    }

    /// The collections of a device in the list, the newest first.
    pub(super) fn list(&self, device: usize, now: Duration) -> Vec<usize> {
        let all = (0..self.actions.len()).rev();
        all.filter(|at| self.actions[*at].device == device && self.is_listed(*at, now)).collect()
    }

    pub(super) fn is_listed(&self, action: usize, now: Duration) -> bool {
        self.actions[action].shown <= now
    }

    /// An action as replies have it.
    pub(super) fn action(&self, at: usize, now: Duration) -> MachineAction {
        let action = &self.actions[at];
        let json = format!(
            "{{\"id\":\"{}\",\"type\":\"{COLLECTION}\",\"status\":\"{}\",\"machineId\":\"{}\",\
             \"requestorComment\":\"{}\",\"creationDateTimeUtc\":\"{}\"}}",
            action_id(at),
            action.status(now),
            self.devices[action.device].id,
            action.comment,
            humantime::format_rfc3339_millis(wall(action.created)),
        );
        MachineAction::from_json(&json, &|_| {}).unwrap()
    }
}

/// The id of an action, by its position.
pub(super) fn action_id(at: usize) -> String {
    format!("5382f7ea-7557-4ab7-9782-{at:012x}")
}

/// The position of an action, by its id.
pub(super) fn action_at(id: &str) -> usize {
    usize::from_str_radix(id.rsplit('-').next().unwrap(), 16).unwrap()
}

/// The position of a device, by its id.
pub(super) fn device_at(id: &str) -> usize {
    usize::from_str_radix(id, 16).unwrap()
}
