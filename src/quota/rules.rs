//! The rules of one client.

use std::sync::Arc;

use once_cell::sync::OnceCell;

use super::{ledger, limits};

/// The limits of a client, and the log that it shares.
#[derive(Debug)]
pub(crate) struct Rules {
    pub limits: limits::Limits,
    /// The log that other processes share. It is known from the first token on, which names the tenant.
    pub ledger: OnceCell<Arc<dyn ledger::Ledger>>,
}
