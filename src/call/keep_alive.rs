//! What must be kept alive while a call waits for the network.

use std::time::Duration;

/// Something that must be renewed while a call waits for the network, such as a slot in a shared quota.
pub(crate) trait KeepAlive: std::fmt::Debug + Send {
    /// Renews it if it is time, and returns how it stands.
    fn keep(&mut self) -> Kept;
}

/// How a slot stands that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// It was not renewed in time, or nobody can say that it was.
    pub is_lost: bool,
    /// How soon it wants to be kept again. A lost one does, too: its call may be under way, and is to be counted.
    pub again_in: Duration,
}
