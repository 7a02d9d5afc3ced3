//! The few claims of an access token that tell whose quota it spends. Read, never trusted.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// Tenant and application of a token, as far as it is readable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    pub tenant: Option<String>,
    pub application: Option<String>,
}

/// Reads a JWT's payload; anything else gives no claims.
pub(crate) fn read(token: &str) -> Claims {
    #[derive(Deserialize)]
    struct Payload {
        tid: Option<String>,
        appid: Option<String>,
        azp: Option<String>,
    }
    let payload = token.split('.').nth(1).unwrap_or_default();
    let Ok(json) = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')) else {
        return Claims::default();
    };
    match serde_json::from_slice::<Payload>(&json) {
        Ok(payload) => Claims { tenant: payload.tid, application: payload.appid.or(payload.azp) },
        Err(_) => Claims::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_the_application_claim() {
        let token = |payload: &str| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(payload));
        let claims = |application: &str| Claims {
            tenant: Some("t".into()),
            application: Some(application.into()),
        };
        assert_eq!(read(&token(r#"{"tid":"t","appid":"a"}"#)), claims("a"));
        assert_eq!(read(&token(r#"{"tid":"t","azp":"b","ver":"2.0"}"#)), claims("b"));
    }

    #[test]
    fn anything_else_has_no_claims() {
        for text in ["", "opaque", "a.b.c", "..", "a.e30.c", "a.WzFd.c"] {
            assert_eq!(read(text), Claims::default(), "{text}");
        }
    }
}
