//! Which clients may share a token: those with the same identity, the same proof of it, and the same way to reach
//! whoever gives out the tokens.

use ring::hmac;
use ring::rand::SystemRandom;
use zeroize::Zeroizing;

use crate::os::per_process::PerProcess;

/// Collects what makes an identity. What comes out is a digest under a key of this process: it holds no secret
/// and cannot be compared with one.
pub(crate) struct Identity(Option<hmac::Context>);

impl Identity {
    pub(crate) fn new() -> Identity {
        Identity(KEY.get().0.as_ref().map(hmac::Context::with_key))
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
        match &KEY.get().0 {
            Some(key) => {
                self.part((secret.len() as u64).to_le_bytes()).part(hmac::sign(key, &blocks))
            }
            None => self,
        }
    }

    /// What clients with the same identity have in common, and others do not. `None` without randomness: then identities
    /// cannot be told apart safely.
    pub(super) fn digest(self) -> Option<Vec<u8>> {
        Some(self.0?.sign().as_ref().to_vec())
    }
}

struct Key(Option<hmac::Key>);

impl Default for Key {
    fn default() -> Key {
        Key(hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok())
    }
}

static KEY: PerProcess<Key> = PerProcess::new();
