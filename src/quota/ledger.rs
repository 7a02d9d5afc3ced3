//! The interface of a call log that processes share.
//!
//! An entry is a slot with a stamp: the time until which the service may still count its call. The stamp of a call
//! in flight lies in the future, and renewals move it on. A reply sets it to now. So the slots of a process that dies
//! age like all others, and nobody has to notice its death.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use super::snapshot::{Refusal, Snapshot};
use super::window::{Window, grace_period};
use crate::call::{Call, KeepAlive, Kept};
use crate::os::{fork, random};
use crate::service::quota::Quota;

/// A call log that this process shares with others.
pub(crate) trait Ledger: Debug + Send + Sync {
    /// Takes a slot if every window has room for it.
    fn begin(&self, quota: Quota, windows: &[Window], call: &Call) -> Result<Answer, Refusal>;

    /// Records how a call ended.
    fn settle(&self, quota: Quota, slot: Slot, outcome: Outcome, windows: &[Window]);

    /// Renews a slot for another [`lease`].
    fn renew(&self, quota: Quota, slot: Slot, windows: &[Window]) -> Renewal;

    /// The service answered the call in this slot with 429. Closes the endpoint for `wait`, makes it half open after
    /// that, and releases the slot. This is one step, because the caller may have no time for two.
    fn throttled(&self, quota: Quota, slot: Option<Slot>, wait: Duration, windows: &[Window]);

    /// The state of an endpoint. `None`: the log cannot be read. A `call` limits the time that this takes.
    fn view(&self, quota: Quota, windows: &[Window], call: Option<&Call>) -> Option<View>;

    /// The time on a clock that also runs while the machine sleeps.
    fn now(&self) -> Duration;

    /// The kind of the log, and its path or address.
    fn location(&self) -> (&'static str, String);

    /// Why this process does not use the log, or why others may be unable to. It completes "the log …".
    fn trouble(&self) -> Option<String>;
}

#[derive(Debug)]
pub(crate) enum Answer {
    Taken(Slot),
    Full(Full),
    /// The log cannot be used. This process counts its own calls alone, with this percentage of the limits.
    Local(u32),
}

/// The log has no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Full {
    /// When the caller asks again.
    pub recheck_in: Duration,
    /// When there will be room. `None`: calls in flight decide that.
    pub available_in: Option<Duration>,
    /// How long the service keeps the endpoint closed.
    pub closed_for: Duration,
}

/// A log that cannot be used is tried again after a pause. The pause doubles from the first to the longest.
pub(crate) const FIRST_RETRY: Duration = Duration::from_secs(1);
pub(crate) const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// The shortest time between two warnings about the same log.
pub(crate) const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// A slot in the log: its place, and a number that is unique to its entry there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub place: u64,
    pub owner: u64,
    /// The endpoint was half open. A reply to this call that is no 429 opens it.
    pub probe: bool,
}

/// The result of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    Kept,
    /// The lease had run out, so another call may have taken the slot.
    Lost,
    /// The log did not answer.
    Unknown,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Replied,
    NotSent,
    /// It has no reply, and its bytes may still arrive.
    GivenUp,
}

/// The state of an endpoint over all processes that share the log.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub in_flight: usize,
    /// As [`Full::available_in`].
    pub available_in: Option<Duration>,
    pub closed_for: Option<Duration>,
    /// Slots in use, of each window.
    pub used: Vec<usize>,
}

impl Snapshot {
    /// Takes the larger figure of this process and the shared log.
    pub(super) fn merge(&mut self, view: View) {
        self.in_flight = self.in_flight.max(view.in_flight);
        self.available_in =
            self.available_in.zip(view.available_in).map(|(mine, shared)| mine.max(shared));
        self.closed_for = self.closed_for.max(view.closed_for);
        for (mine, shared) in self.used.iter_mut().zip(view.used) {
            *mine = shared.max(*mine);
        }
    }
}

/// How long a slot stays taken without a renewal. A call may be sent right after the last renewal of a process that
/// dies, so the lease is longer than the grace period.
pub(crate) fn lease(windows: &[Window]) -> Duration {
    (grace_period(windows) * 2).max(SHORTEST_LEASE)
}

/// A process that rarely gets the processor must be able to renew in time.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

/// How often a caller asks again while calls of other processes are in flight. They may end at any time, and no
/// process is notified of it.
pub(crate) fn recheck_interval(windows: &[Window]) -> Duration {
    let shortest = windows.iter().map(|window| window.length).min().unwrap_or_default();
    (shortest / 500).clamp(Duration::from_millis(5), Duration::from_millis(250))
}

/// A unique number for a new entry. It contains the process id, so only threads of one process can draw the same.
pub(crate) fn new_owner() -> u64 {
    (u64::from(fork::process_id()) << 32) | u64::from(random::generator().u32(1..))
}

/// A slot that this process holds in a shared log.
#[derive(Clone, Debug)]
pub(crate) struct HeldSlot {
    ledger: Arc<dyn Ledger>,
    quota: Quota,
    slot: Slot,
    /// An instant before it was taken, on the log's clock.
    taken_at: Duration,
}

impl HeldSlot {
    /// `asked_at`: when the log was asked for the slot.
    pub(crate) fn new(
        ledger: &Arc<dyn Ledger>,
        quota: Quota,
        slot: Slot,
        asked_at: Duration,
    ) -> HeldSlot {
        HeldSlot { ledger: Arc::clone(ledger), quota, slot, taken_at: asked_at }
    }

    pub(crate) fn slot(&self) -> Slot {
        self.slot
    }

    pub(crate) fn settle(&self, outcome: Outcome, windows: &[Window]) {
        self.ledger.settle(self.quota, self.slot, outcome, windows);
    }
}

/// Renews a slot while its call is in flight.
#[derive(Debug)]
pub(crate) struct LeaseKeeper {
    held: HeldSlot,
    windows: Vec<Window>,
    /// On the log's clock.
    renew_at: Duration,
    /// The log counts the slot for this call until then.
    kept_until: Duration,
    lost: bool,
}

impl LeaseKeeper {
    pub(crate) fn new(held: &HeldSlot, windows: &[Window]) -> LeaseKeeper {
        let lease = lease(windows);
        LeaseKeeper {
            held: held.clone(),
            windows: windows.to_vec(),
            renew_at: held.taken_at + lease / 4,
            kept_until: held.taken_at + lease,
            lost: false,
        }
    }
}

impl KeepAlive for LeaseKeeper {
    /// Renews the slot when a renewal is due.
    fn keep(&mut self) -> Kept {
        let HeldSlot { ledger, quota, slot, .. } = &self.held;
        let now = ledger.now();
        if now >= self.renew_at {
            let lease = lease(&self.windows);
            // After the end of the lease the slot is lost, whatever the log reports.
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
                // This leaves time for several attempts before the lease ends.
                Renewal::Unknown => lease / 8,
            };
            self.renew_at = now + pause;
        }
        // The renewal may have taken long.
        let now = ledger.now();
        self.lost |= now >= self.kept_until;
        Kept { is_lost: self.lost, again_in: self.renew_at.saturating_sub(now) }
    }
}

#[cfg(test)]
#[path = "tests/ledger.rs"]
mod tests;
