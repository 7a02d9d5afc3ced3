//! Azure's Instance Metadata Service, which every virtual machine in Azure can reach.
//!
//! Source: "How to use managed identities for Azure resources on an Azure VM to acquire an access token".

use super::Which;
use crate::error::Result;
use crate::text::escape::escape;

pub(super) const HOST: &str = "http://169.254.169.254";
pub(super) const PATH: &str = "/metadata/identity/oauth2/token";

pub(super) fn query(which: &Which) -> Result<String> {
    let id = escape(which.id());
    Ok(match which {
        Which::System => "&api-version=2018-02-01".to_owned(),
        Which::ClientId(_) => format!("&api-version=2018-02-01&client_id={id}"),
        Which::ObjectId(_) => format!("&api-version=2018-02-01&object_id={id}"),
        Which::ResourceId(_) => format!("&api-version=2018-02-01&msi_res_id={id}"),
    })
}
