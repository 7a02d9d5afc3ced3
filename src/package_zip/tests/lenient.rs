//! Zips that unzip, 7-Zip and Python all read, though their two records are not alike.

use super::*;

const SOME: u64 = 0xffff_ffff;

fn y() -> Item {
    deflated("y.csv", b"name,pid\r\nlsass,712\r\n")
}

/// The entry with other values in its header.
fn local(item: Item, change: impl FnOnce(&mut Item)) -> Item {
    let mut header = item.clone();
    change(&mut header);
    Item { local: Some(Box::new(header)), ..item }
}

fn with_sizes(item: Item, crc32: u32, compressed: u64, bytes: u64) -> Item {
    let local = Item { crc32, compressed, bytes, ..*item.local.clone().unwrap() };
    Item { local: Some(Box::new(local)), ..item }
}

#[test]
fn a_header_may_lack_what_a_descriptor_has() {
    let (bytes, compressed) = (y().bytes, y().compressed);
    for (crc32, packed, unpacked) in [
        (0, 0, 0),
        (0, SOME, SOME),
        (0, 0, bytes),
        (0, SOME, bytes),
        (y().crc32, 0, SOME),
        (y().crc32, compressed, bytes),
    ] {
        for (signed, wide) in [(true, false), (true, true), (false, false), (false, true)] {
            let item = with_sizes(streamed(y(), signed, wide), crc32, packed, unpacked);
            assert_eq!(safe(&[item, stored("b", b"2")]).bytes_unlisted, 0);
        }
    }
    // 64-bit sizes that are all zero, or not all there.
    for body in [&[0; 16][..], &[0; 8], &[]] {
        let item = with_sizes(streamed(y(), true, true), 0, SOME, SOME);
        safe(&[Item { local_extra: field(1, body), ..item }]);
    }
    let error = check(&zip(&[local(y(), |header| header.bytes = 0)])).unwrap_err();
    assert!(error.message().contains("other sizes"), "{error}");
    let error = check(&zip(&[local(y(), |header| header.bytes = SOME)])).unwrap_err();
    assert!(error.message().contains("other sizes"), "{error}");
}

#[test]
fn one_of_the_two_records_may_mention_a_descriptor() {
    let header_only = Item { flags: 0, ..streamed(y(), true, false) };
    assert_eq!(safe(&[header_only, stored("b", b"2")]).bytes_unlisted, 0);
    let directory_only = local(Item { flags: 8, ..y() }, |header| header.flags = 0);
    safe(&[directory_only, stored("b", b"2")]);
    let described = local(streamed(y(), true, false), |header| header.flags = 0);
    assert_eq!(safe(&[described, stored("b", b"2")]).bytes_unlisted, 0);
    // Both mention it, and there is none: the header has everything.
    safe(&[Item { flags: 8, ..y() }, stored("b", b"2")]);
    let folder = with_sizes(streamed(stored("logs/", b""), false, false), 0, 0, 0);
    let none = Item { descriptor: vec![], ..folder };
    safe(std::slice::from_ref(&none));
    safe(&[none, stored("logs/b", b"2")]);
    // A folder with the two bytes of an empty deflate stream.
    safe(&[streamed(deflated("logs/", b""), true, false), stored("logs/b", b"2")]);
}

/// unzip believes such a header, and writes an empty file.
#[test]
fn a_header_that_mentions_no_descriptor_is_whole() {
    let (crc32, compressed, bytes) = (y().crc32, y().compressed, y().bytes);
    for (signed, wide) in [(true, false), (false, true)] {
        for (crc32, compressed, bytes) in [
            (0, 0, 0),
            (0, SOME, SOME),
            (crc32, 0, 0),
            (crc32, compressed, SOME),
            (0, compressed, bytes),
        ] {
            let mut item = with_sizes(streamed(y(), signed, wide), crc32, compressed, bytes);
            item.local.as_mut().unwrap().flags = 0;
            for descriptor in [item.descriptor.clone(), vec![]] {
                let item = Item { descriptor, ..item.clone() };
                let error = check(&zip(&[item, stored("b", b"2")])).unwrap_err();
                let words = "entry `y.csv` has other sizes or another checksum in its header";
                assert!(error.message().starts_with(words), "{error}");
            }
        }
    }
    // Without all of its 64-bit sizes.
    let item = with_sizes(streamed(y(), true, true), 0, SOME, SOME);
    let mut item = Item { local_extra: field(1, &[0; 8]), ..item };
    item.local.as_mut().unwrap().flags = 0;
    let error = check(&zip(&[item])).unwrap_err();
    assert!(error.message().starts_with("entry `y.csv` lacks its 64-bit sizes"), "{error}");
}

#[test]
fn a_name_in_ascii_needs_no_mark_for_utf_8() {
    safe(&[local(Item { flags: 0x800, ..y() }, |header| header.flags = 0)]);
    safe(&[local(y(), |header| header.flags = 0x800)]);
    // How well it is compressed, and a flag of no meaning.
    safe(&[local(Item { flags: 2, ..y() }, |header| header.flags = 0x4004)]);
    let other = local(stored("\u{f6}", b""), |header| header.flags = 0x800);
    harmful(&[other], "\u{f6}", "is marked as UTF-8 in its header or in the directory");
    // Separators of Windows in one of the two.
    safe(&[local(stored("a/b", b""), |header| header.name = b"a\\b".to_vec())]);
}

/// The longest size of 32 bits is a size if no 64-bit one stands beside it.
#[test]
fn a_size_of_4_gib_less_1_is_a_size() {
    let mut long = y();
    (long.bytes, long.compressed) = (SOME, SOME);
    let error = check(&zip(&[long])).unwrap_err();
    assert!(error.message().contains("a part of the file is missing"), "{error}");
    let sizes = |zip64: &[u8]| {
        let mut sizes = [SOME, 7, SOME];
        let extra = field(1, zip64);
        super::super::extra::read(&extra, false).lengthen(&mut sizes).map(|()| sizes)
    };
    let mut unchanged = [SOME, 7, SOME];
    super::super::extra::read(&[], false).lengthen(&mut unchanged).unwrap();
    assert_eq!(unchanged, [SOME, 7, SOME]);
    assert_eq!(sizes(&[1; 16]), Ok([0x0101_0101_0101_0101, 7, 0x0101_0101_0101_0101]));
    assert!(sizes(&[1; 15]).is_err());
}

/// As a page blob has it.
#[test]
fn zeros_behind_the_end_are_padding() {
    for comment in [&b""[..], b"a comment"] {
        let whole = zip_with(&[y()], comment, false);
        for padding in [1, 22, 511] {
            let contents = check(&[&whole[..], &vec![0; padding]].concat()).unwrap();
            assert_eq!((contents.entries.len(), contents.unsafe_count), (1, 0));
        }
        for wrong in [vec![0; 512], vec![0, 1], b"\n".to_vec()] {
            let error = check(&[&whole[..], &wrong].concat()).unwrap_err();
            assert!(error.message().contains("something was appended"), "{error}");
        }
    }
}

#[test]
fn a_folder_may_be_listed_twice() {
    let folder = || stored("Processes/", b"");
    safe(&[folder(), stored("Processes/p.csv", b"1"), folder()]);
    safe(&[folder(), Item { name: b"Processes\\".to_vec(), ..folder() }]);
}
