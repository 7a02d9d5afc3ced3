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
use crate::token::claims;
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
            let limiter = self.limiter_for(call)?;
            let permit = self.admit(&limiter, call, request.quota)?;
            let token = match self.tokens.get(&self.http, call) {
                Ok(token) => token,
                Err(error) => {
                    permit.not_sent();
                    return Err(error);
                }
            };
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
                    drop(permit);
                    log_reply(request, attempt, &reply);
                    if reply.is_success() {
                        return Ok(reply);
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
                        true => drop(permit),
                        false => permit.not_sent(),
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
        let whole = if throttled { error.retry_after().unwrap_or(pause) } else { pause };
        if !call.has_time_for(whole) {
            return Err(None);
        }
        log::line(Level::Warn, || format!("trying again in {} ms: {error}", whole.as_millis()));
        call.pause(pause).map_err(Some)
    }

    fn admit(&self, limiter: &Arc<Limiter>, call: &Call, quota: Quota) -> Result<Permit> {
        let wait = self.on_full_quota == OnFullQuota::Wait;
        limiter.acquire(quota, &self.limits, call, wait).map_err(|refusal| match refusal {
            Refusal::Stopped(stop) => {
                let wait = limiter.snapshot(quota, &self.limits).available_in;
                Error::from(stop).at(Stage::Quota).after(wait.filter(|w| !w.is_zero()))
            }
            Refusal::NoRoom(wait) => Error::new(
                Status::RateLimited,
                format!(
                    "the quota of endpoint `{}` has no room now; call again after retry_after_ms, or \
                     set `quota=wait`",
                    quota.name()
                ),
            )
            .at(Stage::Quota)
            .after(wait),
        })
    }

    /// The limiter of this client's identity; where the options do not name it, the token does.
    fn limiter_for(&self, call: &Arc<Call>) -> Result<Arc<Limiter>> {
        if let Some(limiter) = self.limiter.get() {
            return Ok(Arc::clone(limiter));
        }
        let token = self.tokens.get(&self.http, call)?;
        let claims = claims::read(token.text());
        // Opaque tokens of one service share one budget: too careful rather than too bold.
        Ok(self.learn_identity(
            claims.tenant.as_deref().unwrap_or("unknown"),
            claims.application.as_deref().unwrap_or("unknown"),
        ))
    }

    pub(crate) fn learn_identity(&self, tenant: &str, application: &str) -> Arc<Limiter> {
        let family = cloud::family(self.api.authority());
        let key = Key::new(&family, tenant, application);
        Arc::clone(self.limiter.get_or_init(|| registry::limiter(&key)))
    }
}

fn log_reply(request: &Request, attempt: u32, reply: &Reply) {
    log::line(Level::Debug, || {
        // Without the query: filters may hold what a log should not.
        let path = request.target.split('?').next().unwrap_or_default();
        format!("{} {path}: HTTP {} (attempt {attempt})", request.method.as_str(), reply.status)
    });
}
