//! The key exchange X25519, for peers that offer nothing else.
//!
//! ring has it, too, with 40 KB of tables and assembly for speed. This one takes 5 KB: both steps use the same ladder.
//! Sources: RFC 7748, RFC 8446 section 7.4.2.

use curve25519_dalek::MontgomeryPoint;
use curve25519_dalek::constants::X25519_BASEPOINT;
use ring::rand::{SecureRandom, SystemRandom};
use rustls::crypto::{ActiveKeyExchange, GetRandomFailed, SharedSecret, SupportedKxGroup};
use rustls::{Error, NamedGroup, PeerMisbehaved};
use zeroize::Zeroizing;

/// The length of keys and of what both sides share.
const LENGTH: usize = 32;

#[derive(Debug)]
pub(super) struct X25519;

impl SupportedKxGroup for X25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut secret = Zeroizing::new([0; LENGTH]);
        SystemRandom::new().fill(&mut *secret).map_err(|_| GetRandomFailed)?;
        Ok(Box::new(KeyExchange::new(secret)))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct KeyExchange {
    secret: Zeroizing<[u8; LENGTH]>,
    public: [u8; LENGTH],
}

impl KeyExchange {
    fn new(secret: Zeroizing<[u8; LENGTH]>) -> KeyExchange {
        let public = X25519_BASEPOINT.mul_clamped(*secret).to_bytes();
        KeyExchange { secret, public }
    }
}

impl ActiveKeyExchange for KeyExchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let peer = peer.try_into().map_err(|_| PeerMisbehaved::InvalidKeyShare)?;
        let shared = MontgomeryPoint(peer).mul_clamped(*self.secret).to_bytes();
        let shared = Zeroizing::new(shared);
        // A point of small order gives zero, whatever the secret is.
        match shared.iter().fold(0, |all, byte| all | byte) {
            0 => Err(PeerMisbehaved::InvalidKeyShare.into()),
            _ => Ok(SharedSecret::from(&shared[..])),
        }
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::ring::kx_group;

    use super::*;

    fn bytes(hex: &str) -> [u8; LENGTH] {
        let digit = |at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
        std::array::from_fn(digit)
    }

    /// RFC 7748, section 6.1.
    #[test]
    fn the_documented_keys_agree() {
        let secret = bytes("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
        let bob = Box::new(KeyExchange::new(Zeroizing::new(secret)));
        assert_eq!(
            bob.public,
            bytes("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
        );
        let shared = bob
            .complete(&bytes("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"))
            .unwrap();
        assert_eq!(
            shared.secret_bytes(),
            bytes("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
        );
    }

    #[test]
    fn it_agrees_with_another_implementation() {
        for _ in 0..50 {
            let (ours, theirs) = (X25519.start().unwrap(), kx_group::X25519.start().unwrap());
            let (our_key, their_key) = (ours.pub_key().to_vec(), theirs.pub_key().to_vec());
            let shared = ours.complete(&their_key).unwrap();
            assert_eq!(shared.secret_bytes(), theirs.complete(&our_key).unwrap().secret_bytes());
        }
    }

    #[test]
    fn keys_of_small_order_or_another_length_are_refused() {
        let one = || bytes(&format!("01{}", "00".repeat(31)));
        for peer in [&[0; LENGTH][..], &one(), &[9; LENGTH - 1], &[9; LENGTH + 1], &[]] {
            assert!(X25519.start().unwrap().complete(peer).is_err(), "{peer:?}");
        }
    }
}
