//! Signing in, in every way.

mod certificate;
mod managed;
/// Against an authority that others wrote.
mod oidc;
/// Token requests, and what is made of their replies.
mod requests;
/// Tokens that many calls and clients share.
mod shared;
mod workload;
