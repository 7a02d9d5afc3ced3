//! A reply as the rest of the library sees it: read to the end, bounded, off the wire.

use std::time::{Duration, SystemTime};

use crate::text::redact;

/// The longest wait that is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// How far clocks may be apart: Entra tolerates five minutes.
pub(crate) const TOLERATED_SKEW: Duration = Duration::from_secs(300);

/// Status, the headers that matter, and the whole body.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub status: u16,
    pub content_type: Option<String>,
    pub retry_after: Option<String>,
    pub date: Option<String>,
    /// How to prove oneself, in a 401.
    pub challenge: Option<String>,
    pub body: Vec<u8>,
    /// How many requests it took, and what for: "list machine actions".
    pub attempts: u32,
    pub purpose: &'static str,
}

impl Reply {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Takes a known secret out, whole, before anything of the text is cut off.
    pub(crate) fn mask(&mut self, secret: &str) {
        if let Some(kind) = &mut self.content_type {
            redact::mask(kind, secret);
        }
        let body = String::from_utf8_lossy(&self.body);
        if !secret.is_empty() && body.contains(secret) {
            let mut text = body.into_owned();
            redact::mask(&mut text, secret);
            self.body = text.into_bytes();
        }
    }

    /// `Retry-After`, as seconds or as a date; believed up to a day. A date is compared with the service's
    /// own clock where it tells the time.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let text = self.retry_after.as_deref()?.trim();
        let wait = match text.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let at = httpdate::parse_http_date(text).ok()?;
                let now = self.date().unwrap_or_else(SystemTime::now);
                at.duration_since(now).unwrap_or_default()
            }
        };
        Some(wait.min(MAX_RETRY_AFTER))
    }

    /// When the service says it answered.
    pub(crate) fn date(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.date.as_deref()?).ok()
    }

    /// What is to be said of this host's clock, if it differs from the peer's by more than is tolerated.
    pub(crate) fn clock_note(&self) -> Option<String> {
        let (theirs, ours) = (self.date()?, SystemTime::now());
        let (off, way) = match ours.duration_since(theirs) {
            Ok(ahead) => (ahead, "ahead of"),
            Err(behind) => (behind.duration(), "behind"),
        };
        (off > TOLERATED_SKEW).then(|| {
            let minutes = off.as_secs() / 60;
            format!("this host's clock is {minutes} minutes {way} the service's: set it right")
        })
    }

    /// Type and length of the body, for messages about bodies that make no sense.
    pub(crate) fn describe_content(&self) -> String {
        let kind = match self.content_type.as_deref() {
            Some(kind) => redact::clean(kind, 64),
            None => "no content type".to_owned(),
        };
        format!("{kind}, {} bytes", self.body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_differ_are_noted() {
        let note = |date: SystemTime| {
            Reply { date: Some(httpdate::fmt_http_date(date)), ..Reply::default() }.clock_note()
        };
        let now = SystemTime::now();
        let ahead = note(now - Duration::from_secs(7_260)).unwrap();
        assert!(ahead.contains("clock is 121 minutes") && ahead.contains("ahead of"), "{ahead}");
        assert!(note(now + Duration::from_secs(700)).unwrap().contains("behind"));
        assert_eq!(note(now + Duration::from_secs(280)), None);
        assert_eq!(Reply::default().clock_note(), None);
    }
}
