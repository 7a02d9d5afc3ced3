//! PKCS#12 files that OpenSSL does not write.

use std::num::NonZeroU32;

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use ring::{digest, hmac};

use super::pbe::{Purpose, derive};
use super::*;

const SALT: &[u8] = b"salty-as";
const ITERATIONS: u8 = 5;

fn field(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut field = vec![tag];
    match content.len() {
        short @ ..0x80 => field.push(short as u8),
        long @ ..0x100 => field.extend([0x81, long as u8]),
        long => field.extend([0x82, (long >> 8) as u8, long as u8]),
    }
    field.extend(content);
    field
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    field(0x30, parts)
}

fn octets(content: &[u8]) -> Vec<u8> {
    field(0x04, &[content])
}

fn key(purpose: Purpose, password: &[u8], length: usize) -> Vec<u8> {
    let mut key = vec![0; length];
    let hash = &digest::SHA1_FOR_LEGACY_USE_ONLY;
    let iterations = NonZeroU32::new(ITERATIONS.into()).unwrap();
    derive(hash, purpose, password, SALT, iterations, &mut key);
    key
}

/// A PKCS#12 file with this key, encrypted with 3DES, with a SHA-1 MAC. `password` is in the form for the derivation.
fn pkcs12_with(secret: &[u8], password: &[u8]) -> Vec<u8> {
    let cipher = des::TdesEde3::new_from_slice(&key(Purpose::Key, password, 24)).unwrap();
    let mut last = key(Purpose::Iv, password, 8);
    let padding = 8 - secret.len() % 8;
    let padded = [secret, &vec![padding as u8; padding]].concat();
    let mut encrypted = Vec::new();
    for block in padded.chunks(8) {
        last.iter_mut().zip(block).for_each(|(to, from)| *to ^= from);
        cipher.encrypt_block(last.as_mut_slice().try_into().unwrap());
        encrypted.extend(&last);
    }
    let oid = |oid: &[u8]| field(0x06, &[oid]);
    let iterations = field(0x02, &[&[ITERATIONS]]);
    let data =
        |content: &[u8]| sequence(&[&oid(oid::PKCS7_DATA), &field(0xa0, &[&octets(content)])]);
    let algorithm = sequence(&[&oid(oid::PKCS12_3DES), &sequence(&[&octets(SALT), &iterations])]);
    let shrouded = sequence(&[&algorithm, &octets(&encrypted)]);
    let bag = sequence(&[&oid(oid::SHROUDED_KEY_BAG), &field(0xa0, &[&shrouded])]);
    let content = sequence(&[&data(&sequence(&[&bag]))]);
    let mac_key =
        hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key(Purpose::Mac, password, 20));
    let mac = hmac::sign(&mac_key, &content);
    let mac = sequence(&[&sequence(&[&oid(oid::SHA1)]), &octets(mac.as_ref())]);
    let mac = sequence(&[&mac, &octets(SALT), &iterations]);
    sequence(&[&field(0x02, &[&[3]]), &data(&content), &mac])
}

#[test]
fn files_without_a_password_open_in_both_forms() {
    let secret: Vec<u8> = (0..100).collect();
    for form in [&[0, 0][..], &[]] {
        let file = pkcs12_with(&secret, form);
        for password in [None, Some("")] {
            let read = pkcs12::read(&file, password, &mut Work::new());
            let material = read.map_err(|trouble| format!("{form:?}: {trouble:?}")).unwrap();
            match material.keys.as_slice() {
                [Encoded::Pkcs8(key)] => assert_eq!(**key, secret, "{form:?}"),
                _ => panic!("{form:?}: no key"),
            }
        }
        let wrong = pkcs12::read(&file, Some("x"), &mut Work::new());
        assert!(matches!(wrong, Err(Trouble::WrongPassword)), "{form:?}");
    }
}

#[test]
fn the_work_of_a_file_is_bounded_in_all() {
    let mut work = Work::new();
    // As NSS writes files: the MAC, the certificates and the key.
    for _ in 0..3 {
        assert_eq!(work.spend(600_000, 1).unwrap().get(), 600_000);
    }
    assert!(matches!(work.spend(100_001, 2), Err(Trouble::TooMuchWork(100_001))));
    assert!(work.spend(100_000, 2).is_ok());
    for (iterations, derivations) in [(1, 1), (u32::MAX, u32::MAX)] {
        let refused = work.spend(iterations, derivations);
        assert!(matches!(refused, Err(Trouble::TooMuchWork(count)) if count == iterations));
    }
    assert!(matches!(Work::new().spend(0, 1), Err(Trouble::Damaged)));
}
