//! EC keys, for TLS alone.
//!
//! Source: RFC 5915.

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm,
};
use rustls::SignatureScheme;
use zeroize::Zeroizing;

use super::der::Fields;
use super::{Trouble, oid};

/// A curve. TLS signs with the hash that belongs to it.
pub(super) struct Curve {
    oid: &'static [u8],
    /// The length of a point as certificates have it.
    point: usize,
    signing: &'static EcdsaSigningAlgorithm,
    pub scheme: SignatureScheme,
}

static CURVES: [Curve; 2] = [
    Curve {
        oid: oid::P256,
        point: 1 + 2 * 32,
        signing: &ECDSA_P256_SHA256_ASN1_SIGNING,
        scheme: SignatureScheme::ECDSA_NISTP256_SHA256,
    },
    Curve {
        oid: oid::P384,
        point: 1 + 2 * 48,
        signing: &ECDSA_P384_SHA384_ASN1_SIGNING,
        scheme: SignatureScheme::ECDSA_NISTP384_SHA384,
    },
];

const OTHER: Trouble = Trouble::WrongKind("an EC key on another curve");

/// A private key. Its public key is in the certificate: not every file repeats it.
pub(super) struct EcKey {
    pub curve: &'static Curve,
    secret: Zeroizing<Vec<u8>>,
}

impl EcKey {
    /// `curve`: its name, if it stands outside of these bytes.
    pub(super) fn read(der: &[u8], curve: Option<&[u8]>) -> Result<EcKey, Trouble> {
        let mut fields = Fields::of_sequence(der)?;
        fields.number()?; // version
        let secret = Zeroizing::new(fields.octets()?.to_vec());
        let inside = match fields.tagged(0, true)? {
            Some(parameters) => Fields::of_content(parameters)?.oid().ok(),
            None => None,
        };
        let name = curve.or(inside).ok_or(OTHER)?;
        let curve = CURVES.iter().find(|curve| curve.oid == name).ok_or(OTHER)?;
        Ok(EcKey { curve, secret })
    }

    /// The key with the public key of a certificate. `None`: the certificate is another key's.
    pub(super) fn pair_with(&self, public_key: &[u8]) -> Option<EcdsaKeyPair> {
        let Curve { point, signing, .. } = self.curve;
        if public_key.len() != *point {
            return None;
        }
        let random = SystemRandom::new();
        EcdsaKeyPair::from_private_key_and_public_key(signing, &self.secret, public_key, &random)
            .ok()
    }
}
