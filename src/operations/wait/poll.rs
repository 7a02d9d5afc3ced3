//! Looking at actions: one is read, several are listed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::waiters::{Observation, Target, Update};
use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::operations::actions;
use crate::operations::collect::KIND;
use crate::service::action::MachineAction;
use crate::service::endpoint::PAGE;
use crate::status::Status;

/// The list is asked for actions up to this age while it is not known how old the targets ones are.
const USUAL_AGE: Duration = Duration::from_secs(2 * 86_400);

/// Times in lists may be cut to whole seconds.
const GRAIN: Duration = Duration::from_secs(1);

/// The most actions that one look reads one by one because the list did not show them.
const MOST_READS: usize = 10;

/// A read among others that has to queue or takes longer is left out: everybody waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at every targets action once, as far as that can be done with one list and a few reads. What it could
/// not look at is not in the result.
pub(super) fn poll(account: &Account, call: &Arc<Call>, targets: &[Target]) -> Vec<Observation> {
    match targets {
        [one] => vec![Observation {
            number: one.number,
            update: Some(read(account, call, &one.action_id)),
            was_read: true,
        }],
        several => match list(account, call, several) {
            Ok(listed) => compare(account, call, several, listed),
            Err(error) => {
                let failed = |one: &Target| Observation {
                    number: one.number,
                    update: Some(Update::Failed(error.clone())),
                    was_read: false,
                };
                several.iter().map(failed).collect()
            }
        },
    }
}

fn read(account: &Account, call: &Arc<Call>, action_id: &str) -> Update {
    match actions::read(account, call, action_id) {
        Ok(action) => Update::Seen(action),
        // Only the service itself knows that there is no such action; what lies in between may say so, too.
        Err(error) if error.is_unknown_to_service() => Update::Missing(error),
        Err(error) if error.status() == Status::NotFound => Update::Failed(error.retryable(true)),
        Err(error) => Update::Failed(error),
    }
}

/// All collections since the oldest that is waited for, by their ids.
fn list(account: &Account, call: &Arc<Call>, targets: &[Target]) -> Result<Vec<MachineAction>> {
    let oldest = targets.iter().filter_map(|one| one.created).min();
    let usual = || SystemTime::now().checked_sub(USUAL_AGE);
    let since = match targets.iter().all(|one| one.created.is_some()) {
        true => oldest,
        false => [oldest, usual()].into_iter().flatten().min(),
    };
    let since = since.and_then(|since| since.checked_sub(GRAIN));
    let since = since.unwrap_or(SystemTime::UNIX_EPOCH).max(SystemTime::UNIX_EPOCH);
    let since = humantime::format_rfc3339_seconds(since);
    let filter = format!("type eq '{KIND}' and creationDateTimeUtc ge {since}");
    let mut listed = actions::recent(account, call, &filter, PAGE)?.actions;
    listed.sort_unstable_by_key(|action| action.id().to_ascii_lowercase());
    Ok(listed)
}

/// Finds the targets ones in the list. Those that are not in it, because they are too new for it, too old, or of
/// another kind, are read: the ones that are due, and of these the ones that have waited longest.
fn compare(
    account: &Account,
    call: &Arc<Call>,
    targets: &[Target],
    listed: Vec<MachineAction>,
) -> Vec<Observation> {
    let mut seen = Vec::with_capacity(targets.len());
    let mut absent: Vec<&Target> = Vec::new();
    for one in targets {
        // Several may wait for the same action.
        let at = listed.binary_search_by_key(&one.action_id, |a| a.id().to_ascii_lowercase());
        match at.ok().and_then(|at| listed.get(at)) {
            Some(action) => seen.push(Observation {
                number: one.number,
                update: Some(Update::Seen(action.clone())),
                was_read: false,
            }),
            None if one.is_due => absent.push(one),
            None => {}
        }
    }
    absent.sort_by_key(|one| one.read);
    for one in absent.into_iter().take(MOST_READS) {
        let part = Arc::new(call.part(PATIENCE));
        let update = read(account, &part, &one.action_id);
        let in_vain = matches!(&update, Update::Failed(error) if part.check().is_err() || is_about_room(error));
        // One that is answered slowly, or never, must not keep the others from their turn at the next look.
        let update = Some(update).filter(|_| !in_vain);
        seen.push(Observation { number: one.number, update, was_read: true });
        if in_vain {
            break;
        }
    }
    seen
}

/// Whether the quota had no room: there will be, for those who look later.
fn is_about_room(error: &Error) -> bool {
    matches!(error.status(), Status::RateLimited | Status::Throttled)
}
