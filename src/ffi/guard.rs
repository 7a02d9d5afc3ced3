//! The border: every exported function runs in here. No panic crosses it, and every result leaves it
//! in the same way.

use std::cell::Cell;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use super::library::mde_status;
use super::strings;
use crate::call::panic_note::take_aftermath;
use crate::error::{Error, Result};
use crate::log::{self, Level};
use crate::status::Status;

thread_local! {
    /// How many guards this thread is inside of. Needs no destructor.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

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

/// Runs a function that has nothing to say on success: its document is NULL then.
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
        Some(Err(error)) => (error.status(), Some(error.to_json())),
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

/// Runs a function that returns a value and cannot fail otherwise than by a defect.
pub(super) fn value<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    run(body).unwrap_or(fallback)
}

/// `None`: a panic was contained.
fn run<T>(body: impl FnOnce() -> T) -> Option<T> {
    quiet_panics();
    DEPTH.set(DEPTH.get() + 1);
    // What a panic may have left half done: connections are replaced (see `client::Aftermath`), permits and
    // turns give themselves back when dropped, and locks do not poison.
    let outcome = catch_unwind(AssertUnwindSafe(body));
    DEPTH.set(DEPTH.get() - 1);
    match outcome {
        Ok(value) => Some(value),
        Err(payload) => {
            // Dropping the payload runs foreign code once more; forgetting it costs a few bytes.
            std::mem::forget(payload);
            None
        }
    }
}

fn internal() -> Error {
    let error =
        Error::new(Status::Internal, "a defect in the library was contained; please report it");
    if take_aftermath() { error.outcome_unknown() } else { error }
}

/// The standard hook prints a panic's text to the host's stderr. Inside our functions it goes to the
/// log instead, with its place and without its text, which may hold anything. Elsewhere (a Rust program
/// that links this crate) the hook that was there before stays in charge.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if DEPTH.get() == 0 {
                return before(info);
            }
            let place = info.location().map(|l| (l.file(), l.line())).unwrap_or(("unknown", 0));
            log::line(Level::Error, || format!("contained a panic at {}:{}", place.0, place.1));
        }));
    });
}
