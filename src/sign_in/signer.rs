//! Signatures from the host's own code, for keys that the library never has.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::Call;

/// What a [`Signer`] is asked to sign.
pub struct SigningRequest<'a> {
    /// `PS256` (RSA-PSS with a salt of 32 bytes) or `RS256` (PKCS#1 v1.5), both with SHA-256.
    pub algorithm: &'static str,
    /// The text to hash and sign. It holds no secret. It begins with the header of a JWT in base64url, up to the first
    /// dot, whose `x5t#S256` or `x5t` names the certificate that is in use.
    pub data: &'a [u8],
    pub(crate) call: Arc<Call>,
}

impl SigningRequest<'_> {
    /// The time that the call has left: zero once it is stopped. `None`: it has no deadline.
    pub fn time_left(&self) -> Option<Duration> {
        time_left(&self.call)
    }
}

pub(crate) fn time_left(call: &Call) -> Option<Duration> {
    match call.check() {
        Ok(()) => call.deadline().map(|at| at.saturating_duration_since(Instant::now())),
        Err(_) => Some(Duration::ZERO),
    }
}

/// Signs with the key of a certificate, wherever that key is, on the thread that made the call that signs in.
///
/// Only one thread at a time calls it per client. The result is the bare signature. The library checks it with the
/// certificate before it is sent. An `Err` is the reason, for the error message.
pub trait Signer: Send + Sync {
    /// The signature of the request's data.
    fn sign(&self, request: &SigningRequest<'_>) -> std::result::Result<Vec<u8>, String>;
}
