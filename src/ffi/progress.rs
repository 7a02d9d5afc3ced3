//! The progress callback.

use std::ffi::{CString, c_char, c_void};
use std::ops::ControlFlow;

use super::log::UserData;
use crate::progress::Event;

/// Receives one event of a long operation: a JSON object, valid during the call only. Called on the thread that
/// called the operation, at most ten times a second. Any other result than 0 ends the operation with
/// MDE_ERR_CANCELLED. It may use this library, other than to free or shut down the client. It must not throw
/// or longjmp. `stage` says what the event is about, and which members it has:
///
///  {"stage":"quota","action_id":"…","endpoint":"link","wait_ms":41000}
///  {"stage":"collect","action_id":"…","adopted":false}
///  {"stage":"wait","action_id":"…","status":"InProgress","elapsed_ms":61000,"next_poll_ms":15000}
///  {"stage":"download","action_id":"…","bytes":1048576,"total":7340032,"bytes_per_second":524288}
///  {"stage":"verify","action_id":"…","bytes":1048576,"total":7340032}
///
/// "quota" comes before a collection or a link is asked for that has to wait for its quota, by more than a second:
/// which `endpoint`, as in mde_quota_status, and how long at least, absent while that depends on calls under way or
/// waiting; `action_id` is absent before there is an action. The wait may last a minute, and an hour where packages
/// are many; the callback is not called meanwhile, so only a cancel handle, a deadline or mde_client_shutdown() can
/// end it. When a look of a wait has to queue, or a request that is repeated, only the log says so.
/// "collect" comes once, from mde_fetch_package alone; `adopted` is as in its document. "wait" comes at each look:
/// `elapsed_ms` is the time since this call began to wait, `next_poll_ms` that until the next look, 0 after the
/// last; `status` is absent while the service does not show the action yet. `bytes` of "download" is what has
/// come, with what an earlier call left on disk; `total` is absent when the host did not tell it;
/// `bytes_per_second` is the rate of late. "verify" comes whenever a file is read through: the package at the
/// end, and what an earlier call left at the beginning.
/// Readers must ignore members and stages they do not know.
pub type mde_progress_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, event_json: *const c_char) -> i32>;

/// The host's callback as the core sees it.
pub(super) fn sink(
    callback: mde_progress_fn,
    user_data: *mut c_void,
) -> Option<impl FnMut(&Event<'_>) -> ControlFlow<()>> {
    let user_data = UserData::new(user_data);
    callback.map(|callback| {
        move |event: &Event<'_>| {
            let Ok(event) = CString::new(event.to_json()) else { return ControlFlow::Continue(()) };
            // SAFETY: the caller gave this function for this purpose; the event outlives the call.
            match unsafe { callback(user_data.get(), event.as_ptr()) } {
                0 => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }
        }
    })
}
