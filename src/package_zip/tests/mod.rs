mod build;
mod damage;
mod hostile;
mod layout;
mod lenient;
mod places;

use std::cell::Cell;

use self::build::{Item, check, deflated, field, file, stored, streamed, zip, zip_with};
use super::member::Member;
use super::{Contents, bombs, verify};
use crate::error::{Error, Stage};
use crate::status::Status;

/// Entries in all forms that packers write.
fn sound() -> Vec<Item> {
    let text = b"Active Connections\r\n".repeat(40);
    let unicode = unicode_path(b"n\x82", "né");
    let long = [u64::to_le_bytes(5), u64::to_le_bytes(5)].concat();
    let mut wide = stored("wide", b"12345");
    (wide.bytes, wide.compressed) = (u64::from(u32::MAX), u64::from(u32::MAX));
    (wide.extra, wide.local_extra) = (field(1, &long), field(1, &long));
    vec![
        stored("folder/", b""),
        stored("folder/stored", b"stored"),
        deflated("folder/deflated", &text),
        streamed(deflated("a", &text), true, false),
        streamed(deflated("b", &text), false, false),
        streamed(deflated("c", &text), true, true),
        streamed(stored("d", b"stored"), false, true),
        Item {
            name: b"n\x82".to_vec(),
            extra: unicode.clone(),
            local_extra: unicode,
            ..stored("", b"")
        },
        Item { gap: b"padding".to_vec(), ..stored("gap", b"x") },
        wide,
        Item { method: 8, ..stored("empty", b"") },
        deflated("nothing deflated", b""),
    ]
}

/// Info-ZIP's second name.
fn unicode_path(first: &[u8], second: &str) -> Vec<u8> {
    let crc32 = crc32fast::hash(first).to_le_bytes();
    field(0x7075, &[&[1][..], &crc32, second.as_bytes()].concat())
}

/// The zip is whole, and one entry could do harm.
#[track_caller]
fn harmful(items: &[Item], name: &str, words: &str) {
    let contents = check(&zip(items)).unwrap();
    let [one] = &contents.unsafe_entries[..] else { panic!("{:?}", contents.unsafe_entries) };
    assert_eq!((one.name(), contents.unsafe_count), (name, 1), "{}", one.reason());
    assert!(one.reason().contains(words), "`{words}` is not in `{}`", one.reason());
    assert_eq!(contents.entries.len(), items.len());
}

/// The zip is whole and safe.
#[track_caller]
fn safe(items: &[Item]) -> Contents {
    let contents = check(&zip(items)).unwrap();
    assert_eq!(contents.unsafe_entries, []);
    contents
}

fn facts(contents: &Contents) -> Vec<(String, u64, u32)> {
    let fact = |e: &super::Entry| (e.name().to_owned(), e.bytes(), e.crc32());
    contents.entries.iter().map(fact).collect()
}

#[test]
fn all_forms_that_packers_write_are_accepted() {
    let items = sound();
    for (comment, end_64) in
        [(&b""[..], false), (b"a comment PK", false), (b"", true), (b"x", true)]
    {
        let contents = check(&zip_with(&items, comment, end_64)).unwrap();
        assert_eq!(contents.entries.len(), items.len());
        assert_eq!((contents.bytes_unlisted, contents.same_but_for_case), (7, 0));
        let names: Vec<&str> = contents.entries.iter().map(super::Entry::name).collect();
        assert_eq!((names[7], names[9]), ("n\u{fffd}", "wide"));
        assert_eq!(contents.unsafe_entries, []);
        assert_eq!(contents.entries[9].bytes(), 5);
        assert_eq!(contents.entries[1].crc32(), crc32fast::hash(b"stored"));
        assert_eq!(contents.entries[1].modified().unwrap(), "2026-01-01T12:00:00");
        assert_eq!(contents.bytes_uncompressed, 800 * 4 + 6 * 2 + 1 + 5);
    }
    let nothing = check(&zip(&[])).unwrap();
    assert!(nothing.entries.is_empty() && nothing.device.is_none());
}

#[test]
fn names_that_differ_only_in_case_are_counted() {
    let items = [stored("a/File", b"1"), stored("a/file", b"2"), stored("A/other", b"3")];
    assert_eq!(check(&zip(&items)).unwrap().same_but_for_case, 1);
}

#[test]
fn content_longer_than_every_buffer_is_checked() {
    let mut random = fastrand::Rng::with_seed(4);
    let noise: Vec<u8> = (0..1_500_000).map(|_| random.u8(..)).collect();
    let text: Vec<u8> = (0..3_000_000_u32).map(|at| (at / 7 % 251) as u8).collect();
    let items = [
        streamed(deflated("noise", &noise), true, false),
        deflated("text", &text),
        stored("stored", &noise),
    ];
    let mut bytes = zip(&items);
    assert_eq!(check(&bytes).unwrap().bytes_uncompressed, 6_000_000);
    // The last byte of the last content.
    let at = bytes.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    let first = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    assert!(first < at);
    bytes[first - 1] ^= 1;
    let error = check(&bytes).unwrap_err();
    assert!(error.message().contains("entry `stored` has content that does not match"), "{error}");
}

#[test]
fn the_check_can_be_ended() {
    let zeros = vec![0; 8 << 20];
    let file = file(&zip(&[deflated("zeros", &zeros), stored("stored", &zeros)]));
    let asked = Cell::new(0);
    let count = |_| {
        asked.set(asked.get() + 1);
        Ok(())
    };
    verify(&file, &count).unwrap();
    let all = asked.get();
    assert!(all > 16 << 20 >> 18, "asked {all} times for 16 MiB");
    for end in [1, 2, all / 2, all] {
        asked.set(0);
        let stop = |_| {
            count(0)?;
            if asked.get() < end { Ok(()) } else { Err(Error::new(Status::Cancelled, "stop")) }
        };
        let error = verify(&file, &stop).unwrap_err();
        assert_eq!((error.status(), error.stage()), (Status::Cancelled, Some(Stage::Verify)));
        assert_eq!(asked.get(), end, "the check continued after its end");
    }
}
