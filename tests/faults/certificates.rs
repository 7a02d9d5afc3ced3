//! Certificates of the peers, made at run time.

use std::sync::Arc;

use mde_tests::peers::openssl::{Pki, Wish};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A name that only a proxy knows: hosts of this machine are reached without one.
pub const PROXIED: &str = "api.faults.test";

pub struct Certificates {
    pki: Pki,
    pub good: Arc<ServerConfig>,
    /// It is not valid any more, as where this host's clock is ahead.
    pub expired: Arc<ServerConfig>,
    /// It is not valid yet.
    pub early: Arc<ServerConfig>,
}

impl Certificates {
    pub fn new() -> Certificates {
        let pki = Pki::new();
        let names = format!("IP:127.0.0.1,DNS:{PROXIED}");
        let made = |name: &str, valid| {
            pki.issue(name, &Wish { names: &names, valid, ..Wish::default() });
            config(&pki, name)
        };
        let good = made("good", None);
        let expired = made("expired", Some(("20200101000000Z", "20200201000000Z")));
        let early = made("early", Some(("20900101000000Z", "20900201000000Z")));
        Certificates { pki, good, expired, early }
    }

    /// The file of the authority.
    pub fn authority(&self) -> String {
        self.pki.path("root")
    }
}

fn config(pki: &Pki, name: &str) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_file(pki.path(name)).unwrap();
    let key = PrivateKeyDer::from_pem_file(pki.file(&format!("{name}.key"))).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}
