//! A client certificate for TLS: options `tls_certificate` and `tls_key`.

use std::fmt;
use std::sync::Arc;

use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::{
    EcdsaKeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
};
use rustls::client::ResolvesClientCert;
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{Error as TlsError, SignatureAlgorithm, SignatureScheme};

use super::Pair;
use super::key::Key;
use super::renewed::Renewed;
use super::x509::{Validity, X509};
use crate::error::{Error, Result};
use crate::http::client_certificate::Source;
use crate::http::socket::Exchange;
use crate::sign_in::identity::Identity;
use crate::status::Status;

/// A certificate with its key, ready for handshakes.
pub(crate) struct TlsCertificate {
    certified: Arc<CertifiedKey>,
    validity: Validity,
}

impl TlsCertificate {
    pub(crate) fn new(pair: Pair) -> Result<TlsCertificate> {
        let Pair { key, chain, validity } = pair;
        let key = match key {
            Key::Rsa(key) => Some(Signing::Rsa(key.into())),
            Key::Ec(key) => {
                let own = chain.first().and_then(|der| X509::read(der).ok());
                let pair = own.and_then(|own| key.pair_with(own.public_key));
                pair.map(|pair| Signing::Ec(Arc::new(pair), key.curve.scheme))
            }
            Key::External(_) => None,
        };
        let key = key.ok_or_else(|| {
            Error::new(Status::Internal, "the key of `tls_certificate` could not be made")
        })?;
        let chain = chain.into_iter().map(Into::into).collect();
        let certified = Arc::new(CertifiedKey::new(chain, Arc::new(key)));
        Ok(TlsCertificate { certified, validity })
    }

    pub(crate) fn identify(&self, identity: &mut Identity) {
        self.certified.cert.iter().for_each(|der| {
            identity.part(der);
        });
    }
}

impl Source for Renewed<TlsCertificate> {
    fn current(&self) -> Arc<dyn ResolvesClientCert> {
        Renewed::<TlsCertificate>::current(self)
    }
}

impl ResolvesClientCert for TlsCertificate {
    /// The authorities that the server names are no reason to show nothing: its refusal says more.
    fn resolve(&self, _: &[&[u8]], offered: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let mut about =
            "the server asked for a client certificate and got that of `tls_certificate`; check that the server trusts \
             its issuer and allows it"
                .to_owned();
        if self.certified.key.choose_scheme(offered).is_none() {
            about =
                "the server asks for a client certificate and accepts no signature of the key of \
                     `tls_certificate`: use one with a key of another kind (RSA or EC)"
                    .to_owned();
        }
        if let Some(warning) = self.validity.warning() {
            about.push_str("; ");
            about.push_str(&warning);
        }
        Exchange::certificate_asked(about);
        Some(Arc::clone(&self.certified))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for TlsCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsCertificate")
    }
}

/// A key that signs handshakes.
#[derive(Clone)]
enum Signing {
    Rsa(Arc<KeyPair>),
    Ec(Arc<EcdsaKeyPair>, SignatureScheme),
}

/// TLS 1.3 takes the first three alone.
static RSA: [(SignatureScheme, &dyn RsaEncoding); 6] = [
    (SignatureScheme::RSA_PSS_SHA256, &RSA_PSS_SHA256),
    (SignatureScheme::RSA_PSS_SHA384, &RSA_PSS_SHA384),
    (SignatureScheme::RSA_PSS_SHA512, &RSA_PSS_SHA512),
    (SignatureScheme::RSA_PKCS1_SHA256, &RSA_PKCS1_SHA256),
    (SignatureScheme::RSA_PKCS1_SHA384, &RSA_PKCS1_SHA384),
    (SignatureScheme::RSA_PKCS1_SHA512, &RSA_PKCS1_SHA512),
];

impl SigningKey for Signing {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = match self {
            Signing::Rsa(_) => RSA.iter().map(|(scheme, _)| scheme).find(|it| offered.contains(it)),
            Signing::Ec(_, scheme) => Some(scheme).filter(|it| offered.contains(it)),
        };
        Some(Box::new(Handshake { key: self.clone(), scheme: *scheme? }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self {
            Signing::Rsa(_) => SignatureAlgorithm::RSA,
            Signing::Ec(..) => SignatureAlgorithm::ECDSA,
        }
    }
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signing(***)")
    }
}

/// The signature of one handshake.
#[derive(Debug)]
struct Handshake {
    key: Signing,
    scheme: SignatureScheme,
}

impl Signer for Handshake {
    fn sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, TlsError> {
        let random = SystemRandom::new();
        let signed = match &self.key {
            Signing::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                let padding = RSA.iter().find(|(scheme, _)| *scheme == self.scheme);
                padding.and_then(|(_, padding)| {
                    key.sign(*padding, &random, message, &mut signature).ok()?;
                    Some(signature)
                })
            }
            Signing::Ec(key, _) => {
                key.sign(&random, message).ok().map(|signature| signature.as_ref().to_vec())
            }
        };
        signed.ok_or_else(|| TlsError::General("the handshake could not be signed".to_owned()))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}
