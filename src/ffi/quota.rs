//! The quota.

use std::ffi::c_char;

use super::client::mde_client;
use super::library::mde_status;
use super::operation::operation;
use crate::call::Cancel;
use crate::client::Client;

/// Reads how much of each quota is used, and when the next call could be sent. No request is sent.
///
/// The document: {"quotas":[{"endpoint":"collect","limit":100,"window_s":60,"used":3,"in_flight":1,"queued":0,
/// "available_in_ms":0},...],"log":{"kind":"process"}}
/// - quotas: one entry per endpoint and window. With a shared call log the figures, except queued, count all its users.
/// - quotas[].available_in_ms: when the next call could be sent, by all windows of the endpoint; absent while that
///   depends on calls in flight.
/// - quotas[].closed_ms, closed_by: while the service keeps the endpoint closed after a 429.
/// - log.kind: where the call log is: "process", "file" or "redis" (options quota_file, quota_redis).
/// - log.place: the file or server.
/// - log.trouble: the current problem with the call log; absent if there is none.
/// - known: false if the tenant and application are not known yet, which can be only before the first call. All figures
///   but the limits are absent then.
/// @param client The client.
/// @param out_json The document, or the failure document; may be NULL.
/// @retval MDE_OK The document has the figures.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_get_quota(
    client: *const mde_client,
    out_json: *mut *mut c_char,
) -> mde_status {
    let body = |client: &Client, _: Option<&Cancel>| Ok(client.quota()?.to_json());
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, std::ptr::null(), out_json, body) }
}
