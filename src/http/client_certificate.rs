//! The client certificate in TLS, for gateways and proxies that ask for one.
//!
//! It goes to the hosts that the options name, and to no host that a reply names. Each new connection takes the
//! certificate as its files are then.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::SignatureScheme;
use rustls::client::{ClientConfig, ResolvesClientCert};
use rustls::sign::CertifiedKey;

use super::socket::Exchange;
use crate::text::url::authority;

/// Provides the certificate with its key.
pub(crate) trait Source: Send + Sync {
    /// The current one. It is the same object until it is another certificate.
    fn current(&self) -> Arc<dyn ResolvesClientCert>;
}

/// A certificate, and the hosts that get it if they ask.
pub(crate) struct ClientCertificate {
    source: Box<dyn Source>,
    /// Each with its port: see [`authority`].
    hosts: Vec<String>,
    /// For the certificate that was used last.
    config: Mutex<Option<Arc<ClientConfig>>>,
}

impl ClientCertificate {
    pub(crate) fn new(source: Box<dyn Source>, hosts: Vec<String>) -> ClientCertificate {
        ClientCertificate { source, hosts, config: Mutex::default() }
    }

    /// The configuration for a host that gets the certificate. `None`: this one does not.
    ///
    /// Another certificate makes another configuration. So a session of the earlier one is not resumed.
    pub(super) fn config_for(
        &self,
        host: &str,
        port: u16,
        without: &ClientConfig,
    ) -> Option<Arc<ClientConfig>> {
        if !self.hosts.contains(&authority(host, port)) {
            return None;
        }
        let current = self.source.current();
        let mut kept = self.config.lock();
        let made = kept.take().filter(|made| is_for(made, &current));
        let config = made.unwrap_or_else(|| {
            let mut config = without.clone();
            config.client_auth_cert_resolver = current;
            Arc::new(config)
        });
        *kept = Some(Arc::clone(&config));
        Some(config)
    }
}

fn is_for(config: &ClientConfig, current: &Arc<dyn ResolvesClientCert>) -> bool {
    Arc::ptr_eq(&config.client_auth_cert_resolver, current)
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate")
    }
}

/// For hosts that get no certificate.
#[derive(Debug)]
pub(super) struct NoCertificate;

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Exchange::certificate_asked(
            "the server asks for a client certificate: set `tls_certificate`, which only the hosts of `api_url` and \
             `login_url` get"
                .to_owned(),
        );
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::tls::Trust;
    use super::*;

    /// The second certificate comes after three questions.
    struct Two([Arc<NoCertificate>; 2], Mutex<usize>);

    impl Source for Two {
        fn current(&self) -> Arc<dyn ResolvesClientCert> {
            let mut asked = self.1.lock();
            *asked += 1;
            self.0[usize::from(*asked > 3)].clone()
        }
    }

    #[test]
    fn a_configuration_serves_until_the_certificate_is_another() {
        let two = Two([Arc::new(NoCertificate), Arc::new(NoCertificate)], Mutex::new(0));
        let hosts = vec!["gateway.example".to_owned(), "127.0.0.1:8443".to_owned()];
        let certificate = ClientCertificate::new(Box::new(two), hosts);
        let plain =
            Trust::new(Vec::new(), None, false).unwrap().config_for("a", 443, None).unwrap();
        let of = |host, port| certificate.config_for(host, port, &plain);
        for (host, port) in
            [("other.example", 443), ("gateway.example", 8443), ("x.gateway.example", 443)]
        {
            assert!(of(host, port).is_none(), "{host}:{port}");
        }
        let first = of("gateway.example", 443).unwrap();
        assert!(Arc::ptr_eq(&first, &of("GATEWAY.example.", 443).unwrap()));
        assert!(Arc::ptr_eq(&first, &of("127.0.0.1", 8443).unwrap()));
        let second = of("gateway.example", 443).unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(!Arc::ptr_eq(&plain.client_auth_cert_resolver, &second.client_auth_cert_resolver));
        assert!(Arc::ptr_eq(&second, &of("gateway.example", 443).unwrap()));
    }
}
