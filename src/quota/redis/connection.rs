//! A connection to the server, and as much of the protocol (RESP 2) as the scripts need. Socket and TLS are those of every
//! call, so that a call can stop every wait, and the same certificates are trusted.

use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::reply::Replies;
use super::target::Target;
use crate::http::connect::Dialer;
use crate::http::failure::Failure;
use crate::http::transport::Stream;
use crate::text::redact;

/// Servers, and proxies before them, close idle connections.
const LONGEST_IDLE: Duration = Duration::from_secs(30);

/// Every server answers it, also before the sign-in, so an address that accepts and then says nothing is found out. TLS
/// needs no such request.
const PROBE: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// A connection that has signed in.
pub(super) struct Connection {
    stream: Stream,
    used: Instant,
}

/// Why a command has no result.
#[derive(Debug)]
pub(super) enum NoReply {
    /// The connection has failed, or what it brought is no reply.
    Broken(String),
    /// The server refused the command, with this text.
    Refused(String),
}

impl NoReply {
    pub(super) fn begins_with(&self, code: &str) -> bool {
        matches!(self, NoReply::Refused(text) if text.starts_with(code))
    }

    /// Completes "cannot be used: …".
    pub(super) fn explain(self, target: &Target) -> String {
        match self {
            NoReply::Broken(why) => why,
            NoReply::Refused(text) => {
                format!("the server returned {}", redact::clean(&target.mask(text), 200))
            }
        }
    }
}

impl Connection {
    pub(super) fn open(dialer: &Dialer, target: &Target) -> Result<Connection, String> {
        let stream = dialer
            .open(&target.host, target.port, target.secure, PROBE)
            .map_err(|failure| failure.to_string())?;
        let mut connection = Connection { stream, used: Instant::now() };
        connection.greet(target).map_err(|error| error.explain(target))?;
        Ok(connection)
    }

    fn greet(&mut self, target: &Target) -> Result<(), NoReply> {
        if !target.secure {
            match self.reply() {
                // The probe is not permitted, or not before the sign-in.
                Err(error) if error.begins_with("NOAUTH") || error.begins_with("NOPERM") => {}
                other => drop(other?),
            }
        }
        match (&*target.user, &**target.password) {
            (_, "") => {}
            ("", password) => drop(self.command(&["AUTH", password])?),
            (user, password) => drop(self.command(&["AUTH", user, password])?),
        }
        if target.database > 0 {
            self.command(&["SELECT", &target.database.to_string()])?;
        }
        Ok(())
    }

    /// Sends a command. Returns the numbers in its reply.
    pub(super) fn command(&mut self, words: &[&str]) -> Result<Vec<i64>, NoReply> {
        // With room for all, since a buffer that grows leaves copies of a password in memory.
        let size = words.iter().map(|word| word.len() + 32).sum::<usize>() + 32;
        let mut packed = Zeroizing::new(String::with_capacity(size));
        packed.push_str(&format!("*{}\r\n", words.len()));
        for word in words {
            packed.push_str(&format!("${}\r\n", word.len()));
            packed.push_str(word);
            packed.push_str("\r\n");
        }
        let sent = self.stream.write_all(packed.as_bytes());
        sent.map_err(|error| NoReply::Broken(Failure::from_io(error).to_string()))?;
        self.reply()
    }

    fn reply(&mut self) -> Result<Vec<i64>, NoReply> {
        let numbers = Replies::new(|buffer| self.stream.read(buffer)).one()?;
        self.used = Instant::now();
        Ok(numbers)
    }

    /// Whether it can be used again.
    pub(super) fn is_fresh(&self) -> bool {
        self.used.elapsed() < LONGEST_IDLE && self.stream.is_idle_and_open()
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}
