//! A whole reply: read to the end, limited in size, independent of the connection.

use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use crate::text::secret_line::SecretLine;
use crate::text::{redact, seconds};

/// Longer values of `Retry-After` are cut to this.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// The most bytes that are read of a reply that is not a success. Secrets are masked in all of them.
pub(crate) const MAX_REFUSAL_READ: usize = 256 * 1024;

/// The most bytes that are kept of it. A secret that the other limit cuts is not among them.
const MAX_REFUSAL: usize = 64 * 1024;

/// How far two clocks may differ. Entra tolerates five minutes.
pub(crate) const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// Status, the headers that matter, and the whole body.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub status: u16,
    pub content_type: Option<String>,
    pub retry_after: Option<String>,
    pub date: Option<String>,
    /// The host that a redirect leads to.
    pub redirect: Option<String>,
    /// `WWW-Authenticate` of a 401.
    pub challenge: Option<String>,
    /// What to report about the client certificate, if the refusal speaks of one.
    pub about_certificate: Option<String>,
    /// Wiped: it may hold a token or a link.
    pub body: Zeroizing<Vec<u8>>,
    /// The token of the request, which is known as a secret as long as this exists.
    pub token: Option<SecretLine>,
    /// How many requests were sent, and their purpose: "list machine actions".
    pub attempts: u32,
    pub purpose: &'static str,
}

impl Reply {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether a gateway may have refused the request because of the client certificate. Some ask for one in the
    /// handshake and refuse in HTTP: nginx ("No required SSL certificate was sent") and IIS.
    pub(super) fn is_about_a_certificate(&self) -> bool {
        const WORD: &[u8] = b"certificate";
        let says = |window: &[u8]| window.eq_ignore_ascii_case(WORD);
        (400..500).contains(&self.status) && self.body.windows(WORD.len()).any(says)
    }

    /// Masks known secrets in a refusal. It comes before anything is read: part of a secret would not be recognised.
    pub(crate) fn mask(&mut self, mask: &dyn Fn(&mut String)) {
        self.content_type.iter_mut().chain(&mut self.redirect).for_each(mask);
        // Invalid UTF-8 must not hide the rest of the text.
        let mut text = String::from_utf8_lossy(&self.body).into_owned();
        mask(&mut text);
        self.body = Zeroizing::new(text.into_bytes());
        self.body.truncate(MAX_REFUSAL);
    }

    /// `Retry-After` in seconds, also with a fraction, or as a date, at most a day. A date is compared with the reply's `Date`, else with this
    /// host's clock.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let text = self.retry_after.as_deref()?.trim();
        let wait = match seconds::read(text) {
            Some(wait) => wait,
            None => {
                let at = httpdate::parse_http_date(text).ok()?;
                let now = self.date().unwrap_or_else(SystemTime::now);
                at.duration_since(now).unwrap_or_default()
            }
        };
        Some(wait.min(MAX_RETRY_AFTER))
    }

    /// The time of the reply by the service's clock.
    pub(crate) fn date(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.date.as_deref()?).ok()
    }

    /// How many seconds this host's clock is ahead of the peer's; negative if it is behind.
    pub(crate) fn clock_ahead(&self) -> Option<i64> {
        let (theirs, ours) = (self.date()?, SystemTime::now());
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        Some(match ours.duration_since(theirs) {
            Ok(ahead) => seconds(ahead),
            Err(behind) => -seconds(behind.duration()),
        })
    }

    /// A warning if this host's clock differs from the peer's by more than the tolerance.
    pub(crate) fn clock_warning(&self) -> Option<String> {
        clock_warning(self.clock_ahead()?)
    }

    /// The status, and where a redirect leads, for messages.
    pub(crate) fn describe_status(&self) -> String {
        match &self.redirect {
            None => format!("HTTP {}", self.status),
            Some(host) => {
                format!("HTTP {} (a redirect to `{}`)", self.status, redact::clean(host, 128))
            }
        }
    }

    /// Type and length of the body, for messages about bodies that were not understood.
    pub(crate) fn describe_content(&self) -> String {
        let kind = match self.content_type.as_deref() {
            Some(kind) => redact::clean(kind, 64),
            None => "no content type".to_owned(),
        };
        format!("{kind}, {} bytes", self.body.len())
    }
}

/// A warning if this host's clock is so many seconds ahead of the service's, or behind, that they matter.
pub(crate) fn clock_warning(ahead: i64) -> Option<String> {
    let way = if ahead > 0 { "ahead of" } else { "behind" };
    let off = Duration::from_secs(ahead.unsigned_abs());
    (off > CLOCK_TOLERANCE).then(|| {
        let off = seconds::words(off);
        format!("this host's clock is {off} {way} the service's: set it right")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_beyond_the_tolerance_is_reported() {
        let warning = |date: SystemTime| {
            Reply { date: Some(httpdate::fmt_http_date(date)), ..Reply::default() }.clock_warning()
        };
        let now = SystemTime::now();
        let ahead = warning(now - Duration::from_secs(7_260)).unwrap();
        assert!(ahead.contains("clock is 121 minutes") && ahead.contains("ahead of"), "{ahead}");
        assert!(warning(now + Duration::from_secs(700)).unwrap().contains("behind"));
        assert_eq!(warning(now + Duration::from_secs(280)), None);
        assert_eq!(Reply::default().clock_warning(), None);
    }
}
