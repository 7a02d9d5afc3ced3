//! Password-based encryption of keys and PKCS#12 files.
//!
//! Sources: RFC 8018 (PBES2), RFC 7292 appendix B and C (PKCS#12's own derivation and schemes).

use std::num::NonZeroU32;

use aes::cipher::{BlockCipherDecrypt, KeyInit};
use aes::{Aes128, Aes256};
use des::TdesEde3;
use rc2::Rc2;
use ring::{digest, pbkdf2};
use zeroize::{Zeroize, Zeroizing};

use super::der::Fields;
use super::{Trouble, oid};

/// The iterations that deriving keys may still cost, about a second in all. The file sets their number, and a damaged or
/// hostile file must not block the host.
///
/// Files have 2,000 (Windows), 2,048 (OpenSSL, macOS), 10,000 (Java's keytool) or, for each of three derivations, up to
/// 600,000 (NSS). .NET and Windows take 600,000 in all (KB5025823).
pub(super) struct Work(u32);

impl Work {
    /// In all, for one client.
    pub(super) const MOST: u32 = 2_000_000;

    pub(super) fn new() -> Work {
        Work(Work::MOST)
    }

    /// Takes what some derivations with this many iterations each cost.
    pub(super) fn spend(
        &mut self,
        iterations: u32,
        derivations: u32,
    ) -> Result<NonZeroU32, Trouble> {
        let left = self.0.checked_sub(iterations.saturating_mul(derivations));
        self.0 = left.ok_or(Trouble::TooMuchWork(iterations))?;
        NonZeroU32::new(iterations).ok_or(Trouble::Damaged)
    }
}

/// A password in one of the forms that PKCS#12's own derivation uses.
#[derive(Clone, Copy)]
pub(super) struct Password<'a> {
    text: &'a str,
    /// Whether there is no password, instead of an empty one.
    is_null: bool,
}

impl<'a> Password<'a> {
    /// The forms that programs derive keys from, the usual one first.
    pub(super) fn forms(text: &'a str) -> impl Iterator<Item = Password<'a>> {
        let usual = Password::from(text);
        let null = text.is_empty().then_some(Password { text, is_null: true });
        std::iter::once(usual).chain(null)
    }

    /// The bytes for PKCS#12's derivation: UTF-16 with two zero bytes at the end. For no password, some programs use
    /// only these two bytes and others none.
    pub(super) fn units(self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(2 * self.text.len() + 2));
        if !self.is_null {
            bytes.extend(self.text.encode_utf16().chain([0]).flat_map(u16::to_be_bytes));
        }
        bytes
    }
}

impl<'a> From<&'a str> for Password<'a> {
    fn from(text: &'a str) -> Password<'a> {
        Password { text, is_null: false }
    }
}

/// Decrypts `data` with the algorithm of these fields of an AlgorithmIdentifier.
pub(super) fn decrypt(
    mut algorithm: Fields<'_>,
    data: &[u8],
    password: Password<'_>,
    work: &mut Work,
) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    match algorithm.oid()? {
        oid::PBES2 => pbes2(algorithm.sequence()?, data, password, work),
        oid::PKCS12_3DES => {
            let mut key = Zeroizing::new([0; 24]);
            let iv = pkcs12(algorithm, password, work, &mut *key)?;
            cbc(8, &block_of(TdesEde3::new((&*key).into())), &iv, data)
        }
        oid::PKCS12_RC2_40 => {
            let mut key = Zeroizing::new([0; 5]);
            let iv = pkcs12(algorithm, password, work, &mut *key)?;
            cbc(8, &block_of(Rc2::new_with_eff_key_len(&*key, 40)), &iv, data)
        }
        oid::PKCS12_RC2_128 => {
            let mut key = Zeroizing::new([0; 16]);
            let iv = pkcs12(algorithm, password, work, &mut *key)?;
            cbc(8, &block_of(Rc2::new_with_eff_key_len(&*key, 128)), &iv, data)
        }
        _ => Err(Trouble::Unsupported("an encryption that is not known here")),
    }
}

fn pbes2(
    mut parameters: Fields<'_>,
    data: &[u8],
    password: Password<'_>,
    work: &mut Work,
) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    let mut derivation = parameters.sequence()?;
    match derivation.oid()? {
        oid::PBKDF2 => {}
        oid::SCRYPT => return Err(Trouble::Unsupported("scrypt")),
        _ => return Err(Trouble::Unsupported("a key derivation that is not known here")),
    }
    let mut derivation = derivation.sequence()?;
    let salt = derivation.octets()?;
    let iterations = derivation.number()?;
    derivation.optional_number()?; // length of the key
    let hash = match derivation.is_empty() {
        true => pbkdf2::PBKDF2_HMAC_SHA1,
        false => match derivation.sequence()?.oid()? {
            oid::HMAC_SHA1 => pbkdf2::PBKDF2_HMAC_SHA1,
            oid::HMAC_SHA256 => pbkdf2::PBKDF2_HMAC_SHA256,
            oid::HMAC_SHA384 => pbkdf2::PBKDF2_HMAC_SHA384,
            oid::HMAC_SHA512 => pbkdf2::PBKDF2_HMAC_SHA512,
            _ => return Err(Trouble::Unsupported("a hash that is not known here")),
        },
    };
    let mut cipher = parameters.sequence()?;
    let kind = cipher.oid()?;
    let iv = cipher.octets()?;
    // Each block of the derived key costs all iterations again.
    let blocks = if hash == pbkdf2::PBKDF2_HMAC_SHA1 { 2 } else { 1 };
    let iterations = work.spend(iterations, blocks)?;
    let derive =
        |key: &mut [u8]| pbkdf2::derive(hash, iterations, salt, password.text.as_bytes(), key);
    match kind {
        oid::AES_128_CBC => {
            let mut key = Zeroizing::new([0; 16]);
            derive(&mut *key);
            cbc(16, &block_of(Aes128::new((&*key).into())), iv, data)
        }
        oid::AES_256_CBC => {
            let mut key = Zeroizing::new([0; 32]);
            derive(&mut *key);
            cbc(16, &block_of(Aes256::new((&*key).into())), iv, data)
        }
        oid::DES_EDE3_CBC => {
            let mut key = Zeroizing::new([0; 24]);
            derive(&mut *key);
            cbc(8, &block_of(TdesEde3::new((&*key).into())), iv, data)
        }
        _ => Err(Trouble::Unsupported("a cipher that is not known here")),
    }
}

/// Key and initial vector of PKCS#12's schemes, whose ciphers have blocks of 8 bytes.
fn pkcs12(
    mut algorithm: Fields<'_>,
    password: Password<'_>,
    work: &mut Work,
    key: &mut [u8],
) -> Result<[u8; 8], Trouble> {
    let mut parameters = algorithm.sequence()?;
    let salt = parameters.octets()?;
    // Two derivations at most for the key, and one for the initial vector.
    let iterations = work.spend(parameters.number()?, 3)?;
    let password = password.units();
    let hash = &digest::SHA1_FOR_LEGACY_USE_ONLY;
    let mut iv = [0; 8];
    derive(hash, Purpose::Key, &password, salt, iterations, key);
    derive(hash, Purpose::Iv, &password, salt, iterations, &mut iv);
    Ok(iv)
}

/// Decrypts by cipher block chaining: each decrypted block is XORed with the cipher text before it, the first one with
/// `iv`. Invalid padding (PKCS#7) shows a wrong key.
///
/// `decrypt` takes one block. One function for all ciphers is a third of the size of the crate's four instances.
fn cbc(
    block: usize,
    decrypt: &dyn Fn(&mut [u8]),
    iv: &[u8],
    data: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    if iv.len() != block || data.is_empty() || data.len() % block != 0 {
        return Err(Trouble::Damaged);
    }
    let mut plain = Zeroizing::new(data.to_vec());
    let before = std::iter::once(iv).chain(data.chunks(block));
    for (part, before) in plain.chunks_mut(block).zip(before) {
        decrypt(part);
        part.iter_mut().zip(before).for_each(|(byte, add)| *byte ^= *add);
    }
    let padding = plain.last().copied().unwrap_or_default();
    let end = plain.len().saturating_sub(usize::from(padding));
    let is_padding = (1..=block).contains(&usize::from(padding))
        && plain.iter().skip(end).all(|byte| *byte == padding);
    match is_padding {
        true => plain.truncate(end),
        false => return Err(Trouble::WrongPassword),
    }
    Ok(plain)
}

/// A function that decrypts one block with this cipher.
fn block_of<C: BlockCipherDecrypt>(cipher: C) -> impl Fn(&mut [u8]) {
    move |block| {
        if let Ok(block) = block.try_into() {
            cipher.decrypt_block(block);
        }
    }
}

/// The purpose of a PKCS#12 derivation.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Key = 1,
    Iv = 2,
    Mac = 3,
}

/// PKCS#12's own key derivation, RFC 7292 appendix B.2, with the names of its steps.
pub(super) fn derive(
    hash: &'static digest::Algorithm,
    purpose: Purpose,
    password: &[u8],
    salt: &[u8],
    iterations: NonZeroU32,
    out: &mut [u8],
) {
    let v = hash.block_len();
    let repeated = |text: &[u8]| text.len().div_ceil(v) * v;
    let mut i = Zeroizing::new(Vec::with_capacity(repeated(salt) + repeated(password)));
    i.extend(salt.iter().cycle().take(repeated(salt)));
    i.extend(password.iter().cycle().take(repeated(password)));
    for part in out.chunks_mut(hash.output_len()) {
        let mut context = digest::Context::new(hash);
        context.update(&vec![purpose as u8; v]);
        context.update(&i);
        let mut a = context.finish();
        for _ in 1..iterations.get() {
            a = digest::digest(hash, a.as_ref());
        }
        part.iter_mut().zip(a.as_ref()).for_each(|(to, from)| *to = *from);
        // Each block of `i` grows by `a`, repeated to its length, and one.
        let mut b: Vec<u8> = a.as_ref().iter().copied().cycle().take(v).collect();
        for block in i.chunks_mut(v) {
            let mut carry = 1;
            for (byte, add) in block.iter_mut().zip(&b).rev() {
                carry += u16::from(*byte) + u16::from(*add);
                *byte = carry as u8;
                carry >>= 8;
            }
        }
        b.zeroize();
    }
}
