//! The line of a fetch in the record, if the options name one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::operations::download::{Destination, Package};
use crate::operations::record::{Entry, Record, State};
use crate::service::action::MachineAction;
use crate::status::Status;
use crate::text::json;

/// The request of a collection, as far as it is known.
#[derive(Debug)]
pub(super) struct Origin {
    pub comment: Option<String>,
    pub asked: Option<SystemTime>,
    pub service_date: Option<SystemTime>,
    pub adopted: bool,
}

impl Origin {
    /// That of a package which is there already, without a state file.
    pub(super) fn unknown() -> Origin {
        Origin { comment: None, asked: None, service_date: None, adopted: true }
    }
}

/// Records the end of a fetch. The record is open only meanwhile, since other calls use it.
pub(super) struct EndRecorder<'a> {
    account: &'a Account,
    call: &'a Arc<Call>,
    machine_id: &'a str,
    /// Where the package is.
    folder: PathBuf,
}

impl<'a> EndRecorder<'a> {
    pub(super) fn new(
        account: &'a Account,
        call: &'a Arc<Call>,
        machine_id: &'a str,
        destination: &Destination,
    ) -> EndRecorder<'a> {
        let path = destination.path();
        let folder = if destination.is_folder() { Some(path) } else { path.parent() };
        EndRecorder { account, call, machine_id, folder: folder.unwrap_or(path).to_owned() }
    }

    /// Checks the record before the device has any work.
    pub(super) fn check(&self) -> Result<()> {
        self.open().map(drop)
    }

    /// Records the package.
    pub(super) fn done(
        &self,
        package: &Package,
        action: &MachineAction,
        origin: &Origin,
    ) -> Result<()> {
        let Some(mut record) = self.open()? else { return Ok(()) };
        let json = json::text(package);
        let entry = Entry { package: Some(&json), ..Entry::new(State::Done, self.machine_id) };
        record.append(&self.with(entry, Some(action), origin)).map_err(|error| {
            unrecorded(error, "the package is there").action(action.id(), Some(action.json()))
        })
    }

    /// Records an error that is the end of the collection.
    pub(super) fn failed(&self, end: &Error, origin: &Origin) -> Result<()> {
        let Some(mut record) = self.open()? else { return Ok(()) };
        let mask = |text: &mut String| self.account.mask(text);
        let action = end.last_seen().and_then(|json| MachineAction::from_json(json, &mask).ok());
        let error = end.member();
        let entry = Entry {
            action_id: end.action_id(),
            package: end.package(),
            error: Some(&error),
            ..Entry::new(State::Failed, self.machine_id)
        };
        record.append(&self.with(entry, action.as_ref(), origin)).map_err(|error| {
            let what = format!("the collection has ended ({})", end.status().name());
            let error = unrecorded(error, &what);
            match end.action_id() {
                Some(id) => error.action(id, end.last_seen()),
                None => error,
            }
        })
    }

    fn open(&self) -> Result<Option<Record<'a>>> {
        let path = self.account.record.as_deref();
        path.map(|path| Record::open(self.account, self.call, path)).transpose()
    }

    /// Adds what the action and the request say.
    fn with<'e>(
        &'e self,
        entry: Entry<'e>,
        action: Option<&'e MachineAction>,
        origin: &'e Origin,
    ) -> Entry<'e> {
        Entry {
            machine_id: action.and_then(MachineAction::machine_id).unwrap_or(self.machine_id),
            computer_name: action.and_then(MachineAction::computer_name),
            action_id: action.map(MachineAction::id).or(entry.action_id),
            action: action.map(MachineAction::json),
            adopted: entry.action_id.or(action.map(MachineAction::id)).map(|_| origin.adopted),
            comment: origin.comment.as_deref(),
            asked: origin.asked,
            service_date: origin.service_date,
            folder: &self.folder,
            ..entry
        }
    }
}

/// Whether the refusal of a request for a collection says that this device never gets one.
pub(super) fn is_final(refusal: &Error) -> bool {
    matches!(refusal.status(), Status::UnsupportedDevice | Status::BadRequest)
        || refusal.is_unknown_to_service()
}

fn unrecorded(error: Error, what: &str) -> Error {
    error.with_note(&format!("{what}, and the same call returns it again and records it"))
}
