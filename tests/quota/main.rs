//! The quota of a tenant is never exceeded, and all of it can be used.

/// One quota for the processes of a machine.
mod file;
/// One quota for the clients of a process.
mod limits;
/// One quota for many machines.
mod redis;
/// Who may use a file that takes the place of another.
mod rights;
