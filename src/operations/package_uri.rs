//! The link under which the package of a finished collection can be fetched.
//!
//! It lives about a minute, two can be had in a minute, and whoever has it can fetch the package: so it is
//! asked for only when it can be used at once, and it is in no message and no log.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use ureq::http::Uri;
use zeroize::Zeroizing;

use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result, Stage};
use crate::http::reply::Reply;
use crate::operations::{actions, wait};
use crate::service::action::{ActionStatus, MachineAction};
use crate::service::endpoint;
use crate::status::Status;
use crate::text::json;

/// The address of a package, good for about a minute. A secret.
#[derive(Clone)]
pub struct PackageUri {
    text: Zeroizing<String>,
    uri: Uri,
}

impl PackageUri {
    /// The address, byte for byte as the service gave it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `{"uri":"https://…"}`
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            uri: &'a str,
        }
        json::text(&Document { uri: self.as_str() })
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }
}

impl fmt::Debug for PackageUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackageUri({}, …)", self.uri.host().unwrap_or_default())
    }
}

/// The pauses before asking again while the service does not show the package of an action that has
/// succeeded: the link may follow the state after a moment.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(9),
    Duration::from_secs(27),
];

/// `GET /api/machineactions/{id}/getPackageUri`
///
/// The service answers 404 for an action that is not finished as for one that does not exist; the action
/// itself tells which it is.
pub(crate) fn get(account: &Account, call: &Arc<Call>, action_id: &str) -> Result<PackageUri> {
    let mut pauses = PAUSES.iter();
    loop {
        let refusal = match ask(account, call, action_id) {
            Err(error) if error.status() == Status::NotFound => error,
            other => return other,
        };
        let action = actions::read(account, call, action_id)
            .map_err(|error| error.with_step_stage(Stage::Link).with_action(action_id, None))?;
        has_succeeded(&action).map_err(|error| error.with_stage(Stage::Link))?;
        match pauses.next() {
            Some(pause) if call.has_time_for(*pause) => call.pause(*pause).map_err(|stop| {
                Error::from(stop).with_stage(Stage::Link).with_action(action_id, None)
            })?,
            _ => {
                let message = format!(
                    "the action {action_id} has succeeded, but the service has no link to its package; try \
                     again in a minute, and if that does not help, collect a new package"
                );
                return Err(refusal
                    .reclassified(Status::NotReady, message, true)
                    .with_action(action_id, Some(action.json())));
            }
        }
    }
}

fn ask(account: &Account, call: &Arc<Call>, action_id: &str) -> Result<PackageUri> {
    let found = account.perform(call, &endpoint::package_uri(action_id)).and_then(|reply| {
        let text = read_value(&reply)
            .ok_or_else(|| actions::not_understood(&reply, "has no link in it"))?;
        usable(account, text).map_err(|problem| {
            Error::new(Status::Protocol, format!("the service's link to the package {problem}"))
                .http(reply.status)
        })
    });
    found.map_err(|error| {
        let error = error.with_step_stage(Stage::Link).with_action(action_id, None);
        match error.http_status() {
            Some(400) => {
                let message = format!(
                    "{}; only the action of a collection has a package",
                    error.message().trim_end_matches("; ")
                );
                error.reclassified(Status::BadRequest, message, false)
            }
            _ => error,
        }
    })
}

/// `{"value":"https://…"}`, where the value may stand in quotation marks of its own.
fn read_value(reply: &Reply) -> Option<Zeroizing<String>> {
    #[derive(Deserialize)]
    struct Document {
        value: String,
    }
    let value = Zeroizing::new(json::read::<Document>(&reply.body)?.value);
    let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&value);
    Some(Zeroizing::new(bare.to_owned())).filter(|bare| !bare.is_empty())
}

/// The error completes "the link …".
fn usable(account: &Account, text: Zeroizing<String>) -> std::result::Result<PackageUri, String> {
    let uri: Uri = text.parse().map_err(|_| "is not a URL".to_owned())?;
    account.download_hosts.check(&uri)?;
    Ok(PackageUri { text, uri })
}

/// Whether there is a package, or will be; else why there is none, with the action as last seen.
pub(crate) fn has_succeeded(action: &MachineAction) -> Result<()> {
    let state = action.status();
    if *state == ActionStatus::Succeeded {
        return Ok(());
    }
    let error = wait::bad_end(state).unwrap_or_else(|| {
        let state = match state.name() {
            "" => "in no state the service names".to_owned(),
            name => format!("in state {}", crate::text::redact::clean(name, 64)),
        };
        let message = format!("the action is not finished (it is {state}); wait for it");
        Error::new(Status::NotReady, message)
    });
    Err(error.with_action(action.id(), Some(action.json())))
}
