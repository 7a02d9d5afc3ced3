//! Which clients may share a token: those with the same identity, the same proof of it, and the same way to reach
//! whoever gives out the tokens.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use ring::hmac;
use ring::rand::SystemRandom;
use zeroize::Zeroizing;

use super::cache::Shared;
use crate::os::per_process::{PerProcess, shared};

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

    /// One more part, which nobody may see. The hash keeps the last bytes it was given until its block is full, in
    /// memory that nobody wipes; of whole blocks it keeps nothing.
    pub(crate) fn secret(&mut self, secret: impl AsRef<[u8]>) -> &mut Identity {
        /// Of SHA-256.
        const BLOCK: usize = 64;

        let secret = secret.as_ref();
        let mut blocks = Zeroizing::new(vec![0; secret.len().next_multiple_of(BLOCK)]);
        blocks.iter_mut().zip(secret).for_each(|(to, from)| *to = *from);
        match &CACHES.get().key {
            Some(key) => {
                self.part((secret.len() as u64).to_le_bytes()).part(hmac::sign(key, &blocks))
            }
            None => self,
        }
    }

    /// The cache of this identity in this process, made by `make` if there is none.
    pub(super) fn cache(self, make: impl FnOnce() -> Shared) -> Arc<Shared> {
        // Without randomness there is no telling identities apart safely, so none is shared.
        let Some(context) = self.0 else {
            return Arc::new(make());
        };
        // A cache goes with its last client.
        let digest = context.sign().as_ref().to_vec();
        shared(&mut CACHES.get().by_identity.lock(), digest, || Arc::new(make()))
    }
}

struct Caches {
    key: Option<hmac::Key>,
    by_identity: Mutex<Vec<(Vec<u8>, Weak<Shared>)>>,
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
    use crate::sign_in::{Source, Token};

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
    fn secrets_are_told_apart() {
        let cache = |secret: &[u8]| {
            let mut identity = Identity::new();
            identity.part("identity-test").secret(secret);
            identity.cache(|| Shared::new(Source::Fixed(Token::new("x", None).unwrap())))
        };
        let one = cache(&[b's'; 70]);
        assert!(Arc::ptr_eq(&one, &cache(&[b's'; 70])));
        for other in [&[b's'; 71][..], &[b's'; 64], b"", b"s\0", b"s"] {
            let other = cache(other);
            assert!(!Arc::ptr_eq(&one, &other));
            assert!(!Arc::ptr_eq(&other, &cache(b"other")));
        }
        assert!(!Arc::ptr_eq(&cache(b"s"), &cache(b"s\0")));
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
