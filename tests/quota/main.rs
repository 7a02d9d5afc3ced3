//! Tests that the quota of a tenant is never exceeded, and that all of it can be used.

/// One quota for the processes of a machine.
mod file;
/// One quota for the clients of a process.
mod limits;
/// One quota for many machines.
mod redis;
/// Rights of a quota file that replaces another.
mod rights;
