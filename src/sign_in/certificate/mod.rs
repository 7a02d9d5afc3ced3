//! Signing in with a certificate: its key signs an assertion, which replaces the secret.
//!
//! One file per format: [`pem`], [`pkcs12`], [`key`] and their encryption ([`pbe`]), [`x509`] for the certificate,
//! [`formats`] for what else people have, and [`assertion`] for the signed text.

mod assertion;
mod der;
mod formats;
mod key;
mod oid;
mod pbe;
mod pem;
mod pkcs12;
#[cfg(test)]
mod tests;
mod x509;

use std::path::Path;
use std::time::SystemTime;

use ring::rsa::KeyPair;
use zeroize::Zeroizing;

pub(crate) use self::assertion::Algorithm;
use self::assertion::Signer;
use self::formats::Other;
use self::key::Encoded;
use self::pbe::Work;
use self::x509::{Moment, X509};
use super::identity::Identity;
use crate::error::{Error, Result};
use crate::os::small_file;
use crate::status::Status;

/// A certificate with its key, ready to sign.
pub(crate) struct Certificate {
    signer: Signer,
    /// The certificate. It identifies the key too, since only one key fits it.
    der: Vec<u8>,
    not_before: Moment,
    not_after: Moment,
}

/// The options that concern a certificate.
pub(crate) struct Settings<'a> {
    /// Option `client_certificate`: the path of a file.
    pub certificate: &'a str,
    /// Option `client_key`: the path of a file.
    pub key: Option<&'a str>,
    pub password: Option<&'a str>,
    pub algorithm: Algorithm,
    /// Whether the assertion carries the whole chain.
    pub chain: bool,
}

/// Why certificate or key cannot be used.
#[derive(Debug)]
enum Trouble {
    Damaged,
    NoPassword,
    WrongPassword,
    /// Encrypted or signed in a way that is not supported.
    Unsupported(&'static str),
    /// A key that the sign-in service does not accept.
    WrongKind(&'static str),
    /// Certificate and key where only a key is expected.
    NotKeyAlone,
    /// So many iterations of a key derivation.
    TooMuchWork(u32),
    Other(Other),
}

/// The contents of a file.
#[derive(Default)]
struct Material {
    certificates: Vec<Vec<u8>>,
    keys: Vec<Encoded>,
    /// What else was found, which may be in the place of what is missing.
    other: Option<Other>,
}

const CERTIFICATE: &str = "client_certificate";
const KEY: &str = "client_key";

/// Chains are short.
const MAX_FILE: u64 = 1 << 20;

impl Certificate {
    /// Reads option `client_certificate` and, if it is set, `client_key`.
    pub(crate) fn load(settings: &Settings<'_>) -> Result<Certificate> {
        let Settings { certificate, key, password, algorithm, chain: with_chain } = *settings;
        let mut work = Work::new();
        let bytes = content(CERTIFICATE, certificate)?;
        let mut material = Material::read(&bytes, password, &mut work)
            .map_err(|trouble| trouble.into_error(CERTIFICATE))?;
        let (mut key_option, mut beside_key) = (CERTIFICATE, material.other);
        if let Some(key) = key {
            key_option = KEY;
            let bytes = content(KEY, key)?;
            let read = Material::read_key(&bytes).map_err(|trouble| trouble.into_error(KEY))?;
            (material.keys, beside_key) = (read.keys, read.other);
        }
        let Material { certificates, keys, other } = material;
        let refused = |option: &str, problem: &str| {
            Error::new(Status::Config, format!("option `{option}` {problem}"))
        };
        let lacks = |option: &str, other: Option<Other>, problem: &str| match other {
            Some(other) => Trouble::Other(other).into_error(option),
            None => refused(option, problem),
        };
        let key = match keys.as_slice() {
            [key] => {
                key.open(password, &mut work).map_err(|trouble| trouble.into_error(key_option))?
            }
            [] if key_option == KEY => return Err(lacks(KEY, beside_key, "has no private key")),
            [] => {
                let problem = "has no private key; expected it in the same file or in `client_key`";
                return Err(lacks(CERTIFICATE, beside_key, problem));
            }
            _ => return Err(refused(key_option, "has several private keys; expected one")),
        };
        let chain = certificates
            .iter()
            .map(|der| X509::read(der))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|trouble| trouble.into_error(CERTIFICATE))?;
        if chain.is_empty() {
            return Err(lacks(CERTIFICATE, other, "has no certificate"));
        }
        // Several certificates fit the key if it was kept at renewals: the newest is in use.
        let own = chain.iter().filter(|one| one.public_key == key_of(&key));
        let Some(own) = own.max_by_key(|one| one.not_after.at) else {
            let problem = format!("has no certificate that belongs to the key of `{key_option}`");
            return Err(refused(CERTIFICATE, &problem));
        };
        let chain = with_chain.then(|| ordered(own, &chain));
        Ok(Certificate {
            signer: Signer::new(key, algorithm, own.der, chain.as_deref().unwrap_or_default()),
            der: own.der.to_vec(),
            not_before: own.not_before.clone(),
            not_after: own.not_after.clone(),
        })
    }

    /// An assertion for the token endpoint at `url`, valid for ten minutes from now.
    pub(super) fn assertion(&self, url: &str, client_id: &str) -> Result<Zeroizing<String>> {
        self.signer.sign(url, client_id)
    }

    pub(super) fn identify(&self, identity: &mut Identity) {
        identity.part(&self.der).part(self.signer.header());
    }

    /// A warning if the certificate has expired or is not valid yet.
    pub(super) fn validity_warning(&self) -> Option<String> {
        let now = SystemTime::now();
        if now > self.not_after.at {
            Some(format!("the certificate expired at {}: make a new one", self.not_after.text))
        } else if now < self.not_before.at {
            let from = &self.not_before.text;
            Some(format!("the certificate is valid only from {from} on; check this host's clock"))
        } else {
            None
        }
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificate")
    }
}

/// The public key in the form in which certificates hold it.
fn key_of(key: &KeyPair) -> &[u8] {
    key.public().as_ref()
}

/// The chain from our own certificate, each followed by its issuer, as far as the file has them. The root is left out:
/// the peer has its own.
fn ordered<'a>(own: &X509<'a>, all: &[X509<'a>]) -> Vec<&'a [u8]> {
    let mut chain = vec![own.der];
    let mut last = own;
    while let Some(issuer) = all.iter().find(|one| one.subject == last.issuer) {
        if issuer.is_self_signed() || chain.contains(&issuer.der) {
            break;
        }
        chain.push(issuer.der);
        last = issuer;
    }
    chain
}

/// The content that an option names: a file, or the text in the option itself.
fn content(option: &str, value: &str) -> Result<Zeroizing<Vec<u8>>> {
    if pem::is_pem(value.as_bytes()) {
        return Ok(Zeroizing::new(value.as_bytes().to_vec()));
    }
    if let Some(content) = formats::from_base64(value.as_bytes()) {
        return Ok(content);
    }
    let content = small_file::read(Path::new(value), MAX_FILE).map_err(|problem| {
        let accepted = "the path of a PEM or PKCS#12 file, or the text of one in PEM or Base64";
        Error::new(Status::Config, format!("option `{option}` {problem}; expected {accepted}"))
    })?;
    Ok(formats::plain(content))
}

impl Material {
    fn read(
        bytes: &[u8],
        password: Option<&str>,
        work: &mut Work,
    ) -> std::result::Result<Material, Trouble> {
        if pkcs12::is_pkcs12(bytes) {
            return pkcs12::read(bytes, password, work);
        }
        let mut material = Material::default();
        if pem::is_pem(bytes) {
            material.take_sections(bytes)?;
        } else if X509::read(bytes).is_ok() {
            // A certificate in DER. Its key is in `client_key`.
            material.certificates.push(bytes.to_vec());
        } else if let Some(other) = formats::of_bytes(bytes) {
            return Err(Trouble::Other(other));
        } else {
            material.keys.push(key_alone(bytes)?);
        }
        Ok(material)
    }

    fn read_key(bytes: &[u8]) -> std::result::Result<Material, Trouble> {
        let mut material = Material::default();
        if pkcs12::is_pkcs12(bytes) {
            return Err(Trouble::NotKeyAlone);
        } else if pem::is_pem(bytes) {
            material.take_sections(bytes)?;
        } else if let Some(other) = formats::of_bytes(bytes) {
            return Err(Trouble::Other(other));
        } else if X509::read(bytes).is_err() {
            material.keys.push(Encoded::from_der(Zeroizing::new(bytes.to_vec()))?);
        }
        Ok(material)
    }

    fn take_sections(&mut self, bytes: &[u8]) -> std::result::Result<(), Trouble> {
        for section in pem::sections(bytes)? {
            match section.label {
                "CERTIFICATE" | "X509 CERTIFICATE" => {
                    self.certificates.push(section.content.to_vec());
                }
                "TRUSTED CERTIFICATE" => {
                    self.certificates.push(formats::trusted(&section.content)?.to_vec());
                }
                label => match formats::of_label(label) {
                    Some(other) => self.other = Some(other),
                    None => self.keys.extend(Encoded::from_pem(label, section.content)),
                },
            }
        }
        Ok(())
    }
}

/// A key in DER where a certificate is expected. An encrypted one looks like other things, too.
fn key_alone(bytes: &[u8]) -> std::result::Result<Encoded, Trouble> {
    match Encoded::from_der(Zeroizing::new(bytes.to_vec()))? {
        Encoded::Encrypted(_) => Err(Trouble::Damaged),
        key => Ok(key),
    }
}

/// How to convert what is encrypted in another way.
const CONVERT: &str = "convert a key with: openssl pkcs8 -topk8 -in FILE -out NEW.pem; convert PKCS#12 with: openssl \
    pkcs12 -in FILE -nodes -out ALL.pem, and openssl pkcs12 -export -in ALL.pem -out NEW.pfx";

impl Trouble {
    /// The error of the option that named the file.
    fn into_error(self, option: &str) -> Error {
        let message = match self {
            Trouble::Damaged => format!(
                "option `{option}` has damaged content, or content in another format; expected PEM or PKCS#12 (in DER)"
            ),
            Trouble::NoPassword => format!(
                "option `certificate_password` is not set; the content of `{option}` is encrypted"
            ),
            Trouble::WrongPassword => format!(
                "option `certificate_password` is wrong: it does not decrypt the content of `{option}`"
            ),
            Trouble::Unsupported(what) => {
                format!("option `{option}` has content that is protected by {what}; {CONVERT}")
            }
            Trouble::WrongKind(kind) => format!(
                "option `{option}` names {kind}; expected an RSA key of 2048, 3072 or 4096 bits, since the sign-in \
                 service takes no other kind"
            ),
            Trouble::NotKeyAlone => format!(
                "option `{option}` names a PKCS#12 file, which belongs in `{CERTIFICATE}`: it has certificate and key"
            ),
            Trouble::TooMuchWork(count) => format!(
                "option `{option}` has content whose password takes {count} iterations, which would keep this \
                 program waiting; expected up to {} in all; {CONVERT}",
                Work::MOST
            ),
            Trouble::Other(Other { what, advice }) => {
                format!("option `{option}` has {what}; {advice}")
            }
        };
        Error::new(Status::Config, message)
    }
}
