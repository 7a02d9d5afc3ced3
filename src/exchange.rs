//! One request from admission to reply: quota, token, network, and what to try again.

use std::sync::Arc;

use crate::call::{Call, Stop};
use crate::client::Client;
use crate::log::{self, Level};
use crate::net::agent::Outgoing;
use crate::net::reply::Reply;
use crate::net::retry::{self, Next};
use crate::options::OnFullQuota;
use crate::quota::limiter::{Limiter, Permit, Refusal};
use crate::quota::registry::{self, Key};
use crate::service::endpoint::{Method, Quota, Request};
use crate::service::{cloud, fault};
use crate::token::{Token, claims};
use crate::{Error, Result, Stage, Status};

impl Client {
    /// Carries out one request; returns its successful reply or the error of the last attempt.
    pub(crate) fn perform(&self, call: &Arc<Call>, request: &Request) -> Result<Reply> {
        let url = format!("{}{}", self.api.as_str(), request.target);
        let repeatable = request.method == Method::Get;
        let mut renewed = false;
        let mut attempt = 0;
        loop {
            attempt += 1;
            // The token first: getting one may take long, and a slot in the quota is not to be held idle.
            let token = self.tokens.get(&self.http, call)?;
            let limiter = self.limiter_of(&token);
            let permit = self.admit(&limiter, call, request.quota)?;
            let token = match token.is_expired() {
                false => token,
                true => match self.tokens.get(&self.http, call) {
                    Ok(token) => token,
                    Err(error) => {
                        permit.not_sent();
                        return Err(error);
                    }
                },
            };
            // What changes something is unsettled from now until it is known that it did or did not.
            if !repeatable {
                call.set_unsettled(true);
            }
            #[cfg(feature = "test-hooks")]
            crate::ffi::test_hooks::panic_if_asked(request);
            let outcome = self.http.send(
                call,
                &Outgoing {
                    method: request.method,
                    url: &url,
                    content_type: request.body.as_ref().map(|_| "application/json"),
                    authorization: Some(token.header()),
                    body: request.body.as_deref().unwrap_or_default(),
                    max_reply: request.max_reply,
                },
            );
            let (error, next) = match outcome {
                Ok(reply) => {
                    permit.replied();
                    log_reply(request, attempt, &reply);
                    if reply.is_success() {
                        return Ok(reply);
                    }
                    if !repeatable && reply.status < 500 {
                        call.set_unsettled(false);
                    }
                    let error = fault::error(&reply, request.purpose);
                    match error.status() {
                        // Once: a licence or account that is refused is not cured by any token.
                        Status::Unauthorized if !renewed && self.tokens.reject(&token) => {
                            renewed = true;
                            continue;
                        }
                        Status::Throttled => {
                            limiter.close(request.quota, error.retry_after().unwrap_or_default());
                        }
                        _ => {}
                    }
                    let next = retry::after_error(&error, repeatable, attempt, self.max_retries);
                    (error, next)
                }
                Err(failure) => {
                    match failure.may_have_been_received() {
                        // Given up: the permit keeps the slot for a while.
                        true => drop(permit),
                        false => {
                            permit.not_sent();
                            if !repeatable {
                                call.set_unsettled(false);
                            }
                        }
                    }
                    let next =
                        retry::after_failure(&failure, repeatable, attempt, self.max_retries);
                    (Error::from(failure), next)
                }
            };
            let error = error.attempts(attempt);
            self.before_next(call, &error, next).map_err(|stop| match stop {
                None => error,
                Some(stop) => Error::from(stop).at(Stage::Send).attempts(attempt),
            })?;
        }
    }

    /// Pauses before the next attempt. `Err(None)`: there is none; the error stands.
    fn before_next(
        &self,
        call: &Call,
        error: &Error,
        next: Next,
    ) -> std::result::Result<(), Option<Stop>> {
        let Next::Again(pause) = next else {
            return Err(None);
        };
        let throttled = error.status() == Status::Throttled;
        if throttled && self.on_full_quota == OnFullQuota::Fail {
            return Err(None);
        }
        // A caller who cannot stay that long learns at once why, and when to come back.
        if !call.has_time_for(pause) {
            return Err(None);
        }
        log::line(Level::Warn, || {
            format!("{}: trying again in {} ms", error.status().name(), pause.as_millis())
        });
        // The limiter knows how long the endpoint is closed, and whose turn it is then.
        if throttled { Ok(()) } else { call.pause(pause).map_err(Some) }
    }

    fn admit(&self, limiter: &Arc<Limiter>, call: &Call, quota: Quota) -> Result<Permit<'_>> {
        let wait = self.on_full_quota == OnFullQuota::Wait;
        limiter.acquire(quota, &self.limits, call, wait).map_err(|refusal| match refusal {
            Refusal::Stopped(stop) => {
                let wait = limiter.snapshot(quota, &self.limits).available_in;
                Error::from(stop).at(Stage::Quota).after(wait.filter(|w| !w.is_zero()))
            }
            Refusal::NoRoom(wait) => {
                let endpoint = quota.name();
                let when = match wait {
                    Some(_) => "after retry_after_ms",
                    None => "when calls that are under way or waiting have ended",
                };
                Error::new(
                    Status::RateLimited,
                    format!(
                        "the quota of endpoint `{endpoint}` has no room now; call again {when}, or \
                         set `quota=wait`"
                    ),
                )
            }
            .at(Stage::Quota)
            .after(wait),
        })
    }

    /// The limiter of the identity that this token belongs to. The service counts by the ids in the token;
    /// the options may name the same tenant in another way, and serve only where a token is not readable.
    fn limiter_of(&self, token: &Token) -> Arc<Limiter> {
        let learn = || {
            let claims = claims::read(token.text());
            let tenant = claims.tenant.or_else(|| self.tenant_id.clone());
            let application = claims.application.or_else(|| self.client_id.clone());
            let family = cloud::family(self.api.authority());
            // Opaque tokens of nobody in particular share one budget: too careful rather than too bold.
            let key = Key::new(
                &family,
                tenant.as_deref().unwrap_or("unknown"),
                application.as_deref().unwrap_or("unknown"),
            );
            registry::limiter(&key)
        };
        Arc::clone(self.limiter.get_or_init(learn))
    }
}

fn log_reply(request: &Request, attempt: u32, reply: &Reply) {
    log::line(Level::Debug, || {
        // Without the query: filters may hold what a log should not.
        let path = request.target.split('?').next().unwrap_or_default();
        format!("{} {path}: HTTP {} (attempt {attempt})", request.method.as_str(), reply.status)
    });
}
