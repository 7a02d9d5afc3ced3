//! Signing in: one file per source of tokens, and the cache in front of them.
//!
//! A secret, a certificate and another issuer's token are proofs in one request to Entra's token endpoint ([`entra`]).
//! Managed identities ([`managed`]) request tokens from their host instead. Both read the same replies ([`grant`],
//! [`refusal`]) and share one retry rule ([`attempts`]).

mod attempts;
pub(crate) mod cache;
pub(crate) mod certificate;
pub(crate) mod claims;
pub(crate) mod entra;
pub(crate) mod federated;
pub(crate) mod grant;
pub(crate) mod identity;
pub(crate) mod managed;
mod orders;
pub(crate) mod provider;
pub(crate) mod refusal;
pub(crate) mod signer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::{Call, Stop};
use crate::error::{Error, Result, Stage};
use crate::http::client::Http;
use crate::http::retry;
use crate::status::Status;
use crate::text::secret_line::SecretLine;

pub use provider::{ProvidedToken, TokenProvider};
pub use signer::{Signer, SigningRequest};

/// The error of a call that was stopped while it waited for a token.
fn stopped(stop: Stop) -> Error {
    Error::from(stop).with_stage(Stage::Token)
}

/// The source of tokens.
#[derive(Debug)]
pub(crate) enum Source {
    /// Option `access_token`: used as it is, while the service accepts it.
    Fixed(Token),
    /// The host's own callback.
    Provider(provider::Callback),
    /// Entra's token endpoint.
    Authority(entra::Authority),
    /// The identity that Azure assigned to this machine.
    Managed(managed::Managed),
}

impl Source {
    /// Fetches a new token. Transient failures are retried up to `retries` times.
    fn fetch(&self, http: &Http, call: &Arc<Call>, retries: u32) -> Result<Token> {
        match self {
            Source::Fixed(token) => Ok(token.clone()),
            Source::Provider(callback) => callback.fetch().map_err(|error| match call.check() {
                // It gave up because its call was stopped. Another call that waits for the token asks it again.
                Err(stop) => stopped(stop),
                Ok(()) => error,
            }),
            Source::Authority(authority) => authority.fetch(http, call, retries),
            Source::Managed(managed) => managed.fetch(http, call, retries),
        }
    }

    /// A page of the sign-in host that anybody may read, if the source has such a host.
    fn public_page(&self) -> Option<String> {
        match self {
            Source::Authority(authority) => Some(authority.public_page()),
            Source::Fixed(_) | Source::Provider(_) | Source::Managed(_) => None,
        }
    }

    /// Whether a callback of the host is asked.
    pub(crate) fn asks_host(&self) -> bool {
        match self {
            Source::Provider(_) => true,
            Source::Authority(authority) => authority.asks_host(),
            Source::Fixed(_) | Source::Managed(_) => false,
        }
    }

    /// Whether the source can provide another token.
    fn renews(&self) -> bool {
        !matches!(self, Source::Fixed(_))
    }

    /// Whether requests to the source use TLS.
    pub(crate) fn is_secure(&self) -> bool {
        matches!(self, Source::Authority(authority) if authority.is_secure())
    }

    /// Host and port of the sign-in service, if requests go to one.
    pub(crate) fn host(&self) -> Option<&str> {
        match self {
            Source::Authority(authority) => Some(authority.host()),
            Source::Managed(_) | Source::Fixed(_) | Source::Provider(_) => None,
        }
    }

    /// The secret that is kept in memory, if any.
    pub(crate) fn secret(&self) -> Option<&str> {
        match self {
            Source::Authority(authority) => authority.secret(),
            Source::Managed(managed) => managed.secret(),
            Source::Fixed(_) | Source::Provider(_) => None,
        }
    }
}

/// An access token, wiped from memory when its last copy is dropped.
#[derive(Clone)]
pub(crate) struct Token {
    /// The whole header line, made once.
    header: SecretLine,
    times: Option<Times>,
}

#[derive(Clone, Copy)]
struct Times {
    renew_at: Instant,
    expires_at: Instant,
}

/// How long before its expiry a token is renewed, unless its whole lifetime is short.
const EARLY: Duration = Duration::from_secs(300);

/// Up to this part of [`EARLY`] is added to it, so that clients that started together do not renew together.
const JITTER: f64 = 0.2;

/// Longer lifetimes are cut to this.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 86_400);

/// Common servers and gateways refuse longer header lines.
const MAX_TOKEN: usize = 32 * 1024;

const HEADER: &str = "authorization";
const SCHEME: &str = "Bearer ";

impl Token {
    /// Whether a header can carry it.
    pub(crate) fn is_usable(text: &str) -> bool {
        text.len() <= MAX_TOKEN && SecretLine::can_carry(text)
    }

    /// A token that is valid for `life` from now. `None`: the lifetime is unknown.
    pub(crate) fn new(text: &str, life: Option<Duration>) -> Result<Token> {
        if !Token::is_usable(text) {
            return Err(Error::new(
                Status::Token,
                format!(
                    "the access token is unusable: expected 1 to {MAX_TOKEN} visible ASCII characters \
                     without blanks or line breaks"
                ),
            )
            .with_stage(Stage::Token));
        }
        let now = Instant::now();
        let times = life.and_then(|life| {
            let life = life.min(LONGEST_LIFE);
            let early = EARLY.min(life / 2).mul_f64(1.0 + JITTER * retry::random());
            Some(Times {
                renew_at: now.checked_add(life.saturating_sub(early))?,
                expires_at: now.checked_add(life)?,
            })
        });
        let value = zeroize::Zeroizing::new([SCHEME, text].concat());
        Ok(Token { header: SecretLine::new(HEADER, &value), times })
    }

    /// The `Authorization` header.
    pub(crate) fn header(&self) -> &SecretLine {
        &self.header
    }

    /// The token itself.
    pub(crate) fn text(&self) -> &str {
        self.header.value(HEADER, SCHEME)
    }

    /// Its remaining lifetime, if it is known.
    pub(crate) fn expires_in(&self) -> Option<Duration> {
        Some(self.times?.expires_at.saturating_duration_since(Instant::now()))
    }

    /// Whether its lifetime is known and over.
    pub(crate) fn is_expired(&self) -> bool {
        self.times.is_some_and(|times| Instant::now() >= times.expires_at)
    }

    fn is_same(&self, other: &Token) -> bool {
        self.header.is_same(&other.header)
    }

    /// Whether there is another copy of it.
    fn is_in_use(&self) -> bool {
        self.header.is_in_use()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_no_header_can_carry_are_refused() {
        for bad in ["", "a b", "a\r\nX: y", "a\u{0}", "töken"] {
            assert_eq!(Token::new(bad, None).unwrap_err().status(), Status::Token, "{bad:?}");
        }
        assert!(Token::new(&"x".repeat(MAX_TOKEN + 1), None).is_err());
        assert_eq!(Token::new(&"x".repeat(16 * 1024), None).unwrap().text().len(), 16 * 1024);
    }

    #[test]
    fn debug_output_shows_no_token() {
        assert_eq!(format!("{:?}", Token::new("canary", None).unwrap()), "Token(***)");
    }

    #[test]
    fn a_fleet_does_not_renew_together() {
        let renewals: Vec<_> = (0..50)
            .map(|_| {
                let times =
                    Token::new("x", Some(Duration::from_secs(3_600))).unwrap().times.unwrap();
                let early = times.expires_at - times.renew_at;
                assert!((300.0..=360.0).contains(&early.as_secs_f64()), "{early:?}");
                early.as_millis()
            })
            .collect();
        assert!(renewals.iter().max().unwrap() - renewals.iter().min().unwrap() > 10_000);
    }
}
