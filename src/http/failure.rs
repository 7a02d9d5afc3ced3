//! A failure to get a reply, as an error that passes through the HTTP library unchanged.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::call::Stop;
use crate::error::{Error, Stage};
use crate::os::io_error::reason;
use crate::status::Status;

/// A failure below HTTP: its status and its message. Text from a peer is cleaned before it becomes part of the message.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
    /// Whether any part of the request may have reached the service.
    sent: bool,
    /// Whether the peer certainly reads no request on this connection.
    is_unread: bool,
    /// Whether the same request may succeed if it is sent again.
    transient: bool,
    /// The HTTP status of a proxy's refusal.
    http_status: Option<u16>,
    /// How long the proxy asks to wait.
    retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Status(Status),
    Stopped(Stop),
}

impl Failure {
    pub(crate) fn new(status: Status, message: impl Into<String>) -> Failure {
        let transient = matches!(status, Status::Resolve | Status::Connect | Status::Broken);
        Failure {
            kind: Kind::Status(status),
            message: message.into(),
            sent: false,
            is_unread: false,
            transient,
            http_status: None,
            retry_after: None,
        }
    }

    /// Takes it back that the request is certainly unread, unless `may_be`: it went over a connection that was opened for
    /// it, whose server asked for a certificate. There the refusal of a certificate ends the handshake, and before its end
    /// a server reads nothing. Over a kept connection the refusal may come after the request was passed on.
    pub(crate) fn unread(mut self, may_be: bool) -> Failure {
        self.is_unread &= may_be;
        self
    }

    /// Records whether the service may have received the request.
    pub(crate) fn sent(mut self, sent: bool) -> Failure {
        self.sent = sent && !self.is_unread;
        self
    }

    /// Replaces status `from` by `to`, and the message. Whether the failure is transient does not change.
    pub(crate) fn relabel(
        mut self,
        from: Status,
        to: Status,
        message: impl FnOnce(&str) -> String,
    ) -> Failure {
        if self.kind == Kind::Status(from) {
            self.kind = Kind::Status(to);
            self.message = message(&self.message);
        }
        self
    }

    /// Whether the service may have received the request.
    pub(crate) fn may_have_been_received(&self) -> bool {
        self.sent
    }

    /// Whether the same request may succeed if it is sent again.
    pub(crate) fn is_transient(&self) -> bool {
        self.transient
    }

    /// Records whether the same request may succeed if it is sent again.
    pub(crate) fn transient(mut self, transient: bool) -> Failure {
        self.transient = transient;
        self
    }

    pub(crate) fn http(mut self, status: u16) -> Failure {
        self.http_status = Some(status);
        self
    }

    /// Records how long to wait before the request is sent again.
    pub(crate) fn after(mut self, wait: Option<Duration>) -> Failure {
        self.retry_after = wait;
        self
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether a proxy gave no answer at all.
    pub(crate) fn is_of_silent_proxy(&self) -> bool {
        self.kind == Kind::Status(Status::Proxy) && self.http_status.is_none()
    }

    /// Whether a proxy has no login of ours that it takes.
    pub(crate) fn is_about_login(&self) -> bool {
        self.http_status == Some(407)
    }

    /// Adds the host to the message, unless the message names it or the failure is another host's.
    pub(crate) fn with_host(mut self, host: &str) -> Failure {
        use Status::{Broken, Protocol, Tls};
        let of_host = matches!(self.kind, Kind::Status(Broken | Protocol | Tls));
        if of_host && !self.message.contains(host) {
            self.message = format!("`{host}`: {}", self.message);
        }
        self
    }

    /// Adds what there is to report about the client certificate to the failure of a connection.
    pub(crate) fn about_certificate(mut self, about: Option<String>) -> Failure {
        let may_be_why =
            matches!(self.kind, Kind::Status(Status::Tls | Status::Connect | Status::Broken));
        if let Some(about) = about.filter(|_| may_be_why) {
            self.message = format!("{}; {about}", self.message);
        }
        self
    }

    /// Adds the proxy to the message of a connection that went through it.
    pub(crate) fn through(mut self, proxy: &str) -> Failure {
        if matches!(self.kind, Kind::Status(Status::Tls | Status::Connect)) {
            self.message.push_str(&format!(" (through the proxy {proxy})"));
        }
        self
    }

    /// Adds what else may explain that no connection was opened.
    pub(crate) fn with_note(mut self, note: Option<&str>) -> Failure {
        use Status::{Connect, Proxy, Resolve};
        if let (Kind::Status(Connect | Proxy | Resolve), Some(note)) = (self.kind, note) {
            self.message.push_str(&format!(" ({note})"));
        }
        self
    }

    /// Wraps the failure for the HTTP library. Only `Other` passes through all of its layers: none takes it for an end
    /// of data or a reason to read again.
    pub(crate) fn wrap(self) -> ureq::Error {
        ureq::Error::Other(Box::new(self))
    }

    /// Unwraps the failure, or translates the library's own error. The library's text may contain the URL with its
    /// query, so it is not used.
    pub(crate) fn unwrap(error: ureq::Error) -> Failure {
        match error {
            ureq::Error::Other(inner) => match inner.downcast::<Failure>() {
                Ok(failure) => *failure,
                Err(_) => Failure::new(Status::Protocol, "the reply was not understood"),
            },
            ureq::Error::Io(error) => Failure::from_io(error),
            ureq::Error::LargeResponseHeader(..) => {
                Failure::new(Status::Protocol, "the reply's head is larger than 64 KiB")
            }
            // Its type is in a crate that ureq does not hand on; a test sees that these are its words.
            ureq::Error::Protocol(error) if error.to_string().contains("too many headers") => {
                Failure::new(Status::Protocol, "the reply's head has more than 128 lines")
            }
            ureq::Error::Protocol(_) | ureq::Error::Http(_) => {
                let message = "the reply is not valid HTTP/1.1; check scheme and port of the URL";
                Failure::new(Status::Protocol, message)
            }
            _ => Failure::new(Status::Protocol, "the reply was not understood"),
        }
    }

    /// A failure that passed through `std::io`, for example below TLS.
    pub(crate) fn from_io(error: io::Error) -> Failure {
        let why = reason(&error);
        let lost = || {
            Failure::new(
                Status::Broken,
                format!("the connection was lost before the whole reply had arrived ({why})"),
            )
        };
        let Some(inner) = error.into_inner() else {
            return lost();
        };
        match inner.downcast::<Failure>() {
            Ok(failure) => *failure,
            // The HTTP library wraps its own errors once more when a body is read through `Read`.
            Err(inner) => match inner.downcast::<ureq::Error>() {
                Ok(error) => Failure::unwrap(*error),
                Err(inner) => match inner.downcast::<rustls::Error>() {
                    // With TLS 1.3 the server refuses a client certificate after the handshake.
                    Ok(error) => {
                        let why = super::tls::explain(&error);
                        Failure {
                            is_unread: super::tls::is_about_our_certificate(&error),
                            ..Failure::new(Status::Tls, format!("TLS failed: {why}"))
                        }
                    }
                    Err(_) => lost(),
                },
            },
        }
    }
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Failure {
        Failure { kind: Kind::Stopped(stop), ..Failure::new(Status::Internal, "") }
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> io::Error {
        io::Error::other(failure)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        let stage = if failure.sent { Stage::Reply } else { Stage::Send };
        match failure.kind {
            Kind::Status(status) => {
                let error = Error::new(status, failure.message)
                    .with_stage(stage)
                    .retryable(failure.transient)
                    .after(failure.retry_after);
                match failure.http_status {
                    Some(status) => error.http(status),
                    None => error,
                }
            }
            Kind::Stopped(stop) => Error::from(stop).with_stage(stage),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_certificate_tells_of_the_request_only_on_the_connection_that_asked_for_it() {
        use rustls::AlertDescription::{AccessDenied, InternalError};
        let received = |alert, has_asked: bool| {
            let error = io::Error::other(rustls::Error::AlertReceived(alert));
            Failure::from_io(error).unread(has_asked).sent(true).may_have_been_received()
        };
        assert!(!received(AccessDenied, true));
        assert!(received(AccessDenied, false));
        assert!(received(InternalError, true));
    }
}
