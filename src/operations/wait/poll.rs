//! Polling actions: a single one is read, several are listed.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::followed::Followed;
use super::member::{Member, Update};
use super::round::Round;
use crate::account::Account;
use crate::call::Call;
use crate::error::Result;
use crate::operations::actions;
use crate::service::action::COLLECTION;
use crate::service::action_list::{OnListed, PageEnd};
use crate::service::endpoint::PAGE;
use crate::status::Status;
use crate::text::guid;

/// The list reaches back this far while the age of an action is not known.
const USUAL_AGE: Duration = Duration::from_secs(2 * 86_400);

/// Times in lists may be cut to whole seconds.
const TIME_TOLERANCE: Duration = Duration::from_secs(1);

/// The most pages of one poll. They have more actions than one call can follow.
const MOST_PAGES: usize = 12;

/// The most actions that one poll reads one by one because the list does not contain them.
const MOST_READS: usize = 10;

/// The most time that a poll of several actions gives to one read, since every call of the group waits for it.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// What a poll asks of the service and of time. Tests replace it with a model.
pub(super) trait Service {
    /// Reads one action.
    fn read(&self, action_id: &str) -> Update;

    /// The same within [`READ_LIMIT`]. `None`: it took too long, or the quota had no room for it.
    fn read_soon(&self, action_id: &str) -> Option<Update>;

    /// Reads a page of the newest actions that match, after the first `skip` of them.
    fn page(&self, filter: &str, skip: usize, on_listed: OnListed<'_>) -> Result<PageEnd>;

    /// Whether the call that polls was stopped. That interrupts a poll, so its failures say nothing about the actions.
    fn is_stopped(&self) -> bool;

    fn now(&self) -> Instant;
}

/// The real service.
pub(super) struct Live<'a> {
    pub account: &'a Account,
    pub call: &'a Arc<Call>,
}

impl Live<'_> {
    fn read_with(&self, call: &Arc<Call>, action_id: &str) -> Update {
        match actions::read(self.account, call, action_id) {
            Ok(action) => Update::Seen(action),
            Err(error) if error.is_unknown_to_service() => Update::Missing(error),
            // A proxy or gateway may answer 404 as well. Only the service knows whether the action exists.
            Err(error) if error.status() == Status::NotFound => {
                Update::Failed(error.retryable(true))
            }
            Err(error) => Update::Failed(error),
        }
    }
}

impl Service for Live<'_> {
    fn read(&self, action_id: &str) -> Update {
        self.read_with(self.call, action_id)
    }

    fn read_soon(&self, action_id: &str) -> Option<Update> {
        let part = Arc::new(self.call.part(READ_LIMIT));
        match self.read_with(&part, action_id) {
            Update::Failed(error) if part.check().is_err() || error.is_about_quota() => None,
            update => Some(update),
        }
    }

    fn page(&self, filter: &str, skip: usize, on_listed: OnListed<'_>) -> Result<PageEnd> {
        actions::page(self.account, self.call, filter, skip, on_listed)
    }

    fn is_stopped(&self) -> bool {
        self.call.check().is_err()
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// One action that a call follows, as it was when the poll began.
#[derive(Debug)]
pub(super) struct Target {
    /// The number of the call, and its key for the action.
    pub member: u64,
    pub key: u32,
    /// The number of the action's id.
    pub action: u128,
    created: Option<SystemTime>,
    /// Whether this action itself is due, and not only others.
    pub is_due: bool,
    /// When the action was last read alone.
    pub last_read: Option<Instant>,
    is_listed: bool,
}

impl Target {
    pub(super) fn new(member: &Member, one: &Followed, now: Instant) -> Target {
        Target {
            member: member.number,
            key: one.key,
            action: one.action,
            created: one.created,
            // Those that are due a moment later would have to wait for the list after this one.
            is_due: one.due.is_some_and(|due| due <= now + member.interval / 2),
            last_read: one.last_read,
            is_listed: false,
        }
    }
}

/// Polls every target that is due once, as far as lists and a few reads allow.
pub(super) fn poll(service: &dyn Service, mut round: Round<'_>, mut targets: Vec<Target>) {
    if let [one] = targets.as_slice() {
        let update = service.read(&guid::text(one.action));
        let now = service.now();
        match update {
            Update::Failed(_) if service.is_stopped() => {}
            Update::Failed(error) => round.fail(one, &error, now),
            update => {
                round.succeeded();
                round.deliver(one, update, now);
            }
        }
        return;
    }
    targets.sort_unstable_by_key(|one| one.action);
    let listed = list(service, &mut round, &mut targets);
    targets.retain(|one| !one.is_listed);
    match listed {
        Ok(()) => {
            round.succeeded();
            read_some(service, &mut round, targets);
        }
        Err(_) if service.is_stopped() => {}
        Err(error) => {
            let now = service.now();
            targets.iter().for_each(|one| round.fail(one, &error, now));
        }
    }
}

/// Lists all collections since the oldest target that is due, newest first. Reads no further page once all these have
/// been seen.
fn list(service: &dyn Service, round: &mut Round<'_>, targets: &mut [Target]) -> Result<()> {
    let filter = filter(targets);
    let mut skip = 0;
    for _ in 0..MOST_PAGES {
        let mut now = None;
        let page = service.page(&filter, skip, &mut |listed| {
            let now = *now.get_or_insert_with(|| service.now());
            let first = targets.partition_point(|one| one.action < listed.id);
            // Several calls may follow the same action.
            for one in targets.iter_mut().skip(first).take_while(|one| one.action == listed.id) {
                one.is_listed = true;
                if !round.is_known(one, &listed.status, now) {
                    round.deliver(one, Update::Seen(listed.action()?), now);
                }
            }
            Ok(())
        })?;
        skip += page.records;
        let is_full = page.records >= PAGE || page.next.is_some();
        if !is_full || targets.iter().all(|one| one.is_listed || !one.is_due) {
            break;
        }
    }
    Ok(())
}

fn filter(targets: &[Target]) -> String {
    let due = || targets.iter().filter(|one| one.is_due);
    let oldest = due().filter_map(|one| one.created).min();
    let usual = || SystemTime::now().checked_sub(USUAL_AGE);
    let since = match due().all(|one| one.created.is_some()) {
        true => oldest,
        false => [oldest, usual()].into_iter().flatten().min(),
    };
    let since = since.and_then(|since| since.checked_sub(TIME_TOLERANCE));
    let since = since.unwrap_or(SystemTime::UNIX_EPOCH).max(SystemTime::UNIX_EPOCH);
    let since = humantime::format_rfc3339_seconds(since);
    format!("type eq '{COLLECTION}' and creationDateTimeUtc ge {since}")
}

/// Reads targets one by one that are due and were not listed: the list may lag, and has collections only. It begins with
/// those that were not read for the longest time.
fn read_some(service: &dyn Service, round: &mut Round<'_>, mut absent: Vec<Target>) {
    absent.retain(|one| one.is_due);
    absent.sort_by_key(|one| one.last_read);
    for one in absent.iter().take(MOST_READS) {
        let update = service.read_soon(&guid::text(one.action));
        if service.is_stopped() && !matches!(update, Some(Update::Seen(_))) {
            return;
        }
        let now = service.now();
        // This moves the target to the end of the next poll's reads, also if it was late.
        round.was_read(one, now);
        match update {
            Some(update) => round.deliver(one, update, now),
            None => return,
        }
    }
}
