//! Whether a link that was refused may become valid: the clocks of the host that signed it and of the host that checks it
//! differ, or the package has not reached every host yet.

use std::time::{Duration, SystemTime};

/// What a refusal says about the time of the link.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Validity {
    /// Nothing. A young link may not be valid yet.
    Unknown,
    /// By the clock of the download host it becomes valid after this time.
    Starts(Duration),
    /// It is not valid any more.
    Over,
}

impl Validity {
    /// Reads the detail of Azure Storage: `Signature not valid in the specified time frame: Start [Mon, 20 Oct 2025
    /// 01:05:29 GMT] - Expiry […] - Current […]`, also with `Key start` and `Key expiry`.
    pub(super) fn of(body: &[u8]) -> Validity {
        let text = String::from_utf8_lossy(body);
        let date = |label: &str| -> Option<SystemTime> {
            let (_, after) = text.split_once(label)?;
            httpdate::parse_http_date(after.split(']').next()?.trim()).ok()
        };
        let Some(now) = date("urrent [") else { return Validity::Unknown };
        if date("xpiry [").is_some_and(|end| end <= now) {
            return Validity::Over;
        }
        // Dates have whole seconds.
        let missing = date("tart [").and_then(|start| start.duration_since(now).ok());
        missing
            .map_or(Validity::Unknown, |missing| Validity::Starts(missing + Duration::from_secs(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detail_of_a_refusal_is_read() {
        const REAL: &[u8] = include_bytes!("../../../tests/samples/real_blob_403_expired_sas.xml");
        assert_eq!(Validity::of(REAL), Validity::Over);
        let frame = |start: &str, expiry: &str| {
            let text = format!(
                "<AuthenticationErrorDetail>Signature not valid in the specified time frame: Start \
                 [Sun, 29 Nov 2026 {start} GMT] - Expiry [Sun, 29 Nov 2026 {expiry} GMT] - Current \
                 [Sun, 29 Nov 2026 10:00:00 GMT]</AuthenticationErrorDetail>"
            );
            Validity::of(text.as_bytes())
        };
        assert_eq!(frame("10:00:04", "10:01:04"), Validity::Starts(Duration::from_secs(5)));
        assert_eq!(frame("09:58:00", "10:00:00"), Validity::Over);
        assert_eq!(frame("09:58:00", "10:01:00"), Validity::Unknown);
        for other in ["", "Signature did not match.", "Start [] - Expiry [] - Current [", "\u{0}"] {
            assert_eq!(Validity::of(other.as_bytes()), Validity::Unknown, "{other}");
        }
    }
}
