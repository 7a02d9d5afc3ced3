//! The limiter's interface for `benches/limiter`. Only the feature `test-hooks` compiles it.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use once_cell::sync::OnceCell;

use crate::call::{Call, Cancel, Running, Stop};
use crate::quota::clock::fake::FakeClock;
use crate::quota::clock::{Clock, SystemClock, Time};
use crate::quota::limits::Limits;
use crate::quota::registry::Key;
use crate::quota::rules::Rules;
use crate::quota::snapshot::Refusal;
use crate::quota::window::Window;
use crate::quota::{file, limiter};
use crate::service::quota::Quota;

const QUOTA: Quota = Quota::Collect;

/// Longer than any bench.
const TIMEOUT: Duration = Duration::from_secs(3_600);

/// A limiter with its limits for the endpoint `collect`.
#[derive(Debug)]
pub struct Limiter {
    limiter: Arc<limiter::Limiter>,
    rules: Rules,
    time: TimeSource,
    calls: Arc<Running>,
}

/// What moves the limiter's clock.
#[derive(Debug)]
enum TimeSource {
    System,
    Manual(Arc<FakeClock>),
    PerCall(Arc<SteppingClock>),
}

/// Advances by the same time with every call, so that the log keeps its length. It also reads the system's clock,
/// so that a reading costs as much as there.
#[derive(Debug)]
struct SteppingClock {
    system: SystemClock,
    nanos: AtomicU64,
    step: u64,
}

impl Clock for SteppingClock {
    fn now(&self) -> Time {
        black_box(self.system.now());
        Time::default().plus(Duration::from_nanos(self.nanos.load(Ordering::Relaxed)))
    }

    fn wait(&self, call: &Call, _: Option<Time>) -> Result<(), Stop> {
        call.check()
    }

    /// Deadlines are on the system's clock, so any time of that clock will do.
    fn check(&self, call: &Call, _: Time) -> Result<(), Stop> {
        self.system.check(call, Time::default())
    }
}

impl Limiter {
    /// In memory, on the system's clock. `limits`: as in the option `quota_limits`.
    pub fn new(limits: &str) -> Result<Limiter, String> {
        Limiter::with(limits, Arc::new(SystemClock::new()), TimeSource::System)
    }

    /// In memory, on a clock that only [`Limiter::advance`] moves.
    pub fn in_virtual_time(limits: &str) -> Result<Limiter, String> {
        let clock = Arc::new(FakeClock::default());
        Limiter::with(limits, Arc::<FakeClock>::clone(&clock), TimeSource::Manual(clock))
    }

    /// In memory, on a clock that advances by `step` with every call.
    pub fn stepping(limits: &str, step: Duration) -> Result<Limiter, String> {
        let step = u64::try_from(step.as_nanos()).map_err(|_| "too long a step".to_owned())?;
        let (system, nanos) = (SystemClock::new(), AtomicU64::new(0));
        let clock = Arc::new(SteppingClock { system, nanos, step });
        Limiter::with(limits, Arc::<SteppingClock>::clone(&clock), TimeSource::PerCall(clock))
    }

    /// With the log in this file, as with `quota_file`.
    pub fn with_file(limits: &str, path: &str) -> Result<Limiter, String> {
        let limiter = Limiter::new(limits)?;
        let key = Key::new("bench", "tenant", "application");
        let _ = limiter.rules.ledger.set(file::ledger(path, &key, &limiter.rules.limits));
        Ok(limiter)
    }

    /// With the log on this server, as with `quota_redis`.
    pub fn with_redis(limits: &str, url: &str) -> Result<Limiter, String> {
        use crate::http::connect::Dialer;
        use crate::http::tls::Trust;
        use crate::quota::redis::{self, Fallback, Target};

        let limiter = Limiter::new(limits)?;
        let key = Key::new("bench", "tenant", "application");
        let tls = Trust::new(Vec::new(), None, false).map_err(|error| error.to_string())?;
        let dialer = Dialer {
            tls: Arc::new(tls),
            proxies: Arc::default(),
            logins: Arc::default(),
            lookups: Arc::default(),
            user_agent: "bench".into(),
            recorder: None,
        };
        let ledger = redis::ledger(&Target::parse(url)?, Fallback::default(), &dialer, &key);
        let _ = limiter.rules.ledger.set(ledger);
        Ok(limiter)
    }

    fn with(limits: &str, clock: Arc<dyn Clock>, time: TimeSource) -> Result<Limiter, String> {
        let rules = Rules { limits: Limits::parse(limits)?, ledger: OnceCell::new() };
        let limiter = Arc::new(limiter::Limiter::new(clock));
        Ok(Limiter { limiter, rules, time, calls: Arc::default() })
    }

    /// Moves the clock of [`Limiter::in_virtual_time`].
    pub fn advance(&self, by: Duration) {
        if let TimeSource::Manual(clock) = &self.time {
            clock.advance(by);
        }
    }

    /// One operation, which may make many calls.
    pub fn caller(&self, cancel: Option<&Cancel>) -> Caller<'_> {
        Caller { limiter: self, call: Call::begin(&self.calls, Some(TIMEOUT), cancel) }
    }

    /// The number of slots in use in the widest window, and of callers that wait.
    pub fn usage(&self) -> (usize, usize) {
        let snapshot = self.limiter.snapshot(QUOTA, &self.rules);
        (snapshot.used.into_iter().max().unwrap_or_default(), snapshot.queued)
    }
}

/// How long after its reply a call keeps its slot in a window of this length.
pub fn hold(length: Duration) -> Duration {
    Window { limit: 1, length }.hold()
}

/// A caller that acquires slots.
#[derive(Debug)]
pub struct Caller<'a> {
    limiter: &'a Limiter,
    call: Call,
}

impl Caller<'_> {
    /// A slot, if there is one now. The error is the time until there is one, where that is known.
    pub fn try_acquire(&self) -> Result<Permit<'_>, Option<Duration>> {
        self.take(false)
    }

    /// Waits for a slot. `None`: cancelled.
    pub fn acquire(&self) -> Option<Permit<'_>> {
        self.take(true).ok()
    }

    fn take(&self, wait: bool) -> Result<Permit<'_>, Option<Duration>> {
        let Limiter { limiter, rules, time, .. } = self.limiter;
        if let TimeSource::PerCall(clock) = time {
            clock.nanos.fetch_add(clock.step, Ordering::Relaxed);
        }
        match limiter.acquire(QUOTA, rules, &self.call, wait) {
            Ok(permit) => Ok(Permit(permit)),
            Err(Refusal::NoRoom(wait)) => Err(wait),
            Err(_) => Err(None),
        }
    }
}

/// A slot.
#[derive(Debug)]
pub struct Permit<'a>(limiter::Permit<'a>);

impl Permit<'_> {
    /// The reply has arrived.
    pub fn replied(self) {
        self.0.replied();
    }
}
