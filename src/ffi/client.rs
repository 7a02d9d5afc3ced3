//! Clients.

use std::ffi::c_char;
use std::time::Duration;

use super::options::mde_options;
use super::{guard, ptr};
use crate::client::Client;

/// One identity against one service. Used by many threads at once.
pub struct mde_client(pub(super) Client);

/// Makes a client from a copy of the options. Checks that they fit together and reads `ca_file`; opens
/// no connection, so a wrong secret shows with the first call. The document on success is {}.
/// MDE_ERR_CONFIG: the options do not fit together. MDE_ERR_TLS: the system has no usable certificate store
/// and `ca_file` names none. On error `*out_client` is NULL. Free with mde_client_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_client_new(
    options: *const mde_options,
    out_client: *mut *mut mde_client,
    out_json: *mut *mut c_char,
) -> i32 {
    let body = || {
        // SAFETY: the caller's promise (header, "Pointers").
        unsafe { ptr::place(out_client, "out_client") }?;
        // SAFETY: as above.
        let options = unsafe { ptr::handle(options, "options") }?;
        #[cfg(windows)]
        crate::os::windows::pin();
        let client = mde_client(Client::new(&options.0)?);
        // SAFETY: as above; checked by `place`.
        unsafe { ptr::give(out_client, client) };
        Ok("{}".to_owned())
    };
    // SAFETY: the caller's promise about out_json.
    unsafe { guard::document(out_json, body) }
}

/// Refuses new calls on the client, ends running ones with MDE_ERR_CLOSED and waits for them, at most
/// `timeout_ms`. MDE_ERR_DEADLINE: some still run; do not free the client yet. Not to be called from a
/// callback of a call on the same client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_client_shutdown(client: *mut mde_client, timeout_ms: u64) -> i32 {
    guard::status(|| {
        // SAFETY: the caller's promise (header, "Pointers").
        let client = unsafe { ptr::handle(client, "client") }?;
        client.0.shutdown(Duration::from_millis(timeout_ms))
    })
}

/// Frees a client that no thread is inside of any more, and closes its connections. Calls that may still
/// run are ended by mde_client_shutdown() first. What the client spent of the quota stays remembered
/// in the process. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_client_free(client: *mut mde_client) {
    guard::value((), || {
        // SAFETY: the caller's promise (header, "Ownership").
        unsafe { ptr::free(client) }
    });
}
