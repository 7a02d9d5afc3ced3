//! The operations that bring a package to disk.

use std::ffi::{c_char, c_void};

use super::cancel::mde_cancel;
use super::client::mde_client;
use super::operation::operation;
use super::progress::{mde_progress_fn, sink};
use super::ptr;
use crate::call::Cancel;
use crate::client::Client;
use crate::error::Result;
use crate::progress::OnProgress;

/// Gets the link under which the package of a finished collection can be fetched, for use with another
/// downloader; mde_download_package gets its own.
///
/// `action_id`: the GUID of the collection. On MDE_OK: {"uri":"https://…"}. The link is good for about a minute
/// and needs no token: whoever has it can fetch the package, so keep it out of logs, send no Authorization
/// header with it, and use its bytes as they are. MDE_ERR_NOT_READY: the action is not finished.
/// MDE_ERR_ACTION_FAILED, MDE_ERR_ACTION_TIMED_OUT, MDE_ERR_ACTION_CANCELLED: it ended without a package.
/// These carry the `action` as last seen. MDE_ERR_NOT_FOUND: there is no such action. MDE_ERR_BAD_REQUEST: it
/// is no collection. MDE_ERR_PROTOCOL: the link leads to a host that is not among download_hosts.
/// Spends the quota "link", 2 calls in a minute and 120 in an hour, and "read" where there is no link. Needs the
/// permission Machine.Read.All.
/// Source: Microsoft Defender for Endpoint, "Get package SAS URI API".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_get_package_uri(
    client: *const mde_client,
    action_id: *const c_char,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> i32 {
    let body = |client: &Client, cancel: Option<&Cancel>| {
        // SAFETY: the caller's promise (header, "Pointers").
        let action_id = unsafe { ptr::text(action_id, "action_id") }?;
        Ok(client.package_uri(action_id, cancel)?.to_json())
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, cancel, out_json, body) }
}

/// Downloads the package of a finished collection, checks it, and only then gives it its name.
///
/// `action_id`: the GUID of the collection. `path`: the file to make, in a folder that exists; or a folder, in
/// which the file is named `<computer>_<action id>.zip`. A file that exists is never replaced.
/// `progress`: told how far it is, or NULL. On MDE_OK:
/// {"package":{"path":"…","bytes":7340032,"sha256":"…","action_id":"…","machine_id":"…","computer_name":"…",
/// "existing":false,"entries":31,…}}. `sha256` is that of the file; the other members are as from
/// mde_inspect_package, without `files`.
///
/// On its way the package is `<path>.part`, which only its owner can read, with `<path>.part.json` beside it. Both stay
/// when the call ends early, whether by an error, its deadline, mde_cancel_trigger() or the end of the process: the
/// same call then fetches only what is missing, if the package is still the same one. Repeating a call that had
/// succeeded, or had been interrupted after the last step, gives the same answer with "existing":true as long as
/// the file is what it was. (A file is known by an attribute, user.mde.package; on a file system without attributes
/// `<path>.part.json` stays.) One call at a time works on a path; others get MDE_ERR_FILE.
///
/// MDE_ERR_NOT_READY and MDE_ERR_ACTION_…: as for mde_get_package_uri; no link is asked for. MDE_ERR_FILE: the
/// message names the path and the reason. MDE_ERR_DISK_FULL: make room and call again. MDE_ERR_INTEGRITY: what
/// came is not a whole package, or larger than max_package_bytes; nothing has the final name. The whole call may
/// take wait_timeout_ms. Links expire within a minute: as many as are needed are asked for, as the quota allows.
/// Spends the quotas "read" and "link". Needs the permission Machine.Read.All.
/// Source: Microsoft Defender for Endpoint, "Get package SAS URI API".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_download_package(
    client: *const mde_client,
    action_id: *const c_char,
    path: *const c_char,
    progress: mde_progress_fn,
    user_data: *mut c_void,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> i32 {
    let body = |client: &Client, cancel: Option<&Cancel>| -> Result<String> {
        // SAFETY: the caller's promise (header, "Pointers").
        let action_id = unsafe { ptr::text(action_id, "action_id") }?;
        // SAFETY: as above.
        let path = unsafe { ptr::text(path, "path") }?;
        let mut sink = sink(progress, user_data);
        let progress = sink.as_mut().map(|sink| sink as &mut OnProgress<'_>);
        Ok(client.download_package(action_id, path, progress, cancel)?.to_json())
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, cancel, out_json, body) }
}
