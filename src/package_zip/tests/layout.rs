//! Entries that share bytes, and bytes that belong to no entry.

use super::*;

/// Checks it, and counts how many pieces were read or decompressed.
fn effort(bytes: &[u8]) -> (crate::error::Result<Contents>, usize) {
    let pieces = Cell::new(0);
    let count = |_| {
        pieces.set(pieces.get() + 1);
        Ok(())
    };
    let outcome = verify(&file(bytes), &count);
    (outcome, pieces.get())
}

/// The entry, and records that point at it, too.
fn shared(item: &Item, records: usize) -> Vec<u8> {
    let again =
        Item { shift: -(item.local_bytes().len() as i64), record_only: true, ..item.clone() };
    let mut items = vec![again; records];
    items[0] = item.clone();
    for (number, item) in items.iter_mut().enumerate().skip(1) {
        item.name = format!("{number}").into_bytes();
    }
    zip(&items)
}

/// A deflate stream of this length with nothing in it.
fn empty_blocks(bytes: usize) -> Vec<u8> {
    let mut stream = [0, 0, 0, 0xff, 0xff].repeat(bytes / 5);
    stream.extend([1, 0, 0, 0xff, 0xff]);
    stream
}

#[test]
fn content_of_many_entries_is_read_once() {
    let packed = empty_blocks(1 << 20);
    let compressed = packed.len() as u64;
    let nothing = Item { method: 8, packed, compressed, ..stored("0", b"") };
    let (alone, once) = effort(&shared(&nothing, 1));
    assert_eq!(alone.unwrap().unsafe_count, 0);
    // Each record costs a look at the header, and may load it and what is behind the content.
    let most = once + 3 * 2_000;
    let (contents, pieces) = effort(&shared(&nothing, 2_000));
    let contents = contents.unwrap();
    assert_eq!(contents.unsafe_count, 1_999);
    assert!(contents.unsafe_entries.iter().all(|one| one.reason().starts_with("overlaps")));
    assert!(pieces <= most, "{pieces} pieces instead of {once}");

    // The same if the content is damaged.
    let (outcome, pieces) = effort(&shared(&Item { crc32: 1, ..nothing }, 2_000));
    let error = outcome.unwrap_err();
    assert!(error.message().starts_with("entry `0` has content that does not match"), "{error}");
    assert!(pieces <= most, "{pieces} pieces instead of {once}");
}

#[test]
fn stored_content_of_another_length_is_not_read() {
    let content = vec![7; 4 << 20];
    let lies = Item { bytes: 0, crc32: 0, ..stored("0", &content) };
    let (outcome, pieces) = effort(&zip(&[lies]));
    let error = outcome.unwrap_err();
    assert!(error.message().starts_with("entry `0` has another length"), "{error}");
    let (_, whole) = effort(&zip(&[stored("0", &content)]));
    assert!(pieces + 10 < whole, "{pieces} pieces of {whole}");
}

#[test]
fn that_content_is_not_checked_goes_before_other_reasons() {
    let link = Item { mode: 0o120_777, crc32: 1, ..stored("x", b"/etc") };
    harmful(&[Item { flags: 1, ..link.clone() }], "x", "is encrypted");
    harmful(&[Item { method: 9, flags: 1, ..link.clone() }], "x", "is encrypted");
    let inside = Item { shift: -35, record_only: true, ..link.clone() };
    harmful(&[stored("y", &link.local_bytes()), inside], "x", "overlaps another entry");
}

/// Readers of headers, such as bsdtar from a pipe, unpack an entry that no directory lists.
#[test]
fn headers_between_entries_are_found() {
    let hidden = deflated("hidden", b"some text, some text").local_bytes();
    let before = |gap: &[&[u8]]| Item { gap: gap.concat(), ..stored("b", b"2") };
    for item in [
        before(&[&hidden]),
        before(&[b"PK", &hidden]),
        before(&[&[0; 17], &hidden[..4], &[0; 3]]),
        // The word stands on the border of what is read at once.
        before(&[&vec![0; 1_000_000], &hidden]),
    ] {
        let bytes = item.gap.len() as u64;
        let found = |items: &[Item]| {
            let contents = check(&zip(items)).unwrap();
            let [one] = &contents.unsafe_entries[..] else { panic!("{contents:?}") };
            assert_eq!((one.name(), contents.unsafe_count), ("", 1));
            assert_eq!(one.reason(), "has an entry that its directory does not list");
            assert!(one.is_the_package());
            assert_eq!((contents.entries.len(), contents.bytes_unlisted), (items.len(), bytes));
        };
        found(&[stored("a", b"1"), item.clone()]);
        found(&[item.clone(), stored("a", b"1")]);
        found(&[stored("a", b"1"), Item { descriptor: item.gap, ..stored("b", b"2") }]);
    }
    // Wherever it stands in the buffer.
    for length in 262_130..262_150 {
        let item = before(&[&vec![0; length], &hidden[..4]]);
        assert_eq!(check(&zip(&[item])).unwrap().unsafe_count, 1, "{length}");
    }
}

/// Readers of headers, such as bsdtar from a pipe, stop there, and miss the entries behind it.
#[test]
fn ends_between_entries_are_found() {
    let found = |gap: &[u8]| {
        let item = Item { gap: gap.to_vec(), ..stored("b", b"2") };
        let contents = check(&zip(&[stored("a", b"1"), item])).unwrap();
        let [one] = &contents.unsafe_entries[..] else { panic!("{contents:?}") };
        assert_eq!((one.name(), contents.unsafe_count), ("", 1));
        assert!(one.is_the_package());
        one.reason()
    };
    let nothing = zip(&[]);
    let header = stored("hidden", b"1").local_bytes();
    for end in [&nothing[..], b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06"] {
        for gap in [end.to_vec(), [&b"padding"[..], end].concat(), [end, &header].concat()] {
            assert_eq!(found(&gap), "has a directory or its end among the entries", "{gap:?}");
        }
        let after = [&header, end].concat();
        assert_eq!(found(&after), "has an entry that its directory does not list");
    }
}

#[test]
fn gaps_without_a_header_are_safe() {
    let gap = |gap: &[u8]| Item { gap: gap.to_vec(), ..stored("b", b"2") };
    for item in
        [gap(&[0; 600_000]), gap(b"#!program\nPK\x03"), gap(b"PK\x07\x08"), gap(b"PK\x03\x03")]
    {
        let contents = safe(&[stored("a", b"1"), item.clone()]);
        assert_eq!(contents.bytes_unlisted, item.gap.len() as u64);
    }
    // Content is none.
    safe(&[stored("inner.zip", &zip(&[stored("a", b"1")])), stored("b", b"2")]);
}

#[test]
fn the_package_is_listed_before_its_entries() {
    let hidden = stored("hidden", b"1").local_bytes();
    let mut items = vec![stored("/x", b"1"); 130];
    items[7].gap = hidden;
    let contents = check(&zip(&items)).unwrap();
    assert_eq!((contents.unsafe_count, contents.unsafe_entries.len()), (131, 100));
    assert!(contents.unsafe_entries[0].is_the_package());
    assert!(contents.unsafe_entries[1..].iter().all(|one| one.name() == "/x"));
}

/// Each gap is searched once, even if the entries behind it are damaged.
#[test]
fn a_gap_before_damaged_entries_is_searched_once() {
    let damaged = |number: usize| Item { crc32: 1, ..stored(&format!("{number}"), b"x") };
    let mut items: Vec<Item> = (0..500).map(damaged).collect();
    items[0].gap = vec![0; 4 << 20];
    let (outcome, pieces) = effort(&zip(&items));
    let error = outcome.unwrap_err();
    assert!(error.message().starts_with("500 entries are damaged"), "{error}");
    assert!(pieces < 1_000, "{pieces} pieces");
    // Far beyond the end of the file.
    let far = |item: Item| {
        let zip64 = field(1, &(u64::MAX - 1).to_le_bytes());
        Item { extra: zip64, shift: i64::MAX / 2, ..item }
    };
    let error = check(&zip(&[far(stored("a", b"1")), far(stored("b", b"2"))])).unwrap_err();
    assert!(error.message().starts_with("2 entries are damaged"), "{error}");
}
