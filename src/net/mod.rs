//! Sending one request and reading its reply, whatever lies in between.

pub(crate) mod agent;
mod crypto;
pub(crate) mod dial;
pub(crate) mod failure;
pub(crate) mod incoming;
pub(crate) mod link;
pub(crate) mod proxy;
pub(crate) mod redact;
pub(crate) mod reply;
mod resolve;
pub(crate) mod retry;
pub(crate) mod socket;
pub(crate) mod tls;
mod tunnel;
