//! How often a token is asked for: asking twice harms nobody, so every passing failure is tried again.

use crate::call::Call;
use crate::error::{Error, Result, Stage};
use crate::http::retry::Next;

/// Asks until there is a token, an answer that stands, or no time left. `ask` is told the number of the attempt,
/// from 1, and says after a failure whether another one makes sense.
pub(super) fn ask<T>(
    call: &Call,
    mut ask: impl FnMut(u32) -> std::result::Result<T, (Error, Next)>,
) -> Result<T> {
    let mut attempt = 1;
    loop {
        let (error, next) = match ask(attempt) {
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
        call.pause(pause).map_err(|stop| Error::from(stop).with_stage(Stage::Token))?;
        attempt += 1;
    }
}
