//! The quota.

use std::ffi::c_char;

use super::client::mde_client;
use super::library::mde_status;
use super::operation::operation;
use crate::call::Cancel;
use crate::client::Client;

/// Reads how much of each quota is used, and when the next call could go out. No request is sent.
///
/// The document: {"quotas":[{"endpoint":"collect","limit":100,"window_s":60,"used":3,"in_flight":1,"queued":0,
/// "available_in_ms":0},...],"log":{"kind":"process"}}
/// - quotas: one entry per endpoint and window. Where the call log is shared, of all who share it, but for queued.
/// - quotas[].available_in_ms: when the next call could go out, by all windows of the endpoint; absent while that
///   depends on calls in flight.
/// - quotas[].closed_ms, closed_by: while the service keeps the endpoint closed after a 429.
/// - log.kind: where the call log is: "process", "file" or "redis" (options quota_file, quota_redis).
/// - log.place: the file or server.
/// - log.trouble: what is wrong with it at present.
/// - known: false, before the first call only, if nothing tells yet whose quota will be spent. All figures but the
///   limits are absent then.
/// @param client Whose quota.
/// @param out_json The document, or the failure document; may be NULL.
/// @retval MDE_OK The document is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_get_quota(
    client: *const mde_client,
    out_json: *mut *mut c_char,
) -> mde_status {
    let body = |client: &Client, _: Option<&Cancel>| Ok(client.quota()?.to_json());
    // SAFETY: the caller's promise, passed on.
    unsafe { operation(client, std::ptr::null(), out_json, body) }
}
