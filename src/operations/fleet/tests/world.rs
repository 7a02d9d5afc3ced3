//! Virtual time: requests, crashes, and what goes on beside the driver.

use std::fmt::{Arguments, Write};
use std::time::Duration;

use super::super::engine::Key;
use super::disk::SharedDisk;
use super::downloads::Download;
use super::plan::{Plan, seconds};
use super::service::{Endpoint, Quota, Service};
use crate::error::Error;
use crate::status::Status;

/// How a call ends, if not with every device.
#[derive(Debug)]
pub(super) enum End {
    /// The process has ended.
    Crash,
    /// The journal could not be written.
    File,
    /// The caller has stopped the call.
    Stopped,
    Failed,
}

/// What came of a request.
#[derive(Debug)]
pub(super) enum Reply<T> {
    Whole(T),
    /// No whole reply arrived, or a 5xx did.
    Lost(Error),
    NotSent(Error),
}

impl<T: std::fmt::Debug> Reply<T> {
    pub(super) fn shown(&self) -> String {
        match self {
            Reply::Whole(reply) => format!("{reply:?}"),
            Reply::Lost(error) => format!("lost: {}", error.status().name()),
            Reply::NotSent(error) => format!("not sent: {}", error.status().name()),
        }
    }
}

/// A request that the service gets after its sender gave it up.
#[derive(Debug)]
struct Late {
    at: Duration,
    endpoint: Endpoint,
    /// The device and the comment of a collection.
    collect: Option<(usize, String)>,
}

/// Everything but the job.
pub(super) struct World {
    pub now: Duration,
    pub random: fastrand::Rng,
    pub plan: Plan,
    pub service: Service,
    quotas: [Quota; 3],
    pub disk: SharedDisk,
    pub downloads: Vec<Download>,
    /// The downloads that have ended since the driver asked.
    pub ended: Vec<(Key, Result<String, Error>)>,
    /// The actions whose packages are in the folder.
    pub files: Vec<usize>,
    late: Vec<Late>,
    /// The process ends at this time.
    pub crash_at: Option<Duration>,
    /// The caller stops the call at this time.
    pub stop_at: Option<Duration>,
    pub trace: String,
}

impl World {
    pub(super) fn new(mut plan: Plan, random: fastrand::Rng, disk: SharedDisk) -> World {
        let devices = std::mem::take(&mut plan.devices);
        World {
            now: Duration::ZERO,
            random,
            service: Service { devices, actions: Vec::new(), lag: plan.lag },
            quotas: plan.windows.clone().map(Quota::new),
            plan,
            disk,
            downloads: Vec::new(),
            ended: Vec::new(),
            files: Vec::new(),
            late: Vec::new(),
            crash_at: None,
            stop_at: None,
            trace: String::new(),
        }
    }

    pub(super) fn log(&mut self, event: Arguments<'_>) {
        writeln!(self.trace, "{:>9} {event}", self.now.as_millis()).unwrap();
    }

    pub(super) fn quota(&mut self, endpoint: Endpoint) -> &mut Quota {
        &mut self.quotas[endpoint as usize]
    }

    /// What becomes of the call if the journal fails.
    pub(super) fn written<T>(&self, result: std::io::Result<T>) -> Result<T, End> {
        let disk = self.disk.0.borrow();
        match result {
            // The end of the process may look as a compaction that failed, which is no error.
            _ if disk.is_gone => Err(End::Crash),
            Err(error) => {
                assert!(disk.has_failed, "{error}");
                Err(End::File)
            }
            Ok(value) => Ok(value),
        }
    }

    /// Whether something unlikely happens now.
    pub(super) fn is_unlucky(&mut self) -> bool {
        let fails = self.random.u32(..1_000) < self.plan.faults;
        fails && self.now < self.plan.calm_after
    }

    /// The failure of every request now.
    pub(super) fn outage(&self) -> Option<Error> {
        let is_now = |from, to| from <= self.now && self.now < to;
        let outage = self.plan.outages.iter().find(|outage| is_now(outage.from, outage.to))?;
        Some(Error::new(outage.status, "an outage"))
    }

    /// Lets time pass, unless the process ends before.
    pub(super) fn advance(&mut self, to: Duration) -> Result<(), End> {
        self.pass(to, false)
    }

    /// Lets time pass until a download has ended.
    pub(super) fn advance_until_woken(&mut self, to: Duration) -> Result<(), End> {
        self.pass(to, true)
    }

    fn pass(&mut self, to: Duration, is_woken: bool) -> Result<(), End> {
        loop {
            if is_woken && !self.ended.is_empty() {
                return Ok(());
            }
            let late = self.late.iter().map(|late| late.at).min();
            let download = self.downloads.iter().filter_map(|download| download.at).min();
            let next = [late, download].into_iter().flatten().min().filter(|at| *at <= to);
            let until = next.unwrap_or(to).max(self.now);
            if self.crash_at.is_some_and(|at| at <= until) {
                self.now = self.now.max(self.crash_at.take().unwrap());
                self.disk.0.borrow_mut().is_gone = true;
                self.log(format_args!("crash"));
                return Err(End::Crash);
            }
            self.now = until;
            match next {
                None => return Ok(()),
                Some(at) if late == Some(at) => self.arrive_late(at),
                Some(at) => {
                    let first = self.downloads.iter().position(|download| download.at == Some(at));
                    self.step_download(first.unwrap());
                }
            }
        }
    }

    fn arrive_late(&mut self, at: Duration) {
        let first = self.late.iter().position(|late| late.at == at).unwrap();
        let late = self.late.remove(first);
        self.quota(late.endpoint).count(at);
        if let Some((device, comment)) = late.collect {
            // A search comes the longest lag after the sender gave up, and so it finds what a late request has started only
            // without one.
            let lag = std::mem::take(&mut self.service.lag);
            let answer = self.service.collect(device, &comment, at, &mut self.random);
            self.service.lag = lag;
            self.log(format_args!("late request for {device}: {answer:?}"));
        }
    }

    /// The earliest event of downloads.
    pub(super) fn next_event(&self) -> Option<Duration> {
        self.downloads.iter().filter_map(|download| download.at).min()
    }

    /// Sends a request on the thread of the driver, with a slot in hand.
    pub(super) fn exchange<T>(
        &mut self,
        endpoint: Endpoint,
        collect: Option<(usize, &str)>,
        act: impl FnOnce(&mut World) -> T,
    ) -> Result<Reply<T>, End> {
        if let Some(error) = self.outage() {
            let until = self.now + seconds(&mut self.random, 0..3);
            self.advance(until)?;
            self.quota(endpoint).undo();
            return Ok(Reply::NotSent(error));
        }
        let there = self.now + Duration::from_millis(self.random.u64(20..200));
        let back = there + Duration::from_millis(self.random.u64(20..200));
        let fault = if self.is_unlucky() { self.random.u8(..5) } else { 5 };
        let acts = !matches!(fault, 0..=2);
        if let Err(end) = self.advance(there) {
            // What was sent may arrive although its sender is gone.
            if self.random.bool() {
                self.delay(endpoint, collect);
            }
            return Err(end);
        }
        // The service counts a request that fails, too.
        if fault != 0 && fault != 1 {
            let now = self.now;
            self.quota(endpoint).count(now);
        }
        let result = acts.then(|| act(self));
        match (fault, result) {
            (5, Some(result)) => {
                self.advance(back)?;
                self.end(endpoint);
                Ok(Reply::Whole(result))
            }
            // A 5xx, before the service acts or after.
            (2 | 3, _) => {
                self.advance(back)?;
                self.end(endpoint);
                Ok(Reply::Lost(Error::new(Status::Service, "a 5xx")))
            }
            // The reply does not arrive.
            (fault, _) => {
                let until = self.now + seconds(&mut self.random, 1..30);
                self.advance(until)?;
                if fault == 1 {
                    self.delay(endpoint, collect);
                }
                let now = self.now;
                self.quota(endpoint).abandon(now);
                Ok(Reply::Lost(Error::new(Status::Broken, "the reply was lost")))
            }
        }
    }

    fn end(&mut self, endpoint: Endpoint) {
        let now = self.now;
        self.quota(endpoint).end(now);
    }

    /// The service gets a request some seconds after its sender gave it up.
    pub(super) fn delay(&mut self, endpoint: Endpoint, collect: Option<(usize, &str)>) {
        let at = self.now + seconds(&mut self.random, 0..5);
        let collect = collect.map(|(device, comment)| (device, comment.to_owned()));
        self.late.push(Late { at, endpoint, collect });
    }

    /// The process ends, with what it had in flight.
    pub(super) fn crash(&mut self) {
        let now = self.now;
        self.quotas.iter_mut().for_each(|quota| quota.crash(now));
        self.downloads.clear();
        self.ended.clear();
        self.crash_at = None;
        self.disk.0.borrow_mut().restart();
    }
}

impl Drop for World {
    /// Prints what has led to a failure, if one seed is played.
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("MDE_FLEET_SEED").is_some() {
            println!("{}", self.trace);
        }
    }
}
