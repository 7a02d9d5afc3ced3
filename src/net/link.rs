//! A connection as the HTTP library uses it: plain or TLS, over our own socket.

use std::io::{self, Read, Write};

use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

use super::failure::Failure;
use super::socket::{Exchange, Socket};
use super::tls::TlsStream;

/// A request is well below this, unless its token is huge; a reply is read piece by piece.
const BUFFER: usize = 16 * 1024;

pub(crate) struct Link {
    stream: Stream,
    buffers: LazyBuffers,
}

pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream>),
}

impl Link {
    pub(crate) fn new(stream: Stream) -> Link {
        Link { stream, buffers: LazyBuffers::new(BUFFER, BUFFER) }
    }
}

impl Transport for Link {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        // From here on it is unknown how much of the request the service has.
        Exchange::mark_sent().map_err(Failure::wrap)?;
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(output),
            Stream::Tls(tls) => tls.write_all(output),
        }
        .map_err(|error| Failure::from_io(error).wrap())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        let input = self.buffers.input_append_buf();
        let read = match &mut self.stream {
            Stream::Plain(socket) => socket.read(input),
            Stream::Tls(tls) => tls.read(input),
        };
        let amount = match read {
            Ok(amount) => amount,
            // The HTTP library takes the end of the connection for the end of a body without length;
            // an abortive end must not pass for one.
            Err(error) => return Err(Failure::from_io(error).wrap()),
        };
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        match &self.stream {
            Stream::Plain(socket) => socket.is_idle_and_open(),
            Stream::Tls(tls) => tls.sock.is_idle_and_open(),
        }
    }

    fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link")
    }
}

/// The end of a connection where data was due.
pub(crate) fn cut_off() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}
