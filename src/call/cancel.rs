//! The handle with which callers cancel their calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::signal::{CANCELLED, Running};

/// Stops operations: when it is triggered, from any thread, or at its own deadline.
///
/// One handle may serve many calls, one after the other or at once. It stays triggered.
#[derive(Clone, Debug)]
pub struct Cancel(pub(super) Arc<CancelState>);

#[derive(Debug)]
pub(super) struct CancelState {
    pub(super) deadline: Option<Instant>,
    pub(super) running: Running,
}

impl Cancel {
    /// Makes a handle. It ends its calls with `deadline` once `timeout` has passed.
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
