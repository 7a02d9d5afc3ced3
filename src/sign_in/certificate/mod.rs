//! Certificates with their keys: one to sign in with, whose key signs an assertion in place of a secret, and one for TLS.
//!
//! One file per format: [`pem`], [`pkcs12`], [`key`], [`ec`] and their encryption ([`pbe`]), [`x509`] for the certificate, and
//! [`formats`] for what else people have. [`assertion`] makes the signed text, [`tls`] signs handshakes. [`files`] reads
//! what the options name, and [`renewed`] reads it again. [`external`] is for keys that stay where they are, [`store`] for
//! those in Windows' certificate store.

mod assertion;
mod der;
mod ec;
mod external;
pub(crate) mod files;
mod formats;
mod key;
mod oid;
mod pbe;
mod pem;
mod pkcs12;
pub(crate) mod renewed;
pub(crate) mod store;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
mod x509;

use std::sync::Arc;
use std::time::SystemTime;

use zeroize::Zeroizing;

pub(crate) use self::assertion::Algorithm;
use self::assertion::Assertions;
use self::files::{Contents, Files, Role};
use self::formats::Other;
use self::key::{Encoded, Key};
use self::pbe::Work;
use self::x509::{Validity, X509};
use super::identity::Identity;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::status::Status;

/// A certificate with its key, ready to sign in with.
pub(crate) struct Certificate {
    assertions: Assertions,
    /// The certificate. It identifies the key too, since only one key fits it.
    der: Vec<u8>,
    validity: Validity,
}

/// A key, the certificate that belongs to it, and those of its issuers.
pub(crate) struct Pair {
    key: Key,
    /// In DER. Our own certificate is the first, and each is followed by its issuer.
    chain: Vec<Vec<u8>>,
    validity: Validity,
}

/// Why certificate or key cannot be used.
#[derive(Debug)]
enum Trouble {
    Damaged,
    NoPassword,
    WrongPassword,
    /// Encrypted or signed in a way that is not supported.
    Unsupported(&'static str),
    /// A key that is not accepted.
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

impl Pair {
    /// Opens what these files hold.
    fn open(files: &Files, contents: &Contents) -> Result<Pair> {
        let Files { role, password, .. } = files;
        let (certificate_option, separate_key) = (role.certificate(), role.key());
        let password = password.as_ref().map(|password| password.as_str());
        let mut work = Work::new();
        let mut material = Material::read(&contents.certificate, password, &mut work)
            .map_err(|trouble| trouble.into_error(*role, certificate_option))?;
        if let Some(signer) = &files.signer {
            return Pair::of_signer(&material, signer);
        }
        let (mut key_option, mut beside_key) = (certificate_option, material.other);
        if let Some(bytes) = &contents.key {
            key_option = separate_key;
            let read = Material::read_key(bytes)
                .map_err(|trouble| trouble.into_error(*role, separate_key))?;
            (material.keys, beside_key) = (read.keys, read.other);
        }
        let key = match material.keys.as_slice() {
            [key] => key
                .open(password, &mut work)
                .and_then(|key| role.accepts(key))
                .map_err(|trouble| trouble.into_error(*role, key_option))?,
            [] if contents.key.is_some() => {
                return Err(lacks(*role, separate_key, beside_key, "has no private key"));
            }
            [] => {
                let problem = format!("has no private key; expected it {}", role.places_of_key());
                return Err(lacks(*role, certificate_option, beside_key, &problem));
            }
            _ => return Err(refused(key_option, "has several private keys; expected one")),
        };
        let all = material.certificates(*role)?;
        if all.is_empty() {
            return Err(lacks(*role, certificate_option, material.other, "has no certificate"));
        }
        // Several certificates fit the key if it was kept at renewals: the newest is in use.
        let own = all.iter().filter(|one| key.fits(one.public_key));
        let Some(own) = own.max_by_key(|one| one.validity.not_after.at) else {
            let problem = format!("has no certificate that belongs to the key of `{key_option}`");
            return Err(refused(certificate_option, &problem));
        };
        Ok(Pair::new(key, own, &all))
    }

    /// `all`: among them the issuers of our own certificate.
    fn new(key: Key, own: &X509<'_>, all: &[X509<'_>]) -> Pair {
        let chain = ordered(own, all).into_iter().map(<[u8]>::to_vec).collect();
        Pair { key, chain, validity: own.validity.clone() }
    }
}

impl Certificate {
    /// `with_chain`: the assertion carries the certificates of the issuers, too.
    pub(crate) fn new(pair: Pair, algorithm: Algorithm, with_chain: bool) -> Result<Certificate> {
        let Pair { key, chain, validity } = pair;
        let key = match key {
            Key::Rsa(key) => assertion::Key::Own(key),
            Key::External(key) => assertion::Key::External(key),
            Key::Ec(_) => {
                return Err(Error::new(Status::Internal, "an EC key was read to sign in with"));
            }
        };
        let all: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        let own = all.first().copied().unwrap_or_default();
        let sent = if with_chain { all.as_slice() } else { &[] };
        Ok(Certificate {
            assertions: Assertions::new(key, algorithm, own, sent),
            der: own.to_vec(),
            validity,
        })
    }

    /// An assertion for the token endpoint at `url`, valid for ten minutes from now.
    pub(super) fn assertion(
        &self,
        url: &str,
        client_id: &str,
        call: &Arc<Call>,
    ) -> Result<Zeroizing<String>> {
        self.assertions.sign(url, client_id, call)
    }

    pub(super) fn identify(&self, identity: &mut Identity) {
        identity.part(&self.der).part(self.assertions.header());
    }

    /// A warning if the certificate has expired or is not valid yet.
    pub(super) fn validity_warning(&self) -> Option<String> {
        self.validity.warning()
    }
}

impl Validity {
    fn warning(&self) -> Option<String> {
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

fn refused(option: &str, problem: &str) -> Error {
    Error::new(Status::Config, format!("option `{option}` {problem}"))
}

/// `other` was found in the place of what an option lacks.
fn lacks(role: Role, option: &str, other: Option<Other>, problem: &str) -> Error {
    match other {
        Some(other) => Trouble::Other(other).into_error(role, option),
        None => refused(option, problem),
    }
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

    fn certificates(&self, role: Role) -> Result<Vec<X509<'_>>> {
        let all: std::result::Result<_, _> =
            self.certificates.iter().map(|der| X509::read(der)).collect();
        all.map_err(|trouble| trouble.into_error(role, role.certificate()))
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
    fn into_error(self, role: Role, option: &str) -> Error {
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
            Trouble::WrongKind(kind) => {
                format!("option `{option}` names {kind}; expected {}", role.accepted_keys())
            }
            Trouble::NotKeyAlone => format!(
                "option `{option}` names a PKCS#12 file, which belongs in `{}`: it has certificate and key",
                role.certificate()
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
