//! `quota_redis`: one log for a whole fleet, on a Redis or Valkey server.
//!
//! The rule is the limiter's own, kept by scripts that the server runs in one step each, by its own clock: see
//! `lua/`. A process that dies leaves its calls in the log with the time up to which they may be counted.
//!
//! The server may lose the log: when it restarts, fails over to a copy, or somebody deletes it. Then calls may
//! be missing from it that the service still counts. The log knows since when it is complete, and with
//! `quota_redis_fallback=fail` nothing goes out before it reaches back a whole window. With `local` what is left of
//! it counts at once, besides the process's own log; and when the server cannot be reached, that alone.

mod connection;
mod link;
mod scripts;
mod target;
#[cfg(test)]
mod tests;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use ring::digest::{SHA256, digest};

use self::link::{Link, Missed};
use self::scripts::{Run, Scripts, micros};
pub(crate) use self::target::{ACCEPTED, Target};
use super::ledger::{
    self, Answer, FIRST_RETRY, Full, Ledger, Outcome, Renewal, Slot, View, between_looks, lease,
};
use super::registry::{self, Key};
use super::snapshot::Refusal;
use super::window::{Window, longest_hold, straggling};
use crate::call::Call;
use crate::error::{Error, Stage};
use crate::http::connect::Dialer;
use crate::log::{self, Level};
use crate::os::boot_clock;
use crate::service::endpoint::{PerQuota, Quota};
use crate::status::Status;

/// The name in status documents.
pub(crate) const KIND: &str = "redis";

/// What to do when the log cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// Go on with what this process knows, and this percentage of the limits.
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
    /// Reads option `quota_redis_fallback`.
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
    link: Link,
    fallback: Fallback,
    scripts: Scripts,
    keys: PerQuota<String>,
    /// The log as it was last used, to notice when it is another one.
    seen: Mutex<PerQuota<Seen>>,
}

/// Which log was used, and until when the server was to keep it; by the server's clock.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    made: i64,
    kept_until: i64,
    /// Whether the host was told since when this log is complete.
    told_since: i64,
}

/// The end of a call is waited for by whoever made it, maybe cancelled: what takes longer is left to the lease.
const SETTLING: Duration = Duration::from_secs(1);

/// How long a call waits for the server, if it has the time.
const PATIENCE: Duration = link::CONNECTING.saturating_add(link::ANSWERING);

/// A call under way looks after itself again after this; it tries to renew its slot several times.
const RENEWING: Duration = Duration::from_millis(250);

/// The log of a server for an identity, shared by all clients of the process.
pub(crate) fn ledger(
    target: &Target,
    fallback: Fallback,
    dialer: &Dialer,
    key: &Key,
) -> Arc<dyn Ledger> {
    let place = format!("redis {} {fallback:?} {}", target.shown(), login(target));
    registry::ledger(&place, key, || {
        Arc::new(RedisLedger::new(target.clone(), fallback, dialer.clone(), key))
    })
}

/// Tells logins apart without keeping another copy of the password.
fn login(target: &Target) -> String {
    let text = zeroize::Zeroizing::new(format!(
        "{}\n{}\n{}",
        target.secure,
        target.user,
        target.password.as_str()
    ));
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl RedisLedger {
    /// Nothing is connected before it is needed.
    fn new(target: Target, fallback: Fallback, dialer: Dialer, key: &Key) -> RedisLedger {
        RedisLedger {
            link: Link::new(target, dialer, fallback),
            fallback,
            scripts: Scripts::new(),
            keys: PerQuota::from_fn(|quota| name(key, quota)),
            seen: Mutex::default(),
        }
    }

    fn strict(&self) -> u8 {
        u8::from(self.fallback == Fallback::Fail)
    }

    /// For those who have no call to ask, or no time.
    fn briefly(&self, patience: Duration, run: &Run<'_>) -> Option<Vec<i64>> {
        let call = Call::begin(&Arc::default(), Some(patience), None);
        self.link.run(&call, patience, run).ok()
    }

    /// Remembers which log answered, and tells the host once where it begins.
    fn remember(&self, quota: Quota, windows: &[Window], now: i64, log: Seen) {
        let complete = log.told_since.saturating_add(whole(micros(longest_hold(windows))));
        let complete_in = until(complete, now);
        let told = {
            let mut all = self.seen.lock();
            let seen = all.of_mut(quota);
            let told = seen.told_since == log.told_since;
            *seen = log;
            told
        };
        if told || complete_in.is_zero() {
            return;
        }
        log::line(Level::Warn, || {
            let meanwhile = match self.fallback {
                Fallback::Local(_) => "calls of other processes before that are not counted",
                Fallback::Fail => "nothing is sent before it does",
            };
            format!(
                "quota_redis {}: the log of `{}` is new or was lost, and reaches back a whole window only \
                 in {} s; {meanwhile}",
                self.link.shown(),
                quota.name(),
                complete_in.as_secs() + 1
            )
        });
    }

    /// The log cannot be used at present.
    fn without(&self, why: &str, retry_in: Duration) -> Result<Answer, Refusal> {
        match self.fallback {
            Fallback::Local(percent) => Ok(Answer::Alone(percent)),
            Fallback::Fail => Err(Refusal::Failed(
                Error::new(
                    Status::RateLimited,
                    format!(
                        "the log of the quota on {} {why}, and `quota_redis_fallback` says to send \
                         nothing without it",
                        self.link.shown()
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
        let seen = *self.seen.lock().of(quota);
        let owner = ledger::new_owner();
        let run = Run::new(&self.scripts.begin, self.keys.of(quota))
            .with(owner)
            .with(micros(lease(windows)))
            .with(self.strict())
            .with(micros(between_looks(windows)))
            .with(seen.made)
            .with(seen.kept_until)
            .windows(windows);
        match self.link.run(call, PATIENCE, &run) {
            Ok(answer) => {
                let [taken, wait, now, made, kept_until, since, free, closed, half_open] =
                    answer[..]
                else {
                    return self.without("gave an answer of the wrong shape", FIRST_RETRY);
                };
                self.remember(quota, windows, now, Seen { made, kept_until, told_since: since });
                match (taken, u64::try_from(now)) {
                    (1, Ok(place)) => {
                        Ok(Answer::Taken(Slot { place, owner, probe: half_open == 1 }))
                    }
                    _ => Ok(Answer::Full(Full {
                        look_in: until(wait, 0).max(Duration::from_micros(1)),
                        free_in: known(free),
                        closed_for: until(closed, 0),
                    })),
                }
            }
            Err(Missed::Stopped(stop)) => Err(Refusal::Stopped(stop)),
            Err(Missed::Trouble { why, retry_in }) => self.without(&why, retry_in),
        }
    }

    fn settle(&self, quota: Quota, slot: Slot, outcome: Outcome, windows: &[Window]) {
        let ahead = match outcome {
            Outcome::NotSent => String::new(),
            Outcome::Replied => "0".to_owned(),
            Outcome::GivenUp => micros(straggling(windows)).to_string(),
        };
        let run = Run::new(&self.scripts.settle, self.keys.of(quota))
            .with(slot.place)
            .with(slot.owner)
            .with(ahead)
            .with(u8::from(slot.probe && outcome == Outcome::Replied))
            .windows(windows);
        // What could not be told ages from the end of the lease.
        let _ = self.briefly(SETTLING, &run);
    }

    fn renew(&self, quota: Quota, slot: Slot, windows: &[Window]) -> Renewal {
        let run = Run::new(&self.scripts.renew, self.keys.of(quota))
            .with(slot.place)
            .with(slot.owner)
            .with(micros(lease(windows)))
            .windows(windows);
        match self.briefly(RENEWING, &run).as_deref() {
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
        // This process keeps it closed in any case.
        let _ = self.briefly(SETTLING, &run);
    }

    fn view(&self, quota: Quota, windows: &[Window], call: Option<&Call>) -> Option<View> {
        let seen = *self.seen.lock().of(quota);
        let run = Run::new(&self.scripts.view, self.keys.of(quota))
            .with(micros(lease(windows)))
            .with(self.strict())
            .with(micros(between_looks(windows)))
            .with(seen.made)
            .with(seen.kept_until)
            .windows(windows);
        let numbers = match call {
            Some(call) => self.link.run(call, PATIENCE, &run).ok(),
            None => self.briefly(SETTLING, &run),
        };
        let mut numbers = numbers?.into_iter();
        let in_flight = usize::try_from(numbers.next()?).ok()?;
        let available_in = known(numbers.next()?);
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

    fn place(&self) -> (&'static str, String) {
        (KIND, self.link.shown())
    }

    fn trouble(&self) -> Option<String> {
        self.link.trouble()
    }
}

/// The key of one endpoint's log. All keys of an identity have the same part in braces, by which a cluster
/// keeps them on one server.
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

/// From one instant of the server to another.
fn until(then: i64, now: i64) -> Duration {
    Duration::from_micros(u64::try_from(then.saturating_sub(now)).unwrap_or_default())
}

/// A wait that is negative where nobody knows it.
fn known(wait: i64) -> Option<Duration> {
    (wait >= 0).then(|| until(wait, 0))
}

fn whole(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}
