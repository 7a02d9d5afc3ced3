//! Looking at actions: one is read, several are listed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::board::{News, Wanted};
use crate::account::Account;
use crate::actions;
use crate::call::Call;
use crate::collect::KIND;
use crate::service::endpoint::PAGE;
use crate::service::model::MachineAction;
use crate::{Result, Status};

/// The list is asked for actions up to this age while it is not known how old the wanted ones are.
const USUAL_AGE: Duration = Duration::from_secs(2 * 86_400);

/// Times in lists may be cut to whole seconds.
const GRAIN: Duration = Duration::from_secs(1);

/// The most actions that one look reads one by one because the list did not show them.
const MOST_READS: usize = 10;

/// Looks at every wanted action once, as far as that can be done with one list and a few reads. What it could
/// not look at is not in the result.
pub(super) fn look(account: &Account, call: &Arc<Call>, wanted: &[Wanted]) -> Vec<(u64, News)> {
    match wanted {
        [one] => vec![(one.number, read(account, call, &one.action_id))],
        several => match list(account, call, several) {
            Ok(news) => news,
            Err(error) => {
                several.iter().map(|one| (one.number, News::Failed(error.clone()))).collect()
            }
        },
    }
}

fn read(account: &Account, call: &Arc<Call>, action_id: &str) -> News {
    match actions::read(account, call, action_id) {
        Ok(action) => News::Seen(action),
        Err(error) if error.status() == Status::NotFound => News::Missing(error),
        Err(error) => News::Failed(error),
    }
}

fn list(account: &Account, call: &Arc<Call>, wanted: &[Wanted]) -> Result<Vec<(u64, News)>> {
    let oldest = wanted.iter().filter_map(|one| one.created).min();
    let usual = || SystemTime::now().checked_sub(USUAL_AGE);
    let since = match wanted.iter().all(|one| one.created.is_some()) {
        true => oldest,
        false => [oldest, usual()].into_iter().flatten().min(),
    };
    let since = since.and_then(|since| since.checked_sub(GRAIN)).unwrap_or(SystemTime::UNIX_EPOCH);
    let since = humantime::format_rfc3339_seconds(since);
    let filter = format!("type eq '{KIND}' and creationDateTimeUtc ge {since}");
    let listed = actions::recent(account, call, &filter, PAGE)?;
    let mut listed = listed.actions;
    listed.sort_unstable_by_key(|action| action.id().to_ascii_lowercase());
    let mut news = Vec::with_capacity(wanted.len());
    let mut reads = 0;
    for one in wanted {
        // Several may wait for the same action.
        let at = listed.binary_search_by_key(&one.action_id, |a| a.id().to_ascii_lowercase());
        let seen = match at.ok().and_then(|at| listed.get(at)) {
            Some(action) => News::Seen(action.clone()),
            // Too new for the list, too old for it, or another kind of action.
            None if reads < MOST_READS => {
                reads += 1;
                read(account, call, &one.action_id)
            }
            None => continue,
        };
        news.push((one.number, seen));
    }
    Ok(news)
}

/// When an action was created, as far as that can be read.
pub(super) fn created(action: &MachineAction) -> Option<SystemTime> {
    humantime::parse_rfc3339_weak(action.created()?).ok()
}
