//! The extra fields of a header or directory record: 64-bit sizes, second names, and other kinds of the entry.
//!
//! Every field is read that a common unpacker believes. Others have times, owners and attributes.

use super::fields::{length, number};
use super::{kind, reason};

const ZIP64: u64 = 0x0001;
/// Info-ZIP's name in UTF-8, behind a version and a checksum of the first name: unzip, 7-Zip, libarchive, Python.
const UNICODE_PATH: u64 = 0x7075;
/// The attributes of the directory in the header: libarchive.
const LIBARCHIVE: u64 = 0x6c78;
/// Times, owner, then the target of a link or the numbers of a device.
const PKWARE_UNIX: u64 = 0x000d;
const PKWARE_UNIX_FIXED: usize = 12;
/// Checksum, mode, then the size of a link's target, owner, and that target: unzip, Ant and Commons Compress.
const ASI_UNIX: u64 = 0x756e;
const ASI_UNIX_FIXED: usize = 14;
/// Info-ZIP for Macintosh (two forms), ZipIt, Xceed: they have names of their own.
const NAMED_BY_OTHERS: [u64; 4] = [0x07c8, 0x334d, 0x2605, 0x554e];

#[derive(Default)]
pub(super) struct Extras<'a> {
    zip64: Option<&'a [u8]>,
    /// Info-ZIP's second name.
    pub(super) name: Option<&'a [u8]>,
    pub(super) harm: Option<&'static str>,
}

pub(super) fn read(mut bytes: &[u8], is_folder: bool) -> Extras<'_> {
    let mut extras = Extras::default();
    while let Some((head, rest)) = bytes.split_at_checked(4) {
        let Some((body, rest)) = rest.split_at_checked(length(head, 2)) else { break };
        let harm = extras.field(number(head, 0, 2), body, is_folder);
        extras.harm = extras.harm.or(harm);
        bytes = rest;
    }
    // Some packers align content by zeros.
    if bytes.iter().any(|byte| *byte != 0) {
        extras.harm = extras.harm.or(Some(reason::BROKEN_FIELD));
    }
    extras
}

impl<'a> Extras<'a> {
    fn field(&mut self, id: u64, body: &'a [u8], is_folder: bool) -> Option<&'static str> {
        let slot = match id {
            ZIP64 => &mut self.zip64,
            UNICODE_PATH => &mut self.name,
            LIBARCHIVE => return libarchive(body, is_folder),
            PKWARE_UNIX => return (body.len() > PKWARE_UNIX_FIXED).then_some(reason::LINK_FIELD),
            ASI_UNIX => return asi(body, is_folder),
            _ => return NAMED_BY_OTHERS.contains(&id).then_some(reason::OLD_SECOND_NAME),
        };
        let Some(value) = body.get(if id == UNICODE_PATH { 5 } else { 0 }..) else {
            return Some(reason::BROKEN_FIELD);
        };
        if slot.is_some() {
            return Some(reason::FIELD_TWICE);
        }
        *slot = Some(value);
        None
    }

    /// Replaces numbers that did not fit into 32 bits. The field has them in this order. Without it they are as they
    /// stand: a file can have 4 GiB - 1.
    pub(super) fn lengthen(&self, numbers: &mut [u64]) -> Result<(), &'static str> {
        let Some(mut field) = self.zip64 else { return Ok(()) };
        for short in numbers.iter_mut().filter(|short| **short == u64::from(u32::MAX)) {
            let (long, rest) = field.split_at_checked(8).ok_or("lacks its 64-bit sizes")?;
            *short = number(long, 0, 8);
            field = rest;
        }
        Ok(())
    }
}

/// A bitmap of what follows: the packer's system, internal and external attributes.
fn libarchive(body: &[u8], is_folder: bool) -> Option<&'static str> {
    const UNIX: u64 = 3;
    // The last byte of the bitmap has no upper bit. Only the first byte has a meaning.
    let bitmap = number(body, 0, 1);
    let mut at = 1 + body.iter().take_while(|byte| **byte & 0x80 != 0).count();
    let mut system = UNIX;
    if bitmap & 1 != 0 {
        system = number(body, at + 1, 1);
        at += 2;
    }
    at += if bitmap & 2 != 0 { 2 } else { 0 };
    let attributes = if bitmap & 4 != 0 { number(body, at, 4) } else { 0 };
    at += if bitmap & 4 != 0 { 4 } else { 0 };
    if at > body.len() {
        return Some(reason::BROKEN_FIELD);
    }
    // Without a system it is that of the record, which may be MS-DOS.
    kind::harm(system, attributes, is_folder).or_else(|| kind::harm(0, attributes, is_folder))
}

fn asi(body: &[u8], is_folder: bool) -> Option<&'static str> {
    match body.len() {
        ASI_UNIX_FIXED => kind::of_mode(number(body, 4, 2), is_folder).map(|_| reason::LINK_FIELD),
        0..ASI_UNIX_FIXED => Some(reason::BROKEN_FIELD),
        _ => Some(reason::LINK_FIELD),
    }
}
