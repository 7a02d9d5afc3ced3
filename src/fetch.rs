//! Collect, wait, download: one call from a device to a checked file, which a later call carries on wherever
//! this one had to stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::actions;
use crate::call::Call;
use crate::collect::{self, Collected};
use crate::download::{self, Package, Spot};
use crate::journal;
use crate::log::{self, Level};
use crate::progress::{Event, Reporter};
use crate::service::model::{MachineAction, document};
use crate::wait;
use crate::{Error, Result, Stage, Status};

/// A package that was asked for and is on disk.
#[derive(Clone, Debug)]
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
        let package = self.package.json();
        let adopted = if self.adopted { "true" } else { "false" };
        let members = [
            format!("\"package\":{package}"),
            format!("\"action\":{}", self.action.json()),
            format!("\"adopted\":{adopted}"),
        ];
        document("{", members.iter().map(String::as_str), "}")
    }
}

/// Written before a collection is asked for, so that whoever comes later can find it, and again when its action
/// is known.
#[derive(Debug, Deserialize, Serialize)]
struct Note {
    version: u32,
    machine_id: String,
    comment: String,
    /// When the collection was about to be asked for, by this host's clock.
    began: String,
    action_id: Option<String>,
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
    let spot = download::look(path)?;
    let job = Job { account, call, machine_id, comment, note: spot.note(machine_id) };
    let (action_id, known, adopted) = match (job.earlier()?, job.finished(&spot)?) {
        (Some(action_id), _) => (action_id, None, true),
        (None, Some(action)) => (action.id().to_owned(), Some(action), true),
        (None, None) => {
            // A file that is in the way is noticed before anything is asked of the device.
            spot.is_free()?;
            let Collected { action, adopted } = job.collect()?;
            (action.id().to_owned(), Some(action), adopted)
        }
    };
    reporter.step(&Event::Collected { action_id: &action_id, adopted })?;
    let action = job.wait(&action_id, known, reporter)?;
    let package = download::download_to(account, call, &action, spot, reporter)?;
    job.forget();
    Ok(Fetched { package, action, adopted })
}

struct Job<'a> {
    account: &'a Account,
    call: &'a Arc<Call>,
    machine_id: &'a str,
    comment: &'a str,
    note: PathBuf,
}

impl Job<'_> {
    /// The collection that an earlier call with this device and path started, if one did.
    fn earlier(&self) -> Result<Option<String>> {
        let Some(note) = journal::read::<Note>(&self.note).filter(|note| note.version == VERSION)
        else {
            return Ok(None);
        };
        if !note.machine_id.eq_ignore_ascii_case(self.machine_id) {
            let message = format!(
                "`{}` notes an unfinished fetch from another device; finish that one, remove the note, or \
                 choose another path",
                download::shown(&self.note)
            );
            return Err(Error::new(Status::File, message).at(Stage::Download));
        }
        if note.action_id.is_some() {
            return Ok(note.action_id);
        }
        let began = humantime::parse_rfc3339(&note.began).unwrap_or(SystemTime::UNIX_EPOCH);
        let found =
            collect::started_since(self.account, self.call, self.machine_id, &note.comment, began)?;
        let Some(action) = found else { return Ok(None) };
        self.write(&note.comment, &note.began, Some(action.id()));
        Ok(Some(action.id().to_owned()))
    }

    /// The action of this device whose package has the name already: an earlier call got to its end, and nobody
    /// may have heard of it.
    fn finished(&self, spot: &Spot) -> Result<Option<MachineAction>> {
        let Some(action_id) = spot.action_here() else { return Ok(None) };
        let action = actions::read(self.account, self.call, &action_id)
            .map_err(|error| error.within(Stage::Download))?;
        let ours = action.machine_id().is_some_and(|id| id.eq_ignore_ascii_case(self.machine_id));
        Ok(Some(action).filter(|_| ours))
    }

    fn collect(&self) -> Result<Collected> {
        // The token may take its time; the shorter the time between note and request, the less there is to look for.
        self.account.tokens.get(&self.account.http, self.call)?;
        let began = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        journal::write(&self.note, &self.content(self.comment, &began, None))
            .map_err(|error| download::file_error("write", &self.note, &error))?;
        match collect::collect(self.account, self.call, self.machine_id, self.comment) {
            Ok(collected) => {
                self.write(self.comment, &began, Some(collected.action.id()));
                Ok(collected)
            }
            Err(error) if self.call.is_unsettled() => {
                // The note stays, so this very call can be repeated.
                self.call.set_unsettled(false);
                let message = format!(
                    "{}; mde_fetch_package with the same device and path looks for it first",
                    error.message()
                );
                let status = error.status();
                Err(error.became(status, message, true).outcome_unknown().retryable(true))
            }
            Err(error) => {
                self.forget();
                Err(error)
            }
        }
    }

    fn wait(
        &self,
        action_id: &str,
        known: Option<MachineAction>,
        reporter: &mut Reporter<'_, '_>,
    ) -> Result<MachineAction> {
        wait::wait(self.account, self.call, action_id, known, reporter).inspect_err(|error| {
            let is_over = matches!(
                error.status(),
                Status::ActionFailed
                    | Status::ActionTimedOut
                    | Status::ActionCancelled
                    | Status::NotFound
            );
            // The next call starts another collection.
            if is_over {
                self.forget();
            }
        })
    }

    fn content(&self, comment: &str, began: &str, action_id: Option<&str>) -> Note {
        Note {
            version: VERSION,
            machine_id: self.machine_id.to_owned(),
            comment: comment.to_owned(),
            began: began.to_owned(),
            action_id: action_id.map(str::to_owned),
        }
    }

    /// Without it the note from before the request leads to the same action, by way of the list.
    fn write(&self, comment: &str, began: &str, action_id: Option<&str>) {
        if let Err(error) = journal::write(&self.note, &self.content(comment, began, action_id)) {
            let error = download::file_error("write", &self.note, &error);
            log::line(Level::Warn, || error.message().to_owned());
        }
    }

    fn forget(&self) {
        let _ = std::fs::remove_file(&self.note);
    }
}

impl Spot {
    /// Where a fetch to this place notes how far it has come.
    fn note(&self, machine_id: &str) -> PathBuf {
        /// What fits into a name with what is added to it.
        const LONGEST: usize = 200;
        let path: &Path = self.path();
        match self.is_folder() {
            true => {
                let id = machine_id.get(..LONGEST).unwrap_or(machine_id).to_ascii_lowercase();
                path.join(format!("{id}.fetch.json"))
            }
            false => journal::suffixed(path, ".fetch.json"),
        }
    }
}
