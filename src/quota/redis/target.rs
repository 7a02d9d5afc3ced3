//! The server, its database and the login: option `quota_redis`.

use ureq::http::Uri;
use zeroize::Zeroizing;

use crate::text::redact;
use crate::text::url::{decoded, without_login};

/// What `quota_redis` accepts, for messages.
pub(crate) const ACCEPTED: &str = "redis://[user:password@]host[:port][/database], or rediss:// for TLS, with user and \
     password percent-encoded";

const PORT: u16 = 6379;

/// A server, a database on it, and a login.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) secure: bool,
    pub(super) database: u32,
    pub(super) user: String,
    pub(super) password: Zeroizing<String>,
}

impl Target {
    /// Parses the option. The error is its problem, to complete "option `quota_redis` …".
    pub(crate) fn parse(text: &str) -> Result<Target, &'static str> {
        // http::Uri drops a fragment without an error.
        if text.contains('#') {
            return Err("has a fragment; a # in a password is written %23");
        }
        let (text, login) = without_login(text).ok_or("is not a URL")?;
        let uri: Uri = text.parse().map_err(|_| "is not a URL")?;
        let secure = match uri.scheme_str() {
            Some("redis") => false,
            Some("rediss") => true,
            _ => return Err("is neither redis:// nor rediss://"),
        };
        if uri.query().is_some() {
            return Err("has a query");
        }
        let authority = uri.authority().ok_or("has no host")?;
        let host = authority.host();
        if host.trim_end_matches('.').is_empty() {
            return Err("has no host");
        }
        if authority.as_str() != host && authority.port_u16().is_none_or(|port| port == 0) {
            return Err("has a port that is not a number from 1 to 65535");
        }
        let database = match uri.path().trim_start_matches('/') {
            "" => 0,
            number if number.bytes().all(|b| b.is_ascii_digit()) => {
                number.parse().map_err(|_| "has a database whose number is out of range")?
            }
            _ => return Err("has a path that is not the number of a database"),
        };
        let login = login.unwrap_or_default();
        let (user, password) = match login.split_once(':') {
            Some(parts) => parts,
            None if login.is_empty() => ("", ""),
            None => return Err("has a user without a password; a password alone is `:password@`"),
        };
        let decode = |part: &str| decoded(part).ok_or("has a login that is not UTF-8");
        Ok(Target {
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(PORT),
            secure,
            database,
            user: decode(user)?.to_string(),
            password: decode(password)?,
        })
    }

    /// Server and database, for messages: never the login.
    pub(crate) fn shown(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }

    /// The secret password, or an empty string.
    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// Whether it is reached over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }

    /// A text from the server with the password masked.
    pub(super) fn mask(&self, mut text: String) -> String {
        redact::mask(&mut text, &[&self.password]);
        text
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({})", self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_read_and_the_login_is_not_shown() {
        let target = Target::parse("rediss://agent:p%40ss%3Aword%23@cache.example:6380/3").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("cache.example", 6380));
        assert_eq!((target.secure, target.database), (true, 3));
        assert_eq!((target.user.as_str(), target.password.as_str()), ("agent", "p@ss:word#"));
        assert_eq!(format!("{target:?}"), "Target(cache.example:6380/3)");
        assert_eq!(target.mask("for p@ss:word# no".to_owned()), "for *** no");
    }

    #[test]
    fn all_parts_but_the_host_are_optional() {
        let target = Target::parse("redis://:secret@[::1]").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("[::1]", PORT));
        assert_eq!((target.user.as_str(), target.password.as_str()), ("", "secret"));
        for text in ["redis://cache", "redis://cache/", "redis://cache:6379/0"] {
            assert_eq!(Target::parse(text).unwrap().shown(), "cache:6379/0", "{text}");
        }
    }

    #[test]
    fn malformed_urls_are_refused() {
        for bad in [
            "",
            "cache",
            "cache:6379",
            "http://cache",
            "redis://",
            "redis://cache:0",
            "redis://cache:99999",
            "redis://cache:",
            "redis://cache/x",
            "redis://cache/99999999999",
            "redis://cache/0?x=1",
            "redis://user@cache",
            "redis://:a#b@cache",
            "redis://:%ff@cache",
            "unix:///run/redis.sock",
        ] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
