//! The library itself: version, status names, strings, and one value out of a document.

use std::ffi::{CStr, CString, c_char};

use super::{guard, ptr, strings};
use crate::error::Error;
use crate::status::Status;
use crate::text::json_pointer::{self, Missing};

/// The version of the library, for example "0.1.0". Static; never freed. Compare it with MDE_VERSION
/// of the header only to log a difference; what must match is mde_abi_version().
#[unsafe(no_mangle)]
pub extern "C" fn mde_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}

/// The ABI of the library. A program built against a header with another MDE_ABI_VERSION must not
/// call any further function.
#[unsafe(no_mangle)]
pub extern "C" fn mde_abi_version() -> u32 {
    crate::ffi::ABI_VERSION
}

/// The name of a status, as in the JSON member `name`: "rate_limited" for MDE_ERR_RATE_LIMITED.
/// "unknown" for a number that is no status. Static; never freed.
#[unsafe(no_mangle)]
pub extern "C" fn mde_status_name(status: i32) -> *const c_char {
    guard::value(c"unknown".as_ptr(), || {
        Status::from_code(status).map_or(c"unknown", Status::c_name).as_ptr()
    })
}

/// Frees a string that this library gave out. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_string_free(string: *mut c_char) {
    guard::value((), || {
        // SAFETY: the caller's promise (header, "Ownership").
        unsafe { strings::free(string) }
    });
}

/// Reads one value out of a JSON document, so that plain C needs no JSON library.
///
/// `json`: any JSON document. `pointer`: where to look (RFC 6901), for example "/action/id" or
/// "/actions/0/status"; "" is the whole document.
/// On MDE_OK `*out_value` is the text of a string without quotes and escapes, the JSON text of a number,
/// true, false, object or array, or NULL for the JSON value null. Free it with mde_string_free().
/// On failure `*out_value` is NULL. MDE_ERR_NOT_FOUND: there is no such value. MDE_ERR_INVALID_ARGUMENT: `json` is not JSON, `pointer` is
/// not a JSON pointer, or the string holds U+0000, which a C string cannot.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_json_get(
    json: *const c_char,
    pointer: *const c_char,
    out_value: *mut *mut c_char,
) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise (header, "Pointers").
        unsafe { ptr::place(out_value, "out_value") }?;
        // SAFETY: as above.
        let json = unsafe { ptr::text(json, "json") }?;
        // SAFETY: as above.
        let pointer = unsafe { ptr::text(pointer, "pointer") }?;
        let Some(value) = json_pointer::find(json, pointer).map_err(no_value)? else {
            return Ok(());
        };
        let value = CString::new(value).map_err(|_| {
            Error::argument("json", "holds U+0000 in this string", "a string without U+0000")
        })?;
        // SAFETY: as above; checked by `place`.
        unsafe { out_value.write(value.into_raw()) };
        Ok(())
    })
}

fn no_value(missing: Missing) -> Error {
    match missing {
        Missing::NotJson => Error::argument("json", "is not JSON", "a JSON document"),
        Missing::NotPointer => {
            Error::argument("pointer", "does not begin with `/`", "a JSON pointer (RFC 6901)")
        }
        Missing::NotThere => Error::new(Status::NotFound, "the document has no such value"),
    }
}
