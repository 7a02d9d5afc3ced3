//! Everything that asks the operating system. Beside `ffi`, the only place where unsafe code may stand.
//!
//! Miri knows no assembly, no forks, and no cancellation of threads. What needs them is for `not(miri)` alone.

#![allow(unsafe_code)]

pub(crate) mod boot_clock;
pub(crate) mod callback;
pub(crate) mod cancellation;
#[cfg(windows)]
pub(crate) mod certificate_store;
#[cfg(unix)]
pub(crate) mod descriptor;
pub(crate) mod environment;
pub(crate) mod file;
pub(crate) mod file_limit;
pub(crate) mod fork;
#[cfg(unix)]
mod gssapi;
pub(crate) mod io_error;
pub(crate) mod lock;
pub(crate) mod login;
pub(crate) mod patience;
pub(crate) mod per_process;
pub(crate) mod random;
pub(crate) mod rename;
#[cfg(test)]
mod seeded;
pub(crate) mod small_file;
#[cfg(windows)]
mod sspi;
pub(crate) mod state_file;
pub(crate) mod sync;
pub(crate) mod system_proxy;
pub(crate) mod thread;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
pub(crate) mod windows;
#[cfg(windows)]
mod winhttp;
