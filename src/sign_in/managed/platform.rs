//! Platforms that name their endpoint in the environment, most of them with a secret, which protects against server-side
//! request forgery: App Service, Functions and Container Apps, Container Instances on Windows, and Cloud Shell.
//!
//! Sources: "How to use managed identities for App Service and Azure Functions"; "How to use managed identities with
//! Azure Container Instances", section on Windows containers; azure-identity's sources for Cloud Shell and Azure ML.

use zeroize::Zeroizing;

use super::{Kind, Which};
use crate::error::{Error, Result};
use crate::status::Status;
use crate::text::escape::escape;
use crate::text::secret_line::SecretLine;

pub(super) fn app_service(which: &Which) -> Result<String> {
    let id = escape(which.id());
    Ok(match which {
        Which::System => "&api-version=2019-08-01".to_owned(),
        Which::ClientId(_) => format!("&api-version=2019-08-01&client_id={id}"),
        Which::ObjectId(_) => format!("&api-version=2019-08-01&principal_id={id}"),
        Which::ResourceId(_) => format!("&api-version=2019-08-01&mi_res_id={id}"),
    })
}

pub(super) fn old_app_service(which: &Which) -> Result<String> {
    match which {
        Which::System => Ok("&api-version=2017-09-01".to_owned()),
        Which::ClientId(id) => Ok(format!("&api-version=2017-09-01&clientid={}", escape(id))),
        Which::ObjectId(_) | Which::ResourceId(_) => takes_only(
            "this version of App Service (MSI_ENDPOINT with MSI_SECRET)",
            "system or client_id",
        ),
    }
}

pub(super) fn container(which: &Which) -> Result<String> {
    match which {
        Which::System => Ok(String::new()),
        Which::ObjectId(id) => Ok(format!("&principalId={}", escape(id))),
        Which::ClientId(_) | Which::ResourceId(_) => {
            takes_only("a Windows container of Container Instances", "system or object_id")
        }
    }
}

pub(super) fn cloud_shell(which: &Which) -> Result<String> {
    match which {
        Which::System => Ok(String::new()),
        _ => takes_only("Cloud Shell (MSI_ENDPOINT without MSI_SECRET)", "system"),
    }
}

fn takes_only(who: &str, what: &str) -> Result<String> {
    let message = format!("option `managed_identity`: {who} takes only {what}");
    Err(Error::new(Status::Config, message))
}

/// The name of the header that carries the secret.
pub(super) fn header(kind: Kind) -> &'static str {
    match kind {
        Kind::OldAppService | Kind::Container => "secret",
        Kind::AppService | Kind::CloudShell | Kind::Imds | Kind::Arc => "x-identity-header",
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
