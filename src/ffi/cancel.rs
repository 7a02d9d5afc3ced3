//! Cancel handles.

use std::time::Duration;

use super::{guard, ptr};
use crate::call::Cancel;

/// Stops calls from outside. Used by many threads at once.
pub struct mde_cancel(pub(super) Cancel);

/// A handle that stops the calls it is given to: with MDE_ERR_CANCELLED when it is triggered, or with
/// MDE_ERR_DEADLINE once `timeout_ms` has passed since now (0: no deadline). One handle may serve many
/// calls. NULL only after a contained defect. Free with mde_cancel_free().
#[unsafe(no_mangle)]
pub extern "C" fn mde_cancel_new(timeout_ms: u64) -> *mut mde_cancel {
    guard::value(std::ptr::null_mut(), || {
        let timeout = (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms));
        Box::into_raw(Box::new(mde_cancel(Cancel::new(timeout))))
    })
}

/// Ends every call that uses the handle, now and later. From any thread, any number of times. What
/// cannot be cut short is nothing but a callback of yours. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_cancel_trigger(cancel: *const mde_cancel) {
    guard::value((), || {
        // SAFETY: the caller's promise (header, "Pointers").
        if let Some(cancel) = unsafe { ptr::optional(cancel) } {
            cancel.0.trigger();
        }
    });
}

/// Frees a cancel handle that no call uses any more. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mde_cancel_free(cancel: *mut mde_cancel) {
    guard::value((), || {
        // SAFETY: the caller's promise (header, "Ownership").
        unsafe { ptr::free(cancel) }
    });
}
