//! Reading machine actions: one by its id, or all that match a filter.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use ureq::http::Uri;

use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result, Stage};
use crate::http::reply::Reply;
use crate::service::action::MachineAction;
use crate::service::action_list::{self, OnListed, Page, PageEnd};
use crate::service::cloud;
use crate::service::endpoint::{self, PAGE};
use crate::status::Status;
use crate::text::guid;
use crate::text::url::{BaseUrl, authority_of};

/// The bounds of a list. A longer one would fill the host's memory, so it needs a narrower filter. With them, the
/// replies, what is kept of them and the result stay below 64 MiB together.
const MAX_PAGES: usize = 1_000;
const MAX_ACTIONS: usize = 3 * PAGE;
const MAX_BYTES: usize = endpoint::ONE_PAGE;

/// `GET /api/machineactions/{id}`
pub(crate) fn read(account: &Account, call: &Arc<Call>, action_id: &str) -> Result<MachineAction> {
    let reply = account.perform(call, &endpoint::action(action_id))?;
    read_action(account, &reply)
        .and_then(|action| match action.has_id(action_id) {
            true => Ok(action),
            false => Err("has another action than the requested one"),
        })
        .map_err(|problem| not_understood(&reply, problem).action(action_id, None))
}

/// The action in a reply's body; the error completes "the reply …".
pub(crate) fn read_action(
    account: &Account,
    reply: &Reply,
) -> std::result::Result<MachineAction, &'static str> {
    let body = std::str::from_utf8(&reply.body).map_err(|_| "is not UTF-8")?;
    MachineAction::from_json(body, &|text| account.mask(text))
}

fn read_page(account: &Account, reply: &Reply) -> Result<Page> {
    Page::from_slice(&reply.body, PAGE, &|text| account.mask(text))
        .map_err(|problem| not_understood(reply, problem))
}

/// All actions that match, newest first. New actions shift the pages while they are read, so repeated actions are left
/// out.
///
/// The service's own next-page links lose the filter in long lists, or lead back to the same page. From there on the
/// library counts the rows itself.
pub(crate) fn list(
    account: &Account,
    call: &Arc<Call>,
    filter: &str,
) -> Result<Vec<MachineAction>> {
    let mut actions: Vec<MachineAction> = Vec::new();
    let mut seen = HashSet::new();
    let mut request = endpoint::actions(filter, None, 0);
    let (mut received, mut bytes, mut counts) = (0, 0, false);
    for _ in 0..MAX_PAGES {
        let reply = account.perform(call, &request)?;
        bytes += reply.body.len();
        if bytes > MAX_BYTES {
            break;
        }
        let page = read_page(account, &reply)?;
        let on_page = page.actions.len();
        received += on_page;
        let known = actions.len();
        actions.extend(page.actions.into_iter().filter(|a| seen.insert(guid::number(a.id()))));
        if actions.len() > MAX_ACTIONS {
            break;
        }
        let repeats = actions.len() == known;
        request = match page.next {
            Some(_) if repeats && counts && on_page > 0 => {
                return Err(not_understood(&reply, "repeats pages without end"));
            }
            Some(_) if repeats && counts => return Ok(actions),
            Some(link) => {
                let target = next_target(&account.api, &link).ok_or_else(|| {
                    not_understood(&reply, "has a next-page link that leads away from the service")
                })?;
                counts |= repeats || !keeps_filter(&target, filter);
                match counts {
                    true => endpoint::actions(filter, None, actions.len()),
                    false => endpoint::actions_at(target),
                }
            }
            None if on_page >= PAGE => endpoint::actions(filter, None, received),
            None => return Ok(actions),
        };
    }
    Err(Error::argument(
        "odata_filter",
        "matches too many actions",
        "one that matches up to 30,000 of them with up to 28 MB, for example by creationDateTimeUtc",
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
    let page = read_page(account, &reply)?;
    Ok(Recent { actions: page.actions, date: reply.date() })
}

/// One page of the actions that match, newest first, record by record: a page is large, and little of it is needed.
pub(crate) fn page(
    account: &Account,
    call: &Arc<Call>,
    filter: &str,
    skip: usize,
    on_listed: OnListed<'_>,
) -> Result<PageEnd> {
    let reply = account.perform(call, &endpoint::actions(filter, Some(PAGE), skip))?;
    action_list::each(&reply.body, PAGE, &|text| account.mask(text), on_listed)
        .map_err(|problem| not_understood(&reply, problem))
}

/// Whether the next page is one of the same filter: the link repeats it, or continues by a token of the service.
fn keeps_filter(target: &str, filter: &str) -> bool {
    let query = target.split_once('?').map_or("", |(_, query)| query).to_ascii_lowercase();
    let has = |name: &str| {
        query.split('&').any(|part| {
            let part = part.strip_prefix("%24").or_else(|| part.strip_prefix('$'));
            part.is_some_and(|part| part.strip_prefix(name).is_some_and(|it| it.starts_with('=')))
        })
    };
    filter.is_empty() || has("filter") || has("skiptoken")
}

/// The path and query of a next-page link, which are always requested from the host of `api_url`: a gateway may stand
/// between it and the service that wrote the link.
///
/// Links may name another host of the service. `None` if the link names any other host: then it is a page of another
/// service.
pub(crate) fn next_target(api: &BaseUrl, link: &str) -> Option<String> {
    let link = escaped(link.trim());
    let path = link.split('?').next().unwrap_or_default();
    if link.starts_with(|first: char| first.is_ascii_alphabetic()) && !path.contains(':') {
        // Relative to the root of the API.
        return Some(format!("/api/{link}")).filter(|target| target.parse::<Uri>().is_ok());
    }
    let uri: Uri = link.parse().ok()?;
    let is_known = |authority: &str| cloud::family(authority) != authority;
    let leads_away = authority_of(&uri).is_some_and(|authority| {
        cloud::family(&authority) != cloud::family(api.authority()) && !is_known(&authority)
    });
    if leads_away {
        return None;
    }
    let target = uri.path_and_query()?.as_str();
    // The link may contain the path prefix of a gateway.
    let target = target.strip_prefix(api.path()).unwrap_or(target);
    target.get(target.find("/api/")?..).map(str::to_owned)
}

/// The link with what no URL may contain in escaped form: blanks, quotation marks, letters that are not ASCII.
fn escaped(link: &str) -> String {
    const FORBIDDEN: &AsciiSet = &CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'<')
        .add(b'>')
        .add(b'\\')
        .add(b'^')
        .add(b'`')
        .add(b'{')
        .add(b'|')
        .add(b'}');
    utf8_percent_encode(link, FORBIDDEN).to_string()
}

/// The error for a collection that is polled and is not the one of this device. `problem` completes "the reply …".
pub(crate) fn of_another(problem: &str) -> Error {
    let message = format!(
        "the reply to the request for the collection's state {problem}, so nothing is downloaded; check `api_url`, and \
         any proxy or gateway"
    );
    Error::new(Status::Protocol, message).with_stage(Stage::Wait)
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
            "machineactions?$skip=2",
            " /api/machineactions?$skip=2\n",
            "https://api-us3.securitycenter.microsoft.com/api/machineactions?$skip=2",
            "https://API.security.microsoft.com:443/api/machineactions?$skip=2",
        ] {
            assert_eq!(next_target(&api, link), page, "{link}");
        }
        for link in [
            "https://evil.example/api/machineactions",
            "https://api.security.microsoft.com:8443/api/machineactions",
            "https://api.security.microsoft.com/elsewhere",
        ] {
            assert_eq!(next_target(&api, link), None, "{link}");
        }
        assert_eq!(
            next_target(&api, "/api/machineactions?$filter=type eq 'Ä\"'").as_deref(),
            Some("/api/machineactions?$filter=type%20eq%20'%C3%84%22'")
        );
        let gateway = BaseUrl::parse("https://gw.example/api/mde").unwrap();
        assert_eq!(
            next_target(
                &gateway,
                "https://api-eu.securitycenter.microsoft.com/api/machineactions?$skip=2"
            ),
            page
        );
        assert_eq!(
            next_target(&gateway, "https://gw.example/api/mde/api/machineactions?$skip=2"),
            page
        );
        assert_eq!(next_target(&gateway, "/api/machineactions?$skip=2"), page);
    }

    #[test]
    fn a_link_that_lost_the_filter_is_noticed() {
        for target in
            ["/api/x?$filter=a&$skip=1", "/api/x?%24FILTER=a", "/api/x?$top=1&$skipToken=t"]
        {
            assert!(keeps_filter(target, "a"), "{target}");
        }
        for target in ["/api/x?=a&$skip=1", "/api/x", "/api/x?filter=a", "/api/x?$filters=a"] {
            assert!(!keeps_filter(target, "a") && keeps_filter(target, ""), "{target}");
        }
    }
}
