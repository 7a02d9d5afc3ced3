//! Reading a file through: its hash, and whether it is a package.

use std::cell::RefCell;
use std::fs::File;
use std::io;

use ring::digest::{Context, SHA256};

use crate::error::{Error, Result, Stage};
use crate::os::lock;
use crate::package_zip::{self, Contents};
use crate::status::Status;

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
        let got = lock::read_at(file, part, at).map_err(|error| unreadable(&error))?;
        if got == 0 {
            return Err(unreadable(&io::ErrorKind::UnexpectedEof.into()));
        }
        hash.update(part.get(..got).unwrap_or_default());
        at += got as u64;
    }
    Ok(hash)
}

fn unreadable(error: &io::Error) -> Error {
    let why = crate::os::io_error::reason(error);
    Error::new(Status::File, format!("what was downloaded cannot be read back: {why}"))
        .with_stage(Stage::Download)
}

/// Whether the file is a whole package, and what it holds.
pub(super) fn verify(file: &File, length: u64, watch: Watch<'_>) -> Result<Contents> {
    let watch = RefCell::new(watch);
    package_zip::verify(file, &|at| (*watch.borrow_mut())(at, length))
}
