//! Checks the access step by step: the sign-in, what it permits, the two hosts, the service, the clock.
//!
//! A step that fails does not end the check, so one run shows everything that is to be repaired. Nor does the end of its
//! time: the steps that are left fail then. Nothing is retried: a failure is what the caller wants to see. Each host is
//! reached over a connection of its own, and what that took is recorded.

mod access;
mod functions;
mod host;
mod identity;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::account::Account;
use crate::call::{Call, Stop};
use crate::error::{Error, Result};
use crate::http::client::{Http, Outgoing};
use crate::http::method::Method;
use crate::http::reply::{Reply, clock_warning};
use crate::http::trace::{Recorder, Trace};
use crate::operations::actions::not_understood;
use crate::service::endpoint;
use crate::service::machine::machines;
use crate::sign_in::{Token, claims};
use crate::status::Status;

use access::Outcome;
pub use access::{Access, CheckStep};
use host::Host;
use identity::Identity;

/// The most bytes of a reply that shows no more than that its host answers.
const MAX_PUBLIC: usize = 256 * 1024;

/// The longest that a step may take in a call without a time limit.
const LONGEST: Duration = Duration::from_secs(60);

/// Checks the access. An error: the caller ended the call.
pub(crate) fn check(account: &Account, call: &Arc<Call>) -> Result<Access> {
    let (token, sign_in) = signed_in(account, call)?;
    let mask = |text: &mut String| account.mask(text);
    let identity = token.as_ref().map(|token| Identity::of(claims::read(token.text()), token));
    let held = identity.as_ref().and_then(Identity::held);
    let functions = held.map(functions::allowed);
    let permissions = match (&functions, held) {
        (Some(functions), Some(held)) => functions::outcome(functions, held),
        _ => Outcome::Skipped,
    };
    let api = service(account, call, token.as_ref())?;
    let clock = clock([&sign_in.trace, &api.trace]);
    let steps = [
        ("sign_in_host", sign_in.host),
        ("sign_in", sign_in.answer),
        ("permissions", permissions),
        ("api_host", api.host),
        ("api", api.answer),
        ("clock", clock),
    ];
    let host = |trace: Option<Trace>| trace.map(|trace| Host::new(&trace, &mask));
    let masked = |outcome: Outcome| outcome.map_error(|error| error.mask(mask));
    Ok(Access {
        steps: steps.map(|(name, outcome)| CheckStep::new(name, masked(outcome))).into(),
        identity,
        functions,
        sign_in_host: host(sign_in.trace),
        api_host: host(api.trace),
    })
}

/// What came of the request to a host.
struct Visit {
    /// `None`: this client does not use the host.
    trace: Option<Trace>,
    /// Whether the host answers.
    host: Outcome,
    /// Whether its answer is the one that was wanted.
    answer: Outcome,
}

/// Gets a new token.
fn signed_in(account: &Account, call: &Arc<Call>) -> Result<(Option<Token>, Visit)> {
    let (http, recorder) = account.http.recorded();
    // Half of the time: a sign-in service that hangs must not hide the other host.
    let part = share(call, 0.5);
    let (token, answer) = match account.tokens.renew(&http, &part) {
        Ok(token) => (Some(token), Outcome::Ok),
        Err(error) => (None, Outcome::Failed(error)),
    };
    let public_page = account.tokens.public_page();
    let visit = visit(call, &http, &recorder, answer, public_page.as_deref())?;
    Ok((token, visit))
}

/// Reads one device, if there is a token. Without one the host alone is reached.
fn service(account: &Account, call: &Arc<Call>, token: Option<&Token>) -> Result<Visit> {
    let (http, recorder) = account.http.recorded();
    let part = share(call, 0.9);
    let request = endpoint::any_machine();
    let answer = match token {
        Some(token) => {
            let reply = account.perform_once(&http, &part, &request, token);
            match reply.and_then(|reply| is_list(&reply)) {
                // The service has no device.
                Err(error) if !error.is_unknown_to_service() => Outcome::Failed(error),
                _ => Outcome::Ok,
            }
        }
        None => Outcome::Skipped,
    };
    let url = [account.api.as_str(), &request.target].concat();
    visit(call, &http, &recorder, answer, Some(&url))
}

fn is_list(reply: &Reply) -> Result<()> {
    let read = machines(&reply.body, &mut |_| true);
    read.map(|_| ()).map_err(|problem| not_understood(reply, problem))
}

/// Judges a request. If it has opened no connection, the host is reached by a request without a secret. An error: the
/// caller ended the call.
fn visit(
    call: &Arc<Call>,
    http: &Http,
    recorder: &Recorder,
    answer: Outcome,
    url: Option<&str>,
) -> Result<Visit> {
    check_not_ended(call)?;
    let mut trace = recorder.take();
    let is_tried = trace.is_some();
    let mut answer = answer.map_error(|error| with_time(call, is_tried, error));
    let mut unreached = None;
    if let (None, Some(url)) = (&trace, url) {
        let (method, max_reply) = (Method::Get, MAX_PUBLIC);
        let request = Outgoing { method, url, headers: &[], secret: None, body: "", max_reply };
        let failure = http.send(&share(call, 0.5), &request).err();
        unreached = failure.map(|failure| with_time(call, false, failure.into()));
        check_not_ended(call)?;
        trace = recorder.take();
    }
    let host = match &trace {
        None => unreached.map_or(Outcome::Skipped, Outcome::Failed),
        Some(trace) if trace.answer.is_some() => Outcome::Ok,
        Some(trace) => match unreached.or_else(|| answer.take_error()) {
            Some(error) => Outcome::Failed(explained(error, trace)),
            None => Outcome::Skipped,
        },
    };
    Ok(Visit { trace, host, answer })
}

/// Whether the caller has ended the call: by its handle, or by shutting the client down.
fn check_not_ended(call: &Call) -> Result<()> {
    match call.check() {
        Err(Stop::Deadline) if !call.ended_by_handle() => Ok(()),
        other => other.map_err(Error::from),
    }
}

/// The failure of a step, with the time that it had, and what may have taken it: before a connection is tried these are
/// callbacks and lookups as well.
fn with_time(call: &Call, is_tried: bool, error: Error) -> Error {
    if error.status() != Status::Deadline {
        return error;
    }
    let (time, raise) = match call.deadline() {
        Some(_) => ("this step has only a part of the call's time", ", or raise `timeout_ms`"),
        None => ("a step has one minute", ""),
    };
    let check = match is_tried {
        true => "check firewall and proxy",
        false => {
            "no connection was tried in it: check how long callbacks for tokens and signatures take, DNS, and the proxy"
        }
    };
    error.with_note(&format!("{time}; {check}{raise}"))
}

/// The failure to reach a host, with what its trace adds.
fn explained(error: Error, trace: &Trace) -> Error {
    match (error.status(), &trace.issuer) {
        (Status::Tls, Some(issuer)) if trace.is_issuer_unknown => error.with_note(&format!(
            "the certificate was issued by `{issuer}`: if that is a proxy that inspects TLS, trust its CA"
        )),
        _ => error,
    }
}

/// A part of the call, with this share of the time that is left.
fn share(call: &Arc<Call>, share: f64) -> Arc<Call> {
    let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
    match call.deadline().map(left) {
        Some(left) => Arc::new(call.part(left.mul_f64(share).max(Duration::from_millis(1)))),
        None => Arc::new(call.part(LONGEST)),
    }
}

/// Compares this host's clock with those of the two hosts.
fn clock(hosts: [&Option<Trace>; 2]) -> Outcome {
    let ahead = hosts.into_iter().flatten().filter_map(|trace| trace.answer?.clock_ahead);
    match ahead.max_by_key(|ahead| ahead.unsigned_abs()) {
        None => Outcome::Skipped,
        Some(ahead) => match clock_warning(ahead) {
            None => Outcome::Ok,
            Some(note) => Outcome::Failed(Error::new(
                Status::Token,
                format!("{note}; assertions and certificates are valid only at their time"),
            )),
        },
    }
}

#[cfg(test)]
mod tests;
