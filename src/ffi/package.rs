//! The operations on investigation packages.

use std::ffi::c_char;

use super::cancel::mde_cancel;
use super::client::mde_client;
use super::operation::operation;
use super::ptr;
use crate::call::Cancel;
use crate::client::Client;
use crate::service::action::{MachineAction, document};

/// Asks the service to collect an investigation package from a device, and returns as soon as it has agreed.
///
/// `machine_id`: the device id, 40 hexadecimal digits. Other ids that the service takes in its place, such
/// as the Entra device id, are passed on.
/// `comment`: why, for the audit trail of the tenant; 1 to 32,768 bytes.
/// On MDE_OK: {"action":{…},"adopted":false}. `action` is the service's machine action with all its
/// members. `adopted` is true when the action was found rather than answered: a collection was running
/// already and this is that one, or the reply was lost and the list showed that this call had started it.
/// MDE_ERR_ALREADY_RUNNING (with on_duplicate=error): `action_id` and `action` are there if it could be
/// found. MDE_ERR_OUTCOME_UNKNOWN: the reply was lost, and the list of the device's actions does not show
/// the collection (it may lag behind) or could not be read. A request that may have been carried out is
/// never sent again: look for the collection before repeating the call. Whatever the status,
/// "outcome":"unknown" in the failure document says so, also when the call was cancelled or ran out of time
/// while the request was under way.
/// Spends the quota "collect", "list" where the list is read, and "machines" where that needs the device's 40-digit
/// id. Needs the permissions Machine.CollectForensics and Machine.Read.All.
/// Source: Microsoft Defender for Endpoint, "Collect investigation package API".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_collect_package(
    client: *const mde_client,
    machine_id: *const c_char,
    comment: *const c_char,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> i32 {
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

/// Reads one machine action.
///
/// `action_id`: its GUID. On MDE_OK: {"action":{…}}. /action/status is "Pending" or "InProgress" and, in the
/// end, "Succeeded", "Failed", "TimeOut" or "Cancelled"; an action that ended badly is still MDE_OK here. To
/// learn of the end call mde_wait_action, which looks as seldom as it can: each look spends quota.
/// MDE_ERR_NOT_FOUND: there is no such action (or, in the first moments after its creation, not yet).
/// Spends the quota "read". Needs the permission Machine.Read.All.
/// Source: Microsoft Defender for Endpoint, "Get machineAction API".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_get_action(
    client: *const mde_client,
    action_id: *const c_char,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> i32 {
    let body = |client: &Client, cancel: Option<&Cancel>| {
        // SAFETY: the caller's promise (header, "Pointers").
        let action_id = unsafe { ptr::text(action_id, "action_id") }?;
        Ok(client.action(action_id, cancel)?.to_json())
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, cancel, out_json, body) }
}

/// Lists machine actions, newest first, all pages of them; a list of more than 1,000 pages or 64 MiB needs a narrower
/// filter and is MDE_ERR_INVALID_ARGUMENT.
///
/// `odata_filter`: an OData expression over id, status, machineId, type, requestor and
/// creationDateTimeUtc, for example "status eq 'Pending' and type eq 'CollectInvestigationPackage'"; ""
/// for all actions; up to 8,192 bytes. On MDE_OK: {"actions":[{…},…]}.
/// Spends the quota "list", once per page of 10,000. Needs the permission Machine.Read.All.
/// Source: Microsoft Defender for Endpoint, "List machineActions API".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_list_actions(
    client: *const mde_client,
    odata_filter: *const c_char,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> i32 {
    let body = |client: &Client, cancel: Option<&Cancel>| {
        // SAFETY: the caller's promise (header, "Pointers").
        let filter = unsafe { ptr::text(odata_filter, "odata_filter") }?;
        let actions = client.actions(filter, cancel)?;
        Ok(document("{\"actions\":[", actions.iter().map(MachineAction::json), "]}"))
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, cancel, out_json, body) }
}

/// How much of each quota is used, and when the next call could go out. No request is sent.
///
/// On MDE_OK: {"quotas":[{"endpoint":"collect","limit":100,"window_s":60,"used":3,"in_flight":1,
/// "queued":0,"available_in_ms":0,"free_in_ms":[57013,58992]},…],"log":{"kind":"process"}}, one entry per endpoint and
/// window. `available_in_ms` counts all windows of the endpoint together; it is absent while it depends on calls in
/// flight. `free_in_ms`: when slots in use, no longer in flight, fall free, soonest first, at most 100, and absent if
/// none is known. When the n-th call from now can go out: in each window let room = limit - left_to_others, but at
/// least 1, and k = n + queued + used - room. If k is at most 0 there is room now; else once element k of free_in_ms,
/// counted from 1, has passed; if there is no such element, nobody knows yet. The latest window counts, and not before
/// `closed_ms`, which is there, with `closed_by`, while the service keeps the endpoint closed after a 429.
/// `left_to_others`: calls that are left out because a 429 showed that somebody else spends the same quota; they come
/// back with time and with successful calls. `log`: "process", or "file" or "redis" with its `place` (options
/// quota_file, quota_redis) and, while something is wrong with it, the `trouble`. Where the log is shared the figures
/// are those of all who share it, `queued` apart. With "known":false, only before the first call, nothing tells yet
/// whose quota will be spent, and all figures but the limits are absent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_quota_status(
    client: *const mde_client,
    out_json: *mut *mut c_char,
) -> i32 {
    let body = |client: &Client, _: Option<&Cancel>| Ok(client.quota()?.to_json());
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, std::ptr::null(), out_json, body) }
}
