//! What a transaction does with the slots of an endpoint.
//!
//! It needs the bytes of the file and the time of the transaction, and nothing else. So simulations run it in virtual time, on
//! a file in memory.

use std::time::Duration;

use super::layout::{EndpointState, Entry};
use super::transaction::{Bytes, Result, Transaction};
use super::usage::{Decision, Usage, nanos, retention};
use crate::quota::ledger::{Answer, Outcome, Renewal, Slot, View, lease};
use crate::quota::window::{Window, grace_period};
use crate::service::quota::Quota;

impl<F: Bytes> Transaction<F> {
    /// Takes a slot if every window has room for it.
    pub(super) fn take(&self, quota: Quota, windows: &[Window], owner: u64) -> Result<Answer> {
        let known = self.state(quota);
        let state = known.used_with(windows, self.now);
        if state != known {
            self.write_state(quota, state)?;
        }
        let usage = Usage::of(&self.entries(quota)?, windows, self.now);
        let place = match usage.decide(state, windows) {
            Decision::Take(place) => place,
            Decision::Wait(full) => return Ok(Answer::Full(full)),
        };
        self.write(quota, place, Entry { stamp: self.leased(windows), owner })?;
        Ok(Answer::Taken(Slot { place, owner, probe: state.half_open }))
    }

    /// Records how the call in a slot has ended.
    pub(super) fn settle(
        &self,
        quota: Quota,
        slot: Slot,
        outcome: Outcome,
        windows: &[Window],
    ) -> Result<()> {
        let grace = nanos(grace_period(windows));
        let entry = match outcome {
            Outcome::NotSent => Entry::FREE,
            Outcome::Replied => Entry { stamp: self.now, owner: 0 },
            Outcome::GivenUp => Entry { stamp: self.now.saturating_add(grace), owner: 0 },
        };
        self.write_slot(quota, slot, entry, windows)?;
        let state = self.state(quota);
        // A late reply does not open what a later 429 has closed.
        if slot.probe && outcome == Outcome::Replied && state.closed_for(self.now) == 0 {
            self.write_state(quota, EndpointState { half_open: false, ..state })?;
        }
        Ok(())
    }

    /// Renews a slot for another lease.
    pub(super) fn renew(&self, quota: Quota, slot: Slot, windows: &[Window]) -> Result<Renewal> {
        let kept = self.entry(quota, slot.place)?;
        let in_time = kept.is_some_and(|kept| kept.owner == slot.owner && kept.stamp > self.now);
        // A lost slot is written too, because its call is in flight.
        let entry = Entry { stamp: self.leased(windows), owner: slot.owner };
        self.write_slot(quota, slot, entry, windows)?;
        Ok(if in_time { Renewal::Kept } else { Renewal::Lost })
    }

    /// Closes the endpoint after a 429 to the call in a slot.
    pub(super) fn close(
        &self,
        quota: Quota,
        slot: Option<Slot>,
        wait: Duration,
        windows: &[Window],
    ) -> Result<()> {
        self.write_state(quota, self.state(quota).closed(wait, self.now))?;
        match slot {
            Some(slot) => {
                self.write_slot(quota, slot, Entry { stamp: self.now, owner: 0 }, windows)
            }
            None => Ok(()),
        }
    }

    /// The state of an endpoint.
    pub(super) fn view(&self, quota: Quota, windows: &[Window]) -> Result<View> {
        let state = self.state(quota);
        let closed = state.closed_for(self.now);
        let usage = Usage::of(&self.entries(quota)?, windows, self.now);
        Ok(View {
            in_flight: usage.in_flight,
            available_in: usage.available_in(state),
            closed_for: (closed > 0).then(|| Duration::from_nanos(closed)),
            used: windows.iter().map(|window| usage.used(*window)).collect(),
        })
    }

    /// The end of a lease that begins now.
    fn leased(&self, windows: &[Window]) -> u64 {
        self.now.saturating_add(nanos(lease(windows)))
    }

    /// Writes the new entry of a slot at its place.
    fn write_slot(&self, quota: Quota, slot: Slot, entry: Entry, windows: &[Window]) -> Result<()> {
        let kept = self.entry(quota, slot.place)?;
        if kept.is_some_and(|kept| kept.owner == slot.owner) {
            return self.write(quota, slot.place, entry);
        }
        // Its lease ran out, and another call has its place. An earlier renewal may have moved it elsewhere.
        let entries = self.entries(quota)?;
        let elsewhere =
            entries.iter().position(|kept| kept.owner == slot.owner).map(|at| at as u64);
        let free = || {
            let retention = self.state(quota).retention.max(retention(windows));
            Usage::of(&entries, windows, self.now).reusable(retention)
        };
        match elsewhere.or_else(|| free().filter(|_| entry != Entry::FREE)) {
            Some(place) => self.write(quota, place, entry),
            None => Ok(()),
        }
    }
}
