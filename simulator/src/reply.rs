//! A reply before it is sent, with the headers that the service puts on each kind.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use flate2::{Compression, write::ZlibEncoder};
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode, header};
use serde_json::Value;

use crate::body::{Body, Cut};
use crate::ids;
use crate::package::Package;

/// Status, headers and body.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    /// Boxed to keep a reply small enough to be the error of a `Result`.
    pub headers: Box<HeaderMap>,
    pub body: Bytes,
    /// Sent in chunks, without a length, as all JSON of the service is.
    pub chunked: bool,
    /// Sent in place of `body`.
    pub download: Option<Download>,
}

/// A part of a package, and how it goes out.
#[derive(Debug)]
pub struct Download {
    pub package: Arc<Package>,
    pub first: u64,
    pub bytes: u64,
    /// Cut the connection after so many bytes.
    pub cut_after: Option<u64>,
    /// Most bytes per second.
    pub rate: Option<u64>,
}

/// How often a limited download sends a piece.
const PIECES_PER_SECOND: u32 = 50;

const MINIMAL: &str =
    "application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8";

impl Reply {
    /// The reply to an unknown route: no body, and a length of 0.
    pub fn empty(status: StatusCode) -> Self {
        Reply {
            status,
            headers: Box::default(),
            body: Bytes::new(),
            chunked: false,
            download: None,
        }
        .with("strict-transport-security", "max-age=15724800; includeSubDomains")
    }

    /// A body of a known length.
    pub fn sized(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Self {
        Reply { status, headers: Box::default(), body: body.into(), chunked: false, download: None }
            .with("content-type", content_type)
    }

    /// Plain JSON, as the control endpoints and the sign-in service send it.
    pub fn json(status: StatusCode, value: &Value) -> Self {
        Reply::sized(status, "application/json; charset=utf-8", value.to_string())
    }

    /// A successful answer of the API.
    pub fn odata(status: StatusCode, value: &Value) -> Self {
        let mut reply = Reply::empty(status)
            .with("content-type", MINIMAL)
            .with("odata-version", "4.0")
            .with("mise-correlation-id", &ids::guid());
        reply.body = value.to_string().into();
        reply.chunked = true;
        reply
    }

    /// An error of the API.
    pub fn error(status: StatusCode, value: &Value) -> Self {
        let mut reply =
            Reply::empty(status).with("content-type", "application/json; charset=utf-8");
        reply.body = value.to_string().into();
        reply.chunked = true;
        reply
    }

    /// Adds or replaces a header; a value that HTTP does not allow is left out.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
        {
            self.headers.insert(name, value);
        }
        self
    }

    /// Compresses a successful answer of the API if the caller offered `deflate`, which in HTTP
    /// means the zlib format.
    pub fn compressed_for(mut self, request: &HeaderMap) -> Self {
        let odata = self.headers.contains_key("odata-version");
        if !odata || self.body.is_empty() || !offers_deflate(request) {
            return self;
        }
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        if encoder.write_all(&self.body).is_ok() {
            if let Ok(packed) = encoder.finish() {
                self.body = packed.into();
                return self.with("content-encoding", "deflate").with("vary", "Accept-Encoding");
            }
        }
        self
    }

    /// The reply as hyper sends it; `cut` belongs to the connection it goes out on.
    pub fn into_response(self, cut: Cut) -> Response<Body> {
        let body = match self.download {
            None => Body::whole(self.body, self.chunked),
            Some(part) => part.into_body(self.chunked, cut),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = *self.headers;
        response
    }
}

impl Download {
    fn into_body(self, chunked: bool, cut: Cut) -> Body {
        let mut body = Body::package(self.package, self.first, self.bytes, chunked);
        if let Some(rate) = self.rate {
            let piece = usize::try_from(rate / u64::from(PIECES_PER_SECOND)).unwrap_or(usize::MAX);
            body = body.dripping(piece, Duration::from_secs(1) / PIECES_PER_SECOND);
        }
        match self.cut_after {
            Some(bytes) if bytes < self.bytes => body.cut_after(bytes, cut),
            _ => body,
        }
    }
}

/// Whether `Accept-Encoding` names deflate without a weight of zero.
fn offers_deflate(request: &HeaderMap) -> bool {
    request
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|offer| {
            let mut parts = offer.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("deflate"));
            let refused = parts
                .filter_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")))
                .any(|weight| weight.trim().parse() == Ok(0.0));
            named && !refused
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deflate_must_be_offered() {
        for (offer, expected) in [
            ("deflate", true),
            ("gzip, Deflate;q=0.5", true),
            ("gzip, deflate;q=0", false),
            ("deflate;q=0.000", false),
            ("gzip", false),
            ("identity", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(offer));
            assert_eq!(offers_deflate(&headers), expected, "{offer}");
        }
    }
}
