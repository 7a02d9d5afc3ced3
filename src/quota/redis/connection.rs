//! A connection to the server. The redis crate implements the protocol. Socket and TLS are ours, so that a call can
//! stop every wait, and the same certificates are trusted as everywhere else.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use ::redis::{Cmd, ConnectionLike, Parser, RedisError, RedisResult, Value};
use zeroize::Zeroizing;

use super::target::Target;
use crate::http::connect::Dialer;
use crate::http::failure::Failure;
use crate::http::transport::Stream;
use crate::status::Status;
use crate::text::redact;

/// The largest reply. A valid one has a few numbers.
const LARGEST: u64 = 256 * 1024;

/// Servers, and proxies before them, close idle connections.
const LONGEST_IDLE: Duration = Duration::from_secs(30);

/// Every server answers it, also before the sign-in, so an address that accepts and then says nothing is found out. TLS
/// needs no such request.
const PROBE: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// A connection that has signed in.
pub(super) struct Connection {
    stream: Stream,
    parser: Parser,
    database: u32,
    /// The failure of socket or TLS, which the redis crate would hide.
    failure: Option<Failure>,
    used: Instant,
}

impl Connection {
    pub(super) fn open(dialer: &Dialer, target: &Target) -> Result<Connection, String> {
        let stream = dialer
            .open(&target.host, target.port, target.secure, PROBE)
            .map_err(|failure| failure.to_string())?;
        let mut connection = Connection {
            stream,
            parser: Parser::new(),
            database: target.database,
            failure: None,
            used: Instant::now(),
        };
        connection.greet(target).map_err(|error| connection.explain(&error, target))?;
        Ok(connection)
    }

    fn greet(&mut self, target: &Target) -> RedisResult<()> {
        if !target.secure {
            match self.reply() {
                // The probe is not permitted, or not before the sign-in.
                Err(error) if matches!(error.code(), Some("NOAUTH" | "NOPERM")) => {}
                other => drop(other?),
            }
        }
        self.sign_in(target)
    }

    fn sign_in(&mut self, target: &Target) -> RedisResult<()> {
        if !target.password.is_empty() {
            let words = ["AUTH", &target.user, &target.password];
            let words = words.iter().filter(|word| !word.is_empty());
            // The redis crate would leave copies of the password in memory.
            let mut packed = Zeroizing::new(String::with_capacity(
                64 + target.user.len() + target.password.len(),
            ));
            packed.push_str(&format!("*{}\r\n", words.clone().count()));
            for word in words {
                packed.push_str(&format!("${}\r\n", word.len()));
                packed.push_str(word);
                packed.push_str("\r\n");
            }
            self.req_packed_command(packed.as_bytes())?;
        }
        if target.database > 0 {
            ::redis::cmd("SELECT").arg(target.database).exec(self)?;
        }
        Ok(())
    }

    fn reply(&mut self) -> RedisResult<Value> {
        let Connection { stream, parser, failure, used, .. } = self;
        let value = parser.parse_value(Incoming { stream, failure, last: None }.take(LARGEST))?;
        *used = Instant::now();
        value.extract_error()
    }

    /// Whether it can be used again.
    pub(super) fn is_fresh(&self) -> bool {
        self.used.elapsed() < LONGEST_IDLE && self.stream.is_idle_and_open()
    }

    /// Why a command failed. The error text of the redis crate is not used, because it may contain text of the server.
    pub(super) fn explain(&self, error: &RedisError, target: &Target) -> String {
        match (&self.failure, error.code()) {
            (Some(failure), _) => failure.to_string(),
            (None, Some(code)) => {
                let text = target.mask(format!("{code} {}", error.detail().unwrap_or_default()));
                format!("the server returned {}", redact::clean(&text, 200))
            }
            (None, None) if error.is_io_error() => "the server closed the connection".to_owned(),
            (None, None) => "the reply is not of the Redis protocol".to_owned(),
        }
    }

    /// Whether the connection failed, and not the command.
    pub(super) fn is_broken(&self, error: &RedisError) -> bool {
        self.failure.is_some() || error.is_io_error()
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command(&mut self, packed: &[u8]) -> RedisResult<Value> {
        if let Err(error) = self.stream.write_all(packed) {
            self.failure = Some(Failure::from_io(error));
            return Err(RedisError::from(io::Error::from(io::ErrorKind::BrokenPipe)));
        }
        self.reply()
    }

    fn req_packed_commands(
        &mut self,
        packed: &[u8],
        _: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        // The scripts use no pipelines.
        match count {
            1 => self.req_packed_command(packed).map(|value| vec![value]),
            _ => Err(RedisError::from(io::Error::from(io::ErrorKind::Unsupported))),
        }
    }

    fn req_command(&mut self, command: &Cmd) -> RedisResult<Value> {
        self.req_packed_command(&command.get_packed_command())
    }

    fn supports_pipelining(&self) -> bool {
        false
    }

    fn get_db(&self) -> i64 {
        i64::from(self.database)
    }

    fn check_connection(&mut self) -> bool {
        self.is_fresh()
    }

    fn is_open(&self) -> bool {
        self.failure.is_none()
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

/// Passes one reply to the parser. Records a failure, because the parser would hide it. Refuses nested lists: no
/// valid reply has them, and the parser recurses on the stack of the host's thread.
struct Incoming<'a> {
    stream: &'a mut Stream,
    failure: &'a mut Option<Failure>,
    /// The previous byte.
    last: Option<u8>,
}

impl Read for Incoming<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let amount = self.stream.read(buffer).map_err(|error| {
            *self.failure = Some(Failure::from_io(error));
            io::Error::from(io::ErrorKind::BrokenPipe)
        })?;
        for byte in buffer.get(..amount).unwrap_or_default() {
            if self.last == Some(b'\n') && matches!(byte, b'*' | b'%' | b'~' | b'>' | b'|') {
                let message = "the reply is not of the Redis protocol";
                *self.failure = Some(Failure::new(Status::Protocol, message));
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.last = Some(*byte);
        }
        Ok(amount)
    }
}
