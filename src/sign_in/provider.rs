//! Tokens from the host's own callback.

use std::sync::Arc;
use std::time::Duration;

use super::Token;
use crate::error::{Error, Result, Stage};
use crate::status::Status;
use crate::text::redact;

/// A token from a provider, and its remaining lifetime if the provider knows it.
#[derive(Debug)]
pub struct ProvidedToken {
    /// The access token, without the word `Bearer`.
    pub token: zeroize::Zeroizing<String>,
    /// Its remaining lifetime. `None`: the provider is called before every request.
    pub expires_in: Option<Duration>,
}

/// Gets access tokens for a scope, on the thread that made the call that needs one.
///
/// Only one thread at a time calls it per client. An `Err` is the reason, for the error message.
pub trait TokenProvider: Send + Sync {
    /// A token for `scope`, for example `https://api.securitycenter.microsoft.com/.default`.
    fn token(&self, scope: &str) -> std::result::Result<ProvidedToken, String>;
}

pub(crate) struct Callback {
    pub provider: Arc<dyn TokenProvider>,
    pub scope: String,
}

impl Callback {
    pub(super) fn fetch(&self) -> Result<Token> {
        let provided = self.provider.token(&self.scope).map_err(|why| {
            let why = redact::clean(&why, 256);
            Error::new(Status::Token, format!("the token provider gave no token: {why}"))
                .with_stage(Stage::Token)
        })?;
        Token::new(&provided.token, provided.expires_in.filter(|life| !life.is_zero()))
    }
}

impl std::fmt::Debug for Callback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Callback")
    }
}
