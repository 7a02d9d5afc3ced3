//! The short-lived addresses under which a package can be fetched.
//!
//! <https://learn.microsoft.com/defender-endpoint/api/get-package-sas-uri>

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

/// The target of a link.
#[derive(Debug, Clone)]
pub struct Link {
    pub action: String,
    pub issued: Duration,
    pub issued_at: Timestamp,
    pub lifetime: Duration,
    /// How many downloads it has served.
    pub uses: u32,
}

impl Link {
    pub fn is_expired(&self, now: Duration) -> bool {
        now >= self.issued.saturating_add(self.lifetime)
    }
}

/// The links that were returned, by their token in the form of the address.
///
/// A token is compared byte for byte, so that a test finds a client that decodes and re-encodes it.
#[derive(Debug, Default)]
pub struct Links(HashMap<String, Link>);

impl Links {
    /// Makes a link; returns its token, escaped as the service escapes it.
    pub fn issue(&mut self, link: Link) -> String {
        // Three base64 parts joined by semicolons, escaped in lower case. The lengths are those of
        // the documented example and make padding certain.
        let part = |size: usize| {
            let bytes: Vec<u8> = (0..size).map(|_| fastrand::u8(..)).collect();
            STANDARD.encode(bytes)
        };
        let token = format!("{};{};{}", part(656), part(656), part(160));
        let token =
            token.replace('/', "%2f").replace('+', "%2b").replace('=', "%3d").replace(';', "%3b");
        self.0.insert(token.clone(), link);
        token
    }

    pub fn find(&mut self, token: &str) -> Option<&mut Link> {
        self.0.get_mut(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_documented_shape() {
        let link = Link {
            action: "a".into(),
            issued: Duration::from_secs(10),
            issued_at: Timestamp::UNIX_EPOCH,
            lifetime: Duration::from_secs(60),
            uses: 0,
        };
        assert!(!link.is_expired(Duration::from_millis(69_999)));
        assert!(link.is_expired(Duration::from_secs(70)));
        let token = Links::default().issue(link);
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '%';
        assert!(token.chars().all(allowed), "{token}");
        assert_eq!(token.split("%3b").count(), 3);
        assert!(token.ends_with("%3d") && token.contains("%2f") && token.contains("%2b"));
        assert!(!token.contains("%3D") && !token.contains("%2F") && !token.contains("%2B"));
    }
}
