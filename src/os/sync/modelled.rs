//! parking_lot's locks, as far as they are used. What is made within a model has those of the model checker instead.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::sync::atomic::{self, Ordering};
use std::time::Instant;

use shuttle::sync::atomic as modelled;

thread_local!(static MODEL: Cell<bool> = const { Cell::new(false) });

/// Whether a model runs on this thread. All threads of a model run on one of the system's.
pub(crate) fn is_model() -> bool {
    MODEL.get()
}

/// Runs a model.
pub(crate) fn in_model<T>(run: impl FnOnce() -> T) -> T {
    struct Over;
    impl Drop for Over {
        fn drop(&mut self) {
            MODEL.set(false);
        }
    }
    MODEL.set(true);
    let _over = Over;
    run()
}

#[derive(Debug)]
pub(crate) enum Mutex<T> {
    Real(parking_lot::Mutex<T>),
    Modelled(shuttle::sync::Mutex<T>),
}

pub(crate) enum MutexGuard<'a, T> {
    Real(parking_lot::MutexGuard<'a, T>),
    /// Empty only while a condition variable has the lock.
    Modelled(Option<shuttle::sync::MutexGuard<'a, T>>),
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        match is_model() {
            true => Mutex::Modelled(shuttle::sync::Mutex::new(value)),
            false => Mutex::Real(parking_lot::Mutex::new(value)),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self {
            Mutex::Real(real) => MutexGuard::Real(real.lock()),
            Mutex::Modelled(modelled) => {
                let guard = modelled.lock().unwrap_or_else(PoisonError::into_inner);
                MutexGuard::Modelled(Some(guard))
            }
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            MutexGuard::Real(real) => real,
            MutexGuard::Modelled(modelled) => modelled.as_ref().unwrap(),
        }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match self {
            MutexGuard::Real(real) => real,
            MutexGuard::Modelled(modelled) => modelled.as_mut().unwrap(),
        }
    }
}

#[derive(Debug)]
pub(crate) enum Condvar {
    Real(parking_lot::Condvar),
    Modelled(shuttle::sync::Condvar),
}

impl Default for Condvar {
    fn default() -> Condvar {
        match is_model() {
            true => Condvar::Modelled(shuttle::sync::Condvar::new()),
            false => Condvar::Real(parking_lot::Condvar::new()),
        }
    }
}

pub(crate) struct TimedOut(bool);

impl TimedOut {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        match (self, guard) {
            (Condvar::Real(real), MutexGuard::Real(guard)) => real.wait(guard),
            (Condvar::Modelled(modelled), MutexGuard::Modelled(guard)) => {
                let inner = guard.take().unwrap();
                *guard = Some(modelled.wait(inner).unwrap_or_else(PoisonError::into_inner));
            }
            _ => panic!("a lock of a model and one that is none"),
        }
    }

    /// In a model the time never comes by itself: a thread like any other ends the wait.
    pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, until: Instant) -> TimedOut {
        if let (Condvar::Real(real), MutexGuard::Real(guard)) = (self, &mut *guard) {
            return TimedOut(real.wait_until(guard, until).timed_out());
        }
        self.wait(guard);
        TimedOut(false)
    }

    pub(crate) fn notify_one(&self) {
        match self {
            Condvar::Real(real) => _ = real.notify_one(),
            Condvar::Modelled(modelled) => modelled.notify_one(),
        }
    }

    pub(crate) fn notify_all(&self) {
        match self {
            Condvar::Real(real) => _ = real.notify_all(),
            Condvar::Modelled(modelled) => modelled.notify_all(),
        }
    }
}

#[derive(Debug)]
pub(crate) enum AtomicU8 {
    Real(atomic::AtomicU8),
    Modelled(modelled::AtomicU8),
}

impl Default for AtomicU8 {
    fn default() -> AtomicU8 {
        match is_model() {
            true => AtomicU8::Modelled(modelled::AtomicU8::default()),
            false => AtomicU8::Real(atomic::AtomicU8::default()),
        }
    }
}

impl AtomicU8 {
    pub(crate) fn load(&self, order: Ordering) -> u8 {
        match self {
            AtomicU8::Real(real) => real.load(order),
            AtomicU8::Modelled(modelled) => modelled.load(order),
        }
    }

    pub(crate) fn store(&self, value: u8, order: Ordering) {
        match self {
            AtomicU8::Real(real) => real.store(value, order),
            AtomicU8::Modelled(modelled) => modelled.store(value, order),
        }
    }

    pub(crate) fn compare_exchange(
        &self,
        current: u8,
        new: u8,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u8, u8> {
        match self {
            AtomicU8::Real(real) => real.compare_exchange(current, new, success, failure),
            AtomicU8::Modelled(it) => it.compare_exchange(current, new, success, failure),
        }
    }
}
