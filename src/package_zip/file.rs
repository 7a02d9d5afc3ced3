//! The file that is checked: opened without blocking, read at any position through one buffer.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

use super::problem::{Checked, Pause};
use crate::error::{Error, Result, Stage};
use crate::os::file::{Access, Links};
use crate::os::io_error::{reason, too_many_open};
use crate::os::{self, lock};
use crate::status::Status;
use crate::text::redact;

/// The largest record (a central entry with name, extra field and comment) fits.
const BUFFER: usize = 256 * 1024;

/// Opens a regular file. Others are refused before opening: a FIFO would block until its other end opens.
pub(super) fn open(path: &Path) -> Result<File> {
    let failed = |error: io::Error| unusable(path, "cannot be opened", &error);
    regular(path, &std::fs::metadata(path).map_err(failed)?)?;
    let file = os::file::open(path, Access::Read, Links::Followed).map_err(failed)?;
    // Checked again, in case the path was replaced meanwhile.
    regular(path, &file.metadata().map_err(failed)?)?;
    Ok(file)
}

fn regular(path: &Path, meta: &Metadata) -> Result<()> {
    if meta.is_file() {
        return Ok(());
    }
    let what = if meta.is_dir() { "is a folder" } else { "is a device, pipe or socket" };
    let message = format!("`{}` {what}; expected the path of a zip file", shown(path));
    Err(Error::new(Status::File, message).with_stage(Stage::Verify))
}

fn unusable(path: &Path, what: &str, error: &io::Error) -> Error {
    let message = format!("`{}` {what}: {error}", shown(path));
    Error::new(Status::File, message).with_stage(Stage::Verify).retryable(too_many_open(error))
}

pub(super) fn shown(path: &Path) -> String {
    redact::clean(&path.to_string_lossy(), 1000)
}

/// One file, read by position.
pub(super) struct Source<'a> {
    file: &'a File,
    len: u64,
    buffer: Box<[u8]>,
    /// The position in the file of the buffer's first byte.
    start: u64,
    filled: usize,
    pause: Pause<'a>,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &'a File, pause: Pause<'a>) -> Checked<Source<'a>> {
        let len = file.metadata().map_err(unreadable)?.len();
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Ok(Source { file, len, buffer, start: 0, filled: 0, pause })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn pause(&self) -> Checked<()> {
        Ok((self.pause)(self.start)?)
    }

    /// Exactly `count` bytes, at most as many as the buffer has.
    pub(super) fn exact(&mut self, at: u64, count: usize) -> Checked<&[u8]> {
        if self.held(at).len() < count {
            self.load(at)?;
        }
        self.held(at).get(..count).ok_or("reaches beyond the end of the file".into())
    }

    /// At least one byte, at most `most`.
    pub(super) fn some(&mut self, at: u64, most: u64) -> Checked<&[u8]> {
        if self.held(at).is_empty() {
            self.load(at)?;
        }
        let held = self.held(at);
        if held.is_empty() {
            return Err("reaches beyond the end of the file".into());
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(held.len());
        Ok(held.get(..most).unwrap_or_default())
    }

    /// Which of these words of one length is the first between two positions.
    pub(super) fn first_of(
        &mut self,
        words: &[&'static [u8]],
        mut at: u64,
        end: u64,
    ) -> Checked<Option<&'static [u8]>> {
        let length = words.first().map_or(1, |word| word.len());
        while end.saturating_sub(at) >= length as u64 {
            // The rest of the buffer may be shorter than a word.
            self.exact(at, length)?;
            let part = self.some(at, end - at)?;
            let found =
                part.windows(length).find_map(|window| words.iter().find(|word| **word == window));
            if let Some(word) = found {
                return Ok(Some(*word));
            }
            at += (part.len() - (length - 1)) as u64;
        }
        Ok(None)
    }

    fn held(&self, at: u64) -> &[u8] {
        let offset = at.checked_sub(self.start).and_then(|offset| usize::try_from(offset).ok());
        offset.and_then(|offset| self.buffer.get(offset..self.filled)).unwrap_or_default()
    }

    fn load(&mut self, at: u64) -> Checked<()> {
        (self.start, self.filled) = (at, 0);
        if at >= self.len {
            // Positions come from the archive, and the system would refuse some as invalid.
            return Ok(());
        }
        self.pause()?;
        self.filled = lock::read_at(self.file, &mut self.buffer, at).map_err(unreadable)?;
        Ok(())
    }
}

/// What an error says in place of the name of the file.
const NAMELESS: &str = "the file ";

fn unreadable(error: io::Error) -> Error {
    Error::new(Status::File, format!("{NAMELESS}could not be read: {}", reason(&error)))
        .with_stage(Stage::Verify)
        .of_system()
}

/// The error of a check, which names the file if that could not be read.
pub(crate) fn naming(shown: &str, error: Error) -> Error {
    match (error.status(), error.message().strip_prefix(NAMELESS)) {
        (Status::File, Some(rest)) => {
            let message = format!("`{shown}` {rest}");
            error.with_message(message)
        }
        _ => error,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn too_many_open_files_pass_and_a_failing_disk_may_not() {
        for (code, retryable) in [(24, true), (23, true), (5, false)] {
            let error = io::Error::from_raw_os_error(code);
            let error = unusable(Path::new("/a/b"), "cannot be opened", &error);
            assert_eq!(error.is_retryable(), retryable, "{error}");
            assert!(error.message().starts_with("`/a/b` cannot be opened: "), "{error}");
        }
    }

    #[test]
    fn an_error_names_the_file_that_could_not_be_read() {
        let error = naming("/a/b", unreadable(io::Error::from_raw_os_error(5)));
        assert!(error.message().starts_with("`/a/b` could not be read: "), "{error}");
        let other = Error::new(Status::Integrity, "the file is cut short");
        assert_eq!(naming("/a/b", other).message(), "the file is cut short");
    }
}
