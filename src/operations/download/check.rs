//! Checks of a file on disk: its hash, and whether it is a whole package.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::path::Path;

use ring::digest::{Context, SHA256};

use crate::error::{Error, Result, Stage};
use crate::os::lock;
use crate::package_zip::{self, Contents};
use crate::status::Status;

/// Called with the number of bytes read and the length of the file. An error ends the reading.
pub(super) type OnRead<'a> = &'a mut dyn FnMut(u64, u64) -> Result<()>;

const BLOCK: usize = 1 << 20;

/// The hash of the first `length` bytes, to which more bytes can be added.
pub(super) fn hash(file: &File, length: u64, on_read: OnRead<'_>) -> Result<Context> {
    let mut hash = Context::new(&SHA256);
    let mut block = vec![0; BLOCK];
    let mut at = 0;
    while at < length {
        on_read(at, length)?;
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
    Error::new(Status::File, format!("the file could not be read: {why}"))
        .with_stage(Stage::Download)
        .of_system()
}

/// The error of a check, which names the file if that could not be read.
pub(super) fn naming(path: &Path, error: Error) -> Error {
    package_zip::naming(&super::shown(path), error)
}

/// Whether the file begins as every zip does. A web page that a proxy sent does not.
pub(super) fn begins_as_zip(file: &File) -> bool {
    let mut beginning = [0; 2];
    lock::read_at(file, &mut beginning, 0).is_ok() && beginning == *b"PK"
}

/// Checks that the file is a whole package. Returns its contents.
pub(super) fn verify(file: &File, length: u64, on_read: OnRead<'_>) -> Result<Contents> {
    let on_read = RefCell::new(on_read);
    package_zip::verify(file, &|at| (*on_read.borrow_mut())(at, length))
}
