//! The check of the access.

use std::ffi::c_char;

use super::cancel::mde_cancel;
use super::client::mde_client;
use super::library::mde_status;
use super::operation::operation;
use crate::call::Cancel;
use crate::client::Client;

/// Checks the access: signs in, compares the permissions with what each function needs, reaches the sign-in host and
/// the API host, and reads one device. The first thing to call where a program is set up.
///
/// Succeeds whatever it finds, so look at ok. A step that fails does not end the check. Nothing is retried, and nothing
/// is changed in the tenant. A new token takes the place of the one in use. Each step has a part of timeout_ms. Once that
/// time is over, the steps that are left fail with "deadline".
///
/// The document: {"access":{"ok":false,"steps":[{"step":"sign_in_host","result":"ok"},{"step":"sign_in","result":
/// "failed","error":{...}},...],"identity":{...},"functions":[{"function":"mde_get_action","allowed":true},...],
/// "sign_in_host":{...},"api_host":{...}}}
/// - ok: true if no step has failed. "permissions" fails if any function is not allowed: see functions for those that you
///   call.
/// - steps: always "sign_in_host", "sign_in", "permissions", "api_host", "api" and "clock".
/// - steps[].result: "ok", "failed" or "skipped" (not needed, or what it needs has failed).
/// - steps[].error: as in a failure document; its message says what happened and what to do.
/// - identity: kind ("application", "user" or "unknown"), tenant, application, object, user, permissions, expires_at.
///   Absent if there is no token; "unknown" if it is not readable.
/// - functions[].lacks: the permissions to grant. functions is absent while the permissions are not known.
/// - sign_in_host, api_host: host, port, proxy, addresses, tls, issuer, http_status, ms, clock_ahead_s. Absent if the
///   client does not use the host: a token callback and access_token need no sign-in host.
///
/// Quota: "machines", once, if there is a token. Permission: Machine.Read.All, for that request.
/// Source: Microsoft Defender for Endpoint, "List machines API", and for the permissions the page of each function's API.
/// @param client The client.
/// @param cancel Ends the call early; may be NULL.
/// @param out_json The document, or the failure document; may be NULL.
/// @retval MDE_OK The check was made. The document has what it found.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_check_access(
    client: *const mde_client,
    cancel: *const mde_cancel,
    out_json: *mut *mut c_char,
) -> mde_status {
    let body =
        |client: &Client, cancel: Option<&Cancel>| Ok(client.check_access(cancel)?.to_json());
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, cancel, out_json, body) }
}
