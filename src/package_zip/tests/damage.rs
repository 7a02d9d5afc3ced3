//! Random damage: no change of the content is taken for safe, and no input causes a panic or a hang.

use std::fs::File;
use std::io::{Cursor, Seek, Write};

use proptest::prelude::*;

use super::*;

fn rewritten(mut file: &File, bytes: &[u8]) -> crate::error::Result<Contents> {
    file.set_len(bytes.len() as u64).unwrap();
    file.rewind().unwrap();
    file.write_all(bytes).unwrap();
    verify(file, &|_| Ok(()))
}

#[test]
fn no_flipped_byte_changes_the_content() {
    for (comment, end_64) in [(&b"comment"[..], false), (b"", true)] {
        let bytes = zip_with(&sound(), comment, end_64);
        let expected = facts(&check(&bytes).unwrap());
        let file = file(&bytes);
        let mut unnoticed = 0;
        for at in 0..bytes.len() {
            for flip in [0x01, 0x20, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                match rewritten(&file, &damaged) {
                    Err(error) => assert_eq!(error.status(), Status::Integrity),
                    Ok(contents) if contents.unsafe_count > 0 => {}
                    Ok(contents) => {
                        unnoticed += 1;
                        let found = facts(&contents);
                        assert_eq!(found, expected, "byte {at} ^ {flip:#x} of {}", bytes.len());
                    }
                }
            }
        }
        // Versions, times, attributes, the comment and the gap are stated only once.
        let share = unnoticed * 100 / (bytes.len() * 4);
        assert!(share < 35, "{share} %");
    }
}

#[test]
fn every_truncation_is_refused() {
    for end_64 in [false, true] {
        let bytes = zip_with(&sound(), b"", end_64);
        let file = file(&bytes);
        for length in 0..bytes.len() {
            let outcome = rewritten(&file, &bytes[..length]).map(|_| ()).map_err(|e| e.status());
            assert_eq!(outcome, Err(Status::Integrity), "{length} of {}", bytes.len());
        }
    }
}

/// The entries that another zip library finds in an archive.
fn others(bytes: &[u8]) -> Vec<(u64, u32)> {
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let count = zip.len();
    let one = |at| {
        let mut file = zip.by_index(at).unwrap();
        let mut content = Vec::new();
        std::io::copy(&mut file, &mut content).unwrap();
        (content.len() as u64, crc32fast::hash(&content))
    };
    (0..count).map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_refused_or_accepted_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), begin in any::<bool>()) {
        let mut bytes = bytes;
        if begin {
            bytes.splice(0..0, *b"PK\x03\x04");
        }
        bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        bytes.extend([46, 0, 0, 0, bytes.len() as u8, 0, 0, 0, 0, 0]);
        let _ = check(&bytes);
    }

    /// Changes several bytes at once. If the result is accepted, another zip library reads the same from it.
    #[test]
    fn accepted_archives_read_the_same_in_another_library(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), prop::sample::select(vec![0_u8, 1, 2, 8, 20, 47, 0x50, 0x7f, 0xff])), 1..4),
        cut in proptest::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let items = [deflated("a", b"aaaaaaaaaaaaaaaaaaaaaaaab"), stored("b", b"cd"), streamed(deflated("c", b"efgefgefg"), true, false)];
        let mut bytes = zip(&items);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            let at = cut.index(bytes.len());
            bytes.remove(at);
        }
        if let Some(contents) = check(&bytes).ok().filter(|contents| contents.unsafe_count == 0) {
            let ours: Vec<_> = contents.entries.iter().map(|e| (e.bytes(), e.crc32())).collect();
            prop_assert_eq!(ours, others(&bytes));
        }
    }
}
