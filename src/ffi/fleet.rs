//! Packages of many devices in one call, and how such a job stands.

use std::ffi::{c_char, c_void};

use super::cancel::mde_cancel;
use super::client::mde_client;
use super::library::mde_status;
use super::operation::operation;
use super::progress::{forwarder, mde_progress_fn};
use super::{guard, ptr};
use crate::call::Cancel;
use crate::client::Client;
use crate::operations::fleet::{Devices, read_packages};
use crate::progress::OnProgress;

/// Fetches the packages of many devices into a folder, at the speed of the quota.
///
/// mde_fetch_package() for each device, in one call: it asks for all collections, polls them with one request, and
/// downloads several packages at once. It returns when every device has its outcome, or when it is stopped. The folder
/// holds the job: after an interruption anywhere, even of the process, the call with the same folder resumes, and asks
/// no device twice. A device that is offline holds nothing up. docs/fleet.md has the details.
///
/// The document, of a failure too: {"packages":[{"machine_id":"...","state":"done","package":{...},"action":{...},
/// "adopted":false},...],"summary":{"devices":500,"done":480,"failed":3,"skipped":2,"unfinished":15,"bytes":123456,
/// "eta_ms":450000}}
/// - packages: one per device, in the order given.
/// - packages.state: "done"; "failed", with the error; "skipped", with the problems; and of a device without an outcome
///   "queued", "waiting" (for the device, which may be offline), "running" or "ready" (to be downloaded).
/// - packages.package, packages.action, packages.adopted: as from mde_fetch_package().
/// - packages.error: as in a failure document. With "retryable":true the next call tries the device again.
/// - packages.problems: as from mde_find_machines().
/// - summary.unfinished: devices without an outcome, with which the next call goes on.
/// - summary.bytes: of all packages that are done.
/// - summary.eta_ms: the least time that the quota needs for the rest; absent if it is not known.
///
/// Quota: "collect" and "link" for each device, and "list" for all together. Calls for single devices go first.
/// Permissions: Machine.CollectForensics and Machine.Read.All.
/// @param client The client.
/// @param devices_json The devices: an array of device ids, or of {"machine_id":"...","comment":"...","file":"pc1.zip"}
/// with optional comment and file; or the document of mde_find_machines(), whose devices with the problems
/// potential_duplicate, merged, unsupported or not_onboarded are skipped, and which is refused if its more is true. Other
/// members are refused. The same device twice is one device. Up to 100,000 of them. Devices that the job has are left as they are; {"devices":[...],"retry":"failed"} asks those again
/// that have failed. NULL or [] resumes the job in the folder.
/// @param comment The reason, for the audit trail of the tenant; 1 to 32,768 bytes.
/// @param folder A folder that exists. The files are named as by mde_download_package(), or as devices_json says.
/// @param progress Called with the progress; may be NULL.
/// @param user_data Passed to progress; may be NULL.
/// @param cancel Ends the call early, but no collection; may be NULL.
/// @param out_json The document; may be NULL.
/// @retval MDE_OK Every package is there.
/// @retval MDE_ERR_INCOMPLETE Every device has its outcome, and some have no package.
/// @retval MDE_ERR_DEADLINE wait_timeout_ms or the time of cancel is over. Call again to go on.
/// @retval MDE_ERR_FILE The folder cannot be used, another call works in it (retryable), or it holds the job of another
/// tenant or application, or a damaged journal.
/// @retval MDE_ERR_DISK_FULL Make room and call again.
/// @retval MDE_ERR_INVALID_ARGUMENT devices_json is of another form. The message names the item.
/// @return An error that concerns all devices and lasts ends the call as well, such as MDE_ERR_FORBIDDEN or
/// MDE_ERR_CONNECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_fetch_packages(
    client: *const mde_client,
    devices_json: *const c_char,
    comment: *const c_char,
    folder: *const c_char,
    progress: mde_progress_fn,
    user_data: *mut c_void,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> mde_status {
    let body = |client: &Client, cancel: Option<&Cancel>| {
        let devices = match devices_json.is_null() {
            true => Devices::resume(),
            // SAFETY: the caller's promise (header, "Pointers").
            false => Devices::from_json(unsafe { ptr::text(devices_json, "devices_json") }?)?,
        };
        // SAFETY: as above.
        let comment = unsafe { ptr::text(comment, "comment") }?;
        // SAFETY: as above.
        let folder = unsafe { ptr::text(folder, "folder") }?;
        let mut forward = forwarder(progress, user_data);
        let progress = forward.as_mut().map(|forward| forward as &mut OnProgress<'_>);
        Ok(client.fetch_packages(&devices, comment, folder, progress, cancel)?.into_json())
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, cancel, out_json, body) }
}

/// Returns how the job in a folder stands, also while a call works on it. Nothing is sent or written.
///
/// The document: that of mde_fetch_packages(), as the journal in the folder has it, without eta_ms.
/// @param folder The folder of mde_fetch_packages().
/// @param out_json The document, or the failure document; may be NULL.
/// @retval MDE_OK The document says how the job stands, whether it has ended or not.
/// @retval MDE_ERR_FILE The folder has no job, or its journal cannot be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_read_packages(
    folder: *const c_char,
    out_json: *mut *mut c_char,
) -> mde_status {
    let body = || {
        // SAFETY: the caller's promise (header, "Pointers").
        let folder = unsafe { ptr::text(folder, "folder") }?;
        Ok(read_packages(folder)?.into_json())
    };
    // SAFETY: the caller's promise about out_json, passed on.
    unsafe { guard::document(out_json, body) }
}
