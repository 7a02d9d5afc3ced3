//! The way to sign in. The option `auth` names it, or it is inferred from the other options.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::options::{Auth, Options, Settings};
use crate::os::environment::{self, variable};
use crate::service::cloud::Cloud;
use crate::sign_in::certificate::files::{Files, Role};
use crate::sign_in::certificate::renewed::Renewed;
use crate::sign_in::certificate::{Certificate, store};
use crate::sign_in::entra::{Authority, Proof};
use crate::sign_in::federated::TokenFile;
use crate::sign_in::identity::Identity;
use crate::sign_in::managed::{Managed, Which};
use crate::sign_in::provider::Callback;
use crate::sign_in::{Source, Token};
use crate::status::Status;
use crate::text::url::BaseUrl;

/// The source of tokens, and the identity as far as it is known without one.
#[derive(Debug)]
pub(crate) struct SignIn {
    pub source: Source,
    /// As named by the options or the environment.
    pub tenant_id: Option<String>,
    pub client_id: Option<String>,
}

impl SignIn {
    /// The identity that clients must have in common to share tokens, without the way to the authority.
    ///
    /// `None` for a callback, a signer or a token of the host, which serves only its own client.
    pub(crate) fn identity(&self) -> Option<Identity> {
        if self.source.asks_host() {
            return None;
        }
        let mut identity = Identity::new();
        match &self.source {
            Source::Authority(authority) => authority.identify(identity.part("authority")),
            Source::Managed(managed) => managed.identify(identity.part("managed")),
            Source::Fixed(_) | Source::Provider(_) => return None,
        }
        Some(identity)
    }
}

/// The ways to sign in whose option is set, with the name of that option.
fn given(options: &Settings) -> Vec<(Auth, &'static str)> {
    let (certificate, is_set) = match options.client_certificate {
        Some(_) => ("client_certificate", true),
        None => ("signer", options.signer.is_some()),
    };
    [
        (Auth::AccessToken, "access_token", options.access_token.is_some()),
        (Auth::TokenProvider, "token_provider", options.token_provider.is_some()),
        (Auth::ClientSecret, "client_secret", options.client_secret.is_some()),
        (Auth::Certificate, certificate, is_set),
        (Auth::Federated, "federated_token_file", options.federated_token_file.is_some()),
        (Auth::ManagedIdentity, "managed_identity", options.managed_identity.is_some()),
    ]
    .into_iter()
    .filter_map(|(auth, name, is_set)| is_set.then_some((auth, name)))
    .collect()
}

fn config(message: impl Into<String>) -> Error {
    Error::new(Status::Config, message)
}

fn needs<T>(value: Option<T>, option: &str) -> Result<T> {
    value.ok_or_else(|| {
        config(format!("option `{option}` is not set; this way to sign in needs it"))
    })
}

fn choose(options: &Settings) -> Result<Auth> {
    match (options.auth, given(options).as_slice()) {
        (Some(auth), _) => Ok(auth),
        (None, [(auth, _)]) => Ok(*auth),
        (None, []) => Err(config(
            "no way to sign in is set; expected `client_secret`, `client_certificate` or \
             `federated_token_file` (each with `tenant_id` and `client_id`), `managed_identity`, \
             `auth=workload_identity`, `access_token`, or a token provider",
        )),
        (None, several) => {
            let names: Vec<_> = several.iter().map(|(_, name)| *name).collect();
            Err(config(format!(
                "several ways to sign in are set ({}); set option `auth` to the one to use",
                names.join(", ")
            )))
        }
    }
}

/// Chooses the way to sign in. Reads the certificate or the environment if that way needs them.
pub(crate) fn sign_in(options: &Settings, cloud: &Cloud) -> Result<SignIn> {
    if options.client_key.is_some() && options.client_certificate.is_none() {
        return Err(config(
            "option `client_key` is set without `client_certificate`; set both, or neither",
        ));
    }
    let auth = choose(options)?;
    let mut tenant_id = options.tenant_id.clone();
    let mut client_id = options.client_id.clone();
    let mut login =
        BaseUrl::or_default(options.login_url.as_ref(), cloud.login_url).map_err(config)?;
    let scope = options.scope.as_deref().unwrap_or(cloud.scope);
    let proof = match auth {
        Auth::AccessToken => {
            let token = needs(options.access_token.as_ref(), "access_token")?;
            let token = Token::new(token, None)
                .map_err(|error| config(format!("option `access_token`: {}", error.message())))?;
            return Ok(SignIn { source: Source::Fixed(token), tenant_id, client_id });
        }
        Auth::TokenProvider => {
            let provider = options.token_provider.as_ref().ok_or_else(|| {
                config("no token provider is set; `auth=token_provider` needs one")
            })?;
            let callback = Callback { provider: Arc::clone(provider), scope: scope.to_owned() };
            return Ok(SignIn { source: Source::Provider(callback), tenant_id, client_id });
        }
        Auth::ManagedIdentity => {
            if client_id.is_some() && options.managed_identity.is_none() {
                return Err(config(
                    "option `client_id` does not choose a managed identity; set `managed_identity=client_id:…` for \
                     one that was assigned to this machine, or `managed_identity=system`",
                ));
            }
            let which = options.managed_identity.as_ref().unwrap_or(&Which::System);
            let source = Source::Managed(Managed::find(which, scope)?);
            // Only the tokens of the managed identity name its application.
            return Ok(SignIn { source, tenant_id, client_id: None });
        }
        Auth::ClientSecret => {
            Proof::Secret(needs(options.client_secret.as_ref(), "client_secret")?.clone())
        }
        Auth::Certificate => {
            let certificate = Box::new(certificate(options)?);
            match options.signer {
                None => Proof::Certificate(certificate),
                Some(_) => Proof::Signer(certificate),
            }
        }
        Auth::Federated => {
            let path = needs(options.federated_token_file.clone(), "federated_token_file")?;
            Proof::Federated(TokenFile::new(path, "option `federated_token_file`"))
        }
        Auth::WorkloadIdentity => {
            tenant_id = from_environment(tenant_id, "tenant_id", "AZURE_TENANT_ID")?;
            client_id = from_environment(client_id, "client_id", "AZURE_CLIENT_ID")?;
            if options.login_url.is_none() {
                if let Some(host) = variable("AZURE_AUTHORITY_HOST")? {
                    login = BaseUrl::parse(&host).map_err(|problem| {
                        config(format!("the environment variable AZURE_AUTHORITY_HOST {problem}"))
                    })?;
                }
            }
            let file = options.federated_token_file.clone();
            let path =
                from_environment(file, "federated_token_file", "AZURE_FEDERATED_TOKEN_FILE")?;
            let named_by = match options.federated_token_file {
                Some(_) => "option `federated_token_file`",
                None => "the environment variable AZURE_FEDERATED_TOKEN_FILE",
            };
            Proof::Federated(TokenFile::new(needs(path, "federated_token_file")?, named_by))
        }
    };
    let tenant = needs(tenant_id.as_deref(), "tenant_id")?;
    let client = needs(client_id.as_deref(), "client_id")?;
    let source = Source::Authority(Authority::new(&login, tenant, client, scope, proof));
    Ok(SignIn { source, tenant_id, client_id })
}

/// The certificate to sign in with: of a file, or of Windows' store.
fn certificate(options: &Settings) -> Result<Renewed<Certificate>> {
    let value = needs(options.client_certificate.as_ref(), "client_certificate")?;
    let (key, password) = (options.client_key.as_ref(), options.certificate_password.as_ref());
    let (algorithm, with_chain) = (options.certificate_algorithm, options.certificate_chain);
    let make = move |pair| Certificate::new(pair, algorithm, with_chain);
    let files = match (store::name(value), &options.signer, key) {
        (Some(_), Some(_), _) => {
            return Err(config(
                "option `client_certificate` names Windows' certificate store, and a signer is set; set only one of \
                 them",
            ));
        }
        (Some(_), None, Some(_)) => {
            return Err(config(
                "option `client_key` is set, and `client_certificate` names Windows' certificate store, which has the \
                 key; remove this option",
            ));
        }
        (None, Some(_), Some(_)) => {
            return Err(config(
                "option `client_key` and a signer are both set; set only one of them",
            ));
        }
        (Some(name), None, None) => {
            return Ok(Renewed::fixed(make(store::find(name, with_chain)?)?));
        }
        (None, Some(signer), None) => Files::for_signer(value, password, signer),
        (None, None, key) => Files::new(Role::SignIn, value, key, password),
    };
    Renewed::new(files, Box::new(make))
}

/// The option, or the environment variable that the webhook of Azure workload identity has set.
fn from_environment(option: Option<String>, name: &str, from: &str) -> Result<Option<String>> {
    if option.is_some() {
        return Ok(option);
    }
    match variable(from)? {
        None if environment::is_untrusted() => Err(config(format!(
            "option `{name}` is not set, and the environment is ignored: {}",
            environment::UNTRUSTED
        ))),
        None => Err(config(format!(
            "neither option `{name}` nor the environment variable {from} is set; \
             `auth=workload_identity` needs one of them"
        ))),
        // The variable is checked as the option is.
        Some(value) => match Options::new().set(name, &value) {
            Ok(()) => Ok(Some(value)),
            Err(error) => {
                Err(config(format!("the environment variable {from}: {}", error.message())))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Account;

    #[test]
    fn the_way_to_sign_in_is_inferred_or_the_error_names_the_option() {
        let problem = |pairs: &[(&str, &str)]| {
            let mut options = Options::new();
            for (name, value) in pairs {
                options.set(name, value).unwrap();
            }
            options.set("proxy", "none").unwrap();
            Account::new(options.settings()).map(|_| ()).map_err(|e| e.message().to_owned())
        };
        assert!(problem(&[]).unwrap_err().contains("no way to sign in"));
        assert!(problem(&[("client_secret", "s")]).unwrap_err().contains("`tenant_id` is not set"));
        let both =
            [("client_secret", "s"), ("access_token", "t"), ("tenant_id", "t"), ("client_id", "c")];
        assert!(problem(&both).unwrap_err().contains("(access_token, client_secret)"));
        assert!(
            problem(&[("auth", "token_provider"), ("access_token", "t")])
                .unwrap_err()
                .contains("provider")
        );
        assert!(
            problem(&[("access_token", "t"), ("ca_file", "/nonexistent")])
                .unwrap_err()
                .contains("`ca_file`")
        );
        assert!(problem(&[("access_token", "t")]).is_ok());
        assert!(problem(&[("federated_token_file", "/t")]).unwrap_err().contains("`tenant_id`"));
        let several = [("federated_token_file", "/t"), ("managed_identity", "system")];
        let message = problem(&several).unwrap_err();
        assert!(message.contains("(federated_token_file, managed_identity)"), "{message}");
        for auth in ["certificate", "federated", "client_secret", "access_token"] {
            assert!(problem(&[("auth", auth)]).unwrap_err().contains("is not set"), "{auth}");
        }
    }
}
