//! The journal of a job: an append-only file with a line of JSON per step, each with a checksum.
//!
//! The first line says whose job it is. Every other line is the whole state of one device, and the last line of a device
//! counts. So a journal is read in one pass, and compacted by keeping the last lines.
//!
//! # What a crash leaves
//!
//! Lines are flushed together, and the system may write their pages in any order. So a loss of power may leave holes, with
//! whole lines behind them. Each flush is followed by a mark. What stands before a mark was on disk when the mark was
//! written. This tells two kinds of damage apart:
//!
//! - Damage behind the last mark is what a crash leaves. The journal ends before it. No step relied on these lines.
//! - Damage before a mark is an error. It may have been a request, and without it a device could be asked twice.
//!
//! A journal begins, and is compacted, by renaming a whole file. So a file without a whole first line is none of ours,
//! unless it is empty.

use std::io;

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::storage::Storage;
use crate::call::Stop;
use crate::log::{self, Level};
use crate::text::json;

/// What a journal of this version begins with.
const FORMAT: &str = "mde fleet 2";

/// The text of a mark: all lines before it are on disk.
const MARK: &str = "{\"flushed\":true}";

/// The longest line. Four comments of 32 KiB and an action fit, even if every byte is escaped.
const LONGEST: usize = if cfg!(test) { 1 << 13 } else { 4 << 20 };

/// A journal that has grown to twice its use is compacted, unless it is as small as this.
const SMALL: u64 = if cfg!(test) { 1 << 12 } else { 1 << 20 };

/// Where a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub at: u64,
    pub length: u32,
}

/// The first line: whose job this is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Head {
    journal: String,
    /// The service, and the tenant and the application by the ids in the token.
    pub service: String,
    pub tenant: Option<String>,
    pub application: Option<String>,
}

impl Head {
    pub(super) fn new(service: &str, tenant: Option<String>, application: Option<String>) -> Head {
        Head { journal: FORMAT.to_owned(), service: service.to_owned(), tenant, application }
    }
}

/// Why a journal is of no use. It completes "`fleet.journal` …".
#[derive(Debug)]
pub(super) enum Unusable {
    Unreadable(io::Error),
    /// It was not read to its end.
    Stopped(Stop),
    /// It does not begin as a journal does.
    NoJournal,
    OtherVersion,
    Damaged {
        line: usize,
    },
}

/// What a line says.
pub(super) enum Line<'a> {
    /// The state of a device.
    Device(Entry<'a>, Span),
    /// All lines before it are on disk.
    Mark,
}

/// Whether the reader may read on.
pub(super) type Check<'a> = &'a dyn Fn() -> Result<(), Stop>;

/// The journal. Lines are appended at `end`.
pub(super) struct Journal<S> {
    storage: S,
    end: u64,
    /// The bytes of the lines that count.
    used: u64,
    head: u64,
    /// The last line is a mark.
    is_flushed: bool,
    /// The end when it could not be compacted.
    uncompacted: u64,
}

/// The line of a text, with its checksum.
fn line(text: &str) -> Vec<u8> {
    let mut line = format!("{:08x} ", crc32fast::hash(text.as_bytes())).into_bytes();
    line.extend_from_slice(text.as_bytes());
    line.push(b'\n');
    line
}

/// The text of a line without its end. `None`: the line is damaged.
fn text(line: &[u8]) -> Option<&str> {
    let (sum, text) = line.split_at_checked(9)?;
    let sum = std::str::from_utf8(sum).ok()?.strip_suffix(' ')?;
    let sum = u32::from_str_radix(sum, 16).ok()?;
    let text = std::str::from_utf8(text).ok()?;
    (crc32fast::hash(text.as_bytes()) == sum).then_some(text)
}

impl<S: Storage> Journal<S> {
    /// Begins a journal in an empty storage.
    pub(super) fn begin(mut storage: S, head: &Head) -> io::Result<Journal<S>> {
        let mut text = line(&json::text(head));
        let head = text.len() as u64;
        text.extend_from_slice(&line(MARK));
        storage.replace(&[], &text)?;
        let end = text.len() as u64;
        Ok(Journal { storage, end, used: head, head, is_flushed: true, uncompacted: 0 })
    }

    /// Reads a journal. `each` gets every line but the first, in order. The head is `None` if the storage is empty.
    pub(super) fn read(
        storage: S,
        check: Check<'_>,
        each: &mut dyn FnMut(Line<'_>),
    ) -> Result<(Journal<S>, Option<Head>), Unusable> {
        let (mark, mut number, mut damaged) = (line(MARK), 0, None);
        let mark = mark.strip_suffix(b"\n").unwrap_or_default();
        let (mut head, mut head_length, mut end, mut is_flushed) = (None, 0, 0, false);
        let length = for_each_line(&storage, check, &mut |span, line| {
            number += 1;
            // The end of the line before may be damaged, too.
            let is_mark = line.ends_with(mark);
            if is_mark && line.len() > mark.len() {
                damaged.get_or_insert(number);
            }
            match damaged {
                Some(line) if is_mark => return Err(Unusable::Damaged { line }),
                Some(_) => return Ok(()),
                None => {}
            }
            match text(line) {
                None if head.is_none() => return Err(Unusable::NoJournal),
                None => {
                    damaged = Some(number);
                    return Ok(());
                }
                Some(text) if head.is_none() => {
                    let first: Head =
                        serde_json::from_str(text).map_err(|_| Unusable::OtherVersion)?;
                    if first.journal != FORMAT {
                        return Err(Unusable::OtherVersion);
                    }
                    (head, head_length) = (Some(first), u64::from(span.length));
                }
                Some(_) if is_mark => each(Line::Mark),
                Some(text) => {
                    let entry = serde_json::from_str(text).map_err(|_| Unusable::OtherVersion)?;
                    each(Line::Device(entry, span));
                }
            }
            is_flushed = is_mark;
            end = span.at + u64::from(span.length);
            Ok(())
        })?;
        if head.is_none() && length > 0 {
            return Err(Unusable::NoJournal);
        }
        let used = head_length;
        let journal = Journal { storage, end, used, head: head_length, is_flushed, uncompacted: 0 };
        Ok((journal, head))
    }

    /// Appends a line. It is durable after [`sync`](Journal::sync).
    pub(super) fn append(&mut self, text: &str) -> io::Result<Span> {
        let span = self.append_line(&line(text))?;
        self.is_flushed = false;
        self.used += u64::from(span.length);
        Ok(span)
    }

    fn append_line(&mut self, line: &[u8]) -> io::Result<Span> {
        let written = self.storage.write(self.end, line);
        self.or_cut(written)?;
        let span = Span { at: self.end, length: u32::try_from(line.len()).unwrap_or(u32::MAX) };
        self.end += line.len() as u64;
        Ok(span)
    }

    /// Appends many lines with few writes, all or none of them. Returns where they are.
    pub(super) fn append_all(
        &mut self,
        mut texts: impl Iterator<Item = io::Result<String>>,
    ) -> io::Result<Vec<Span>> {
        let (mut spans, mut block, mut at) = (Vec::new(), Vec::new(), self.end);
        let written = texts.try_for_each(|text| {
            let line = line(&text?);
            let span = Span {
                at: at + block.len() as u64,
                length: u32::try_from(line.len()).unwrap_or(u32::MAX),
            };
            spans.push(span);
            block.extend_from_slice(&line);
            if block.len() >= BLOCK {
                self.storage.write(at, &block)?;
                at += block.len() as u64;
                block.clear();
            }
            Ok(())
        });
        let written = written.and_then(|()| self.storage.write(at, &block));
        self.or_cut(written)?;
        at += block.len() as u64;
        self.is_flushed = false;
        self.used += at - self.end;
        self.end = at;
        Ok(spans)
    }

    /// A write that failed leaves nothing behind the end.
    fn or_cut(&mut self, written: io::Result<()>) -> io::Result<()> {
        if written.is_err() {
            let _ = self.storage.cut(self.end);
        }
        written
    }

    /// Lines from this position on do not count. They are the last ones.
    pub(super) fn end_at(&mut self, at: u64) {
        self.end = at;
    }

    /// Drops what is behind the last line that counts.
    pub(super) fn drop_rest(&mut self) -> io::Result<()> {
        self.storage.cut(self.end)
    }

    /// Makes all lines durable, and marks that.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.is_flushed {
            return Ok(());
        }
        self.storage.sync()?;
        self.append_line(&line(MARK))?;
        self.is_flushed = true;
        Ok(())
    }

    /// A line counts, which [`read`](Journal::read) has found.
    pub(super) fn count(&mut self, span: Span) {
        self.used += u64::from(span.length);
    }

    /// A line does not count any more.
    pub(super) fn forget(&mut self, span: Span) {
        self.used = self.used.saturating_sub(u64::from(span.length));
    }

    /// The text of a line.
    pub(super) fn text(&self, span: Span) -> io::Result<String> {
        let mut line = vec![0; span.length as usize];
        let count = self.storage.read(span.at, &mut line)?;
        let whole = count == line.len();
        line.pop();
        let text = text(&line).filter(|_| whole).map(str::to_owned);
        text.ok_or_else(|| io::Error::other("a line was changed while the job ran"))
    }

    /// Whether most of the journal is of no use any more. After a failure it has to grow by an eighth.
    pub(super) fn is_wasteful(&self) -> bool {
        let has_grown = self.end > self.uncompacted + self.uncompacted / 8;
        self.end > SMALL && self.end / 2 > self.used && has_grown
    }

    /// Writes the journal anew with these lines alone, which are in order. Returns where they are now. `None`: it could not
    /// be written, and stays as it is.
    pub(super) fn compact(&mut self, spans: &[Span]) -> Option<Vec<Span>> {
        let head = Span { at: 0, length: u32::try_from(self.head).unwrap_or(u32::MAX) };
        let mut parts = Vec::with_capacity(spans.len() + 1);
        parts.push(head);
        parts.extend_from_slice(spans);
        let mark = line(MARK);
        if let Err(error) = self.storage.replace(&parts, &mark) {
            log::line(Level::Warn, || {
                format!("the journal of a job grows, since it could not be compacted: {error}")
            });
            self.uncompacted = self.end;
            return None;
        }
        let mut end = self.head;
        let moved = spans.iter().map(|span| {
            let moved = Span { at: end, length: span.length };
            end += u64::from(span.length);
            moved
        });
        let moved = moved.collect();
        (self.used, self.end) = (end, end + mark.len() as u64);
        (self.is_flushed, self.uncompacted) = (true, 0);
        Some(moved)
    }
}

/// As much is read at once. Tests read journals that are small.
const BLOCK: usize = if cfg!(test) { 1 << 11 } else { 1 << 18 };

/// Gets the place and the text of a line, without its end.
type EachLine<'a> = &'a mut dyn FnMut(Span, &[u8]) -> Result<(), Unusable>;

/// Reads all lines. What is behind the last end of a line is none. Returns how many bytes there are.
fn for_each_line(
    storage: &impl Storage,
    check: Check<'_>,
    each: EachLine<'_>,
) -> Result<u64, Unusable> {
    let (mut rest, mut at): (Vec<u8>, u64) = (Vec::new(), 0);
    loop {
        check().map_err(Unusable::Stopped)?;
        let known = rest.len();
        rest.resize(known + BLOCK, 0);
        let free = rest.get_mut(known..).unwrap_or_default();
        let count = storage.read(at + known as u64, free).map_err(Unusable::Unreadable)?;
        rest.truncate(known + count);
        let mut begin = 0;
        while let Some(line) = rest.get(begin..) {
            let length = match memchr::memchr(b'\n', line) {
                Some(length) => length + 1,
                // A hole may be longer than any line.
                None if line.len() > LONGEST => line.len(),
                None => break,
            };
            let span =
                Span { at: at + begin as u64, length: u32::try_from(length).unwrap_or(u32::MAX) };
            let line = line.get(..length).unwrap_or_default();
            each(span, line.strip_suffix(b"\n").unwrap_or(line))?;
            begin += length;
        }
        rest.drain(..begin);
        at += begin as u64;
        if count < BLOCK {
            return Ok(at + rest.len() as u64);
        }
    }
}
