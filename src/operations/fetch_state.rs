//! The state file of a fetch, from which a later call resumes it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::error::{Error, Result, Stage};
use crate::operations::collect::Collected;
use crate::operations::download::{self, Destination};
use crate::operations::fetch_record::Origin;
use crate::os::{file, patience, state_file};
use crate::status::Status;
use crate::text::guid::is_guid;

const VERSION: u32 = 1;

/// The most other comments that a state file records.
const MOST_OTHERS: usize = 3;

/// The state file of a fetch. It is written before the request for a collection, so that a later call finds that
/// request, and again once the action is known.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct FetchState {
    version: u32,
    pub machine_id: String,
    comment: String,
    /// When the collection was requested, by this host's clock. If the outcome of earlier requests is not known, this is
    /// the time of the first one.
    began: String,
    pub action_id: Option<String>,
    /// As the call that learnt of the action reported it.
    #[serde(default)]
    adopted: bool,
    /// When the service answered with that action, by its own clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service_date: Option<String>,
    /// The comments of earlier requests whose outcome is not known, the last one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    other_comments: Vec<String>,
}

impl FetchState {
    /// The comments of all requests, the last one first.
    pub(super) fn comments(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.comment).chain(&self.other_comments)
    }

    /// When the first request was sent.
    pub(super) fn began(&self) -> SystemTime {
        humantime::parse_rfc3339(&self.began).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// The state before the request: this request, and the earlier ones that may have started a collection.
    pub(super) fn before_request(
        machine_id: &str,
        comment: &str,
        open: Option<&FetchState>,
        now: SystemTime,
    ) -> FetchState {
        let now = || humantime::format_rfc3339_millis(now).to_string();
        let mut other_comments: Vec<String> = Vec::new();
        if let Some(open) = open {
            other_comments.extend(open.comments().filter(|one| *one != comment).cloned());
            other_comments.truncate(MOST_OTHERS);
        }
        FetchState {
            version: VERSION,
            machine_id: machine_id.to_owned(),
            comment: comment.to_owned(),
            began: open.map_or_else(now, |open| open.began.clone()),
            action_id: None,
            adopted: false,
            service_date: None,
            other_comments,
        }
    }

    /// The state once the action is known.
    pub(super) fn with_action(self, collected: &Collected) -> FetchState {
        let date = |date| humantime::format_rfc3339_seconds(date).to_string();
        FetchState {
            action_id: Some(collected.action.id().to_owned()),
            adopted: collected.adopted,
            service_date: collected.service_date.map(date),
            ..self
        }
    }

    /// What a record says of the request.
    pub(super) fn origin(&self) -> Origin {
        let time = |text: &String| humantime::parse_rfc3339(text).ok();
        Origin {
            comment: Some(self.comment.clone()),
            asked: time(&self.began),
            service_date: self.service_date.as_ref().and_then(time),
            adopted: self.adopted,
        }
    }

    /// Reads the state file. `None` only if it does not exist. An unreadable one is an error: its collection may still be
    /// running.
    pub(crate) fn read(path: &Path) -> Result<Option<FetchState>> {
        let unreadable = |why: String| {
            let message = format!(
                "cannot read `{}`, which records an unfinished fetch: {why}; let this process read it, or \
                 remove it to start another collection",
                download::shown(path)
            );
            Error::new(Status::File, message).with_stage(Stage::Download)
        };
        let state = state_file::read_own::<FetchState>(path).map_err(|error| {
            // Removing the file is no cure for what passes.
            let may_pass = !file::is_refusal(&error) && error.kind() != ErrorKind::PermissionDenied;
            if may_pass || patience::is_open_elsewhere(&error) {
                return download::file_error("read", path, &error);
            }
            unreadable(crate::os::io_error::reason(&error))
        })?;
        match state {
            Some(state) if state.version != VERSION => {
                Err(unreadable("it is of another version of this library".to_owned()))
            }
            Some(FetchState { action_id: Some(id), .. }) if !is_guid(&id) => {
                Err(unreadable("it names an action by an id that is no GUID".to_owned()))
            }
            state => Ok(state),
        }
    }

    pub(super) fn write(&self, path: &Path, call: &Call) -> Result<()> {
        state_file::write(path, self, &|nap| call.pause(nap).is_ok())
            .map_err(|error| download::file_error("write", path, &error))
    }
}

impl Destination {
    /// The path of the state file of a fetch to this destination.
    pub(super) fn fetch_state_path(&self, machine_id: &str) -> PathBuf {
        /// The longest id that fits into a file name with its suffixes.
        const LONGEST: usize = 200;
        let path: &Path = self.path();
        match self.is_folder() {
            true => {
                let id = machine_id.get(..LONGEST).unwrap_or(machine_id).to_ascii_lowercase();
                path.join(download::harmless(format!("{id}.fetch.json")))
            }
            false => file::suffixed(path, ".fetch.json"),
        }
    }
}
