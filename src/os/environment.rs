//! The variables of the environment.
//!
//! A program that is set-uid, set-gid or has capabilities of its own runs with more rights than the user who starts it. It
//! must not believe that user's environment, which could name a proxy, an authority or a file to read. So no variable
//! counts there, as with `secure_getenv`.

use std::env::{self, VarError};

use crate::error::{Error, Result};
use crate::log::{self, Level};
use crate::status::Status;

/// A variable of the environment; an empty one is as good as none.
pub(crate) fn variable(name: &str) -> Result<Option<String>> {
    let value = match env::var(name) {
        Ok(value) if value.is_empty() => return Ok(None),
        Err(VarError::NotPresent) => return Ok(None),
        Ok(value) => Some(value),
        Err(VarError::NotUnicode(_)) => None,
    };
    if is_untrusted() {
        log::line(Level::Warn, || {
            format!("the environment variable {name} is ignored: {UNTRUSTED}")
        });
        return Ok(None);
    }
    let unreadable = || {
        let message = format!("the environment variable {name} is not Unicode");
        Error::new(Status::Config, message)
    };
    value.ok_or_else(unreadable).map(Some)
}

/// Why the environment does not count.
pub(crate) const UNTRUSTED: &str =
    "this program runs with more rights than the user who started it";

/// Whether the environment is that of a user with fewer rights.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn is_untrusted() -> bool {
    use std::ffi::c_ulong;

    const AT_SECURE: c_ulong = 23;

    // SAFETY: the declaration is that of the C library, and every value is valid.
    unsafe extern "C" {
        safe fn getauxval(kind: c_ulong) -> c_ulong;
    }
    getauxval(AT_SECURE) != 0
}

/// The same where the system has a function for it.
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
pub(crate) fn is_untrusted() -> bool {
    use std::ffi::c_int;

    // SAFETY: the declaration is that of the C library.
    unsafe extern "C" {
        safe fn issetugid() -> c_int;
    }
    issetugid() != 0
}

/// Windows has no such programs.
#[cfg(windows)]
pub(crate) fn is_untrusted() -> bool {
    false
}
