//! What a client keeps to.

use std::sync::Arc;

use once_cell::sync::OnceCell;

use super::{ledger, limits};

/// What a client keeps to.
#[derive(Debug)]
pub(crate) struct Rules {
    pub limits: limits::Limits,
    /// Where the quota is shared with other processes; known from the first token on.
    pub ledger: OnceCell<Arc<dyn ledger::Ledger>>,
}
