//! Retries of token requests. Repeating one is always safe, so every transient failure is retried.

use super::stopped;
use crate::call::Call;
use crate::error::{Error, Result, Stage};
use crate::http::retry::Next;

/// Requests a token until one is granted, a failure is final, or the time is over. `request` gets the number of the
/// attempt, from 1. With a failure it returns what follows.
pub(super) fn retried<T>(
    call: &Call,
    mut request: impl FnMut(u32) -> std::result::Result<T, (Error, Next)>,
) -> Result<T> {
    let mut attempt = 1;
    loop {
        let (error, next) = match request(attempt) {
            Ok(token) => return Ok(token),
            Err(failed) => failed,
        };
        let error = error.with_only_stage(Stage::Token).attempts(attempt);
        let Next::Again(pause) = next else {
            return Err(error);
        };
        if !call.has_time_for(pause) {
            return Err(error.out_of_time());
        }
        call.pause(pause).map_err(stopped)?;
        attempt += 1;
    }
}
