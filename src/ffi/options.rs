//! Options: a bag of settings, filled by name.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::log::UserData;
use super::token::{Callback, mde_token_fn};
use super::{guard, ptr};
use crate::error::Error;
use crate::options::Options;
use crate::status::Status;

/// Settings for clients. Used by one thread at a time.
pub struct mde_options(pub(super) Options);

/// Empty options: every default. NULL only after a contained defect. Free with mde_options_free().
#[unsafe(no_mangle)]
pub extern "C" fn mde_options_new() -> *mut mde_options {
    guard::value(std::ptr::null_mut(), || Box::into_raw(Box::new(mde_options(Options::new()))))
}

/// Frees options and wipes the secrets in them. Clients made from them stay as they are. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_options_free(options: *mut mde_options) {
    guard::value((), || {
        // SAFETY: the caller's promise (header, "Ownership").
        unsafe { ptr::free(options) }
    });
}

/// Sets one option by name; docs/options.md lists them. The value is checked at once and copied; on
/// error nothing changes. The document on success is {}.
/// MDE_ERR_CONFIG: the name is unknown or the value not accepted; the message says what is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_options_set(
    options: *mut mde_options,
    name: *const c_char,
    value: *const c_char,
    out_json: *mut *mut c_char,
) -> i32 {
    let body = || {
        // SAFETY: the caller's promise (header, "Pointers"); options belong to one thread at a time.
        let options = unsafe { ptr::handle_mut(options, "options") }?;
        // SAFETY: as above.
        let name = unsafe { ptr::text(name, "name") }?;
        // SAFETY: as above.
        let value = unsafe { ptr::text(value, "value") }?;
        options.0.set(name, value)?;
        Ok("{}".to_owned())
    };
    // SAFETY: the caller's promise about out_json.
    unsafe { guard::document(out_json, body) }
}

/// Sets many options from a JSON object, for example {"cloud":"eu","timeout_ms":60000}: all of them or,
/// on error, none. Values are strings, or numbers where the option is a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_options_set_json(
    options: *mut mde_options,
    json: *const c_char,
    out_json: *mut *mut c_char,
) -> i32 {
    let body = || {
        // SAFETY: the caller's promise (header, "Pointers"); options belong to one thread at a time.
        let options = unsafe { ptr::handle_mut(options, "options") }?;
        // SAFETY: as above.
        let json = unsafe { ptr::text(json, "json") }?;
        options.0.set_json(json)?;
        Ok("{}".to_owned())
    };
    // SAFETY: the caller's promise about out_json.
    unsafe { guard::document(out_json, body) }
}

/// Lets the host get the access tokens. `callback` is called on the thread of the call that needs a
/// token, by one thread at a time per client. `user_data` must stay valid as long as any client made
/// from these options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_options_set_token_provider(
    options: *mut mde_options,
    callback: mde_token_fn,
    user_data: *mut c_void,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise (header, "Pointers"); options belong to one thread at a time.
        let options = unsafe { ptr::handle_mut(options, "options") }?;
        let callback =
            callback.ok_or_else(|| Error::new(Status::Null, "argument `callback` is NULL"))?;
        options.0.set_token_provider(Arc::new(Callback::new(callback, UserData::new(user_data))));
        Ok(())
    })
}
