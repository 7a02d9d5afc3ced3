//! What a collection asks of the service and of time. Tests replace it with a model.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use once_cell::unsync::OnceCell;

use super::{KIND, Requests};
use crate::account::Account;
use crate::call::Call;
use crate::error::{Error, Result};
use crate::http::reply::Reply;
use crate::operations::actions::{self, Recent};
use crate::quota::limiter::Permit;
use crate::service::action::MachineAction;
use crate::service::endpoint;
use crate::service::machine::{self, Machine};
use crate::service::quota::Quota;

/// The most actions that one poll reads. Only one collection of a device runs at a time, so the newest ones suffice.
const NEWEST: usize = 20;

/// One device at the service, during one call.
pub(super) trait Device {
    /// The call, which counts the requests without a known outcome.
    fn call(&self) -> &Call;

    /// Takes the slot for the next request.
    fn take_slot(&self) -> Result<()>;

    /// Sends the request for a collection. Returns its successful reply.
    fn request(&self) -> Result<Reply>;

    /// The action in that reply, which is a collection of this device.
    fn action(&self, reply: &Reply) -> Result<MachineAction>;

    /// The newest collections of the device, in any state, and the date of that list.
    fn collections(&self) -> Result<Recent>;

    /// Sleeps, unless the call is stopped.
    fn pause(&self, pause: Duration) -> Result<()>;

    /// Whether a pause of this length would end before the deadline.
    fn has_time_for(&self, pause: Duration) -> bool;

    /// The present by the monotonic clock and by the system's.
    fn now(&self) -> (Instant, SystemTime);
}

/// The real service.
pub(super) struct Live<'a> {
    account: &'a Account,
    call: &'a Arc<Call>,
    machine_id: &'a str,
    comment: &'a str,
    /// The slot of the next request, if it is taken.
    permit: Cell<Option<Permit<'a>>>,
    /// The 40-digit id, once it is known.
    device_id: OnceCell<String>,
}

impl<'a> Live<'a> {
    pub(super) fn new(
        account: &'a Account,
        call: &'a Arc<Call>,
        requests: &Requests<'a>,
    ) -> Live<'a> {
        let machine_id = requests.machine_id;
        let comment = requests.comments.first().copied().unwrap_or_default();
        let (permit, device_id) = (Cell::default(), OnceCell::new());
        Live { account, call, machine_id, comment, permit, device_id }
    }

    /// The same with a slot for the first request.
    pub(super) fn with(self, permit: Option<Permit<'a>>) -> Live<'a> {
        self.permit.set(permit);
        self
    }

    /// The 40-digit id of the device, since the list knows no other.
    fn device_id(&self) -> Result<&String> {
        self.device_id.get_or_try_init(|| device_id(self.account, self.call, self.machine_id))
    }
}

/// The 40-digit id of a device. Any other id is looked up.
pub(crate) fn device_id(account: &Account, call: &Arc<Call>, id: &str) -> Result<String> {
    if machine::is_device_id(id) {
        return Ok(id.to_ascii_lowercase());
    }
    let reply = account.perform(call, &endpoint::machine(id))?;
    let id = machine::record(&reply.body)
        .and_then(|text| Ok(Machine::from_json(&text)?.id().to_ascii_lowercase()));
    id.map_err(|problem| actions::not_understood(&reply, problem))
}

impl Device for Live<'_> {
    fn call(&self) -> &Call {
        self.call
    }

    fn take_slot(&self) -> Result<()> {
        self.permit.set(Some(self.account.slot(self.call, Quota::Collect)?));
        Ok(())
    }

    fn request(&self) -> Result<Reply> {
        let request = endpoint::collect(self.machine_id, self.comment);
        match self.permit.take() {
            Some(permit) => self.account.perform_with(self.call, &request, permit),
            None => self.account.perform(self.call, &request),
        }
    }

    fn action(&self, reply: &Reply) -> Result<MachineAction> {
        let device = Some(self.machine_id).filter(|id| machine::is_device_id(id));
        actions::read_action(self.account, reply)
            .and_then(|action| action.check_collection_of(device).map(|()| action))
            .map_err(|problem| actions::not_understood(reply, problem))
    }

    fn collections(&self) -> Result<Recent> {
        let id = self.device_id()?;
        let filter = format!("machineId eq '{id}' and type eq '{KIND}'");
        let mut recent = actions::recent(self.account, self.call, &filter, NEWEST)?;
        // A proxy or gateway may have dropped the filter.
        recent.actions.retain(|action| is_collection_of(action, id));
        Ok(recent)
    }

    fn pause(&self, pause: Duration) -> Result<()> {
        self.call.pause(pause).map_err(Error::from)
    }

    fn has_time_for(&self, pause: Duration) -> bool {
        self.call.has_time_for(pause)
    }

    fn now(&self) -> (Instant, SystemTime) {
        (Instant::now(), SystemTime::now())
    }
}

impl Drop for Live<'_> {
    /// Gives a slot back that was not needed.
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.not_sent();
        }
    }
}

fn is_collection_of(action: &MachineAction, device_id: &str) -> bool {
    let on_device = action.machine_id().is_some_and(|id| id.eq_ignore_ascii_case(device_id));
    on_device && action.kind().is_some_and(|kind| kind.eq_ignore_ascii_case(KIND))
}
