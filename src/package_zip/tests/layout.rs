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
    let again = Item { shift: -(item.local_bytes().len() as i64), record_only: true, ..item.clone() };
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
