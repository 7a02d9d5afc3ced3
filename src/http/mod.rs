//! One HTTP request and its reply: connections, TLS, proxies, failures, retries.

pub(crate) mod aside;
mod attempt;
pub(crate) mod body;
mod chacha20;
pub(crate) mod client;
pub(crate) mod client_certificate;
pub(crate) mod connect;
mod crypto;
pub(crate) mod failure;
mod location;
pub(crate) mod method;
mod presented;
pub(crate) mod proxy;
mod race;
pub(crate) mod reply;
mod resolve;
pub(crate) mod retry;
pub(crate) mod socket;
pub(crate) mod tls;
pub(crate) mod trace;
pub(crate) mod transport;
mod tunnel;
pub(crate) mod way;
mod x25519;
