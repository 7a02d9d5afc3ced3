//! A model of the poller: one list for all actions, and a change for each that is in another state.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::engine::Key;
use super::followed::{Followed, INTERVAL};
use super::service::Endpoint;
use super::world::{End, Reply, World};
use crate::error::Error;
use crate::operations::wait::bad_end;
use crate::quota::clock::Time;
use crate::quota::window::Admission;
use crate::service::action::MachineAction;
use crate::status::Status;

#[derive(Debug, Default)]
pub(super) struct Watcher {
    followed: BTreeMap<Key, Followed>,
}

#[derive(Debug)]
pub(super) enum Change {
    Seen(MachineAction),
    Failed(Error),
}

#[derive(Debug)]
pub(super) enum Step {
    Idle(Option<Duration>),
    Failed(Error),
    Changes(Vec<(Key, Change)>),
}

impl Watcher {
    pub(super) fn add(&mut self, world: &World, key: Key, action: usize, is_seen: bool) {
        let state = is_seen.then(|| world.service.actions[action].status(world.now));
        self.followed.insert(key, Followed::new(action, state, world.now));
    }

    pub(super) fn step(&mut self, world: &mut World) -> Result<Step, End> {
        let Some(due) = self.followed.values().map(|one| one.due).min() else {
            return Ok(Step::Idle(None));
        };
        if due > world.now {
            return Ok(Step::Idle(Some(due)));
        }
        // It does not wait for a slot.
        let now = world.now;
        match world.quota(Endpoint::List).admission(now) {
            Admission::Now => world.quota(Endpoint::List).begin(),
            Admission::At(at) => return Ok(Step::Idle(Some(at.since(Time::default())))),
            Admission::AfterReply => return Ok(Step::Idle(Some(now + INTERVAL))),
        }
        let reply = world.exchange(Endpoint::List, None, |world| world.now)?;
        let now = world.now;
        if world.plan.refused_polls > 0 && world.is_unlucky() {
            world.plan.refused_polls -= 1;
            return Ok(Step::Failed(Error::new(Status::BadRequest, "a gateway refuses it")));
        }
        let at = match reply {
            Reply::Whole(at) => at,
            Reply::Lost(error) | Reply::NotSent(error) => {
                self.followed.values_mut().for_each(|one| one.put_off(now));
                return Ok(Step::Failed(error));
            }
        };
        let mut changes = Vec::new();
        if world.is_unlucky() {
            // An action that could not be read is followed no longer.
            let last = self.followed.pop_last();
            let error = Error::new(Status::Service, "an action could not be read");
            changes.extend(last.map(|(key, _)| (key, Change::Failed(error))));
        }
        for (key, one) in &mut self.followed {
            let state = world.service.actions[one.action].status(at);
            if !world.service.is_listed(one.action, at) || one.state == Some(state) {
                one.unchanged(now);
                continue;
            }
            one.changed(state, now);
            let action = world.service.action(one.action, at);
            let change = match bad_end(action.status()) {
                Some(error) => Change::Failed(error.action(action.id(), Some(action.json()))),
                None => Change::Seen(action),
            };
            changes.push((*key, change));
        }
        let is_final =
            |state: Option<&str>| !matches!(state, None | Some("Pending" | "InProgress"));
        self.followed.retain(|_, one| !is_final(one.state));
        Ok(Step::Changes(changes))
    }
}
