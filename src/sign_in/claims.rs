//! The claims of an access token that this library reads: tenant, application, object, permissions and expiry. It does
//! not verify them; that is the service's part.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::text::guid::is_guid;
use crate::text::json;

/// The claims of a token, as far as it is readable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    pub tenant: Option<String>,
    pub application: Option<String>,
    /// The user or the application's own object in the tenant.
    pub object: Option<String>,
    /// The application permissions. `None`: the token is not readable, or is a user's token, which has `scp` instead.
    pub roles: Option<Vec<String>>,
    /// The delegated permissions of a user's token. `None`: it is an application's, or not readable.
    pub scopes: Option<Vec<String>>,
    /// The sign-in name of a user's token.
    pub user: Option<String>,
    /// Seconds since 1970.
    pub expires_at: Option<u64>,
}

/// The identity that requested something, by its ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RequestedBy {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
}

impl Claims {
    /// The identity of the token. Claims that are no GUIDs may be anything, so they are left out.
    pub(crate) fn requested_by(self) -> Option<RequestedBy> {
        let [tenant, application, object] =
            [self.tenant, self.application, self.object].map(|id| id.filter(|id| is_guid(id)));
        let is_known = tenant.is_some() || application.is_some() || object.is_some();
        is_known.then_some(RequestedBy { tenant, application, object })
    }
}

/// Reads a JWT's payload; anything else gives no claims.
pub(crate) fn read(token: &str) -> Claims {
    let payload = token.split('.').nth(1).unwrap_or_default();
    let Ok(document) = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).map(Zeroizing::new)
    else {
        return Claims::default();
    };
    let Some(Value::Object(payload)) = json::read(&document) else {
        return Claims::default();
    };
    let text = |name: &str| Some(payload.get(name)?.as_str()?.to_owned());
    let is_of_user = payload.contains_key("scp") && !payload.contains_key("roles");
    let roles = payload.get("roles").and_then(Value::as_array);
    let roles = roles.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    let scopes = payload.get("scp").and_then(Value::as_str).unwrap_or_default();
    let scopes = scopes.split_ascii_whitespace().map(str::to_owned);
    Claims {
        tenant: text("tid"),
        application: text("appid").or_else(|| text("azp")),
        object: text("oid"),
        roles: (!is_of_user).then(|| roles.collect()),
        scopes: is_of_user.then(|| scopes.collect()),
        user: ["upn", "preferred_username", "unique_name"].into_iter().find_map(text),
        expires_at: payload.get("exp").and_then(Value::as_u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> String {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn both_versions_of_the_application_claim_are_read() {
        for (payload, application) in
            [(r#"{"tid":"t","appid":"a"}"#, "a"), (r#"{"tid":"t","azp":"b","ver":"2.0"}"#, "b")]
        {
            let claims = read(&token(payload));
            assert_eq!(claims.tenant.as_deref(), Some("t"));
            assert_eq!(claims.application.as_deref(), Some(application));
        }
    }

    #[test]
    fn permissions_and_expiry_are_read() {
        let claims = read(&token(r#"{"roles":["Machine.Read.All",5],"exp":1700000000}"#));
        assert_eq!(claims.roles, Some(vec!["Machine.Read.All".to_owned()]));
        assert_eq!(claims.expires_at, Some(1_700_000_000));
        let odd = read(&token(r#"{"roles":"x","exp":"soon"}"#));
        assert_eq!((odd.roles, odd.expires_at), (Some(Vec::new()), None));
        // A user's token.
        let delegated =
            read(&token(r#"{"scp":"Machine.Read Machine.CollectForensics","upn":"a@b.test"}"#));
        assert_eq!((delegated.roles, delegated.user.as_deref()), (None, Some("a@b.test")));
        let scopes = ["Machine.Read", "Machine.CollectForensics"].map(str::to_owned).to_vec();
        assert_eq!(delegated.scopes, Some(scopes));
        let both = read(&token(r#"{"scp":"Machine.Read","roles":["Alert.Read.All"]}"#));
        assert_eq!((both.roles, both.scopes), (Some(vec!["Alert.Read.All".to_owned()]), None));
    }

    #[test]
    fn only_ids_say_who_requested() {
        let id = |digit: &str| format!("5382f7ea-7557-4ab7-9782-d5048002{}", digit.repeat(4));
        let payload = format!(
            r#"{{"tid":"{}","azp":"{}","oid":"{}","upn":"a@b"}}"#,
            id("1"),
            id("2"),
            id("3")
        );
        let by = read(&token(&payload)).requested_by().unwrap();
        assert_eq!(
            json::text(&by),
            format!(
                r#"{{"tenant":"{}","application":"{}","object":"{}"}}"#,
                id("1"),
                id("2"),
                id("3")
            )
        );
        let odd = read(&token(&format!(r#"{{"tid":"canary","appid":7,"oid":"{}"}}"#, id("3"))));
        assert_eq!(
            odd.requested_by().map(|by| json::text(&by)),
            Some(format!(r#"{{"object":"{}"}}"#, id("3")))
        );
        assert_eq!(read("opaque").requested_by(), None);
        assert_eq!(read(&token(r#"{"tid":"canary"}"#)).requested_by(), None);
    }

    #[test]
    fn an_opaque_token_has_no_claims() {
        for text in ["", "opaque", "a.b.c", "..", "a.WzFd.c", "a.bnVsbA.c"] {
            assert_eq!(read(text), Claims::default(), "{text}");
        }
    }
}
