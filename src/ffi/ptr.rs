//! Pointers in: checked and borrowed, with errors that name the argument.

use std::ffi::{CStr, c_char};

use crate::error::{Error, Result};
use crate::status::Status;

fn is_null(name: &str) -> Error {
    Error::new(Status::Null, format!("argument `{name}` is NULL; expected a valid pointer"))
}

/// Borrows a handle.
///
/// # Safety
/// `pointer` is NULL or a live handle that no thread changes or frees during `'a`.
pub(super) unsafe fn handle<'a, T>(pointer: *const T, name: &str) -> Result<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or_else(|| is_null(name))
}

/// Borrows an optional handle.
///
/// # Safety
/// As for [`handle`].
pub(super) unsafe fn optional<'a, T>(pointer: *const T) -> Option<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }
}

/// Borrows a handle mutably.
///
/// # Safety
/// `pointer` is NULL or a live handle that no other code uses during `'a`.
pub(super) unsafe fn handle_mut<'a, T>(pointer: *mut T, name: &str) -> Result<&'a mut T> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_mut() }.ok_or_else(|| is_null(name))
}

/// Borrows a string.
///
/// # Safety
/// `pointer` is NULL or points to a NUL-terminated string that does not change during `'a`.
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

/// Checks the pointer for a result, and sets the result to NULL.
///
/// # Safety
/// `out` is NULL or points to a writable pointer.
pub(super) unsafe fn clear_out<T>(out: *mut *mut T, name: &str) -> Result<()> {
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
/// `out` was checked by [`clear_out`].
pub(super) unsafe fn give<T>(out: *mut *mut T, value: T) {
    // SAFETY: the caller's promise.
    unsafe { out.write(Box::into_raw(Box::new(value))) };
}

/// Takes back a value of [`give`] or `Box::into_raw`, and drops it. NULL is allowed.
///
/// # Safety
/// `pointer` is NULL or came from this library, is not freed yet, and is not in use.
pub(super) unsafe fn free<T>(pointer: *mut T) {
    if !pointer.is_null() {
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(pointer) });
    }
}
