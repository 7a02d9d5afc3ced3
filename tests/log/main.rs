//! The log lines, and the secrets that are never in them. It is a separate program, because the log belongs to the
//! process. Only one test at a time uses it.

mod echoes;
mod http_library;
mod lines;
mod secrets;
mod sign_in_secrets;

use std::sync::{Arc, Mutex, MutexGuard};

use mde::log::Level;

static TURN: Mutex<()> = Mutex::new(());

/// The log of this process at its finest, kept. Only one test has it at a time.
struct Log {
    lines: Arc<Mutex<Vec<(Level, String)>>>,
    _turn: MutexGuard<'static, ()>,
}

impl Log {
    fn start() -> Log {
        Log::start_with(|| ())
    }

    /// `also` is called for every line.
    fn start_with(also: impl Fn() + Send + Sync + 'static) -> Log {
        let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let keep = move |level: Level, line: &str| {
            also();
            kept.lock().unwrap().push((level, line.to_owned()));
        };
        mde::log::set(Some((Level::Debug, Arc::new(keep))));
        Log { lines, _turn: turn }
    }

    /// The lines since the last time.
    fn take(&self) -> Vec<(Level, String)> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        mde::log::set(None);
    }
}
