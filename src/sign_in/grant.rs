//! A reply that grants a token, from Entra or from a managed identity's endpoint.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Token, claims};
use crate::error::{Error, Result};
use crate::http::reply::Reply;
use crate::status::Status;
use crate::text::{json, seconds};

/// The largest reply that is read.
pub(super) const MAX_REPLY: usize = 256 * 1024;

/// The documented usual lifetime, for tokens whose lifetime is not readable.
const USUAL_LIFE: Duration = Duration::from_secs(3_599);

/// Reads a successful reply; `from` completes "the reply of …".
pub(crate) fn read(reply: &Reply, from: &str, check: &str) -> Result<Token> {
    #[derive(Deserialize)]
    struct Granted<'a> {
        #[serde(borrow)]
        access_token: &'a RawValue,
        #[serde(borrow, default)]
        expires_in: Option<&'a RawValue>,
        #[serde(borrow, default)]
        expires_on: Option<&'a RawValue>,
    }
    let granted: Option<Granted<'_>> = json::read(&reply.body);
    let token = granted.as_ref().and_then(|it| json::unescaped(it.access_token.get()));
    let (Some(granted), Some(token)) = (granted, token) else {
        let message = format!("the reply of {from} has no access token; check {check}");
        return Err(Error::new(Status::Protocol, message));
    };
    // The sender's clock, if the reply has a `Date`: this host's may be wrong.
    let now = reply.date().unwrap_or_else(SystemTime::now);
    let until = |at: u64| {
        let at = UNIX_EPOCH.checked_add(Duration::from_secs(at))?;
        Some(at.duration_since(now).unwrap_or_default())
    };
    let life = seconds::read(text(granted.expires_in))
        .or_else(|| instant(text(granted.expires_on)).and_then(until))
        .or_else(|| claims::read(&token).expires_at.and_then(until))
        .unwrap_or(USUAL_LIFE);
    Token::new(&token, Some(life))
}

fn text(value: Option<&RawValue>) -> &str {
    value.map_or("", |value| value.get().trim_matches('"').trim())
}

/// Parses seconds since 1970, RFC 3339 (`2019-06-20T02:57:58Z`), or App Service's older dates in UTC:
/// `06/20/2019 02:57:58 +00:00` on Linux, `9/14/2017 12:00:00 PM +00:00` on Windows.
fn instant(text: &str) -> Option<u64> {
    if let Some(since) = seconds::read(text) {
        return Some(since.as_secs());
    }
    if let Some(at) = rfc3339(text) {
        return Some(at);
    }
    let mut words = text.split_ascii_whitespace();
    let (date, time) = (words.next()?, words.next()?);
    let three = |text: &str, by: char| -> Option<[u64; 3]> {
        let mut parts = text.split(by).map(|part| part.parse().ok());
        let three = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(three)
    };
    let [month, day, year] = three(date, '/')?;
    let [hour, minute, second] = three(time, ':')?;
    let hour = match words.next() {
        Some("AM") => hour % 12,
        Some("PM") => hour % 12 + 12,
        _ => hour,
    };
    let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
    let at = humantime::parse_rfc3339(&text).ok()?;
    Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// With any offset, and without one for UTC. Fractions are dropped.
fn rfc3339(text: &str) -> Option<u64> {
    let (local, rest) = text.split_at_checked("2019-06-20T02:57:58".len())?;
    let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let at = humantime::parse_rfc3339(&format!("{}Z", local.replace(' ', "T"))).ok()?;
    let local = at.duration_since(UNIX_EPOCH).ok()?.as_secs();
    if zone.is_empty() || zone.eq_ignore_ascii_case("z") {
        return Some(local);
    }
    let (sign, offset) = zone.split_at_checked(1)?;
    let (hours, minutes) = offset.split_once(':')?;
    let offset =
        u64::from(hours.parse::<u8>().ok()?) * 3_600 + u64::from(minutes.parse::<u8>().ok()?) * 60;
    match sign {
        "+" => local.checked_sub(offset),
        "-" => local.checked_add(offset),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn granted(body: &str) -> Result<Token> {
        let date = Some(httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(1_700_000_000)));
        read(
            &Reply { status: 200, body: body.as_bytes().to_vec().into(), date, ..Reply::default() },
            "x",
            "y",
        )
    }

    #[test]
    fn every_form_of_a_lifetime_is_read() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"exp":1700000500}"#);
        for (rest, seconds) in [
            (r#""expires_in":3000"#, 3_000),
            (r#""expires_in":"3000","expires_on":"1700000100""#, 3_000),
            (r#""expires_on":"1700000100""#, 100),
            (r#""expires_on":1700000100"#, 100),
            // 2023-11-14 22:13:20 is the date of the reply.
            (r#""expires_on":"11/14/2023 22:14:20 +00:00""#, 60),
            (r#""expires_on":"11/14/2023 10:14:20 PM +00:00""#, 60),
            (r#""expires_on":"1700000000""#, 0),
            (r#""expires_in":2999.5"#, 3_000),
            (r#""expires_in":"2999.5""#, 3_000),
            (r#""expires_on":"1700000100.25""#, 101),
            (r#""expires_on":"2023-11-14T22:14:20Z""#, 60),
            (r#""expires_on":"2023-11-14T22:14:20.1234567Z""#, 60),
            (r#""expires_on":"2023-11-14T22:14:20""#, 60),
            (r#""expires_on":"2023-11-15T00:14:20+02:00""#, 60),
            (r#""expires_on":"2023-11-14 16:44:20-05:30""#, 60),
            (r#""expires_on":"tomorrow""#, 500),
            (r#""expires_in":null"#, 500),
        ] {
            let token = granted(&format!(r#"{{"access_token":"e30.{claims}.s",{rest}}}"#)).unwrap();
            let life = token.times.unwrap().expires_at.saturating_duration_since(Instant::now());
            assert!((life.as_secs_f64() - f64::from(seconds)).abs() < 2.0, "{rest}: {life:?}");
        }
        let opaque = granted(r#"{"access_token":"opaque"}"#).unwrap();
        assert!(opaque.times.unwrap().expires_at > Instant::now() + Duration::from_secs(3_590));
    }

    #[test]
    fn replies_without_a_usable_token_are_refused() {
        for body in ["", "{}", "[]", "<html>", r#"{"access_token":null}"#] {
            assert_eq!(granted(body).unwrap_err().status(), Status::Protocol, "{body}");
        }
        for body in [r#"{"access_token":"a\r\nb"}"#, r#"{"access_token":"a b"}"#] {
            let error = granted(body).unwrap_err();
            assert_eq!(error.status(), Status::Token);
            assert!(error.message().contains("line breaks"), "{error}");
        }
    }

    #[test]
    fn dates_with_am_and_pm_are_read() {
        let at = instant;
        assert_eq!(at("9/14/2017 12:00:00 AM +00:00"), at("09/14/2017 00:00:00 +00:00"));
        assert_eq!(at("9/14/2017 00:00:00 PM +00:00"), at("09/14/2017 12:00:00 +00:00"));
        assert_eq!(at("9/14/2017 1:02:03 PM +00:00"), Some(1_505_394_123));
        assert_eq!(at("14.9.2017"), None);
    }
}
