//! A slot that must be renewed while a call waits for the network.

use std::time::Duration;

/// A slot in a shared quota, which is lost unless it is renewed in time.
pub(crate) trait KeepAlive: std::fmt::Debug + Send {
    /// Renews the slot if it is due.
    fn keep(&mut self) -> Kept;
}

/// The state of a slot after its renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The slot was not renewed in time, or that is not certain.
    pub is_lost: bool,
    /// The time until the next renewal. A lost slot is renewed as well, so that a call under way is counted.
    pub again_in: Duration,
}
