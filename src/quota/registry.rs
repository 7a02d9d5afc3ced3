//! Who shares a quota: one limiter per service, tenant and application, for the whole process.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use ring::digest::{Context, SHA256};

use super::clock::SystemClock;
use super::ledger::Ledger;
use super::limiter::Limiter;
use crate::os::per_process::{PerProcess, shared};

/// What the service counts by: destination, tenant and application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub family: String,
    pub tenant: String,
    pub application: String,
}

impl Key {
    /// Ids compare without regard to case.
    pub(crate) fn new(family: &str, tenant: &str, application: &str) -> Key {
        Key {
            family: family.to_owned(),
            tenant: tenant.to_ascii_lowercase(),
            application: application.to_ascii_lowercase(),
        }
    }

    /// A name of fixed length for it.
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

/// Where a shared log lives, and for whom.
type Place = (String, Key);

/// What the clients of one process share. Lists: they are short, seldom looked at, and leak checkers of hosts take
/// the interior pointers of a hash map for lost memory.
#[derive(Default)]
struct Shared {
    limiters: Mutex<Vec<(Key, Arc<Limiter>)>>,
    ledgers: Mutex<Vec<(Place, Weak<dyn Ledger>)>>,
}

static SHARED: PerProcess<Shared> = PerProcess::new();

/// The limiter for `key`, shared with every client of this process that has the same key.
pub(crate) fn limiter(key: &Key) -> Arc<Limiter> {
    let mut limiters = SHARED.get().limiters.lock();
    if let Some((_, limiter)) = limiters.iter().find(|(known, _)| known == key) {
        return Arc::clone(limiter);
    }
    // A log is kept after its last client is gone, since the service remembers too; but not for ever.
    limiters.retain(|(_, limiter)| Arc::strong_count(limiter) > 1 || !limiter.is_idle());
    let limiter = Arc::new(Limiter::new(Arc::new(SystemClock::new())));
    limiters.push((key.clone(), Arc::clone(&limiter)));
    limiter
}

/// The shared log at `place` for `key`, one for all clients of this process.
pub(crate) fn ledger(
    place: &str,
    key: &Key,
    make: impl FnOnce() -> Arc<dyn Ledger>,
) -> Arc<dyn Ledger> {
    let name = (place.to_owned(), key.clone());
    shared(&mut SHARED.get().ledgers.lock(), name, make)
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
