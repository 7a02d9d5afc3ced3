//! The client certificate for gateways: options `tls_certificate` and `tls_key`.

use crate::error::{Error, Result};
use crate::http::client_certificate::ClientCertificate;
use crate::options::Settings;
use crate::sign_in::certificate::files::{Files, Role};
use crate::sign_in::certificate::renewed::Renewed;
use crate::sign_in::certificate::store;
use crate::sign_in::certificate::tls::TlsCertificate;
use crate::sign_in::identity::Identity;
use crate::status::Status;

/// Reads it, if there is one, for these hosts. It is part of the way to the authority, and so of the identity.
pub(super) fn load(
    options: &Settings,
    hosts: Vec<String>,
    identity: Option<&mut Identity>,
) -> Result<Option<ClientCertificate>> {
    let (key, password) = (options.tls_key.as_ref(), options.certificate_password.as_ref());
    let Some(certificate) = &options.tls_certificate else {
        return match key {
            None => Ok(None),
            Some(_) => Err(Error::new(
                Status::Config,
                "option `tls_key` is set without `tls_certificate`; set both, or neither",
            )),
        };
    };
    if store::name(certificate).is_some() {
        return Err(Error::new(
            Status::Config,
            "option `tls_certificate` names Windows' certificate store, which is for `client_certificate` alone; expected \
             the path of a PEM or PKCS#12 file, or the text of one",
        ));
    }
    let files = Files::new(Role::Tls, certificate, key, password);
    let renewed = Renewed::new(files, Box::new(TlsCertificate::new))?;
    if let Some(identity) = identity {
        renewed.identify(identity.part("tls"));
        renewed.made().identify(identity);
    }
    Ok(Some(ClientCertificate::new(Box::new(renewed), hosts)))
}
