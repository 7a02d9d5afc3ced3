//! A reply whose body the caller reads piece by piece, because it is too large to be kept in memory.

use std::io::{self, Read};

use ureq::http::{HeaderMap, Response};
use ureq::{Body, BodyReader};
use zeroize::Zeroizing;

use super::client::in_milliseconds;
use super::failure::Failure;
use super::socket::Current;

/// Status, headers, and a body that comes off the wire as it is read.
///
/// Until it is dropped, sockets on this thread obey its call. Other requests on this thread must nest inside, as those
/// of a progress callback do.
pub(crate) struct Incoming {
    pub status: u16,
    headers: HeaderMap,
    /// The length of the body in bytes. `None`: the host did not name it.
    length: Option<u64>,
    body: BodyReader<'static>,
    // Dropped last: returning the connection to the pool still needs it.
    exchange: Current,
}

impl Incoming {
    pub(super) fn new(response: Response<Body>, exchange: Current) -> Incoming {
        let (head, body) = response.into_parts();
        Incoming {
            status: head.status.as_u16(),
            headers: head.headers,
            length: body.content_length(),
            body: body.into_reader(),
            exchange,
        }
    }

    /// The first header of this name, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }

    /// The wait that the host names, as `Retry-After` has it.
    pub(crate) fn retry_after(&self) -> Option<String> {
        let header = || self.header("retry-after").map(str::to_owned);
        header().or_else(|| in_milliseconds(&self.headers))
    }

    /// The target of a redirect.
    pub(crate) fn location(&self) -> Option<Zeroizing<String>> {
        let header = || Some(Zeroizing::new(self.header("location")?.to_owned()));
        self.exchange.location().or_else(header)
    }

    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether only the end of the connection marks the end of the body.
    pub(crate) fn ends_with_the_connection(&self) -> bool {
        let chunked = self.header("transfer-encoding").is_some_and(|v| !v.is_empty());
        self.length.is_none() && !chunked
    }

    /// Reads the next bytes; 0 at the end of the body. A body that ends too early is an error.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        self.body.read(buffer).map_err(|error| self.failed(error))
    }

    /// The beginning of the body, for error documents.
    pub(crate) fn read_beginning(&mut self, limit: usize) -> Result<Vec<u8>, Failure> {
        let mut beginning = Vec::new();
        let mut body = self.body.by_ref().take(limit as u64);
        match body.read_to_end(&mut beginning) {
            Ok(_) => Ok(beginning),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: io::Error) -> Failure {
        Failure::from_io(error).unread(false).sent(self.exchange.was_sent())
    }
}
