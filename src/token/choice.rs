//! How to sign in: inferred from the options that are set, or named by `auth`.

use std::sync::Arc;

use super::client_secret::ClientSecret;
use super::provider::Callback;
use super::{Source, Token};
use crate::options::{Auth, Options};
use crate::service::base_url::BaseUrl;
use crate::service::cloud::Cloud;
use crate::{Error, Result, Status};

/// Settles how to sign in.
pub(crate) fn source(options: &Options, cloud: &Cloud, max_retries: u32) -> Result<Source> {
    let config = |message: String| Err(Error::new(Status::Config, message));
    let given: Vec<(Auth, &str)> = [
        (Auth::AccessToken, "access_token", options.access_token.is_some()),
        (Auth::TokenProvider, "token_provider", options.token_provider.is_some()),
        (Auth::ClientSecret, "client_secret", options.client_secret.is_some()),
    ]
    .into_iter()
    .filter_map(|(auth, name, is_set)| is_set.then_some((auth, name)))
    .collect();
    let auth = match (options.auth, given.as_slice()) {
        (Some(auth), _) => auth,
        (None, [(auth, _)]) => *auth,
        (None, []) => {
            return config(
                "no way to sign in is set; expected `client_secret` (with `tenant_id` and `client_id`), \
                 `access_token`, or a token provider"
                    .to_owned(),
            );
        }
        (None, several) => {
            let names: Vec<_> = several.iter().map(|(_, name)| *name).collect();
            return config(format!(
                "several ways to sign in are set ({}); set option `auth` to the one to use",
                names.join(", ")
            ));
        }
    };
    let needs =
        |option: &str| format!("option `{option}` is not set; signing in this way needs it");
    let scope = options.scope.as_deref().unwrap_or(cloud.scope);
    match auth {
        Auth::AccessToken => match &options.access_token {
            None => config(needs("access_token")),
            Some(token) => Token::new(token, None).map(Source::Fixed).map_err(|error| {
                let message = format!("option `access_token`: {}", error.message());
                Error::new(Status::Config, message)
            }),
        },
        Auth::TokenProvider => match &options.token_provider {
            None => config("no token provider is set; `auth=token_provider` needs one".to_owned()),
            Some(provider) => Ok(Source::Provider(Callback {
                provider: Arc::clone(provider),
                scope: scope.to_owned(),
            })),
        },
        Auth::ClientSecret => {
            match (&options.tenant_id, &options.client_id, &options.client_secret) {
                (None, ..) => config(needs("tenant_id")),
                (_, None, _) => config(needs("client_id")),
                (.., None) => config(needs("client_secret")),
                (Some(tenant), Some(client_id), Some(secret)) => {
                    let login = BaseUrl::or_default(options.login_url.as_ref(), cloud.login_url)?;
                    Ok(Source::ClientSecret(ClientSecret::new(
                        login.as_str(),
                        tenant,
                        client_id,
                        secret,
                        scope,
                        max_retries,
                    )))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Client;

    #[test]
    fn signing_in_is_inferred_or_refused_by_name() {
        let problem = |pairs: &[(&str, &str)]| {
            let mut options = Options::new();
            for (name, value) in pairs {
                options.set(name, value).unwrap();
            }
            options.set("proxy", "none").unwrap();
            Client::new(&options).map(|_| ()).map_err(|e| e.message().to_owned())
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
    }
}
