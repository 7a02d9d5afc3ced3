//! The result of a job: a document with every device, made from the journal.

use std::io;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use super::engine::{Counts, Device, read};
use super::entry::Entry;
use super::journal::Journal;
use super::storage::Storage;
use crate::error::millis_up;
use crate::text::json;

/// How many devices of a job are how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// All devices.
    pub devices: usize,
    /// Those whose package is there.
    pub done: usize,
    /// Those without a package, or with one that was refused.
    pub failed: usize,
    /// Those of which nothing was asked, because a problem is known.
    pub skipped: usize,
    /// Those without an outcome. The next call resumes them.
    pub unfinished: usize,
    /// The size of all packages that are there.
    pub bytes: u64,
    /// The least time that the quota needs for the rest, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta_ms: Option<u64>,
}

impl Summary {
    pub(super) fn new(counts: Counts, eta: Option<Duration>) -> Summary {
        Summary {
            devices: counts.devices(),
            done: counts.done,
            failed: counts.failed,
            skipped: counts.skipped,
            unfinished: counts.unfinished(),
            bytes: counts.bytes,
            eta_ms: eta.map(millis_up),
        }
    }
}

/// One device in documents and events.
#[derive(Serialize)]
struct Shown<'a> {
    machine_id: &'a str,
    state: super::State,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adopted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<&'a RawValue>,
}

/// The JSON of a device, from its line in the journal.
pub(super) fn device(text: &str) -> io::Result<String> {
    let entry: Entry<'_> = read(text)?;
    Ok(json::text(&Shown {
        machine_id: &entry.machine_id,
        state: entry.state,
        package: entry.package,
        action: entry.action,
        adopted: entry.adopted,
        error: entry.error,
        problems: entry.problems,
    }))
}

/// The document: `{"packages":[…],"summary":{…}}`. It may have 100 MB and more, so it is written in one buffer.
pub(super) fn whole(
    journal: &Journal<impl Storage>,
    devices: &[Device],
    summary: &Summary,
) -> io::Result<String> {
    let summary = json::text(summary);
    // A device takes less room than its line in the journal, which has more members.
    let room = devices.iter().map(|one| one.span.length as usize).sum::<usize>();
    let mut text = String::with_capacity(room + summary.len() + 32);
    text.push_str("{\"packages\":[");
    for (at, one) in devices.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&device(&journal.text(one.span)?)?);
    }
    text.push_str("],\"summary\":");
    text.push_str(&summary);
    text.push('}');
    Ok(text)
}
