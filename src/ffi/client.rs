//! Clients.

use std::ffi::c_char;
use std::time::Duration;

use super::library::mde_status;
use super::options::mde_options;
use super::{guard, ptr};
use crate::client::Client;

/// One identity against one service. Used by many threads at once.
pub struct mde_client(pub(super) Client);

/// Makes a client from a copy of the options.
///
/// Checks that they fit together, and reads ca_file and the files that sign-in needs. Opens no connection, so a wrong
/// secret shows with the first call.
/// @param options The settings of the client.
/// @param out_client The client, for mde_client_free(); NULL on failure.
/// @param out_json NULL on success, else the failure document; may be NULL.
/// @retval MDE_OK The client was made.
/// @retval MDE_ERR_NULL options or out_client is NULL.
/// @retval MDE_ERR_CONFIG The options do not fit together.
/// @retval MDE_ERR_TLS The system has no usable certificate store and ca_file names none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_client_new(
    options: *const mde_options,
    out_client: *mut *mut mde_client,
    out_json: *mut *mut c_char,
) -> mde_status {
    let body = || {
        // SAFETY: the caller's promise (header, "Pointers").
        unsafe { ptr::clear_out(out_client, "out_client") }?;
        // SAFETY: as above.
        let options = unsafe { ptr::handle(options, "options") }?;
        #[cfg(windows)]
        crate::os::windows::pin();
        let client = mde_client(Client::new(&options.0)?);
        // SAFETY: as above; checked by `clear_out`.
        unsafe { ptr::give(out_client, client) };
        Ok(())
    };
    // SAFETY: the caller's promise about out_json.
    unsafe { guard::failure(out_json, body) }
}

/// Refuses new calls on a client, ends running ones with MDE_ERR_CLOSED, and waits for them.
///
/// A callback of a call on the same client is refused, since it would wait for its own call. Nothing is ended then.
/// @param client The client. It still has to be freed.
/// @param timeout_ms The longest time to wait.
/// @retval MDE_OK No call is left.
/// @retval MDE_ERR_NULL client is NULL.
/// @retval MDE_ERR_INVALID_ARGUMENT A callback of a call on this client called.
/// @retval MDE_ERR_DEADLINE Calls still run; do not free the client yet.
/// @retval MDE_ERR_FORKED The client was made before a fork.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_client_shutdown(
    client: *const mde_client,
    timeout_ms: u64,
) -> mde_status {
    guard::status(|| {
        // SAFETY: the caller's promise (header, "Pointers").
        let client = unsafe { ptr::handle(client, "client") }?;
        client.0.shutdown(Duration::from_millis(timeout_ms))
    })
}

/// Frees a client and closes its connections.
///
/// No thread may be inside a call on it: end them with mde_client_shutdown() first. The call log of its quota
/// stays in the process.
/// @param client May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_client_free(client: *mut mde_client) {
    guard::value((), || {
        // SAFETY: the caller's promise (header, "Ownership").
        unsafe { ptr::free(client) }
    });
}
