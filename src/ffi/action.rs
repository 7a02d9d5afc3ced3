//! Following and cancelling machine actions.

use std::ffi::{c_char, c_void};

use super::cancel::mde_cancel;
use super::client::mde_client;
use super::operation::operation;
use super::progress::{mde_progress_fn, sink};
use super::ptr;
use crate::call::Cancel;
use crate::client::Client;
use crate::progress::OnProgress;

/// Waits until a machine action has ended.
///
/// `action_id`: its GUID. `progress` (may be NULL) is told the state at every look. On MDE_OK: {"action":{…}},
/// and the action has succeeded. Its other ends have a status each: MDE_ERR_ACTION_FAILED,
/// MDE_ERR_ACTION_TIMED_OUT (the device did not take it up or finish it in time), MDE_ERR_ACTION_CANCELLED.
/// MDE_ERR_NOT_FOUND: there is no such action, and it did not appear within a minute. MDE_ERR_PROTOCOL: the action
/// has been for ten minutes in a state that this version does not know. MDE_ERR_DEADLINE: wait_timeout_ms (an hour,
/// unless set) or the time of `cancel` was over; an action of a device that is offline can stay Pending for
/// days, so call again to go on waiting. Every failure document carries the `action` as last seen.
/// The action is looked at every poll_interval_ms at first and down to once a minute later on. However many
/// threads wait with one client, or with clients that share a token (docs/sign-in.md), one request looks for all of
/// them, and one of the waiting threads makes it. A look that fails is survived once the action was seen.
/// Spends the quota "read" while one thread waits, and while several do "list", and "read" for what the list does not
/// show. Needs the permission Machine.Read.All.
/// Source: Microsoft Defender for Endpoint, "Get machineAction API", "List machineActions API".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_wait_action(
    client: *const mde_client,
    action_id: *const c_char,
    progress: mde_progress_fn,
    user_data: *mut c_void,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> i32 {
    let body = |client: &Client, cancel: Option<&Cancel>| {
        // SAFETY: the caller's promise (header, "Pointers").
        let action_id = unsafe { ptr::text(action_id, "action_id") }?;
        let mut sink = sink(progress, user_data);
        let sink = sink.as_mut().map(|sink| sink as &mut OnProgress<'_>);
        Ok(client.wait_action(action_id, sink, cancel)?.to_json())
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, cancel, out_json, body) }
}

/// Cancels a machine action, and waits until it has ended.
///
/// `action_id`: its GUID. `comment`: why, for the audit trail of the tenant; 1 to 32,768 bytes. On MDE_OK:
/// {"action":{…},"cancelled":true}. `cancelled` is false when the action had ended otherwise before;
/// /action/status says how. MDE_ERR_DEADLINE: timeout_ms or the time of `cancel` was over; the failure document
/// says whether the service had accepted to cancel, and carries the `action` as last seen. Repeating the call
/// is safe.
/// Spends the quotas "cancel" and "read". Needs the permissions Machine.CollectForensics and Machine.Read.All.
/// Source: Microsoft Defender for Endpoint, "Cancel machine action API".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_cancel_action(
    client: *const mde_client,
    action_id: *const c_char,
    comment: *const c_char,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> i32 {
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
