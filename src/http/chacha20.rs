//! ChaCha20-Poly1305 in TLS, for peers that offer nothing else.
//!
//! ring has it, too, with 53 KB of assembly for speed. This one takes 7 KB as packaged. Sources: RFC 7905, RFC 8446 section 5.2.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Tag};
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, KeyBlockShape, MessageDecrypter,
    MessageEncrypter, NONCE_LEN, Nonce, OutboundOpaqueMessage, OutboundPlainMessage,
    PrefixedPayload, Tls12AeadAlgorithm, Tls13AeadAlgorithm, UnsupportedOperationError,
    make_tls12_aad, make_tls13_aad,
};
use rustls::crypto::ring::cipher_suite;
use rustls::{
    CipherSuite, CipherSuiteCommon, ConnectionTrafficSecrets, ContentType, Error, ProtocolVersion,
    SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite,
};
use zeroize::Zeroize;

const KEY: usize = 32;
const TAG: usize = 16;

/// The most content of a record.
const MAX_CONTENT: usize = 16_384;

/// Like the suite with AES-128 and the same hash, but for its cipher.
pub(super) static TLS13_CHACHA20_POLY1305_SHA256: Tls13CipherSuite = Tls13CipherSuite {
    common: common(
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        &like_tls13(&cipher_suite::TLS13_AES_128_GCM_SHA256).common,
    ),
    hkdf_provider: like_tls13(&cipher_suite::TLS13_AES_128_GCM_SHA256).hkdf_provider,
    aead_alg: &Algorithm,
    quic: None,
};

pub(super) static TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: Tls12CipherSuite = tls12(
    CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    &cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
);

pub(super) static TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: Tls12CipherSuite = tls12(
    CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    &cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
);

const fn common(suite: CipherSuite, like: &CipherSuiteCommon) -> CipherSuiteCommon {
    // One connection cannot encrypt so much that the cipher weakens.
    CipherSuiteCommon { suite, hash_provider: like.hash_provider, confidentiality_limit: u64::MAX }
}

/// The suite itself. The other arm would not compile: it reads what is being made.
const fn like_tls13(suite: &'static SupportedCipherSuite) -> &'static Tls13CipherSuite {
    match suite {
        SupportedCipherSuite::Tls13(suite) => suite,
        SupportedCipherSuite::Tls12(_) => &TLS13_CHACHA20_POLY1305_SHA256,
    }
}

const fn tls12(suite: CipherSuite, like: &'static SupportedCipherSuite) -> Tls12CipherSuite {
    let like = match like {
        SupportedCipherSuite::Tls12(like) => like,
        // As above.
        SupportedCipherSuite::Tls13(_) => &TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    };
    Tls12CipherSuite {
        common: common(suite, &like.common),
        prf_provider: like.prf_provider,
        kx: like.kx,
        sign: like.sign,
        aead_alg: &Algorithm,
    }
}

struct Algorithm;

impl Tls13AeadAlgorithm for Algorithm {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Records::new(&key, iv, ProtocolVersion::TLSv1_3))
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(Records::new(&key, iv, ProtocolVersion::TLSv1_3))
    }

    fn key_len(&self) -> usize {
        KEY
    }

    fn extract_keys(
        &self,
        _: AeadKey,
        _: Iv,
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

impl Tls12AeadAlgorithm for Algorithm {
    fn encrypter(&self, key: AeadKey, iv: &[u8], _: &[u8]) -> Box<dyn MessageEncrypter> {
        Box::new(Records::new(&key, Iv::copy(iv), ProtocolVersion::TLSv1_2))
    }

    fn decrypter(&self, key: AeadKey, iv: &[u8]) -> Box<dyn MessageDecrypter> {
        Box::new(Records::new(&key, Iv::copy(iv), ProtocolVersion::TLSv1_2))
    }

    fn key_block_shape(&self) -> KeyBlockShape {
        KeyBlockShape { enc_key_len: KEY, fixed_iv_len: NONCE_LEN, explicit_nonce_len: 0 }
    }

    fn extract_keys(
        &self,
        _: AeadKey,
        _: &[u8],
        _: &[u8],
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

/// The records of one direction of a connection.
struct Records {
    cipher: ChaCha20Poly1305,
    iv: Iv,
    is_tls13: bool,
}

impl Records {
    fn new(key: &AeadKey, iv: Iv, version: ProtocolVersion) -> Records {
        let mut own = Key::default();
        own.iter_mut().zip(key.as_ref()).for_each(|(to, from)| *to = *from);
        let cipher = ChaCha20Poly1305::new(&own);
        own.zeroize();
        Records { cipher, iv, is_tls13: version == ProtocolVersion::TLSv1_3 }
    }

    fn nonce(&self, number: u64) -> chacha20poly1305::Nonce {
        Nonce::new(&self.iv, number).0.into()
    }
}

impl MessageEncrypter for Records {
    fn encrypt(
        &mut self,
        message: OutboundPlainMessage<'_>,
        number: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let OutboundPlainMessage { typ, version, payload: content } = message;
        let length = self.encrypted_payload_len(content.len());
        let mut payload = PrefixedPayload::with_capacity(length);
        payload.extend_from_chunks(&content);
        if self.is_tls13 {
            payload.extend_from_slice(&typ.to_array());
        }
        let tls12 = make_tls12_aad(number, typ, version, content.len());
        let tls13 = make_tls13_aad(length);
        let about: &[u8] = if self.is_tls13 { &tls13 } else { &tls12 };
        let tag = self
            .cipher
            .encrypt_inout_detached(&self.nonce(number), about, payload.as_mut().into())
            .map_err(|_| Error::EncryptError)?;
        payload.extend_from_slice(&tag);
        Ok(match self.is_tls13 {
            // These records show a version and a type that never change.
            true => OutboundOpaqueMessage::new(
                ContentType::ApplicationData,
                ProtocolVersion::TLSv1_2,
                payload,
            ),
            false => OutboundOpaqueMessage::new(typ, version, payload),
        })
    }

    fn encrypted_payload_len(&self, content: usize) -> usize {
        content + usize::from(self.is_tls13) + TAG
    }
}

impl MessageDecrypter for Records {
    fn decrypt<'a>(
        &mut self,
        mut message: InboundOpaqueMessage<'a>,
        number: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let whole = message.payload.len();
        let length = whole.checked_sub(TAG).ok_or(Error::DecryptError)?;
        let tls12 = make_tls12_aad(number, message.typ, message.version, length);
        let tls13 = make_tls13_aad(whole);
        let about: &[u8] = if self.is_tls13 { &tls13 } else { &tls12 };
        let (content, tag) =
            message.payload.split_at_mut_checked(length).ok_or(Error::DecryptError)?;
        let tag = Tag::try_from(&*tag).map_err(|_| Error::DecryptError)?;
        self.cipher
            .decrypt_inout_detached(&self.nonce(number), about, content.into(), &tag)
            .map_err(|_| Error::DecryptError)?;
        message.payload.truncate(length);
        match self.is_tls13 {
            true => message.into_tls13_unpadded_message(),
            false if length > MAX_CONTENT => Err(Error::PeerSentOversizedRecord),
            false => Ok(message.into_plain_message()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(is_tls13: bool) -> Records {
        let version = if is_tls13 { ProtocolVersion::TLSv1_3 } else { ProtocolVersion::TLSv1_2 };
        Records::new(&AeadKey::from([7; KEY]), Iv::from([3; NONCE_LEN]), version)
    }

    fn encrypted(records: &mut dyn MessageEncrypter, content: &[u8], number: u64) -> Vec<u8> {
        let message = OutboundPlainMessage {
            typ: ContentType::ApplicationData,
            version: ProtocolVersion::TLSv1_2,
            payload: content.into(),
        };
        let record = records.encrypt(message, number).unwrap().encode();
        assert_eq!(record.len(), 5 + records.encrypted_payload_len(content.len()));
        record[5..].to_vec()
    }

    fn decrypted(
        records: &mut dyn MessageDecrypter,
        record: &mut [u8],
        number: u64,
    ) -> Result<Vec<u8>, Error> {
        let (kind, version) = (ContentType::ApplicationData, ProtocolVersion::TLSv1_2);
        let message = InboundOpaqueMessage::new(kind, version, record);
        records.decrypt(message, number).map(|plain| plain.payload.to_vec())
    }

    /// Records of ring's cipher, with the same keys.
    fn others(is_tls13: bool) -> (Box<dyn MessageEncrypter>, Box<dyn MessageDecrypter>) {
        let key = || AeadKey::from([7; KEY]);
        let iv = || Iv::from([3; NONCE_LEN]);
        match is_tls13 {
            true => match cipher_suite::TLS13_CHACHA20_POLY1305_SHA256 {
                SupportedCipherSuite::Tls13(suite) => {
                    let cipher = suite.aead_alg;
                    (cipher.encrypter(key(), iv()), cipher.decrypter(key(), iv()))
                }
                SupportedCipherSuite::Tls12(_) => panic!("it is of TLS 1.3"),
            },
            false => match cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 {
                SupportedCipherSuite::Tls12(suite) => {
                    let cipher = suite.aead_alg;
                    let iv = [3; NONCE_LEN];
                    (cipher.encrypter(key(), &iv, &[]), cipher.decrypter(key(), &iv))
                }
                SupportedCipherSuite::Tls13(_) => panic!("it is of TLS 1.2"),
            },
        }
    }

    #[test]
    fn records_are_those_of_another_implementation() {
        for is_tls13 in [true, false] {
            let (mut encrypter, mut decrypter) = others(is_tls13);
            for (number, length) in
                [0, 1, 15, 16, 63, 64, 65, 1_000, MAX_CONTENT].into_iter().enumerate()
            {
                let (content, number) = (vec![number as u8; length], number as u64 * 77);
                let mut ours = encrypted(&mut records(is_tls13), &content, number);
                let mut theirs = encrypted(&mut *encrypter, &content, number);
                assert_eq!(ours, theirs, "{is_tls13} {length}");
                assert_eq!(decrypted(&mut *decrypter, &mut ours, number).unwrap(), content);
                let back = decrypted(&mut records(is_tls13), &mut theirs, number);
                assert_eq!(back.unwrap(), content);
            }
        }
    }

    #[test]
    fn changed_records_are_refused() {
        for is_tls13 in [true, false] {
            let record = encrypted(&mut records(is_tls13), b"content", 5);
            for at in 0..record.len() {
                let mut changed = record.clone();
                changed[at] ^= 1;
                assert!(decrypted(&mut records(is_tls13), &mut changed, 5).is_err(), "{at}");
            }
            for length in 0..record.len() {
                let mut cut = record[..length].to_vec();
                assert!(decrypted(&mut records(is_tls13), &mut cut, 5).is_err(), "{length}");
            }
            assert!(decrypted(&mut records(is_tls13), &mut record.clone(), 6).is_err());
        }
    }

    #[test]
    fn the_suites_are_those_of_ring_but_for_the_cipher() {
        let SupportedCipherSuite::Tls13(other) = cipher_suite::TLS13_CHACHA20_POLY1305_SHA256
        else {
            panic!("it is of TLS 1.3")
        };
        assert_eq!(TLS13_CHACHA20_POLY1305_SHA256.common.suite, other.common.suite);
        for (ours, other) in [
            (
                &TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
                cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            ),
            (
                &TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            ),
        ] {
            let SupportedCipherSuite::Tls12(other) = other else { panic!("it is of TLS 1.2") };
            assert_eq!((ours.common.suite, ours.sign), (other.common.suite, other.sign));
        }
    }
}
