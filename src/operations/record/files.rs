//! The files of a record: the lock, the check when it is opened, and the writing.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::chain::{Break, Chain, Key};
use super::sums;
use crate::call::Call;
use crate::error::{Error, Result, Stage};
use crate::log::{self, Level};
use crate::operations::download::{PathLock, file_error, shown};
use crate::os::file::{self, Access, Mode, suffixed};
use crate::os::file_limit::NoSignal;
use crate::os::{lock, state_file};
use crate::status::Status;

/// The longest line. The service's replies are shorter.
const LONGEST: u64 = 32 << 20;

/// The most bytes of `SHA256SUMS`: those of half a million packages.
const MOST_SUMS: u64 = 128 << 20;

/// The most bytes of `<record>.sha256`.
const MOST_SHA256: u64 = 128 << 10;

/// The files of a record that is open, checked and locked.
pub(crate) struct Files {
    path: PathBuf,
    /// `<record>.sha256`
    whole: PathBuf,
    /// `SHA256SUMS`
    sums: PathBuf,
    file: File,
    chain: Chain,
    /// The other two files are not of the last line, or not known to be.
    is_behind: bool,
    /// Lines were added since the last [`sync`](Files::sync).
    is_unsynced: bool,
    call: Arc<Call>,
    _lock: PathLock,
}

impl Files {
    pub(crate) fn open(path: &Path, call: &Arc<Call>) -> Result<Files> {
        let lock = take_lock(path, call)?;
        let file = open(path).map_err(failed("use the record", path))?;
        let mut files = Files {
            path: path.to_owned(),
            whole: suffixed(path, ".sha256"),
            sums: path.with_file_name("SHA256SUMS"),
            file,
            chain: Chain::new(),
            is_behind: true,
            is_unsynced: false,
            call: Arc::clone(call),
            _lock: lock,
        };
        files.refresh()?;
        Ok(files)
    }

    /// The folder that the record is in.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// The SHA-256 of the last line.
    pub(super) fn previous(&self) -> &str {
        &self.chain.previous
    }

    pub(super) fn has(&self, end: Key) -> bool {
        self.chain.has(end)
    }

    /// Reads and checks the record, and completes what is behind: after a crash, and after an append that failed.
    pub(super) fn refresh(&mut self) -> Result<()> {
        if !self.is_behind {
            return Ok(());
        }
        let read = |path, most| state_file::read_text(path, most).map_err(failed("read", path));
        let whole = read(&self.whole, MOST_SHA256)?;
        let sums = read(&self.sums, MOST_SUMS)?.unwrap_or_default();
        let (chain, all_sums, is_torn) = self.read(whole.as_deref(), &sums)?;
        self.chain = chain;
        // Nothing was changed before everything was checked.
        if is_torn {
            self.log("drops a line that was not written to its end");
            let cut = self.file.set_len(self.chain.length).and_then(|()| self.file.sync_all());
            cut.map_err(failed("write", &self.path))?;
        }
        if sums != all_sums.as_bytes() {
            self.log("completes its list of packages");
            self.write(&self.sums, &all_sums)?;
        }
        if whole != Some(self.whole_line(&self.chain).into_bytes()) {
            self.write_whole()?;
        }
        self.is_behind = false;
        Ok(())
    }

    /// Adds a line of this end. `sum`: the line of its package in `SHA256SUMS`. It is on disk after
    /// [`sync`](Files::sync).
    pub(super) fn add(&mut self, line: &str, end: Key, sum: Option<&str>) -> Result<()> {
        let no_signal = NoSignal::new();
        let at = self.chain.length;
        let mut written = lock::write_at(&self.file, line.as_bytes(), at);
        if sum.is_some() {
            // A crash must not leave a sum without its line.
            written = written.and_then(|()| self.file.sync_all());
        }
        if let Err(error) = written {
            // What this leaves is a torn line, which the next open drops.
            let _ = self.file.set_len(at);
            return Err(failed("write", &self.path)(error));
        }
        drop(no_signal);
        self.chain.push(line.as_bytes(), end);
        self.is_unsynced = true;
        if let Some(sum) = sum {
            self.is_behind = true;
            self.add_sum(sum)?;
            self.is_behind = false;
        }
        Ok(())
    }

    /// Makes the lines durable that were added, and brings `<record>.sha256` up to them.
    pub(super) fn sync(&mut self) -> Result<()> {
        if !self.is_unsynced {
            return Ok(());
        }
        self.is_behind = true;
        self.file.sync_all().map_err(failed("write", &self.path))?;
        self.write_whole()?;
        (self.is_behind, self.is_unsynced) = (false, false);
        Ok(())
    }

    /// Reads the lines. Returns them, `SHA256SUMS` as it should be, and whether a torn line follows.
    ///
    /// `whole` and `sums` are the other files, which may be some lines behind.
    fn read(&self, whole: Option<&[u8]>, sums: &[u8]) -> Result<(Chain, String, bool)> {
        let failed = || failed("read", &self.path);
        (&self.file).seek(SeekFrom::Start(0)).map_err(failed())?;
        let mut reader = BufReader::with_capacity(1 << 16, &self.file);
        let (mut chain, mut all_sums, mut line) = (Chain::new(), String::new(), Vec::new());
        let (mut has_sums, mut is_torn) = (false, false);
        let mut is_covered = whole.is_none();
        loop {
            is_covered = is_covered || whole.is_some_and(|whole| self.covers(whole, &chain));
            self.call.check().map_err(|stop| Error::from(stop).with_stage(Stage::Download))?;
            line.clear();
            (&mut reader).take(LONGEST).read_until(b'\n', &mut line).map_err(failed())?;
            if line.is_empty() {
                break;
            }
            match chain.follow(&line) {
                Ok(Some(sum)) if chain.is_new_sum(&sum) => all_sums.push_str(&sum),
                Ok(Some(sum)) => {
                    has_sums |= all_sums.as_bytes().starts_with(sums);
                    sums::set(&mut all_sums, &sum);
                }
                Ok(None) => {}
                // A crash leaves such a line where the other file does not cover it.
                Err(Break::Unreadable)
                    if is_covered && is_at_end(&mut reader).map_err(failed())? =>
                {
                    is_torn = true;
                    break;
                }
                Err(problem) => return Err(self.broken(&in_words(problem, chain.lines))),
            }
        }
        let problem = |what: &str, path| format!("`{}` {what}", shown(path));
        // A new record gets it before the first line.
        if whole.is_none() && chain.lines > 0 {
            return Err(self.broken(&problem("is missing", &self.whole)));
        }
        if !is_covered {
            let what = "is of other lines: the last lines of the record were changed or removed";
            return Err(self.broken(&problem(what, &self.whole)));
        }
        if !has_sums && !all_sums.as_bytes().starts_with(sums) {
            let what = "names other packages than the record";
            return Err(self.broken(&problem(what, &self.sums)));
        }
        Ok((chain, all_sums, is_torn))
    }

    /// The error for a record that was changed. Nothing of it is changed then.
    fn broken(&self, problem: &str) -> Error {
        let message = format!(
            "cannot append to the record `{}`: {problem}; move the record, its `.sha256` and `SHA256SUMS` away \
             together, and the next call begins another record",
            shown(&self.path)
        );
        Error::new(Status::File, message).with_stage(Stage::Download)
    }

    fn add_sum(&mut self, sum: &str) -> Result<()> {
        let failed = || failed("write", &self.sums);
        if !self.chain.is_new_sum(sum) {
            let text = state_file::read_text(&self.sums, MOST_SUMS).map_err(failed())?;
            let mut text = String::from_utf8(text.unwrap_or_default()).unwrap_or_default();
            sums::set(&mut text, sum);
            return self.write(&self.sums, &text);
        }
        let add = || {
            let file = open(&self.sums)?;
            let _no_signal = NoSignal::new();
            let at = file.metadata()?.len();
            lock::write_at(&file, sum.as_bytes(), at)?;
            file.sync_all()
        };
        add().map_err(failed())
    }

    fn write_whole(&self) -> Result<()> {
        self.write(&self.whole, &self.whole_line(&self.chain))
    }

    /// Whether this content of `<record>.sha256` is that for these lines. Most lines of a long record need only the hash.
    fn covers(&self, whole: &[u8], chain: &Chain) -> bool {
        let hash = chain.sha256();
        let begin = usize::from(whole.starts_with(b"\\"));
        whole.get(begin..).is_some_and(|whole| whole.starts_with(hash.as_bytes()))
            && whole == self.whole_line(chain).as_bytes()
    }

    /// The content of `<record>.sha256` for these lines.
    fn whole_line(&self, chain: &Chain) -> String {
        let name = self.path.file_name().unwrap_or_default();
        sums::line(&chain.sha256(), &name.to_string_lossy())
    }

    fn write(&self, path: &Path, text: &str) -> Result<()> {
        state_file::write_text(path, text.as_bytes(), &|nap| self.call.pause(nap).is_ok())
            .map_err(failed("write", path))
    }

    fn log(&self, what: &str) {
        log::line(Level::Warn, || format!("the record `{}` {what}", shown(&self.path)));
    }
}

/// Opens or creates a file that only this user writes.
fn open(path: &Path) -> io::Result<File> {
    file::open_own(path, Access::Write(Mode::OwnerOnly))
}

fn failed(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |error| file_error(doing, path, &error)
}

/// Whether nothing follows.
fn is_at_end(reader: &mut impl BufRead) -> io::Result<bool> {
    reader.fill_buf().map(<[u8]>::is_empty)
}

/// What is wrong with the line after so many.
fn in_words(problem: Break, before: u64) -> String {
    let line = before + 1;
    match problem {
        Break::Unreadable => format!("line {line} is not whole, or no line of a record"),
        Break::Elsewhere if before == 0 => "line 1 is not the first line of a record".to_owned(),
        Break::Elsewhere => format!("line {line} does not follow line {before} as that is now"),
    }
}

/// Locks the record, and waits a moment for another call that has it open.
fn take_lock(path: &Path, call: &Call) -> Result<PathLock> {
    const PATIENCE: Duration = Duration::from_secs(10);
    const LONGEST_PAUSE: Duration = Duration::from_millis(100);

    let lock = suffixed(path, ".lock");
    let (mut waited, mut next) = (Duration::ZERO, Duration::from_millis(2));
    loop {
        if let Some(lock) = PathLock::take(&lock)? {
            return Ok(lock);
        }
        if waited >= PATIENCE {
            let message = format!(
                "another call has the record `{}` open; repeat the call, or choose another record",
                shown(path)
            );
            return Err(Error::new(Status::File, message)
                .retryable(true)
                .with_stage(Stage::Download));
        }
        call.pause(next).map_err(|stop| Error::from(stop).with_stage(Stage::Download))?;
        waited += next;
        next = (next * 2).min(LONGEST_PAUSE);
    }
}
