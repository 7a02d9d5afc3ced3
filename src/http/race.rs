//! Connecting to a host with several addresses: Happy Eyeballs (RFC 8305), without a thread.
//!
//! Attempts run side by side, and one wait polls them all. The next one begins 250 ms after the last one, or at once
//! when one fails. The first address whose connection is *usable* wins, and the other sockets are closed. Usable means
//! more than connected: the proxy has opened the tunnel, the TLS handshake is complete, and a server without TLS has
//! answered the probe, if there is one. A proxy that asks for a login has won, too. So an address that accepts and then
//! says nothing costs as little as one that leads nowhere. A definite refusal, such as a wrong certificate, ends the race:
//! other addresses are the same host. The time limit is one for all attempts together.

use std::io;
use std::net::SocketAddr;
use std::slice;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, Timespec, poll};

use super::attempt::{Attempt, Goal};
use super::failure::Failure;
use super::socket::wait_for;

/// The pause before the next attempt, as RFC 8305 recommends it.
const DELAY: Duration = Duration::from_millis(250);
/// The shortest pause that RFC 8305 allows.
const SHORTEST_DELAY: Duration = Duration::from_millis(10);

/// The most addresses of a host that are tried.
const MOST: usize = 32;

/// The order of attempts: families alternate, and the family of the first address begins.
pub(super) fn order(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let begins = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let count = addresses.len();
    let (one, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == begins);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut ordered = Vec::with_capacity(count);
    while ordered.len() < count.min(MOST) {
        ordered.extend(one.next());
        ordered.extend(other.next());
    }
    ordered
}

struct Race<'a> {
    goal: &'a Goal<'a>,
    waiting: slice::Iter<'a, SocketAddr>,
    running: Vec<Attempt>,
    delay: Duration,
    next_at: Instant,
    /// Why the last attempt failed.
    failure: Option<Failure>,
}

/// Connects to the first address that is usable, in this order of attempts.
pub(super) fn run(
    addresses: &[SocketAddr],
    limit: Instant,
    goal: &Goal<'_>,
) -> Result<Attempt, Failure> {
    let now = Instant::now();
    // Each address gets its chance, even where the time is short.
    let each = limit.saturating_duration_since(now) / (addresses.len() as u32 + 1);
    let race = Race {
        goal,
        waiting: addresses.iter(),
        running: Vec::new(),
        delay: DELAY.min(each).max(SHORTEST_DELAY),
        next_at: now,
        failure: None,
    };
    race.finish(limit)
}

/// Goes on with one attempt, which waited for a login.
pub(super) fn resume(
    attempt: Attempt,
    limit: Instant,
    goal: &Goal<'_>,
) -> Result<Attempt, Failure> {
    let race = Race {
        goal,
        waiting: [].iter(),
        running: vec![attempt],
        delay: DELAY,
        next_at: Instant::now(),
        failure: None,
    };
    race.finish(limit)
}

impl Race<'_> {
    fn finish(mut self, limit: Instant) -> Result<Attempt, Failure> {
        match wait_for(limit, |slice| self.round(slice))? {
            Some(winner) => Ok(winner),
            None => Err(self.too_late()),
        }
    }

    /// Starts what is due, waits for at most `slice`, and lets each attempt go as far as it can.
    fn round(&mut self, slice: Duration) -> io::Result<Option<Attempt>> {
        let now = Instant::now();
        self.start(now)?;
        let slice = match self.waiting.len() {
            0 => slice,
            _ => slice.min(self.next_at.saturating_duration_since(now)),
        };
        // Backwards: removing one does not move those that are still to come.
        for (at, ready) in self.poll(slice)?.into_iter().enumerate().rev() {
            // Polling on Windows before 2004 does not report a refused connection.
            if !ready && !cfg!(windows) {
                continue;
            }
            let Some(attempt) = self.running.get_mut(at) else { continue };
            match attempt.advance(self.goal, ready) {
                Ok(true) => return Ok(Some(self.running.swap_remove(at))),
                Ok(false) => {}
                Err(failure) => {
                    let address = self.running.swap_remove(at).address();
                    self.goal.record(|recorder| recorder.failed(address, &failure));
                    if !failure.is_transient() {
                        return Err(failure.into());
                    }
                    self.failure = Some(failure);
                    self.next_at = now;
                }
            }
        }
        Ok(None)
    }

    /// Starts the attempts that are due. An error: all addresses have failed.
    fn start(&mut self, now: Instant) -> Result<(), Failure> {
        while self.running.is_empty() || now >= self.next_at {
            let Some(address) = self.waiting.next() else { break };
            self.goal.record(|recorder| recorder.trying(*address));
            match Attempt::begin(*address, self.goal) {
                Ok(attempt) => {
                    self.running.push(attempt);
                    self.next_at = now + self.delay;
                }
                // Often a family that this host has no route for. What became of others tells more.
                Err(failure) => {
                    self.goal.record(|recorder| recorder.failed(*address, &failure));
                    self.failure.get_or_insert(failure);
                }
            }
        }
        match self.running.is_empty() {
            true => Err(self.too_late()),
            false => Ok(()),
        }
    }

    /// Which attempts can go on.
    fn poll(&self, slice: Duration) -> io::Result<Vec<bool>> {
        let timeout = Timespec::try_from(slice).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut fds: Vec<_> = self
            .running
            .iter()
            .map(|attempt| PollFd::new(attempt.socket(), attempt.waits_for()))
            .collect();
        poll(&mut fds, Some(&timeout))?;
        // Errors and hang-ups count as ready: the next step reports them.
        Ok(fds.iter().map(|fd| !fd.revents().is_empty()).collect())
    }

    /// The failure of the attempt that came furthest. One that still runs came further than one that has failed.
    fn too_late(&mut self) -> Failure {
        let silent = self.running.iter().find_map(|attempt| attempt.silence(self.goal));
        let failed = self.failure.take().filter(|_| self.running.is_empty());
        silent.or(failed).unwrap_or_else(|| self.goal.no_answer())
    }
}

#[cfg(test)]
#[path = "race_tests.rs"]
mod tests;
