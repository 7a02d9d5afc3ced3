//! Investigation packages: the main function, its steps, and the check of a package on disk.

use std::ffi::{c_char, c_void};

use super::cancel::mde_cancel;
use super::client::mde_client;
use super::library::mde_status;
use super::operation::operation;
use super::progress::{forwarder, mde_progress_fn};
use super::{guard, ptr};
use crate::call::Cancel;
use crate::client::Client;
use crate::operations::arguments;
use crate::operations::inspect::inspect_package;
use crate::progress::OnProgress;

/// Collects a package from a device, waits for it, downloads and checks it: the main function.
///
/// mde_collect_package(), mde_wait_action() and mde_download_package() under one deadline, wait_timeout_ms. If it was
/// interrupted anywhere, even with its process, the same call (same device and path) resumes and starts no second
/// collection. A state file beside the package, `<path>.fetch.json` or in a folder `<machine_id>.fetch.json`, records
/// its progress. Once the file exists, the same call returns the same result again. docs/contract.md has the details.
///
/// The document: {"package":{...},"action":{...},"adopted":false}
/// - package: as from mde_download_package().
/// - action: the service's machine action with all its members; a failure document has it too, as last seen.
/// - adopted: true if this call did not start the collection: it ran already, or an earlier call had started it.
///
/// Quota: that of the steps: "collect", "read" or "list", and "link". Permissions: Machine.CollectForensics and
/// Machine.Read.All.
/// @param client The client.
/// @param machine_id The device id, as for mde_collect_package().
/// @param comment The reason, for the audit trail of the tenant; 1 to 32,768 bytes.
/// @param path The file to make, or a folder, as for mde_download_package().
/// @param progress Called with the progress; may be NULL.
/// @param user_data Passed to progress; may be NULL.
/// @param cancel Ends the call early, but not the collection; may be NULL.
/// @param out_json The document, or the failure document; may be NULL.
/// @retval MDE_OK The file exists, whole and checked.
/// @retval MDE_ERR_UNSAFE As for mde_download_package(), like MDE_ERR_INTEGRITY: the same call returns the same again.
/// @retval MDE_ERR_FILE As for mde_download_package(). Also: another call works on the same state file (retryable), or
/// the state file cannot be read, and a collection that it names may still be running. Or the option record names a
/// record that was changed or cannot be written: the same call returns the end again once it is recorded.
/// @retval MDE_ERR_OUTCOME_UNKNOWN As for mde_collect_package(). Repeat the call: it first searches for the collection.
/// @return All other errors are those of the three functions; the member stage names the step that failed.
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
) -> mde_status {
    let body = |client: &Client, cancel: Option<&Cancel>| {
        // SAFETY: the caller's promise (header, "Pointers").
        let machine_id = unsafe { ptr::text(machine_id, "machine_id") }?;
        // SAFETY: as above.
        let comment = unsafe { ptr::text(comment, "comment") }?;
        // SAFETY: as above.
        let path = unsafe { ptr::text(path, "path") }?;
        let mut forward = forwarder(progress, user_data);
        let progress = forward.as_mut().map(|forward| forward as &mut OnProgress<'_>);
        Ok(client.fetch_package(machine_id, comment, path, progress, cancel)?.to_json())
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, cancel, out_json, body) }
}

/// Asks the service to collect a package from a device, and returns as soon as the service has accepted.
///
/// The document: {"action":{...},"adopted":false}
/// - action: the service's machine action with all its members.
/// - adopted: true if the action was found in the list of actions: a collection ran already, or the reply was lost and
///   the list showed that this call had started it.
///
/// If the reply is lost, or is a 5xx, the list of the device's actions is searched for ten seconds. If it does not show
/// the collection, the request is sent again, up to max_retries times. The service runs one collection on a device at a
/// time, so a second request joins it. With on_unknown=report nothing is sent again.
///
/// "outcome":"unknown" in a failure document, whatever the status, means that the collection may have been started:
/// search for it before repeating the call.
///
/// Quota: "collect", for every request; "list" and "machines" if it has to be searched for. Permissions:
/// Machine.CollectForensics and Machine.Read.All.
/// Source: Microsoft Defender for Endpoint, "Collect investigation package API".
/// @param client The client.
/// @param machine_id The device id, 40 hexadecimal digits. Other ids that the service accepts, such as the Entra
/// device id, are passed on.
/// @param comment The reason, for the audit trail of the tenant; 1 to 32,768 bytes.
/// @param cancel Ends the call early; may be NULL.
/// @param out_json The document, or the failure document; may be NULL.
/// @retval MDE_OK The collection runs.
/// @retval MDE_ERR_NOT_FOUND There is no such device.
/// @retval MDE_ERR_ALREADY_RUNNING A collection runs already: with on_duplicate=error, or it was not found. The failure
/// document has its action_id and action if it was.
/// @retval MDE_ERR_UNSUPPORTED_DEVICE The device's system or sensor cannot do it.
/// @retval MDE_ERR_OUTCOME_UNKNOWN Every reply was lost, and the list of actions does not show the collection, or could
/// not be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_collect_package(
    client: *const mde_client,
    machine_id: *const c_char,
    comment: *const c_char,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> mde_status {
    let body = |client: &Client, cancel: Option<&Cancel>| {
        // SAFETY: the caller's promise (header, "Pointers").
        let machine_id = unsafe { ptr::text(machine_id, "machine_id") }?;
        // SAFETY: as above.
        let comment = unsafe { ptr::text(comment, "comment") }?;
        Ok(client.collect_package(machine_id, comment, cancel)?.to_json())
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, cancel, out_json, body) }
}

/// Downloads the package of a finished collection, checks it, and only then gives it its name.
///
/// During the download the package is `<path>.part`, which only its owner can read, with the state file
/// `<path>.part.json` beside it. Both stay when the call ends early, even with its process, and the same call then
/// downloads only the rest. Repeating a call that had succeeded returns the same result with "existing":true. A package
/// that is refused is kept, as `<path>.damaged` or `<path>.unsafe`, and repeating the call returns the same error. Only
/// a file that does not begin as a zip, such as the web page of a proxy, does not stop it from downloading again.
/// docs/contract.md has the details.
///
/// The document: {"package":{"path":"...","bytes":7340032,"sha256":"...","action_id":"...","machine_id":"...",
/// "computer_name":"...","existing":false,"entries":31,...}}
/// - package.path: the file.
/// - package.bytes, package.sha256: of the file.
/// - package.action_id, package.machine_id, package.computer_name: the origin of the package.
/// - package.existing: true if an earlier call had downloaded it.
/// - The others are as from mde_inspect_package(), without files. A failure document has a package too, if it was kept.
///
/// Quota: "read" and "link". Permission: Machine.Read.All.
/// Source: Microsoft Defender for Endpoint, "Get package SAS URI API".
/// @param client The client.
/// @param action_id The GUID of the collection.
/// @param path The file to make, in a folder that exists; or a folder, in which the file is named
/// `<computer>_<action id>.zip`. A file that exists is never replaced. A link to a folder is one only with a separator
/// at the end of the path.
/// @param progress Called with the progress; may be NULL.
/// @param user_data Passed to progress; may be NULL.
/// @param cancel Ends the call early; may be NULL.
/// @param out_json The document, or the failure document; may be NULL.
/// @retval MDE_OK The file exists, whole and checked.
/// @retval MDE_ERR_NOT_READY The action is not finished.
/// @retval MDE_ERR_ACTION_FAILED As for mde_wait_action(), like MDE_ERR_ACTION_TIMED_OUT and MDE_ERR_ACTION_CANCELLED.
/// @retval MDE_ERR_NOT_FOUND There is no such action.
/// @retval MDE_ERR_PROTOCOL The link leads to a host that is not among download_hosts.
/// @retval MDE_ERR_DEADLINE wait_timeout_ms or the time of cancel is over.
/// @retval MDE_ERR_FILE The message names the path and the reason: a file exists, it cannot be written, another call
/// works on it.
/// @retval MDE_ERR_DISK_FULL Make room and call again.
/// @retval MDE_ERR_INTEGRITY The download is not a whole package, and kept as `<path>.damaged`: move it away to download
/// it anew. Or it is larger than max_package_bytes, and not kept.
/// @retval MDE_ERR_UNSAFE The package could do harm where it is unpacked, or cannot be checked. It is kept as
/// `<path>.unsafe`. With the option accept_unsafe=yes the same call gives it its name without another download.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_download_package(
    client: *const mde_client,
    action_id: *const c_char,
    path: *const c_char,
    progress: mde_progress_fn,
    user_data: *mut c_void,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> mde_status {
    let body = |client: &Client, cancel: Option<&Cancel>| {
        // SAFETY: the caller's promise (header, "Pointers").
        let action_id = unsafe { ptr::text(action_id, "action_id") }?;
        // SAFETY: as above.
        let path = unsafe { ptr::text(path, "path") }?;
        let mut forward = forwarder(progress, user_data);
        let progress = forward.as_mut().map(|forward| forward as &mut OnProgress<'_>);
        Ok(client.download_package(action_id, path, progress, cancel)?.to_json())
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, cancel, out_json, body) }
}

/// Gets the link to the package of a finished collection, for use with another downloader.
///
/// The document: {"uri":"https:..."}
/// - uri: valid for about a minute, and needs no token. It grants access to the package, so keep it out of logs. Send
///   no Authorization header with it, and use its bytes unchanged.
///
/// Quota: "link", 2 calls in a minute and 120 in an hour, and "read" if there is no link. Permission: Machine.Read.All.
/// Source: Microsoft Defender for Endpoint, "Get package SAS URI API".
/// @param client The client.
/// @param action_id The GUID of the collection.
/// @param cancel Ends the call early; may be NULL.
/// @param out_json The document, or the failure document; may be NULL.
/// @retval MDE_OK The document has the link.
/// @retval MDE_ERR_NOT_READY The action is not finished. The failure document has it as last seen, here and with the
/// next status.
/// @retval MDE_ERR_ACTION_FAILED As for mde_wait_action(), like MDE_ERR_ACTION_TIMED_OUT and MDE_ERR_ACTION_CANCELLED.
/// @retval MDE_ERR_NOT_FOUND There is no such action.
/// @retval MDE_ERR_BAD_REQUEST The action is no collection.
/// @retval MDE_ERR_PROTOCOL The link leads to a host that is not among download_hosts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_get_package_uri(
    client: *const mde_client,
    action_id: *const c_char,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> mde_status {
    let body = |client: &Client, cancel: Option<&Cancel>| {
        // SAFETY: the caller's promise (header, "Pointers").
        let action_id = unsafe { ptr::text(action_id, "action_id") }?;
        Ok(client.package_uri(action_id, cancel)?.to_json())
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, cancel, out_json, body) }
}

/// Checks a package on disk and lists its contents, without unpacking it. Nothing is sent or written.
///
/// Every entry is decompressed and compared with its checksum, and all records of the zip are compared with each other.
/// Memory does not grow with the size of the package; time does.
///
/// The document: {"package":{"path":"...","bytes":123456,"sha256":"...","entries":42,"bytes_uncompressed":654321,
/// "device":"windows","missing":["Prefetch files"],"bytes_unlisted":0,"same_but_for_case":0,
/// "files":[{"name":"Autoruns/HKLM_Run.txt","bytes":78,"compressed":60,"crc32":"0123abcd",
/// "modified":"2026-01-31T23:59:58"},...]}}
/// - package.path: the path, as it was given.
/// - package.bytes, package.sha256: of the file.
/// - package.entries: the number of entries, folders included.
/// - package.bytes_uncompressed: of all files together.
/// - package.device: "windows", "macos" or "linux"; absent if it does not look like an investigation package.
/// - package.missing: the documented parts of such packages that this one lacks.
/// - package.bytes_unlisted: bytes that belong to no entry.
/// - package.same_but_for_case: how many names Windows or macOS take for another one.
/// - package.unsafe_count, package.unsafe_entries: how many entries could do harm where they are unpacked, and
///   [{"name":"...","reason":"..."},...] for up to 100 of them; absent if there are none.
/// - package.files: one per entry, at most 100,000; names of folders end in a slash. modified is in the device's own
///   time, and absent if it is not known.
/// @param path A regular file.
/// @param progress Called with the progress, with "verify" events alone; may be NULL.
/// @param user_data Passed to progress; may be NULL.
/// @param cancel Ends the call early; may be NULL.
/// @param out_json The document, or the failure document; may be NULL.
/// @retval MDE_OK The package is whole and safe to unpack.
/// @retval MDE_ERR_INTEGRITY The zip is damaged or cut short. The message names the first damaged entries.
/// @retval MDE_ERR_UNSAFE The zip could do harm where it is unpacked (paths that lead out of the folder, symbolic
/// links, two entries in one place, zip bombs), or its content cannot be checked (encryption, other methods than stored
/// and deflated). The failure document has the package, with all members. docs/packages.md has the list.
/// @retval MDE_ERR_FILE The file does not exist, cannot be read, or is a folder, device or pipe.
/// @retval MDE_ERR_DEADLINE The time of cancel is over.
/// @retval MDE_ERR_CANCELLED cancel was triggered, or progress asked to stop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_inspect_package(
    path: *const c_char,
    progress: mde_progress_fn,
    user_data: *mut c_void,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> mde_status {
    let body = || {
        // SAFETY: the caller's promise (header, "Pointers").
        let path = unsafe { ptr::text(path, "path") }?;
        let path = arguments::path(path)?;
        // SAFETY: as above.
        let cancel = unsafe { ptr::optional(cancel) };
        let mut forward = forwarder(progress, user_data);
        let progress = forward.as_mut().map(|forward| forward as &mut OnProgress<'_>);
        Ok(inspect_package(path, progress, cancel.map(|cancel| &cancel.0))?.to_json())
    };
    // SAFETY: the caller's promise about out_json, passed on.
    unsafe { guard::document(out_json, body) }
}
