//! Builds zips out of an input: whole ones, with all that packers write, and with bytes where programs look differently.

use super::input::Input;

/// One entry as it stands in the two records.
struct Entry {
    name: Vec<u8>,
    flags: u16,
    method: u16,
    crc32: u32,
    packed: u32,
    bytes: u32,
    extra: Vec<u8>,
    offset: u32,
    system: u8,
    mode: u16,
}

/// `entries | (form, name, content, more by form)… | end`
pub fn build(input: &mut Input<'_>) -> Vec<u8> {
    let count = input.byte() % 5;
    let (mut zip, mut entries) = (Vec::new(), Vec::new());
    for _ in 0..count {
        entries.push(entry(&mut zip, input));
    }
    let form = input.byte();
    if form & 1 == 1 {
        zip.extend(expanded(input.part()));
    }
    let start = zip.len();
    for entry in &entries {
        central(&mut zip, entry, if form & 2 == 2 { expanded(input.part()) } else { Vec::new() });
    }
    let size = zip.len() - start;
    if form & 4 == 4 {
        end_64(&mut zip, entries.len(), size, start, input);
    }
    zip.extend(b"PK\x05\x06\0\0\0\0");
    let hidden = form & 12 == 12;
    for _ in 0..2 {
        zip.extend((if hidden { 0xffff } else { entries.len() as u16 }).to_le_bytes());
    }
    for number in [size, start] {
        zip.extend((if hidden { u32::MAX } else { number as u32 }).to_le_bytes());
    }
    let comment = if form & 16 == 16 { expanded(input.part()) } else { Vec::new() };
    zip.extend((comment.len() as u16).to_le_bytes());
    zip.extend(comment);
    match form & 96 {
        32 => zip.resize(zip.len() + usize::from(input.word() % 600), 0),
        64 => zip.extend(expanded(input.part())),
        _ => {}
    }
    zip
}

/// The records that make programs differ are a byte each in an input. Other bytes stand for themselves.
fn expanded(bytes: &[u8]) -> Vec<u8> {
    const END: [u8; 22] = *b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let mut expanded = Vec::new();
    for &byte in bytes {
        match byte {
            0xf1 => expanded.extend(b"PK\x01\x02"),
            0xf3 => expanded.extend(b"PK\x03\x04"),
            0xf5 => expanded.extend(b"PK\x05\x06"),
            0xf6 => expanded.extend(b"PK\x06\x06"),
            0xf7 => expanded.extend(b"PK\x06\x07"),
            0xf8 => expanded.extend(b"PK\x07\x08"),
            0xf9 => expanded.extend(END),
            0xfa => local(&mut expanded, &Entry::stored(b"hidden".to_vec(), b"x"), &[], b"x"),
            0xfb => expanded.extend([0; 16]),
            other => expanded.push(other),
        }
    }
    expanded
}

impl Entry {
    fn stored(name: Vec<u8>, content: &[u8]) -> Entry {
        let length = content.len() as u32;
        Entry {
            name,
            flags: 0,
            method: 0,
            crc32: crc32fast::hash(content),
            packed: length,
            bytes: length,
            extra: Vec::new(),
            offset: 0,
            system: 0,
            mode: 0,
        }
    }
}

fn entry(zip: &mut Vec<u8>, input: &mut Input<'_>) -> Entry {
    const NAMES: [&[u8]; 8] =
        [b"a", b"b.txt", b"folder/", b"folder/c", b"d\\e", b"\xc3\xa9", b"e\x82", b"long name.csv"];
    let (form, more) = (input.byte(), input.byte());
    let name = match form & 15 {
        which @ 0..8 => NAMES[usize::from(which)].to_vec(),
        _ => expanded(input.part()),
    };
    let content = if name.ends_with(b"/") { Vec::new() } else { expanded(input.part()) };
    if form & 16 == 16 {
        zip.extend(expanded(input.part()));
    }
    let mut entry = Entry::stored(name, &content);
    entry.offset = zip.len() as u32;
    let mut packed = content.clone();
    if form & 32 == 32 {
        // Deflated, in one block that is stored.
        let length = content.len() as u16;
        packed = [&[1][..], &length.to_le_bytes(), &(!length).to_le_bytes(), &content].concat();
        (entry.method, entry.packed) = (8, packed.len() as u32);
    }
    if form & 64 == 64 {
        entry.flags |= 0x800;
    }
    match more & 3 {
        1 => (entry.system, entry.mode) = (3, 0o100_644),
        2 => (entry.system, entry.mode) = (input.byte(), input.word()),
        _ => {}
    }
    let extra = if more & 4 == 4 { expanded(input.part()) } else { Vec::new() };
    let local_extra = if more & 8 == 8 { expanded(input.part()) } else { extra.clone() };
    entry.extra = extra;
    if form & 128 == 128 {
        // Sizes and checksum stand behind the content.
        entry.flags |= 8;
        let known = (entry.crc32, entry.packed, entry.bytes);
        (entry.crc32, entry.packed, entry.bytes) = (0, 0, 0);
        local(zip, &entry, &local_extra, &packed);
        (entry.crc32, entry.packed, entry.bytes) = known;
        if more & 16 == 0 {
            zip.extend(b"PK\x07\x08");
        }
        zip.extend(entry.crc32.to_le_bytes());
        for number in [entry.packed, entry.bytes] {
            match more & 32 {
                0 => zip.extend(number.to_le_bytes()),
                _ => zip.extend(u64::from(number).to_le_bytes()),
            }
        }
    } else {
        local(zip, &entry, &local_extra, &packed);
    }
    entry
}

fn shared(entry: &Entry, extra: usize) -> Vec<u8> {
    let mut record = 20_u16.to_le_bytes().to_vec();
    for number in [entry.flags, entry.method, 0x6000, 0x5c21] {
        record.extend(number.to_le_bytes());
    }
    for number in [entry.crc32, entry.packed, entry.bytes] {
        record.extend(number.to_le_bytes());
    }
    for length in [entry.name.len(), extra] {
        record.extend((length as u16).to_le_bytes());
    }
    record
}

fn local(zip: &mut Vec<u8>, entry: &Entry, extra: &[u8], packed: &[u8]) {
    zip.extend(b"PK\x03\x04");
    zip.extend(shared(entry, extra.len()));
    zip.extend(&entry.name);
    zip.extend(extra);
    zip.extend(packed);
}

fn central(zip: &mut Vec<u8>, entry: &Entry, comment: Vec<u8>) {
    zip.extend(b"PK\x01\x02\x14");
    zip.push(entry.system);
    zip.extend(shared(entry, entry.extra.len()));
    zip.extend((comment.len() as u16).to_le_bytes());
    zip.extend([0; 4]);
    zip.extend((u32::from(entry.mode) << 16).to_le_bytes());
    zip.extend(entry.offset.to_le_bytes());
    zip.extend(&entry.name);
    zip.extend(&entry.extra);
    zip.extend(comment);
}

/// A 64-bit end record with its locator. Later versions of the format may add fields to the record.
fn end_64(zip: &mut Vec<u8>, entries: usize, size: usize, start: usize, input: &mut Input<'_>) {
    let at = zip.len() as u64;
    let form = input.byte();
    let mut more = if form & 1 == 1 { expanded(input.part()) } else { Vec::new() };
    if form & 2 == 2 {
        // What a program finds that counts back from the locator: no entries at all.
        more.extend(b"PK\x06\x06");
        more.extend(44_u64.to_le_bytes());
        more.extend([45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        more.extend([0; 24]);
        more.extend((start as u64).to_le_bytes());
    }
    zip.extend(b"PK\x06\x06");
    zip.extend((44 + more.len() as u64).to_le_bytes());
    zip.extend([45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for number in [entries, entries, size, start] {
        zip.extend((number as u64).to_le_bytes());
    }
    zip.extend(more);
    zip.extend(b"PK\x06\x07\0\0\0\0");
    zip.extend(at.to_le_bytes());
    zip.extend(1_u32.to_le_bytes());
}
