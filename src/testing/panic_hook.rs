//! Defects on demand. Compiled into test builds only; the release check looks for traces of it.

use crate::service::endpoint::Request;

/// Panics in the middle of a call, with a permit and a token in hand, if the comment asks for it.
#[expect(clippy::panic, reason = "that is the purpose")]
pub(crate) fn panic_if_asked(request: &Request) {
    if request.body.as_deref().is_some_and(|body| body.contains("mde-test-hook-panic")) {
        panic!("canary-in-panic-text");
    }
}
