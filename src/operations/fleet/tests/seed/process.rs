//! A process: it fetches the packages of all devices again and again, until it is killed or the job is done.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use once_cell::sync::OnceCell;

use super::super::super::devices::{self, Devices};
use super::super::super::document::{self, Summary};
use super::super::super::engine::{Engine, Outcomes, read};
use super::super::super::entry::{Entry, State};
use super::super::super::journal::{Head, Journal};
use super::super::super::start::{Known, read_journal};
use super::super::disk::SharedDisk;
use super::super::service::device_at;
use super::driver;
use super::journal_disk::JournalDisk;
use super::world::{Ask, DEVICES, Promise, World};
use crate::call::Call;
use crate::operations::download::simulated::{Steps, gone};
use crate::quota::clock::fake::FakeClock;
use crate::quota::file::in_memory::ProcessLedger;
use crate::quota::ledger::Ledger;
use crate::quota::limiter::Limiter;
use crate::quota::rules::Rules;
use crate::quota::snapshot::Refusal;
use crate::service::quota::Quota;

/// How a call ends, if not with every device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The process has ended.
    Crash,
    /// The caller has stopped the call.
    Stopped,
    /// Something concerns all devices.
    Failed,
}

pub(super) struct Process {
    pub number: u32,
    /// Differs from all processes before.
    pub id: u32,
    pub steps: Rc<Steps>,
    pub limiter: Arc<Limiter>,
    pub rules: Rules,
    ledger: Arc<ProcessLedger>,
}

/// The tasks of a process's downloads end with the call.
pub(super) const DOWNLOADS: u32 = 1 << 31;

/// Starts a process, after a while.
pub(super) fn start(world: &Rc<World>, number: u32, id: u32, after: Duration) {
    let ledger = world.quota_file.of_process(id);
    let rules = Rules { limits: world.limits.clone(), ledger: OnceCell::new() };
    let shared: Arc<dyn Ledger> = Arc::<ProcessLedger>::clone(&ledger);
    rules.ledger.set(shared).unwrap();
    let limiter = Arc::new(Limiter::new(Arc::<FakeClock>::clone(&world.clock)));
    let steps = Rc::new(Steps::default());
    let process = Rc::new(Process { number, id, steps, limiter, rules, ledger });
    let running = &mut *world.running.borrow_mut();
    running.retain(|other| other.number != number);
    running.push(Rc::clone(&process));
    let world_of_process = Rc::clone(world);
    world.time.spawn(Some(id), async move {
        let world = world_of_process;
        world.time.pass(after).await;
        world.log(format_args!("process {number} begins"));
        if !world.is_calm() && world.one_in(3) {
            process.steps.end_after(u32::try_from(world.below(200)).unwrap());
        }
        life(&world, &process).await;
    });
}

/// Ends a process. Another one takes its place after a while.
pub(super) fn kill(world: &Rc<World>, process: &Process) {
    world.log(format_args!("process {} ends", process.number));
    process.steps.end();
    process.ledger.end();
    world.time.end(process.id);
    world.time.end(process.id | DOWNLOADS);
    if world.lock.get() == Some(process.id) {
        world.lock.set(None);
    }
    if !world.is_done.get() {
        let longest = if world.is_calm() { 60 } else { 400 };
        start(
            world,
            process.number,
            process.id + super::world::PROCESSES,
            world.seconds(0..longest),
        );
    }
}

async fn life(world: &Rc<World>, process: &Rc<Process>) {
    while !world.is_done.get() {
        match world.lock.get() {
            None => {
                world.lock.set(Some(process.id));
                world.tally(|tally| &mut tally.calls);
                let ended = call(world, process).await;
                world.log(format_args!("process {}: the call ended: {ended:?}", process.number));
                if process.steps.is_gone() {
                    world.tally(|tally| &mut tally.ends_in_a_step);
                    return kill(world, process);
                }
                world.lock.set(None);
                world.time.end(process.id | DOWNLOADS);
                match ended {
                    Ok(()) => {
                        check(world);
                        world.is_done.set(true);
                    }
                    Err(End::Stopped) => world.tally(|tally| &mut tally.stopped_calls),
                    Err(_) => {}
                }
            }
            Some(_) => {
                world.tally(|tally| &mut tally.refused_calls);
                other_call(world, process).await;
            }
        }
        // At least a moment, in which the tasks of the call end.
        world.time.pass(world.millis(1..20_000)).await;
    }
}

/// A call for something else, which spends the same quota.
async fn other_call(world: &Rc<World>, process: &Rc<Process>) {
    let (quota, ask) = match world.one_in(2) {
        true => (Quota::List, Ask::Poll),
        false => (Quota::Link, Ask::Link),
    };
    let call = Call::begin(&Arc::default(), None, None);
    match process.limiter.acquire(quota, &process.rules, &call, false) {
        Ok(permit) => {
            world.log(format_args!("process {}: a call of {}", process.number, quota.name()));
            let _ = world.exchange(&process.steps, permit, ask).await;
        }
        Err(Refusal::NoRoom(_)) => world.tally(|tally| &mut tally.waits_for_quota),
        Err(other) => panic!("{other:?}"),
    }
}

/// The record of the outcomes. One that is there already is not added again.
struct Record<'a> {
    world: &'a World,
    steps: &'a Steps,
}

impl Outcomes for Record<'_> {
    fn add(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let is_last = self.steps.is_last()?;
        let row = row(entry);
        let mut record = self.world.record.borrow_mut();
        let is_lost = !record.contains(&row) && is_last && self.world.one_in(2);
        if !record.contains(&row) && !is_lost {
            record.push(row);
        }
        if is_last { Err(gone()) } else { Ok(()) }
    }
}

/// The outcome of a device, as the record has it.
fn row(entry: &Entry<'_>) -> (usize, String) {
    let action = entry.action.map_or("", |action| action.get());
    (device_at(&entry.machine_id), format!("{:?} {action}", entry.state))
}

/// What a process makes of an error of its journal.
pub(super) fn written<T>(process: &Process, result: io::Result<T>) -> Result<T, End> {
    match result {
        // The end of the process may look as a compaction that failed, which is no error.
        _ if process.steps.is_gone() => Err(End::Crash),
        result => Ok(result.unwrap()),
    }
}

/// One call, as `fetch` makes it.
async fn call(world: &Rc<World>, process: &Rc<Process>) -> Result<(), End> {
    let disk = JournalDisk::new(&world.journal, &process.steps);
    let (mut journal, head, known) = read_journal(disk.clone(), &|| Ok(())).unwrap();
    let (journal, known) = match head {
        Some(_) => {
            written(process, journal.drop_rest())?;
            (journal, known)
        }
        None => {
            let head = Head::new("https://service", None, None);
            let begun = Journal::begin(disk.clone(), &head);
            (written(process, begun)?, Known::default())
        }
    };
    let is_resume = known.devices.len() == DEVICES && world.one_in(2);
    let device = |at: usize| devices::Device {
        id: world.service.borrow().devices[at].id.clone().into(),
        comment: None,
        file: None,
        problems: None,
    };
    let list = (0..DEVICES).map(device).filter(|_| !is_resume).collect();
    let wanted = Devices { list, retry_failed: false, is_resume };
    let mut record = Record { world, steps: &process.steps };
    let comment = ["one", "two", "three"][world.below(3)];
    let most = world.downloads_at_once;
    let mut engine = Engine::new(journal, known, &mut record, comment, most);
    written(process, engine.start(&wanted, &|| Ok(())))?;
    let call = Arc::new(Call::begin(&Arc::default(), None, None).into_sweep(true));
    driver::run(world, process, &call, &mut engine, &disk).await?;
    let summary = Summary::new(engine.counts, None);
    let document = document::whole(&engine.journal, &engine.devices, &summary).unwrap();
    world.log(format_args!("{document}"));
    match engine.counts.done == DEVICES {
        true => Ok(()),
        // Each failure is one that passes, so another call tries again.
        false => Err(End::Failed),
    }
}

/// Whether every device has its outcome, each exactly one, and a true one.
pub(super) fn check(world: &World) {
    let (journal, _, known) =
        read_journal(SharedDisk::of(&world.journal.bytes()), &|| Ok(())).unwrap();
    let record = world.record.borrow();
    let mut has = [false; DEVICES];
    for device in &known.devices {
        let text = journal.text(device.span).unwrap();
        let entry = read(&text).unwrap();
        let row = row(&entry);
        let at = row.0;
        has[at] = true;
        let rows: Vec<_> = record.iter().filter(|other| other.0 == at).collect();
        if entry.state != State::Done || rows != [&row] {
            world.find(Promise::OneOutcome, format_args!("{text} {rows:?}"));
        }
        let package = world.folder.package(at).unwrap_or_default();
        let is_version = world.packages.borrow()[at].is_version(&package);
        if !is_version || entry.bytes() != package.len() as u64 || world.folder.has_part(at) {
            world.find(Promise::OneVersion, format_args!("{} bytes: {text}", package.len()));
        }
    }
    if has != [true; DEVICES] {
        world.find(Promise::OneOutcome, format_args!("a device was forgotten"));
    }
}

/// The downloads that have ended, each with its package or its error.
pub(super) type Ended =
    Rc<RefCell<Vec<(super::super::super::engine::Key, Result<String, crate::error::Error>)>>>;
