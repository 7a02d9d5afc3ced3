//! All ways to sign in.

/// The check of the access.
mod access;
mod certificate;
mod managed;
/// Signing in to an independent OpenID provider.
mod oidc;
/// Certificates whose files are renewed.
mod renewal;
/// Token requests and their replies.
mod requests;
/// Tokens that many calls and clients share.
mod shared;
/// Signing in with a key that only a callback of the host can use.
mod signer;
mod workload;
