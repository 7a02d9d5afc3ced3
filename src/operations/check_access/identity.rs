//! For whom a token is, as far as it can be read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::sign_in::Token;
use crate::sign_in::claims::Claims;
use crate::text::guid::is_guid;
use crate::text::redact;

/// The most bytes of an id, a name or a permission.
const MAX_TEXT: usize = 128;
/// The most permissions that are listed. Tokens of this service have up to forty.
const MOST: usize = 200;

/// The identity of a token.
#[derive(Debug, Serialize)]
pub(super) struct Identity {
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    permissions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

/// Whose token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Application,
    User,
    /// The token is not readable.
    Unknown,
}

/// The permissions of a token, and whether they are a user's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<'a> {
    pub permissions: &'a [String],
    pub is_user: bool,
}

impl Identity {
    /// `token` knows its lifetime, where the claims do not.
    pub(super) fn of(claims: Claims, token: &Token) -> Identity {
        let is_readable = claims != Claims::default();
        let (kind, held) = match (claims.scopes, claims.roles) {
            (Some(scopes), _) => (Kind::User, scopes),
            (None, Some(roles)) if is_readable => (Kind::Application, roles),
            _ => (Kind::Unknown, Vec::new()),
        };
        let id = |id: Option<String>| {
            id.map(|id| if is_guid(&id) { id } else { redact::clean(&id, MAX_TEXT) })
        };
        let expires_at = claims
            .expires_at
            .and_then(|at| UNIX_EPOCH.checked_add(Duration::from_secs(at)))
            .or_else(|| SystemTime::now().checked_add(token.expires_in()?));
        Identity {
            kind,
            tenant: id(claims.tenant),
            application: id(claims.application),
            object: id(claims.object),
            user: claims.user.map(|user| redact::clean(&user, MAX_TEXT)),
            permissions: held.iter().take(MOST).map(|name| redact::clean(name, MAX_TEXT)).collect(),
            expires_at: expires_at.and_then(text_of),
        }
    }

    /// `None`: the token is not readable.
    pub(super) fn held(&self) -> Option<Held<'_>> {
        let held = Held { permissions: &self.permissions, is_user: self.kind == Kind::User };
        (self.kind != Kind::Unknown).then_some(held)
    }
}

/// `2026-01-24T22:17:02Z`. `None`: the year has more than four digits.
fn text_of(time: SystemTime) -> Option<String> {
    const YEAR_10000: u64 = 253_402_300_800;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    let is_usual = since.as_secs() < YEAR_10000;
    is_usual.then(|| humantime::format_rfc3339_seconds(time).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign_in::claims;
    use crate::text::json;

    fn of(payload: &str) -> String {
        use base64::Engine;
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(payload);
        let token = Token::new(&format!("e30.{payload}.s"), None).unwrap();
        json::text(&Identity::of(claims::read(token.text()), &token))
    }

    #[test]
    fn an_application_and_a_user_are_told_apart() {
        let id = "5382f7ea-7557-4ab7-9782-d50480021111";
        assert_eq!(
            of(&format!(
                r#"{{"tid":"{id}","appid":"a","roles":["Machine.Read.All"],"exp":1700000000}}"#
            )),
            format!(
                r#"{{"kind":"application","tenant":"{id}","application":"a","permissions":["Machine.Read.All"],"expires_at":"2023-11-14T22:13:20Z"}}"#
            )
        );
        assert_eq!(
            of(r#"{"scp":"Machine.Read","upn":"ann@contoso.example"}"#),
            r#"{"kind":"user","user":"ann@contoso.example","permissions":["Machine.Read"]}"#
        );
    }

    #[test]
    fn what_a_token_says_is_cleaned() {
        let odd = of(r#"{"tid":"a\u001b[2J\u202eb","roles":["x\ny"],"exp":99999999999999}"#);
        assert_eq!(odd, r#"{"kind":"application","tenant":"a [2Jb","permissions":["x y"]}"#);
        assert_eq!(of("[]"), r#"{"kind":"unknown","permissions":[]}"#);
        let token = Token::new("opaque", Some(Duration::from_secs(60))).unwrap();
        let opaque = Identity::of(claims::read("opaque"), &token);
        assert!(opaque.held().is_none() && opaque.expires_at.is_some());
    }
}
