//! The link to the package of a finished collection.
//!
//! The link lives for about a minute, and the quota allows two in a minute. So it is requested only when it can be
//! used at once. It grants access to the package, so no message and no log line contains it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
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
use crate::text::secret_url::SecretUrl;

/// The address of a package, valid for about a minute. It is a secret.
#[derive(Clone)]
pub struct PackageUri {
    text: Zeroizing<String>,
    link: SecretUrl,
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
        // Allocated once, with room for C's NUL: a text that grows leaves copies behind. No other character is escaped.
        let escapes = self.text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count();
        let mut json = Vec::with_capacity(r#"{"uri":""}"#.len() + self.text.len() + escapes + 1);
        let _ = serde_json::to_writer(&mut json, &Document { uri: self.as_str() });
        String::from_utf8(json).unwrap_or_default()
    }

    pub(crate) fn link(&self) -> &SecretUrl {
        &self.link
    }
}

impl fmt::Debug for PackageUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackageUri({}, …)", self.link.host())
    }
}

/// The pauses before further requests for the link of an action that has succeeded. The link may appear a moment
/// after the state.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(9),
    Duration::from_secs(27),
];

/// `GET /api/machineactions/{id}/getPackageUri`
///
/// The service answers 404 for an action that is not finished and for one that does not exist. After a 404 the action
/// itself is read.
pub(crate) fn get(account: &Account, call: &Arc<Call>, action_id: &str) -> Result<PackageUri> {
    let (mut pauses, mut sent) = (PAUSES.iter(), 0);
    loop {
        let refusal = match request(account, call, action_id) {
            Ok(found) => return Ok(found),
            Err(error) => {
                sent += error.attempts_made().unwrap_or_default();
                if sent > 0 { error.attempts(sent) } else { error }
            }
        };
        if refusal.status() != Status::NotFound {
            return Err(refusal);
        }
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

fn request(account: &Account, call: &Arc<Call>, action_id: &str) -> Result<PackageUri> {
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

/// The value in `{"value":"https://…"}`. The service may put it in a second pair of quotation marks.
pub(crate) fn read_value(reply: &Reply) -> Option<Zeroizing<String>> {
    #[derive(Deserialize)]
    struct Document<'a> {
        #[serde(borrow)]
        value: &'a RawValue,
    }
    let value = json::unescaped(json::read::<Document<'_>>(&reply.body)?.value.get())?;
    let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&value);
    Some(Zeroizing::new(bare.to_owned())).filter(|bare| !bare.is_empty())
}

/// Checks a link. The error completes "the service's link to the package …".
fn usable(account: &Account, text: Zeroizing<String>) -> std::result::Result<PackageUri, String> {
    let link = SecretUrl::parse(&text).ok_or_else(|| "is not a URL".to_owned())?;
    account.download_hosts.check(&link.url)?;
    Ok(PackageUri { text, link })
}

/// Checks that the action has succeeded. The error carries the action as last seen.
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
