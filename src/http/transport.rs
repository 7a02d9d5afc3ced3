//! A connection as the HTTP library uses it: plain or TLS, over our own socket.
//!
//! The token does not pass through the HTTP library, which would copy it for every request and wipe no copy. Its header
//! line, and the lines that never change, are inserted after the request line here. The query of a link to a package is
//! put into the request line here for the same reason.

use std::io::{self, Read, Write};

use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

use zeroize::Zeroize;

use super::failure::Failure;
use super::socket::BULK;
use super::socket::{Exchange, Socket};
use super::tls::{self, TlsStream};
use crate::status::Status;
use crate::text::room::make_room;
use crate::text::secret_line::SecretLine;

/// The largest head of a request: a token, an escaped filter, and the rest.
const OUTPUT: usize = 64 * 1024;
/// The largest head of a reply; bodies are read piece by piece.
const INPUT: usize = 64 * 1024;

/// Nearly every request fits into this.
const ONE_REQUEST: usize = 8 * 1024;

pub(crate) struct Connection {
    stream: Stream,
    buffers: LazyBuffers,
    /// Output that is collected until the HTTP library reads, so that one write carries head and body.
    pending: Vec<u8>,
    /// Whether data has just arrived: then the connection was open a moment ago.
    fresh: bool,
}

pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream>),
}

impl Stream {
    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.write_all(bytes),
            Stream::Tls(tls) => tls::write_all(tls, bytes),
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(tls) => tls.read(buffer),
        }
    }

    /// Whether the connection is open and no unexpected data has arrived.
    pub(crate) fn is_idle_and_open(&self) -> bool {
        match self {
            Stream::Plain(socket) => socket.is_idle_and_open(),
            Stream::Tls(tls) => tls.sock.is_idle_and_open(),
        }
    }
}

impl Connection {
    pub(crate) fn new(stream: Stream) -> Connection {
        Connection {
            stream,
            buffers: LazyBuffers::new(if Exchange::is_bulk() { BULK } else { INPUT }, OUTPUT),
            pending: Vec::with_capacity(ONE_REQUEST),
            fresh: false,
        }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = self.stream.write_all(&self.pending);
        // The buffer held a token. It is wiped when the connection is dropped.
        self.pending.clear();
        written.map_err(Failure::from_io)
    }
}

/// Splits after the first line.
fn after_line(head: &[u8]) -> Option<(&[u8], &[u8])> {
    head.split_at_checked(memchr::memchr(b'\n', head)? + 1)
}

/// Appends. The buffer at least doubles when it grows, since more may follow.
fn append(buffer: &mut Vec<u8>, parts: &[&[u8]]) {
    let total = buffer.len() + parts.iter().map(|part| part.len()).sum::<usize>();
    if total > buffer.capacity() {
        make_room(buffer, total.next_power_of_two() - buffer.len());
    }
    for part in parts {
        buffer.extend_from_slice(part);
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        match Exchange::take_head() {
            None => append(&mut self.pending, &[output]),
            Some(head) => {
                let (line, rest) = after_line(output).ok_or_else(|| {
                    let message = "the first line of the request is not whole";
                    Failure::new(Status::Internal, message).wrap()
                })?;
                let secret = head.secret.as_ref().map_or("", SecretLine::as_str);
                let (lines, secret) = (head.lines.as_bytes(), secret.as_bytes());
                match &head.target {
                    None => append(&mut self.pending, &[line, lines, secret, rest]),
                    Some(target) => {
                        let line: [&[u8]; 3] = [b"GET ", target.as_bytes(), b" HTTP/1.1\r\n"];
                        let [get, target, version] = line;
                        append(&mut self.pending, &[get, target, version, lines, secret, rest]);
                    }
                }
            }
        }
        if self.pending.len() < OUTPUT {
            return Ok(());
        }
        self.flush().map_err(Failure::wrap)
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        self.flush().map_err(Failure::wrap)?;
        let input = self.buffers.input_append_buf();
        if input.is_empty() {
            let message = format!("the reply's head is larger than {INPUT} bytes");
            return Err(Failure::new(Status::Protocol, message).wrap());
        }
        let amount = match self.stream.read(input) {
            Ok(amount) => amount,
            // A body without a length ends with the connection. A reset must not count as such an end.
            Err(error) => return Err(Failure::from_io(error).wrap()),
        };
        Exchange::hide_location(input.get_mut(..amount).unwrap_or_default());
        self.buffers.input_appended(amount);
        self.fresh = amount > 0;
        Ok(self.fresh)
    }

    /// The HTTP library calls this when it pools a connection and when it uses it again. Only the second needs a check.
    fn is_open(&mut self) -> bool {
        if std::mem::take(&mut self.fresh) {
            return true;
        }
        self.stream.is_idle_and_open()
    }

    fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

/// The buffers may have held a token or a link.
impl Drop for Connection {
    fn drop(&mut self) {
        self.pending.zeroize();
        self.buffers.output().zeroize();
        // Only what counts as consumed is given out as a whole.
        let unread = self.buffers.input().len();
        self.buffers.input_consume(unread);
        self.buffers.input_append_buf().zeroize();
    }
}
