//! Finding devices.

use std::ffi::c_char;

use super::cancel::mde_cancel;
use super::client::mde_client;
use super::library::mde_status;
use super::operation::operation;
use super::ptr;
use crate::call::Cancel;
use crate::client::Client;

/// Finds devices, at most 1,000. If there is none, the list is empty and the status is MDE_OK.
///
/// The document: {"machines":[{...}],"checks":[{"id":"...","problems":["offline"]}],"more":false}
/// - machines: the service's records with all their members.
/// - checks: reasons why a collection may not start or end, one entry per machine, in the same order.
/// - checks[].problems: of "same_name" (another device found has the same DNS name), "potential_duplicate", "merged"
///   (into /machines/N/mergedIntoMachineId), "excluded", "not_onboarded", "unsupported" and "offline" (it does not
///   report, so a collection stays Pending until it does).
/// - more: true if there are more devices.
///
/// Quota: "machines", twice for a name that has no exact match. Permission: Machine.Read.All.
/// Source: Microsoft Defender for Endpoint, "Get machine by ID API", "List machines API", "Find devices by internal IP
/// API".
/// @param client The client.
/// @param query A device id (40 hexadecimal digits); an Entra device id (a GUID); an IP address, optionally with the
/// time when it was in use, "10.0.0.5@2026-01-24T22:17:02Z", up to 30 days back; or a DNS name, exact or else the
/// beginning of names.
/// @param cancel Ends the call early; may be NULL.
/// @param out_json The document, or the failure document; may be NULL.
/// @retval MDE_OK The search was made.
/// @retval MDE_ERR_INVALID_ARGUMENT query is none of these.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_find_machines(
    client: *const mde_client,
    query: *const c_char,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> mde_status {
    let body = |client: &Client, cancel: Option<&Cancel>| {
        // SAFETY: the caller's promise (header, "Pointers").
        let query = unsafe { ptr::text(query, "query") }?;
        Ok(client.find_machines(query, cancel)?.to_json())
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, cancel, out_json, body) }
}
