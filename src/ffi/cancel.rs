//! Cancel handles.

use std::time::Duration;

use super::{guard, ptr};
use crate::call::Cancel;

/// Stops calls from other threads. Used by many threads at once.
pub struct mde_cancel(pub(super) Cancel);

/// Makes a handle that stops all calls that use it.
///
/// They end with MDE_ERR_CANCELLED when it is triggered, and with MDE_ERR_DEADLINE when its time is over.
/// @param timeout_ms The time from now until the deadline; 0 for none.
/// @return A handle for mde_cancel_free(). NULL only after a defect in the library.
#[unsafe(no_mangle)]
pub extern "C" fn mde_cancel_new(timeout_ms: u64) -> *mut mde_cancel {
    guard::value(std::ptr::null_mut(), || {
        let timeout = (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms));
        Box::into_raw(Box::new(mde_cancel(Cancel::new(timeout))))
    })
}

/// Ends every call that uses the handle, now and later. A call inside one of your callbacks ends when that returns.
///
/// It may be called from any thread, any number of times.
/// @param cancel May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_cancel_trigger(cancel: *const mde_cancel) {
    guard::value((), || {
        // SAFETY: the caller's promise (header, "Pointers").
        if let Some(cancel) = unsafe { ptr::optional(cancel) } {
            cancel.0.trigger();
        }
    });
}

/// Frees a cancel handle that no call uses any more.
/// @param cancel May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_cancel_free(cancel: *mut mde_cancel) {
    guard::value((), || {
        // SAFETY: the caller's promise (header, "Ownership").
        unsafe { ptr::free(cancel) }
    });
}
