//! Object identifiers in their DER encoding.

// 1.2.840.113549: RSA Data Security.
macro_rules! rsadsi {
    ($($rest:literal),*) => { &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, $($rest),*] };
}
// 2.16.840.1.101.3.4: NIST.
macro_rules! nist {
    ($($rest:literal),*) => { &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, $($rest),*] };
}

pub(super) const RSA: &[u8] = rsadsi!(1, 1, 1);
pub(super) const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
pub(super) const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
pub(super) const P384: &[u8] = &[0x2b, 0x81, 4, 0, 34];

pub(super) const PBKDF2: &[u8] = rsadsi!(1, 5, 12);
pub(super) const PBES2: &[u8] = rsadsi!(1, 5, 13);
pub(super) const SCRYPT: &[u8] = &[0x2b, 6, 1, 4, 1, 0xda, 0x47, 4, 11];
pub(super) const HMAC_SHA1: &[u8] = rsadsi!(2, 7);
pub(super) const HMAC_SHA256: &[u8] = rsadsi!(2, 9);
pub(super) const HMAC_SHA384: &[u8] = rsadsi!(2, 10);
pub(super) const HMAC_SHA512: &[u8] = rsadsi!(2, 11);
pub(super) const DES_EDE3_CBC: &[u8] = rsadsi!(3, 7);
pub(super) const AES_128_CBC: &[u8] = nist!(1, 2);
pub(super) const AES_256_CBC: &[u8] = nist!(1, 42);

pub(super) const SHA1: &[u8] = &[0x2b, 14, 3, 2, 26];
pub(super) const SHA256: &[u8] = nist!(2, 1);
pub(super) const SHA384: &[u8] = nist!(2, 2);
pub(super) const SHA512: &[u8] = nist!(2, 3);

pub(super) const PKCS7_DATA: &[u8] = rsadsi!(1, 7, 1);
pub(super) const PKCS7_SIGNED_DATA: &[u8] = rsadsi!(1, 7, 2);
pub(super) const PKCS7_ENCRYPTED_DATA: &[u8] = rsadsi!(1, 7, 6);
pub(super) const X509_CERTIFICATE: &[u8] = rsadsi!(1, 9, 22, 1);

pub(super) const PKCS12_3DES: &[u8] = rsadsi!(1, 12, 1, 3);
pub(super) const PKCS12_RC2_128: &[u8] = rsadsi!(1, 12, 1, 5);
pub(super) const PKCS12_RC2_40: &[u8] = rsadsi!(1, 12, 1, 6);
pub(super) const KEY_BAG: &[u8] = rsadsi!(1, 12, 10, 1, 1);
pub(super) const SHROUDED_KEY_BAG: &[u8] = rsadsi!(1, 12, 10, 1, 2);
pub(super) const CERTIFICATE_BAG: &[u8] = rsadsi!(1, 12, 10, 1, 3);
