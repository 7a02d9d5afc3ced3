//! A log of the quota that reaches beyond this process: what the limiter asks of it.
//!
//! It knows one kind of entry: a slot with the time up to which the service may still count its call. For a
//! call under way that time lies ahead and is moved on while the call lives; a reply moves it back to now. So
//! a process that dies at any instant leaves slots behind that age like any other, without anybody's help.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use super::snapshot::{Refusal, Snapshot};
use super::window::{Window, straggling};
use crate::call::{Call, KeepAlive, Kept};
use crate::os::process;
use crate::service::endpoint::Quota;

/// A quota log shared with other processes.
pub(crate) trait Ledger: Debug + Send + Sync {
    /// Takes a slot if every window has room for it.
    fn begin(&self, quota: Quota, windows: &[Window], call: &Call) -> Result<Answer, Refusal>;

    /// Says how a call ended.
    fn settle(&self, quota: Quota, slot: Slot, outcome: Outcome, windows: &[Window]);

    /// Keeps a slot for another [`lease`].
    fn renew(&self, quota: Quota, slot: Slot, windows: &[Window]) -> Renewal;

    /// The service said 429, to the call in this slot: nothing goes out on this endpoint for `wait`, and the slot
    /// is given back, in one step, because whoever made the call may be out of time. After `wait` one call at a time
    /// goes out, until one of them is not refused.
    fn throttled(&self, quota: Quota, slot: Option<Slot>, wait: Duration, windows: &[Window]);

    /// How an endpoint stands; `None`: not to be learned at present. Who has a call does not wait longer than that may.
    fn view(&self, quota: Quota, windows: &[Window], call: Option<&Call>) -> Option<View>;

    /// Time that passes also while the machine sleeps.
    fn now(&self) -> Duration;

    /// What kind of log it is, and where it lives.
    fn place(&self) -> (&'static str, String);

    /// Why it is not used at present, or by others not, to complete "the log …".
    fn trouble(&self) -> Option<String>;
}

#[derive(Debug)]
pub(crate) enum Answer {
    Taken(Slot),
    Full(Full),
    /// The log cannot be used, and the caller is to go on without it, with this percentage of the limits.
    Alone(u32),
}

/// There is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Full {
    /// It is worth asking again after this time.
    pub look_in: Duration,
    /// When there will be room. `None`: that depends on calls under way, which keep their slots for nobody knows
    /// how long.
    pub free_in: Option<Duration>,
    /// How long the service keeps the endpoint closed.
    pub closed_for: Duration,
}

/// A log that cannot be used is tried again after a pause, which doubles each time.
pub(crate) const FIRST_RETRY: Duration = Duration::from_secs(1);
pub(crate) const LAST_RETRY: Duration = Duration::from_secs(30);

/// The host is told of the same thing at most this often.
pub(crate) const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

/// A slot in the log: its place, and a number that nobody else's entry there has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub place: u64,
    pub owner: u64,
    /// The endpoint was half open: a reply to this call that is no 429 opens it.
    pub probe: bool,
}

/// What became of the wish to keep a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    Kept,
    /// It was not kept in time, and others may have gone in its place.
    Lost,
    /// The log could not be asked.
    Unknown,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Replied,
    NotSent,
    /// Without a reply: its bytes may still arrive.
    GivenUp,
}

/// How an endpoint stands for all who share it.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub in_flight: usize,
    /// As [`Full::free_in`].
    pub available_in: Option<Duration>,
    pub closed_for: Option<Duration>,
    /// Slots in use, of each window.
    pub used: Vec<usize>,
}

impl Snapshot {
    /// What the shared log knows counts where it is more than this process knows.
    pub(super) fn take_in(&mut self, view: View) {
        self.in_flight = self.in_flight.max(view.in_flight);
        self.available_in =
            self.available_in.zip(view.available_in).map(|(mine, shared)| mine.max(shared));
        self.closed_for = self.closed_for.max(view.closed_for);
        for (mine, shared) in self.used.iter_mut().zip(view.used) {
            *mine = shared.max(*mine);
        }
    }
}

/// How long a slot stays taken without a word from its holder: long enough that the bytes of a holder who
/// died right after its last renewal have arrived, or never will.
pub(crate) fn lease(windows: &[Window]) -> Duration {
    (straggling(windows) * 2).max(SHORTEST_LEASE)
}

/// A holder that gets the processor rarely must still be able to renew in time.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

/// Calls of other processes that are under way may end at any moment, which nobody tells us: who waits
/// for one looks this often.
pub(crate) fn between_looks(windows: &[Window]) -> Duration {
    let shortest = windows.iter().map(|window| window.length).min().unwrap_or_default();
    (shortest / 500).clamp(Duration::from_millis(5), Duration::from_millis(250))
}

/// A number for a new entry that no other has. Threads of a forked child draw the same random numbers as their
/// parent's, hence the process.
pub(crate) fn new_owner() -> u64 {
    (u64::from(process::id()) << 32) | u64::from(fastrand::u32(1..))
}

/// A slot that this process holds in a shared log.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    ledger: Arc<dyn Ledger>,
    quota: Quota,
    slot: Slot,
    /// No later than this, on the log's own clock.
    taken_at: Duration,
}

impl Held {
    /// `asked_at`: when the log was asked for it.
    pub(crate) fn new(
        ledger: &Arc<dyn Ledger>,
        quota: Quota,
        slot: Slot,
        asked_at: Duration,
    ) -> Held {
        Held { ledger: Arc::clone(ledger), quota, slot, taken_at: asked_at }
    }

    pub(crate) fn slot(&self) -> Slot {
        self.slot
    }

    pub(crate) fn settle(&self, outcome: Outcome, windows: &[Window]) {
        self.ledger.settle(self.quota, self.slot, outcome, windows);
    }
}

/// Renews a slot while its call is under way.
#[derive(Debug)]
pub(crate) struct Keeper {
    held: Held,
    windows: Vec<Window>,
    /// On the log's own clock.
    renew_at: Duration,
    /// The log counts the slot for us until then, whatever happens.
    kept_until: Duration,
    lost: bool,
}

impl Keeper {
    pub(crate) fn new(held: &Held, windows: &[Window]) -> Keeper {
        let lease = lease(windows);
        Keeper {
            held: held.clone(),
            windows: windows.to_vec(),
            renew_at: held.taken_at + lease / 4,
            kept_until: held.taken_at + lease,
            lost: false,
        }
    }
}

impl KeepAlive for Keeper {
    /// Renews the slot if it is time.
    fn keep(&mut self) -> Kept {
        let Held { ledger, quota, slot, .. } = &self.held;
        let now = ledger.now();
        if now >= self.renew_at {
            let lease = lease(&self.windows);
            // Whoever comes after the end of the lease has lost the slot, whatever the log can say about it.
            self.lost |= now >= self.kept_until;
            let pause = match ledger.renew(*quota, *slot, &self.windows) {
                Renewal::Kept => {
                    self.kept_until = now + lease;
                    lease / 4
                }
                Renewal::Lost => {
                    self.lost = true;
                    lease / 4
                }
                // Several more attempts before the lease is over.
                Renewal::Unknown => lease / 8,
            };
            self.renew_at = now + pause;
        }
        // Asking may have taken long.
        let now = ledger.now();
        self.lost |= now >= self.kept_until;
        Kept { is_lost: self.lost, again_in: self.renew_at.saturating_sub(now) }
    }
}

#[cfg(test)]
#[path = "tests/ledger.rs"]
mod tests;
