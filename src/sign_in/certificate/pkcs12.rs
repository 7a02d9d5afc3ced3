//! PKCS#12 (`.pfx`, `.p12`): certificates and a key under one password.
//!
//! Source: RFC 7292. What OpenSSL writes (today's ciphers and, with `-legacy`, the older ones) and what Windows
//! exports.

use ring::{digest, hmac};
use zeroize::Zeroizing;

use super::der::Fields;
use super::key::Encoded;
use super::pbe::{self, Password, Purpose, Work};
use super::{Material, Trouble, oid};

/// The version that all files have.
const VERSION: u32 = 3;

/// Whether these bytes are a PKCS#12 file, whole or damaged further in.
pub(super) fn is_pkcs12(bytes: &[u8]) -> bool {
    let begins = |bytes| Some(Fields::of_sequence(bytes).ok()?.number().ok()? == VERSION);
    begins(bytes).unwrap_or_default()
}

/// The certificates and the key. An absent password is the same as an empty one, since files without any have that.
pub(super) fn read(
    bytes: &[u8],
    password: Option<&str>,
    work: &mut Work,
) -> Result<Material, Trouble> {
    let mut file = Fields::of_sequence(bytes)?;
    file.number()?; // version
    let mut content = file.sequence()?;
    if content.oid()? != oid::PKCS7_DATA {
        return Err(Trouble::Unsupported("a signature instead of a password"));
    }
    let content = content.explicit(0)?.octets()?;
    let text = password.unwrap_or_default();
    let verified = !file.is_empty();
    let form = match verified {
        true => sealed_by(file.sequence()?, content, text, work)?,
        false => Some(Password::from(text)),
    };
    let Some(form) = form else {
        // Without the right password nothing else can be told.
        return Err(if password.is_some() { Trouble::WrongPassword } else { Trouble::NoPassword });
    };
    let mut material = Material::default();
    let mut parts = Fields::of_sequence(content)?;
    while !parts.is_empty() {
        let result = safe(parts.sequence()?, form, work, &mut material);
        result.map_err(|trouble| match trouble {
            Trouble::WrongPassword if verified => Trouble::Damaged,
            Trouble::WrongPassword if password.is_none() => Trouble::NoPassword,
            other => other,
        })?;
    }
    Ok(material)
}

/// Checks the seal of the file: it fits only with the right password and undamaged content. The form of the password
/// with which it does is the one for the rest of the file.
fn sealed_by<'a>(
    mut mac: Fields<'_>,
    content: &[u8],
    password: &'a str,
    work: &mut Work,
) -> Result<Option<Password<'a>>, Trouble> {
    let mut seal = mac.sequence()?;
    let (hash, algorithm) = match seal.sequence()?.oid()? {
        oid::SHA1 => (&digest::SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        oid::SHA256 => (&digest::SHA256, hmac::HMAC_SHA256),
        oid::SHA384 => (&digest::SHA384, hmac::HMAC_SHA384),
        oid::SHA512 => (&digest::SHA512, hmac::HMAC_SHA512),
        _ => return Err(Trouble::Unsupported("a seal that is not known here")),
    };
    let seal = seal.octets()?;
    let salt = mac.octets()?;
    let iterations = work.spend(mac.optional_number()?.unwrap_or(1))?;
    let mut key = Zeroizing::new([0; digest::MAX_OUTPUT_LEN]);
    let key = key.get_mut(..hash.output_len()).unwrap_or_default();
    Ok(Password::forms(password).find(|form| {
        pbe::derive(hash, Purpose::Mac, &form.units(), salt, iterations, key);
        hmac::verify(&hmac::Key::new(algorithm, key), content, seal).is_ok()
    }))
}

/// One part of the file: bags in the open or under the password.
fn safe(
    mut part: Fields<'_>,
    password: Password<'_>,
    work: &mut Work,
    material: &mut Material,
) -> Result<(), Trouble> {
    match part.oid()? {
        oid::PKCS7_DATA => bags(part.explicit(0)?.octets()?, password, work, material),
        oid::PKCS7_ENCRYPTED_DATA => {
            let mut encrypted = part.explicit(0)?.sequence()?;
            encrypted.number()?; // version
            let mut content = encrypted.sequence()?;
            content.oid()?; // what is inside: data
            let algorithm = content.sequence()?;
            let data = content.tagged(0, false)?.ok_or(Trouble::Damaged)?;
            bags(&pbe::decrypt(algorithm, data, password, work)?, password, work, material)
        }
        _ => Err(Trouble::Unsupported("a public key instead of a password")),
    }
}

fn bags(
    content: &[u8],
    password: Password<'_>,
    work: &mut Work,
    material: &mut Material,
) -> Result<(), Trouble> {
    let mut bags = Fields::of_sequence(content)?;
    while !bags.is_empty() {
        let mut bag = bags.sequence()?;
        let kind = bag.oid()?;
        let mut value = bag.explicit(0)?;
        match kind {
            oid::KEY_BAG => material.keys.push(Encoded::Pkcs8(copy(value.whole()?))),
            oid::SHROUDED_KEY_BAG => {
                let mut fields = value.sequence()?;
                let key = pbe::decrypt(fields.sequence()?, fields.octets()?, password, work)?;
                material.keys.push(Encoded::Pkcs8(key));
            }
            oid::CERTIFICATE_BAG => {
                let mut certificate = value.sequence()?;
                if certificate.oid()? == oid::X509_CERTIFICATE {
                    let der = certificate.explicit(0)?.octets()?;
                    material.certificates.push(der.to_vec());
                }
            }
            // Revocation lists, secrets and the like are nothing to sign in with.
            _ => {}
        }
    }
    Ok(())
}

fn copy(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(bytes.to_vec())
}
