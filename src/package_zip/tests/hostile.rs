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
    assert!(error.message().ends_with("do not unpack the file, download the package again"));
}

fn x() -> Item {
    deflated("x", b"some text, some text, some text")
}

#[test]
fn unsafe_and_equal_names_are_refused() {
    for (name, words) in [
        ("../x", "entry `../x` has a path that leaves"),
        ("a\\..\\..\\x", "leaves the folder"),
        ("/etc/passwd", "absolute"),
        ("\\\\server\\x", "absolute"),
        ("C:/x", "drive letter"),
        ("", "has no name"),
        ("a\0.txt", "NUL"),
    ] {
        refused(&[stored(name, b"")], words);
    }
    // Some programs use the second name instead.
    let body = [&[1][..], &crc32fast::hash(b"y").to_le_bytes(), b"../y"].concat();
    refused(&[Item { extra: field(0x7075, &body), ..stored("y", b"") }], "leaves the folder");
    for (one, other) in [("a", "a"), ("a/b", "a\\b"), ("a", "a/")] {
        refused(&[stored(one, b""), stored(other, b"")], "is there twice");
    }
}

#[test]
fn entries_that_are_no_plain_files_are_refused() {
    refused(&[Item { mode: 0o120_777, ..stored("x", b"/etc") }], "symbolic link");
    refused(&[Item { mode: 0o010_644, ..x() }], "device, pipe or socket");
    refused(&[stored("x/", b"content")], "is a folder but has content");
    refused(&[Item { flags: 1, ..x() }], "encrypted");
    refused(&[Item { flags: 0x41, ..x() }], "encrypted");
    refused(&[Item { flags: 0x2000, ..x() }], "encrypted");
    for method in [9, 12, 14, 93, 99] {
        refused(&[Item { method, ..x() }], "packed with an unsupported method");
    }
}

#[test]
fn a_header_that_differs_from_the_directory_is_refused() {
    let differs = |change: fn(&mut Item)| {
        let mut local = x();
        change(&mut local);
        vec![Item { local: Some(Box::new(local)), ..x() }]
    };
    refused(&differs(|local| local.name = b"y".to_vec()), "another name in its header");
    refused(&differs(|local| local.name = b"xx".to_vec()), "another name in its header");
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
fn overlapping_entries_are_refused() {
    // Two names for one content: a bomb without a high ratio.
    let (one, two) = (stored("x", b"shared"), stored("x", b"shared"));
    let length = (zip(std::slice::from_ref(&one)).len() - 22 - 47) as i64;
    let mut other = Item { shift: -length, ..two };
    other.name = b"y".to_vec();
    refused(&[one, other], "overlaps");
    // One entry inside the content of another.
    let inner = zip(&[stored("y", b"in")]);
    let outer = stored("x", &inner[..33]);
    let inside = Item { shift: -33, ..stored("y", b"in") };
    refused(&[outer, inside], "overlaps");
}

#[test]
fn zip_bombs_are_refused() {
    let grows = |bytes: u64, compressed: u64| {
        let mut item = x();
        (item.bytes, item.compressed) = (bytes, compressed);
        vec![item]
    };
    refused(&grows(3 << 30, 10 << 20), "200 times");
    refused(&grows(2 << 30, 33), "200 times");
    let mut many: Vec<Item> = (0..5).map(|n| Item { name: vec![b'a' + n], ..x() }).collect();
    many.iter_mut().for_each(|item| item.bytes = 1 << 30);
    refused(&many, "the file would grow");
    many.iter_mut().for_each(|item| (item.bytes, item.compressed) = (0xffff_fffe, 0xffff_fffe));
    let many: Vec<Item> = many
        .iter()
        .cycle()
        .take(17)
        .cloned()
        .enumerate()
        .map(|(n, item)| Item { name: n.to_string().into_bytes(), ..item })
        .collect();
    refused(&many, "more than 64 GiB");
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
fn too_many_entries_are_refused() {
    let mut end = zip_with(&[], b"", true);
    // In the 64-bit end record: both counts, then the size.
    end[24..32].copy_from_slice(&100_001_u64.to_le_bytes());
    end[32..40].copy_from_slice(&100_001_u64.to_le_bytes());
    refused_bytes(&end, "more than 100,000 entries");
    let mut size = zip_with(&[], b"", true);
    size[40..48].copy_from_slice(&(33_u64 << 20).to_le_bytes());
    refused_bytes(&size, "more than 32 MiB");
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
    for (entries, words) in
        [(2, "reaches beyond the end"), (0, "a directory whose length does not match")]
    {
        let mut bytes = zip(&[x()]);
        let at = bytes.len() - 14;
        (bytes[at], bytes[at + 2]) = (entries, entries);
        refused_bytes(&bytes, words);
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
