//! Signing in: one file per way to get a token, and the cache in front of them.
//!
//! A further way to sign in is a further variant of [`Source`] with a file of its own.

pub(crate) mod cache;
pub(crate) mod choice;
pub(crate) mod claims;
pub(crate) mod client_secret;
pub(crate) mod provider;

use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::call::Call;
use crate::net::agent::Http;
use crate::{Error, Result, Stage, Status};

pub use provider::{ProvidedToken, TokenProvider};

/// Where tokens come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Option `access_token`: used as it is, for as long as the service takes it.
    Fixed(Token),
    /// The host's own callback.
    Provider(provider::Callback),
    /// `client_id` and `client_secret` against the v2.0 token endpoint.
    ClientSecret(client_secret::ClientSecret),
}

impl Source {
    /// A fresh token; `persist`: through passing failures, as far as the options allow.
    fn fetch(&self, http: &Http, call: &Arc<Call>, persist: bool) -> Result<Token> {
        match self {
            Source::Fixed(token) => Ok(token.clone()),
            Source::Provider(callback) => callback.fetch(),
            Source::ClientSecret(secret) => secret.fetch(http, call, persist),
        }
    }

    /// Whether asking again can give another token.
    fn renews(&self) -> bool {
        !matches!(self, Source::Fixed(_))
    }
}

/// An access token, wiped from memory when the last user lets go of it.
#[derive(Clone)]
pub(crate) struct Token {
    /// A whole line of a request's head, made once.
    header: Arc<Zeroizing<String>>,
    times: Option<Times>,
}

#[derive(Clone, Copy)]
struct Times {
    renew_at: Instant,
    expires_at: Instant,
}

/// How long before its end a token is renewed, unless its whole life is short.
const EARLY: Duration = Duration::from_secs(300);

/// No token is believed to live longer than this.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 86_400);

/// Header lines longer than this are refused by common servers and gateways.
const MAX_TOKEN: usize = 32 * 1024;

const BEFORE: &str = "authorization: Bearer ";
const AFTER: &str = "\r\n";

impl Token {
    /// Whether a header can carry it.
    pub(crate) fn is_usable(text: &str) -> bool {
        (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
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
            .at(Stage::Token));
        }
        let now = Instant::now();
        let times = life.and_then(|life| {
            let life = life.min(LONGEST_LIFE);
            let early = EARLY.min(life / 2);
            Some(Times {
                renew_at: now.checked_add(life - early)?,
                expires_at: now.checked_add(life)?,
            })
        });
        let header = format!("{BEFORE}{text}{AFTER}");
        Ok(Token { header: Arc::new(Zeroizing::new(header)), times })
    }

    /// The `Authorization` header, with the end of its line.
    pub(crate) fn header(&self) -> &str {
        &self.header
    }

    /// The token itself.
    pub(crate) fn text(&self) -> &str {
        let text = self.header.strip_prefix(BEFORE).and_then(|text| text.strip_suffix(AFTER));
        text.unwrap_or_default()
    }

    /// Whether its known life is over.
    pub(crate) fn is_expired(&self) -> bool {
        self.times.is_some_and(|times| Instant::now() >= times.expires_at)
    }

    fn is_same(&self, other: &Token) -> bool {
        Arc::ptr_eq(&self.header, &other.header)
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
}
