//! The journal of a job: an append-only file with a line of JSON per step, each with a checksum.
//!
//! The first line says whose job it is. Every other line is the whole state of one device, and the last line of a device
//! counts. So a journal is read in one pass, and compacted by keeping the last lines.
//!
//! A crash may leave a torn line at the end, which is dropped. A damaged line elsewhere is an error: it may have recorded
//! a request, and without it a device could be asked twice.

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::storage::Storage;
use crate::text::json;

/// What a journal of this version begins with.
const FORMAT: &str = "mde fleet 1";

/// The longest line. Four comments of 32 KiB and an action fit, even if every byte is escaped.
const LONGEST: usize = 4 << 20;

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
    Unreadable(std::io::Error),
    OtherVersion,
    Damaged { line: usize },
}

/// The journal. Lines are appended at `end`.
pub(super) struct Journal<S> {
    storage: S,
    end: u64,
    /// The bytes of the lines that count.
    used: u64,
    head: u64,
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
    pub(super) fn begin(storage: S, head: &Head) -> std::io::Result<Journal<S>> {
        let mut journal = Journal { storage, end: 0, used: 0, head: 0 };
        let span = journal.append(&json::text(head))?;
        journal.head = u64::from(span.length);
        // Before other lines: a crash leaves no line behind a torn first one.
        journal.sync()?;
        Ok(journal)
    }

    /// Reads a journal. `each` gets every line of a device, in order. `None`: the storage has no whole line, as a crash in
    /// the beginning leaves it.
    pub(super) fn read(
        storage: S,
        each: &mut dyn FnMut(Entry<'_>, Span),
    ) -> Result<(Journal<S>, Option<Head>), Unusable> {
        let mut journal = Journal { storage, end: 0, used: 0, head: 0 };
        let (mut head, mut number, mut damaged) = (None, 0, None);
        let (mut end, mut head_length) = (0, 0);
        for_each_line(&journal.storage, &mut |span, line| {
            number += 1;
            let Some(text) = text(line) else {
                damaged.get_or_insert(number);
                return Ok(());
            };
            // A damaged line with a whole one behind it is none that a crash has torn.
            if let Some(line) = damaged {
                return Err(Unusable::Damaged { line });
            }
            if number == 1 {
                let first: Head = serde_json::from_str(text).map_err(|_| Unusable::OtherVersion)?;
                if first.journal != FORMAT {
                    return Err(Unusable::OtherVersion);
                }
                head = Some(first);
                head_length = u64::from(span.length);
            } else {
                each(serde_json::from_str(text).map_err(|_| Unusable::OtherVersion)?, span);
            }
            end = span.at + u64::from(span.length);
            Ok(())
        })?;
        (journal.end, journal.head, journal.used) = (end, head_length, head_length);
        Ok((journal, head))
    }

    /// Appends a line. It is durable after [`sync`](Journal::sync).
    pub(super) fn append(&mut self, text: &str) -> std::io::Result<Span> {
        let line = line(text);
        self.write(self.end, &line)?;
        let span = Span { at: self.end, length: u32::try_from(line.len()).unwrap_or(u32::MAX) };
        self.end += line.len() as u64;
        self.used += line.len() as u64;
        Ok(span)
    }

    /// Appends many lines with few writes. Returns where they are.
    pub(super) fn append_all(
        &mut self,
        texts: impl Iterator<Item = String>,
    ) -> std::io::Result<Vec<Span>> {
        let (mut spans, mut block) = (Vec::new(), Vec::new());
        let mut at = self.end;
        for text in texts {
            let line = line(&text);
            let span = Span {
                at: at + block.len() as u64,
                length: u32::try_from(line.len()).unwrap_or(u32::MAX),
            };
            spans.push(span);
            block.extend_from_slice(&line);
            if block.len() >= BLOCK {
                self.write(at, &block)?;
                at += block.len() as u64;
                block.clear();
            }
        }
        self.write(at, &block)?;
        at += block.len() as u64;
        self.used += at - self.end;
        self.end = at;
        Ok(spans)
    }

    /// Writes at this position. A write that failed leaves nothing behind the end.
    fn write(&mut self, at: u64, bytes: &[u8]) -> std::io::Result<()> {
        let written = self.storage.write(at, bytes);
        if written.is_err() {
            let _ = self.storage.cut(self.end);
        }
        written
    }

    /// Drops the torn line that a crash has left.
    pub(super) fn drop_torn_line(&mut self) -> std::io::Result<()> {
        self.storage.cut(self.end)
    }

    pub(super) fn sync(&mut self) -> std::io::Result<()> {
        self.storage.sync()
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
    pub(super) fn text(&self, span: Span) -> std::io::Result<String> {
        let mut line = vec![0; span.length as usize];
        let count = self.storage.read(span.at, &mut line)?;
        let whole = count == line.len();
        line.pop();
        let text = text(&line).filter(|_| whole).map(str::to_owned);
        text.ok_or_else(|| std::io::Error::other("a line was changed while the job ran"))
    }

    /// Whether most of the journal is of no use any more.
    pub(super) fn is_wasteful(&self) -> bool {
        self.end > SMALL && self.end / 2 > self.used
    }

    /// Writes the journal anew with these lines alone, which are in order. Returns where they are now.
    pub(super) fn compact(&mut self, spans: &[Span]) -> std::io::Result<Vec<Span>> {
        let head = Span { at: 0, length: u32::try_from(self.head).unwrap_or(u32::MAX) };
        let mut parts = Vec::with_capacity(spans.len() + 1);
        parts.push(head);
        parts.extend_from_slice(spans);
        self.storage.keep(&parts)?;
        let mut end = self.head;
        let moved = spans.iter().map(|span| {
            let moved = Span { at: end, length: span.length };
            end += u64::from(span.length);
            moved
        });
        let moved = moved.collect();
        (self.end, self.used) = (end, end);
        Ok(moved)
    }
}

/// As much is read at once. Tests read journals that are small.
const BLOCK: usize = if cfg!(test) { 1 << 11 } else { 1 << 18 };

/// Gets the place and the text of a line, without its end.
type EachLine<'a> = &'a mut dyn FnMut(Span, &[u8]) -> Result<(), Unusable>;

/// Reads all lines. What is behind the last end of a line is none.
fn for_each_line(storage: &impl Storage, each: EachLine<'_>) -> Result<(), Unusable> {
    let (mut rest, mut at): (Vec<u8>, u64) = (Vec::new(), 0);
    loop {
        let known = rest.len();
        if known > LONGEST {
            return Err(Unusable::OtherVersion);
        }
        rest.resize(known + BLOCK, 0);
        let free = rest.get_mut(known..).unwrap_or_default();
        let count = storage.read(at + known as u64, free).map_err(Unusable::Unreadable)?;
        rest.truncate(known + count);
        let mut begin = 0;
        while let Some(line) = rest.get(begin..) {
            let Some(length) = memchr::memchr(b'\n', line) else { break };
            let span = Span {
                at: at + begin as u64,
                length: u32::try_from(length + 1).unwrap_or(u32::MAX),
            };
            each(span, line.get(..length).unwrap_or_default())?;
            begin += length + 1;
        }
        rest.drain(..begin);
        at += begin as u64;
        if count < BLOCK {
            return Ok(());
        }
    }
}
