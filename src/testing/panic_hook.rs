//! Panics on demand. Only test builds contain this; the release check searches the library for it.

use crate::service::endpoint::Request;

/// Panics in the middle of a call that holds a permit and a token, if the comment contains the marker.
#[expect(clippy::panic, reason = "the panic is the purpose")]
pub(crate) fn panic_if_asked(request: &Request) {
    if request.body.as_deref().is_some_and(|body| body.contains("mde-test-hook-panic")) {
        panic!("canary-in-panic-text");
    }
}
