//! Which clients may share a token: those with the same identity, the same proof of it, and the same way to reach
//! whoever gives out the tokens.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use ring::hmac;
use ring::rand::SystemRandom;

use super::cache::Shared;
use crate::per_process::PerProcess;

/// Collects what makes an identity. What comes out is a digest under a key of this process: it holds no secret
/// and cannot be compared with one.
pub(crate) struct Identity(Option<hmac::Context>);

impl Identity {
    pub(crate) fn new() -> Identity {
        Identity(CACHES.get().key.as_ref().map(hmac::Context::with_key))
    }

    /// One more part. Parts of different lengths cannot be taken for each other.
    pub(crate) fn part(&mut self, part: impl AsRef<[u8]>) -> &mut Identity {
        let part = part.as_ref();
        if let Some(context) = &mut self.0 {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        self
    }

    /// The cache of this identity in this process, made by `make` if there is none.
    pub(super) fn cache(self, make: impl FnOnce() -> Shared) -> Arc<Shared> {
        // Without randomness there is no telling identities apart safely, so none is shared.
        let Some(context) = self.0 else {
            return Arc::new(make());
        };
        let mut caches = CACHES.get().by_identity.lock();
        // A cache goes with its last client.
        caches.retain(|(_, cache)| cache.strong_count() > 0);
        let digest = context.sign();
        let known = caches.iter().find(|(known, _)| known.as_ref() == digest.as_ref());
        if let Some(cache) = known.and_then(|(_, cache)| cache.upgrade()) {
            return cache;
        }
        let cache = Arc::new(make());
        caches.push((digest, Arc::downgrade(&cache)));
        cache
    }
}

struct Caches {
    key: Option<hmac::Key>,
    /// There are few.
    by_identity: Mutex<Vec<(hmac::Tag, Weak<Shared>)>>,
}

impl Default for Caches {
    fn default() -> Caches {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Caches { key: key.ok(), by_identity: Mutex::default() }
    }
}

static CACHES: PerProcess<Caches> = PerProcess::new();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Source, Token};

    fn cache(parts: &[&str]) -> Arc<Shared> {
        let mut identity = Identity::new();
        for part in parts {
            identity.part(part);
        }
        identity.cache(|| Shared::new(Source::Fixed(Token::new("x", None).unwrap())))
    }

    #[test]
    fn the_same_parts_share_and_others_do_not() {
        let one = cache(&["identity-test", "a", "b"]);
        assert!(Arc::ptr_eq(&one, &cache(&["identity-test", "a", "b"])));
        for other in
            [&["identity-test", "a", "c"][..], &["identity-test", "ab"], &["identity-test"]]
        {
            assert!(!Arc::ptr_eq(&one, &cache(other)), "{other:?}");
        }
    }

    #[test]
    fn the_last_client_takes_the_cache_along() {
        let parts = ["identity-test", "gone"];
        let weak = Arc::downgrade(&cache(&parts));
        assert!(weak.upgrade().is_none());
        let again = cache(&parts);
        assert!(
            CACHES
                .get()
                .by_identity
                .lock()
                .iter()
                .any(|(_, kept)| kept.ptr_eq(&Arc::downgrade(&again)))
        );
        assert!(!CACHES.get().by_identity.lock().iter().any(|(_, kept)| kept.ptr_eq(&weak)));
    }
}
