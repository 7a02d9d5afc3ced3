//! The quota file of several processes in memory and in virtual time. The bytes and what is done with them are those of the
//! file. Missing are the lock, since one process acts at a time, and the file system.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::layout::{Entry, HEAD, Head};
use super::most;
use super::store::fill;
use super::transaction::{Bytes, Transaction, Trouble};
use super::usage::{burst, nanos};
use crate::call::Call;
use crate::quota::clock::fake::FakeClock;
use crate::quota::clock::{Clock, Time};
use crate::quota::ledger::{Answer, Ledger, Outcome, Renewal, Slot, View};
use crate::quota::limits::Limits;
use crate::quota::snapshot::Refusal;
use crate::quota::window::Window;
use crate::service::quota::{PerQuota, Quota};

/// The system writes each byte to the disk within this time.
const WRITEBACK: Duration = Duration::from_secs(30);

/// What a loss of power keeps or loses as a whole.
const SECTOR: usize = 512;

/// The time zero marks a free place.
const AFTER_BOOT: Duration = Duration::from_secs(10);

/// The file, which several processes use.
#[derive(Clone, Debug)]
pub(crate) struct QuotaFile(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    bytes: Vec<u8>,
    /// The contents of the last moments, each with the time at which it was replaced.
    earlier: VecDeque<(Duration, Vec<u8>)>,
    clock: Arc<FakeClock>,
    booted: Duration,
    boots: u8,
    bursts: PerQuota<u32>,
}

impl State {
    fn now(&self) -> Duration {
        self.clock.now().since(Time::default())
    }

    /// The time on the clock that all processes share.
    fn since_boot(&self) -> Duration {
        (self.now() + AFTER_BOOT).saturating_sub(self.booted)
    }
}

impl QuotaFile {
    pub(crate) fn new(limits: &Limits, clock: &Arc<FakeClock>) -> QuotaFile {
        let slots = PerQuota::from_fn(|quota| most(limits.of(quota)));
        let head = Head { slots, identity: [1; 32] };
        let file = QuotaFile(Arc::new(Mutex::new(State {
            bytes: Vec::new(),
            earlier: VecDeque::new(),
            clock: Arc::clone(clock),
            booted: Duration::ZERO,
            boots: 0,
            bursts: PerQuota::from_fn(|quota| burst(limits.of(quota))),
        })));
        fill(&Open(&file.0), &head, &[0; 16], Entry::FREE)
            .unwrap_or_else(|_| panic!("the file is damaged"));
        file
    }

    /// The log as one process uses it.
    pub(crate) fn of_process(&self, number: u32) -> Arc<ProcessLedger> {
        let (file, is_gone) = (self.clone(), AtomicBool::new(false));
        Arc::new(ProcessLedger { file, number, owners: AtomicU32::new(0), is_gone })
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().bytes.clone()
    }

    /// The machine starts after a loss of power: its clock begins anew, and what was not on disk is lost.
    pub(crate) fn restart(&self, random: &mut fastrand::Rng) {
        {
            let state = &mut *self.0.lock();
            let now = state.now();
            let flushed = now.saturating_sub(WRITEBACK);
            let earlier = state.earlier.iter().find(|(replaced, _)| *replaced >= flushed);
            if let Some((_, earlier)) = earlier {
                let sectors = state.bytes.chunks_mut(SECTOR).zip(earlier.chunks(SECTOR));
                for (sector, before) in sectors {
                    if random.bool() {
                        sector.copy_from_slice(before);
                    }
                }
            }
            state.earlier.clear();
            state.booted = now;
            state.boots += 1;
        }
        let (boots, bursts) = {
            let state = self.0.lock();
            (state.boots, state.bursts.clone())
        };
        let begun =
            transaction(&self.0, |transaction| transaction.begin_session(&[boots; 16], &bursts));
        begun.unwrap_or_else(|_| panic!("the file is damaged"));
    }
}

/// The bytes of the file, for one transaction.
struct Open<'a>(&'a Mutex<State>);

impl Bytes for Open<'_> {
    fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let state = self.0.lock();
        let rest = state.bytes.get(place(at)..).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut state = self.0.lock();
        let (at, end) = (place(at), place(at) + bytes.len());
        if state.bytes.len() < end {
            state.bytes.resize(end, 0);
        }
        state.bytes[at..end].copy_from_slice(bytes);
        Ok(())
    }
}

fn place(at: u64) -> usize {
    usize::try_from(at).unwrap()
}

fn transaction<T>(
    state: &Mutex<State>,
    act: impl FnOnce(&Transaction<Open<'_>>) -> super::transaction::Result<T>,
) -> super::transaction::Result<T> {
    let (bytes, now) = {
        let state = &mut *state.lock();
        let now = state.now();
        let flushed = now.saturating_sub(WRITEBACK);
        while state.earlier.front().is_some_and(|(replaced, _)| *replaced < flushed) {
            state.earlier.pop_front();
        }
        state.earlier.push_back((now, state.bytes.clone()));
        (state.bytes[..HEAD].to_vec(), nanos(state.since_boot()))
    };
    let head = Head::read(&bytes).ok_or(Trouble::NoQuotaFile)?;
    act(&Transaction { file: Open(state), head, bytes, now })
}

/// The log in the file, as one process uses it.
#[derive(Debug)]
pub(crate) struct ProcessLedger {
    file: QuotaFile,
    number: u32,
    owners: AtomicU32,
    is_gone: AtomicBool,
}

impl ProcessLedger {
    /// The process has ended. What it would still write is not written.
    pub(crate) fn end(&self) {
        self.is_gone.store(true, Ordering::Relaxed);
    }

    fn transact<T>(
        &self,
        act: impl FnOnce(&Transaction<Open<'_>>) -> super::transaction::Result<T>,
    ) -> Option<T> {
        if self.is_gone.load(Ordering::Relaxed) {
            return None;
        }
        Some(transaction(&self.file.0, act).unwrap_or_else(|_| panic!("the file is damaged")))
    }
}

impl Ledger for ProcessLedger {
    fn begin(&self, quota: Quota, windows: &[Window], _: &Call) -> Result<Answer, Refusal> {
        let owner = self.owners.fetch_add(1, Ordering::Relaxed);
        let owner = ((u64::from(self.number) + 1) << 32) | u64::from(owner);
        let taken = self.transact(|transaction| transaction.take(quota, windows, owner));
        Ok(taken.unwrap_or_else(|| panic!("a process that has ended asks for a slot")))
    }

    fn settle(&self, quota: Quota, slot: Slot, outcome: Outcome, windows: &[Window]) {
        self.transact(|transaction| transaction.settle(quota, slot, outcome, windows));
    }

    fn renew(&self, quota: Quota, slot: Slot, windows: &[Window]) -> Renewal {
        let renewed = self.transact(|transaction| transaction.renew(quota, slot, windows));
        renewed.unwrap_or(Renewal::Unknown)
    }

    fn throttled(&self, quota: Quota, slot: Option<Slot>, wait: Duration, windows: &[Window]) {
        self.transact(|transaction| transaction.close(quota, slot, wait, windows));
    }

    fn view(&self, quota: Quota, windows: &[Window], _: Option<&Call>) -> Option<View> {
        self.transact(|transaction| transaction.view(quota, windows))
    }

    fn now(&self) -> Duration {
        self.file.0.lock().since_boot()
    }

    fn location(&self) -> (&'static str, String) {
        (super::KIND, "in memory".to_owned())
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}
