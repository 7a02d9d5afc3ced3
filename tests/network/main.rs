//! What lies between a program and the service.

/// TLS with a private CA, a real proxy, names, connections that are kept.
mod connections;
/// Connections that are cut at every place.
mod cuts;
/// Proxies, real ones and others, and the environment that names them.
mod proxies;
/// How soon a call ends that is stopped.
mod stopping;
/// What a call costs in system calls.
mod system_calls;
/// Certificates that are trusted, and those that are not.
mod trust;
