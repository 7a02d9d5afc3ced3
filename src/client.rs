//! The operations, in the order in which an investigation package lives.

use std::sync::Arc;
use std::time::Duration;

use crate::account::Account;
use crate::actions;
use crate::arguments;
use crate::call::{self, Call, Cancel, Running};
use crate::collect::{self, Collected};
use crate::ffi::process;
use crate::log::{self, Level};
use crate::options::Options;
use crate::quota::report::{QuotaStatus, report};
use crate::service::model::MachineAction;
use crate::{Error, Result, Status};

/// One identity against one service. All methods may be called from many threads at once.
///
/// A client belongs to the process that made it: in a forked child every call returns `forked`.
pub struct Client {
    process: u64,
    account: Account,
    timeout: Option<Duration>,
    running: Arc<Running>,
}

impl Client {
    /// Makes a client from a copy of the options. Reads `ca_file` and, for `proxy=env`, the environment;
    /// opens no connection.
    pub fn new(options: &Options) -> Result<Client> {
        Ok(Client {
            process: process::incarnation(),
            account: Account::new(options)?,
            timeout: Some(options.timeout.get()).filter(|timeout| !timeout.is_zero()),
            running: Arc::default(),
        })
    }

    /// Asks the service to collect an investigation package from a device.
    ///
    /// `machine_id`: the device id, 40 hexadecimal digits. Other ids that the service takes in its place,
    /// such as the Entra device id, are passed on.
    /// `comment`: why, for the audit trail; 1 to 32,768 bytes.
    /// Source: "Collect investigation package API".
    pub fn collect_package(
        &self,
        machine_id: &str,
        comment: &str,
        cancel: Option<&Cancel>,
    ) -> Result<Collected> {
        let machine_id = arguments::machine_id(machine_id)?;
        let comment = arguments::comment(comment)?;
        self.run("collect_package", cancel, |call| {
            collect::collect(&self.account, call, machine_id, comment)
        })
    }

    /// Reads one machine action. `action_id`: its GUID. Source: "Get machineAction API".
    pub fn action(&self, action_id: &str, cancel: Option<&Cancel>) -> Result<MachineAction> {
        let action_id = arguments::action_id(action_id)?;
        self.run("get_action", cancel, |call| actions::read(&self.account, call, action_id))
    }

    /// Lists machine actions, newest first, all pages of them. `odata_filter`: an OData expression over
    /// id, status, machineId, type, requestor and creationDateTimeUtc, or empty for all; up to 8,192 bytes.
    /// Source: "List machineActions API".
    pub fn actions(
        &self,
        odata_filter: &str,
        cancel: Option<&Cancel>,
    ) -> Result<Vec<MachineAction>> {
        let filter = arguments::odata_filter(odata_filter)?;
        self.run("list_actions", cancel, |call| actions::list(&self.account, call, filter))
    }

    /// How much of each quota is used, when the next call could go out, and where the log of calls lives.
    pub fn quota(&self) -> Result<QuotaStatus> {
        self.run("quota_status", None, |_| {
            let Account { limiter, rules, .. } = &self.account;
            Ok(report(limiter.get().map(AsRef::as_ref), rules))
        })
    }

    /// Refuses new calls, ends running ones with `closed`, and waits for them.
    ///
    /// Not to be called from a callback of a call on the same client: it would wait for itself.
    pub fn shutdown(&self, timeout: Duration) -> Result<()> {
        self.check_process()?;
        match self.running.close(timeout) {
            true => Ok(()),
            false => Err(Error::new(
                Status::Deadline,
                "calls are still running; do not free the client before shutdown succeeds",
            )),
        }
    }

    /// Runs one operation under the client's deadline and the caller's cancel handle.
    fn run<T>(
        &self,
        name: &str,
        cancel: Option<&Cancel>,
        operation: impl FnOnce(&Arc<Call>) -> Result<T>,
    ) -> Result<T> {
        self.check_process()?;
        let call = Arc::new(Call::begin(&self.running, self.timeout, cancel));
        let _aftermath = Aftermath { account: &self.account, call: &call };
        let result =
            call.check_at(call.began()).map_err(Error::from).and_then(|()| operation(&call));
        let result = result.map_err(|error| {
            let error = if call.is_unsettled() { error.outcome_unknown() } else { error };
            error.mask(|text| self.account.mask(text))
        });
        log::line(Level::Info, || {
            let outcome = result.as_ref().map_or_else(Error::to_string, |_| "ok".to_owned());
            format!("{name} took {} ms: {outcome}", call.began().elapsed().as_millis())
        });
        result
    }

    /// First of all: a lock of the parent may be held by a thread that does not exist here.
    fn check_process(&self) -> Result<()> {
        if self.process == process::incarnation() {
            return Ok(());
        }
        Err(Error::new(
            Status::Forked,
            "the client was made before a fork; make a new client in this process",
        ))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.account.api.as_str())
    }
}

/// Tidies up when a panic unwinds through a call, while the call still keeps the client alive.
struct Aftermath<'a> {
    account: &'a Account,
    call: &'a Call,
}

impl Drop for Aftermath<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.account.http.reset();
            call::note_aftermath(self.call.is_unsettled());
        }
    }
}
