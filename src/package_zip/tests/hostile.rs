//! Hostile archives, each wrong in one way.

use super::*;

#[track_caller]
fn refused(items: &[Item], words: &str) {
    refused_bytes(&zip(items), words);
}

#[track_caller]
fn refused_bytes(bytes: &[u8], words: &str) {
    let error = check(bytes).unwrap_err();
    assert_eq!((error.status(), error.stage()), (Status::Integrity, Some(Stage::Verify)));
    assert!(error.message().contains(words), "`{words}` is not in `{}`", error.message());
    assert!(error.message().ends_with("; keep the file, and download the package again"));
}

/// The zip is whole, and one entry could do harm.
#[track_caller]
fn harmful(items: &[Item], name: &str, words: &str) {
    let contents = check(&zip(items)).unwrap();
    let [one] = &contents.unsafe_entries[..] else { panic!("{contents:?}") };
    assert_eq!((one.name(), contents.unsafe_count), (name, 1));
    assert!(one.reason().contains(words), "`{words}` is not in `{}`", one.reason());
    assert_eq!(contents.entries.len(), items.len());
}

fn x() -> Item {
    deflated("x", b"some text, some text, some text")
}

#[test]
fn unsafe_and_equal_names_are_found() {
    for (name, words) in [
        ("../x", "has a path that leaves"),
        ("a\\..\\..\\x", "leaves the folder"),
        ("/etc/passwd", "absolute"),
        ("\\\\server\\x", "absolute"),
        ("C:/x", "drive letter"),
        ("", "has no name"),
        ("a\0.txt", "NUL"),
    ] {
        harmful(&[stored("other", b""), stored(name, b"")], name, words);
    }
    // Some programs use the second name instead.
    let body = [&[1][..], &crc32fast::hash(b"y").to_le_bytes(), b"../y"].concat();
    harmful(&[Item { extra: field(0x7075, &body), ..stored("y", b"") }], "y", "leaves the folder");
    for (one, other) in [("a", "a"), ("a/b", "a\\b"), ("a", "a/")] {
        harmful(&[stored(one, b""), stored(other, b"")], other, "is there twice");
    }
}

#[test]
fn entries_that_are_no_plain_files_are_found() {
    harmful(&[Item { mode: 0o120_777, ..stored("x", b"/etc") }], "x", "symbolic link");
    harmful(&[Item { mode: 0o010_644, ..x() }], "x", "device, pipe or socket");
    harmful(&[stored("x/", b"content")], "x/", "is a folder but has content");
    for flags in [1, 0x41, 0x2000] {
        harmful(&[Item { flags, ..x() }], "x", "encrypted");
    }
    for method in [9, 12, 14, 93, 99] {
        harmful(&[Item { method, ..x() }], "x", "packed with an unsupported method");
    }
    // Their content is checked like that of others.
    refused(&[Item { mode: 0o120_777, crc32: 1, ..stored("x", b"/etc") }], "its checksum");
}

#[test]
fn a_header_that_differs_from_the_directory_is_refused() {
    let differs = |change: fn(&mut Item)| {
        let mut local = x();
        change(&mut local);
        vec![Item { local: Some(Box::new(local)), ..x() }]
    };
    harmful(&differs(|local| local.name = b"y".to_vec()), "x", "another name in its header");
    harmful(&differs(|local| local.name = b"xx".to_vec()), "x", "another name in its header");
    refused(&differs(|local| local.method = 0), "described differently");
    for flag in [1, 8, 0x800] {
        let mut items = differs(|_| ());
        items[0].local.as_mut().unwrap().flags = flag;
        refused(&items, "described differently");
    }
    refused(&differs(|local| local.crc32 ^= 1), "other sizes or another checksum in its header");
    refused(&differs(|local| local.bytes += 1), "other sizes");
    refused(&differs(|local| local.compressed += 1), "other sizes");
    refused(&differs(|local| local.bytes = 0), "other sizes");
    refused(&[Item { shift: 1, ..x() }], "is not at its position in the directory");
    refused(&[Item { shift: 1 << 20, ..x() }], "beyond the end of the file");
}

#[test]
fn content_that_differs_from_its_record_is_refused() {
    refused(&[Item { crc32: 1, ..x() }], "content that does not match its checksum");
    refused(&[Item { bytes: 30, ..x() }], "another length");
    refused(&[Item { bytes: 32, ..x() }], "another length");
    refused(&[Item { bytes: 1, ..stored("x", b"ab") }], "another length");
    let mut longer = x();
    longer.packed.push(0);
    longer.compressed += 1;
    refused(&[longer], "another length");
    let mut cut = x();
    cut.packed.pop();
    cut.compressed -= 1;
    refused(&[cut], "cannot be decompressed");
    let mut wrong = x();
    wrong.packed[0] = 0xff;
    refused(&[wrong], "cannot be decompressed");
    let descriptor = |change: fn(&mut Vec<u8>)| {
        let mut item = streamed(x(), true, false);
        change(&mut item.descriptor);
        vec![item]
    };
    refused(&descriptor(|bytes| bytes[4] ^= 1), "after its content");
    refused(&descriptor(|bytes| bytes[8] ^= 1), "after its content");
    refused(&descriptor(Vec::clear), "after its content");
    let mut beyond = stored("x", b"ab");
    (beyond.bytes, beyond.compressed) = (1 << 16, 1 << 16);
    refused(&[beyond], "reaches into the directory");
}

#[test]
fn overlapping_entries_are_found() {
    // Two names for one content: a bomb without a high ratio.
    let (one, two) = (stored("x", b"shared"), stored("x", b"shared"));
    let length = (zip(std::slice::from_ref(&one)).len() - 22 - 47) as i64;
    let mut other = Item { shift: -length, ..two };
    other.name = b"y".to_vec();
    harmful(&[one, other], "y", "overlaps another entry");
    // One entry inside the content of another.
    let inner = zip(&[stored("y", b"in")]);
    let outer = stored("x", &inner[..33]);
    let inside = Item { shift: -33, ..stored("y", b"in") };
    harmful(&[outer, inside], "y", "overlaps another entry");
}

#[test]
fn zip_bombs_are_found() {
    let grows = |bytes: u64, compressed: u64| {
        let mut item = x();
        (item.bytes, item.compressed) = (bytes, compressed);
        vec![item]
    };
    // It is not decompressed: otherwise its length would be found to be wrong.
    harmful(&grows(2 << 30, x().compressed), "x", "200 times");
    let mut many: Vec<Item> = (0..5).map(|n| Item { name: vec![b'a' + n], ..x() }).collect();
    // Each is small enough, but only the first one is together with those before it.
    many.iter_mut().for_each(|item| item.bytes = 1 << 30);
    let error = check(&zip(&many)).unwrap_err();
    assert!(error.message().starts_with("entry `a` has another length"), "{error}");
    let member = |gib: u64| Member { bytes: gib << 30, compressed: 1 << 30, ..Member::default() };
    let mut members = [40, 20, 5].map(member);
    bombs(&mut members, 3 << 30);
    assert_eq!(members.each_ref().map(|member| member.unchecked), [false, false, true]);
    assert!(members[2].harm.unwrap().contains("64 GiB"));
    // An entry is decompressed only up to its declared length.
    let zeros = vec![0; 64 << 20];
    let mut lies = deflated("x", &zeros);
    lies.bytes = 100;
    let file = file(&zip(&[lies]));
    let asked = Cell::new(0);
    let count = |_| {
        asked.set(asked.get() + 1);
        Ok(())
    };
    assert_eq!(verify(&file, &count).unwrap_err().status(), Status::Integrity);
    assert!(asked.get() < 10, "{} pieces were unpacked", asked.get());
}

#[test]
fn more_than_is_checked_is_found() {
    let directory = |entries: u64, size: usize| {
        let mut zip = zip_with(&[], b"", true);
        zip.splice(0..0, vec![0; size]);
        // In the 64-bit end record: both counts, then the size and the position.
        for (at, number) in [(24, entries), (32, entries), (40, size as u64), (48, 0)] {
            zip[size + at..size + at + 8].copy_from_slice(&number.to_le_bytes());
        }
        let locator = zip.len() - 22 - 20;
        zip[locator + 8..locator + 16].copy_from_slice(&(size as u64).to_le_bytes());
        zip
    };
    for (entries, size, words) in
        [(100_001, 5 << 20, "more than 100,000 entries"), (1, 33 << 20, "more than 32 MiB")]
    {
        let contents = check(&directory(entries, size)).unwrap();
        assert_eq!((contents.unsafe_count, contents.entries.len()), (1, 0));
        let [one] = &contents.unsafe_entries[..] else { panic!("{contents:?}") };
        assert!(one.name().is_empty() && one.reason().contains(words), "{one:?}");
    }
    refused_bytes(&directory(100_001, 4 << 20), "a directory whose length does not match");
}

#[test]
fn files_that_do_not_end_like_a_zip_are_refused() {
    let whole = zip(&[x()]);
    refused_bytes(b"", "is not a zip");
    refused_bytes(b"<!DOCTYPE html><html>PK</html>", "is not a zip");
    refused_bytes(&[&whole[..], b"appended"].concat(), "cut short, or something was appended");
    refused_bytes(&[&[0; 100_000][..], &whole].concat(), "where an entry should be");
}

#[test]
fn wrong_end_records_are_refused() {
    let change = |end_64: bool, from_end: usize, value: u8| {
        let mut bytes = zip_with(&[x()], b"", end_64);
        let at = bytes.len() - from_end;
        bytes[at] = value;
        bytes
    };
    refused_bytes(&change(false, 22 - 4, 1), "one part of an archive of several");
    refused_bytes(&change(false, 22 - 8, 2), "one part of an archive of several");
    refused_bytes(&change(false, 22 - 12, 200), "reaches into its end record");
    refused_bytes(&change(true, 22 + 4, 2), "one part of an archive of several");
    refused_bytes(&change(true, 22 + 12, 0), "no 64-bit end record");
    refused_bytes(&change(true, 22 + 20 + 52, 45), "64-bit end record whose length is wrong");
    let mut disagree = zip_with(&[x()], b"", true);
    let at = disagree.len() - 22;
    disagree[at + 10..at + 12].copy_from_slice(&7_u16.to_le_bytes());
    disagree[at + 8..at + 10].copy_from_slice(&7_u16.to_le_bytes());
    refused_bytes(&disagree, "two end records that disagree");
    // A second zip in the comment of the first.
    let inner = zip(&[stored("inner", b"")]);
    refused_bytes(&zip_with(&[x()], &inner, false), "two end records");
    // A second one whose comment does not fit: some programs use the last signature anyway.
    let decoy = [&zip(&[stored("evil", b"evil")])[..], b"\n"].concat();
    refused_bytes(&zip_with(&[x()], &decoy, false), "two end records");
    for entries in [2, 0] {
        let mut bytes = zip(&[x()]);
        let at = bytes.len() - 14;
        (bytes[at], bytes[at + 2]) = (entries, entries);
        refused_bytes(&bytes, "a directory whose length does not match");
    }
    let extra = [field(1, &[0; 8]), field(1, &[1; 8])].concat();
    refused(&[Item { extra, ..x() }], "one extra field twice");
    let mut lacks = x();
    lacks.bytes = u64::from(u32::MAX);
    refused(&[lacks], "lacks its 64-bit sizes");
}

/// Programs that count back from the end record would find another directory than those that use its position.
#[test]
fn bytes_between_the_directory_and_its_end_record_are_refused() {
    for end_64 in [false, true] {
        let mut bytes = zip_with(&[x()], b"", end_64);
        let at = bytes.len() - if end_64 { 22 + 20 + 56 } else { 22 };
        let gap = b"PK\x01\x02 and more";
        bytes.splice(at..at, gap.iter().copied());
        if end_64 {
            let locator = bytes.len() - 22 - 20;
            let moved = (at + gap.len()) as u64;
            bytes[locator + 8..locator + 16].copy_from_slice(&moved.to_le_bytes());
        }
        refused_bytes(&bytes, "something between its directory and its end record");
    }
}
