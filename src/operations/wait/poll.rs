//! Polling actions: a single one is read, several are listed.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::operations::actions;
use crate::service::action::{COLLECTION, MachineAction};
use crate::service::endpoint::PAGE;
use crate::status::Status;

/// The list reaches back this far while the age of a target is not known.
const USUAL_AGE: Duration = Duration::from_secs(2 * 86_400);

/// Times in lists may be cut to whole seconds.
const TIME_TOLERANCE: Duration = Duration::from_secs(1);

/// The most actions that one poll reads one by one because the list does not contain them.
const MOST_READS: usize = 10;

/// The most time that a poll of several actions gives to one read, since every waiter waits for it.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// The action of one waiter.
#[derive(Debug)]
pub(super) struct Target {
    /// The waiter's number.
    pub number: u64,
    pub action_id: String,
    pub created: Option<SystemTime>,
    /// Whether this action itself is due, and not only others.
    pub is_due: bool,
    /// When the action was last read alone.
    pub last_read: Option<Instant>,
}

/// What a poll has found out about one target.
#[derive(Debug)]
pub(super) struct Observation {
    /// The waiter's number.
    pub number: u64,
    pub answer: Answer,
    /// The action was read alone.
    pub was_read: bool,
}

#[derive(Debug)]
pub(super) enum Answer {
    Update(Update),
    /// The read took too long, or the quota had no room for it.
    NotInTime,
}

/// What the waiter of an action is given.
#[derive(Debug)]
pub(super) enum Update {
    Seen(MachineAction),
    /// The service does not know the action.
    Missing(Error),
    Failed(Error),
}

/// Polls every target once, as far as one list and a few reads allow. Targets that were not polled have no
/// observation.
pub(super) fn poll(account: &Account, call: &Arc<Call>, targets: &[Target]) -> Vec<Observation> {
    let listed = |one: &Target, update| Observation {
        number: one.number,
        answer: Answer::Update(update),
        was_read: false,
    };
    match targets {
        [one] => {
            let answer = Answer::Update(read(account, call, &one.action_id));
            vec![Observation { number: one.number, answer, was_read: true }]
        }
        several => match list(account, call, several) {
            Ok(actions) => {
                let (found, absent) = find(several, &actions);
                let mut seen: Vec<Observation> = found
                    .into_iter()
                    .map(|(one, action)| listed(one, Update::Seen(action)))
                    .collect();
                seen.extend(read_some(account, call, absent));
                seen
            }
            Err(error) => {
                several.iter().map(|one| listed(one, Update::Failed(error.clone()))).collect()
            }
        },
    }
}

fn read(account: &Account, call: &Arc<Call>, action_id: &str) -> Update {
    match actions::read(account, call, action_id) {
        Ok(action) => Update::Seen(action),
        Err(error) if error.is_unknown_to_service() => Update::Missing(error),
        // A proxy or gateway may answer 404 as well. Only the service knows whether the action exists.
        Err(error) if error.status() == Status::NotFound => Update::Failed(error.retryable(true)),
        Err(error) => Update::Failed(error),
    }
}

/// All collections since the oldest target, sorted by their ids in lower case.
fn list(account: &Account, call: &Arc<Call>, targets: &[Target]) -> Result<Vec<MachineAction>> {
    let oldest = targets.iter().filter_map(|one| one.created).min();
    let usual = || SystemTime::now().checked_sub(USUAL_AGE);
    let since = match targets.iter().all(|one| one.created.is_some()) {
        true => oldest,
        false => [oldest, usual()].into_iter().flatten().min(),
    };
    let since = since.and_then(|since| since.checked_sub(TIME_TOLERANCE));
    let since = since.unwrap_or(SystemTime::UNIX_EPOCH).max(SystemTime::UNIX_EPOCH);
    let since = humantime::format_rfc3339_seconds(since);
    let filter = format!("type eq '{COLLECTION}' and creationDateTimeUtc ge {since}");
    let mut listed = actions::recent(account, call, &filter, PAGE)?.actions;
    listed.sort_unstable_by_key(|action| action.id().to_ascii_lowercase());
    Ok(listed)
}

/// Finds the targets in the list. Returns those that are in it, and those that are absent and due.
///
/// An action is absent if it is too new for the list, too old, or of another type.
fn find<'a>(
    targets: &'a [Target],
    listed: &[MachineAction],
) -> (Vec<(&'a Target, MachineAction)>, Vec<&'a Target>) {
    let mut found = Vec::with_capacity(targets.len());
    let mut absent = Vec::new();
    for one in targets {
        // Several waiters may wait for the same action, so each one gets a copy.
        let at = listed.binary_search_by_key(&one.action_id, |a| a.id().to_ascii_lowercase());
        match at.ok().and_then(|at| listed.get(at)) {
            Some(action) => found.push((one, action.clone())),
            None if one.is_due => absent.push(one),
            None => {}
        }
    }
    (found, absent)
}

/// Reads the absent targets one by one, beginning with those that were not read for the longest time.
fn read_some(account: &Account, call: &Arc<Call>, mut absent: Vec<&Target>) -> Vec<Observation> {
    let mut observations = Vec::new();
    absent.sort_by_key(|one| one.last_read);
    for one in absent.into_iter().take(MOST_READS) {
        let part = Arc::new(call.part(READ_LIMIT));
        let answer = match read(account, &part, &one.action_id) {
            Update::Failed(error) if part.check().is_err() || is_about_quota(&error) => {
                Answer::NotInTime
            }
            update => Answer::Update(update),
        };
        let is_late = matches!(answer, Answer::NotInTime);
        // The observation of a late read moves its target to the end of the next poll's reads.
        observations.push(Observation { number: one.number, answer, was_read: true });
        if is_late {
            break;
        }
    }
    observations
}

/// Whether the quota had no room for the read, as it may have at the next poll.
fn is_about_quota(error: &Error) -> bool {
    matches!(error.status(), Status::RateLimited | Status::Throttled)
}
