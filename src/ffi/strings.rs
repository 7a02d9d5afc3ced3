//! Strings out: allocated and freed by this library.

use std::ffi::{CString, c_char};

use zeroize::Zeroize;

use crate::text::room::make_room;

/// Sets the string of the caller to NULL.
///
/// # Safety
/// `out` is NULL or points to a writable `char *`.
pub(super) unsafe fn clear(out: *mut *mut c_char) {
    if !out.is_null() {
        // SAFETY: not NULL, and the caller's promise.
        unsafe { out.write(std::ptr::null_mut()) };
    }
}

/// Gives a string to the caller, unless `out` is NULL. JSON has no raw NUL. If the text had one, the caller would get
/// the status and no document.
///
/// # Safety
/// As for [`clear`].
pub(super) unsafe fn give(out: *mut *mut c_char, text: String) {
    if out.is_null() {
        return;
    }
    // Faster than `CString::new`, which checks one byte at a time.
    if memchr::memchr(0, text.as_bytes()).is_none() {
        // SAFETY: there is no NUL in it.
        let text = unsafe { CString::from_vec_unchecked(with_room(text)) };
        // SAFETY: not NULL, and the caller's promise.
        unsafe { out.write(text.into_raw()) };
    }
}

/// The bytes of a text, with room for the NUL. The text may be a link, of which no copy is left behind.
pub(super) fn with_room(text: String) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    make_room(&mut bytes, 1);
    bytes
}

/// Takes a string back, wipes it and frees it. NULL is allowed.
///
/// # Safety
/// `text` is NULL or came from [`give`] and is not freed yet.
pub(super) unsafe fn free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: the caller's promise.
        unsafe { CString::from_raw(text) }.into_bytes_with_nul().zeroize();
    }
}
