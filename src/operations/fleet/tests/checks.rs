//! What must hold in a run and at its end.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::super::engine::{Key, Outcomes, read};
use super::super::entry::{Entry, State};
use super::super::start::read_journal;
use super::disk::SharedDisk;
use super::plan::Outage;
use super::service::{Endpoint, Package, action_at, device_at};
use super::world::World;
use crate::error::Error;
use crate::operations::collect::LAG;
use crate::service::action::MachineAction;

/// The outcomes of devices, in the order recorded.
pub(super) type Rows = Rc<RefCell<Vec<(usize, String)>>>;

/// The record of outcomes. One that is there already is not added again.
pub(super) struct Record {
    pub rows: Rows,
    pub disk: SharedDisk,
}

impl Outcomes for Record {
    fn add(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let (is_added, result) = self.disk.other_step();
        let row = row(entry);
        let mut rows = self.rows.borrow_mut();
        let last = rows.iter().rev().find(|(device, _)| *device == row.0);
        if is_added && last != Some(&row) {
            rows.push(row);
        }
        result
    }
}

fn row(entry: &Entry<'_>) -> (usize, String) {
    let device = device_at(&entry.machine_id);
    let action = entry.action.map_or("", |action| action.get());
    (device, format!("{:?} {action} {:?}", entry.state, entry.error))
}

#[derive(Debug)]
pub(super) struct Checks {
    rows: Rows,
    /// How many outcomes each device may have so far.
    allowed: Vec<usize>,
    /// The devices that became ready in this call, in their order.
    ready: Vec<Key>,
    /// By device: when the last request for a collection was given up or answered, and when the last list was asked for that
    /// shows no collection of it.
    sent: HashMap<usize, Duration>,
    listed: HashMap<usize, Duration>,
    /// The devices of which a request may have started a collection, and nobody knows.
    open: HashSet<usize>,
    pub adopted: u32,
    pub unsettled: u32,
    pub searches: u32,
    pub late_slots: u32,
    pub refused_polls: u32,
}

impl Checks {
    pub(super) fn new(rows: Rows, devices: usize) -> Checks {
        Checks {
            rows,
            allowed: vec![1; devices],
            ready: Vec::new(),
            sent: HashMap::new(),
            listed: HashMap::new(),
            open: HashSet::new(),
            adopted: 0,
            unsettled: 0,
            searches: 0,
            late_slots: 0,
            refused_polls: 0,
        }
    }

    pub(super) fn call_begins(&mut self) {
        self.ready.clear();
    }

    fn outcomes(&self, device: usize) -> usize {
        self.rows.borrow().iter().filter(|(of, _)| *of == device).count()
    }

    /// The caller wants another outcome of a device that has one.
    pub(super) fn allow_another(&mut self, device: usize) {
        self.allowed[device] = self.outcomes(device) + 1;
    }

    pub(super) fn is_asked(&self, device: usize) {
        let has_ended = self.outcomes(device) >= self.allowed[device];
        assert!(!has_ended, "device {device} is asked again although it has its outcome");
    }

    /// The engine knows what no reply has told.
    pub(super) fn is_sent(&self, device: usize, is_open: bool) {
        assert!(is_open || !self.open.contains(&device), "{device}: a lost request is forgotten");
    }

    pub(super) fn was_sent(&mut self, device: usize, is_lost: bool, now: Duration) {
        self.sent.insert(device, now);
        self.listed.remove(&device);
        if is_lost {
            self.open.insert(device);
        }
    }

    /// The outcome of all requests for this device is known.
    pub(super) fn settled(&mut self, device: usize) {
        self.open.remove(&device);
    }

    pub(super) fn listed(&mut self, device: usize, now: Duration) {
        self.listed.insert(device, now);
    }

    /// The list has had the time to show what the last request has started, and was read a moment ago.
    pub(super) fn may_be_sent_again(&self, device: usize, now: Duration) {
        let listed = self.listed.get(&device).expect("no list was read");
        let sent = self.sent.get(&device).copied().unwrap_or_default();
        assert!(*listed >= sent + LAG, "{device}: sent at {sent:?}, listed at {listed:?}");
        let soon = LAG + Duration::from_secs(1);
        assert!(now <= *listed + soon, "{device}: listed at {listed:?}, it is {now:?}");
    }

    pub(super) fn is_ready(&mut self, key: Key) {
        self.ready.retain(|other| *other != key);
        self.ready.push(key);
    }

    pub(super) fn is_downloaded(&mut self, key: Key) {
        if let Some(at) = self.ready.iter().position(|other| *other == key) {
            assert_eq!(at, 0, "a package that was ready earlier still waits");
            self.ready.remove(0);
        }
    }

    /// A call ends before its devices only in an outage, or soon after it.
    pub(super) fn is_in_an_outage(&self, world: &World, error: &Error) {
        // The driver hears of a failed download after what it does has ended, which may take a minute.
        let soon = Duration::from_secs(90);
        let is_of = |outage: &Outage| outage.status == error.status();
        let is_near = |outage: &Outage| outage.from <= world.now && world.now <= outage.to + soon;
        let found = world.plan.outages.iter().any(|outage| is_of(outage) && is_near(outage));
        assert!(found, "a call ended without an outage: {error}");
    }

    /// Whether every device has its outcome, each exactly one, and a true one.
    pub(super) fn at_the_end(&self, world: &World) {
        let (journal, head, known) =
            read_journal(SharedDisk::of(&world.disk.bytes()), &|| Ok(())).unwrap();
        assert!(head.is_some());
        assert_eq!(known.devices.len(), world.plan.given.len(), "a device was forgotten");
        let mut bytes = 0;
        for device in &known.devices {
            let text = journal.text(device.span).unwrap();
            let entry = read(&text).unwrap();
            assert!(entry.is_lasting(), "no outcome: {text}");
            let row = row(&entry);
            let at = row.0;
            let outcomes = self.outcomes(at);
            assert!(outcomes >= 1 && outcomes <= self.allowed[at], "{outcomes} outcomes: {text}");
            let rows = self.rows.borrow();
            let last = rows.iter().rev().find(|(device, _)| *device == at).unwrap();
            assert_eq!(*last, row, "the journal and the record differ");
            let action = entry.action.map(|action| {
                let action = MachineAction::from_json(action.get(), &|_| {}).unwrap();
                action_at(action.id())
            });
            check_truth(world, at, entry.state, action);
            bytes += entry.bytes();
        }
        assert_eq!(known.counts().bytes, bytes);
        assert_eq!(known.counts().unfinished(), 0);
    }

    /// The job took little longer than its quotas need.
    pub(super) fn in_time(world: &mut World, began: Duration) {
        let count = world.plan.given.len();
        let links = world.quota(Endpoint::Link).least(count);
        let collections = world.quota(Endpoint::Collect).least(count);
        let actions = world.service.actions.iter();
        let longest = actions.map(|action| action.ends - action.created).max().unwrap();
        // An end is noticed after an eighth of the time, or with the next poll. Then comes the download.
        let noticed = (longest / 8).max(Duration::from_secs(15)) + Duration::from_secs(25);
        let requests = Duration::from_millis(400) * u32::try_from(count.min(100)).unwrap();
        let most = links.max(collections).mul_f64(1.02) + longest + noticed + requests;
        let took = world.now - began;
        assert!(took <= most, "it took {took:?}, and {most:?} would do");
    }
}

/// Whether the outcome is what has happened at the service.
fn check_truth(world: &World, at: usize, state: State, action: Option<usize>) {
    let device = &world.service.devices[at];
    let found = action.map(|action| &world.service.actions[action]);
    match state {
        State::Done => {
            let found = found.unwrap();
            assert_eq!((found.device, found.fate.end), (at, "Succeeded"));
            assert_eq!(found.fate.package, Package::Good);
            assert!(world.files.contains(&action.unwrap()), "there is no package");
        }
        State::Failed => {
            let has_ended = found
                .is_some_and(|it| it.fate.end != "Succeeded" || it.fate.package != Package::Good);
            assert!(has_ended || device.refusal.is_some(), "device {at} failed without a reason");
        }
        State::Skipped => assert!(world.plan.given[at].problem.is_some()),
        other => panic!("{other:?} is no outcome"),
    }
}
