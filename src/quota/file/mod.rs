//! `quota_file`: one call log for all processes of the host, kept over restarts.
//!
//! The rule of admission is the limiter's, on a clock that all processes share. A process that dies leaves its calls
//! in the file, with the time until which the service may count them. After a restart of the machine all earlier
//! calls count as made at its start. If the file cannot be used, the process counts its own calls alone, logs a
//! warning, and tries the file again later.

#[cfg(test)]
pub(crate) mod in_memory;
mod layout;
#[cfg(windows)]
mod rewrite;
mod slots;
mod store;
#[cfg(test)]
mod tests;
mod transaction;
mod usage;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use self::layout::AssumedSpent;
#[cfg(test)]
pub(super) use self::layout::{EndpointState, Entry};
use self::store::Store;
use self::transaction::{Pause, Transaction, Trouble};
use self::usage::nanos;
#[cfg(test)]
pub(super) use self::usage::{Decision, Usage, retention};
use super::ledger::{
    self, Answer, FIRST_RETRY, LONGEST_RETRY, Ledger, Outcome, Renewal, Slot, View,
    WARNING_INTERVAL,
};
use super::limits::Limits;
use super::registry::Key;
use super::snapshot::Refusal;
use super::window::Window;
use crate::call::{Call, Stop};
use crate::error::Error;
use crate::log::{self, Level};
use crate::os::boot_clock;
use crate::os::io_error::in_words;
use crate::service::quota::{PerQuota, Quota};
use crate::status::Status;

/// The quota log in a file.
pub(crate) struct FileLedger {
    path: String,
    state: Mutex<State>,
}

struct State {
    store: Store,
    slots: PerQuota<u32>,
    /// Why the file cannot be used, and when it is tried again.
    trouble: Option<(String, Instant)>,
    /// As the file had it in the last transaction.
    assumed_spent: Option<AssumedSpent>,
    retry_pause: Duration,
    warned_at: Option<Instant>,
    /// Lines for the host's log. They are logged after the lock is released, because the host may call back.
    lines: Vec<String>,
}

/// The name in status documents.
pub(crate) const KIND: &str = "file";

/// The largest limit of a window. Each decision reads the whole table.
pub(crate) const MOST_CALLS: u32 = 50_000;

/// The percentage of the limits that applies without the file.
const ALL: u32 = 100;

/// How long the end of a call waits for the file. If it cannot be recorded, the lease ends the call.
const SETTLE_TIMEOUT: Duration = Duration::from_millis(200);

/// How long a renewal waits for the file. It is short, because the thread must return to its call.
const RENEW_TIMEOUT: Duration = Duration::from_millis(10);

impl FileLedger {
    /// The first transaction opens the file.
    pub(crate) fn new(path: &str, key: &Key, limits: &Limits) -> FileLedger {
        let mut slots = PerQuota::default();
        for quota in Quota::ALL {
            *slots.of_mut(quota) = most(limits.of(quota));
        }
        let state = State {
            store: Store::new(path, key.digest(), limits),
            slots,
            trouble: None,
            assumed_spent: None,
            retry_pause: FIRST_RETRY,
            warned_at: None,
            lines: Vec::new(),
        };
        FileLedger { path: path.to_owned(), state: Mutex::new(state) }
    }

    /// Runs one transaction. Does nothing before the next retry of a file that cannot be used.
    fn transact(
        &self,
        state: &mut State,
        pause: Pause<'_>,
        act: &mut dyn FnMut(&Transaction) -> Result<(), Trouble>,
    ) -> Result<(), Refusal> {
        if state.trouble.as_ref().is_some_and(|(_, retry_at)| Instant::now() < *retry_at) {
            return Ok(());
        }
        let rights_lost = state.store.rights_lost().is_some();
        let done = state.store.lock(&state.slots, pause).and_then(|transaction| {
            state.assumed_spent = AssumedSpent::read(&transaction.bytes);
            act(&transaction)
        });
        if let Some(what) = state.store.rights_lost().filter(|_| !rights_lost) {
            let line = format!("quota_file {} {}", self.path, replaced(what));
            state.lines.push(line);
        }
        if state.store.take_damage() {
            state.lines.push(format!(
                "quota_file {} was damaged; the new one starts as if the whole quota had just been spent",
                self.path
            ));
        }
        match done {
            Ok(()) => {
                if state.trouble.take().is_some() {
                    state.retry_pause = FIRST_RETRY;
                    state.lines.push(format!("quota_file {} is in use again", self.path));
                }
                Ok(())
            }
            Err(Trouble::Stopped(stop)) => Err(Refusal::Stopped(stop)),
            Err(Trouble::OtherIdentity) => Err(self.unusable(
                state,
                "counts for another tenant, application or service; give each its own file",
            )),
            Err(Trouble::NoQuotaFile) => Err(self.unusable(
                state,
                "is neither empty nor a quota file; name another file, or empty this one",
            )),
            Err(Trouble::NotOurs(why)) => {
                Err(self.unusable(state, &format!("is not used: {why}; name another file")))
            }
            Err(Trouble::OtherVersion(version)) => {
                let why = format!(
                    "has format version {version}, and this library reads and writes version {}; name another file",
                    layout::VERSION
                );
                Err(self.unusable(state, &why))
            }
            Err(Trouble::Failed(what, why)) => {
                let trouble = format!("cannot be {what} ({})", in_words(why));
                self.warn(state, &trouble);
                state.trouble = Some((trouble, Instant::now() + state.retry_pause));
                state.retry_pause = (state.retry_pause * 2).min(LONGEST_RETRY);
                Ok(())
            }
        }
    }

    /// The file is not this client's, and waiting does not change that.
    fn unusable(&self, state: &mut State, why: &str) -> Refusal {
        // The next call tries it again at once.
        state.trouble = Some((why.to_owned(), Instant::now()));
        let message = format!("option `quota_file`: {} {why}", self.path);
        Refusal::Failed(Error::new(Status::Config, message))
    }

    fn warn(&self, state: &mut State, trouble: &str) {
        let now = Instant::now();
        if state.warned_at.is_some_and(|at| now.duration_since(at) < WARNING_INTERVAL) {
            return;
        }
        state.warned_at = Some(now);
        state.lines.push(format!(
            "quota_file {} {trouble}; this process counts its own calls only until it can",
            self.path
        ));
    }

    /// Runs one transaction, or gives up after this time.
    fn transact_within(
        &self,
        timeout: Duration,
        call: Option<&Call>,
        act: &mut dyn FnMut(&Transaction) -> Result<(), Trouble>,
    ) {
        let until = Instant::now() + timeout;
        let Some(mut state) = self.state.try_lock_until(until) else {
            return;
        };
        let mut pause = |nap: Duration| {
            std::thread::sleep(nap);
            call.map_or(Ok(()), Call::check)?;
            if Instant::now() < until { Ok(()) } else { Err(Stop::Deadline) }
        };
        let _ = self.transact(&mut state, &mut pause, act);
        unlock_and_log(state);
    }

    fn lock_state(&self, call: &Call) -> Result<MutexGuard<'_, State>, Refusal> {
        loop {
            if let Some(state) = self.state.try_lock_for(Duration::from_millis(10)) {
                return Ok(state);
            }
            call.check().map_err(Refusal::Stopped)?;
        }
    }
}

/// Releases the lock, then logs the lines that wait for it.
fn unlock_and_log(mut state: MutexGuard<'_, State>) {
    let lines = std::mem::take(&mut state.lines);
    drop(state);
    for text in lines {
        log::line(Level::Warn, || text);
    }
}

impl std::fmt::Debug for FileLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileLedger")
    }
}

impl Ledger for FileLedger {
    fn begin(&self, quota: Quota, windows: &[Window], call: &Call) -> Result<Answer, Refusal> {
        let mut state = self.lock_state(call)?;
        let slots = state.slots.of_mut(quota);
        *slots = (*slots).max(most(windows));
        let mut pause = |nap| {
            std::thread::sleep(nap);
            call.check()
        };
        let mut answer = Answer::Local(ALL);
        let done = self.transact(&mut state, &mut pause, &mut |transaction| {
            answer = transaction.take(quota, windows, ledger::new_owner())?;
            Ok(())
        });
        unlock_and_log(state);
        done.map(|()| answer)
    }

    fn settle(&self, quota: Quota, slot: Slot, outcome: Outcome, windows: &[Window]) {
        // If this cannot be written, the slot ages from the end of the lease.
        self.transact_within(SETTLE_TIMEOUT, None, &mut |transaction| {
            transaction.settle(quota, slot, outcome, windows)
        });
    }

    fn renew(&self, quota: Quota, slot: Slot, windows: &[Window]) -> Renewal {
        let mut renewal = Renewal::Unknown;
        self.transact_within(RENEW_TIMEOUT, None, &mut |transaction| {
            renewal = transaction.renew(quota, slot, windows)?;
            Ok(())
        });
        renewal
    }

    fn throttled(&self, quota: Quota, slot: Option<Slot>, wait: Duration, windows: &[Window]) {
        // If this cannot be written, the endpoint is closed in this process alone.
        self.transact_within(SETTLE_TIMEOUT, None, &mut |transaction| {
            transaction.close(quota, slot, wait, windows)
        });
    }

    fn view(&self, quota: Quota, windows: &[Window], call: Option<&Call>) -> Option<View> {
        let mut view = None;
        self.transact_within(SETTLE_TIMEOUT, call, &mut |transaction| {
            view = Some(transaction.view(quota, windows)?);
            Ok(())
        });
        view
    }

    fn now(&self) -> Duration {
        boot_clock::now()
    }

    fn location(&self) -> (&'static str, String) {
        (KIND, self.path.clone())
    }

    fn trouble(&self) -> Option<String> {
        let state = self.state.try_lock_for(SETTLE_TIMEOUT)?;
        let trouble = state.trouble.as_ref().map(|(trouble, _)| trouble.clone());
        let spent = || {
            let assumed = state.assumed_spent?;
            let left = Duration::from_nanos(assumed.until.saturating_sub(nanos(boot_clock::now())));
            (!left.is_zero()).then(|| counted_as_spent(assumed.restarted, left))
        };
        trouble.or_else(spent).or_else(|| state.store.rights_lost().map(replaced))
    }
}

fn counted_as_spent(restarted: bool, left: Duration) -> String {
    let why = match restarted {
        true => {
            "was in use before the machine started, and calls that were not on disk count as spent"
        }
        false => "was damaged, and the whole quota counts as spent",
    };
    format!(
        "{why} for another {} s; delete the file if no calls were made before",
        left.as_secs() + 1
    )
}

fn replaced(rights_lost: &str) -> String {
    format!("was replaced, and the new file {rights_lost}: other processes may be unable to use it")
}

fn most(windows: &[Window]) -> u32 {
    windows.iter().map(|window| window.limit).max().unwrap_or(1)
}

/// The log in this file for this key. All clients of this process share it.
pub(crate) fn ledger(path: &str, key: &Key, limits: &Limits) -> Arc<dyn Ledger> {
    super::registry::ledger(path, key, || Arc::new(FileLedger::new(path, key, limits)))
}
