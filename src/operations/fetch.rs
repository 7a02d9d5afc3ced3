//! Collect, wait, download: one call from a device to a checked file, which a later call carries on wherever
//! this one had to stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result, Stage};
use crate::log::{self, Level};
use crate::operations::collect::{self, Collected};
use crate::operations::download::{self, Destination, Package, PathLock};
use crate::operations::{actions, wait};
use crate::os::state_file;
use crate::progress::{Event, Reporter};
use crate::service::action::MachineAction;
use crate::service::endpoint::Quota;
use crate::service::machine;
use crate::status::Status;
use crate::text::json;

/// A package that was asked for and is on disk.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Fetched {
    /// The package.
    pub package: Package,
    /// The machine action that collected it.
    pub action: MachineAction,
    /// The collection was not started by this call: it ran already, or an earlier call had started it.
    pub adopted: bool,
}

impl Fetched {
    /// `{"package":{…},"action":{…},"adopted":false}`
    pub fn to_json(&self) -> String {
        json::text(self)
    }
}

/// Written before a collection is asked for, so that whoever comes later can find it, and again when its action
/// is known.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct FetchState {
    version: u32,
    machine_id: String,
    comment: String,
    /// When the collection was about to be asked for, by this host's clock; the first time, where nobody knows what
    /// became of earlier requests.
    began: String,
    action_id: Option<String>,
    /// With which other comments it was asked for since, the last one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    other_comments: Vec<String>,
}

impl FetchState {
    /// Those that it was asked for with, the last one first.
    fn comments(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.comment).chain(&self.other_comments)
    }
}

/// The most other comments that a note remembers.
const MOST_OTHERS: usize = 3;

/// What earlier calls with this device and path have left.
enum Earlier {
    Nothing,
    Action(String),
    /// A collection was asked for, perhaps in vain.
    Unsettled(FetchState),
}

const VERSION: u32 = 1;

/// Fetches a package of a device to `path`.
pub(crate) fn fetch(
    account: &Account,
    call: &Arc<Call>,
    machine_id: &str,
    comment: &str,
    path: &str,
    reporter: &mut Reporter<'_, '_>,
) -> Result<Fetched> {
    let destination = download::look(path)?;
    let note = destination.note(machine_id);
    // From the first look at the note to the last: two who found none would both ask the device.
    let Some(_claim) = PathLock::take(&state_file::suffixed(&note, ".lock"))? else {
        return Err(under_way(&destination));
    };
    let job = Job { account, call, machine_id, comment, note };
    let earlier = job.earlier()?;
    let is_noted = matches!(earlier, Earlier::Action(_));
    let (action_id, known, adopted) = if let Earlier::Action(action_id) = earlier {
        (action_id, None, true)
    } else if let Some(action) = job.finished(&destination)? {
        (action.id().to_owned(), Some(action), true)
    } else {
        // A file that is in the way is noticed before anything is asked of the device.
        destination.is_free()?;
        account.tell_of_wait(call, Quota::Collect, None, reporter)?;
        let Collected { action, adopted } = job.collect(earlier)?;
        (action.id().to_owned(), Some(action), adopted)
    };
    reporter
        .step(&Event::Collected { action_id: &action_id, adopted })
        .map_err(|error| error.with_action(&action_id, known.as_ref().map(MachineAction::json)))?;
    let action = job.wait(&action_id, known, reporter)?;
    if is_noted {
        job.is_of_the_device(&action)?;
    }
    let package = download::download_to(account, call, &action, destination, reporter)
        .map_err(|error| job.without_package(error))?;
    job.forget();
    Ok(Fetched { package, action, adopted })
}

fn under_way(destination: &Destination) -> Error {
    let path = download::shown(destination.path());
    let message = match destination.is_folder() {
        true => format!(
            "another fetch from this device to `{path}` is under way; wait for it or choose another folder"
        ),
        false => {
            format!("another fetch to `{path}` is under way; wait for it or choose another path")
        }
    };
    Error::new(Status::File, message).retryable(true).with_stage(Stage::Download)
}

/// One fetch, which nobody else carries out at the same time: the note is its own to write and to remove.
struct Job<'a> {
    account: &'a Account,
    call: &'a Arc<Call>,
    machine_id: &'a str,
    comment: &'a str,
    note: PathBuf,
}

impl Job<'_> {
    /// The collection that an earlier call with this device and path started, if one did.
    fn earlier(&self) -> Result<Earlier> {
        let Some(note) = self.read()? else { return Ok(Earlier::Nothing) };
        if !note.machine_id.eq_ignore_ascii_case(self.machine_id) {
            let message = format!(
                "`{}` records an unfinished fetch from another device; finish that one, remove the note, or \
                 choose another path",
                download::shown(&self.note)
            );
            return Err(Error::new(Status::File, message).with_stage(Stage::Download));
        }
        if let Some(action_id) = note.action_id {
            return Ok(Earlier::Action(action_id));
        }
        match self.started(&note)? {
            Some(id) => {
                self.write(&FetchState { action_id: Some(id.clone()), ..note });
                Ok(Earlier::Action(id))
            }
            None => Ok(Earlier::Unsettled(note)),
        }
    }

    /// The collection that one of these requests has started, as far as the list shows it.
    fn started(&self, note: &FetchState) -> Result<Option<String>> {
        let began = humantime::parse_rfc3339(&note.began).unwrap_or(SystemTime::UNIX_EPOCH);
        for comment in note.comments() {
            let (account, call, machine_id) = (self.account, self.call, self.machine_id);
            let found = collect::started_since(account, call, machine_id, comment, began)?;
            if let Some(action) = found {
                return Ok(Some(action.id().to_owned()));
            }
        }
        Ok(None)
    }

    /// The note, if there is one. One that cannot be read may be of a collection that runs, so it is not passed over.
    fn read(&self) -> Result<Option<FetchState>> {
        let refused = |why: String| {
            let message = format!(
                "cannot read `{}`, which records an unfinished fetch: {why}; see to it that it can be read, or \
                 remove it to start another collection",
                download::shown(&self.note)
            );
            Error::new(Status::File, message).with_stage(Stage::Download)
        };
        let note = state_file::read_own::<FetchState>(&self.note).map_err(|error| {
            if download::too_many_open(&error) {
                return download::file_error("read", &self.note, &error);
            }
            refused(crate::os::io_error::reason(&error))
        })?;
        match note {
            Some(note) if note.version != VERSION => {
                Err(refused("it is of another version of this library".to_owned()))
            }
            note => Ok(note),
        }
    }

    /// The action of this device whose package has the name already: an earlier call got to its end, and nobody
    /// may have heard of it.
    fn finished(&self, destination: &Destination) -> Result<Option<MachineAction>> {
        let Some(action_id) = destination.action_here() else { return Ok(None) };
        let action = actions::read(self.account, self.call, &action_id)
            .map_err(|error| error.with_step_stage(Stage::Download))?;
        let is_known = action.machine_id().is_some() || !machine::is_device_id(self.machine_id);
        let ours = is_known && !self.is_of_another(&action);
        Ok(Some(action).filter(|_| ours))
    }

    /// Whether the action is known to be of another device. An id of another kind than the service's own cannot be
    /// compared with what the action says.
    fn is_of_another(&self, action: &MachineAction) -> bool {
        machine::is_device_id(self.machine_id)
            && action.machine_id().is_some_and(|id| !id.eq_ignore_ascii_case(self.machine_id))
    }

    /// Whether what was noted can be believed.
    fn is_of_the_device(&self, action: &MachineAction) -> Result<()> {
        if !self.is_of_another(action) {
            return Ok(());
        }
        let message = format!(
            "`{}` records an action of another device; remove the note, or choose another path",
            download::shown(&self.note)
        );
        let error = Error::new(Status::File, message).with_stage(Stage::Download);
        Err(error.action(action.id(), Some(action.json())))
    }

    /// The package could not be had. Where that lasts, whoever repeats the call has to get past the note.
    fn without_package(&self, error: Error) -> Error {
        const GONE: [&str; 2] = ["BlobNotFound", "ContainerNotFound"];
        let status = error.status();
        let lasts = !error.is_retryable();
        let is_gone_from_storage = status == Status::NotFound
            && error.service_code().is_some_and(|code| GONE.contains(&code));
        let is_gone = lasts && (error.is_unknown_to_service() || is_gone_from_storage);
        if is_gone {
            self.forget();
        }
        match status {
            Status::NotFound | Status::Integrity if lasts => self.names_the_state_file(error),
            Status::NotReady => self.names_the_state_file(error),
            _ => error,
        }
    }

    /// Says how to come by another collection, where the note leads to this one again.
    fn names_the_state_file(&self, error: Error) -> Error {
        if !self.note.exists() {
            return error;
        }
        let message = format!(
            "{}; the next call returns to this collection, unless `{}` is removed",
            error.message(),
            download::shown(&self.note)
        );
        error.with_message(message)
    }

    fn collect(&self, earlier: Earlier) -> Result<Collected> {
        // The token may take its time; the shorter the time between note and request, the less there is to look for.
        self.account.tokens.get(&self.account.http, self.call)?;
        let open = match earlier {
            Earlier::Unsettled(note) => Some(note),
            _ => None,
        };
        let note = self.state_of(open.as_ref());
        state_file::write(&self.note, &note)
            .map_err(|error| download::file_error("write", &self.note, &error))?;
        match collect::collect(self.account, self.call, self.machine_id, self.comment) {
            Ok(collected) => {
                let action_id = Some(collected.action.id().to_owned());
                self.write(&FetchState { action_id, ..note });
                Ok(collected)
            }
            Err(error) if self.call.is_unsettled() => {
                // The note stays, so this very call can be repeated.
                self.call.set_unsettled(false);
                let message = format!(
                    "{}; mde_fetch_package with the same device and path looks for it first",
                    error.message()
                );
                // Who has stopped it does not want it repeated.
                let retryable = !matches!(error.status(), Status::Cancelled | Status::Closed);
                Err(error.with_message(message).outcome_unknown().retryable(retryable))
            }
            Err(error) => {
                // Nothing came of this request, which says nothing of those before it.
                match open {
                    Some(open) => self.write(&open),
                    None => self.forget(),
                }
                Err(error)
            }
        }
    }

    /// What is noted before the request: this one, and those that may have started a collection.
    fn state_of(&self, open: Option<&FetchState>) -> FetchState {
        let now = || humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let mut other_comments: Vec<String> = Vec::new();
        if let Some(open) = open {
            other_comments.extend(open.comments().filter(|one| *one != self.comment).cloned());
            other_comments.truncate(MOST_OTHERS);
        }
        FetchState {
            version: VERSION,
            machine_id: self.machine_id.to_owned(),
            comment: self.comment.to_owned(),
            began: open.map_or_else(now, |open| open.began.clone()),
            action_id: None,
            other_comments,
        }
    }

    fn wait(
        &self,
        action_id: &str,
        known: Option<MachineAction>,
        reporter: &mut Reporter<'_, '_>,
    ) -> Result<MachineAction> {
        wait::wait(self.account, self.call, action_id, known, reporter).map_err(|error| {
            let Some(is_over) = is_over(&error) else { return error };
            if !is_over {
                return self.names_the_state_file(error);
            }
            // The next call starts another collection.
            self.forget();
            error
        })
    }

    /// Without it the note from before the request leads to the same action, by way of the list.
    fn write(&self, note: &FetchState) {
        if let Err(error) = state_file::write(&self.note, note) {
            let error = download::file_error("write", &self.note, &error);
            log::line(Level::Warn, || error.message().to_owned());
        }
    }

    fn forget(&self) {
        let _ = std::fs::remove_file(&self.note);
    }
}

/// Whether a wait that ended with this error will never lead to a package; `None`: its error says nothing about that.
fn is_over(error: &Error) -> Option<bool> {
    match error.status() {
        Status::ActionFailed | Status::ActionTimedOut | Status::ActionCancelled => Some(true),
        // Not for an action that was seen by this very call, and not where something in between does not find the
        // service.
        Status::NotFound => Some(error.last_seen().is_none() && error.is_unknown_to_service()),
        // A state that this version does not know.
        Status::Protocol if error.last_seen().is_some() => Some(false),
        _ => None,
    }
}

impl Destination {
    /// Where a fetch to this destination records how far it has come.
    fn note(&self, machine_id: &str) -> PathBuf {
        /// What fits into a name with what is added to it.
        const LONGEST: usize = 200;
        let path: &Path = self.path();
        match self.is_folder() {
            true => {
                let id = machine_id.get(..LONGEST).unwrap_or(machine_id).to_ascii_lowercase();
                path.join(format!("{id}.fetch.json"))
            }
            false => state_file::suffixed(path, ".fetch.json"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_service_can_say_that_an_action_is_not_there() {
        let not_found = |code: Option<&str>| {
            Error::new(Status::NotFound, "x").service(code.map(str::to_owned), None)
        };
        let known = not_found(Some("ResourceNotFound"));
        assert_eq!(is_over(&known.clone().action("a", None)), Some(true));
        assert_eq!(is_over(&known.action("a", Some("{}"))), Some(false));
        assert_eq!(is_over(&not_found(None)), Some(false));
        assert_eq!(is_over(&Error::new(Status::ActionFailed, "x")), Some(true));
        assert_eq!(is_over(&Error::new(Status::Deadline, "x")), None);
    }
}
