//! Downloads the missing bytes, despite links that expire, connections that break and packages that change.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attempt_end::{AttemptEnd, empty, lost, protocol, refused};
use super::destination::Lock;
use super::part::Part;
use super::part_state::PartState;
use super::place::Place;
use super::rate::Rate;
use super::redirect;
use super::reply::{self, Meaning};
use super::validity::Validity;
use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result, Stage};
use crate::http::body::Incoming;
use crate::http::retry::{self, Next};
use crate::log::{self, Level};
use crate::operations::package_uri::{self, PackageUri};
use crate::progress::{Event, Reporter};
use crate::service::quota::Quota;
use crate::status::Status;
use crate::text::secret_url::SecretUrl;

/// The size of a write. Large writes need fewer system calls.
const BLOCK: usize = 256 * 1024;
/// Arrived bytes are written and reported at least this often.
const WRITE_INTERVAL: Duration = Duration::from_millis(200);
/// An attempt with fewer new bytes than this counts as a failure.
const PROGRESS: u64 = 64 * 1024;
/// How often the package may change during one download.
pub(super) const MAX_CHANGES: u32 = 3;
const MAX_REDIRECTS: u32 = 3;
/// The pauses before a young link is tried again. Links are scarcer than requests: two a minute.
const EARLY_PAUSES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// The age up to which a refused link may not be valid yet, and the longest time that is waited until it is.
const YOUNG: Duration = Duration::from_secs(20);

/// Downloads until the part is whole.
pub(super) fn run(
    account: &Account,
    call: &Arc<Call>,
    action_id: &str,
    part: &mut Part<Lock<'_>>,
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
        early: 0,
        changes: 0,
        requests: 0,
        has_begun: false,
    };
    while !transfer.part.is_whole() {
        transfer.round()?;
    }
    transfer.report()
}

struct Transfer<'a, 'p, 'r, 's> {
    account: &'a Account,
    call: &'a Arc<Call>,
    action_id: &'a str,
    part: &'a mut Part<Lock<'p>>,
    reporter: &'a mut Reporter<'r, 's>,
    link: Option<Link>,
    buffer: Vec<u8>,
    rate: Rate,
    /// Whether to request ranges. A host that sent a wrong one is not asked for ranges again.
    ranges: bool,
    /// Attempts in a row without progress.
    failures: u32,
    /// How often a link was tried again because it may not have been valid yet.
    early: usize,
    changes: u32,
    requests: u32,
    /// The first event was reported.
    has_begun: bool,
    /// The greatest length that the part has had.
    furthest: u64,
}

struct Link {
    uri: PackageUri,
    /// The link has led to the package before.
    proven: bool,
    since: Instant,
}

impl Transfer<'_, '_, '_, '_> {
    /// Makes one attempt. Returns an error if there must not be another one.
    fn round(&mut self) -> Result<()> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => {
                let id = self.action_id;
                self.account
                    .report_quota_wait(self.call, Quota::Link, Some(id), self.reporter)
                    .map_err(|error| error.with_action(id, None))?;
                let uri = package_uri::get(self.account, self.call, id)?;
                Link { uri, proven: false, since: Instant::now() }
            }
        };
        let outcome = self.attempt(&mut link);
        if self.part.length() >= self.furthest.saturating_add(PROGRESS) {
            self.failures = 0;
        }
        self.furthest = self.furthest.max(self.part.length());
        if link.proven {
            self.early = 0;
        }
        match outcome {
            Ok(()) => {
                self.link = Some(link);
                Ok(())
            }
            // Links live for about a minute, so the end of a proven one is not a failure.
            Err(AttemptEnd::LinkRefused(error, _)) if link.proven => {
                log::line(Level::Info, || format!("requesting a new link: {}", error.message()));
                Ok(())
            }
            Err(AttemptEnd::LinkRefused(error, validity)) => {
                match self.until_valid(&link, validity) {
                    Some(pause) => {
                        self.link = Some(link);
                        self.pause(&error, pause)
                    }
                    None => self.again(error),
                }
            }
            Err(AttemptEnd::Failed(error)) => {
                self.link = Some(link);
                self.again(error)
            }
            Err(AttemptEnd::WrongRange) if self.ranges => {
                self.ranges = false;
                self.link = Some(link);
                self.part.start_over();
                Ok(())
            }
            Err(AttemptEnd::WrongRange) => {
                Err(self
                    .with_context(protocol("the host sent another range than the requested one")))
            }
            Err(AttemptEnd::Changed) => {
                self.link = Some(link);
                self.changed()
            }
            Err(AttemptEnd::Final(error)) => Err(self.with_context(error)),
        }
    }

    fn changed(&mut self) -> Result<()> {
        self.changes += 1;
        if self.changes > MAX_CHANGES {
            let message = "the package keeps changing while it is downloaded; try again later";
            let error = Error::new(Status::Integrity, message).retryable(true);
            return Err(self.with_context(error));
        }
        log::line(Level::Warn, || "the package has changed: starting over".to_owned());
        // A new version counts its progress anew. A host that repeats one version must not, or it would never end.
        self.furthest = 0;
        self.part.start_over();
        Ok(())
    }

    /// The pause before a link that may not be valid yet is tried again. `None`: it does not become valid.
    fn until_valid(&mut self, link: &Link, validity: Validity) -> Option<Duration> {
        let usual = *EARLY_PAUSES.get(self.early)?;
        let pause = match validity {
            Validity::Unknown => usual,
            Validity::Starts(pause) => pause,
            Validity::Over => return None,
        };
        let is_young = link.since.elapsed() < YOUNG && pause <= YOUNG;
        if !is_young || self.account.max_retries == 0 || !self.call.has_time_for(pause) {
            return None;
        }
        self.early += 1;
        Some(pause)
    }

    /// Pauses before the next attempt. Returns the error if there is to be none.
    fn again(&mut self, error: Error) -> Result<()> {
        self.failures += 1;
        match retry::after_step(&error, self.failures, self.account.max_retries) {
            Next::Again(pause) if self.call.has_time_for(pause) => self.pause(&error, pause),
            _ => Err(self.with_context(error)),
        }
    }

    fn pause(&self, error: &Error, pause: Duration) -> Result<()> {
        log::line(Level::Warn, || {
            format!("{}: trying again in {} ms", error.message(), pause.as_millis())
        });
        self.call.pause(pause).map_err(|stop| self.with_context(Error::from(stop)))
    }

    fn with_context(&self, error: Error) -> Error {
        let error = error.with_step_stage(Stage::Download);
        if self.requests > 0 { error.attempts(self.requests) } else { error }
    }

    /// Sends one request and takes its reply into the part.
    fn attempt(&mut self, link: &mut Link) -> std::result::Result<(), AttemptEnd> {
        let (mut incoming, place) = self.open(link.uri.link())?;
        let header = |name| incoming.header(name);
        // A validator becomes part of the state file, so one that repeats the link is none.
        let validator = |name| header(name).filter(|value| is_validator(value, &place));
        let (etag, modified) = (validator("etag"), validator("last-modified"));
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
                // The part is emptied only once the first bytes of its replacement are there.
                let first = incoming.read(&mut self.buffer).map_err(lost)?;
                if first == 0 {
                    return Err(AttemptEnd::LinkRefused(empty(incoming.status), Validity::Over));
                }
                link.proven = true;
                self.part.start_over();
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
            Meaning::Complete => self.part.set_complete().map_err(AttemptEnd::Final),
            Meaning::Changed => Err(AttemptEnd::Changed),
            Meaning::WrongRange => Err(AttemptEnd::WrongRange),
            Meaning::Encoded => {
                Err(AttemptEnd::Final(protocol("the host sent the package in an encoding")))
            }
            Meaning::Empty => Err(AttemptEnd::LinkRefused(empty(incoming.status), Validity::Over)),
            Meaning::Refused => Err(refused(self.account, &mut incoming, &place)),
        }
    }

    /// Sends the request without a token. It follows a few redirects to allowed hosts.
    fn open(&mut self, link: &SecretUrl) -> std::result::Result<(Incoming, Place), AttemptEnd> {
        let have = self.part.length();
        let headers = if self.ranges { self.part.range_headers() } else { Vec::new() };
        let mut link = link.clone();
        let mut place = Place::default();
        for _ in 0..=MAX_REDIRECTS {
            place.enter(&link);
            let sent = &mut self.requests;
            let incoming = self.account.http.fetch(self.call, &link, &headers, sent);
            let incoming = incoming.map_err(|failure| lost(failure).masked(&place))?;
            log::line(Level::Debug, || {
                let (host, status) = (&place.host, incoming.status);
                format!("GET the package from {host}, from byte {have}: HTTP {status}")
            });
            if !matches!(incoming.status, 301 | 302 | 303 | 307 | 308) {
                return Ok((incoming, place));
            }
            let wrong = |problem: String| {
                AttemptEnd::Final(protocol(&format!("a redirect {problem}"))).masked(&place)
            };
            let target = incoming.location().and_then(|to| redirect::resolve(&link.url, &to));
            link = target.ok_or_else(|| wrong("leads nowhere".to_owned()))?;
            self.account.download_hosts.check(&link.url).map_err(wrong)?;
        }
        Err(AttemptEnd::Final(protocol("the host redirects without end")))
    }

    fn expect(&mut self, state: PartState) -> std::result::Result<(), AttemptEnd> {
        self.check_size(state.total.unwrap_or_default())?;
        self.part.expect(state).map_err(AttemptEnd::Final)?;
        // The first reply is always reported. A host may send many small ones, which are reported at a limited rate.
        let reported = match std::mem::replace(&mut self.has_begun, true) {
            false => self.report(),
            true => self.report_steadily(Instant::now()),
        };
        reported.map_err(AttemptEnd::Final)
    }

    fn check_size(&mut self, bytes: u64) -> std::result::Result<(), AttemptEnd> {
        let limit = self.account.max_package_bytes;
        if bytes <= limit {
            return Ok(());
        }
        self.part.discard();
        let message =
            format!("the package is larger than the {limit} bytes of `max_package_bytes`");
        Err(AttemptEnd::Final(Error::new(Status::Integrity, message)))
    }

    /// Writes a body to the part. The buffer holds its first `filled` bytes; `expected` is the length at its end.
    fn absorb(
        &mut self,
        incoming: &mut Incoming,
        mut filled: usize,
        expected: Option<u64>,
    ) -> std::result::Result<(), AttemptEnd> {
        let mut written = Instant::now();
        loop {
            let end = loop {
                if filled == BLOCK || (filled > 0 && written.elapsed() >= WRITE_INTERVAL) {
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
            self.part.append(block).map_err(AttemptEnd::Final)?;
            filled = 0;
            written = Instant::now();
            self.report_steadily(written).map_err(AttemptEnd::Final)?;
            match end {
                None => {}
                Some(Err(failure)) => return Err(lost(failure)),
                Some(Ok(())) => return self.ended(incoming, expected),
            }
        }
    }

    /// Decides whether the end of the body is the end of the package.
    fn ended(
        &mut self,
        incoming: &Incoming,
        expected: Option<u64>,
    ) -> std::result::Result<(), AttemptEnd> {
        let have = self.part.length();
        match expected {
            Some(expected) if have < expected => {
                let message = format!(
                    "the connection ended after {have} of {expected} bytes of the package; try again"
                );
                Err(AttemptEnd::Failed(Error::new(Status::Broken, message)))
            }
            Some(expected) if have > expected => Err(AttemptEnd::WrongRange),
            Some(_) => Ok(()),
            None => {
                if incoming.ends_with_the_connection() {
                    // Without TLS, a lost connection looks like the end.
                    self.part.set_suspect();
                }
                self.part.set_complete().map_err(AttemptEnd::Final)
            }
        }
    }

    fn report_steadily(&mut self, now: Instant) -> Result<()> {
        if !self.reporter.is_wanted() {
            return Ok(());
        }
        let bytes = self.part.length();
        let bytes_per_second = self.rate.at(now, bytes);
        let (action_id, total) = (self.action_id, self.part.state().total);
        let event = || Event::Downloading { action_id, bytes, total, bytes_per_second };
        self.reporter.steady(now, event)
    }

    /// Reports the beginning and the end at once.
    fn report(&mut self) -> Result<()> {
        let bytes = self.part.length();
        let bytes_per_second = self.rate.at(Instant::now(), bytes);
        let (action_id, total) = (self.action_id, self.part.state().total);
        self.reporter.step(&Event::Downloading { action_id, bytes, total, bytes_per_second })
    }
}

/// Whether a validator can be kept and sent again.
fn is_validator(value: &str, place: &Place) -> bool {
    const LONGEST: usize = 512;
    value.len() <= LONGEST && place.masked(value) == value
}

/// The state with the validators of this reply, or the known ones where the reply has none.
pub(super) fn merged(known: PartState, now: PartState) -> PartState {
    PartState {
        etag: now.etag.or(known.etag),
        last_modified: now.last_modified.or(known.last_modified),
        ..known
    }
}
