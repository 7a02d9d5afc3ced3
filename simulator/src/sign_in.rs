//! The sign-in service: issues a bearer token for client credentials.
//!
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hyper::header::HeaderMap;
use hyper::{StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::Application;
use crate::form;
use crate::ids;
use crate::reply::Reply;
use crate::state::State;

/// The application that a token was issued to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub tenant: String,
    pub application: String,
    pub roles: Vec<String>,
}

/// The valid tokens.
#[derive(Default)]
pub struct Tokens(HashMap<String, (Caller, Instant)>);

impl Tokens {
    fn issue(&mut self, token: String, caller: Caller, life: Duration) {
        let now = Instant::now();
        self.0.retain(|_, (_, expires)| *expires > now);
        // A lifetime that overflows becomes a year.
        let expires = now.checked_add(life).unwrap_or(now + Duration::from_secs(31_536_000));
        self.0.insert(token, (caller, expires));
    }

    /// Revokes every token issued so far.
    pub fn revoke(&mut self) -> usize {
        let count = self.0.len();
        self.0.clear();
        count
    }

    /// The caller that the `Authorization` header names, or why it is not valid.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, &'static str> {
        let header = headers.get(header::AUTHORIZATION).ok_or("Authorization header is missing")?;
        let token = header
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or("Authorization header is not a bearer token")?;
        let (caller, expires) = self.0.get(token).ok_or("Token is invalid or was revoked")?;
        if *expires > Instant::now() { Ok(caller.clone()) } else { Err("Token has expired") }
    }
}

/// A refusal of the sign-in service.
struct Refused {
    status: StatusCode,
    error: &'static str,
    number: u32,
    text: String,
}

fn refused(status: u16, error: &'static str, number: u32, text: String) -> Refused {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    Refused { status, error, number, text }
}

/// Answers `POST /{tenant}/oauth2/v2.0/token`.
pub fn answer(state: &State, tenant: &str, headers: &HeaderMap, body: &str) -> Reply {
    let reply = match check(state, tenant, headers, body) {
        Ok(grant) => issue(state, &grant),
        Err(refused) => refusal(&refused),
    };
    reply
        .with("cache-control", "no-store, no-cache")
        .with("pragma", "no-cache")
        .with("x-ms-request-id", &ids::guid())
        .with("strict-transport-security", "max-age=31536000; includeSubDomains")
}

/// What a token is issued for.
struct Grant<'a> {
    /// The application whose credentials are right.
    application: &'a Application,
    audience: String,
    /// How it proved itself, as in the token: "1" with a secret, "2" with a certificate.
    proof: &'static str,
}

/// The type of the assertions that a certificate's key signs.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What the request is entitled to.
fn check<'a>(
    state: &'a State,
    tenant: &str,
    headers: &HeaderMap,
    body: &str,
) -> Result<Grant<'a>, Refused> {
    let is_form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"));
    let mut form: HashMap<String, String> =
        if is_form { form::pairs(body).collect() } else { HashMap::new() };
    // The secret may also come as HTTP Basic, its parts form-encoded.
    if let Some((id, secret)) = basic(headers) {
        form.entry("client_id".to_owned()).or_insert(id);
        form.entry("client_secret".to_owned()).or_insert(secret);
    }
    let value = |name: &str| form.get(name).map(String::as_str).filter(|v| !v.is_empty());
    let required = |name: &str| {
        value(name).ok_or_else(|| {
            let text = format!("The request body must contain the following parameter: '{name}'.");
            refused(400, "invalid_request", 900_144, text)
        })
    };

    let grant = required("grant_type")?;
    let client = required("client_id")?;
    if grant != "client_credentials" {
        let text = format!("The app requested an unsupported grant type '{grant}'.");
        return Err(refused(400, "unsupported_grant_type", 70_003, text));
    }
    let scope = required("scope")?;
    let mut of_tenant = state
        .config
        .applications
        .iter()
        .filter(|a| a.tenant_id.eq_ignore_ascii_case(tenant))
        .peekable();
    if of_tenant.peek().is_none() {
        let text = format!(
            "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and \
             are signing into the correct cloud. Check with your subscription administrator, this \
             may happen if there are no active subscriptions for the tenant."
        );
        return Err(refused(400, "invalid_request", 90_002, text));
    }
    let application =
        of_tenant.find(|a| a.client_id.eq_ignore_ascii_case(client)).ok_or_else(|| {
            let text = format!(
                "Application with identifier '{client}' was not found in the directory \
                 '{tenant}'. This can happen if the application has not been installed by the \
                 administrator of the tenant or consented to by any user in the tenant. You may \
                 have sent your authentication request to the wrong tenant."
            );
            refused(400, "unauthorized_client", 700_016, text)
        })?;
    let audience = scope
        .strip_suffix("/.default")
        .filter(|audience| !audience.is_empty() && !audience.contains(' '))
        .ok_or_else(|| {
            let text = format!(
                "The provided request must include a 'scope' input parameter. The provided value \
                 for the input parameter 'scope' is not valid. The scope {scope} is not valid."
            );
            refused(400, "invalid_scope", 70_011, text)
        })?;
    let audience = audience.to_owned();
    if value("client_assertion_type") == Some(JWT_BEARER) {
        if !is_of(required("client_assertion")?, client) {
            let text = "JWT token is invalid or malformed.".to_owned();
            return Err(refused(400, "invalid_request", 50_027, text));
        }
        return Ok(Grant { application, audience, proof: "2" });
    }
    let secret = required("client_secret")?;
    if secret != application.client_secret {
        let text = format!(
            "Invalid client secret provided. Ensure the secret being sent in the request is the \
             client secret value, not the client secret ID, for a secret added to app '{client}'."
        );
        return Err(refused(401, "invalid_client", 7_000_215, text));
    }
    Ok(Grant { application, audience, proof: "1" })
}

/// Whether an assertion is a JWT about this client. It does not know the certificate, so nothing verifies the signature.
fn is_of(assertion: &str, client: &str) -> bool {
    let mut parts = assertion.split('.');
    let (Some(_), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap_or_default();
    let claims: Value = serde_json::from_slice(&claims).unwrap_or_default();
    claims.get("sub").and_then(Value::as_str).is_some_and(|sub| sub.eq_ignore_ascii_case(client))
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form::decode(id), form::decode(secret)))
}

fn issue(state: &State, grant: &Grant<'_>) -> Reply {
    let application = grant.application;
    let life = state.config.token_lifetime_s;
    let now = Timestamp::now().as_second();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let key: Vec<u8> = (0..20).map(|_| fastrand::u8(..)).collect();
    let key = URL_SAFE_NO_PAD.encode(key);
    let head = json!({"typ": "JWT", "alg": "RS256", "x5t": key, "kid": key});
    let claims = json!({
        "aud": grant.audience,
        "iss": format!("https://sts.windows.net/{}/", application.tenant_id),
        "iat": now,
        "nbf": now,
        "exp": now.saturating_add(i64::try_from(life).unwrap_or(i64::MAX)),
        "appid": application.client_id,
        "appidacr": grant.proof,
        "idtyp": "app",
        "oid": ids::object_id(&application.tenant_id, &application.client_id),
        "roles": application.roles,
        "tid": application.tenant_id,
        "uti": ids::guid(),
        "ver": "1.0",
    });
    // Clients must not read the token, so nothing verifies the signature.
    let signature: Vec<u8> = (0..256).map(|_| fastrand::u8(..)).collect();
    let token = format!("{}.{}.{}", part(&head), part(&claims), URL_SAFE_NO_PAD.encode(signature));
    let caller = Caller {
        tenant: application.tenant_id.clone(),
        application: application.client_id.clone(),
        roles: application.roles.clone(),
    };
    state.world().tokens.issue(token.clone(), caller, Duration::from_secs(life));
    let body = json!({
        "token_type": "Bearer",
        "expires_in": life,
        "ext_expires_in": life,
        "access_token": token,
    });
    Reply::json(StatusCode::OK, &body)
}

fn refusal(refused: &Refused) -> Reply {
    let time = Timestamp::now().strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    let (trace, correlation) = (ids::guid(), ids::guid());
    let Refused { number, text, .. } = refused;
    let body = json!({
        "error": refused.error,
        "error_description": format!(
            "AADSTS{number}: {text}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\n\
             Timestamp: {time}"
        ),
        "error_codes": [number],
        "timestamp": time,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": format!("https://login.microsoftonline.com/error?code={number}"),
    });
    Reply::json(refused.status, &body)
}
