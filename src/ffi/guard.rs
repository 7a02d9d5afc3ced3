//! Every exported function runs inside this guard. It catches panics and returns every result in the same way.

use std::ffi::c_char;

use super::library::mde_status;
use super::strings;
use crate::call::contained;
use crate::call::panic_note::take_aftermath;
use crate::error::{Error, Result};
use crate::os::cancellation;
use crate::status::Status;

/// Runs a function that returns a status and, through `out_json`, one JSON document.
///
/// # Safety
/// `out_json` is NULL or points to a writable `char *`.
pub(super) unsafe fn document(
    out_json: *mut *mut c_char,
    body: impl FnOnce() -> Result<String>,
) -> mde_status {
    // SAFETY: the caller's promise, passed on.
    unsafe { outcome(out_json, || body().map(Some)) }
}

/// Runs a function without a result: on success its document is NULL.
///
/// # Safety
/// As for [`document`].
pub(super) unsafe fn failure(
    out_json: *mut *mut c_char,
    body: impl FnOnce() -> Result<()>,
) -> mde_status {
    // SAFETY: the caller's promise, passed on.
    unsafe { outcome(out_json, || body().map(|()| None)) }
}

/// # Safety
/// As for [`document`].
unsafe fn outcome(
    out_json: *mut *mut c_char,
    body: impl FnOnce() -> Result<Option<String>>,
) -> mde_status {
    // SAFETY: the caller's promise about out_json, passed on.
    unsafe { strings::clear(out_json) };
    let (status, json) = match run(body) {
        Some(Ok(json)) => (Status::Ok, json),
        Some(Err(error)) => (error.status(), Some(error.into_json())),
        None => (Status::Internal, Some(internal().to_json())),
    };
    if let Some(json) = json {
        // SAFETY: as above.
        unsafe { strings::give(out_json, json) };
    }
    status.code()
}

/// Runs a function that returns only a status.
pub(super) fn status(body: impl FnOnce() -> Result<()>) -> mde_status {
    match run(body) {
        Some(Ok(())) => Status::Ok.code(),
        Some(Err(error)) => error.status().code(),
        None => Status::Internal.code(),
    }
}

/// Runs a function that returns a value and can fail only by a panic.
pub(super) fn value<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    run(body).unwrap_or(fallback)
}

/// `None`: a panic was caught.
fn run<T>(body: impl FnOnce() -> T) -> Option<T> {
    // Once per outermost call: a callback has the state of its call.
    let _deferred = contained::is_outermost().then(cancellation::Deferred::new);
    contained::run(body)
}

fn internal() -> Error {
    let error =
        Error::new(Status::Internal, "a defect in the library was contained; please report it");
    if take_aftermath() { error.outcome_unknown() } else { error }
}
