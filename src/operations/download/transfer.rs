//! Fetching what is missing: over links that expire, connections that break and packages that change.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::http::Uri;
use ureq::http::uri::Parts;

use super::blob;
use super::part::Part;
use super::part_state::PartState;
use super::rate::Rate;
use super::reply::{self, Meaning};
use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result, Stage};
use crate::http::body::Incoming;
use crate::http::failure::Failure;
use crate::http::retry::{self, Next};
use crate::log::{self, Level};
use crate::operations::package_uri::{self, PackageUri};
use crate::progress::{Event, Reporter};
use crate::service::endpoint::Quota;
use crate::status::Status;

/// What is written at once. Large writes are cheap writes.
const BLOCK: usize = 256 * 1024;
/// What has arrived is written at least so often, and told.
const PACE: Duration = Duration::from_millis(200);
/// An attempt that brought less than this was as good as none.
const PROGRESS: u64 = 64 * 1024;
/// How often a package may change under our hands.
const MAX_CHANGES: u32 = 3;
const MAX_REDIRECTS: u32 = 3;

/// Fetches until the part is whole.
pub(super) fn run(
    account: &Account,
    call: &Arc<Call>,
    action_id: &str,
    part: &mut Part<'_>,
    reporter: &mut Reporter<'_, '_>,
) -> Result<()> {
    let mut transfer = Transfer {
        account,
        call,
        action_id,
        rate: Rate::new(Instant::now(), part.length()),
        furthest: part.length(),
        part,
        reporter,
        link: None,
        buffer: vec![0; BLOCK],
        ranges: true,
        failures: 0,
        changes: 0,
        requests: 0,
        has_begun: false,
    };
    while !transfer.part.is_whole() {
        transfer.round()?;
    }
    transfer.tell()
}

struct Transfer<'a, 'p, 'r, 's> {
    account: &'a Account,
    call: &'a Arc<Call>,
    action_id: &'a str,
    part: &'a mut Part<'p>,
    reporter: &'a mut Reporter<'r, 's>,
    link: Option<Link>,
    buffer: Vec<u8>,
    rate: Rate,
    /// Whether the host is asked for ranges; not any more once it got them wrong.
    ranges: bool,
    /// Attempts in a row that brought nothing.
    failures: u32,
    changes: u32,
    requests: u32,
    has_begun: bool,
    furthest: u64,
}

struct Link {
    uri: PackageUri,
    /// It has led to the package before.
    proven: bool,
}

/// How an attempt ended without an end of the package.
enum Ended {
    /// The link leads nowhere, or nowhere any more.
    LinkRefused(Error),
    Changed,
    WrongRange,
    /// May go better next time, if the error says so.
    Failed(Error),
    /// Nothing more to try.
    Final(Error),
}

impl Transfer<'_, '_, '_, '_> {
    /// One attempt, and what to do about how it ended.
    fn round(&mut self) -> Result<()> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => {
                let id = self.action_id;
                self.account
                    .tell_of_wait(self.call, Quota::Link, Some(id), self.reporter)
                    .map_err(|error| error.with_action(id, None))?;
                Link { uri: package_uri::get(self.account, self.call, id)?, proven: false }
            }
        };
        let outcome = self.attempt(&mut link);
        if self.part.length() >= self.furthest.saturating_add(PROGRESS) {
            self.failures = 0;
        }
        self.furthest = self.furthest.max(self.part.length());
        match outcome {
            Ok(()) => {
                self.link = Some(link);
                Ok(())
            }
            // Links live about a minute: that this one has had its time is no failure.
            Err(Ended::LinkRefused(error)) if link.proven => {
                log::line(Level::Info, || format!("asking for a new link: {}", error.message()));
                Ok(())
            }
            Err(Ended::LinkRefused(error)) => self.again(error),
            Err(Ended::Failed(error)) => {
                self.link = Some(link);
                self.again(error)
            }
            Err(Ended::WrongRange) if self.ranges => {
                self.ranges = false;
                self.link = Some(link);
                self.part.restart()
            }
            Err(Ended::WrongRange) => {
                Err(self.dressed(protocol("the host sent another range than was asked for")))
            }
            Err(Ended::Changed) => {
                self.link = Some(link);
                self.changed()
            }
            Err(Ended::Final(error)) => Err(self.dressed(error)),
        }
    }

    fn changed(&mut self) -> Result<()> {
        self.changes += 1;
        if self.changes > MAX_CHANGES {
            let message = "the package keeps changing while it is downloaded; try again later";
            let error = Error::new(Status::Integrity, message).retryable(true);
            return Err(self.dressed(error));
        }
        log::line(Level::Warn, || "the package has changed: starting over".to_owned());
        // Of the new one nothing has come yet. (Not where a host sends the whole again and again: it never ends so.)
        self.furthest = 0;
        self.part.restart()
    }

    /// Pauses before the next attempt, if there is to be one.
    fn again(&mut self, error: Error) -> Result<()> {
        self.failures += 1;
        match retry::after_step(&error, self.failures, self.account.max_retries) {
            Next::Again(pause) if self.call.has_time_for(pause) => {
                log::line(Level::Warn, || {
                    format!("{}: trying again in {} ms", error.message(), pause.as_millis())
                });
                self.call.pause(pause).map_err(|stop| self.dressed(Error::from(stop)))
            }
            _ => Err(self.dressed(error)),
        }
    }

    fn dressed(&self, error: Error) -> Error {
        let error = error.with_step_stage(Stage::Download);
        if self.requests > 0 { error.attempts(self.requests) } else { error }
    }

    /// Asks once and takes what comes.
    fn attempt(&mut self, link: &mut Link) -> std::result::Result<(), Ended> {
        let (mut incoming, host) = self.open(link.uri.uri())?;
        let header = |name| incoming.header(name);
        let (etag, modified) = (header("etag"), header("last-modified"));
        let head = reply::Head {
            status: incoming.status,
            length: incoming.length(),
            range: header("content-range"),
            etag,
            modified,
            encoding: header("content-encoding"),
        };
        let state = PartState {
            etag: etag.map(str::to_owned),
            last_modified: modified.map(str::to_owned),
            total: head.length,
            ..PartState::of(self.action_id)
        };
        match reply::meaning(&head, self.part.length(), self.part.state()) {
            Meaning::Whole => {
                let expected = state.total;
                // Before what is here is given up for it.
                let first = incoming.read(&mut self.buffer).map_err(lost)?;
                if first == 0 {
                    return Err(Ended::LinkRefused(empty(incoming.status)));
                }
                link.proven = true;
                self.part.restart().map_err(Ended::Final)?;
                self.expect(state)?;
                self.absorb(&mut incoming, first, expected)
            }
            Meaning::Rest { end, total } => {
                link.proven = true;
                let known = self.part.state().clone();
                let total = total.or(known.total);
                self.expect(PartState { total, ..merged(known, state) })?;
                self.absorb(&mut incoming, 0, Some(end))
            }
            Meaning::Complete => self.part.is_complete().map_err(Ended::Final),
            Meaning::Changed => Err(Ended::Changed),
            Meaning::WrongRange => Err(Ended::WrongRange),
            Meaning::Encoded => {
                Err(Ended::Final(protocol("the host sent the package in an encoding")))
            }
            Meaning::Empty => Err(Ended::LinkRefused(empty(incoming.status))),
            Meaning::Refused => Err(refused(&mut incoming, &host)),
        }
    }

    /// Sends the request, following a few redirects to hosts that are allowed. No token goes with it.
    fn open(&mut self, uri: &Uri) -> std::result::Result<(Incoming, String), Ended> {
        let mut headers = Vec::new();
        let have = self.part.length();
        if have > 0 && self.ranges {
            headers.push(("range", format!("bytes={have}-")));
            let version = self.part.state().if_range().map(str::to_owned);
            headers.extend(version.map(|version| ("if-range", version)));
        }
        let mut uri = uri.clone();
        for _ in 0..=MAX_REDIRECTS {
            let sent = &mut self.requests;
            let incoming =
                self.account.http.fetch(self.call, &uri, &headers, sent).map_err(lost)?;
            let host = uri.host().unwrap_or_default().to_owned();
            log::line(Level::Debug, || {
                format!("GET the package from {host}, from byte {have}: HTTP {}", incoming.status)
            });
            if !matches!(incoming.status, 301 | 302 | 303 | 307 | 308) {
                return Ok((incoming, host));
            }
            let led = |problem: String| Ended::Final(protocol(&format!("a redirect {problem}")));
            let target = incoming.header("location").and_then(|to| resolve(&uri, to));
            uri = target.ok_or_else(|| led("leads nowhere".to_owned()))?;
            self.account.download_hosts.check(&uri).map_err(led)?;
        }
        Err(Ended::Final(protocol("the host redirects without end")))
    }

    fn expect(&mut self, state: PartState) -> std::result::Result<(), Ended> {
        self.check_size(state.total.unwrap_or_default())?;
        self.part.expect(state).map_err(Ended::Final)?;
        // That it begins is told always; a host that sends little at a time gives many replies.
        let told = match std::mem::replace(&mut self.has_begun, true) {
            false => self.tell(),
            true => self.tell_at_times(Instant::now()),
        };
        told.map_err(Ended::Final)
    }

    fn check_size(&mut self, bytes: u64) -> std::result::Result<(), Ended> {
        let limit = self.account.max_package_bytes;
        if bytes <= limit {
            return Ok(());
        }
        self.part.discard();
        let message =
            format!("the package is larger than the {limit} bytes of `max_package_bytes`");
        Err(Ended::Final(Error::new(Status::Integrity, message)))
    }

    /// Takes a body, of which there is `filled` in the buffer, to its end, which is at `expected` if that is known.
    fn absorb(
        &mut self,
        incoming: &mut Incoming,
        mut filled: usize,
        expected: Option<u64>,
    ) -> std::result::Result<(), Ended> {
        let mut told = Instant::now();
        loop {
            let end = loop {
                if filled == BLOCK || (filled > 0 && told.elapsed() >= PACE) {
                    break None;
                }
                let space = self.buffer.get_mut(filled..).unwrap_or_default();
                match incoming.read(space) {
                    Ok(0) => break Some(Ok(())),
                    Ok(got) => filled += got,
                    Err(failure) => break Some(Err(failure)),
                }
            };
            self.check_size(self.part.length().saturating_add(filled as u64))?;
            let block = self.buffer.get(..filled).unwrap_or_default();
            self.part.append(block).map_err(Ended::Final)?;
            filled = 0;
            told = Instant::now();
            self.tell_at_times(told).map_err(Ended::Final)?;
            match end {
                None => {}
                Some(Err(failure)) => return Err(lost(failure)),
                Some(Ok(())) => return self.ended(incoming, expected),
            }
        }
    }

    /// The body has ended as HTTP has it; whether that is the end of the package is another question.
    fn ended(
        &mut self,
        incoming: &Incoming,
        expected: Option<u64>,
    ) -> std::result::Result<(), Ended> {
        let have = self.part.length();
        match expected {
            Some(expected) if have < expected => {
                let message = format!(
                    "the connection ended after {have} of {expected} bytes of the package; try again"
                );
                Err(Ended::Failed(Error::new(Status::Broken, message)))
            }
            Some(expected) if have > expected => Err(Ended::WrongRange),
            Some(_) => Ok(()),
            None => {
                if incoming.ends_with_the_connection() {
                    // Without TLS an early end looks like the end.
                    self.part.set_pieced();
                }
                self.part.is_complete().map_err(Ended::Final)
            }
        }
    }

    fn tell_at_times(&mut self, now: Instant) -> Result<()> {
        if !self.reporter.is_wanted() {
            return Ok(());
        }
        let bytes = self.part.length();
        let bytes_per_second = self.rate.at(now, bytes);
        let (action_id, total) = (self.action_id, self.part.state().total);
        let event = || Event::Downloading { action_id, bytes, total, bytes_per_second };
        self.reporter.steady(now, event)
    }

    /// Beginning and end: told whatever the pace.
    fn tell(&mut self) -> Result<()> {
        let bytes = self.part.length();
        let bytes_per_second = self.rate.at(Instant::now(), bytes);
        let (action_id, total) = (self.action_id, self.part.state().total);
        self.reporter.step(&Event::Downloading { action_id, bytes, total, bytes_per_second })
    }
}

/// What the host says now, and what it said before where it says nothing now.
fn merged(known: PartState, now: PartState) -> PartState {
    PartState {
        etag: now.etag.or(known.etag),
        last_modified: now.last_modified.or(known.last_modified),
        ..known
    }
}

fn protocol(message: &str) -> Error {
    let advice = "check what lies between here and the download host";
    Error::new(Status::Protocol, format!("cannot download the package: {message}; {advice}"))
}

fn empty(http_status: u16) -> Error {
    let message =
        "the download host sent nothing, as it may when a link is no longer good; try again";
    Error::new(Status::Broken, message).http(http_status)
}

fn lost(failure: Failure) -> Ended {
    let error = Error::from(failure).with_step_stage(Stage::Download);
    if error.is_stop() { Ended::Final(error) } else { Ended::Failed(error) }
}

/// An error reply: about the link, or about the host.
fn refused(incoming: &mut Incoming, host: &str) -> Ended {
    let status = incoming.status;
    let body = match incoming.read_beginning(blob::MAX_DOCUMENT) {
        Ok(body) => body,
        Err(failure) => {
            let stopped = lost(failure);
            if matches!(stopped, Ended::Final(_)) {
                return stopped;
            }
            Vec::new()
        }
    };
    let head = blob::Head {
        status,
        host,
        code: incoming.header("x-ms-error-code"),
        request_id: incoming.header("x-ms-request-id"),
        retry_after: incoming.header("retry-after"),
        date: incoming.header("date"),
    };
    let error = blob::error(&head, &body);
    match status {
        401 | 403 | 404 | 410 => Ended::LinkRefused(error),
        _ => Ended::Failed(error),
    }
}

/// Where a redirect leads: to an address, or to another path of the same host.
fn resolve(from: &Uri, to: &str) -> Option<Uri> {
    if !to.starts_with('/') || to.starts_with("//") {
        return to.parse().ok();
    }
    let mut parts = Parts::default();
    parts.scheme = from.scheme().cloned();
    parts.authority = from.authority().cloned();
    parts.path_and_query = to.parse().ok();
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_resolved() {
        let from: Uri = "https://a.example:8443/x?token=1".parse().unwrap();
        for (to, expected) in [
            ("/y?z=%2f", Some("https://a.example:8443/y?z=%2f")),
            ("https://b.example/y", Some("https://b.example/y")),
            ("http://[", None),
        ] {
            let resolved = resolve(&from, to).map(|uri| uri.to_string());
            assert_eq!(resolved.as_deref(), expected, "{to}");
        }
        // Parsed, but without a scheme, so the check of the host refuses it.
        assert!(resolve(&from, "//c.example/y").is_none_or(|uri| uri.scheme().is_none()));
    }
}
