//! Pointers in: checked, borrowed or copied, with errors that name the argument.

use std::ffi::{CStr, c_char};

use crate::error::{Error, Result};
use crate::status::Status;

fn is_null(name: &str) -> Error {
    Error::new(Status::Null, format!("argument `{name}` is NULL; expected a valid pointer"))
}

/// Borrows a handle.
///
/// # Safety
/// `pointer` is NULL or a live handle that nobody changes or frees for as long as `'a`.
pub(super) unsafe fn handle<'a, T>(pointer: *const T, name: &str) -> Result<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or_else(|| is_null(name))
}

/// Borrows a handle that may be left out.
///
/// # Safety
/// As for [`handle`].
pub(super) unsafe fn optional<'a, T>(pointer: *const T) -> Option<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }
}

/// Borrows a handle to change it.
///
/// # Safety
/// `pointer` is NULL or a live handle that nobody else uses for as long as `'a`.
pub(super) unsafe fn handle_mut<'a, T>(pointer: *mut T, name: &str) -> Result<&'a mut T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_mut() }.ok_or_else(|| is_null(name))
}

/// Borrows a string.
///
/// # Safety
/// `pointer` is NULL or points to a NUL-terminated string that stays as it is for as long as `'a`.
pub(super) unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str> {
    if pointer.is_null() {
        return Err(is_null(name));
    }
    // SAFETY: not NULL, and the caller's promise.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|error| {
        Error::new(
            Status::Utf8,
            format!(
                "argument `{name}` is not UTF-8 (at byte {}); expected UTF-8",
                error.valid_up_to()
            ),
        )
    })
}

/// Checks a place for a result and empties it.
///
/// # Safety
/// `out` is NULL or points to a writable pointer.
pub(super) unsafe fn place<T>(out: *mut *mut T, name: &str) -> Result<()> {
    if out.is_null() {
        return Err(is_null(name));
    }
    // SAFETY: not NULL, and the caller's promise.
    unsafe { out.write(std::ptr::null_mut()) };
    Ok(())
}

/// Moves a value to the heap for the caller to keep.
///
/// # Safety
/// `out` was checked by [`place`].
pub(super) unsafe fn give<T>(out: *mut *mut T, value: T) {
    // SAFETY: the caller's promise.
    unsafe { out.write(Box::into_raw(Box::new(value))) };
}

/// Takes back what [`give`] or `Box::into_raw` gave out, and drops it. NULL is fine.
///
/// # Safety
/// `pointer` is NULL or was given out by this library, not freed yet, and is in use by nobody.
pub(super) unsafe fn free<T>(pointer: *mut T) {
    if !pointer.is_null() {
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(pointer) });
    }
}
