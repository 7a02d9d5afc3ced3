//! `quota_redis`: one call log for many hosts, on a Redis or Valkey server.
//!
//! The rule of admission is the limiter's. Scripts in `lua/` apply it on the server, each in one step and by the
//! server's clock. A process that dies leaves its calls in the log, with the time until which the service may count
//! them.
//!
//! A restart, a failover or a deletion may lose the log. Then it lacks calls that the service still counts. The log
//! records since when it is complete. With `quota_redis_fallback=fail` no call goes out until it reaches back a whole
//! window. With `local` the rest of the log counts at once, together with the process's own log. If the server cannot
//! be reached, `local` uses the process's own log alone.

mod connection;
mod pool;
mod reply;
mod scripts;
mod target;
// They need a server, which does not run on Windows.
#[cfg(unix)]
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use ring::digest::{SHA256, digest};

use self::pool::{NoAnswer, Pool};
use self::scripts::{Run, Scripts, micros};
pub(crate) use self::target::{ACCEPTED, Target};
use super::ledger::{
    self, Answer, FIRST_RETRY, Full, Ledger, Outcome, Renewal, Slot, View, lease, recheck_interval,
};
use super::registry::{self, Key};
use super::snapshot::Refusal;
use super::window::{Window, grace_period, longest_hold};
use crate::call::Call;
use crate::error::{Error, Stage};
use crate::http::connect::Dialer;
use crate::log::{self, Level};
use crate::os::boot_clock;
use crate::service::quota::{PerQuota, Quota};
use crate::status::Status;
use crate::text::hex::hex;

/// The name in status documents.
pub(crate) const KIND: &str = "redis";

/// What to do when the log cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// Count the calls of this process alone, with this percentage of the limits.
    Local(u32),
    /// Send nothing.
    Fail,
}

impl Default for Fallback {
    fn default() -> Fallback {
        Fallback::Local(100)
    }
}

impl Fallback {
    /// Parses option `quota_redis_fallback`.
    pub(crate) fn parse(text: &str) -> Option<Fallback> {
        match text.split_once(':') {
            None if text == "local" => Some(Fallback::default()),
            None if text == "fail" => Some(Fallback::Fail),
            Some(("local", percent)) if percent.bytes().all(|b| b.is_ascii_digit()) => {
                let percent = percent.parse().ok().filter(|percent| (1..=100).contains(percent));
                percent.map(Fallback::Local)
            }
            _ => None,
        }
    }
}

/// The quota log on a server.
#[derive(Debug)]
pub(crate) struct RedisLedger {
    pool: Pool,
    fallback: Fallback,
    scripts: Scripts,
    keys: PerQuota<String>,
    /// The log of each endpoint when it was last used. The scripts compare, to notice that a log was lost.
    known: Mutex<PerQuota<KnownLog>>,
}

/// A log that was used. Times are on the server's clock, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
struct KnownLog {
    /// When the log was created, which identifies it.
    made: i64,
    /// Until when the server must keep it.
    kept_until: i64,
    /// Since when it is complete. The last warning was about this time.
    complete_since: i64,
}

/// How long the end of a call waits for the server. If it cannot be recorded, the lease ends the call.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a call waits for the server. Its deadline may end the wait earlier.
const TIMEOUT: Duration = pool::CONNECT_TIMEOUT.saturating_add(pool::REPLY_TIMEOUT);

/// How long a renewal waits for the server. It is short, because the thread must return to its call.
const RENEW_TIMEOUT: Duration = Duration::from_millis(250);

/// The log on this server for this key. All clients of this process share it.
pub(crate) fn ledger(
    target: &Target,
    fallback: Fallback,
    dialer: &Dialer,
    key: &Key,
) -> Arc<dyn Ledger> {
    let location = format!("redis {} {fallback:?} {}", target.shown(), login(target));
    registry::ledger(&location, key, || {
        Arc::new(RedisLedger::new(target.clone(), fallback, dialer.clone(), key))
    })
}

/// A hash that identifies the login without another copy of the password.
fn login(target: &Target) -> String {
    let text = zeroize::Zeroizing::new(format!(
        "{}\n{}\n{}",
        target.secure,
        target.user,
        target.password.as_str()
    ));
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}

impl RedisLedger {
    /// The first script opens a connection.
    fn new(target: Target, fallback: Fallback, dialer: Dialer, key: &Key) -> RedisLedger {
        RedisLedger {
            pool: Pool::new(target, dialer, fallback),
            fallback,
            scripts: Scripts::new(),
            keys: PerQuota::from_fn(|quota| name(key, quota)),
            known: Mutex::default(),
        }
    }

    fn strict(&self) -> u8 {
        u8::from(self.fallback == Fallback::Fail)
    }

    /// Runs a script without a call, within this time.
    fn run_within(&self, timeout: Duration, run: &Run<'_>) -> Option<Vec<i64>> {
        let call = Call::begin(&Arc::default(), Some(timeout), None);
        self.pool.run(&call, timeout, run).ok()
    }

    /// Remembers which log answered. Warns once if it does not reach back a whole window.
    fn remember(&self, quota: Quota, windows: &[Window], now: i64, log: KnownLog) {
        let whole = log.complete_since.saturating_add(signed(micros(longest_hold(windows))));
        let whole_in = until(whole, now);
        let is_warned = {
            let mut all = self.known.lock();
            let known = all.of_mut(quota);
            let is_warned = known.complete_since == log.complete_since;
            *known = log;
            is_warned
        };
        if is_warned || whole_in.is_zero() {
            return;
        }
        log::line(Level::Warn, || {
            let meanwhile = match self.fallback {
                Fallback::Local(_) => "earlier calls of other processes are not counted",
                Fallback::Fail => "nothing is sent until then",
            };
            format!(
                "quota_redis {}: the log of `{}` is new or was lost, and reaches back a whole window only \
                 in {} s; {meanwhile}",
                self.pool.shown(),
                quota.name(),
                whole_in.as_secs() + 1
            )
        });
    }

    /// The log cannot be used.
    fn without(&self, why: &str, retry_in: Duration) -> Result<Answer, Refusal> {
        match self.fallback {
            Fallback::Local(percent) => Ok(Answer::Local(percent)),
            Fallback::Fail => Err(Refusal::Failed(
                Error::new(
                    Status::RateLimited,
                    format!(
                        "the quota log on {} {why}, and `quota_redis_fallback=fail` sends nothing \
                         without it",
                        self.pool.shown()
                    ),
                )
                .with_stage(Stage::Quota)
                .after(Some(retry_in)),
            )),
        }
    }
}

impl Ledger for RedisLedger {
    fn begin(&self, quota: Quota, windows: &[Window], call: &Call) -> Result<Answer, Refusal> {
        let known = *self.known.lock().of(quota);
        let owner = ledger::new_owner();
        let run = Run::new(&self.scripts.begin, self.keys.of(quota))
            .with(owner)
            .with(micros(lease(windows)))
            .with(self.strict())
            .with(micros(recheck_interval(windows)))
            .with(known.made)
            .with(known.kept_until)
            .windows(windows);
        match self.pool.run(call, TIMEOUT, &run) {
            Ok(answer) => {
                let [taken, recheck, now, made, kept_until, since, available, closed, half_open] =
                    answer[..]
                else {
                    return self.without("returned an unexpected reply", FIRST_RETRY);
                };
                let log = KnownLog { made, kept_until, complete_since: since };
                self.remember(quota, windows, now, log);
                match (taken, u64::try_from(now)) {
                    (1, Ok(place)) => {
                        Ok(Answer::Taken(Slot { place, owner, probe: half_open == 1 }))
                    }
                    _ => Ok(Answer::Full(Full {
                        recheck_in: until(recheck, 0).max(Duration::from_micros(1)),
                        available_in: wait_or_unknown(available),
                        closed_for: until(closed, 0),
                    })),
                }
            }
            Err(NoAnswer::Stopped(stop)) => Err(Refusal::Stopped(stop)),
            Err(NoAnswer::Trouble { why, retry_in }) => self.without(&why, retry_in),
        }
    }

    fn settle(&self, quota: Quota, slot: Slot, outcome: Outcome, windows: &[Window]) {
        let ahead = match outcome {
            Outcome::NotSent => String::new(),
            Outcome::Replied => "0".to_owned(),
            Outcome::GivenUp => micros(grace_period(windows)).to_string(),
        };
        let run = Run::new(&self.scripts.settle, self.keys.of(quota))
            .with(slot.place)
            .with(slot.owner)
            .with(ahead)
            .with(u8::from(slot.probe && outcome == Outcome::Replied))
            .windows(windows);
        // If this cannot be recorded, the slot ages from the end of the lease.
        let _ = self.run_within(SETTLE_TIMEOUT, &run);
    }

    fn renew(&self, quota: Quota, slot: Slot, windows: &[Window]) -> Renewal {
        let run = Run::new(&self.scripts.renew, self.keys.of(quota))
            .with(slot.place)
            .with(slot.owner)
            .with(micros(lease(windows)))
            .windows(windows);
        match self.run_within(RENEW_TIMEOUT, &run).as_deref() {
            Some([1]) => Renewal::Kept,
            Some([0]) => Renewal::Lost,
            _ => Renewal::Unknown,
        }
    }

    fn throttled(&self, quota: Quota, slot: Option<Slot>, wait: Duration, windows: &[Window]) {
        let member = slot.map(|slot| format!("{}:{}", slot.place, slot.owner));
        let run = Run::new(&self.scripts.throttled, self.keys.of(quota))
            .with(micros(wait))
            .with(member.unwrap_or_default())
            .windows(windows);
        // If this cannot be recorded, the endpoint is closed in this process alone.
        let _ = self.run_within(SETTLE_TIMEOUT, &run);
    }

    fn view(&self, quota: Quota, windows: &[Window], call: Option<&Call>) -> Option<View> {
        let known = *self.known.lock().of(quota);
        let run = Run::new(&self.scripts.view, self.keys.of(quota))
            .with(micros(lease(windows)))
            .with(self.strict())
            .with(micros(recheck_interval(windows)))
            .with(known.made)
            .with(known.kept_until)
            .windows(windows);
        let numbers = match call {
            Some(call) => self.pool.run(call, TIMEOUT, &run).ok(),
            None => self.run_within(SETTLE_TIMEOUT, &run),
        };
        let mut numbers = numbers?.into_iter();
        let in_flight = usize::try_from(numbers.next()?).ok()?;
        let available_in = wait_or_unknown(numbers.next()?);
        let closed = until(numbers.next()?, 0);
        let used: Vec<usize> = numbers.map_while(|used| usize::try_from(used).ok()).collect();
        if used.len() != windows.len() {
            return None;
        }
        let closed_for = Some(closed).filter(|closed| !closed.is_zero());
        Some(View { in_flight, available_in, closed_for, used })
    }

    fn now(&self) -> Duration {
        boot_clock::now()
    }

    fn location(&self) -> (&'static str, String) {
        (KIND, self.pool.shown())
    }

    fn trouble(&self) -> Option<String> {
        self.pool.trouble()
    }
}

/// The Redis key of one endpoint's log. A cluster keeps the keys of an identity on one server, because the part in
/// braces is the same.
fn name(key: &Key, quota: Quota) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b':');
    let part = |text| utf8_percent_encode(text, &PLAIN).to_string();
    let Key { family, tenant, application } = key;
    format!(
        "mde:quota:v2:{{{}/{}/{}}}:{}",
        part(family),
        part(tenant),
        part(application),
        quota.name()
    )
}

/// The time from `now` to `then` on the server's clock.
fn until(then: i64, now: i64) -> Duration {
    Duration::from_micros(u64::try_from(then.saturating_sub(now)).unwrap_or_default())
}

/// A wait in microseconds, which is negative if it is unknown.
fn wait_or_unknown(wait: i64) -> Option<Duration> {
    (wait >= 0).then(|| until(wait, 0))
}

fn signed(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}
