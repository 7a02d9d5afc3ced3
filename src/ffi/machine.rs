//! Finding devices.

use std::ffi::c_char;

use super::cancel::mde_cancel;
use super::client::mde_client;
use super::operation::operation;
use super::ptr;
use crate::call::Cancel;
use crate::client::Client;

/// Finds devices.
///
/// `query`: a device id (40 hexadecimal digits); an Entra device id (a GUID); an IP address, optionally with the time
/// when it was in use, "10.0.0.5@2026-01-24T22:17:02Z" (the service looks 15 minutes around it, up to 30 days
/// back); or a DNS name, which is looked for exactly and, if there is none, as the beginning of names.
/// On MDE_OK: {"machines":[{…}],"checks":[{"id":"…","problems":["offline"]}],"more":false}. `machines` are
/// the service's records with all their members; `checks` says for each of them, in the same order, what may keep a
/// collection from starting or ending: "same_name" (another device found has the same DNS name),
/// "potential_duplicate", "merged" (into /machines/N/mergedIntoMachineId), "excluded", "not_onboarded", "unsupported",
/// "offline" (it does not report, or not properly: a collection stays Pending until it does; that a device is
/// not offline does not prove that it is online, since devices report about daily). No device is an
/// empty list and MDE_OK. At most 1,000 are given out; `more` says that there are others.
/// Spends the quota "machines", twice for a name that has no exact match. Needs the permission Machine.Read.All.
/// Source: Microsoft Defender for Endpoint, "Get machine by ID API", "List machines API", "Find devices by
/// internal IP API".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_find_machines(
    client: *const mde_client,
    query: *const c_char,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> i32 {
    let body = |client: &Client, cancel: Option<&Cancel>| {
        // SAFETY: the caller's promise (header, "Pointers").
        let query = unsafe { ptr::text(query, "query") }?;
        Ok(client.find_machines(query, cancel)?.to_json())
    };
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, cancel, out_json, body) }
}
