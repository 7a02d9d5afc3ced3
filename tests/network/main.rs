//! The network between a program and the service.

/// The check of the way to the hosts.
mod access;
/// Names with several addresses, most of them dead.
mod addresses;
/// Gateways that ask for a client certificate.
mod client_certificates;
/// TLS with a private CA, host names, keep-alive connections.
mod connections;
/// Connections that are cut at every byte.
mod cuts;
/// Logins at proxies by Kerberos.
mod kerberos;
/// Programs with more rights than the user who starts them.
mod privileges;
/// Proxies, real ones and others, and the environment that names them.
mod proxies;
/// How soon a call ends that is stopped.
mod stopping;
/// The system calls of a call.
mod system_calls;
/// Certificates that are trusted, and those that are not.
mod trust;
