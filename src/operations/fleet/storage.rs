//! The file of a journal. Tests replace it with a model that crashes.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::os::file::{self, Access, Links, Mode, suffixed, sync_folder_of};
use crate::os::file_limit::{NoSignal, take_signal};
use crate::os::{lock, state_file};

use super::journal::Span;

/// Bytes that survive a crash once they are synced.
pub(super) trait Storage {
    /// Writes at this position, which is at most the length.
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Drops everything from this position on.
    fn cut(&mut self, at: u64) -> io::Result<()>;

    /// Makes everything durable that was written.
    fn sync(&mut self) -> io::Result<()>;

    /// Reads from this position on. Returns less than asked only at the end.
    fn read(&self, at: u64, bytes: &mut [u8]) -> io::Result<usize>;

    /// Replaces the content by these parts of it, one behind the other, and a text behind them. After a failure the
    /// content is the old one, and after a crash the old one or the new one. The new one is durable.
    fn replace(&mut self, parts: &[Span], text: &[u8]) -> io::Result<()>;
}

/// A file that only its owner can read.
pub(super) struct JournalFile {
    path: PathBuf,
    /// `None`: it could not be opened again.
    file: Option<File>,
    /// Writing beyond the limit of the process is an error and not its end.
    _no_signal: NoSignal,
}

impl JournalFile {
    /// Opens the file, or makes it. The caller holds the lock of the folder.
    pub(super) fn open(path: &Path) -> io::Result<JournalFile> {
        let journal = JournalFile::of(path, Access::Write(Mode::OwnerOnly))?;
        if journal.file()?.metadata()?.len() == 0 {
            // The name of a new file has to survive a crash as well.
            sync_folder_of(path);
        }
        Ok(journal)
    }

    /// Opens the file for reading alone.
    pub(super) fn open_for_reading(path: &Path) -> io::Result<JournalFile> {
        JournalFile::of(path, Access::Read)
    }

    fn of(path: &Path, access: Access) -> io::Result<JournalFile> {
        let file = file::open_own(path, access)?;
        Ok(JournalFile { path: path.to_owned(), file: Some(file), _no_signal: NoSignal::new() })
    }

    fn file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::Error::other("it could not be opened again"))
    }

    /// Writes these parts and the text to another file.
    fn copy_to(&self, beside: &Path, parts: &[Span], text: &[u8]) -> io::Result<File> {
        file::remove_if_there(beside)?;
        let file = file::open(beside, Access::Create(Mode::OwnerOnly), Links::Refused)?;
        let mut writer = BufWriter::with_capacity(1 << 16, file);
        let mut part = Vec::new();
        for Span { at, length } in parts {
            part.resize(*length as usize, 0);
            if self.read(*at, &mut part)? < part.len() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            take_signal(writer.write_all(&part))?;
        }
        take_signal(writer.write_all(text))?;
        take_signal(writer.flush())?;
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(file)
    }
}

impl Storage for JournalFile {
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        lock::write_at(self.file()?, bytes, at)
    }

    fn cut(&mut self, at: u64) -> io::Result<()> {
        self.file()?.set_len(at)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file()?.sync_data()
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> io::Result<usize> {
        lock::read_at(self.file()?, bytes, at)
    }

    fn replace(&mut self, parts: &[Span], text: &[u8]) -> io::Result<()> {
        let beside = suffixed(&self.path, state_file::UNFINISHED);
        let new = self.copy_to(&beside, parts, text);
        let replaced = new.and_then(|file| {
            // Closed first: Windows does not replace open files, and it may be behind a shared folder, too.
            self.file = None;
            match file::replace(&beside, &self.path) {
                // A network file system may report a failure of what it has done.
                Err(error) if !file::is_still_at(&file, &self.path, Links::Refused) => Err(error),
                _ => Ok(file),
            }
        });
        match replaced {
            Ok(file) => {
                self.file = Some(file);
                sync_folder_of(&self.path);
                Ok(())
            }
            Err(error) => {
                let _ = fs::remove_file(&beside);
                if self.file.is_none() {
                    // Without it nothing is read or written any more, and the call ends.
                    self.file = JournalFile::of(&self.path, Access::Write(Mode::OwnerOnly))?.file;
                }
                Err(error)
            }
        }
    }
}
