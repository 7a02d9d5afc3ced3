//! The progress callback.

use std::ffi::{CString, c_char, c_void};
use std::ops::ControlFlow;

use crate::os;
use crate::progress::Event;

/// Receives one event of a long operation.
///
/// Called on the thread that called the operation, at most ten times a second. It may use this library, other than to
/// free or shut down the client. Nothing may leave it but a return: an exception ends the process.
///
///  {"stage":"quota","action_id":"...","endpoint":"link","wait_ms":41000}
///  {"stage":"collect","action_id":"...","adopted":false}
///  {"stage":"wait","action_id":"...","status":"InProgress","elapsed_ms":61000,"next_poll_ms":15000}
///  {"stage":"download","action_id":"...","bytes":1048576,"total":7340032,"bytes_per_second":524288}
///  {"stage":"verify","action_id":"...","bytes":1048576,"total":7340032}
///
/// mde_fetch_packages() alone has these, and a "machine_id" in each event of a single device:
///
///  {"stage":"fleet","devices":500,"done":120,"failed":2,"skipped":1,"running":30,"ready":12,"downloading":4,
///   "bytes":880803840,"eta_ms":10800000}
///  {"stage":"ended","machine_id":"...","state":"done","package":{...},"action":{...},"adopted":false}
///
/// - action_id: the machine action; absent before there is one, and from mde_inspect_package().
/// - endpoint, wait_ms: the quota that the next request, for a collection or a link, waits for by more than a second,
///   and the least wait; wait_ms is absent while that depends on other calls. The callback is not called meanwhile.
/// - adopted: as in the document of mde_fetch_package(), which alone has "collect", once.
/// - status: of the action at this poll; absent while the service does not show the action yet.
/// - elapsed_ms, next_poll_ms: the time since this call began to wait, and until the next poll; 0 after the last.
/// - bytes, total of "download": the bytes on disk, those of an earlier call included, and the length of the package;
///   total is absent if the host did not name it.
/// - bytes_per_second: the recent rate.
/// - bytes, total of "verify": how much of a file is read, and its length. The file is the whole package at the end,
///   and the part of an earlier call at the beginning; mde_inspect_package() reads twice.
///
/// - devices, done, failed, skipped, running, ready, downloading: how many devices of the job are how far. Downloads
///   that run are in "downloading" and not in "ready".
/// - bytes of "fleet": all packages that are done, and the parts that are being downloaded.
/// - eta_ms: the least time that the quota needs for the rest; absent if it is not known.
/// - the members of "ended": the device, which has its outcome, as in the document. Some outcomes have no event: those
///   of earlier calls, and some of many that come at once. The document has all.
///
/// Readers must ignore members and stages they do not know.
/// @param user_data As given to the operation.
/// @param event_json A JSON object, valid during the call only.
/// @return 0 to continue. Any other value ends the operation with MDE_ERR_CANCELLED.
pub type mde_progress_fn =
    Option<unsafe extern "C-unwind" fn(user_data: *mut c_void, event_json: *const c_char) -> i32>;

/// A function that sends events to the host's callback.
pub(super) fn forwarder(
    callback: mde_progress_fn,
    user_data: *mut c_void,
) -> Option<impl FnMut(&Event<'_>) -> ControlFlow<()>> {
    callback.map(|callback| {
        move |event: &Event<'_>| {
            let Ok(event) = CString::new(event.to_json()) else { return ControlFlow::Continue(()) };
            let mut returned = 0;
            // SAFETY: the caller gave this function for this purpose; the event outlives the call.
            os::callback::call(&mut || returned = unsafe { callback(user_data, event.as_ptr()) });
            match returned {
                0 => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }
        }
    })
}
