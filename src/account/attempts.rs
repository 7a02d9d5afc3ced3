//! The attempt loop of one request: token, slot, send, retry.

use std::sync::Arc;

use ureq::http::header::CONTENT_TYPE;

use crate::account::Account;
use crate::call::{Call, Rank, Stop};
use crate::error::{Error, Result, Stage};
use crate::http::client::{Http, Outgoing};
use crate::http::failure::Failure;
use crate::http::reply::Reply;
use crate::http::retry::{self, Next};
use crate::log::{self, Level};
use crate::options::OnFullQuota;
use crate::progress::{Event, Reporter};
use crate::quota::limiter::{LOGGED_WAIT, Limiter, Permit};
use crate::quota::snapshot::Refusal;
use crate::service::endpoint::Request;
use crate::service::fault;
use crate::service::quota::Quota;
use crate::sign_in::{Token, claims};
use crate::status::Status;
use crate::text::redact;

/// How the attempts of a request are made.
struct Manner<'a> {
    http: &'a Http,
    retries: u32,
    /// The only token to use. `None`: the current one, which is renewed once it is refused.
    token: Option<&'a Token>,
}

/// Why there is no next attempt.
enum End {
    /// The error of the last attempt is the error of the request.
    NoAttemptLeft,
    /// The call was stopped during the pause.
    Stopped(Stop),
}

impl Account {
    /// Carries out one request. Returns its successful reply, or the error of the last attempt.
    pub(crate) fn perform(&self, call: &Arc<Call>, request: &Request) -> Result<Reply> {
        self.attempt(call, request, None, &self.usual())
    }

    /// Carries out one request over these connections and with this token, in one attempt.
    pub(crate) fn perform_once(
        &self,
        http: &Http,
        call: &Arc<Call>,
        request: &Request,
        token: &Token,
    ) -> Result<Reply> {
        self.attempt(call, request, None, &Manner { http, retries: 0, token: Some(token) })
    }

    fn usual(&self) -> Manner<'_> {
        Manner { http: &self.http, retries: self.max_retries, token: None }
    }

    /// The same with a slot that the caller has taken in a [`Turn`](super::turn::Turn). Further attempts take their own.
    pub(crate) fn perform_with(
        &self,
        call: &Arc<Call>,
        request: &Request,
        permit: Permit<'_>,
    ) -> Result<Reply> {
        self.attempt(call, request, Some(permit), &self.usual())
    }

    fn attempt(
        &self,
        call: &Arc<Call>,
        request: &Request,
        mut permit: Option<Permit<'_>>,
        manner: &Manner<'_>,
    ) -> Result<Reply> {
        let url = [self.api.as_str(), &request.target].concat();
        let mut renewed = manner.token.is_some();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (token, permit) = match (permit.take(), manner.token) {
                (Some(permit), _) => self.with_token(call, permit)?,
                (None, None) => self.admit(call, request.quota)?,
                (None, Some(token)) => {
                    let permit = self.acquire(self.limiter_of(token), call, request.quota)?;
                    (token.clone(), permit)
                }
            };
            let part = self.request_of(call);
            part.set_keeper(permit.keeper());
            let sent = send(manner.http, call, &part, request, &url, &token);
            part.set_keeper(None);
            let (error, next) = match sent {
                Ok(mut reply) => {
                    (reply.attempts, reply.purpose) = (attempt, request.purpose);
                    // What is read from the reply is masked while it exists.
                    reply.token = Some(token.header().clone());
                    if !reply.is_success() {
                        reply.mask(&|text| self.mask(text));
                    }
                    let error = (!reply.is_success()).then(|| explain(request, &token, &reply));
                    let error = error.map(|error| match fault::may_be_cured_by_a_token(&reply) {
                        true => error.with_note(self.tokens.advice()),
                        false => error,
                    });
                    match error.as_ref().filter(|error| error.status() == Status::Throttled) {
                        Some(error) => {
                            permit.throttled(&self.rules, error.retry_after().unwrap_or_default());
                        }
                        None => permit.replied(),
                    }
                    self.log_reply(request, attempt, &reply);
                    let Some(error) = error else {
                        return Ok(reply);
                    };
                    // The token is renewed once. If a new one does not help, no other will.
                    if !renewed
                        && fault::may_be_cured_by_a_token(&reply)
                        && self.tokens.reject(&token)
                    {
                        renewed = true;
                        continue;
                    }
                    let next =
                        retry::after_error(&error, request.repeatable(), attempt, manner.retries);
                    (error, next)
                }
                Err(failure) => {
                    match failure.may_have_been_received() {
                        // Dropping the permit keeps the slot until the service can no longer count the call.
                        true => drop(permit),
                        false => permit.not_sent(),
                    }
                    let next = retry::after_failure(
                        &failure,
                        request.repeatable(),
                        attempt,
                        manner.retries,
                    );
                    let lost = failure.may_have_been_received() && !request.repeatable();
                    let error = Error::from(failure);
                    if lost {
                        log_lost(request, &error);
                    }
                    (error, next)
                }
            };
            let error = error.attempts(attempt);
            self.pause_before_next(call, &error, next).map_err(|end| match end {
                End::NoAttemptLeft => error,
                End::Stopped(stop) => Error::from(stop).with_stage(Stage::Send).attempts(attempt),
            })?;
        }
    }

    /// Gets a token, and a slot in the quota of the token's identity.
    ///
    /// The token comes first, since getting it may take long and a slot must not be held idle. If it has expired during
    /// the wait for the slot, it is renewed.
    fn admit(&self, call: &Arc<Call>, quota: Quota) -> Result<(Token, Permit<'_>)> {
        let token = self.tokens.get(&self.http, call)?;
        let permit = self.acquire(self.limiter_of(&token), call, quota)?;
        if !token.is_expired() {
            return Ok((token, permit));
        }
        self.with_token(call, permit)
    }

    /// A slot for a request that the caller sends with [`perform_with`](Account::perform_with).
    pub(crate) fn slot(&self, call: &Arc<Call>, quota: Quota) -> Result<Permit<'_>> {
        self.admit(call, quota).map(|(_, permit)| permit)
    }

    /// Gets a token for a slot, or gives the slot back.
    fn with_token<'a>(&self, call: &Arc<Call>, permit: Permit<'a>) -> Result<(Token, Permit<'a>)> {
        match self.tokens.get(&self.http, call) {
            Ok(token) => Ok((token, permit)),
            Err(error) => {
                permit.not_sent();
                Err(error)
            }
        }
    }

    fn log_reply(&self, request: &Request, attempt: u32, reply: &Reply) {
        log::line(Level::Debug, || {
            // The query is left out, since a filter may contain private data.
            let path = request.target.split('?').next().unwrap_or_default();
            // The service names the path of a next page.
            let mut path = redact::visible(path, 512);
            self.mask(&mut path);
            format!("{} {path}: HTTP {} (attempt {attempt})", request.method.as_str(), reply.status)
        });
    }

    /// Pauses before the next attempt, if there is one.
    fn pause_before_next(
        &self,
        call: &Call,
        error: &Error,
        next: Next,
    ) -> std::result::Result<(), End> {
        let Next::Again(pause) = next else {
            return Err(End::NoAttemptLeft);
        };
        let throttled = error.status() == Status::Throttled;
        // After a 429 the next attempt waits in the limiter, which knows until when the endpoint is closed.
        let pause = match throttled {
            true => error.retry_after().unwrap_or_default(),
            false => pause,
        };
        if throttled && !self.waits(call) {
            return Err(End::NoAttemptLeft);
        }
        // A call without time for the pause ends now. Its error names the reason and the time to wait.
        if !call.has_time_for(pause) {
            return Err(End::NoAttemptLeft);
        }
        log::line(Level::Warn, || {
            format!("{}: trying again in {} ms", error.status().name(), pause.as_millis())
        });
        if throttled { Ok(()) } else { call.pause(pause).map_err(End::Stopped) }
    }

    /// Reports that the next request to this endpoint will wait for its slot, unless only for a moment.
    ///
    /// It is reported before that wait. A callback during it that calls the library would queue behind its own call.
    pub(crate) fn report_quota_wait(
        &self,
        call: &Arc<Call>,
        quota: Quota,
        action_id: Option<&str>,
        reporter: &mut Reporter<'_, '_>,
    ) -> Result<()> {
        if !reporter.is_wanted() || !self.waits(call) {
            return Ok(());
        }
        let limiter = match self.limiter.get() {
            Some(limiter) => limiter,
            // The request needs this token as well.
            None => self.limiter_of(&self.tokens.get(&self.http, call)?),
        };
        let now = limiter.snapshot_for(Some(call), quota, &self.rules);
        // It is `None` while it depends on other calls, however short their time may be.
        let wait = now.wait_of_next();
        let is_short = wait.is_some_and(|wait| wait <= LOGGED_WAIT);
        // A call without time for the wait fails at once, so it has no wait to report.
        if is_short || now.available_in.is_some_and(|free| !call.has_time_for(free)) {
            return Ok(());
        }
        reporter.step(&Event::Queued { action_id, endpoint: quota.name(), wait })
    }

    /// Whether the requests of this call wait for quota.
    fn waits(&self, call: &Call) -> bool {
        match call.rank() {
            Rank::Single => self.on_full_quota == OnFullQuota::Wait,
            Rank::Sweep => call.waits(),
        }
    }

    fn acquire<'a>(
        &'a self,
        limiter: &'a Arc<Limiter>,
        call: &Call,
        quota: Quota,
    ) -> Result<Permit<'a>> {
        limiter
            .acquire(quota, &self.rules, call, self.waits(call))
            .map_err(|refusal| self.without_slot(limiter, call, quota, refusal))
    }

    /// The error of a call that gets no slot.
    pub(super) fn without_slot(
        &self,
        limiter: &Limiter,
        call: &Call,
        quota: Quota,
        refusal: Refusal,
    ) -> Error {
        let trouble = || {
            let ledger = self.rules.ledger.get();
            let trouble = ledger.and_then(|ledger| Some((ledger.location().1, ledger.trouble()?)));
            trouble.map_or_else(String::new, |(place, what)| format!("the call log {place} {what}"))
        };
        match refusal {
            Refusal::Stopped(stop) => {
                let error = Error::from(stop).with_stage(Stage::Quota);
                // The time to wait helps only a caller whose deadline has passed.
                match stop {
                    Stop::Deadline => {
                        let now = limiter.snapshot(quota, &self.rules);
                        let wait = now.wait_of_next().filter(|wait| !wait.is_zero());
                        error.after(wait).with_note(&trouble())
                    }
                    _ => error,
                }
            }
            Refusal::Failed(error) => error,
            Refusal::NoRoom(free_in) => {
                let endpoint = quota.name();
                let why = match limiter.is_closed(quota) {
                    true => "was closed by the service (429)",
                    false => "has no room now",
                };
                let when = match free_in {
                    Some(_) => "after retry_after_ms",
                    None => "when calls that are under way or waiting have ended",
                };
                let (limit, or) = match self.waits(call) {
                    true => (", and none within this call's time", "give it more time"),
                    false => ("", "set `quota=wait`"),
                };
                let message = format!(
                    "the quota of endpoint `{endpoint}` {why}{limit}; call again {when}, or {or}"
                );
                Error::new(Status::RateLimited, message)
                    .with_note(&trouble())
                    .with_stage(Stage::Quota)
                    .after(free_in)
            }
        }
    }
}

/// Sends a request once. A request that changes something leaves the call unsettled until its outcome is known.
fn send(
    http: &Http,
    call: &Call,
    part: &Arc<Call>,
    request: &Request,
    url: &str,
    token: &Token,
) -> std::result::Result<Reply, Failure> {
    let changes = !request.repeatable();
    if changes {
        call.begin_change();
    }
    #[cfg(feature = "test-hooks")]
    crate::testing::panic_hook::panic_if_asked(request);
    let json = [(CONTENT_TYPE, "application/json")];
    let outgoing = Outgoing {
        method: request.method,
        url,
        headers: if request.body.is_some() { &json } else { &[] },
        secret: Some(token.header()),
        body: request.body.as_deref().unwrap_or_default(),
        max_reply: request.max_reply,
    };
    let outcome = http.send(part, &outgoing);
    let nothing_done = match &outcome {
        // A 408 is that of a gateway which gave up on the service.
        Ok(reply) => (300..500).contains(&reply.status) && reply.status != 408,
        Err(failure) => !failure.may_have_been_received(),
    };
    if changes && nothing_done {
        call.nothing_changed();
    }
    outcome
}

/// The error of a reply. If permissions are missing, it names those that the token has.
fn explain(request: &Request, token: &Token, reply: &Reply) -> Error {
    let error = fault::error(reply);
    if !fault::is_about_permissions(reply) {
        return error;
    }
    let claims = claims::read(token.text());
    match (claims.roles, claims.scopes) {
        (Some(held), _) => {
            error.with_note(&fault::permissions_note(request.quota.permissions(), &held))
        }
        (None, Some(held)) => error
            .with_note("the token is a user's")
            .with_note(&fault::permissions_note(request.quota.scopes(), &held)),
        (None, None) => error.with_note(fault::PERMISSIONS),
    }
}

/// Logs that the outcome of a request is not known. The host may end before the call returns.
fn log_lost(request: &Request, error: &Error) {
    log::line(Level::Warn, || {
        format!("the reply to {} {} was lost: {error}", request.method.as_str(), request.target)
    });
}
