//! Options: settings by name.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::library::{mde_free_fn, mde_status};
use super::signer::{self, mde_sign_fn};
use super::token::{Callback, mde_token_fn};
use super::user_data::UserData;
use super::{guard, ptr};
use crate::error::Error;
use crate::options::Options;
use crate::status::Status;

/// Settings for clients. Used by one thread at a time.
pub struct mde_options(pub(super) Options);

/// Makes options with every default.
/// @return Options for mde_options_free(). NULL only after a defect in the library.
#[unsafe(no_mangle)]
pub extern "C" fn mde_options_new() -> *mut mde_options {
    guard::value(std::ptr::null_mut(), || Box::into_raw(Box::new(mde_options(Options::new()))))
}

/// Frees options and wipes the secrets in them. Clients made from them stay as they are.
/// @param options May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_options_free(options: *mut mde_options) {
    guard::value((), || {
        // SAFETY: the caller's promise (header, "Ownership").
        unsafe { ptr::free(options) }
    });
}

/// Sets one option by name. The value is checked at once; on failure nothing changes.
/// @param options The options to change.
/// @param name Its name; docs/options.md lists them.
/// @param value Its value, as text.
/// @param out_json NULL on success, else the failure document; may be NULL.
/// @retval MDE_OK The option is set.
/// @retval MDE_ERR_NULL options, name or value is NULL.
/// @retval MDE_ERR_UTF8 name or value is not UTF-8.
/// @retval MDE_ERR_CONFIG The name is unknown or the value not accepted; the message names the accepted ones.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_options_set(
    options: *mut mde_options,
    name: *const c_char,
    value: *const c_char,
    out_json: *mut *mut c_char,
) -> mde_status {
    let body = || {
        // SAFETY: the caller's promise (header, "Pointers"); options belong to one thread at a time.
        let options = unsafe { ptr::handle_mut(options, "options") }?;
        // SAFETY: as above.
        let name = unsafe { ptr::text(name, "name") }?;
        // SAFETY: as above.
        let value = unsafe { ptr::text(value, "value") }?;
        options.0.set(name, value)
    };
    // SAFETY: the caller's promise about out_json.
    unsafe { guard::failure(out_json, body) }
}

/// Sets many options: all of them or, on failure, none.
/// @param options The options to change.
/// @param json An object of names and values, for example {"cloud":"eu","timeout_ms":60000}. Values are strings, or
/// numbers where the option is a number.
/// @param out_json NULL on success, else the failure document; may be NULL.
/// @retval MDE_OK The options are set.
/// @retval MDE_ERR_NULL options or json is NULL.
/// @retval MDE_ERR_UTF8 json is not UTF-8.
/// @retval MDE_ERR_INVALID_ARGUMENT json is no JSON object.
/// @retval MDE_ERR_CONFIG A name is unknown or a value not accepted; the message names the accepted ones.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_options_set_json(
    options: *mut mde_options,
    json: *const c_char,
    out_json: *mut *mut c_char,
) -> mde_status {
    let body = || {
        // SAFETY: the caller's promise (header, "Pointers"); options belong to one thread at a time.
        let options = unsafe { ptr::handle_mut(options, "options") }?;
        // SAFETY: as above.
        let json = unsafe { ptr::text(json, "json") }?;
        options.0.set_json(json)
    };
    // SAFETY: the caller's promise about out_json.
    unsafe { guard::failure(out_json, body) }
}

/// Sets the callback that gets access tokens. It replaces an earlier one.
/// @param options The options to change.
/// @param callback The callback.
/// @param user_data Passed to every call of the callback; may be NULL.
/// @param free_user_data Called once, with user_data, when neither these options nor a client made from them uses the
/// callback any more; may be NULL.
/// @retval MDE_OK The provider is set.
/// @retval MDE_ERR_NULL options or callback is NULL. Nothing changed, and user_data remains the caller's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_options_set_token_provider(
    options: *mut mde_options,
    callback: mde_token_fn,
    user_data: *mut c_void,
    free_user_data: mde_free_fn,
) -> mde_status {
    let set = |options: &mut Options, callback| {
        let user_data = UserData::new(user_data, free_user_data);
        options.set_token_provider(Arc::new(Callback::new(callback, user_data)))
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { set_callback(options, callback, set) }
}

/// Sets a callback of the host. `set` takes over its user data, and returns the callback from before.
///
/// # Safety
/// `options` are valid or NULL, and belong to one thread at a time.
unsafe fn set_callback<Function, Before>(
    options: *mut mde_options,
    callback: Option<Function>,
    set: impl FnOnce(&mut Options, Function) -> Before,
) -> mde_status {
    guard::status(|| {
        // SAFETY: the caller's promise.
        let options = unsafe { ptr::handle_mut(options, "options") }?;
        let callback =
            callback.ok_or_else(|| Error::new(Status::Null, "argument `callback` is NULL"))?;
        let before = set(&mut options.0, callback);
        // Dropped after the last use of `options`: the free function of the earlier callback may use them.
        drop(before);
        Ok(())
    })
}

/// Sets the callback that signs with the key of the certificate that signs in. It replaces an earlier one.
///
/// The option client_certificate then has the certificate alone, and its issuers after it. The key may be in a TPM, an HSM,
/// a store or a vault. A file is read again for every token request, so it may have another certificate later. The data to
/// sign says which one is in use. It begins with the header of a JWT in base64url, up to the first dot. The member x5t#S256
/// (PS256) or x5t (RS256) of the header is the certificate's SHA-256 or SHA-1, in base64url too. A callback chooses its
/// key by that. Keep both keys until the new certificate is in use.
/// @param options The options to change.
/// @param callback The callback.
/// @param user_data Passed to every call of the callback; may be NULL.
/// @param free_user_data Called once, with user_data, when neither these options nor a client made from them uses the
/// callback any more; may be NULL.
/// @retval MDE_OK The signer is set.
/// @retval MDE_ERR_NULL options or callback is NULL. Nothing changed, and user_data remains the caller's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_options_set_signer(
    options: *mut mde_options,
    callback: mde_sign_fn,
    user_data: *mut c_void,
    free_user_data: mde_free_fn,
) -> mde_status {
    let set = |options: &mut Options, callback| {
        let user_data = UserData::new(user_data, free_user_data);
        options.set_signer(Arc::new(signer::Callback::new(callback, user_data)))
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { set_callback(options, callback, set) }
}
