//! The handle by which callers cancel their calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::signal::{CANCELLED, Running};

/// Stops operations from outside: by hand, from any thread, or by its own deadline.
///
/// One handle may serve many calls, one after the other or at once. Once triggered it stays so.
#[derive(Clone, Debug)]
pub struct Cancel(pub(super) Arc<CancelState>);

#[derive(Debug)]
pub(super) struct CancelState {
    pub(super) deadline: Option<Instant>,
    pub(super) running: Running,
}

impl Cancel {
    /// A handle that is triggered by hand, or ends its calls with `deadline` once `timeout` has passed.
    pub fn new(timeout: Option<Duration>) -> Cancel {
        Cancel(Arc::new(CancelState {
            deadline: timeout.and_then(|t| Instant::now().checked_add(t)),
            running: Running::default(),
        }))
    }

    /// Ends every call that uses this handle, now and later, with `cancelled`. May be repeated.
    pub fn trigger(&self) {
        self.0.running.stop_all(CANCELLED);
    }
}
