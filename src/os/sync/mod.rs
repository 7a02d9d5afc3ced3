//! What the waiting of calls is made of. The models of the waiting put locks of their own in its place, which
//! try out in which order threads may come to run.

#[cfg(test)]
#[cfg(feature = "shuttle")]
mod modelled;

#[cfg(all(test, feature = "shuttle"))]
pub(crate) use self::modelled::{AtomicU8, Condvar, Mutex};
#[cfg(not(all(test, feature = "shuttle")))]
pub(crate) use {
    parking_lot::{Condvar, Mutex},
    std::sync::atomic::AtomicU8,
};
