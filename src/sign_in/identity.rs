//! The identity of a client. Clients share a token if they have the same application, the same proof of it, and the
//! same route to the source.

use ring::hmac;
use ring::rand::SystemRandom;
use zeroize::Zeroizing;

use crate::os::per_process::PerProcess;

/// Collects the parts of an identity into a digest under a key of this process. The digest holds no secret and cannot
/// be compared with one.
pub(crate) struct Identity(Option<hmac::Context>);

impl Identity {
    pub(crate) fn new() -> Identity {
        Identity(KEY.get().0.as_ref().map(hmac::Context::with_key))
    }

    /// Adds a part. Its length is included, so parts cannot run together.
    pub(crate) fn part(&mut self, part: impl AsRef<[u8]>) -> &mut Identity {
        let part = part.as_ref();
        if let Some(context) = &mut self.0 {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        self
    }

    /// Adds a secret part. The hash keeps the bytes of an incomplete block in memory that is not wiped, so the secret
    /// is padded to whole blocks.
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

    /// The digest that identifies equal identities. `None`: the system gave no random key, so no cache may be shared.
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
