//! Reading machine actions: one by its id, or all that match a filter.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use ureq::http::Uri;

use crate::account::Account;
use crate::call::Call;
use crate::net::reply::Reply;
use crate::service::cloud;
use crate::service::endpoint::{self, PAGE};
use crate::service::model::{self, MachineAction, Page};
use crate::{Error, Result, Stage, Status};

/// A list beyond these bounds needs a narrower filter: it would fill the host's memory.
const MAX_PAGES: usize = 1_000;
const MAX_BYTES: usize = 64 << 20;

/// `GET /api/machineactions/{id}`
pub(crate) fn read(account: &Account, call: &Arc<Call>, action_id: &str) -> Result<MachineAction> {
    let reply = account.perform(call, &endpoint::action(action_id))?;
    read_action(&reply).map_err(|problem| not_understood(&reply, problem).action(action_id, None))
}

/// The action in a reply's body; the error completes "the reply …".
pub(crate) fn read_action(reply: &Reply) -> std::result::Result<MachineAction, &'static str> {
    MachineAction::from_json(model::raw(&reply.body).ok_or("is not JSON")?)
}

/// All actions that match, newest first. Pages shift when actions are added while we read, so what was
/// seen already is left out.
pub(crate) fn list(
    account: &Account,
    call: &Arc<Call>,
    filter: &str,
) -> Result<Vec<MachineAction>> {
    let mut actions: Vec<MachineAction> = Vec::new();
    let mut seen = HashSet::new();
    let mut request = endpoint::actions(filter, None, 0);
    let (mut received, mut bytes) = (0, 0);
    for _ in 0..MAX_PAGES {
        let reply = account.perform(call, &request)?;
        bytes += reply.body.len();
        if bytes > MAX_BYTES {
            break;
        }
        let page =
            Page::from_slice(&reply.body).map_err(|problem| not_understood(&reply, problem))?;
        let on_page = page.actions.len();
        received += on_page;
        let known = actions.len();
        actions.extend(page.actions.into_iter().filter(|a| seen.insert(a.id().to_owned())));
        if page.next.is_some() && actions.len() == known {
            return Err(not_understood(&reply, "repeats pages without end"));
        }
        request = match page.next {
            Some(link) => endpoint::actions_at(next_target(account, &reply, &link)?),
            None if on_page >= PAGE => endpoint::actions(filter, None, received),
            None => return Ok(actions),
        };
    }
    Err(Error::argument(
        "odata_filter",
        "matches too many actions",
        "one that matches less than 64 MiB of them, for example by creationDateTimeUtc",
    ))
}

/// The newest actions that match, and when the service said so.
pub(crate) struct Recent {
    pub actions: Vec<MachineAction>,
    pub date: Option<SystemTime>,
}

/// One short page of the newest actions that match.
pub(crate) fn recent(
    account: &Account,
    call: &Arc<Call>,
    filter: &str,
    top: usize,
) -> Result<Recent> {
    let reply = account.perform(call, &endpoint::actions(filter, Some(top), 0))?;
    let page = Page::from_slice(&reply.body).map_err(|problem| not_understood(&reply, problem))?;
    Ok(Recent { actions: page.actions, date: reply.date() })
}

/// Path and query of a next-page link, which is followed on the host that was called, since links may
/// name another host of the service. A link anywhere else is not followed: the token goes with it.
fn next_target(account: &Account, reply: &Reply, link: &str) -> Result<String> {
    let strange = || not_understood(reply, "has a next-page link that leads away from the service");
    let uri: Uri = link.parse().map_err(|_| strange())?;
    let ours = cloud::family(account.api.authority());
    let same = uri
        .authority()
        .is_none_or(|authority| cloud::family(&authority.as_str().to_ascii_lowercase()) == ours);
    let target = uri.path_and_query().map(|target| target.as_str()).unwrap_or_default();
    // Behind a gateway the link may or may not carry the gateway's own prefix.
    let target = target.strip_prefix(account.api.path()).unwrap_or(target);
    match target.find("/api/") {
        Some(at) if same => Ok(target.get(at..).unwrap_or_default().to_owned()),
        _ => Err(strange()),
    }
}

/// A successful reply that makes no sense.
pub(crate) fn not_understood(reply: &Reply, problem: &str) -> Error {
    Error::new(
        Status::Protocol,
        format!(
            "cannot {}: the reply {problem} ({}); check `api_url` and what lies in between",
            reply.purpose,
            reply.describe_content()
        ),
    )
    .at(Stage::Reply)
    .http(reply.status)
    .attempts(reply.attempts)
}
