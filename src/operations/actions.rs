//! Reading machine actions: one by its id, or all that match a filter.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use ureq::http::Uri;

use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result, Stage};
use crate::http::reply::Reply;
use crate::service::action::{MachineAction, Page};
use crate::service::cloud;
use crate::service::endpoint::{self, PAGE};
use crate::status::Status;
use crate::text::url::{BaseUrl, authority_of};

/// The bounds of a list. A longer one would fill the host's memory, so it needs a narrower filter.
const MAX_PAGES: usize = 1_000;
const MAX_BYTES: usize = 64 << 20;

/// `GET /api/machineactions/{id}`
pub(crate) fn read(account: &Account, call: &Arc<Call>, action_id: &str) -> Result<MachineAction> {
    let reply = account.perform(call, &endpoint::action(action_id))?;
    read_action(&reply).map_err(|problem| not_understood(&reply, problem).action(action_id, None))
}

/// The action in a reply's body; the error completes "the reply …".
pub(crate) fn read_action(reply: &Reply) -> std::result::Result<MachineAction, &'static str> {
    MachineAction::from_json(std::str::from_utf8(&reply.body).map_err(|_| "is not UTF-8")?)
}

/// All actions that match, newest first. New actions shift the pages while they are read, so repeated actions are left
/// out.
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
        actions
            .extend(page.actions.into_iter().filter(|a| seen.insert(a.id().as_bytes().to_vec())));
        if page.next.is_some() && actions.len() == known {
            return Err(not_understood(&reply, "repeats pages without end"));
        }
        request = match page.next {
            Some(link) => {
                endpoint::actions_at(next_target(&account.api, &link).ok_or_else(|| {
                    not_understood(&reply, "has a next-page link that leads away from the service")
                })?)
            }
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

/// The newest actions that match, and the date of the reply.
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

/// The path and query of a next-page link, which are requested from the host of `api_url`.
///
/// Links may name another host of the service. `None` if the link names any other host, since the request carries the
/// token.
fn next_target(api: &BaseUrl, link: &str) -> Option<String> {
    let uri: Uri = link.parse().ok()?;
    let leads_away = authority_of(&uri)
        .is_some_and(|authority| cloud::family(&authority) != cloud::family(api.authority()));
    if leads_away {
        return None;
    }
    let target = uri.path_and_query()?.as_str();
    // The link may contain the path prefix of a gateway.
    let target = target.strip_prefix(api.path()).unwrap_or(target);
    target.get(target.find("/api/")?..).map(str::to_owned)
}

/// The error for a successful reply that is not as documented. `problem` completes "the reply …".
pub(crate) fn not_understood(reply: &Reply, problem: &str) -> Error {
    Error::new(
        Status::Protocol,
        format!(
            "cannot {}: the reply {problem} ({}); check `api_url`, and any proxy or gateway",
            reply.purpose,
            reply.describe_content()
        ),
    )
    .with_stage(Stage::Reply)
    .http(reply.status)
    .attempts(reply.attempts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_any_host_of_the_service_are_followed_and_no_others() {
        let api = BaseUrl::parse("https://eu.api.security.microsoft.com").unwrap();
        let page = Some("/api/machineactions?$skip=2".to_owned());
        for link in [
            "/api/machineactions?$skip=2",
            "https://api-us3.securitycenter.microsoft.com/api/machineactions?$skip=2",
            "https://API.security.microsoft.com:443/api/machineactions?$skip=2",
        ] {
            assert_eq!(next_target(&api, link), page, "{link}");
        }
        for link in [
            "https://evil.example/api/machineactions",
            "https://api.security.microsoft.com:8443/api/machineactions",
            "https://api.security.microsoft.com/elsewhere",
            "::",
        ] {
            assert_eq!(next_target(&api, link), None, "{link}");
        }
        let gateway = BaseUrl::parse("https://gw.example/api/mde").unwrap();
        assert_eq!(
            next_target(&gateway, "https://gw.example/api/mde/api/machineactions?$skip=2"),
            page
        );
        assert_eq!(next_target(&gateway, "/api/machineactions?$skip=2"), page);
    }
}
