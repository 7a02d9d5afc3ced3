//! Private keys: RSA and EC in PKCS#8 or encrypted PKCS#8, RSA in PKCS#1, EC in SEC 1.
//!
//! Sources: RFC 5958, RFC 8017, RFC 5915.

use ring::rsa::KeyPair;
use zeroize::Zeroizing;

use super::der::Fields;
use super::ec::EcKey;
use super::external::ExternalKey;
use super::pbe::{self, Work};
use super::{Trouble, oid};

/// A private key in the encoding of its file.
pub(super) enum Encoded {
    Pkcs1(Zeroizing<Vec<u8>>),
    Sec1(Zeroizing<Vec<u8>>),
    Pkcs8(Zeroizing<Vec<u8>>),
    /// PKCS#8, encrypted with a password.
    Encrypted(Zeroizing<Vec<u8>>),
    /// A key of another kind, described for messages.
    Other(&'static str),
}

/// A private key that is ready for use.
pub(super) enum Key {
    /// ring's own copy of it cannot be wiped.
    Rsa(Box<KeyPair>),
    Ec(EcKey),
    /// Only to sign in with.
    External(ExternalKey),
}

impl Key {
    /// Whether a certificate with this public key belongs to it.
    pub(super) fn fits(&self, public_key: &[u8]) -> bool {
        match self {
            Key::Rsa(key) => key.public().as_ref() == public_key,
            Key::Ec(key) => key.pair_with(public_key).is_some(),
            Key::External(key) => key.public_key == public_key,
        }
    }
}

impl Encoded {
    /// The private key in a PEM block, if it is one.
    pub(super) fn from_pem(label: &str, content: Zeroizing<Vec<u8>>) -> Option<Encoded> {
        Some(match label {
            "RSA PRIVATE KEY" => Encoded::Pkcs1(content),
            "PRIVATE KEY" => Encoded::Pkcs8(content),
            "ENCRYPTED PRIVATE KEY" => Encoded::Encrypted(content),
            "EC PRIVATE KEY" => Encoded::Sec1(content),
            label if label.ends_with("PRIVATE KEY") => Encoded::Other("a key of another kind"),
            _ => return None,
        })
    }

    /// Detects the kind of a DER key. An encrypted key begins with its algorithm, the others with a version. After that
    /// PKCS#8 has the algorithm, PKCS#1 a number and SEC 1 bytes.
    pub(super) fn from_der(content: Zeroizing<Vec<u8>>) -> Result<Encoded, Trouble> {
        let mut fields = Fields::of_sequence(&content)?;
        if fields.next_is_sequence() {
            return Ok(Encoded::Encrypted(content));
        }
        fields.number()?;
        Ok(match (fields.next_is_sequence(), fields.octets().is_ok()) {
            (true, _) => Encoded::Pkcs8(content),
            (false, true) => Encoded::Sec1(content),
            (false, false) => Encoded::Pkcs1(content),
        })
    }

    /// The key to sign with.
    pub(super) fn open(&self, password: Option<&str>, work: &mut Work) -> Result<Key, Trouble> {
        match self {
            Encoded::Pkcs1(key) => rsa(key),
            Encoded::Sec1(key) => EcKey::read(key, None).map(Key::Ec),
            Encoded::Pkcs8(key) => pkcs8(key),
            Encoded::Other(kind) => Err(Trouble::WrongKind(kind)),
            Encoded::Encrypted(key) => {
                let mut fields = Fields::of_sequence(key)?;
                let algorithm = fields.sequence()?;
                let data = fields.octets()?;
                let password = password.ok_or(Trouble::NoPassword)?;
                let key = pbe::decrypt(algorithm, data, password.into(), work)?;
                // Only the result shows a wrong password: the padding may be right by chance.
                match pkcs8(&key) {
                    Err(Trouble::Damaged) => Err(Trouble::WrongPassword),
                    other => other,
                }
            }
        }
    }
}

fn pkcs8(der: &[u8]) -> Result<Key, Trouble> {
    let mut fields = Fields::of_sequence(der)?;
    fields.number()?; // version
    let mut algorithm = fields.sequence()?;
    let key = fields.octets()?;
    match algorithm.oid()? {
        oid::RSA => rsa(key),
        // Parameters of their own in place of a name are those of no curve that is known here.
        oid::EC => EcKey::read(key, Some(algorithm.oid().unwrap_or_default())).map(Key::Ec),
        _ => Err(Trouble::WrongKind("a key of another kind")),
    }
}

fn rsa(der: &[u8]) -> Result<Key, Trouble> {
    // The length distinguishes damage from a key that ring refuses. ring reports modulus and exponent with the same
    // names.
    let mut fields = Fields::of_sequence(der)?;
    fields.number()?; // version
    let length = fields.unsigned()?.len();
    KeyPair::from_der(der).map(|key| Key::Rsa(Box::new(key))).map_err(|rejected| {
        match rejected.to_string().as_str() {
            "TooSmall" if length < 2048 / 8 => {
                Trouble::WrongKind("an RSA key of less than 2048 bits")
            }
            "TooLarge" if length > 4096 / 8 => {
                Trouble::WrongKind("an RSA key of more than 4096 bits")
            }
            "TooSmall" => Trouble::WrongKind("an RSA key with a public exponent below 65537"),
            "TooLarge" => {
                Trouble::WrongKind("an RSA key with a public exponent of more than 33 bits")
            }
            // ring demands primes whose length is a multiple of 512 bits.
            "PrivateModulusLenNotMultipleOf512Bits" => {
                Trouble::WrongKind("an RSA key whose length is no multiple of 1024 bits")
            }
            _ => Trouble::Damaged,
        }
    })
}
