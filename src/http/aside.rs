//! Work that cannot be interrupted, such as a name lookup, on a thread of its own. A call that stops first abandons it.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::failure::Failure;
use super::socket::wait_for;
use crate::os::thread;

/// What runs at the moment: at most one thread for each key.
#[derive(Debug)]
pub(super) struct Aside<T> {
    running: Mutex<Vec<(String, Arc<Work<T>>)>>,
}

/// One piece of work, and its result for all who wait.
#[derive(Debug)]
pub(super) struct Work<T> {
    result: Mutex<Option<T>>,
    ended: Condvar,
}

impl<T> Default for Aside<T> {
    fn default() -> Aside<T> {
        Aside { running: Mutex::default() }
    }
}

impl<T: Clone + Send + 'static> Aside<T> {
    /// The running work of this key, or a new one. Returns whether it is new.
    pub(super) fn join(
        self: &Arc<Aside<T>>,
        thread: &str,
        key: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<(Arc<Work<T>>, bool)> {
        let mut running = self.running.lock();
        if let Some((_, work)) = running.iter().find(|(known, _)| known == key) {
            return Ok((Arc::clone(work), false));
        }
        let new = Arc::new(Work { result: Mutex::new(None), ended: Condvar::new() });
        let (all, own, name) = (Arc::clone(self), Arc::clone(&new), key.to_owned());
        thread::spawn(thread, move || {
            let result = work();
            *own.result.lock() = Some(result);
            all.running.lock().retain(|(known, _)| *known != name);
            own.ended.notify_all();
        })?;
        running.push((key.to_owned(), Arc::clone(&new)));
        Ok((new, true))
    }
}

impl<T: Clone> Work<T> {
    /// Waits for the result. `None`: the limit has passed.
    pub(super) fn wait(&self, limit: Instant) -> Result<Option<T>, Failure> {
        wait_for(limit, |slice| {
            let mut result = self.result.lock();
            if result.is_none() {
                self.ended.wait_for(&mut result, slice);
            }
            Ok(result.clone())
        })
    }
}
