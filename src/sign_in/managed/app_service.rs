//! App Service and Functions: an endpoint in the sandbox, and a secret in the environment. The secret protects against
//! server-side request forgery.
//!
//! Source: "How to use managed identities for App Service and Azure Functions".

use zeroize::Zeroizing;

use super::{Kind, Which};
use crate::error::{Error, Result};
use crate::status::Status;
use crate::text::escape::escape;
use crate::text::secret_line::SecretLine;

pub(super) fn query(which: &Which) -> Result<String> {
    let id = escape(which.id());
    Ok(match which {
        Which::System => "&api-version=2019-08-01".to_owned(),
        Which::ClientId(_) => format!("&api-version=2019-08-01&client_id={id}"),
        Which::ObjectId(_) => format!("&api-version=2019-08-01&principal_id={id}"),
        Which::ResourceId(_) => format!("&api-version=2019-08-01&mi_res_id={id}"),
    })
}

pub(super) fn old_query(which: &Which) -> Result<String> {
    match which {
        Which::System => Ok("&api-version=2017-09-01".to_owned()),
        Which::ClientId(id) => Ok(format!("&api-version=2017-09-01&clientid={}", escape(id))),
        Which::ObjectId(_) | Which::ResourceId(_) => {
            let message = "option `managed_identity`: this version of App Service (MSI_ENDPOINT) takes only system \
                or client_id";
            Err(Error::new(Status::Config, message))
        }
    }
}

/// The name of the header that carries the secret.
pub(super) fn header(kind: Kind) -> &'static str {
    match kind {
        Kind::OldAppService => "secret",
        Kind::AppService | Kind::Imds | Kind::Arc => "x-identity-header",
    }
}

pub(super) fn line(kind: Kind, secret: String) -> Result<SecretLine> {
    let secret = Zeroizing::new(secret);
    match SecretLine::can_carry(&secret) {
        true => Ok(SecretLine::new(header(kind), &secret)),
        false => {
            let message = "the environment variable IDENTITY_HEADER or MSI_SECRET has characters that no header \
                can carry";
            Err(Error::new(Status::Config, message))
        }
    }
}
