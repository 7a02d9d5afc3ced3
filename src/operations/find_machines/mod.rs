//! Finds devices, and the problems that may keep a collection from starting or ending.

mod found;
mod query;
mod selection;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::account::Account;
use crate::call::Call;
use crate::error::Result;
use crate::operations::actions::not_understood;
use crate::service::endpoint::{self, Request};
use crate::service::machine::{Machine, machines, record};

pub use found::{Found, Problem};
pub(crate) use query::Query;
use selection::Selection;

/// The most devices that an id, address or name finds. A query that finds more is too wide to act on.
const MOST: usize = 1_000;
/// The most devices that a selection finds.
const MOST_SELECTED: usize = 100_000;

/// The devices of one page of a selection. The service sends twice as many, but a reply of that length may be too long:
/// a device with many addresses has 5 KB and more.
const PAGE: usize = 5_000;
/// A page begins with this many devices of the page before. So up to that many may leave the list between two pages,
/// and none of the others is missed.
const OVERLAP: usize = 50;
const MAX_PAGES: usize = 1_000;

/// Finds devices. The result is empty if there are none, in whatever way the service reports that.
pub(crate) fn find(account: &Account, call: &Arc<Call>, query: &Query<'_>) -> Result<Found> {
    let list = |request: Request| many(account, call, &request);
    let listed = |filter: String| list(endpoint::machines(&filter, MOST + 1));
    let mut found = match query {
        Query::DeviceId(id) => one(account, call, id)?,
        Query::EntraId(id) => listed(format!("aadDeviceId eq {id}"))?,
        Query::Address(address, time) => {
            // One minute ago, since this host's clock may be ahead of the service's.
            let time = time.or_else(|| SystemTime::now().checked_sub(Duration::from_secs(60)));
            let time = time.unwrap_or(SystemTime::UNIX_EPOCH).max(SystemTime::UNIX_EPOCH);
            let time = humantime::format_rfc3339_seconds(time).to_string();
            list(endpoint::machines_by_ip(&address.to_string(), &time))?
        }
        Query::Name(name) => {
            let name = name.replace('\'', "''");
            let exact = listed(format!("computerDnsName eq '{name}'"))?;
            match exact.is_empty() {
                true => listed(format!("startswith(computerDnsName,'{name}')"))?,
                false => exact,
            }
        }
        Query::Selection(selection) => selected(account, call, selection)?,
    };
    found.check_names();
    Ok(found)
}

fn one(account: &Account, call: &Arc<Call>, id: &str) -> Result<Found> {
    let mut found = Found::new(MOST);
    let Some(reply) = or_none(account.perform(call, &endpoint::machine(id)))? else {
        return Ok(found);
    };
    let read = record(&reply.body).and_then(|text| {
        let one = Machine::from_json(&text)?;
        match one.id().eq_ignore_ascii_case(id) {
            true => Ok(found.add(&one)),
            false => Err("has another device than the requested one"),
        }
    });
    read.map_err(|problem| not_understood(&reply, problem))?;
    Ok(found)
}

fn many(account: &Account, call: &Arc<Call>, request: &Request) -> Result<Found> {
    let mut found = Found::new(MOST);
    let Some(reply) = or_none(account.perform(call, request))? else {
        return Ok(found);
    };
    machines(&reply.body, &mut |machine| found.add(machine))
        .map_err(|problem| not_understood(&reply, problem))?;
    Ok(found)
}

/// All devices of a selection, by their ids, page by page. Devices that come and go shift the pages while they are read,
/// so repeated devices are left out.
///
/// The service sends no next-page link with `$top`, and its links for devices lose the filter. So the library counts the
/// rows itself. A link only shows that a page is not the last one.
fn selected(account: &Account, call: &Arc<Call>, selection: &Selection<'_>) -> Result<Found> {
    let (mut found, mut seen) = (Found::new(MOST_SELECTED), HashSet::new());
    let (filter, mut skip) = (selection.filter(), 0);
    for _ in 0..MAX_PAGES {
        let request = endpoint::machines_page(&filter, PAGE, skip);
        // The service has no device behind this row, or none at all.
        let Some(reply) = or_none(account.perform(call, &request))? else {
            return Ok(found);
        };
        let (mut rows, known) = (0, seen.len());
        let next = machines(&reply.body, &mut |machine| {
            rows += 1;
            let is_new = seen.insert(machine.number());
            !is_new || !selection.accepts(machine) || found.add(machine)
        });
        let next = next.map_err(|problem| not_understood(&reply, problem))?;
        let is_last = rows == 0 || (rows < PAGE && !next);
        if is_last || found.more() {
            return Ok(found);
        }
        if seen.len() == known {
            return Err(not_understood(&reply, "repeats pages without end"));
        }
        skip += rows - OVERLAP.min(rows / 2);
    }
    found.end_early();
    Ok(found)
}

/// `None` for a 404 of the service, which means "no recent device" or "no such device".
fn or_none<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        // A proxy or gateway may answer 404 for every path of the service.
        Err(error) if error.is_unknown_to_service() => Ok(None),
        Err(error) => Err(error),
    }
}
