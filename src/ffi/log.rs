//! The log callback.

use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

use super::guard;
use crate::error::{Error, Result};
use crate::log::{self, Level};

/// Receives one line of log text: UTF-8, one line, without secrets, valid during the call only.
/// May be called from any thread that is inside a function of this library, from several at once. It
/// may take its time, but the call waits for it. It must not throw, longjmp or call mde_log_set().
pub type mde_log_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: *const c_char)>;

/// What the host wants back with every callback.
#[derive(Clone, Copy)]
pub(super) struct UserData(*mut c_void);

impl UserData {
    pub(super) fn new(pointer: *mut c_void) -> UserData {
        UserData(pointer)
    }

    pub(super) fn get(self) -> *mut c_void {
        self.0
    }
}

// SAFETY: we only pass the pointer back; the header says that callbacks come from any thread.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

/// Sends log lines up to `level` to `callback`, for the whole process. A `callback` of NULL or a level
/// of MDE_LOG_OFF switches logging off, as it is at first. A call of the callback before may still be
/// running on another thread when this returns; end all calls before `user_data` goes away.
#[unsafe(no_mangle)]
pub extern "C" fn mde_log_set(callback: mde_log_fn, user_data: *mut c_void, level: i32) -> i32 {
    guard::status(|| {
        let level = level_from(level)?;
        let user_data = UserData::new(user_data);
        log::set(callback.zip(level).map(|(callback, level)| {
            let sink = move |level: Level, line: &str| {
                if let Ok(line) = CString::new(line) {
                    // SAFETY: the caller gave this function for this purpose; the line outlives the call.
                    unsafe { callback(user_data.get(), level as i32, line.as_ptr()) };
                }
            };
            (level, Arc::new(sink) as Arc<log::Sink>)
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
