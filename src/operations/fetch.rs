//! Collects, waits and downloads in one call, from a device to a checked file. A later call resumes where this one
//! stopped.
//!
//! A state file beside the destination records the request and then its action. A path lock keeps other calls and
//! processes from the same fetch.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result, Stage};
use crate::log::{self, Level};
use crate::operations::collect::{self, Collected, Requests};
use crate::operations::download::{self, Destination, Package, PathLock};
use crate::operations::fetch_record::{self, EndRecorder, Origin};
use crate::operations::fetch_state::FetchState;
use crate::operations::{actions, wait};
use crate::os::file;
use crate::progress::{Event, Reporter};
use crate::service::action::MachineAction;
use crate::service::machine;
use crate::service::quota::Quota;
use crate::status::Status;
use crate::text::json;

/// A package that was collected and downloaded.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Fetched {
    /// The package.
    pub package: Package,
    /// The machine action that collected it.
    pub action: MachineAction,
    /// The collection was not started by this call. It was running already, or an earlier call had started it.
    pub adopted: bool,
}

impl Fetched {
    /// `{"package":{…},"action":{…},"adopted":false}`
    pub fn to_json(&self) -> String {
        json::text(self)
    }
}

/// What earlier calls with this device and path have recorded.
enum Earlier {
    Nothing,
    /// The id of the action, and its request.
    Action(String, Origin),
    /// A collection was requested, and whether it was started is not known.
    Unsettled(FetchState),
}

/// Fetches a package of a device to `path`.
pub(crate) fn fetch(
    account: &Account,
    call: &Arc<Call>,
    machine_id: &str,
    comment: &str,
    path: &str,
    reporter: &mut Reporter<'_, '_>,
) -> Result<Fetched> {
    let destination = Destination::resolve(path)?;
    let state_path = destination.fetch_state_path(machine_id);
    // Held for the whole fetch, since two calls that find no state file would both start a collection.
    let Some(_path_lock) = PathLock::take(&file::suffixed(&state_path, ".lock"))? else {
        return Err(under_way(&destination));
    };
    let ends = EndRecorder::new(account, call, machine_id, &destination);
    let job = Job { account, call, machine_id, comment, state_path, ends };
    job.ends.check()?;
    let earlier = job.earlier()?;
    let is_recorded = matches!(earlier, Earlier::Action(..));
    let (action_id, known, adopted, origin) = if let Earlier::Action(action_id, origin) = earlier {
        (action_id, None, true, origin)
    } else if let Some(action) = job.finished(&destination)? {
        (action.id().to_owned(), Some(action), true, Origin::unknown())
    } else {
        // A file at the destination is an error before the device has any work.
        destination.is_free()?;
        download::can_rename(&job.state_path, call)?;
        account.report_quota_wait(call, Quota::Collect, None, reporter)?;
        let (collected, origin) = job.collect(earlier)?;
        let Collected { action, adopted, .. } = collected;
        (action.id().to_owned(), Some(action), adopted, origin)
    };
    reporter
        .step(&Event::Collected { action_id: &action_id, adopted })
        .map_err(|error| error.with_action(&action_id, known.as_ref().map(MachineAction::json)))?;
    // A device that was asked for by its name has the id that its first action names.
    let device = match machine::is_device_id(machine_id) {
        true => Some(machine_id.to_owned()),
        false => known.as_ref().and_then(MachineAction::machine_id).map(str::to_owned),
    };
    let action = job.wait(&action_id, known, &origin, reporter)?;
    job.check_action(&action, device.as_deref(), is_recorded)?;
    let package = download::download_to(account, call, &action, destination, reporter)
        .map_err(|error| job.without_package(error, &origin))?;
    // The state file leads the next call back here, until the package is recorded.
    job.ends.done(&package, &action, &origin)?;
    job.remove_state();
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

/// One fetch. It holds the path lock, so no other call writes or removes the state file.
struct Job<'a> {
    account: &'a Account,
    call: &'a Arc<Call>,
    machine_id: &'a str,
    comment: &'a str,
    state_path: PathBuf,
    ends: EndRecorder<'a>,
}

impl Job<'_> {
    /// The collection that an earlier call with this device and path started, if one did.
    fn earlier(&self) -> Result<Earlier> {
        let Some(state) = FetchState::read(&self.state_path)? else { return Ok(Earlier::Nothing) };
        if !state.machine_id.eq_ignore_ascii_case(self.machine_id) {
            let message = format!(
                "`{}` records an unfinished fetch from another device; finish that one, remove the state file, or \
                 choose another path",
                download::shown(&self.state_path)
            );
            return Err(Error::new(Status::File, message).with_stage(Stage::Download));
        }
        if let Some(action_id) = &state.action_id {
            return Ok(Earlier::Action(action_id.clone(), state.origin()));
        }
        let found = collect::started(self.account, self.call, &self.requests(&state, true))?;
        match found {
            Some(collected) => {
                let state = state.with_action(&collected);
                self.write_state(&state);
                Ok(Earlier::Action(collected.action.id().to_owned(), state.origin()))
            }
            None => Ok(Earlier::Unsettled(state)),
        }
    }

    /// The recorded requests. `is_open`: the outcome of earlier ones is not known.
    fn requests<'a>(&'a self, state: &'a FetchState, is_open: bool) -> Requests<'a> {
        Requests {
            machine_id: self.machine_id,
            comments: state.comments().map(String::as_str).collect(),
            open_since: is_open.then(|| state.began()),
        }
    }

    /// The action of this device whose package has the final path already. An earlier call has finished, perhaps without
    /// returning to its caller.
    fn finished(&self, destination: &Destination) -> Result<Option<MachineAction>> {
        let Some(action_id) = destination.action_here() else { return Ok(None) };
        let failed = |error: Error| error.with_step_stage(Stage::Download);
        let action = actions::read(self.account, self.call, &action_id).map_err(failed)?;
        // The action names the service's own device id, so a name is looked up.
        let device =
            collect::device_id(self.account, self.call, self.machine_id).map_err(failed)?;
        let is_known = action.machine_id().is_some();
        let ours = is_known && action.check_collection_of(Some(&device)).is_ok();
        Ok(Some(action).filter(|_| ours))
    }

    /// Checks that the action is the collection of this device before its package is downloaded.
    fn check_action(
        &self,
        action: &MachineAction,
        device: Option<&str>,
        is_recorded: bool,
    ) -> Result<()> {
        let Err(problem) = action.check_collection_of(device) else { return Ok(()) };
        let error = match is_recorded {
            true => {
                let message = format!(
                    "`{}` {}; remove the state file, or choose another path",
                    download::shown(&self.state_path),
                    problem.replacen("has", "records", 1)
                );
                Error::new(Status::File, message).with_stage(Stage::Download)
            }
            false => self.names_the_state_file(actions::of_another(problem)),
        };
        Err(error.action(action.id(), Some(action.json())))
    }

    /// The error of a download. If the same call would fail again, the end is recorded, and the state file is removed, or
    /// the error names it.
    fn without_package(&self, error: Error, origin: &Origin) -> Error {
        const GONE: [&str; 2] = ["BlobNotFound", "ContainerNotFound"];
        let status = error.status();
        let lasts = !error.is_retryable();
        let is_gone_from_storage = status == Status::NotFound
            && error.service_code().is_some_and(|code| GONE.contains(&code));
        let is_gone = lasts && (error.is_unknown_to_service() || is_gone_from_storage);
        if is_gone {
            return self.over(error, origin);
        }
        match status {
            Status::Integrity | Status::Unsafe if lasts => match self.ends.failed(&error, origin) {
                Ok(()) => self.names_the_state_file(error),
                Err(unrecorded) => unrecorded,
            },
            Status::NotFound if lasts => self.names_the_state_file(error),
            Status::NotReady => self.names_the_state_file(error),
            _ => error,
        }
    }

    /// The error of a collection that never leads to a package. The state file is removed once the end is recorded.
    fn over(&self, error: Error, origin: &Origin) -> Error {
        match self.ends.failed(&error, origin) {
            Ok(()) => {
                self.remove_state();
                error
            }
            Err(unrecorded) => unrecorded,
        }
    }

    /// Adds how to start another collection, if the state file leads to this one again.
    fn names_the_state_file(&self, error: Error) -> Error {
        if !self.state_path.exists() {
            return error;
        }
        let message = format!(
            "{}; the next call returns to this collection, unless `{}` is removed",
            error.message(),
            download::shown(&self.state_path)
        );
        error.with_message(message)
    }

    fn collect(&self, earlier: Earlier) -> Result<(Collected, Origin)> {
        // Getting a token may take long. The time between state file and request is kept short, since a later call searches
        // all of it.
        self.account.tokens.get(&self.account.http, self.call)?;
        let open = match earlier {
            Earlier::Unsettled(state) => Some(state),
            _ => None,
        };
        let state = FetchState::before_request(
            self.machine_id,
            self.comment,
            open.as_ref(),
            SystemTime::now(),
        );
        state.write(&self.state_path, self.call)?;
        let requests = self.requests(&state, open.is_some());
        match collect::collect(self.account, self.call, &requests) {
            Ok(collected) => {
                let state = state.with_action(&collected);
                self.write_state(&state);
                Ok((collected, state.origin()))
            }
            Err(error) if self.call.is_unsettled() => {
                // The state file stays, so the same call can be repeated.
                self.call.settle();
                let message = format!(
                    "{}; mde_fetch_package with the same device and path searches for it first",
                    error.message()
                );
                // A caller that has stopped the call does not want it repeated.
                let retryable = !matches!(error.status(), Status::Cancelled | Status::Closed);
                Err(error.with_message(message).outcome_unknown().retryable(retryable))
            }
            Err(error) => {
                // This request started nothing. The outcome of earlier ones is still not known.
                match open {
                    Some(open) => self.write_state(&open),
                    None => self.remove_state(),
                }
                if fetch_record::is_final(&error) {
                    self.ends.failed(&error, &state.origin())?;
                }
                Err(error)
            }
        }
    }

    fn wait(
        &self,
        action_id: &str,
        known: Option<MachineAction>,
        origin: &Origin,
        reporter: &mut Reporter<'_, '_>,
    ) -> Result<MachineAction> {
        wait::wait(self.account, self.call, action_id, known, reporter).map_err(|error| {
            match prospect(&error) {
                Prospect::Open => error,
                Prospect::Doubtful => self.names_the_state_file(error),
                Prospect::Over => self.over(error, origin),
            }
        })
    }

    /// Writes the state file. A failure is only logged: the state before the request leads to the same action by way of
    /// the list.
    fn write_state(&self, state: &FetchState) {
        if let Err(error) = state.write(&self.state_path, self.call) {
            log::line(Level::Warn, || error.message().to_owned());
        }
    }

    fn remove_state(&self) {
        let _ = std::fs::remove_file(&self.state_path);
    }
}

/// What the error of a wait says about the collection.
#[derive(Debug, PartialEq, Eq)]
enum Prospect {
    /// It may still lead to a package, so the next call resumes it.
    Open,
    /// The next call resumes it as well, but may fail in the same way.
    Doubtful,
    /// It never leads to a package, so the next call starts another one.
    Over,
}

fn prospect(error: &Error) -> Prospect {
    match error.status() {
        Status::ActionFailed | Status::ActionTimedOut | Status::ActionCancelled => Prospect::Over,
        // A 404 of a proxy or gateway proves nothing, and neither does one for an action that this call has seen.
        Status::NotFound if error.last_seen().is_none() && error.is_unknown_to_service() => {
            Prospect::Over
        }
        Status::NotFound => Prospect::Doubtful,
        // The action is in a state that this version does not know.
        Status::Protocol if error.last_seen().is_some() => Prospect::Doubtful,
        _ => Prospect::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_service_reports_that_an_action_does_not_exist() {
        let not_found = |code: Option<&str>| {
            Error::new(Status::NotFound, "x").service(code.map(str::to_owned), None)
        };
        let known = not_found(Some("ResourceNotFound"));
        assert_eq!(prospect(&known.clone().action("a", None)), Prospect::Over);
        assert_eq!(prospect(&known.action("a", Some("{}"))), Prospect::Doubtful);
        assert_eq!(prospect(&not_found(None)), Prospect::Doubtful);
        assert_eq!(prospect(&Error::new(Status::ActionFailed, "x")), Prospect::Over);
        assert_eq!(prospect(&Error::new(Status::Deadline, "x")), Prospect::Open);
    }
}
