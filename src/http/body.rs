//! A reply whose body the caller reads piece by piece, because it is too large to be kept in memory.

use std::io::{self, Read};

use ureq::http::{HeaderMap, Response};
use ureq::{Body, BodyReader};

use super::failure::Failure;
use super::socket::Current;

/// Status, headers, and a body that comes off the wire as it is read.
///
/// Until it is dropped, the network serves its call on this thread: other requests may be made meanwhile
/// only from within, as a progress callback does.
pub(crate) struct Incoming {
    pub status: u16,
    headers: HeaderMap,
    /// What the host says is still to come; `None` where it does not.
    length: Option<u64>,
    body: BodyReader<'static>,
    // Dropped last: the connection is put away under it.
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

    /// A header that is text; the first, where there are several.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }

    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether the end of the body is told by nothing but the end of the connection.
    pub(crate) fn ends_with_the_connection(&self) -> bool {
        let chunked = self.header("transfer-encoding").is_some_and(|v| !v.is_empty());
        self.length.is_none() && !chunked
    }

    /// Reads what there is; 0 at the end of the body. An end that came too early is an error.
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
        Failure::from_io(error).sent(self.exchange.was_sent())
    }
}
