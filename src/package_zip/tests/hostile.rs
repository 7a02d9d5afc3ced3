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

fn x() -> Item {
    deflated("x", b"some text, some text, some text")
}

#[test]
fn names_that_lead_elsewhere_are_found() {
    for (name, words) in [
        ("../x", "has a path that leaves"),
        ("a\\..\\..\\x", "leaves the folder"),
        ("/etc/passwd", "absolute"),
        ("\\\\server\\x", "absolute"),
        ("C:/x", "drive letter"),
        ("", "has no name"),
        ("a\0.txt", "control character"),
        ("a\u{1b}[2J", "control character"),
    ] {
        let shown = name.replace(char::is_control, "\u{fffd}");
        harmful(&[stored("other", b""), stored(name, b"")], &shown, words);
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
fn kinds_of_other_systems_are_found() {
    let of = |system, dos, mode| vec![Item { system, dos, mode, ..x() }];
    // Attributes of MS-DOS have no mode, and some packers leave anything there, but 7-Zip marks its own.
    for system in [0, 6, 10, 11, 14] {
        safe(&of(system, 0x20, 0o120_777));
        harmful(&of(system, 0x8020, 0o120_777), "x", "symbolic link");
        harmful(&of(system, 0x0420, 0), "x", "reparse point");
        harmful(&of(system, 0x0010, 0), "x", "a folder for some programs");
        let folder = Item { name: b"x/".to_vec(), ..stored("", b"") };
        safe(&[Item { system, dos: 0x10, mode: 0, ..folder }]);
    }
    harmful(&of(19, 0, 0o120_777), "x", "symbolic link");
    harmful(&of(3, 0, 0o040_755), "x", "a folder for some programs");
    safe(&of(3, 0, 0));
}

/// Fields that make a link or have a second name, in the directory and in the header.
#[test]
fn extra_fields_that_programs_believe_are_found() {
    let link = 0o120_777_u32 << 16;
    let xl = |body: &[&[u8]]| field(0x6c78, &body.concat());
    let asi = |mode: u16, link: &[u8]| {
        field(0x756e, &[&[0; 4][..], &mode.to_le_bytes(), &[0; 8], link].concat())
    };
    for (extra, words) in [
        (xl(&[&[5, 20, 3], &link.to_le_bytes()]), "symbolic link"),
        (xl(&[&[4], &link.to_le_bytes()]), "symbolic link"),
        (xl(&[&[0x87, 0x80, 1, 20, 3, 0, 0], &link.to_le_bytes()]), "symbolic link"),
        (xl(&[&[5, 20, 3], &(0o020_666_u32 << 16).to_le_bytes()]), "device, pipe or socket"),
        (xl(&[&[5, 20, 0], &0x10_u32.to_le_bytes()]), "a folder for some programs"),
        (xl(&[&[5, 20, 3], &link.to_le_bytes()[..3]]), "cut short"),
        (field(0x000d, &[&[0; 12][..], b"/etc/passwd"].concat()), "a link or a device"),
        (asi(0o120_777, b""), "a link or a device"),
        (asi(0o100_644, b"/etc"), "a link or a device"),
        (field(0x756e, &[0; 13]), "cut short"),
        (unicode_path(b"x", "y"), "second name that differs"),
        (unicode_path(b"w", "y"), "second name that differs"),
        (field(0x7075, &[1, 0, 0, 0]), "cut short"),
        ([unicode_path(b"x", "x"), unicode_path(b"x", "x")].concat(), "one extra field twice"),
        ([field(1, &[0; 8]), field(1, &[1; 8])].concat(), "one extra field twice"),
        (field(0x2605, b"ZPIT\x01y"), "a field that few programs read"),
        (field(0x554e, b"NUCX"), "a field that few programs read"),
        (vec![0x55, 0x54, 9, 0, 1], "cut short"),
        (vec![0x55, 0x54, 0xff, 0xff, 1, 2, 3, 4, 5], "cut short"),
        (vec![0, 0, 1], "cut short"),
    ] {
        harmful(&[Item { extra: extra.clone(), ..x() }], "x", words);
        harmful(&[Item { local_extra: extra, ..x() }], "x", words);
    }
    let leaves = Item { extra: unicode_path(b"a", "../a"), ..stored("a", b"") };
    harmful(&[leaves], "a", "leaves the folder");
}

#[test]
fn a_newer_version_of_the_format_is_found() {
    for (version, reason) in [(20, None), (46, None), (47, Some("newer version of the format"))] {
        let mut bytes = zip(&[x()]);
        let entry = bytes.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
        bytes[entry + 6] = version;
        let found = check(&bytes).unwrap().unsafe_entries;
        assert_eq!(found.len(), usize::from(reason.is_some()), "{version}: {found:?}");
        assert!(found.iter().all(|one| one.reason().contains(reason.unwrap())), "{found:?}");
    }
}

#[test]
fn fields_of_other_matters_are_safe() {
    let mode = 0o100_644_u32 << 16;
    let owner = field(0x7875, b"\x01\x04\0\0\0\0\x04\0\0\0\0");
    for extra in [
        field(0x5455, b"\x03\0\0\0\x5a\0\0\0\x5a"),
        owner,
        field(0x000d, &[0; 12]),
        field(0x756e, &[&[0; 4][..], &0o100_644_u16.to_le_bytes(), &[0; 8]].concat()),
        field(0x6c78, &[&[5, 20, 3][..], &mode.to_le_bytes()].concat()),
        unicode_path(b"x", "x"),
        vec![0; 3],
        vec![0; 9],
        [field(0xd935, &[4, 0, 0]), vec![0]].concat(),
    ] {
        safe(&[Item { extra: extra.clone(), ..x() }]);
        safe(&[Item { local_extra: extra.clone(), ..x() }]);
        safe(&[Item { extra: extra.clone(), local_extra: extra, ..x() }]);
    }
    // A name in the packer's character set, and the same in UTF-8: in the directory, but not in the header alone.
    let latin = Item { name: b"J\xf6rg".to_vec(), ..stored("", b"") };
    let second = unicode_path(&latin.name, "J\u{f6}rg");
    safe(&[Item { extra: second.clone(), local_extra: second.clone(), ..latin.clone() }]);
    harmful(&[Item { local_extra: second, ..latin }], "J\u{fffd}rg", "second name that differs");
    let escaped = stored("J#U00f6rg", b"");
    safe(&[Item { extra: unicode_path(b"J#U00f6rg", "J\u{f6}rg"), ..escaped }]);
}

#[test]
fn a_message_names_five_damaged_entries() {
    let damaged = |count: u8| -> Vec<Item> {
        let damaged = (0..count).map(|n| Item { crc32: 1, name: vec![b'a' + n], ..x() });
        damaged.chain([stored("whole", b"1")]).collect()
    };
    let message = |count| check(&zip(&damaged(count))).unwrap_err().message().to_owned();
    let what = "has content that does not match its checksum";
    let advice = "keep the file, and download the package again";
    assert_eq!(message(1), format!("entry `a` {what}; {advice}"));
    let two = format!("entry `a` {what}; entry `b` {what}");
    assert_eq!(message(2), format!("2 entries are damaged: {two}; {advice}"));
    let five = ["a", "b", "c", "d", "e"].map(|name| format!("entry `{name}` {what}")).join("; ");
    assert_eq!(message(5), format!("5 entries are damaged: {five}; {advice}"));
    assert_eq!(message(9), format!("9 entries are damaged: {five}; and 4 more; {advice}"));
}

#[test]
fn a_hundred_unsafe_entries_are_listed() {
    let link = |n| Item { mode: 0o120_777, ..stored(&format!("{n}"), b"x") };
    let items: Vec<Item> = (0..150).map(link).collect();
    let contents = check(&zip(&items)).unwrap();
    assert_eq!((contents.unsafe_count, contents.unsafe_entries.len()), (150, 100));
    assert!(contents.unsafe_entries.iter().enumerate().all(|(n, one)| one.name() == n.to_string()));
    let json = serde_json::to_value(&contents).unwrap();
    assert_eq!(json["unsafe_count"], 150);
    let first = serde_json::json!({"name": "0", "reason": contents.unsafe_entries[0].reason()});
    assert_eq!(json["unsafe_entries"][0], first);
    let long = "\u{e9}".repeat(3_000);
    let contents =
        check(&zip(&[Item { flags: 0x800, ..stored(&format!("/{long}"), b"") }])).unwrap();
    assert_eq!(contents.unsafe_entries[0].name().len(), 1_023);
    let json = serde_json::to_value(safe(&[x()])).unwrap();
    assert!(json.get("unsafe_count").is_none() && json.get("unsafe_entries").is_none(), "{json}");
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
    refused(&differs(|local| local.flags = 1), "described differently");
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
    let length = one.local_bytes().len() as i64;
    let mut other = Item { shift: -length, record_only: true, ..two };
    other.name = b"y".to_vec();
    harmful(&[one, other], "y", "overlaps another entry");
    // One entry inside the content of another.
    let inner = stored("y", b"in");
    let outer = stored("x", &inner.local_bytes());
    let inside = Item { shift: -33, record_only: true, ..inner };
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

/// Bindings read numbers of 63 bits.
#[test]
fn sizes_that_no_file_has_are_refused() {
    let most = i64::MAX as u64;
    let encrypted = |bytes: u64, compressed: u64| {
        let sizes = [bytes.to_le_bytes(), compressed.to_le_bytes()].concat();
        let sizes = field(1, &sizes);
        let (bytes, compressed) = (u64::MAX, u64::MAX);
        let (extra, local_extra) = (sizes.clone(), sizes);
        Item { flags: 1, bytes, compressed, extra, local_extra, ..x() }
    };
    for (bytes, compressed) in [(most + 1, 1), (u64::MAX, 1), (1, most + 1), (1, u64::MAX)] {
        refused(&[encrypted(bytes, compressed)], "is larger than any file can be");
    }
    let contents = check(&zip(&[encrypted(most, 1), encrypted(most, 1), x()])).unwrap();
    assert_eq!(contents.bytes_uncompressed, most);
    assert_eq!(contents.entries[0].bytes(), most);
    let json = serde_json::to_value(&contents).unwrap();
    assert_eq!(json["bytes_uncompressed"].as_i64(), Some(i64::MAX));
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
        [(100_001, 5 << 20, "more than 100,000 entries"), (1, 9 << 20, "more than 8 MiB")]
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
    let mut lacks = Item { extra: field(1, &[0; 7]), ..x() };
    lacks.bytes = u64::from(u32::MAX);
    refused(&[lacks.clone()], "in its directory that lacks its 64-bit sizes");
    let whole = field(1, &x().bytes.to_le_bytes());
    let local = Some(Box::new(lacks.clone()));
    let lacks = Item { extra: whole, local_extra: lacks.extra.clone(), local, ..lacks };
    refused(&[lacks], "entry `x` lacks its 64-bit sizes");
}

/// Python reads the record right before its locator, whatever the locator says, and found no entry in this one.
#[test]
fn a_64_bit_end_record_with_more_fields_is_refused() {
    let mut bytes = zip_with(&[x()], b"", true);
    let (record, locator) = (bytes.len() - 22 - 20 - 56, bytes.len() - 22 - 20);
    let mut hidden = bytes[record..locator].to_vec();
    hidden[24..48].fill(0);
    bytes[record + 4] += 56;
    bytes.splice(locator..locator, hidden);
    refused_bytes(&bytes, "64-bit end record whose length is wrong");
    let mut longer = zip_with(&[x()], b"", true);
    longer[record + 4] += 4;
    longer.splice(locator..locator, [0; 4]);
    refused_bytes(&longer, "64-bit end record whose length is wrong");
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
