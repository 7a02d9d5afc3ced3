//! Signing in: one file per way to prove who one is, and the cache in front of them.
//!
//! What Entra's token endpoint is asked with a secret, a certificate or somebody else's token is one request
//! ([`entra`]) with another proof in it; managed identities ([`managed`]) ask their host instead. Both read
//! the same replies ([`grant`], [`refusal`]) and are tried again by one rule ([`attempts`]).

mod attempts;
pub(crate) mod cache;
pub(crate) mod certificate;
pub(crate) mod claims;
pub(crate) mod entra;
pub(crate) mod federated;
mod grant;
pub(crate) mod identity;
pub(crate) mod managed;
pub(crate) mod provider;
mod refusal;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::Call;
use crate::error::{Error, Result, Stage};
use crate::http::client::Http;
use crate::http::retry;
use crate::status::Status;
use crate::text::secret_line::SecretLine;

pub use provider::{ProvidedToken, TokenProvider};

/// Where tokens come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Option `access_token`: used as it is, for as long as the service takes it.
    Fixed(Token),
    /// The host's own callback.
    Provider(provider::Callback),
    /// Entra's token endpoint.
    Authority(entra::Authority),
    /// The identity that Azure gave this machine.
    Managed(managed::Managed),
}

impl Source {
    /// A fresh token; passing failures are tried again up to so many times.
    fn fetch(&self, http: &Http, call: &Arc<Call>, retries: u32) -> Result<Token> {
        match self {
            Source::Fixed(token) => Ok(token.clone()),
            Source::Provider(callback) => callback.fetch(),
            Source::Authority(authority) => authority.fetch(http, call, retries),
            Source::Managed(managed) => managed.fetch(http, call, retries),
        }
    }

    /// Whether asking again can give another token.
    fn renews(&self) -> bool {
        !matches!(self, Source::Fixed(_))
    }

    /// Whether it is reached over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        matches!(self, Source::Authority(authority) if authority.is_secure())
    }

    /// What nobody may see, as far as it is kept.
    pub(crate) fn secret(&self) -> Option<&str> {
        match self {
            Source::Authority(authority) => authority.secret(),
            Source::Managed(managed) => managed.secret(),
            Source::Fixed(_) | Source::Provider(_) => None,
        }
    }
}

/// An access token, wiped from memory when the last user lets go of it.
#[derive(Clone)]
pub(crate) struct Token {
    /// A whole line of a request's head, made once.
    header: SecretLine,
    times: Option<Times>,
}

#[derive(Clone, Copy)]
struct Times {
    renew_at: Instant,
    expires_at: Instant,
}

/// How long before its end a token is renewed, unless its whole life is short.
const EARLY: Duration = Duration::from_secs(300);

/// Up to so much of that time is added to it, so that a fleet that was started together does not renew together.
const JITTER: f64 = 0.2;

/// No token is believed to live longer than this.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 86_400);

/// Header lines longer than this are refused by common servers and gateways.
const MAX_TOKEN: usize = 32 * 1024;

const HEADER: &str = "authorization";
const SCHEME: &str = "Bearer ";

impl Token {
    /// Whether a header can carry it.
    pub(crate) fn is_usable(text: &str) -> bool {
        text.len() <= MAX_TOKEN && SecretLine::can_carry(text)
    }

    /// A token as it was given, valid for `life` from now (`None`: not known).
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

    /// Whether its known life is over.
    pub(crate) fn is_expired(&self) -> bool {
        self.times.is_some_and(|times| Instant::now() >= times.expires_at)
    }

    fn is_same(&self, other: &Token) -> bool {
        self.header.is_same(&other.header)
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
    fn tokens_that_no_header_may_carry_are_refused() {
        for bad in ["", "a b", "a\r\nX: y", "a\u{0}", "töken"] {
            assert_eq!(Token::new(bad, None).unwrap_err().status(), Status::Token, "{bad:?}");
        }
        assert!(Token::new(&"x".repeat(MAX_TOKEN + 1), None).is_err());
        assert_eq!(Token::new(&"x".repeat(16 * 1024), None).unwrap().text().len(), 16 * 1024);
    }

    #[test]
    fn debug_output_shows_nothing() {
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
