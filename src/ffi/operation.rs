//! The shared part of all operations: the guard, the client and the cancel handle.

use std::ffi::c_char;

use super::cancel::mde_cancel;
use super::client::mde_client;
use super::library::mde_status;
use super::{guard, ptr};
use crate::call::Cancel;
use crate::client::Client;
use crate::error::Result;

/// Runs one operation of a client.
///
/// # Safety
/// The pointers are valid as the header demands.
pub(super) unsafe fn operation(
    client: *const mde_client,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
    body: impl FnOnce(&Client, Option<&Cancel>) -> Result<String>,
) -> mde_status {
    let whole = || {
        // SAFETY: the caller's promise.
        let client = unsafe { ptr::handle(client, "client") }?;
        // SAFETY: the caller's promise.
        let cancel = unsafe { ptr::optional(cancel) };
        body(&client.0, cancel.map(|cancel| &cancel.0))
    };
    // SAFETY: the caller's promise about out_json.
    unsafe { guard::document(out_json, whole) }
}
