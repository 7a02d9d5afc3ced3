//! Finding devices.

use std::ffi::c_char;

use super::cancel::mde_cancel;
use super::client::mde_client;
use super::library::mde_status;
use super::operation::operation;
use super::ptr;
use crate::call::Cancel;
use crate::client::Client;

/// Finds devices. If there is none, the list is empty and the status is MDE_OK.
///
/// The document: {"machines":[{...}],"checks":[{"id":"...","problems":["offline"]}],"more":false}
/// - machines: the service's records with all their members.
/// - checks: reasons why a collection may not start or end, one entry per machine, in the same order.
/// - checks[].problems: of "same_name" (another device found has the same DNS name), "potential_duplicate", "merged"
///   (into /machines/N/mergedIntoMachineId), "excluded", "not_onboarded", "unsupported" and "offline" (it does not
///   report, so a collection stays Pending until it does).
/// - more: true if there are more devices. A selection finds up to 100,000, any other query up to 1,000.
///
/// A selection is a list of conditions, all of which hold: "tag:DMZ and not os:Linux".
/// - "tag:NAME", "os:PLATFORM": the tag, the osPlatform. The service compares them.
/// - "group:NAME": the rbacGroupName. The service cannot filter by it, so the library reads all devices and compares.
/// - "filter:ODATA": the rest of the query, as the service understands it; so it comes last.
/// - "not" before a condition: the library compares, without regard to letter case. It passes "not filter:" on.
///
/// Quota: "machines", twice for a name that has no exact match; for a selection once per 5,000 devices that the
/// service's part of it matches. Permission: Machine.Read.All.
/// Source: Microsoft Defender for Endpoint, "Get machine by ID API", "List machines API", "Find devices by internal IP
/// API", "OData queries with Microsoft Defender for Endpoint".
/// @param client The client.
/// @param query A device id (40 hexadecimal digits); an Entra device id (a GUID); an IP address, optionally with the
/// time when it was in use, "10.0.0.5@2026-01-24T22:17:02Z", up to 30 days back; a DNS name, exact or else the
/// beginning of names; or a selection of up to 8,192 bytes.
/// @param cancel Ends the call early; may be NULL.
/// @param out_json The document, or the failure document; may be NULL.
/// @retval MDE_OK The search was made.
/// @retval MDE_ERR_INVALID_ARGUMENT query is none of these.
/// @retval MDE_ERR_BAD_REQUEST The service does not understand the text after "filter:".
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
        Ok(client.find_machines(query, cancel)?.into_json())
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, cancel, out_json, body) }
}
