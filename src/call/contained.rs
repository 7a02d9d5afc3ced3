//! The only place that catches panics: around a call of the host, and around the work of a thread of the library.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::log::{self, Level};

thread_local! {
    /// How many nested calls this thread is in. It needs no destructor.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Whether this thread is in no call.
pub(crate) fn is_outermost() -> bool {
    DEPTH.get() == 0
}

/// `None`: a panic was caught.
pub(crate) fn run<T>(body: impl FnOnce() -> T) -> Option<T> {
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

/// The standard hook prints panics to the host's stderr. Inside our functions they go to the log instead, with file and
/// line but without the text, which may hold secrets. Outside of them, in a Rust program that links this crate, the
/// earlier hook runs.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if is_outermost() {
                return before(info);
            }
            let location = info.location().map(|l| (l.file(), l.line())).unwrap_or(("unknown", 0));
            log::line(Level::Error, || {
                format!("contained a panic at {}:{}", location.0, location.1)
            });
        }));
    });
}
