//! Machine actions: read, list, wait for and cancel them.

use std::ffi::{c_char, c_void};

use super::cancel::mde_cancel;
use super::client::mde_client;
use super::library::mde_status;
use super::operation::operation;
use super::progress::{forwarder, mde_progress_fn};
use super::ptr;
use crate::call::Cancel;
use crate::client::Client;
use crate::progress::OnProgress;
use crate::service::action::{MachineAction, document};

/// Reads one machine action as it is now. mde_wait_action() waits for its end and spends less quota.
///
/// The document: {"action":{...}}
/// - action: the service's machine action with all its members.
/// - action.status: "Pending" or "InProgress" and, in the end, "Succeeded", "Failed", "TimeOut" or "Cancelled".
///
/// Quota: "read". Permission: Machine.Read.All.
/// Source: Microsoft Defender for Endpoint, "Get machineAction API".
/// @param client The client.
/// @param action_id A GUID.
/// @param cancel Ends the call early; may be NULL.
/// @param out_json The document, or the failure document; may be NULL.
/// @retval MDE_OK The action was read, whatever its status.
/// @retval MDE_ERR_NOT_FOUND There is no such action, or in the moments after its creation not yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_get_action(
    client: *const mde_client,
    action_id: *const c_char,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> mde_status {
    let body = |client: &Client, cancel: Option<&Cancel>| {
        // SAFETY: the caller's promise (header, "Pointers").
        let action_id = unsafe { ptr::text(action_id, "action_id") }?;
        Ok(client.action(action_id, cancel)?.to_json())
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, cancel, out_json, body) }
}

/// Lists machine actions, newest first, all pages of them.
///
/// The document: {"actions":[{...},...]}
/// - actions: the service's machine actions with all their members.
///
/// Quota: "list", once per page of 10,000. Permission: Machine.Read.All.
/// Source: Microsoft Defender for Endpoint, "List machineActions API".
/// @param client The client.
/// @param odata_filter An OData expression over id, status, machineId, type, requestor and creationDateTimeUtc, for
/// example "status eq 'Pending' and type eq 'CollectInvestigationPackage'"; up to 8,192 bytes. "" selects all.
/// @param cancel Ends the call early; may be NULL.
/// @param out_json The document, or the failure document; may be NULL.
/// @retval MDE_OK The document has the whole list.
/// @retval MDE_ERR_INVALID_ARGUMENT odata_filter is too long, or the list has more than 30,000 actions, 28 MB or 1,000 pages.
/// @retval MDE_ERR_BAD_REQUEST The service does not understand the filter.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_list_actions(
    client: *const mde_client,
    odata_filter: *const c_char,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> mde_status {
    let body = |client: &Client, cancel: Option<&Cancel>| {
        // SAFETY: the caller's promise (header, "Pointers").
        let filter = unsafe { ptr::text(odata_filter, "odata_filter") }?;
        let actions = client.actions(filter, cancel)?;
        Ok(document("{\"actions\":[", actions.iter().map(MachineAction::json), "]}"))
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, cancel, out_json, body) }
}

/// Waits until a machine action has ended.
///
/// The action is polled every poll_interval_ms at first, and later less often, down to once a minute. One request polls
/// for all threads that wait with one client, or with clients that share a token. Once the action was seen, a failed
/// poll does not end the call.
///
/// The document: {"action":{...}}
/// - action: the service's machine action with all its members; a failure document has it too, as last seen.
///
/// Quota: "read" while one thread waits; "list" while several do, and "read" for actions that the list does not show.
/// Permission: Machine.Read.All.
/// Source: Microsoft Defender for Endpoint, "Get machineAction API", "List machineActions API".
/// @param client The client.
/// @param action_id A GUID.
/// @param progress Called with the state at every poll; may be NULL.
/// @param user_data Passed to progress; may be NULL.
/// @param cancel Ends the call early; may be NULL.
/// @param out_json The document, or the failure document; may be NULL.
/// @retval MDE_OK The action has succeeded.
/// @retval MDE_ERR_ACTION_FAILED The action has failed.
/// @retval MDE_ERR_ACTION_TIMED_OUT The device did not start or finish it in time.
/// @retval MDE_ERR_ACTION_CANCELLED The action was cancelled.
/// @retval MDE_ERR_NOT_FOUND There is no such action, and it did not appear within a minute.
/// @retval MDE_ERR_PROTOCOL The action has been for ten minutes in a state that this version does not know.
/// @retval MDE_ERR_DEADLINE wait_timeout_ms (an hour, unless set) or the time of cancel is over. An action of an
/// offline device can stay Pending for days: call again to continue to wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_wait_action(
    client: *const mde_client,
    action_id: *const c_char,
    progress: mde_progress_fn,
    user_data: *mut c_void,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> mde_status {
    let body = |client: &Client, cancel: Option<&Cancel>| {
        // SAFETY: the caller's promise (header, "Pointers").
        let action_id = unsafe { ptr::text(action_id, "action_id") }?;
        let mut forward = forwarder(progress, user_data);
        let progress = forward.as_mut().map(|forward| forward as &mut OnProgress<'_>);
        Ok(client.wait_action(action_id, progress, cancel)?.to_json())
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, cancel, out_json, body) }
}

/// Cancels a machine action, and waits until it has ended. Repeating the call is safe.
///
/// The document: {"action":{...},"cancelled":true}
/// - action: the service's machine action with all its members.
/// - cancelled: false if the action had ended in another way before; action.status has its state.
///
/// Quota: "cancel" and "read". Permissions: Machine.CollectForensics and Machine.Read.All.
/// Source: Microsoft Defender for Endpoint, "Cancel machine action API".
/// @param client The client.
/// @param action_id A GUID.
/// @param comment The reason, for the audit trail of the tenant; 1 to 32,768 bytes.
/// @param cancel Ends the call early; may be NULL.
/// @param out_json The document, or the failure document; may be NULL.
/// @retval MDE_OK The action has ended.
/// @retval MDE_ERR_NOT_FOUND There is no such action.
/// @retval MDE_ERR_DEADLINE timeout_ms or the time of cancel is over. The message states whether the service had
/// accepted to cancel, and the document has the action as last seen.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_cancel_action(
    client: *const mde_client,
    action_id: *const c_char,
    comment: *const c_char,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> mde_status {
    let body = |client: &Client, cancel: Option<&Cancel>| {
        // SAFETY: the caller's promise (header, "Pointers").
        let action_id = unsafe { ptr::text(action_id, "action_id") }?;
        // SAFETY: as above.
        let comment = unsafe { ptr::text(comment, "comment") }?;
        Ok(client.cancel_action(action_id, comment, cancel)?.to_json())
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, cancel, out_json, body) }
}
