//! What the waiting of calls is made of. Within a model of the waiting, it is made of locks that try out in which order
//! threads may come to run.

#[cfg(test)]
#[cfg(target_os = "linux")]
mod modelled;

#[cfg(all(test, target_os = "linux"))]
pub(crate) use self::modelled::{AtomicU8, Condvar, Mutex, in_model, is_model};
#[cfg(not(all(test, target_os = "linux")))]
pub(crate) use {
    parking_lot::{Condvar, Mutex},
    std::sync::atomic::AtomicU8,
};
