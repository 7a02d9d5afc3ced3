//! A model of the caller: it repeats the call until every device has its outcome.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::super::devices::{self, Devices};
use super::super::document;
use super::super::document::Summary;
use super::super::engine::{Engine, read};
use super::super::entry::State;
use super::super::journal::{Head, Journal};
use super::super::start::{Known, read_journal};
use super::checks::{Checks, Record, Rows};
use super::disk::{Disk, SharedDisk};
use super::driver;
use super::plan::{Plan, Problem, seconds};
use super::service::device_at;
use super::world::{End, World};

/// What a run has met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub calls: u32,
    pub crashes: u32,
    pub torn: u32,
    pub lost: u32,
    pub holes: u32,
    pub compacted: u32,
    pub uncompacted: u32,
    pub stops: u32,
    pub failed_writes: u32,
    pub ended_by_trouble: u32,
    pub retried: u32,
    pub retried_later: u32,
    pub resumed: u32,
    pub added: u32,
    pub unskipped: u32,
    pub adopted: u32,
    pub unsettled: u32,
    pub searches: u32,
    pub late_slots: u32,
    pub refused_polls: u32,
    pub done: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Tally) {
        self.calls += other.calls;
        self.crashes += other.crashes;
        self.torn += other.torn;
        self.lost += other.lost;
        self.holes += other.holes;
        self.compacted += other.compacted;
        self.uncompacted += other.uncompacted;
        self.stops += other.stops;
        self.failed_writes += other.failed_writes;
        self.ended_by_trouble += other.ended_by_trouble;
        self.retried += other.retried;
        self.retried_later += other.retried_later;
        self.resumed += other.resumed;
        self.added += other.added;
        self.unskipped += other.unskipped;
        self.adopted += other.adopted;
        self.unsettled += other.unsettled;
        self.searches += other.searches;
        self.late_slots += other.late_slots;
        self.refused_polls += other.refused_polls;
        self.done += other.done;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Seeds that do not meet everything prove less than they promise.
    pub(super) fn check_that_all_was_met(&self) {
        let text = format!("{self:?}");
        assert!(!text.contains(": 0,") && !text.contains(": 0 }"), "{text}");
    }
}

/// A run: what happened, the journal, and what it met.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub trace: String,
    pub journal: Vec<u8>,
    pub tally: Tally,
}

/// More calls than that mean that a job does not end.
const MOST_CALLS: u32 = 100;

/// What the journal has.
fn journal_of(world: &World) -> (Journal<SharedDisk>, Option<Head>, Known) {
    read_journal(SharedDisk::of(&world.disk.bytes()), &|| Ok(())).unwrap()
}

struct Host {
    world: World,
    checks: Checks,
    rows: Rows,
    tally: Tally,
}

/// Plays the job of a seed.
pub(super) fn play(seed: u64) -> Run {
    let mut random = fastrand::Rng::with_seed(seed);
    let plan = Plan::of(&mut random);
    play_plan(plan, random)
}

pub(super) fn play_plan(plan: Plan, mut random: fastrand::Rng) -> Run {
    let disk = SharedDisk(Rc::new(RefCell::new(Disk::new(random.fork()))));
    let rows = Rows::default();
    let checks = Checks::new(Rc::clone(&rows), plan.given.len());
    let world = World::new(plan, random, disk);
    let mut host = Host { world, checks, rows, tally: Tally::default() };
    host.run();
    let journal = host.world.disk.bytes();
    let disk = host.world.disk.0.borrow();
    let Tally { calls, .. } = host.tally;
    let tally = Tally {
        calls,
        torn: disk.torn,
        lost: disk.lost,
        holes: disk.holes,
        compacted: disk.compacted,
        uncompacted: disk.uncompacted,
        adopted: host.checks.adopted,
        unsettled: host.checks.unsettled,
        searches: host.checks.searches,
        late_slots: host.checks.late_slots,
        refused_polls: host.checks.refused_polls,
        ..host.tally
    };
    Run { trace: std::mem::take(&mut host.world.trace), journal, tally }
}

impl Host {
    fn run(&mut self) {
        let mut retries = false;
        loop {
            let began = self.world.now;
            let wanted = self.wanted(retries);
            self.tempt_fate();
            self.checks.call_begins();
            let ended = self.call(&wanted);
            self.tally.calls += 1;
            assert!(self.tally.calls < MOST_CALLS, "the job does not end");
            self.world.log(format_args!("call ended: {ended:?}"));
            (self.world.stop_at, self.world.crash_at) = (None, None);
            let is_over = ended.is_ok();
            let pause = match ended {
                Ok(()) => 0..600,
                Err(End::Crash) => {
                    self.tally.crashes += 1;
                    self.world.crash();
                    self.forget_outcomes();
                    0..60
                }
                Err(End::File) => {
                    self.tally.failed_writes += 1;
                    self.forget_outcomes();
                    0..60
                }
                Err(End::Stopped) => {
                    self.tally.stops += 1;
                    0..600
                }
                Err(End::Failed) => {
                    self.tally.ended_by_trouble += 1;
                    0..600
                }
            };
            {
                let disk = &mut *self.world.disk.0.borrow_mut();
                (disk.crash_in, disk.fail_in) = (None, None);
                (disk.has_failed, disk.refuses_files) = (false, false);
            }
            if is_over && self.world.plan.is_calm {
                Checks::in_time(&mut self.world, began);
            }
            if is_over && self.has_all() {
                retries = self.world.plan.retries > 0 && self.tally.failed > 0;
                if !retries {
                    break;
                }
                self.world.plan.retries -= 1;
            }
            let until = self.world.now + seconds(&mut self.world.random, pause);
            self.world.advance(until).unwrap();
        }
        self.checks.at_the_end(&self.world);
        let last_online = self.world.service.devices.iter().map(|device| device.online_at).max();
        let by = self.world.plan.calm_after.max(last_online.unwrap()) + MOST_AFTERWARDS;
        let now = self.world.now;
        assert!(self.world.plan.is_calm || now <= by, "it ended at {now:?}, not by {by:?}");
    }

    /// A crash right after an outcome was recorded may leave a journal without it. Then the device gets one again.
    fn forget_outcomes(&mut self) {
        let (journal, _, known) = journal_of(&self.world);
        let mut has_outcome = vec![false; self.world.plan.given.len()];
        for device in &known.devices {
            let text = journal.text(device.span).unwrap();
            let entry = read(&text).unwrap();
            has_outcome[device_at(&entry.machine_id)] = entry.is_lasting();
        }
        let others = (0..has_outcome.len()).filter(|at| !has_outcome[*at]);
        others.for_each(|at| self.checks.allow_another(at));
    }

    /// Whether every device was given and has its outcome.
    fn has_all(&mut self) -> bool {
        let (journal, _, known) = journal_of(&self.world);
        let counts = known.counts();
        (self.tally.done, self.tally.failed, self.tally.skipped) =
            (counts.done, counts.failed, counts.skipped);
        let later = known.devices.iter().filter(|device| device.state == State::Failed);
        let later = later.filter(|device| {
            let text = journal.text(device.span).unwrap();
            read(&text).unwrap().is_retryable()
        });
        let later = u32::try_from(later.count()).unwrap();
        self.tally.retried_later += later;
        later == 0 && known.devices.len() == self.world.plan.given.len()
    }

    /// The devices of the next call.
    fn wanted(&mut self, retry_failed: bool) -> Devices {
        let (journal, head, known) = journal_of(&self.world);
        let calls = self.tally.calls;
        let is_given = |since: u32| since <= calls || calls > 3;
        let mut list = Vec::new();
        for (at, given) in self.world.plan.given.iter_mut().enumerate() {
            if !is_given(given.since) && at > 0 {
                continue;
            }
            // The caller solves the problem of a device.
            if given.problem.is_some() && calls > 0 && self.world.random.u8(..4) == 0 {
                given.problem = Some(Problem::Solved);
            }
            list.push(devices::Device {
                id: self.world.service.devices[at].id.clone().into(),
                comment: given.comment.map(Into::into),
                file: None,
                problems: (given.problem == Some(Problem::Known)).then(|| "[\"merged\"]".into()),
            });
        }
        let is_complete = known.devices.len() == list.len();
        let resumes = head.is_some() && is_complete && self.world.random.bool();
        for device in &known.devices {
            let text = journal.text(device.span).unwrap();
            let entry = read(&text).unwrap();
            let at = device_at(&entry.machine_id);
            let is_skipped = entry.state == State::Skipped;
            if is_skipped && !resumes && self.world.plan.given[at].problem == Some(Problem::Solved)
            {
                self.checks.allow_another(at);
                self.tally.unskipped += 1;
            }
            if retry_failed && entry.state == State::Failed && !entry.is_retryable() {
                self.checks.allow_another(at);
                self.tally.retried += 1;
                let device = &mut self.world.service.devices[at];
                device.allowed = device.started + 1;
            }
        }
        // It is not given what it would not use.
        if resumes {
            self.tally.resumed += 1;
            list.clear();
        }
        self.tally.added +=
            u32::from(!known.devices.is_empty() && list.len() > known.devices.len());
        Devices { list, retry_failed, is_resume: resumes }
    }

    /// Decides what goes wrong during the next call.
    fn tempt_fate(&mut self) {
        let World { now, random, plan, disk, crash_at, stop_at, .. } = &mut self.world;
        if *now >= plan.calm_after {
            return;
        }
        let disk = &mut *disk.0.borrow_mut();
        disk.refuses_files = random.u8(..3) == 0;
        if plan.crashes > 0 {
            plan.crashes -= 1;
            match random.u8(..3) {
                0 => *crash_at = Some(*now + seconds(random, 0..900)),
                1 => disk.crash_in = Some(random.u32(..12)),
                _ => disk.crash_in = Some(random.u32(..120)),
            }
        } else if plan.failed_writes > 0 {
            plan.failed_writes -= 1;
            disk.fail_in = Some(random.u32(..40));
        } else if plan.stops > 0 {
            plan.stops -= 1;
            *stop_at = Some(*now + seconds(random, 0..900));
        }
    }

    /// One call, as `fetch` makes it.
    fn call(&mut self, wanted: &Devices) -> Result<(), End> {
        let world = &mut self.world;
        let read = read_journal(world.disk.clone(), &|| Ok(()));
        let (mut journal, head, known) = read.unwrap();
        let (journal, known) = match head {
            Some(_) => {
                world.written(journal.drop_rest())?;
                (journal, known)
            }
            None => {
                let head = Head::new("https://service", None, None);
                let begun = Journal::begin(world.disk.clone(), &head);
                (world.written(begun)?, Known::default())
            }
        };
        let mut record = Record { rows: Rc::clone(&self.rows), disk: world.disk.clone() };
        let comment = ["one", "two", "three"][world.random.usize(..3)];
        let most = world.plan.downloads_at_once;
        let mut engine = Engine::new(journal, known, &mut record, comment, most);
        world.written(engine.start(wanted, &|| Ok(())))?;
        let ended = driver::run(world, &mut engine, &mut self.checks);
        if !matches!(ended, Err(End::Crash)) {
            if ended.is_ok() {
                let summary = Summary::new(engine.counts, None);
                document::whole(&engine.journal, &engine.devices, &summary).unwrap();
            }
            let (journal, _, known) = journal_of(world);
            let is_refused = world.disk.0.borrow().refuses_files;
            let is_compacted = !journal.is_wasteful() || is_refused;
            assert!(ended.is_err() || is_compacted, "the journal was not compacted");
            // A download whose end could not be written seems to run.
            let is_written = !matches!(ended, Err(End::File));
            assert!(
                known.counts() == engine.counts || !is_written,
                "the engine and the journal differ: {:?} {:?}",
                engine.counts,
                known.counts()
            );
        }
        ended
    }
}

/// A job ends by then after everything that can fail or be away.
const MOST_AFTERWARDS: Duration = Duration::from_secs(4 * 3_600);
