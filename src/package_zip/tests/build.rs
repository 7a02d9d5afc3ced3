//! Builds zips byte by byte, so that each can be wrong in one field.

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::{Contents, verify};
use crate::error::Result;

/// One entry, with its directory record and its local header.
#[derive(Clone)]
pub struct Item {
    pub name: Vec<u8>,
    pub packed: Vec<u8>,
    pub flags: u16,
    pub method: u16,
    pub crc32: u32,
    pub bytes: u64,
    pub compressed: u64,
    pub mode: u32,
    /// The packer's system, 3 is Unix.
    pub system: u8,
    /// The lower half of the attributes, as of MS-DOS.
    pub dos: u16,
    pub extra: Vec<u8>,
    /// Bytes before its header.
    pub gap: Vec<u8>,
    /// Different values for the header.
    pub local: Option<Box<Item>>,
    /// The header's own extra field.
    pub local_extra: Vec<u8>,
    pub descriptor: Vec<u8>,
    /// Added to the offset in the directory.
    pub shift: i64,
    /// It has only a directory record, for what stands where that points to.
    pub record_only: bool,
}

pub fn stored(name: &str, content: &[u8]) -> Item {
    Item {
        name: name.as_bytes().to_vec(),
        packed: content.to_vec(),
        flags: 0,
        method: 0,
        crc32: crc32fast::hash(content),
        bytes: content.len() as u64,
        compressed: content.len() as u64,
        mode: 0o100_644,
        system: 3,
        dos: 0,
        extra: vec![],
        gap: vec![],
        local: None,
        local_extra: vec![],
        descriptor: vec![],
        shift: 0,
        record_only: false,
    }
}

pub fn deflated(name: &str, content: &[u8]) -> Item {
    let packed = miniz_oxide::deflate::compress_to_vec(content, 6);
    let compressed = packed.len() as u64;
    Item { packed, compressed, method: 8, ..stored(name, content) }
}

/// The entry with a data descriptor instead of sizes in its header, in 32 or 64 bits.
pub fn streamed(item: Item, signed: bool, wide: bool) -> Item {
    let mut item = Item { flags: item.flags | 8, ..item };
    let mut descriptor = if signed { b"PK\x07\x08".to_vec() } else { vec![] };
    descriptor.extend(item.crc32.to_le_bytes());
    for number in [item.compressed, item.bytes] {
        let bytes = number.to_le_bytes();
        descriptor.extend(&bytes[..if wide { 8 } else { 4 }]);
    }
    item.local = Some(Box::new(Item { crc32: 0, bytes: 0, compressed: 0, ..item.clone() }));
    item.descriptor = descriptor;
    item
}

/// An extra field.
pub fn field(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut out = kind.to_le_bytes().to_vec();
    out.extend(u16::try_from(body.len()).unwrap().to_le_bytes());
    out.extend(body);
    out
}

fn short(number: u64) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}

impl Item {
    /// The header, the content and the descriptor.
    pub fn local_bytes(&self) -> Vec<u8> {
        let local = self.local.as_deref().unwrap_or(self);
        let mut out = b"PK\x03\x04".to_vec();
        out.extend(local.shared(self.local_extra.len()));
        for part in [&local.name, &self.local_extra, &self.packed, &self.descriptor] {
            out.extend(part);
        }
        out
    }

    fn shared(&self, extra: usize) -> Vec<u8> {
        let mut out = 20_u16.to_le_bytes().to_vec();
        for number in [self.flags, self.method, 0x6000, 0x5c21] {
            out.extend(number.to_le_bytes());
        }
        out.extend(self.crc32.to_le_bytes());
        out.extend(short(self.compressed));
        out.extend(short(self.bytes));
        for length in [self.name.len(), extra] {
            out.extend(u16::try_from(length).unwrap().to_le_bytes());
        }
        out
    }
}

/// The whole zip. `end_64`: with the 64-bit end record.
pub fn zip_with(items: &[Item], comment: &[u8], end_64: bool) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for item in items {
        out.extend(&item.gap);
        let offset = (out.len() as i64 + item.shift) as u64;
        if !item.record_only {
            out.extend(item.local_bytes());
        }
        directory.extend(b"PK\x01\x02\x14");
        directory.push(item.system);
        directory.extend(item.shared(item.extra.len()));
        directory.extend([0; 6]);
        directory.extend((item.mode << 16 | u32::from(item.dos)).to_le_bytes());
        directory.extend(short(offset));
        directory.extend(&item.name);
        directory.extend(&item.extra);
    }
    let (start, count) = (out.len() as u64, items.len() as u64);
    out.extend(&directory);
    if end_64 {
        let at = out.len() as u64;
        out.extend(b"PK\x06\x06");
        out.extend(44_u64.to_le_bytes());
        out.extend([45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for number in [count, count, directory.len() as u64, start] {
            out.extend(number.to_le_bytes());
        }
        out.extend(b"PK\x06\x07\0\0\0\0");
        out.extend(at.to_le_bytes());
        out.extend(1_u32.to_le_bytes());
    }
    out.extend(b"PK\x05\x06\0\0\0\0");
    let most = |number: u64, most: u64| if end_64 { most } else { number };
    for _ in 0..2 {
        out.extend(&most(count, 0xffff).to_le_bytes()[..2]);
    }
    for number in [directory.len() as u64, start] {
        out.extend(&most(number, 0xffff_ffff).to_le_bytes()[..4]);
    }
    out.extend(u16::try_from(comment.len()).unwrap().to_le_bytes());
    out.extend(comment);
    out
}

pub fn zip(items: &[Item]) -> Vec<u8> {
    zip_with(items, b"", false)
}

/// A file that is deleted when it is closed.
pub fn file(bytes: &[u8]) -> File {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("mde-archive-{}-{number}", std::process::id()));
    let mut options = File::options();
    let mut file = options.read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.write_all(bytes).unwrap();
    file
}

pub fn check(bytes: &[u8]) -> Result<Contents> {
    verify(&file(bytes), &|_| Ok(()))
}
