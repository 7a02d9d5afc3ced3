//! Log lines for the host: one per event, without secrets, never written under a lock.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::RwLock;

/// The importance of a line. The numbers are part of the C ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something failed that the host should know about.
    Error = 1,
    /// Something unusual that the library handled.
    Warn = 2,
    /// One line per operation.
    Info = 3,
    /// One line per request.
    Debug = 4,
}

/// Receives log lines. It may be called from several threads at once.
pub type Writer = dyn Fn(Level, &str) + Send + Sync;

static MAX: AtomicU8 = AtomicU8::new(0);
static WRITER: RwLock<Option<Arc<Writer>>> = RwLock::new(None);

/// Sends lines up to `level` to `writer` from now on, for the whole process. `None` switches logging off. The earlier
/// writer is dropped after its last line.
pub fn set(writer: Option<(Level, Arc<Writer>)>) {
    let (max, writer) = match writer {
        Some((level, writer)) => (level as u8, Some(writer)),
        None => (0, None),
    };
    let mut current = WRITER.write();
    let before = std::mem::replace(&mut *current, writer);
    MAX.store(max, Ordering::Release);
    // Dropped outside the lock: the host's free function may use the library.
    drop(current);
    drop(before);
}

/// Writes a line if the level is enabled. The text is built only then.
pub(crate) fn line(level: Level, text: impl FnOnce() -> String) {
    // A writer that uses the library would otherwise log its own calls, without end.
    if level as u8 > MAX.load(Ordering::Acquire) || INSIDE.get() {
        return;
    }
    // The lock is not held during the write: the writer may be slow, or use the library.
    let writer = WRITER.read().clone();
    if let Some(writer) = writer {
        INSIDE.set(true);
        let _outside = Outside;
        writer(level, &text());
    }
}

thread_local! {
    /// Whether this thread is inside the writer.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

struct Outside;

impl Drop for Outside {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}
