//! Asks for collections, and searches for those whose replies were lost.

use std::time::{Duration, Instant};

use super::{Driver, Now};
use crate::account::turn::TurnStep;
use crate::error::{Error, Result};
use crate::operations::collect::{self, Collected, Requests, Sent};
use crate::operations::fleet::engine::Request;
use crate::operations::fleet::entry::State;
use crate::operations::fleet::storage::Storage;
use crate::service::machine;
use crate::service::quota::Quota;
use crate::status::Status;

impl<S: Storage> Driver<'_, '_, '_, '_, S> {
    /// Takes a slot for the next collection. Returns when to ask again.
    pub(super) fn take_slot(&mut self, now: Now) -> Result<Option<Instant>> {
        if !self.engine.wants_slot(now) {
            // Other calls must not wait behind one that wants nothing.
            self.turn = None;
            return Ok(None);
        }
        let turn = match &mut self.turn {
            Some(turn) => turn,
            none => match self.account.turn(self.call, Quota::Collect) {
                Ok(turn) => none.insert(turn),
                Err(error) => return self.without_slot(now, error),
            },
        };
        match turn.poll() {
            Ok(TurnStep::Ready(permit)) => {
                (self.turn, self.permit) = (None, Some(permit));
                Ok(None)
            }
            Ok(TurnStep::Wait(at)) => Ok(at),
            Err(error) => self.without_slot(now, error),
        }
    }

    /// A token or a slot could not be had. That concerns all devices.
    fn without_slot(&mut self, now: Now, error: Error) -> Result<Option<Instant>> {
        self.turn = None;
        let error = self.failure(&error);
        if !error.is_retryable() && !error.is_stop() {
            return Err(error);
        }
        self.engine.went_wrong(now, &error);
        match self.engine.wants_slot(now) {
            // It says nothing about all devices, so another attempt comes soon.
            true => Ok(Instant::now().checked_add(Duration::from_secs(1))),
            false => Ok(None),
        }
    }

    pub(super) fn release_slot(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.not_sent();
        }
    }

    /// Finds what the requests of a device have started.
    pub(super) fn search(&mut self, request: &Request, or_running: bool) -> Result<()> {
        if self.found(request, or_running)? {
            return Ok(());
        }
        self.engine.not_found(request.key, self.now());
        Ok(())
    }

    /// Asks for a collection. With `searches` a search comes first.
    pub(super) fn collect(&mut self, request: &Request, searches: bool) -> Result<()> {
        if searches && self.found(request, false)? {
            return Ok(());
        }
        let permit = self.permit.take();
        match collect::send(self.account, self.call, &requests(request), permit) {
            Sent::Collected(collected) => self.collected(request, &collected),
            Sent::Running => {
                let written = self.engine.meets_running(request, self.now());
                self.written(request.key, written)
            }
            Sent::Refused(error) => self.refused(request, &error),
            // A call that was stopped leaves the request as the journal has it.
            Sent::Lost(_) if self.call.check().is_err() => Ok(()),
            Sent::Lost(error) => {
                let error = self.failure(&error);
                let written = self.engine.unsettled(request, self.now(), &error);
                self.written(request.key, written)
            }
        }
    }

    /// Reads one list, and takes in what it shows. `false`: there is nothing, and the request may be sent.
    fn found(&mut self, request: &Request, or_running: bool) -> Result<bool> {
        match collect::find(self.account, self.call, &requests(request), or_running) {
            Ok(None) => return Ok(false),
            Ok(Some(found)) => self.collected(request, &found)?,
            Err(error) if error.status() == Status::AlreadyRunning => {
                self.refused(request, &error)?;
            }
            Err(error) => self.not_searched(request, &error)?,
        }
        Ok(true)
    }

    fn collected(&mut self, request: &Request, collected: &Collected) -> Result<()> {
        let Collected { action, adopted, service_date } = collected;
        let device = Some(&*request.machine_id).filter(|id| machine::is_device_id(id));
        if let Err(problem) = action.check_collection_of(device) {
            let message =
                format!("the list of actions {problem}; check `api_url`, and any proxy or gateway");
            return self.not_searched(request, &Error::new(Status::Protocol, message));
        }
        let written = self.engine.collected(request, action, *adopted, *service_date);
        self.written(request.key, written)?;
        if matches!(self.engine.state(request.key), Some(State::Waiting | State::Running)) {
            self.watcher.add(request.key, action);
        }
        Ok(())
    }

    fn refused(&mut self, request: &Request, error: &Error) -> Result<()> {
        let error = self.failure(error);
        let written = self.engine.refused(request, self.now(), &error);
        self.written(request.key, written)
    }

    fn not_searched(&mut self, request: &Request, error: &Error) -> Result<()> {
        if self.call.check().is_err() {
            return Ok(());
        }
        let error = self.failure(error);
        let written = self.engine.not_searched(request, self.now(), &error);
        self.written(request.key, written)
    }
}

fn requests(request: &Request) -> Requests<'_> {
    Requests {
        machine_id: &request.machine_id,
        comments: request.asked.comments().map(String::as_str).collect(),
        open_since: request.is_open.then(|| request.asked.began()),
    }
}
