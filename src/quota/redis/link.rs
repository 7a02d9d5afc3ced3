//! The way to the server: connections that are kept, and what becomes of it when it does not answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Fallback;
use super::connection::Connection;
use super::scripts::Run;
use super::target::Target;
use crate::call::{Call, Stop};
use crate::http::connect::Dialer;
use crate::http::socket::{Exchange, Head};
use crate::log::{self, Level};
use crate::quota::ledger::{BETWEEN_WARNINGS, FIRST_RETRY, LAST_RETRY};

/// How long connecting and signing in may take.
pub(super) const CONNECTING: Duration = Duration::from_secs(2);

/// How long an answer may take.
pub(super) const ANSWERING: Duration = Duration::from_secs(2);

/// How many connections are kept for the next to come.
const KEPT: usize = 8;

/// Runs scripts on a server. No lock is held while anything waits.
#[derive(Debug)]
pub(super) struct Link {
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

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Missed {
    Stopped(Stop),
    /// To complete "the log on … …"; worth another attempt after a while.
    Trouble {
        why: String,
        retry_in: Duration,
    },
}

impl Link {
    pub(super) fn new(target: Target, dialer: Dialer, fallback: Fallback) -> Link {
        Link { target, dialer, fallback, idle: Mutex::default(), health: Mutex::default() }
    }

    /// Where the server is, for messages.
    pub(super) fn shown(&self) -> String {
        self.target.shown()
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.health.lock().trouble.as_ref().map(|trouble| trouble.why.clone())
    }

    /// Runs one script, unless the server is known not to answer. It takes as long as the call may, and no
    /// longer than `patience`.
    pub(super) fn run(
        &self,
        call: &Call,
        patience: Duration,
        run: &Run<'_>,
    ) -> Result<Vec<i64>, Missed> {
        self.may_try()?;
        let part = Arc::new(call.part(patience));
        let head = Head { lines: Arc::default(), secret: None, bulk: false };
        let _exchange =
            Exchange::enter(&part, CONNECTING.min(patience), ANSWERING.min(patience), head);
        let why = match self.attempt(run, part.began()) {
            Ok(answer) => {
                self.recovered();
                return Ok(answer);
            }
            Err(why) => why,
        };
        if let Err(stop) = call.check() {
            self.release();
            return Err(Missed::Stopped(stop));
        }
        let took = part.began().elapsed();
        let why = match took >= ANSWERING {
            true => format!("gave no answer within {} s", took.as_secs()),
            false => format!("cannot be used: {why}"),
        };
        Err(self.failed(why, part.began()))
    }

    /// On a connection that was kept or, if that one is found dead, on a new one. (Should the server have taken a
    /// slot before the connection died, nobody holds it, and it ages.)
    fn attempt(&self, run: &Run<'_>, began: Instant) -> Result<Vec<i64>, String> {
        if let Some(mut kept) = self.take() {
            match run.on(&mut kept) {
                Ok(answer) => return Ok(self.keep(kept, answer)),
                Err(error) if kept.is_broken(&error) && began.elapsed() < ANSWERING => {}
                Err(error) => return Err(kept.explain(&error, &self.target)),
            }
        }
        let mut connection = Connection::open(&self.dialer, &self.target)?;
        match run.on(&mut connection) {
            Ok(answer) => Ok(self.keep(connection, answer)),
            Err(error) => Err(connection.explain(&error, &self.target)),
        }
    }

    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock();
        // Those that are not fresh any more go with it.
        while let Some(connection) = idle.pop() {
            if connection.is_fresh() {
                return Some(connection);
            }
        }
        None
    }

    fn keep<T>(&self, connection: Connection, answer: T) -> T {
        let mut idle = self.idle.lock();
        if idle.len() < KEPT {
            idle.push(connection);
        }
        answer
    }

    /// While the server is in trouble, only one at a time tries whether it is back.
    fn may_try(&self) -> Result<(), Missed> {
        let mut health = self.health.lock();
        let Some(trouble) = &mut health.trouble else {
            return Ok(());
        };
        let now = Instant::now();
        if now < trouble.retry_at {
            let retry_in = trouble.retry_at.saturating_duration_since(now);
            return Err(Missed::Trouble { why: trouble.why.clone(), retry_in });
        }
        trouble.retry_at = now + CONNECTING + ANSWERING;
        Ok(())
    }

    /// Who was to try was stopped first: somebody else may.
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

    fn failed(&self, why: String, began: Instant) -> Missed {
        let now = Instant::now();
        let (pause, warn) = {
            let mut health = self.health.lock();
            let pause = match &health.trouble {
                None => FIRST_RETRY,
                // Somebody else has found out meanwhile.
                Some(trouble) if trouble.noticed > began => trouble.pause,
                Some(trouble) => (trouble.pause * 2).min(LAST_RETRY),
            };
            health.trouble =
                Some(Trouble { why: why.clone(), noticed: now, retry_at: now + pause, pause });
            let warn = health.warned.is_none_or(|at| now.duration_since(at) >= BETWEEN_WARNINGS);
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
        Missed::Trouble { why, retry_in: pause }
    }
}
