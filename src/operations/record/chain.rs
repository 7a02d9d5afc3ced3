//! The chain of a record's lines: each names the SHA-256 of the one before.

use std::collections::HashSet;

use ring::digest::{Context, SHA256, digest};
use serde::Deserialize;

use super::sums;
use crate::text::hex::hex;
use crate::text::json::{self, Lenient};

/// What the first line names in place of a line before.
const NONE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Why a line does not belong to the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    /// It is not whole, or not a line of a record.
    Unreadable,
    /// It names another line before.
    Elsewhere,
}

/// The lines of a record from the first to the last.
pub(super) struct Chain {
    pub lines: u64,
    /// Their bytes.
    pub length: u64,
    /// The SHA-256 of the last line.
    pub previous: String,
    /// Of all lines.
    hash: Context,
    /// The ends that have a line, and the packages that have a sum.
    known: HashSet<Key>,
}

/// The beginning of a SHA-256, which is enough to tell the members of a set apart.
pub(super) type Key = u128;

impl Chain {
    pub(super) fn new() -> Chain {
        let (hash, known) = (Context::new(&SHA256), HashSet::new());
        Chain { lines: 0, length: 0, previous: NONE.to_owned(), hash, known }
    }

    /// Checks a line with its line break, and adds it. Returns the line of its package in `SHA256SUMS`.
    pub(super) fn follow(&mut self, line: &[u8]) -> Result<Option<String>, Break> {
        #[derive(Deserialize)]
        struct Line<'a> {
            #[serde(borrow)]
            previous: Lenient<'a>,
            #[serde(borrow)]
            state: Lenient<'a>,
            #[serde(borrow)]
            machine_id: Lenient<'a>,
            #[serde(borrow, default)]
            action_id: Lenient<'a>,
            #[serde(borrow, default)]
            asked: Lenient<'a>,
            #[serde(borrow, default)]
            package: Option<Package<'a>>,
        }
        #[derive(Deserialize)]
        struct Package<'a> {
            #[serde(borrow)]
            file: Lenient<'a>,
            #[serde(borrow)]
            sha256: Lenient<'a>,
        }
        let whole = line.strip_suffix(b"\n").ok_or(Break::Unreadable)?;
        let read: Line<'_> = json::read(whole).ok_or(Break::Unreadable)?;
        if read.previous.text().as_deref() != Some(&self.previous) {
            return Err(Break::Elsewhere);
        }
        let text = |member: Lenient<'_>| member.text().unwrap_or_default();
        let attempt = read.action_id.text().unwrap_or_else(|| text(read.asked));
        let end = end(&text(read.state), &text(read.machine_id), &attempt);
        self.push(line, end);
        Ok(read.package.map(|it| sums::line(&text(it.sha256), &text(it.file))))
    }

    /// Adds a line that follows the last one.
    pub(super) fn push(&mut self, line: &[u8], end: Key) {
        self.lines += 1;
        self.length += line.len() as u64;
        self.previous = hex(digest(&SHA256, line).as_ref());
        self.hash.update(line);
        self.known.insert(end);
    }

    /// The SHA-256 of all lines.
    pub(super) fn sha256(&self) -> String {
        hex(self.hash.clone().finish().as_ref())
    }

    pub(super) fn has(&self, key: Key) -> bool {
        self.known.contains(&key)
    }

    /// Whether this is the first line of its package in `SHA256SUMS`.
    pub(super) fn is_new_sum(&mut self, sum: &str) -> bool {
        self.known.insert(key(&["package", sums::base(sum)]))
    }
}

/// The key of an end. `attempt`: the action, or when it was asked for.
pub(super) fn end(state: &str, machine_id: &str, attempt: &str) -> Key {
    key(&[state, &machine_id.to_ascii_lowercase(), &attempt.to_ascii_lowercase()])
}

fn key(parts: &[&str]) -> Key {
    let mut hash = Context::new(&SHA256);
    for part in parts {
        hash.update(part.as_bytes());
        hash.update(&[0]);
    }
    let hash = hash.finish();
    hash.as_ref().first_chunk().map_or(0, |start| Key::from_le_bytes(*start))
}
