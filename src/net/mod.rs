//! Sending one request and reading its reply, whatever lies in between.

pub(crate) mod agent;
mod crypto;
mod dial;
pub(crate) mod failure;
mod link;
pub(crate) mod proxy;
pub(crate) mod redact;
pub(crate) mod reply;
mod resolve;
pub(crate) mod retry;
mod socket;
pub(crate) mod tls;
mod tunnel;
