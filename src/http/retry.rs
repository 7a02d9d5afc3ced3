//! Whether and when a failed request is sent again: the one rule for all requests.
//!
//! A request that may have been carried out is repeated only if repeating it changes nothing. Requests for a collection
//! have a rule of their own besides (`operations/collect.rs`). Source: "Common REST API error codes" (429 and 5xx).

use std::time::Duration;

use super::failure::Failure;
use crate::error::Error;
use crate::os;
use crate::status::Status;

/// The first pause is up to this long; each further one up to twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What follows a failed attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Try again after this pause.
    Again(Duration),
    /// The failure is final.
    GiveUp,
}

/// After a failure without a reply. `repeatable`: sending the request twice has the effect of sending it once.
pub(crate) fn after_failure(
    failure: &Failure,
    repeatable: bool,
    attempt: u32,
    retries: u32,
) -> Next {
    let safe = repeatable || !failure.may_have_been_received();
    if failure.is_transient() && safe && attempt <= retries {
        Next::Again(pause(attempt, failure.retry_after()))
    } else {
        Next::GiveUp
    }
}

/// After an error reply.
pub(crate) fn after_error(error: &Error, repeatable: bool, attempt: u32, retries: u32) -> Next {
    if attempt > retries {
        return Next::GiveUp;
    }
    match error.status() {
        // The service did nothing yet, so every request may be repeated. The error has the wait that the service named.
        Status::Throttled => Next::Again(pause(attempt, error.retry_after())),
        Status::Service if repeatable => Next::Again(pause(attempt, error.retry_after())),
        _ => Next::GiveUp,
    }
}

/// After a step of a larger operation failed. A retryable error allows another attempt.
pub(crate) fn after_step(error: &Error, attempt: u32, retries: u32) -> Next {
    match error.is_retryable() && !error.is_stop() && attempt <= retries {
        true => Next::Again(pause(attempt, error.retry_after())),
        false => Next::GiveUp,
    }
}

/// After a request that may have been carried out, once its effect was looked for and not found.
pub(crate) fn after_lost(error: &Error, attempt: u32, retries: u32) -> Next {
    match attempt <= retries {
        true => Next::Again(pause(attempt, error.retry_after())),
        false => Next::GiveUp,
    }
}

/// Full jitter: a random pause up to the bound, so that many clients do not retry together.
fn pause(attempt: u32, at_least: Option<Duration>) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let bound = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    at_least.unwrap_or_default().saturating_add(bound.mul_f64(random()))
}

/// A random number from 0 to 1.
pub(crate) fn random() -> f64 {
    os::random::generator().f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_again(next: Next) -> bool {
        matches!(next, Next::Again(_))
    }

    #[test]
    fn a_request_that_may_have_been_carried_out_is_not_repeated() {
        let lost = || Failure::new(Status::Broken, "");
        assert!(is_again(after_failure(&lost().sent(true), true, 1, 3)));
        assert!(!is_again(after_failure(&lost().sent(true), false, 1, 3)));
        assert!(is_again(after_failure(&lost(), false, 1, 3)));
        assert!(!is_again(after_failure(&lost(), true, 4, 3)));
        assert!(!is_again(after_failure(&Failure::new(Status::Tls, ""), true, 1, 3)));
        let service = Error::new(Status::Service, "");
        assert!(is_again(after_error(&service, true, 1, 3)));
        assert!(!is_again(after_error(&service, false, 1, 3)));
        assert!(is_again(after_error(&Error::new(Status::Throttled, ""), false, 1, 3)));
        assert!(!is_again(after_error(&Error::new(Status::BadRequest, ""), true, 1, 3)));
    }

    #[test]
    fn pauses_grow_within_bounds() {
        for attempt in 1..40 {
            assert!(pause(attempt, None) <= LONGEST_PAUSE);
        }
        assert!(pause(1, None) <= FIRST_PAUSE);
        assert!(pause(1, Some(Duration::from_secs(9))) >= Duration::from_secs(9));
    }
}
