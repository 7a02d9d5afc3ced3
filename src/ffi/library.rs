//! The library itself: statuses, versions, strings, and reading values from JSON.

use std::ffi::{CStr, CString, c_char, c_void};

use super::{guard, ptr, strings};
use crate::error::Error;
use crate::status::Status;
use crate::text::json_pointer::{self, Missing};

/// The result of a function: MDE_OK or one of the MDE_ERR_ constants.
pub type mde_status = i32;

/// Frees the user_data of a callback that the library keeps.
///
/// Called once, when no call of that callback can come any more; never while one runs, and with no lock of the library
/// held, so that it may use this library. Not called if the function that receives user_data fails, and not in a forked
/// child for the user_data of its parent. Nothing may leave it but a return.
/// @param user_data As given together with this function.
pub type mde_free_fn = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void)>;

/// The version of the library. Only the ABI must match; see mde_abi_version().
/// @return For example "0.1.0". Static; never freed.
#[unsafe(no_mangle)]
pub extern "C" fn mde_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}

/// The ABI of the library.
/// @return A number. If it is not MDE_HEADER_ABI_VERSION, the program must not call any further function.
#[unsafe(no_mangle)]
pub extern "C" fn mde_abi_version() -> u32 {
    crate::ffi::ABI_VERSION
}

/// The name of a status, as in the member name of failure documents.
/// @param status Any number.
/// @return For example "rate_limited" for MDE_ERR_RATE_LIMITED; "unknown" for other numbers. Static; never freed.
#[unsafe(no_mangle)]
pub extern "C" fn mde_status_name(status: mde_status) -> *const c_char {
    guard::value(c"unknown".as_ptr(), || {
        Status::from_code(status).map_or(c"unknown", Status::c_name).as_ptr()
    })
}

/// Frees a string of this library.
/// @param text May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_string_free(text: *mut c_char) {
    guard::value((), || {
        // SAFETY: the caller's promise (header, "Ownership").
        unsafe { strings::free(text) }
    });
}

/// Reads one value out of a JSON document, so that plain C needs no JSON library.
/// @param json Any JSON document.
/// @param json_pointer Where the value is (RFC 6901), for example "/action/id" or "/actions/0/status"; "" is the whole
/// document.
/// @param out_value The text of a string without quotes and escapes; the JSON text of a number, true, false, object or
/// array; NULL for the JSON value null. For mde_string_free(). NULL on failure.
/// @retval MDE_OK The value was read.
/// @retval MDE_ERR_NULL json, json_pointer or out_value is NULL.
/// @retval MDE_ERR_UTF8 json or json_pointer is not UTF-8.
/// @retval MDE_ERR_NOT_FOUND There is no such value.
/// @retval MDE_ERR_INVALID_ARGUMENT json is not JSON, json_pointer is no JSON pointer, or the string holds U+0000.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_json_get(
    json: *const c_char,
    json_pointer: *const c_char,
    out_value: *mut *mut c_char,
) -> mde_status {
    guard::status(|| {
        // SAFETY: the caller's promise (header, "Pointers").
        unsafe { ptr::clear_out(out_value, "out_value") }?;
        // SAFETY: as above.
        let json = unsafe { ptr::text(json, "json") }?;
        // SAFETY: as above.
        let json_pointer = unsafe { ptr::text(json_pointer, "json_pointer") }?;
        let Some(value) = json_pointer::find(json, json_pointer).map_err(no_value)? else {
            return Ok(());
        };
        let value = CString::new(strings::with_room(value)).map_err(|_| {
            Error::argument("json", "holds U+0000 in this string", "a string without U+0000")
        })?;
        // SAFETY: as above; checked by `clear_out`.
        unsafe { out_value.write(value.into_raw()) };
        Ok(())
    })
}

fn no_value(missing: Missing) -> Error {
    match missing {
        Missing::Json => Error::argument("json", "is not JSON", "a JSON document"),
        Missing::Pointer => {
            Error::argument("json_pointer", "does not begin with `/`", "a JSON pointer (RFC 6901)")
        }
        Missing::Value => Error::new(Status::NotFound, "the document has no such value"),
    }
}
