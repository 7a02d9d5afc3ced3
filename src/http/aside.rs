//! Work that cannot be interrupted, such as a name lookup, on a thread of its own. A call that stops first abandons it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::failure::Failure;
#[cfg(any(windows, test))]
use super::socket::SLICE;
use super::socket::wait_for;
#[cfg(any(windows, test))]
use crate::call::Call;
use crate::call::contained;
use crate::os::thread;
use crate::status::Status;

/// What runs at the moment: at most one thread for each key.
#[derive(Debug)]
pub(crate) struct Aside<T> {
    running: Mutex<Vec<(String, Arc<Work<T>>)>>,
}

/// One piece of work, and its result for all who wait.
#[derive(Debug)]
pub(crate) struct Work<T> {
    state: Mutex<State<T>>,
    ended: Condvar,
}

#[derive(Debug)]
enum State<T> {
    Running,
    Ended(T),
    /// It has panicked.
    Lost,
}

impl<T> Default for Aside<T> {
    fn default() -> Aside<T> {
        Aside { running: Mutex::default() }
    }
}

impl<T: Clone + Send + 'static> Aside<T> {
    /// The running work of this key, or a new one. Returns whether it is new.
    ///
    /// The work is boxed, so that all works with one type of result share this code.
    pub(crate) fn join(
        self: &Arc<Aside<T>>,
        thread: &str,
        key: &str,
        work: Box<dyn FnOnce() -> T + Send>,
    ) -> io::Result<(Arc<Work<T>>, bool)> {
        let mut running = self.running.lock();
        if let Some((_, work)) = running.iter().find(|(known, _)| known == key) {
            return Ok((Arc::clone(work), false));
        }
        let new = Arc::new(Work { state: Mutex::new(State::Running), ended: Condvar::new() });
        let (all, own, name) = (Arc::clone(self), Arc::clone(&new), key.to_owned());
        let run = move || {
            // A panic must not leave the key to calls that would wait for nothing.
            let state = contained::run(work).map_or(State::Lost, State::Ended);
            *own.state.lock() = state;
            all.running.lock().retain(|(known, _)| *known != name);
            own.ended.notify_all();
        };
        thread::spawn(thread, run)?;
        running.push((key.to_owned(), Arc::clone(&new)));
        Ok((new, true))
    }
}

impl<T: Clone> Work<T> {
    /// Waits for the result. `None`: the limit has passed.
    pub(crate) fn wait(&self, limit: Instant) -> Result<Option<T>, Failure> {
        wait_for(limit, |slice| self.wait_for(slice).map_err(io::Error::from))
    }

    /// The same for a call that has no exchange. `None`: the call was stopped, its deadline has passed, or the work has
    /// panicked.
    #[cfg(any(windows, test))]
    pub(crate) fn wait_in(&self, call: &Call) -> Option<T> {
        while call.check().is_ok() {
            match self.wait_for(SLICE) {
                Ok(None) => {}
                ended => return ended.ok().flatten(),
            }
        }
        None
    }

    fn wait_for(&self, slice: Duration) -> Result<Option<T>, Failure> {
        let mut state = self.state.lock();
        if matches!(*state, State::Running) {
            self.ended.wait_for(&mut state, slice);
        }
        match &*state {
            State::Running => Ok(None),
            State::Ended(result) => Ok(Some(result.clone())),
            State::Lost => {
                let message = "a defect in the library was contained; please report it";
                Err(Failure::new(Status::Internal, message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::call::Cancel;

    fn call(timeout_ms: u64, cancel: Option<&Cancel>) -> Call {
        Call::begin(&Arc::default(), Some(Duration::from_millis(timeout_ms)), cancel)
    }

    #[test]
    fn a_call_that_ends_first_abandons_the_work() {
        let aside = Arc::new(Aside::default());
        let (go_on, waits) = mpsc::channel();
        let (work, is_own) =
            aside.join("mde-test", "key", Box::new(move || waits.recv().unwrap())).unwrap();
        let (begun, cancel) = (Instant::now(), Cancel::new(None));
        let stopped = call(60_000, Some(&cancel));
        std::thread::scope(|scope| {
            let stopped = scope.spawn(|| work.wait_in(&stopped));
            assert_eq!(work.wait_in(&call(50, None)), None);
            cancel.trigger();
            assert_eq!(stopped.join().unwrap(), None);
        });
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        // It runs on, and the next one with its key joins it.
        let (same, is_new) = aside.join("mde-test", "key", Box::new(|| 2)).unwrap();
        go_on.send(1).unwrap();
        assert_eq!(same.wait_in(&call(60_000, None)), Some(1));
        assert_eq!((is_own, is_new), (true, false));
    }

    #[test]
    fn work_that_panics_ends_all_waits_and_gives_its_key_back() {
        let aside = Arc::new(Aside::<u32>::default());
        let (go_on, waits) = mpsc::channel::<()>();
        let panics = Box::new(move || {
            waits.recv().unwrap();
            panic!("the work");
        });
        let (work, _) = aside.join("mde-test", "key", panics).unwrap();
        let (begun, patient) = (Instant::now(), call(60_000, None));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| work.wait_in(&patient));
            go_on.send(()).unwrap();
            assert_eq!(waiter.join().unwrap(), None);
        });
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        let lost = crate::error::Error::from(work.wait_for(SLICE).unwrap_err());
        assert_eq!(lost.status(), Status::Internal);
        let (next, is_new) = aside.join("mde-test", "key", Box::new(|| 2)).unwrap();
        assert_eq!((next.wait_in(&patient), is_new), (Some(2), true));
    }
}
