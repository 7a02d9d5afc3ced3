//! The record of the outcomes, `packages.jsonl` in the folder of the job.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::engine::Outcomes;
use super::entry::{self, Entry};
use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result, Stage};
use crate::operations::fetch_state::FetchState;
use crate::operations::record::{self, Record};
use crate::service::action::MachineAction;
use crate::text::json;

const RECORD: &str = "packages.jsonl";

/// The record, open while the job runs.
pub(super) struct Recorded<'a> {
    record: Record<'a>,
    call: Arc<Call>,
    folder: &'a Path,
    /// Why the last line could not be appended.
    pub failure: Option<Error>,
}

impl<'a> Recorded<'a> {
    pub(super) fn open(
        account: &'a Account,
        call: &Arc<Call>,
        folder: &'a Path,
    ) -> Result<Recorded<'a>> {
        let record = Record::open(account, call, &folder.join(RECORD))?;
        Ok(Recorded { record, call: Arc::clone(call), folder, failure: None })
    }
}

impl Outcomes for Recorded<'_> {
    fn add(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let added = self.add_line(entry).and_then(|()| self.record.sync());
        self.noted(added)
    }

    fn add_all(&mut self, entries: &[Entry<'_>]) -> io::Result<()> {
        let added = entries.iter().try_for_each(|entry| {
            self.call.check().map_err(|stop| Error::from(stop).with_stage(Stage::Wait))?;
            self.add_line(entry)
        });
        let added = added.and_then(|()| self.record.sync());
        self.noted(added)
    }
}

impl Recorded<'_> {
    /// The engine stops at an error. Why, is for its caller.
    fn noted(&mut self, added: Result<()>) -> io::Result<()> {
        added.map_err(|error| {
            let message = error.message().to_owned();
            self.failure = Some(error);
            io::Error::other(message)
        })
    }

    /// Adds the line of an outcome, which is durable once the record is synced.
    fn add_line(&mut self, entry: &Entry<'_>) -> Result<()> {
        let state = match entry.state {
            entry::State::Done => record::State::Done,
            entry::State::Skipped => record::State::Skipped,
            _ => record::State::Failed,
        };
        let asked: Option<FetchState> =
            entry.asked.and_then(|it| serde_json::from_str(it.get()).ok());
        let action = entry.known_action();
        let problems: Vec<String> =
            entry.problems.and_then(|it| json::read(it.get().as_bytes())).unwrap_or_default();
        let problems: Vec<&str> = problems.iter().map(String::as_str).collect();
        let mut line = record::Entry::new(state, &entry.machine_id);
        line.computer_name = action.as_ref().and_then(MachineAction::computer_name);
        line.adopted = entry.adopted;
        line.comment = asked.as_ref().and_then(|asked| asked.comments().next()).map(String::as_str);
        line.asked = asked.as_ref().map(FetchState::began);
        line.service_date =
            entry.service_date.as_deref().and_then(|date| humantime::parse_rfc3339(date).ok());
        line.action_id = action.as_ref().map(MachineAction::id);
        line.action = entry.action.map(|action| action.get());
        line.package = entry.package.map(|package| package.get());
        line.folder = self.folder;
        line.error = entry.error.map(|error| error.get());
        line.problems = &problems;
        self.record.add(&line)
    }
}
