//! The inner readers, for `tests/fuzz`. Only the feature `test-hooks` compiles it. Nothing in the library imports it, so it may
//! reach every layer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::Uri;
use zeroize::Zeroizing;

use crate::call::Call;
use crate::error::{Error, Result};
use crate::http::proxy::Proxy;
use crate::http::proxy::challenge::Challenge;
use crate::http::proxy::exceptions;
use crate::http::reply::Reply;
use crate::operations::download::{host_error, part_state, redirect, reply};
use crate::operations::fetch_state::FetchState;
use crate::operations::find_machines::Query;
use crate::operations::record::files::Files;
use crate::operations::{actions, package_uri};
use crate::service::action::MachineAction;
use crate::service::action_list::{self, Page};
use crate::service::hosts::Hosts;
use crate::service::{fault, machine};
use crate::sign_in::certificate::files::{self, Role};
use crate::sign_in::certificate::renewed::Renewed;
use crate::sign_in::{grant, refusal};
use crate::text::url::BaseUrl;

/// Why a reply is not usable; it completes "the reply …".
type Problem = &'static str;

/// The parts of a reply.
#[derive(Debug, Default)]
pub struct Received<'a> {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Retry-After`.
    pub retry_after: Option<&'a str>,
    /// `Date`.
    pub date: Option<&'a str>,
    /// The whole body.
    pub body: &'a [u8],
}

fn reply_of(received: &Received<'_>) -> Reply {
    let text = |text: Option<&str>| text.map(str::to_owned);
    Reply {
        status: received.status,
        content_type: text(received.content_type),
        retry_after: text(received.retry_after),
        date: text(received.date),
        body: received.body.to_vec().into(),
        purpose: "test",
        ..Reply::default()
    }
}

/// The token that a reply grants, and its lifetime.
pub fn token(received: &Received<'_>) -> Result<(String, Option<Duration>)> {
    let token = grant::read(&reply_of(received), "the host", "it")?;
    Ok((token.text().to_owned(), token.expires_in()))
}

/// The error for a reply that refuses a token.
pub fn token_refused(received: &Received<'_>) -> Error {
    refusal::error(&reply_of(received), "the host", "check it")
}

/// The error for a reply of the service that is no success.
pub fn service_error(received: &Received<'_>) -> Error {
    fault::error(&reply_of(received))
}

/// The error for a reply of a download host that is no package.
pub fn host_refused(received: &Received<'_>, code: Option<&str>) -> Error {
    let head = host_error::Head {
        status: received.status,
        host: "host.example",
        code,
        retry_after: received.retry_after,
        date: received.date,
        ..host_error::Head::default()
    };
    host_error::error(&head, received.body)
}

/// `Retry-After`, by the date of the reply.
pub fn retry_after(received: &Received<'_>) -> Option<Duration> {
    reply_of(received).retry_after()
}

/// How far this host's clock is ahead of the sender's.
pub fn clock_ahead(received: &Received<'_>) -> Option<i64> {
    reply_of(received).clock_ahead()
}

/// One action.
pub fn action(body: &str) -> std::result::Result<MachineAction, Problem> {
    MachineAction::from_json(body, &|_| {})
}

/// The actions of a page and the link to the next one.
pub fn action_page(
    body: &[u8],
) -> std::result::Result<(Vec<MachineAction>, Option<String>), Problem> {
    Page::from_slice(body, 100, &|_| {}).map(|page| (page.actions, page.next))
}

/// The same, read one by one as a poll does.
pub fn listed(body: &[u8]) -> std::result::Result<(Vec<MachineAction>, Option<String>), Problem> {
    let mut actions = Vec::new();
    let end = action_list::each(body, 100, &|_| {}, &mut |one| {
        actions.push(one.action()?);
        Ok(())
    })?;
    Ok((actions, end.next))
}

/// The JSON texts of the devices in a list.
pub fn machines(body: &[u8]) -> std::result::Result<Vec<String>, Problem> {
    let mut found = Vec::new();
    machine::machines(body, &mut |one| {
        found.push(one.json().to_owned());
        true
    })?;
    Ok(found)
}

/// The JSON text and the id of one device.
pub fn machine(body: &[u8]) -> std::result::Result<(String, String), Problem> {
    let text = machine::record(body)?;
    let one = machine::Machine::from_json(&text)?;
    Ok((one.json().to_owned(), one.id().to_owned()))
}

/// The link in a reply, if it is one that a download may follow.
pub fn link(body: &[u8], hosts: &str) -> Option<String> {
    let text = package_uri::read_value(&reply_of(&Received { body, ..Received::default() }))?;
    may_download(&text, hosts).then(|| text.as_str().to_owned())
}

/// Whether a package may be downloaded from this address.
pub fn may_download(link: &str, hosts: &str) -> bool {
    let hosts = Hosts::parse(hosts).ok();
    hosts.zip(link.parse::<Uri>().ok()).is_some_and(|(hosts, uri)| hosts.check(&uri).is_ok())
}

/// The positions that the bytes of a reply have: from the first up to the second. `None`: they are not appended.
pub fn range(
    status: u16,
    length: Option<u64>,
    range: Option<&str>,
    have: u64,
) -> Option<(u64, u64)> {
    let head = reply::Head { status, length, range, ..reply::Head::default() };
    match reply::meaning(&head, have, &part_state::PartState::default()) {
        reply::Meaning::Rest { end, .. } => Some((have, end)),
        _ => None,
    }
}

/// What a proxy offers, and whether its connection can be used after this body.
pub fn challenge(head: &str, mut body: &[u8]) -> (Vec<(String, Option<String>)>, bool) {
    let mut challenge = Challenge::read(head);
    let read = challenge.read_body(&mut body);
    let is_open = read.is_ok() && challenge.is_open;
    (challenge.offers.into_iter().map(|offer| (offer.name, offer.message)).collect(), is_open)
}

/// A proxy as it is shown, and a text with its secrets masked.
pub fn proxy(url: &str, text: &str) -> std::result::Result<(String, String), Problem> {
    let proxy = Proxy::parse(url)?;
    let mut masked = text.to_owned();
    proxy.mask(&mut masked);
    Ok((format!("{proxy:?} {}", proxy.authority()), masked))
}

/// Whether a list of exceptions covers a host. `None`: the list is refused.
pub fn no_proxy(list: &str, host: &str, port: u16) -> Option<bool> {
    exceptions::check(list).ok()?;
    Some(exceptions::exceptions(list).iter().any(|one| one.covers(host, port)))
}

/// The same by the rules of Windows, which accept any list.
pub fn no_proxy_of_windows(list: &str, host: &str, port: u16) -> bool {
    exceptions::exceptions_of_windows(list).iter().any(|one| one.covers(host, port))
}

/// The target of a redirect.
pub fn redirected(from: &str, to: &str) -> Option<String> {
    redirect::resolve(&from.parse().ok()?, to).map(|found| match found.query() {
        "" => found.url.to_string(),
        query => format!("{}?{query}", found.url),
    })
}

/// The path of the next page.
pub fn next_page(api: &str, link: &str) -> Option<String> {
    actions::next_target(&BaseUrl::parse(api).ok()?, link)
}

/// Reads the state file of a fetch. Returns whether there is one.
pub fn fetch_state(path: &Path) -> Result<bool> {
    FetchState::read(path).map(|state| state.is_some())
}

/// Reads the state file of a part. Returns it as it would be written, and the line of its receipt.
pub fn part_state(text: &[u8]) -> Option<(String, Option<String>)> {
    let state: part_state::PartState = serde_json::from_slice(text).ok()?;
    let written = crate::text::json::text(&state);
    let receipt = part_state::Receipt::from_state(state);
    Some((written, receipt.map(|receipt| receipt.to_line())))
}

/// Reads the line of a receipt. Returns it as it would be written.
pub fn receipt(line: &str) -> Option<String> {
    part_state::Receipt::from_line(line).map(|receipt| receipt.to_line())
}

/// Opens a record, which checks its lines and completes the other two files.
pub fn record(path: &Path) -> Result<()> {
    let call = Arc::new(Call::begin(&Arc::default(), Some(Duration::from_secs(60)), None));
    Files::open(path, &call).map(drop)
}

/// Opens a certificate with its key, each PEM, Base64 or a path.
pub fn certificate(
    for_tls: bool,
    certificate: &str,
    key: Option<&str>,
    password: Option<&str>,
) -> Result<()> {
    let secret = |text: &str| Zeroizing::new(text.to_owned());
    let (key, password) = (key.map(secret), password.map(secret));
    let role = if for_tls { Role::Tls } else { Role::SignIn };
    let files = files::Files::new(role, certificate, key.as_ref(), password.as_ref());
    Renewed::new(files, Box::new(|_| Ok(()))).map(drop)
}

/// Whether the query is one of devices.
pub fn query(text: &str) -> Result<()> {
    Query::parse(text).map(drop)
}
