//! Everything but the processes: what a seed decides, the service, the network, the machine, and what must hold.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt::{Arguments, Write};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::super::disk::{Disk, SharedDisk};
use super::super::service::{Answer, Device, Fate, Package as Kind, Service, wall};
use super::Defect;
use super::package_host::Package;
use super::timeline::Timeline;
use crate::error::Error;
use crate::operations::download::simulated::{Folder, Steps};
use crate::quota::clock::fake::FakeClock;
use crate::quota::file::in_memory::QuotaFile;
use crate::quota::limiter::Permit;
use crate::quota::limits::Limits;
use crate::quota::window::Window;
use crate::service::quota::{PerQuota, Quota};
use crate::status::Status;

pub(super) const DEVICES: usize = 5;
pub(super) const PROCESSES: u32 = 3;

/// The job ends within this time after the last fault.
const MOST_AFTERWARDS: Duration = Duration::from_secs(4 * 3_600);

/// The promise that a run has broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// A device collects once.
    OneCollection,
    /// The service refuses no request.
    WithinQuota,
    /// A package is one version of it, as a whole.
    OneVersion,
    /// A device has one outcome, in the journal and in the record.
    OneOutcome,
    /// The job ends.
    Ends,
}

/// What a run has met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub calls: u32,
    pub refused_calls: u32,
    pub stopped_calls: u32,
    pub kills: u32,
    pub ends_in_a_step: u32,
    pub power_cuts: u32,
    pub torn_packages: u32,
    pub torn_journals: u32,
    pub lost_replies: u32,
    pub late_requests: u32,
    pub searches: u32,
    pub adopted: u32,
    pub waits_for_quota: u32,
    pub resumed: u32,
    pub replaced: u32,
    pub started_over: u32,
    pub damaged: u32,
    pub expired_links: u32,
    pub found_files: u32,
}

impl Tally {
    fn figures(&mut self) -> [&mut u32; 19] {
        let Tally { calls, refused_calls, stopped_calls, kills, ends_in_a_step, .. } = self;
        let Tally { power_cuts, torn_packages, torn_journals, lost_replies, .. } = self;
        let Tally { late_requests, searches, adopted, waits_for_quota, resumed, .. } = self;
        let Tally { replaced, started_over, damaged, expired_links, found_files, .. } = self;
        [
            calls,
            refused_calls,
            stopped_calls,
            kills,
            ends_in_a_step,
            power_cuts,
            torn_packages,
            torn_journals,
            lost_replies,
            late_requests,
            searches,
            adopted,
            waits_for_quota,
            resumed,
            replaced,
            started_over,
            damaged,
            expired_links,
            found_files,
        ]
    }

    pub(super) fn add(&mut self, mut other: Tally) {
        for (sum, figure) in self.figures().into_iter().zip(other.figures()) {
            *sum += *figure;
        }
    }

    /// Seeds that do not meet everything prove less than they promise.
    pub(super) fn has_met_all(&mut self) -> bool {
        self.figures().into_iter().all(|figure| *figure > 0)
    }
}

/// What a process asks the service for.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Collect {
        device: usize,
        comment: String,
    },
    /// What the requests for this device have started. `since`: from when on. `or_running`: or what runs there.
    Search {
        device: usize,
        comments: Vec<String>,
        since: Option<Duration>,
        or_running: bool,
    },
    Poll,
    Link,
}

impl Ask {
    fn quota(&self) -> Quota {
        match self {
            Ask::Collect { .. } => Quota::Collect,
            Ask::Search { .. } | Ask::Poll => Quota::List,
            Ask::Link => Quota::Link,
        }
    }
}

/// What the service answers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    Collect(Answer),
    Search(Option<usize>),
    /// The actions as they are at this time.
    Poll(Duration),
    Link,
}

/// Tells that a request was given up, or has its reply.
struct Over(Rc<Cell<bool>>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

pub(super) struct World {
    pub time: Timeline,
    pub clock: Arc<FakeClock>,
    random: RefCell<fastrand::Rng>,
    pub defect: Option<Defect>,
    pub limits: Limits,
    pub downloads_at_once: usize,
    /// Of a thousand requests and transfers, as many fail.
    faults: u32,
    /// Nothing fails after this time.
    pub calm_after: Duration,
    pub service: RefCell<Service>,
    /// When the service has counted requests.
    counted: RefCell<PerQuota<VecDeque<Duration>>>,
    pub packages: RefCell<Vec<Package>>,
    pub quota_file: QuotaFile,
    pub journal: SharedDisk,
    pub folder: Folder,
    /// The record of the outcomes: a device and its outcome.
    pub record: RefCell<Vec<(usize, String)>>,
    /// The process that has locked the folder.
    pub lock: Cell<Option<u32>>,
    /// The processes that run, by number.
    pub running: RefCell<Vec<Rc<super::process::Process>>>,
    pub is_done: Cell<bool>,
    finding: RefCell<Option<(Promise, String)>>,
    trace: RefCell<String>,
    pub tally: RefCell<Tally>,
}

fn fate(random: &mut fastrand::Rng) -> Fate {
    let (pending, runs) = (seconds(random, 1..15), seconds(random, 1..45));
    Fate { pending, runs, end: "Succeeded", package: Kind::Good }
}

fn seconds(random: &mut fastrand::Rng, range: Range<u64>) -> Duration {
    Duration::from_millis(random.u64(range.start * 1_000..range.end * 1_000))
}

fn device(random: &mut fastrand::Rng, at: usize) -> Device {
    let is_offline = random.u8(..6) == 0;
    Device {
        id: format!("{at:040x}"),
        refusal: None,
        online_at: if is_offline { seconds(random, 60..1_200) } else { Duration::ZERO },
        fates: vec![fate(random)],
        other: (random.u8(..10) == 0).then(|| fate(random)),
        started: 0,
        allowed: u32::MAX,
    }
}

fn limits(random: &mut fastrand::Rng) -> Limits {
    let minute = random.u64(20..=60);
    let mut windows = |name: &str, few: Range<u32>, many: Range<u32>| {
        let (few, many) = (random.u32(few), random.u32(many));
        format!("{name}={few}/{minute},{many}/{}", 10 * minute)
    };
    let text = [
        windows("collect", 1..4, 6..12),
        windows("list", 4..12, 40..60),
        windows("link", 1..4, 6..12),
    ];
    Limits::parse(&format!("{};read=1/1;cancel=1/1;machines=1/1", text.join(";"))).unwrap()
}

impl World {
    pub(super) fn new(seed: u64, defect: Option<Defect>) -> World {
        let mut random = fastrand::Rng::with_seed(seed);
        let limits = limits(&mut random);
        let devices: Vec<Device> = (0..DEVICES).map(|at| device(&mut random, at)).collect();
        let packages = devices.iter().map(|_| Package::new(random.fork())).collect();
        let clock = Arc::new(FakeClock::default());
        let journal = SharedDisk(Rc::new(RefCell::new(Disk::new(random.fork()))));
        let folder = Folder::new(DEVICES, random.bool(), random.fork());
        World {
            time: Timeline::new(&clock),
            defect,
            downloads_at_once: random.usize(1..=3),
            faults: *random.choice(&[0, 20, 100, 300]).unwrap(),
            calm_after: seconds(&mut random, 300..3_600),
            service: RefCell::new(Service {
                devices,
                actions: Vec::new(),
                lag: seconds(&mut random, 0..10),
            }),
            counted: RefCell::default(),
            packages: RefCell::new(packages),
            quota_file: QuotaFile::new(&limits, &clock),
            clock,
            limits,
            journal,
            folder,
            record: RefCell::default(),
            lock: Cell::new(None),
            running: RefCell::default(),
            is_done: Cell::new(false),
            finding: RefCell::default(),
            trace: RefCell::default(),
            tally: RefCell::default(),
            random: RefCell::new(random),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.time.now()
    }

    pub(super) fn log(&self, event: Arguments<'_>) {
        writeln!(self.trace.borrow_mut(), "{:>9} {event}", self.now().as_millis()).unwrap();
    }

    pub(super) fn take_trace(&self) -> String {
        self.trace.take()
    }

    /// A promise is broken, which ends the run.
    pub(super) fn find(&self, promise: Promise, what: Arguments<'_>) {
        self.log(format_args!("{promise:?} is broken: {what}"));
        self.finding.borrow_mut().get_or_insert_with(|| (promise, what.to_string()));
    }

    pub(super) fn finding(&self) -> Option<(Promise, String)> {
        self.finding.borrow().clone()
    }

    /// Whether the run ends here.
    pub(super) fn is_over(&self) -> bool {
        let online = self.service.borrow().devices.iter().map(|device| device.online_at).max();
        if self.now() > self.calm_after.max(online.unwrap()) + MOST_AFTERWARDS {
            self.find(Promise::Ends, format_args!("the job goes on"));
        }
        self.finding.borrow().is_some()
    }

    pub(super) fn tally(&self, count: impl FnOnce(&mut Tally) -> &mut u32) {
        *count(&mut self.tally.borrow_mut()) += 1;
    }

    pub(super) fn millis(&self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.random.borrow_mut().u64(range))
    }

    pub(super) fn seconds(&self, range: Range<u64>) -> Duration {
        seconds(&mut self.random.borrow_mut(), range)
    }

    pub(super) fn one_in(&self, count: u32) -> bool {
        self.random.borrow_mut().u32(..count) == 0
    }

    pub(super) fn below(&self, count: usize) -> usize {
        self.random.borrow_mut().usize(..count)
    }

    pub(super) fn is_calm(&self) -> bool {
        self.now() >= self.calm_after
    }

    /// Whether something unlikely happens now.
    pub(super) fn is_unlucky(&self) -> bool {
        let fails = self.random.borrow_mut().u32(..1_000) < self.faults;
        fails && !self.is_calm()
    }

    /// The power fails. What was not synced may be lost.
    pub(super) fn lose_power(&self) {
        self.log(format_args!("the power fails"));
        self.tally(|tally| &mut tally.power_cuts);
        let torn = self.folder.restart();
        self.tally.borrow_mut().torn_packages += torn;
        let journal = &mut *self.journal.0.borrow_mut();
        let before = journal.lost;
        journal.restart();
        self.tally.borrow_mut().torn_journals += journal.lost - before;
        self.quota_file.restart(&mut self.random.borrow_mut());
    }

    /// The service counts a request.
    fn count(&self, quota: Quota) {
        let now = self.now();
        // The service's clock may be slower by a thousandth.
        let reach = |window: &Window| window.length + window.length / 1_010;
        let mut counted = self.counted.borrow_mut();
        let counted = counted.of_mut(quota);
        counted.push_back(now);
        for window in self.limits.of(quota) {
            let within = counted.iter().rev().take_while(|at| **at + reach(window) >= now).count();
            if within > window.limit as usize {
                let name = quota.name();
                self.find(Promise::WithinQuota, format_args!("{within} of {name} in {window:?}"));
            }
        }
    }

    /// A request arrives. With `is_late` its sender has given it up.
    fn arrive(&self, ask: &Ask, acts: bool, is_late: bool) -> Option<Told> {
        self.count(ask.quota());
        if !acts {
            return None;
        }
        let (now, service) = (self.now(), &mut *self.service.borrow_mut());
        Some(match ask {
            Ask::Collect { device, comment } => {
                // A search comes the longest lag after the sender gave up, so it finds what a late request has started
                // only without one.
                let lag = service.lag;
                service.lag = if is_late { Duration::ZERO } else { lag };
                let answer = service.collect(*device, comment, now, &mut self.random.borrow_mut());
                service.lag = lag;
                self.log(format_args!("the service: collect from {device}: {answer:?}"));
                if service.devices[*device].started > 1 {
                    self.find(
                        Promise::OneCollection,
                        format_args!("device {device} collects again"),
                    );
                }
                Told::Collect(answer)
            }
            Ask::Search { device, comments, since, or_running } => {
                const TOLERANCE: Duration = Duration::from_secs(5);
                let all = &service.actions;
                let listed = service.list(*device, now);
                let is_ours = |at: &usize| {
                    let began = since.is_some_and(|since| all[*at].created + TOLERANCE >= since);
                    began && comments.contains(&all[*at].comment)
                };
                let is_running = |at: &usize| *or_running && all[*at].ends > now;
                let ours = listed.iter().copied().find(is_ours);
                Told::Search(ours.or_else(|| listed.iter().copied().find(is_running)))
            }
            Ask::Poll => Told::Poll(now),
            Ask::Link => Told::Link,
        })
    }

    /// Sends a request with the slot in hand, and waits for its reply.
    pub(super) async fn exchange(
        self: &Rc<World>,
        steps: &Rc<Steps>,
        permit: Permit<'_>,
        ask: Ask,
    ) -> Result<Told, Error> {
        let fault = if self.is_unlucky() { self.below(5) } else { 5 };
        let there = self.millis(20..200);
        let gives_up = there + self.seconds(1..20);
        let is_late = fault == 1;
        let (told, over) = (Rc::new(Cell::new(None)), Rc::new(Cell::new(false)));
        // Also where the sender is killed meanwhile.
        let _over = Over(Rc::clone(&over));
        if fault != 0 {
            // A request that is on its way arrives, whatever becomes of its sender.
            let (world, told, steps) = (Rc::clone(self), Rc::clone(&told), Rc::clone(steps));
            let acts = fault != 2;
            self.time.spawn(None, async move {
                world.time.pass(there).await;
                while is_late && !over.get() {
                    world.time.pass(Duration::from_secs(1)).await;
                }
                if is_late {
                    world.time.pass(world.seconds(0..5)).await;
                }
                told.set(world.arrive(&ask, acts, is_late || steps.is_gone()));
            });
        }
        let (keeper, mut permit) = (permit.keeper(), Some(permit));
        if self.defect == Some(Defect::SlotGivenBackTooEarly) {
            permit.take().unwrap().replied();
        }
        let has_reply = !matches!(fault, 0 | 1 | 4);
        let back = if has_reply { there + self.millis(20..200) } else { gives_up };
        self.wait_for_reply(back, keeper).await;
        match permit {
            Some(permit) if has_reply => permit.replied(),
            permit => drop(permit),
        }
        self.tally.borrow_mut().lost_replies += u32::from(!has_reply);
        self.tally.borrow_mut().late_requests += u32::from(is_late);
        match told.take() {
            Some(told) if fault == 5 => Ok(told),
            _ if has_reply => Err(Error::new(Status::Service, "a 5xx")),
            _ => Err(Error::new(Status::Broken, "the reply was lost")),
        }
    }

    /// Lets time pass, and renews the slot meanwhile.
    async fn wait_for_reply(
        &self,
        time: Duration,
        mut keeper: Option<Box<dyn crate::call::KeepAlive>>,
    ) {
        let until = self.now() + time;
        while self.now() < until {
            let again_in = keeper.as_mut().map_or(Duration::MAX, |keeper| keeper.keep().again_in);
            let next = self.now().saturating_add(again_in.max(Duration::from_millis(1)));
            self.time.wait(Some(until.min(next)), None).await;
        }
    }

    /// The time of the wall clock, since the run began.
    pub(super) fn since_start(at: std::time::SystemTime) -> Duration {
        at.duration_since(wall(Duration::ZERO)).unwrap_or_default()
    }
}
