//! Reading a file through: its hash, and whether it is a package.

use std::fs::File;
use std::io;

use ring::digest::{Context, SHA256};

use super::system;
use crate::{Error, Result, Stage, Status};

/// Told how much has been read of how much; an error ends the reading.
pub(super) type Watch<'a> = &'a mut dyn FnMut(u64, u64) -> Result<()>;

const BLOCK: usize = 1 << 20;

/// The hash of the first `length` bytes, ready to be carried on.
pub(super) fn hash(file: &File, length: u64, watch: Watch<'_>) -> Result<Context> {
    let mut hash = Context::new(&SHA256);
    let mut block = vec![0; BLOCK];
    let mut at = 0;
    while at < length {
        watch(at, length)?;
        let wanted = usize::try_from(length - at).unwrap_or(BLOCK).min(BLOCK);
        let part = block.get_mut(..wanted).unwrap_or_default();
        let got = system::read_at(file, part, at).map_err(|error| unreadable(&error))?;
        if got == 0 {
            return Err(unreadable(&io::ErrorKind::UnexpectedEof.into()));
        }
        hash.update(part.get(..got).unwrap_or_default());
        at += got as u64;
    }
    Ok(hash)
}

fn unreadable(error: &io::Error) -> Error {
    let why = crate::net::failure::reason(error);
    Error::new(Status::File, format!("what was downloaded cannot be read back: {why}"))
        .at(Stage::Download)
}

/// In lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The end record of a zip: signature, numbers of disks and entries, size and place of the directory, and the
/// length of a comment that follows.
const END: usize = 22;
const LONGEST_COMMENT: usize = 65_535;

/// Whether the file is a whole zip; returns how many entries it has.
pub(super) fn verify(file: &File, length: u64, watch: Watch<'_>) -> Result<u64> {
    watch(0, length)?;
    let refused = |problem: &str| {
        let message = format!("what was downloaded is no package: {problem}");
        Err(Error::new(Status::Integrity, message).at(Stage::Verify))
    };
    let mut start = [0; 4];
    let got = read_full(file, &mut start, 0)?;
    if got < 4 || !matches!(&start, b"PK\x03\x04" | b"PK\x05\x06") {
        return refused("it does not begin as a zip");
    }
    let tail = usize::try_from(length).unwrap_or(usize::MAX).min(END + LONGEST_COMMENT);
    let mut bytes = vec![0; tail];
    let got = read_full(file, &mut bytes, length - tail as u64)?;
    bytes.truncate(got);
    let end = bytes.windows(END).rev().find(|window| window.starts_with(b"PK\x05\x06"));
    let entries = end.and_then(|end| Some(u16::from_le_bytes([*end.get(10)?, *end.get(11)?])));
    match entries {
        Some(entries) => {
            watch(length, length)?;
            Ok(u64::from(entries))
        }
        None => refused("it ends before the zip does"),
    }
}

fn read_full(file: &File, buffer: &mut [u8], at: u64) -> Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match system::read_at(file, rest, at + done as u64) {
            Ok(0) => break,
            Ok(got) => done += got,
            Err(error) => return Err(unreadable(&error)),
        }
    }
    Ok(done)
}
