//! Entra's v2.0 token endpoint: the client credentials grant, with a secret or an assertion as proof.
//!
//! Sources: "Microsoft identity platform and the OAuth 2.0 client credentials flow", "Microsoft identity platform
//! application authentication certificate credentials".

use std::sync::Arc;

use percent_encoding::utf8_percent_encode;
use ureq::http::header::CONTENT_TYPE;
use zeroize::Zeroizing;

use super::certificate::Certificate;
use super::certificate::renewed::Renewed;
use super::federated::TokenFile;
use super::identity::Identity;
use super::{Token, attempts, grant, refusal};
use crate::call::Call;
use crate::error::{Error, Result};
use crate::http::client::{Http, Outgoing};
use crate::http::method::Method;
use crate::http::reply::Reply;
use crate::http::retry;
use crate::log::{self, Level};
use crate::status::Status;
use crate::text::escape::{COMPONENT, escape};
use crate::text::redact;
use crate::text::url::BaseUrl;

const CHECK: &str =
    "check `tenant_id`, `client_id`, `cloud` and what the application signs in with";

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An application of a tenant, and the proof of its identity.
#[derive(Debug)]
pub(crate) struct Authority {
    url: String,
    login: String,
    /// Its host and port.
    host: String,
    tenant: String,
    client_id: String,
    scope: String,
    proof: Proof,
}

/// The proof of an application's identity.
pub(crate) enum Proof {
    Secret(Zeroizing<String>),
    /// Our own assertion, signed anew for every request with the certificate as its files are then.
    Certificate(Box<Renewed<Certificate>>),
    /// The same, signed by the host.
    Signer(Box<Renewed<Certificate>>),
    /// Another issuer's assertion, read again for every request: the file rotates.
    Federated(TokenFile),
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proof(***)")
    }
}

/// A form, wiped when dropped.
struct Form(Zeroizing<String>);

impl Form {
    fn new() -> Form {
        Form(Zeroizing::new(String::new()))
    }

    fn add(&mut self, name: &str, value: &str) {
        // Allocated once: a string that grows leaves copies behind. An escaped byte takes three.
        let mut form = String::with_capacity(self.0.len() + name.len() + 2 + 3 * value.len());
        form.push_str(&self.0);
        if !form.is_empty() {
            form.push('&');
        }
        form.push_str(name);
        form.push('=');
        form.extend(utf8_percent_encode(value, COMPONENT));
        self.0 = Zeroizing::new(form);
    }
}

impl Authority {
    pub(crate) fn new(
        login: &BaseUrl,
        tenant: &str,
        client_id: &str,
        scope: &str,
        proof: Proof,
    ) -> Authority {
        Authority {
            url: format!("{}/{}/oauth2/v2.0/token", login.as_str(), escape(tenant)),
            login: login.as_str().to_owned(),
            host: login.authority().to_owned(),
            tenant: tenant.to_owned(),
            client_id: client_id.to_owned(),
            scope: scope.to_owned(),
            proof,
        }
    }

    /// Host and port of the sign-in service.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The tenant's public metadata.
    pub(super) fn public_page(&self) -> String {
        format!("{}/{}/v2.0/.well-known/openid-configuration", self.login, escape(&self.tenant))
    }

    pub(super) fn asks_host(&self) -> bool {
        matches!(self.proof, Proof::Signer(_))
    }

    pub(super) fn is_secure(&self) -> bool {
        self.url.starts_with("https")
    }

    pub(super) fn secret(&self) -> Option<&str> {
        match &self.proof {
            Proof::Secret(secret) => Some(secret),
            Proof::Certificate(_) | Proof::Signer(_) | Proof::Federated(_) => None,
        }
    }

    /// Adds everything that clients must have in common to share a token.
    pub(crate) fn identify(&self, identity: &mut Identity) {
        // Ids compare without regard to case.
        let [tenant, client_id] = [&self.tenant, &self.client_id].map(|id| id.to_ascii_lowercase());
        identity.part(&self.login).part(tenant).part(client_id).part(&self.scope);
        match &self.proof {
            Proof::Secret(secret) => identity.part("secret").secret(secret.as_bytes()),
            Proof::Certificate(certificate) | Proof::Signer(certificate) => {
                certificate.identify(identity.part("certificate"));
                certificate.made().identify(identity);
                identity
            }
            Proof::Federated(file) => identity.part("federated").part(file.path()),
        };
    }

    pub(super) fn fetch(&self, http: &Http, call: &Arc<Call>, retries: u32) -> Result<Token> {
        attempts::retried(call, |attempt| {
            let is_final = |error| (error, retry::Next::GiveUp);
            let (form, proof) = self.form(call).map_err(is_final)?;
            let request = Outgoing {
                method: Method::Post,
                url: &self.url,
                headers: &[(CONTENT_TYPE, "application/x-www-form-urlencoded")],
                secret: None,
                body: &form.0,
                max_reply: grant::MAX_REPLY,
            };
            let mut reply = http.send(call, &request).map_err(|failure| {
                let next = retry::after_failure(&failure, true, attempt, retries);
                (Error::from(failure), next)
            })?;
            log::line(Level::Debug, || {
                format!("POST of a token request: HTTP {} (attempt {attempt})", reply.status)
            });
            self.read(&mut reply, &proof).map_err(|error| {
                let next = retry::after_error(&error, true, attempt, retries);
                (error, next)
            })
        })
    }

    /// The body of a request, and the secret in it.
    fn form(&self, call: &Arc<Call>) -> Result<(Form, Zeroizing<String>)> {
        let mut form = Form::new();
        form.add("client_id", &self.client_id);
        form.add("scope", &self.scope);
        form.add("grant_type", "client_credentials");
        let (name, proof) = match &self.proof {
            Proof::Secret(secret) => ("client_secret", secret.clone()),
            Proof::Certificate(certificate) | Proof::Signer(certificate) => {
                let signed = certificate.current().assertion(&self.url, &self.client_id, call);
                // A signer may already use the key of a certificate that is still to come.
                let signed = signed.map_err(|error| match error.status() {
                    Status::Token => error.with_note(&certificate.problem().unwrap_or_default()),
                    _ => error,
                });
                ("client_assertion", signed?)
            }
            Proof::Federated(file) => ("client_assertion", file.read()?),
        };
        if name == "client_assertion" {
            form.add("client_assertion_type", ASSERTION_TYPE);
        }
        form.add(name, &proof);
        Ok((form, proof))
    }

    fn read(&self, reply: &mut Reply, proof: &str) -> Result<Token> {
        if reply.is_success() {
            return grant::read(
                reply,
                "the sign-in service",
                "`login_url`, and any proxy or gateway",
            );
        }
        // The reply may repeat what was sent.
        reply.mask(&|text| redact::mask(text, &[proof]));
        let mut error = refusal::error(reply, "the sign-in service", CHECK);
        if error.status() == Status::Protocol {
            error = error.with_note("check `login_url`");
        }
        Err(match &self.proof {
            Proof::Certificate(certificate) | Proof::Signer(certificate) => error
                .with_note(&certificate.made().validity_warning().unwrap_or_default())
                .with_note(&certificate.problem().unwrap_or_default()),
            Proof::Secret(_) | Proof::Federated(_) => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_escaped_and_hidden() {
        let login = BaseUrl::parse("https://login.example").unwrap();
        let secret = Proof::Secret(Zeroizing::new("p&s=w d%é".to_owned()));
        let authority = Authority::new(&login, "t", "c", "s/.default", secret);
        let call = Arc::new(Call::begin(&Arc::default(), None, None));
        let (form, _) = authority.form(&call).unwrap();
        assert_eq!(
            form.0.as_str(),
            "client_id=c&scope=s%2F.default&grant_type=client_credentials&client_secret=p%26s%3Dw%20d%25%C3%A9"
        );
        assert!(!format!("{authority:?}").contains("p&s"));
    }
}
