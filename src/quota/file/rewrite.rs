//! The fallback where the system cannot replace an open file: its content is written instead.

use std::fs::File;
use std::io;

use super::layout;
use crate::os::lock::write_at;

/// Writes the content of the open file. The sector with the head and its checksum comes last. A crash before that
/// leaves a file with only the magic bytes, which counts as damaged and so as spent.
pub(super) fn rewrite(open: &File, bytes: &[u8]) -> io::Result<()> {
    const SECTOR: usize = 512;
    let (first, rest) = bytes.split_at(bytes.len().min(SECTOR));
    let mut unfinished = layout::MAGIC.to_vec();
    unfinished.resize(first.len(), 0);
    let length = open.metadata()?.len();
    if bytes.len() as u64 > length {
        // A full disk is found here, before anything is overwritten.
        open.set_len(bytes.len() as u64).inspect_err(|_| {
            let _ = open.set_len(length);
        })?;
    }
    write_at(open, &unfinished, 0)?;
    open.sync_all()?;
    open.set_len(bytes.len() as u64)?;
    write_at(open, rest, first.len() as u64)?;
    open.sync_all()?;
    write_at(open, first, 0)?;
    open.sync_all()
}
