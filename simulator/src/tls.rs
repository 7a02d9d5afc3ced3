//! A certificate for this machine from a new test authority.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{self, ServerConfig};

/// The TLS configuration, and the authority that a client must trust.
pub struct Identity {
    pub acceptor: TlsAcceptor,
    pub ca_pem: String,
}

/// Makes a new authority and a certificate for `127.0.0.1`, `::1` and `localhost`, and for the names below
/// `simulator.test`, which lead to it only where somebody says so.
pub fn identity() -> Result<Identity, String> {
    make().map_err(|e| format!("could not make a certificate: {e}"))
}

fn make() -> Result<Identity, Box<dyn std::error::Error>> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "mde-simulator test authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let names = ["localhost", "127.0.0.1", "::1", "*.simulator.test"].map(str::to_owned);
    let mut own = CertificateParams::new(names)?;
    own.distinguished_name.push(DnType::CommonName, "mde-simulator");
    own.use_authority_key_identifier_extension = true;
    own.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let own = own.signed_by(&key, &authority)?;

    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)?
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Identity { acceptor: TlsAcceptor::from(Arc::new(config)), ca_pem: authority.pem() })
}
