//! A shared log in memory that answers at random.

use std::sync::Arc;
use std::time::Duration;

use super::random;
use crate::call::{Call, Rank, Signal, Stop};
use crate::error::Error;
use crate::os::sync::Mutex;
use crate::quota::ledger::{Answer, Full, Ledger, Outcome, Renewal, Slot, View};
use crate::quota::snapshot::Refusal;
use crate::quota::window::Window;
use crate::service::quota::Quota;
use crate::status::Status;

#[derive(Debug, Default)]
pub(super) struct FlakyLedger {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How often it has refused a caller.
    refused: u32,
    given: u64,
    taken: Vec<Slot>,
    /// The caller that was refused last. It must be the next to ask, if the limit is one call.
    turn: Option<Arc<Signal>>,
    /// The log is unavailable, and processes count alone, with this percentage of the limits.
    unavailable: Option<u32>,
    /// The callers that may leave at any time, and so may miss their turn.
    excused: Vec<Arc<Signal>>,
}

/// The number of refusals is limited, so that every run of a model ends.
const MOST_REFUSALS: u32 = 4;

impl FlakyLedger {
    /// The call may leave at any time from now on.
    pub(super) fn excuse(&self, call: &Call) {
        let mut state = self.state.lock();
        state.excused.push(Arc::clone(call.signal()));
        state.turn = state.turn.take().filter(|turn| !Arc::ptr_eq(turn, call.signal()));
    }

    /// Makes the log unavailable with this percentage, or available.
    pub(super) fn set_unavailable(&self, percent: Option<u32>) {
        self.state.lock().unavailable = percent;
    }

    /// Whether every slot was settled.
    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().taken.is_empty()
    }
}

impl Ledger for FlakyLedger {
    fn begin(&self, _: Quota, windows: &[Window], call: &Call) -> Result<Answer, Refusal> {
        let mut state = self.state.lock();
        let me = call.signal();
        if let Some(percent) = state.unavailable {
            return Ok(Answer::Local(percent));
        }
        let one_at_a_time = windows.iter().all(|window| window.limit == 1);
        if let Some(turn) = state.turn.take().filter(|_| one_at_a_time) {
            assert!(Arc::ptr_eq(&turn, me), "a caller lost its turn");
        }
        if state.refused < MOST_REFUSALS && random(2) == 0 {
            state.refused += 1;
            let is_excused = state.excused.iter().any(|excused| Arc::ptr_eq(excused, me));
            // A single may come between two attempts of a sweep.
            let keeps_turn = !is_excused && call.rank() == Rank::Single;
            state.turn = keeps_turn.then(|| Arc::clone(me));
            let recheck_in = Duration::from_millis(random(3).into());
            return Ok(Answer::Full(Full { recheck_in, ..Full::default() }));
        }
        match random(8) {
            0 => Err(Refusal::Failed(Error::new(Status::Internal, "the log is broken"))),
            1 => Err(Refusal::Stopped(Stop::Deadline)),
            2 => Ok(Answer::Local(100)),
            _ => {
                state.given += 1;
                let slot = Slot { place: state.given, owner: 1, probe: false };
                state.taken.push(slot);
                Ok(Answer::Taken(slot))
            }
        }
    }

    fn settle(&self, _: Quota, slot: Slot, _: Outcome, _: &[Window]) {
        let mut state = self.state.lock();
        let at = state.taken.iter().position(|taken| *taken == slot);
        state.taken.swap_remove(at.expect("a slot is settled once"));
    }

    fn renew(&self, _: Quota, _: Slot, _: &[Window]) -> Renewal {
        Renewal::Kept
    }

    fn throttled(&self, quota: Quota, slot: Option<Slot>, _: Duration, windows: &[Window]) {
        if let Some(slot) = slot {
            self.settle(quota, slot, Outcome::Replied, windows);
        }
    }

    fn view(&self, _: Quota, _: &[Window], _: Option<&Call>) -> Option<View> {
        None
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn location(&self) -> (&'static str, String) {
        ("model", String::new())
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}
