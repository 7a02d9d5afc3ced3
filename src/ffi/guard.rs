//! Every exported function runs inside this guard. It catches panics and returns every result in the same way.

use std::cell::Cell;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use super::library::mde_status;
use super::strings;
use crate::call::panic_note::take_aftermath;
use crate::error::{Error, Result};
use crate::log::{self, Level};
use crate::os::cancellation;
use crate::status::Status;

thread_local! {
    /// How many nested guards this thread is in. It needs no destructor.
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

/// Runs a function that returns a value and can fail only by a panic.
pub(super) fn value<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    run(body).unwrap_or(fallback)
}

/// `None`: a panic was caught.
fn run<T>(body: impl FnOnce() -> T) -> Option<T> {
    // Once per outermost call: a callback has the state of its call.
    let _deferred = (DEPTH.get() == 0).then(cancellation::Deferred::new);
    quiet_panics();
    DEPTH.set(DEPTH.get() + 1);
    // A panic leaves no invalid state: connections are replaced (see `client::Aftermath`), permits and turns return
    // themselves when dropped, and locks do not poison.
    let outcome = catch_unwind(AssertUnwindSafe(body));
    DEPTH.set(DEPTH.get() - 1);
    match outcome {
        Ok(value) => Some(value),
        Err(payload) => {
            // Dropping the payload could panic again. Leaking it costs a few bytes.
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

/// The standard hook prints panics to the host's stderr. Inside our functions they go to the log instead, with file and
/// line but without the text, which may hold secrets. Outside of them, in a Rust program that links this crate, the
/// earlier hook runs.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if DEPTH.get() == 0 {
                return before(info);
            }
            let location = info.location().map(|l| (l.file(), l.line())).unwrap_or(("unknown", 0));
            log::line(Level::Error, || {
                format!("contained a panic at {}:{}", location.0, location.1)
            });
        }));
    });
}
