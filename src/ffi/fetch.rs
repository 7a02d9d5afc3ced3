//! The whole way of a package in one call.

use std::ffi::{c_char, c_void};

use super::cancel::mde_cancel;
use super::client::mde_client;
use super::operation::operation;
use super::progress::{mde_progress_fn, sink};
use super::ptr;
use crate::call::Cancel;
use crate::client::Client;
use crate::progress::OnProgress;

/// Collects a package from a device, waits for it, downloads and checks it: mde_collect_package, mde_wait_action
/// and mde_download_package under one deadline (wait_timeout_ms), one cancel handle and one stream of events.
///
/// `machine_id`, `comment`: as for mde_collect_package. `path`: as for mde_download_package. On MDE_OK:
/// {"package":{…},"action":{…},"adopted":false}, with `package` as from mde_download_package. `adopted` is true
/// when this call did not start the collection: one was running already, or an earlier call had started it.
///
/// Wherever it was interrupted, by an error, its deadline, mde_cancel_trigger() or the end of the process, the same
/// call (the same device and path) carries on from there and starts no second collection: a note beside the file,
/// `<path>.fetch.json` (in a folder `<machine_id>.fetch.json`), says how far the call before had come. It is removed
/// at the end, and when the action itself has failed, timed out or been cancelled, or its package is gone, so that the
/// next call starts another one. One call at a time works on a note; others get MDE_ERR_FILE, retryable, and a note
/// that cannot be read is MDE_ERR_FILE too: a collection that it names may still be running. Once the file is there,
/// the same call gives the same answer again, with "existing":true; choose another path for another package. (A folder
/// gets a new file each time, so only with the path of a file can a caller that missed the answer ask for it again.)
///
/// Errors are those of the three; /error/stage says where it stopped. With "outcome":"unknown" it is not known
/// whether the collection was started; other than with mde_collect_package the same call may be repeated at once,
/// since it looks for that collection first.
/// Spends the quotas of its steps: "collect", "read" or "list", and "link". Needs the permissions
/// Machine.CollectForensics and Machine.Read.All.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_fetch_package(
    client: *const mde_client,
    machine_id: *const c_char,
    comment: *const c_char,
    path: *const c_char,
    progress: mde_progress_fn,
    user_data: *mut c_void,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> i32 {
    let body = |client: &Client, cancel: Option<&Cancel>| {
        // SAFETY: the caller's promise (header, "Pointers").
        let machine_id = unsafe { ptr::text(machine_id, "machine_id") }?;
        // SAFETY: as above.
        let comment = unsafe { ptr::text(comment, "comment") }?;
        // SAFETY: as above.
        let path = unsafe { ptr::text(path, "path") }?;
        let mut sink = sink(progress, user_data);
        let sink = sink.as_mut().map(|sink| sink as &mut OnProgress<'_>);
        Ok(client.fetch_package(machine_id, comment, path, sink, cancel)?.to_json())
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, cancel, out_json, body) }
}
