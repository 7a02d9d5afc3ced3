//! The limiters of this process: one per service, tenant and application.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use ring::digest::{Context, SHA256};

use super::clock::SystemClock;
use super::ledger::Ledger;
use super::limiter::Limiter;
use crate::os::per_process::{PerProcess, shared};

/// The service counts calls per destination, tenant and application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub family: String,
    pub tenant: String,
    pub application: String,
}

impl Key {
    /// Ids are compared without regard to case.
    pub(crate) fn new(family: &str, tenant: &str, application: &str) -> Key {
        Key {
            family: family.to_owned(),
            tenant: tenant.to_ascii_lowercase(),
            application: application.to_ascii_lowercase(),
        }
    }

    /// The SHA-256 of the key.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut hash = Context::new(&SHA256);
        for part in [&self.family, &self.tenant, &self.application] {
            hash.update(part.as_bytes());
            hash.update(b"\n");
        }
        let mut digest = [0; 32];
        for (to, from) in digest.iter_mut().zip(hash.finish().as_ref()) {
            *to = *from;
        }
        digest
    }
}

/// The location of a shared log, and its key.
type LedgerId = (String, Key);

/// The limiters and logs that the clients of this process share. Lists are enough for a few entries, and leak
/// checkers report the interior pointers of a hash map as lost memory.
#[derive(Default)]
struct Shared {
    limiters: Mutex<Vec<(Key, Arc<Limiter>)>>,
    ledgers: Mutex<Vec<(LedgerId, Weak<dyn Ledger>)>>,
}

static SHARED: PerProcess<Shared> = PerProcess::new();

/// The limiter for `key`. All clients of this process with the same key share it.
pub(crate) fn limiter(key: &Key) -> Arc<Limiter> {
    let mut limiters = SHARED.get().limiters.lock();
    if let Some((_, limiter)) = limiters.iter().find(|(known, _)| known == key) {
        return Arc::clone(limiter);
    }
    // A limiter outlives its last client as long as its calls count at the service.
    limiters.retain(|(_, limiter)| Arc::strong_count(limiter) > 1 || !limiter.is_idle());
    let limiter = Arc::new(Limiter::new(Arc::new(SystemClock::new())));
    limiters.push((key.clone(), Arc::clone(&limiter)));
    limiter
}

/// The shared log at `location` for `key`. All clients of this process share it.
pub(crate) fn ledger(
    location: &str,
    key: &Key,
    make: impl FnOnce() -> Arc<dyn Ledger>,
) -> Arc<dyn Ledger> {
    let id = (location.to_owned(), key.clone());
    shared(&mut SHARED.get().ledgers.lock(), id, make)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_identity_shares_a_limiter() {
        let a = limiter(&Key::new("test-registry", "T", "APP"));
        let b = limiter(&Key::new("test-registry", "t", "app"));
        let other = limiter(&Key::new("test-registry", "t", "other"));
        assert!(Arc::ptr_eq(&a, &b));
        assert!(!Arc::ptr_eq(&a, &other));
    }
}
