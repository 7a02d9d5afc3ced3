//! The client credentials grant with a secret, at the v2.0 token endpoint.
//!
//! Source: "Microsoft identity platform and the OAuth 2.0 client credentials flow".

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

use super::Token;
use crate::call::Call;
use crate::net::agent::{Http, Outgoing};
use crate::net::redact;
use crate::net::reply::Reply;
use crate::net::retry::{self, Next};
use crate::service::endpoint::{Method, escape};
use crate::{Error, Result, Stage, Status};

const MAX_REPLY: usize = 256 * 1024;

/// When a token's life is not readable: the documented usual one.
const USUAL_LIFE: Duration = Duration::from_secs(3_599);

#[derive(Debug)]
pub(crate) struct ClientSecret {
    url: String,
    form: Form,
    retries: u32,
}

/// The request body, wiped when dropped, never shown.
struct Form(Zeroizing<String>);

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Form(***)")
    }
}

impl ClientSecret {
    pub(crate) fn new(
        login_url: &str,
        tenant: &str,
        client_id: &str,
        secret: &str,
        scope: &str,
        retries: u32,
    ) -> ClientSecret {
        let mut escaped = escape(secret);
        let form = format!(
            "client_id={}&scope={}&client_secret={escaped}&grant_type=client_credentials",
            escape(client_id),
            escape(scope),
        );
        escaped.zeroize();
        ClientSecret {
            url: format!("{login_url}/{}/oauth2/v2.0/token", escape(tenant)),
            form: Form(Zeroizing::new(form)),
            retries,
        }
    }

    pub(super) fn fetch(&self, http: &Http, call: &Arc<Call>, persist: bool) -> Result<Token> {
        let retries = if persist { self.retries } else { 0 };
        let request = Outgoing {
            method: Method::Post,
            url: &self.url,
            content_type: Some("application/x-www-form-urlencoded"),
            token: None,
            body: &self.form.0,
            max_reply: MAX_REPLY,
        };
        let mut attempt = 1;
        loop {
            // Asking twice for a token harms nobody, so every passing failure is tried again.
            let (error, next) = match http.send(call, &request) {
                Ok(mut reply) => match read(&mut reply) {
                    Ok(token) => return Ok(token),
                    Err(error) => {
                        let next = retry::after_error(&error, true, attempt, retries);
                        (error, next)
                    }
                },
                Err(failure) => {
                    let next = retry::after_failure(&failure, true, attempt, retries);
                    (Error::from(failure), next)
                }
            };
            let error = error.at_stage(Stage::Token).attempts(attempt);
            let Next::Again(pause) = next else {
                return Err(error);
            };
            if !call.has_time_for(pause) {
                return Err(error);
            }
            call.pause(pause).map_err(|stop| Error::from(stop).at(Stage::Token))?;
            attempt += 1;
        }
    }
}

/// Reads the token endpoint's reply and wipes it.
fn read(reply: &mut Reply) -> Result<Token> {
    let result = if reply.is_success() { success(&reply.body) } else { Err(refusal(reply)) };
    reply.body.zeroize();
    result
}

fn success(body: &[u8]) -> Result<Token> {
    #[derive(Deserialize)]
    struct Granted<'a> {
        #[serde(borrow)]
        access_token: std::borrow::Cow<'a, str>,
        #[serde(default)]
        expires_in: Value,
    }
    let granted: Granted<'_> = serde_json::from_slice(body).map_err(|_| {
        Error::new(
            Status::Protocol,
            "the sign-in service's reply has no access token; check `login_url` and what lies in between",
        )
    })?;
    // A number, or (in replies of the v1 endpoint and of some gateways) a number as text.
    let seconds = match &granted.expires_in {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    Token::new(&granted.access_token, Some(seconds.map_or(USUAL_LIFE, Duration::from_secs)))
}

/// The OAuth error of a refused request. The description names the cause (an AADSTS number) and ids
/// for the support; it is shortened and cleaned.
fn refusal(reply: &Reply) -> Error {
    #[derive(Deserialize, Default)]
    struct Refused {
        #[serde(default)]
        error: String,
        #[serde(default)]
        error_description: String,
        #[serde(default)]
        trace_id: String,
    }
    let refused: Refused = serde_json::from_slice(&reply.body).unwrap_or_default();
    let retry_after = reply.retry_after();
    let mut message = format!("the sign-in service answered HTTP {}", reply.status);
    if refused.error.is_empty() {
        message
            .push_str(&format!(" with a body that is not its own ({})", reply.describe_content()));
    } else {
        // The first line; the ids in the others are members of their own.
        let line = refused.error_description.lines().next().unwrap_or_default();
        message.push_str(&format!(
            ": {}: {}",
            redact::clean(&refused.error, 64),
            redact::clean(line, 400).trim_end_matches('.')
        ));
    }
    let status = match reply.status {
        429 => Status::Throttled,
        500.. => Status::Service,
        407 => Status::Proxy,
        300..=399 => Status::Protocol,
        _ => {
            message.push_str("; check `tenant_id`, `client_id`, `client_secret` and `cloud`");
            Status::Token
        }
    };
    Error::new(status, message)
        .http(reply.status)
        .service(
            Some(redact::clean(&refused.error, 64)),
            Some(redact::clean(&refused.trace_id, 64)),
        )
        .after(retry_after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Result<Token> {
        read(&mut Reply { status, body: body.into(), ..Reply::default() })
    }

    #[test]
    fn lifetimes_as_number_or_text() {
        for body in [
            r#"{"token_type":"Bearer","expires_in":3599,"access_token":"abc"}"#,
            r#"{"expires_in":"3599","access_token":"abc"}"#,
            r#"{"access_token":"abc"}"#,
        ] {
            let token = answer(200, body).unwrap();
            assert_eq!(token.text(), "abc");
            let life = token.times.unwrap().expires_at - std::time::Instant::now();
            assert!((3_590..=3_600).contains(&life.as_secs()));
        }
    }

    #[test]
    fn replies_that_are_no_grant() {
        for body in ["", "{}", "[]", "<html>", r#"{"access_token":null}"#] {
            assert_eq!(answer(200, body).unwrap_err().status(), Status::Protocol, "{body}");
        }
        assert_eq!(
            answer(200, r#"{"access_token":"a\r\nb"}"#).unwrap_err().status(),
            Status::Token
        );
    }

    #[test]
    fn refusals_name_the_cause_and_the_trace() {
        let body = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.\r\nTrace ID: 1\r\n","error_codes":[7000215],"trace_id":"30b6df93"}"#;
        let error = answer(401, body).unwrap_err();
        assert_eq!((error.status(), error.request_id()), (Status::Token, Some("30b6df93")));
        assert!(error.message().contains("AADSTS7000215: Invalid client secret provided;"));
        assert_eq!(answer(503, "<html>").unwrap_err().status(), Status::Service);
        assert_eq!(answer(429, "").unwrap_err().status(), Status::Throttled);
    }

    #[test]
    fn the_form_is_escaped_and_hidden() {
        let secret =
            ClientSecret::new("https://login.example", "t", "c", "p&s=w d%", "s/.default", 0);
        assert!(secret.form.0.contains("client_secret=p%26s%3Dw%20d%25&"));
        assert!(!format!("{secret:?}").contains("p%26"));
    }
}
