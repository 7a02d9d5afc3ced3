//! Signatures from the host's callback. The host sets the signature through a handle, so that no allocator crosses the ABI.

use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::library::mde_status;
use super::user_data::UserData;
use super::{guard, ptr};
use crate::call::Call;
use crate::error::Error;
use crate::os;
use crate::sign_in::signer::time_left;
use crate::sign_in::{Signer, SigningRequest};

/// Receives the signature of a signing callback. Valid during that call of the callback only.
pub struct mde_signature_sink {
    signature: Option<Zeroizing<Vec<u8>>>,
    /// Why the last signature was refused.
    refused: Option<String>,
    call: Arc<Call>,
}

/// Signs data with the key of the option client_certificate, and passes the signature to mde_signature_set().
///
/// Called on the thread that made the call that signs in, by one thread at a time per client, once for each token request.
/// It must not free or shut down the client. Nothing may leave it but a return: an exception ends the process. The library
/// cannot interrupt it: mde_signature_time_left_ms() says when to give up.
///
/// The library checks the signature with the certificate before it sends it. A signature of another key, length or
/// padding fails the call with MDE_ERR_TOKEN, and the message says what differs.
/// @param user_data As given to mde_options_set_signer().
/// @param algorithm "PS256" or "RS256", after the option certificate_algorithm. Both hash the data with SHA-256. PS256 pads
/// with RSA-PSS, MGF1 of SHA-256 and a salt of 32 bytes, RS256 as PKCS#1 v1.5 does; valid during the call only.
/// @param data The text to hash and sign, which holds no secret; valid during the call only.
/// @param size The length of data in bytes.
/// @param sink For mde_signature_set(); valid during the call only.
/// @return 0 on success. Any other value fails the call with MDE_ERR_TOKEN, whose message has the value.
pub type mde_sign_fn = Option<
    unsafe extern "C-unwind" fn(
        user_data: *mut c_void,
        algorithm: *const c_char,
        data: *const u8,
        size: u64,
        sink: *mut mde_signature_sink,
    ) -> i32,
>;

/// Longer than any signature that a certificate can verify.
const MAX_SIGNATURE: u64 = 1024;

/// Sets the signature from inside a signing callback.
/// @param sink The sink that the callback received.
/// @param signature The bare signature, as long as the modulus of the key, without any encoding; it is copied.
/// @param size Its length in bytes.
/// @retval MDE_OK The signature is set. It is checked when the callback has returned.
/// @retval MDE_ERR_NULL sink or signature is NULL.
/// @retval MDE_ERR_INVALID_ARGUMENT The signature is empty or longer than 1024 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_signature_set(
    sink: *mut mde_signature_sink,
    signature: *const u8,
    size: u64,
) -> mde_status {
    guard::status(|| {
        // SAFETY: the caller's promise (header, "Pointers"); the sink is used by this callback alone.
        let sink = unsafe { ptr::handle_mut(sink, "sink") }?;
        // SAFETY: as above; `bytes` has checked the length.
        let signature = unsafe { bytes(signature, size) };
        sink.refused = signature.as_ref().err().map(|error| error.message().to_owned());
        sink.signature = Some(Zeroizing::new(signature?.to_vec()));
        Ok(())
    })
}

/// # Safety
/// There are `size` bytes at `signature`, unless it is NULL.
unsafe fn bytes<'a>(signature: *const u8, size: u64) -> Result<&'a [u8], Error> {
    // SAFETY: one byte of them, if there is any.
    let first = unsafe { ptr::handle(signature, "signature") }?;
    match size {
        1..=MAX_SIGNATURE => {
            // SAFETY: the caller's promise.
            Ok(unsafe { std::slice::from_raw_parts(&raw const *first, size as usize) })
        }
        _ => {
            let accepted = "the bare signature, of 1 to 1024 bytes";
            Err(Error::argument("size", "is no length of a signature", accepted))
        }
    }
}

/// The time that a signing callback has left, in milliseconds. It may be called more than once.
/// @param sink The sink that the callback received.
/// @return The time until the deadline of the call; 0 once that has passed or the call was stopped; UINT64_MAX if the call
/// has no deadline. 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_signature_time_left_ms(sink: *const mde_signature_sink) -> u64 {
    guard::value(0, || {
        // SAFETY: the caller's promise (header, "Pointers"); the sink is used by this callback alone.
        let Some(sink) = (unsafe { ptr::optional(sink) }) else { return 0 };
        // Rounded up: a callback that gives up at 0 must not do so before the deadline.
        time_left(&sink.call).map_or(u64::MAX, |left| {
            left.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(u64::MAX)
        })
    })
}

type SignFn = unsafe extern "C-unwind" fn(
    *mut c_void,
    *const c_char,
    *const u8,
    u64,
    *mut mde_signature_sink,
) -> i32;

/// The host's callback as a [`Signer`].
pub(super) struct Callback {
    callback: SignFn,
    user_data: UserData,
}

impl Callback {
    pub(super) fn new(callback: SignFn, user_data: UserData) -> Callback {
        Callback { callback, user_data }
    }
}

impl Signer for Callback {
    fn sign(&self, request: &SigningRequest<'_>) -> Result<Vec<u8>, String> {
        let algorithm = CString::new(request.algorithm).unwrap_or_default();
        let (data, size) = (request.data.as_ptr(), request.data.len() as u64);
        let call = Arc::clone(&request.call);
        let mut sink = mde_signature_sink { signature: None, refused: None, call };
        let (callback, user_data) = (self.callback, self.user_data.get());
        let mut returned = 0;
        os::callback::call(&mut || {
            // SAFETY: the caller gave this function for this purpose; algorithm, data and sink outlive the call.
            returned =
                unsafe { callback(user_data, algorithm.as_ptr(), data, size, &raw mut sink) };
        });
        match (returned, sink.signature, sink.refused) {
            (0, Some(signature), None) => Ok(signature.to_vec()),
            (code, _, Some(why)) => {
                Err(format!("the callback returned {code}, and mde_signature_set: {why}"))
            }
            (0, None, None) => {
                Err("the callback returned 0 without calling mde_signature_set".to_owned())
            }
            (code, ..) => Err(format!("the callback returned {code}")),
        }
    }
}
