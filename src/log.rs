//! What the library tells the host's log: one line per event, never a secret, never under a lock.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::RwLock;

/// How important a line is. The numbers are part of the C ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something failed that the host should know about.
    Error = 1,
    /// Something unusual that the library dealt with.
    Warn = 2,
    /// One line per operation.
    Info = 3,
    /// One line per request.
    Debug = 4,
}

/// Receives log lines; may be called from several threads at once.
pub type Sink = dyn Fn(Level, &str) + Send + Sync;

static MAX: AtomicU8 = AtomicU8::new(0);
static SINK: RwLock<Option<Arc<Sink>>> = RwLock::new(None);

/// Sends lines up to `level` to `sink` from now on, for the whole process; `None` switches logging off. The sink before
/// is dropped with the last line that it is in the midst of.
pub fn set(sink: Option<(Level, Arc<Sink>)>) {
    let (max, sink) = match sink {
        Some((level, sink)) => (level as u8, Some(sink)),
        None => (0, None),
    };
    let mut current = SINK.write();
    let before = std::mem::replace(&mut *current, sink);
    MAX.store(max, Ordering::Release);
    // Dropped outside the lock: what the host has to free may use the library.
    drop(current);
    drop(before);
}

/// Writes a line if anybody listens at this level; the text is only built then.
pub(crate) fn line(level: Level, text: impl FnOnce() -> String) {
    // A sink that uses the library would otherwise be told of its own calls, without end.
    if level as u8 > MAX.load(Ordering::Acquire) || INSIDE.get() {
        return;
    }
    // Taken out of the lock first: the sink may take its time, or call back into the library.
    let sink = SINK.read().clone();
    if let Some(sink) = sink {
        INSIDE.set(true);
        let _outside = Outside;
        sink(level, &text());
    }
}

thread_local! {
    /// Whether this thread is inside the sink.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

struct Outside;

impl Drop for Outside {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}
