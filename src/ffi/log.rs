//! The log callback.

use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

use super::guard;
use super::library::{mde_free_fn, mde_status};
use super::user_data::UserData;
use crate::error::{Error, Result};
use crate::log::{self, Level};
use crate::os;

/// Receives one line of log text.
///
/// May be called from any thread that is inside a function of this library, and from several at once. The function
/// of the library waits for it. It may use this library; nothing may leave it but a return: an exception ends the
/// process.
/// @param user_data As given to mde_log_set().
/// @param level One of MDE_LOG_ERROR to MDE_LOG_DEBUG.
/// @param message One line of UTF-8 without secrets, valid during the call only.
pub type mde_log_fn =
    Option<unsafe extern "C-unwind" fn(user_data: *mut c_void, level: i32, message: *const c_char)>;

/// Sends log lines to a callback, for the whole process. It replaces an earlier one.
///
/// A call of the earlier callback may still run on another thread when this returns. Its own `free_user_data` is called
/// when the last such call has ended, maybe on that thread.
/// @param callback The callback. NULL switches logging off, which is the default.
/// @param user_data Passed to every call of the callback; may be NULL.
/// @param free_user_data Called once, with user_data, when no call of the callback can come any more; may be NULL.
/// @param level The least important level that is sent; MDE_LOG_OFF switches logging off.
/// @retval MDE_OK The callback is set, or logging is off.
/// @retval MDE_ERR_INVALID_ARGUMENT There is no such level. Nothing changed, and user_data remains the caller's.
#[unsafe(no_mangle)]
pub extern "C" fn mde_log_set(
    callback: mde_log_fn,
    user_data: *mut c_void,
    free_user_data: mde_free_fn,
    level: i32,
) -> mde_status {
    guard::status(|| {
        let level = level_from(level)?;
        let user_data = UserData::new(user_data, free_user_data);
        log::set(callback.zip(level).map(|(callback, level)| {
            let writer = move |level: Level, line: &str| {
                if let Ok(line) = CString::new(line) {
                    let user_data = user_data.get();
                    // SAFETY: the caller gave this function for this purpose; the line outlives the call.
                    let mut write = || unsafe { callback(user_data, level as i32, line.as_ptr()) };
                    os::callback::call(&mut write);
                }
            };
            (level, Arc::new(writer) as Arc<log::Writer>)
        }));
        Ok(())
    })
}

fn level_from(level: i32) -> Result<Option<Level>> {
    Ok(match level {
        0 => None,
        1 => Some(Level::Error),
        2 => Some(Level::Warn),
        3 => Some(Level::Info),
        4 => Some(Level::Debug),
        _ => {
            return Err(Error::argument(
                "level",
                "is no log level",
                "MDE_LOG_OFF to MDE_LOG_DEBUG",
            ));
        }
    })
}
