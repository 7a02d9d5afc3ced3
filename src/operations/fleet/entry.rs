//! A line of the journal: the whole state of one device. The last line of a device counts.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::service::action::MachineAction;

/// How far a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// Its collection is still to be asked for, or the outcome of the request is not known.
    Queued,
    /// The device has not begun the collection. It may be offline.
    Waiting,
    /// The device collects.
    Running,
    /// The package is to be downloaded.
    Ready,
    /// The package is downloaded and checked.
    Done,
    /// There is no package, or it was refused.
    Failed,
    /// Nothing was asked, because a problem of the device is known.
    Skipped,
}

impl State {
    /// Whether the device has its outcome.
    pub(super) fn is_end(self) -> bool {
        matches!(self, State::Done | State::Failed | State::Skipped)
    }
}

/// The state of one device.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Entry<'a> {
    /// The position of the device in the job.
    pub n: u32,
    #[serde(borrow)]
    pub machine_id: Cow<'a, str>,
    pub state: State,
    /// The comment of this device, if it is not that of the call.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<Cow<'a, str>>,
    /// The name that the caller wants for the package.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Cow<'a, str>>,
    /// The requests for a collection, as in the state file of a fetch.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<&'a RawValue>,
    /// The service has refused these requests.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nothing_started: bool,
    /// The service's date of the reply that showed the action.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub service_date: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub action: Option<&'a RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<bool>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub package: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a RawValue>,
    /// The problems for which it is skipped.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub problems: Option<&'a RawValue>,
}

impl<'a> Entry<'a> {
    /// A device of which nothing is known yet.
    pub(super) fn new(n: u32, machine_id: &'a str) -> Entry<'a> {
        Entry {
            n,
            machine_id: Cow::Borrowed(machine_id),
            state: State::Queued,
            comment: None,
            file: None,
            asked: None,
            nothing_started: false,
            service_date: None,
            action: None,
            adopted: None,
            package: None,
            error: None,
            problems: None,
        }
    }

    /// Whether the outcome of a request is not known.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Queued && self.asked.is_some() && !self.nothing_started
    }

    /// The action as it was last seen. Nothing in it is masked.
    pub(super) fn known_action(&self) -> Option<MachineAction> {
        MachineAction::from_json(self.action?.get(), &|_| {}).ok()
    }

    /// Whether a new call goes on with this device although it has failed.
    pub(super) fn is_retryable(&self) -> bool {
        #[derive(Deserialize)]
        struct Error {
            retryable: bool,
        }
        let error = self.error.and_then(|error| serde_json::from_str::<Error>(error.get()).ok());
        error.is_some_and(|error| error.retryable)
    }

    /// Whether this is an outcome that no later call changes by itself.
    pub(super) fn is_lasting(&self) -> bool {
        self.state.is_end() && !(self.state == State::Failed && self.is_retryable())
    }

    /// The size of the package.
    pub(super) fn bytes(&self) -> u64 {
        #[derive(Deserialize)]
        struct Package {
            bytes: u64,
        }
        let package = self.package.filter(|_| self.state == State::Done);
        let package = package.and_then(|it| serde_json::from_str::<Package>(it.get()).ok());
        package.map_or(0, |package| package.bytes)
    }
}
