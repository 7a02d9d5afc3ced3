//! PKCS#12 (`.pfx`, `.p12`): certificates and a key under one password.
//!
//! Source: RFC 7292. Supported are the files of OpenSSL, with `-legacy` too, and the exports of Windows.

use ring::{digest, hmac};
use zeroize::Zeroizing;

use super::der::Fields;
use super::key::Encoded;
use super::pbe::{self, Password, Purpose, Work};
use super::{Material, Trouble, oid};

/// The version of all files.
const VERSION: u32 = 3;

/// Whether these bytes begin like a PKCS#12 file.
pub(super) fn is_pkcs12(bytes: &[u8]) -> bool {
    let begins = |bytes| Some(Fields::of_sequence(bytes).ok()?.number().ok()? == VERSION);
    begins(bytes).unwrap_or_default()
}

/// The certificates and the key. No password counts as an empty one, which files without a password use.
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
        true => mac_password(file.sequence()?, content, text, work)?,
        false => Some(Password::from(text)),
    };
    let Some(form) = form else {
        // No password fits the MAC.
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

/// Checks the MAC of the file, which only the right password and undamaged content match. Returns the form of the
/// password that matches, for the rest of the file.
fn mac_password<'a>(
    mut mac: Fields<'_>,
    content: &[u8],
    password: &'a str,
    work: &mut Work,
) -> Result<Option<Password<'a>>, Trouble> {
    let mut digest_info = mac.sequence()?;
    let (hash, algorithm) = match digest_info.sequence()?.oid()? {
        oid::SHA1 => (&digest::SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        oid::SHA256 => (&digest::SHA256, hmac::HMAC_SHA256),
        oid::SHA384 => (&digest::SHA384, hmac::HMAC_SHA384),
        oid::SHA512 => (&digest::SHA512, hmac::HMAC_SHA512),
        _ => return Err(Trouble::Unsupported("a MAC that is not known here")),
    };
    let expected = digest_info.octets()?;
    let salt = mac.octets()?;
    let forms = Password::forms(password).count() as u32;
    let iterations = work.spend(mac.optional_number()?.unwrap_or(1), forms)?;
    let mut key = Zeroizing::new([0; digest::MAX_OUTPUT_LEN]);
    let key = key.get_mut(..hash.output_len()).unwrap_or_default();
    Ok(Password::forms(password).find(|form| {
        pbe::derive(hash, Purpose::Mac, &form.units(), salt, iterations, key);
        hmac::verify(&hmac::Key::new(algorithm, key), content, expected).is_ok()
    }))
}

/// Reads one part of the file: bags, plain or encrypted.
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
            content.oid()?; // content type: data
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
            // Revocation lists and secrets are not needed to sign in.
            _ => {}
        }
    }
    Ok(())
}

fn copy(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(bytes.to_vec())
}
