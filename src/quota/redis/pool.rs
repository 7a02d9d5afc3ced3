//! The pool of connections to the server, and the retries of a server that does not answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Fallback;
use super::connection::{Connection, NoReply};
use super::scripts::Run;
use super::target::Target;
use crate::call::{Call, Stop};
use crate::http::connect::Dialer;
use crate::http::socket::{Exchange, Head};
use crate::log::{self, Level};
use crate::quota::ledger::{FIRST_RETRY, LONGEST_RETRY, WARNING_INTERVAL};

/// How long connecting may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a reply may take.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// The most idle connections in the pool.
const MOST_IDLE: usize = 8;

/// Runs scripts on a server. No lock is held during a wait.
#[derive(Debug)]
pub(super) struct Pool {
    target: Target,
    dialer: Dialer,
    fallback: Fallback,
    idle: Mutex<Vec<Connection>>,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    trouble: Option<Trouble>,
    warned: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Trouble {
    why: String,
    noticed: Instant,
    retry_at: Instant,
    pause: Duration,
}

/// Why a script has no result.
#[derive(Debug)]
pub(super) enum NoAnswer {
    Stopped(Stop),
    /// The server cannot be used. `why` completes "the log on … …".
    Trouble {
        why: String,
        retry_in: Duration,
    },
}

impl Pool {
    pub(super) fn new(target: Target, dialer: Dialer, fallback: Fallback) -> Pool {
        Pool { target, dialer, fallback, idle: Mutex::default(), health: Mutex::default() }
    }

    /// The server's address, for messages.
    pub(super) fn shown(&self) -> String {
        self.target.shown()
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.health.lock().trouble.as_ref().map(|trouble| trouble.why.clone())
    }

    /// Runs one script. Fails at once before the next retry of a server that cannot be used. Ends with the call's
    /// deadline, and after `timeout` at the latest.
    pub(super) fn run(
        &self,
        call: &Call,
        timeout: Duration,
        run: &Run<'_>,
    ) -> Result<Vec<i64>, NoAnswer> {
        self.may_try()?;
        let part = Arc::new(call.part(timeout));
        let head = Head { lines: Arc::default(), secret: None, target: None, bulk: false };
        let _exchange =
            Exchange::enter(&part, CONNECT_TIMEOUT.min(timeout), REPLY_TIMEOUT.min(timeout), head);
        let why = match self.attempt(run, part.began()) {
            Ok(answer) => {
                self.recovered();
                return Ok(answer);
            }
            Err(why) => why,
        };
        if let Err(stop) = call.check() {
            self.release();
            return Err(NoAnswer::Stopped(stop));
        }
        let took = part.began().elapsed();
        let why = match took >= REPLY_TIMEOUT {
            true => format!("did not reply within {} s", took.as_secs()),
            false => format!("cannot be used: {why}"),
        };
        Err(self.failed(why, part.began()))
    }

    /// Runs the script on a keep-alive connection or, if that one is broken, on a new one. The server may have taken a
    /// slot before the connection broke. No call holds that slot, so it ages.
    fn attempt(&self, run: &Run<'_>, began: Instant) -> Result<Vec<i64>, String> {
        if let Some(mut idle) = self.take() {
            match run.on(&mut idle) {
                Ok(answer) => return Ok(self.keep(idle, answer)),
                Err(NoReply::Broken(_)) if began.elapsed() < REPLY_TIMEOUT => {}
                Err(error) => return Err(error.explain(&self.target)),
            }
        }
        let mut connection = Connection::open(&self.dialer, &self.target)?;
        match run.on(&mut connection) {
            Ok(answer) => Ok(self.keep(connection, answer)),
            Err(error) => Err(error.explain(&self.target)),
        }
    }

    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock();
        // This also closes the connections that have been idle for too long.
        while let Some(connection) = idle.pop() {
            if connection.is_fresh() {
                return Some(connection);
            }
        }
        None
    }

    fn keep<T>(&self, connection: Connection, answer: T) -> T {
        let mut idle = self.idle.lock();
        if idle.len() < MOST_IDLE {
            idle.push(connection);
        }
        answer
    }

    /// While the server cannot be used, one call at a time tries it again.
    fn may_try(&self) -> Result<(), NoAnswer> {
        let mut health = self.health.lock();
        let Some(trouble) = &mut health.trouble else {
            return Ok(());
        };
        let now = Instant::now();
        if now < trouble.retry_at {
            let retry_in = trouble.retry_at.saturating_duration_since(now);
            return Err(NoAnswer::Trouble { why: trouble.why.clone(), retry_in });
        }
        trouble.retry_at = now + CONNECT_TIMEOUT + REPLY_TIMEOUT;
        Ok(())
    }

    /// The call that tried the server was stopped. The next call may try it.
    fn release(&self) {
        if let Some(trouble) = &mut self.health.lock().trouble {
            trouble.retry_at = Instant::now();
        }
    }

    fn recovered(&self) {
        let before = self.health.lock().trouble.take();
        if before.is_some() {
            log::line(Level::Warn, || format!("quota_redis {} is in use again", self.shown()));
        }
    }

    fn failed(&self, why: String, began: Instant) -> NoAnswer {
        let now = Instant::now();
        let (pause, warn) = {
            let mut health = self.health.lock();
            let pause = match &health.trouble {
                None => FIRST_RETRY,
                // Another call has failed meanwhile, and this is the same failure.
                Some(trouble) if trouble.noticed > began => trouble.pause,
                Some(trouble) => (trouble.pause * 2).min(LONGEST_RETRY),
            };
            health.trouble =
                Some(Trouble { why: why.clone(), noticed: now, retry_at: now + pause, pause });
            let warn = health.warned.is_none_or(|at| now.duration_since(at) >= WARNING_INTERVAL);
            if warn {
                health.warned = Some(now);
            }
            (pause, warn)
        };
        if warn {
            log::line(Level::Warn, || {
                let meanwhile = match self.fallback {
                    Fallback::Local(_) => "this process counts its own calls only until it can",
                    Fallback::Fail => "nothing is sent until it can",
                };
                format!("quota_redis {} {why}; {meanwhile}", self.shown())
            });
        }
        NoAnswer::Trouble { why, retry_in: pause }
    }
}
