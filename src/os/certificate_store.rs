//! Windows' certificate store, and signatures of the keys that it knows.

use std::ptr;

use windows_sys::Win32::Foundation::{GetLastError, NTE_BAD_PROV_TYPE};
use windows_sys::Win32::Security::Cryptography::{
    BCRYPT_PAD_PKCS1, BCRYPT_PAD_PSS, BCRYPT_PKCS1_PADDING_INFO, BCRYPT_PSS_PADDING_INFO,
    BCRYPT_SHA256_ALGORITHM, CERT_CHAIN_CACHE_ONLY_URL_RETRIEVAL, CERT_CHAIN_PARA, CERT_CONTEXT,
    CERT_FIND_SHA1_HASH, CERT_NCRYPT_KEY_SPEC, CERT_STORE_PROV_SYSTEM_W, CERT_STORE_READONLY_FLAG,
    CERT_SYSTEM_STORE_CURRENT_USER, CERT_SYSTEM_STORE_LOCAL_MACHINE,
    CRYPT_ACQUIRE_COMPARE_KEY_FLAG, CRYPT_ACQUIRE_ONLY_NCRYPT_KEY_FLAG, CRYPT_ACQUIRE_SILENT_FLAG,
    CRYPT_INTEGER_BLOB, CertCloseStore, CertFindCertificateInStore, CertFreeCertificateChain,
    CertFreeCertificateContext, CertGetCertificateChain, CertOpenStore,
    CryptAcquireCertificatePrivateKey, HCERTSTORE, NCRYPT_KEY_HANDLE, NCRYPT_SILENT_FLAG,
    NCryptFreeObject, NCryptSignHash, X509_ASN_ENCODING,
};

/// A certificate of a store.
pub(crate) struct Found {
    /// In DER.
    pub certificate: Vec<u8>,
    /// Those that Windows knows, without asking the network.
    pub issuers: Vec<Vec<u8>>,
    pub key: Key,
}

/// What was not found, with the code of Windows.
pub(crate) enum Missing {
    Store(u32),
    Certificate,
    Key(u32),
}

/// An open store.
struct Store(HCERTSTORE);

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: the store is open, and closed once. Certificates of it stay valid.
        unsafe { CertCloseStore(self.0, 0) };
    }
}

/// A certificate that Windows keeps in memory.
struct Context(*const CERT_CONTEXT);

impl Context {
    fn der(&self) -> Vec<u8> {
        encoded(self.0)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the certificate was found by this module, and is freed once.
        unsafe { CertFreeCertificateContext(self.0) };
    }
}

/// A copy of a certificate, which is valid or NULL.
fn encoded(context: *const CERT_CONTEXT) -> Vec<u8> {
    // SAFETY: the callers' promise.
    let Some(context) = (unsafe { context.as_ref() }) else { return Vec::new() };
    // SAFETY: Windows keeps this many bytes there, as long as the certificate is valid.
    unsafe { std::slice::from_raw_parts(context.pbCertEncoded, context.cbCertEncoded as usize) }
        .to_vec()
}

/// A key that signs where it is.
pub(crate) struct Key {
    handle: NCRYPT_KEY_HANDLE,
    /// Whether the handle is freed here, and not with the certificate.
    is_ours: bool,
    /// Keeps the handle valid.
    _context: Option<Context>,
}

// SAFETY: CNG allows any thread to use a handle, and `sign` only passes it on.
unsafe impl Send for Key {}
// SAFETY: as above.
unsafe impl Sync for Key {}

impl Drop for Key {
    fn drop(&mut self) {
        if self.is_ours {
            // SAFETY: the handle is valid, and freed once.
            unsafe { NCryptFreeObject(self.handle) };
        }
    }
}

/// Finds a certificate and its key. No window is shown.
pub(crate) fn find(
    is_of_machine: bool,
    store: &str,
    thumbprint: &[u8; 20],
    with_issuers: bool,
) -> Result<Found, Missing> {
    let name: Vec<u16> = store.encode_utf16().chain([0]).collect();
    let place = match is_of_machine {
        true => CERT_SYSTEM_STORE_LOCAL_MACHINE,
        false => CERT_SYSTEM_STORE_CURRENT_USER,
    };
    // A store that does not exist counts as empty: an account that has no certificates has none.
    let flags = place | CERT_STORE_READONLY_FLAG;
    // SAFETY: the provider takes a name that ends with zero, which outlives the call.
    let opened =
        unsafe { CertOpenStore(CERT_STORE_PROV_SYSTEM_W, 0, 0, flags, name.as_ptr().cast()) };
    if opened.is_null() {
        return Err(Missing::Store(last_error()));
    }
    let opened = Store(opened);
    let hash = CRYPT_INTEGER_BLOB {
        cbData: thumbprint.len() as u32,
        pbData: thumbprint.as_ptr().cast_mut(),
    };
    // SAFETY: the store is open, and the hash, which is only read, outlives the call.
    let found = unsafe {
        CertFindCertificateInStore(
            opened.0,
            X509_ASN_ENCODING,
            0,
            CERT_FIND_SHA1_HASH,
            (&raw const hash).cast(),
            ptr::null(),
        )
    };
    if found.is_null() {
        return Err(Missing::Certificate);
    }
    let context = Context(found);
    let certificate = context.der();
    let issuers = if with_issuers { issuers(&context) } else { Vec::new() };
    let key = Key::of(context).map_err(Missing::Key)?;
    Ok(Found { certificate, issuers, key })
}

/// The chain of a certificate as far as Windows has it, without the certificate.
fn issuers(context: &Context) -> Vec<Vec<u8>> {
    let wanted =
        CERT_CHAIN_PARA { cbSize: size_of::<CERT_CHAIN_PARA>() as u32, ..Default::default() };
    let mut chain = ptr::null_mut();
    // SAFETY: the certificate is valid, the pointers are valid for the call, and the others may be null.
    let built = unsafe {
        CertGetCertificateChain(
            ptr::null_mut(),
            context.0,
            ptr::null(),
            ptr::null_mut(),
            &raw const wanted,
            CERT_CHAIN_CACHE_ONLY_URL_RETRIEVAL,
            ptr::null(),
            &raw mut chain,
        )
    };
    if built == 0 || chain.is_null() {
        return Vec::new();
    }
    let mut all = Vec::new();
    // SAFETY: Windows gave the chain, which stays as it is until it is freed below.
    let whole = unsafe { &*chain };
    // SAFETY: there are this many pointers in it.
    let simple = unsafe { slice(whole.rgpChain, whole.cChain) };
    // SAFETY: each is valid as long as the whole.
    if let Some(first) = simple.first().and_then(|one| unsafe { one.as_ref() }) {
        // SAFETY: as for the whole.
        let elements = unsafe { slice(first.rgpElement, first.cElement) };
        for element in elements.iter().skip(1) {
            // SAFETY: as above.
            if let Some(element) = unsafe { element.as_ref() } {
                all.push(encoded(element.pCertContext));
            }
        }
    }
    // SAFETY: nothing refers to the chain any more, and it is freed once.
    unsafe { CertFreeCertificateChain(chain) };
    all
}

/// # Safety
/// There are `count` values at `first`, valid for `'a`, or `first` is NULL.
unsafe fn slice<'a, T>(first: *const T, count: u32) -> &'a [T] {
    if first.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(first, count as usize) }
}

impl Key {
    fn of(context: Context) -> Result<Key, u32> {
        // A store may link a certificate to the key of another one.
        let flags = CRYPT_ACQUIRE_ONLY_NCRYPT_KEY_FLAG
            | CRYPT_ACQUIRE_SILENT_FLAG
            | CRYPT_ACQUIRE_COMPARE_KEY_FLAG;
        let (mut handle, mut kind, mut is_ours) = (0, 0, 0);
        // SAFETY: the certificate is valid, and the pointers are valid for the call.
        let acquired = unsafe {
            CryptAcquireCertificatePrivateKey(
                context.0,
                flags,
                ptr::null(),
                &raw mut handle,
                &raw mut kind,
                &raw mut is_ours,
            )
        };
        if acquired == 0 {
            return Err(last_error());
        }
        // Only Wine gives a key of the older interface, in spite of the flag.
        if kind != CERT_NCRYPT_KEY_SPEC {
            return Err(NTE_BAD_PROV_TYPE as u32);
        }
        Ok(Key { handle, is_ours: is_ours != 0, _context: Some(context) })
    }

    /// The signature of a SHA-256, or the code of Windows.
    pub(crate) fn sign(&self, digest: &[u8], is_pss: bool) -> Result<Vec<u8>, u32> {
        let pss = BCRYPT_PSS_PADDING_INFO {
            pszAlgId: BCRYPT_SHA256_ALGORITHM,
            cbSalt: digest.len() as u32,
        };
        let pkcs1 = BCRYPT_PKCS1_PADDING_INFO { pszAlgId: BCRYPT_SHA256_ALGORITHM };
        let (padding, flag) = match is_pss {
            true => ((&raw const pss).cast(), BCRYPT_PAD_PSS),
            false => ((&raw const pkcs1).cast(), BCRYPT_PAD_PKCS1),
        };
        // Of a key of 8192 bits.
        let mut signature = vec![0; 1024];
        let mut length = 0;
        // SAFETY: the handle is valid, and so are the pointers, for as many bytes as are named.
        let code = unsafe {
            NCryptSignHash(
                self.handle,
                padding,
                digest.as_ptr(),
                digest.len() as u32,
                signature.as_mut_ptr(),
                signature.len() as u32,
                &raw mut length,
                flag | NCRYPT_SILENT_FLAG,
            )
        };
        if code != 0 {
            return Err(code as u32);
        }
        signature.truncate(length as usize);
        Ok(signature)
    }
}

fn last_error() -> u32 {
    // SAFETY: it only reads a number of this thread.
    unsafe { GetLastError() }
}

#[cfg(test)]
pub(crate) mod tests {
    use ring::digest::{SHA256, digest};
    use ring::signature::{
        RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents as Components,
    };
    use windows_sys::Win32::Security::Cryptography::{
        BCRYPT_RSA_ALGORITHM, BCRYPT_RSAPUBLIC_BLOB, MS_KEY_STORAGE_PROVIDER,
        NCRYPT_LENGTH_PROPERTY, NCryptCreatePersistedKey, NCryptExportKey, NCryptFinalizeKey,
        NCryptOpenStorageProvider, NCryptSetProperty,
    };

    use super::*;

    /// A key that is nowhere stored, and its modulus and exponent.
    pub(crate) fn temporary() -> (Key, Vec<u8>, Vec<u8>) {
        let (mut provider, mut handle) = (0, 0);
        let ok = |code: i32| assert_eq!(code, 0, "{code:x}");
        // SAFETY: the pointer is valid for the call, and the name a constant.
        ok(unsafe { NCryptOpenStorageProvider(&raw mut provider, MS_KEY_STORAGE_PROVIDER, 0) });
        let none = ptr::null();
        // SAFETY: as above; without a name the key is not stored.
        ok(unsafe {
            NCryptCreatePersistedKey(provider, &raw mut handle, BCRYPT_RSA_ALGORITHM, none, 0, 0)
        });
        let bits = 2048_u32.to_le_bytes();
        let (value, size) = (bits.as_ptr(), bits.len() as u32);
        // SAFETY: the key was made above, and the value is valid for the call.
        ok(unsafe { NCryptSetProperty(handle, NCRYPT_LENGTH_PROPERTY, value, size, 0) });
        // SAFETY: as above.
        ok(unsafe { NCryptFinalizeKey(handle, 0) });
        let mut blob = vec![0; 4096];
        let (size, mut length) = (blob.len() as u32, 0);
        // SAFETY: the pointers are valid for the call, for as many bytes as are named.
        ok(unsafe {
            NCryptExportKey(
                handle,
                0,
                BCRYPT_RSAPUBLIC_BLOB,
                ptr::null(),
                blob.as_mut_ptr(),
                size,
                &raw mut length,
                0,
            )
        });
        // SAFETY: the provider was opened above.
        unsafe { NCryptFreeObject(provider) };
        // BCRYPT_RSAKEY_BLOB: six numbers, of which the third and fourth are lengths, then exponent and modulus.
        let number =
            |at: usize| u32::from_le_bytes(blob[4 * at..4 * at + 4].try_into().unwrap()) as usize;
        let (exponent, modulus) = blob[24..length as usize].split_at(number(2));
        let keys = (modulus[..number(3)].to_vec(), exponent.to_vec());
        (Key { handle, is_ours: true, _context: None }, keys.0, keys.1)
    }

    /// A key for each, since Wine's keys keep the padding of their first signature.
    #[test]
    fn signatures_of_cng_are_those_of_ps256_and_rs256() {
        let hash = digest(&SHA256, b"data");
        for (is_pss, parameters) in
            [(true, &RSA_PSS_2048_8192_SHA256), (false, &RSA_PKCS1_2048_8192_SHA256)]
        {
            let (key, n, e) = temporary();
            let signature = key.sign(hash.as_ref(), is_pss).unwrap();
            let public = Components { n: &n, e: &e };
            public.verify(parameters, b"data", &signature).unwrap();
        }
    }

    #[test]
    fn what_is_missing_is_told() {
        let thumbprint = [7; 20];
        for (is_of_machine, store) in [(false, "My"), (true, "My"), (false, "No such store")] {
            let found = find(is_of_machine, store, &thumbprint, true);
            assert!(matches!(found, Err(Missing::Certificate)), "{store}");
        }
    }
}
