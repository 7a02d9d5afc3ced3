//! What to do after an attempt failed: in one place, for every request.
//!
//! Source: "Common REST API error codes" (429 and 5xx), and the rule that a request which may have been
//! carried out is not repeated unless repeating it changes nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::failure::Failure;
use crate::error::Error;
use crate::status::Status;

/// The first pause is up to this long; each further one up to twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How to go on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Try again after this pause.
    Again(Duration),
    /// This is the end.
    GiveUp,
}

/// After no reply came. `repeatable`: sending the request twice does what sending it once does.
pub(crate) fn after_failure(
    failure: &Failure,
    repeatable: bool,
    attempt: u32,
    retries: u32,
) -> Next {
    let safe = repeatable || !failure.may_have_been_received();
    if failure.is_transient() && safe && attempt <= retries {
        Next::Again(pause(attempt, None))
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
        // Refused before anything was done. The wait the service named is in the error.
        Status::Throttled => Next::Again(pause(attempt, error.retry_after())),
        Status::Service if repeatable => Next::Again(pause(attempt, error.retry_after())),
        _ => Next::GiveUp,
    }
}

/// After a step of a larger operation failed, which can be taken again if its error says so.
pub(crate) fn after_step(error: &Error, attempt: u32, retries: u32) -> Next {
    match error.is_retryable() && !error.is_stop() && attempt <= retries {
        true => Next::Again(pause(attempt, error.retry_after())),
        false => Next::GiveUp,
    }
}

/// Full jitter: anything from nothing to the bound, so that many clients do not return together.
fn pause(attempt: u32, at_least: Option<Duration>) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let bound = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    at_least.unwrap_or_default().saturating_add(bound.mul_f64(random()))
}

/// Anything from 0 to 1.
pub(crate) fn random() -> f64 {
    // Seeded each time: the crate's own generator keeps memory for every thread that ever used it.
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64);
    fastrand::Rng::with_seed(seed).f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_again(next: Next) -> bool {
        matches!(next, Next::Again(_))
    }

    #[test]
    fn only_what_changes_nothing_is_repeated() {
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
