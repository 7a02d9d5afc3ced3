//! The client, with one method per operation.

use std::sync::Arc;
use std::time::Duration;

use crate::account::Account;
use crate::call::{self, Call, Cancel, Running};
use crate::error::{Error, Result};
use crate::log::{self, Level};
use crate::operations::cancel_action::{self, Ended};
use crate::operations::check_access::{self, Access};
use crate::operations::collect::{self, Collected, Requests};
use crate::operations::download::{self, Package};
use crate::operations::fetch::{self, Fetched};
use crate::operations::find_machines::{self, Found};
use crate::operations::fleet::{self, Devices, Packages};
use crate::operations::package_uri::{self, PackageUri};
use crate::operations::{actions, arguments, wait};
use crate::options::Options;
use crate::os::fork;
use crate::progress::{OnProgress, Reporter};
use crate::quota::report::QuotaStatus;
use crate::service::action::MachineAction;
use crate::status::Status;

/// One identity against one service. All methods may be called from many threads at once.
///
/// A client belongs to the process that made it. In a forked child every call returns `forked`.
pub struct Client {
    process: u64,
    account: Account,
    wait_timeout: Option<Duration>,
    running: Arc<Running>,
}

impl Client {
    /// Makes a client from a copy of the options. It reads `ca_file` and, for `proxy=env`, the environment. It opens
    /// no connection.
    pub fn new(options: &Options) -> Result<Client> {
        Ok(Client {
            process: fork::incarnation(),
            account: Account::new(options.settings())?,
            wait_timeout: options.settings().wait_timeout,
            running: Arc::default(),
        })
    }

    /// Checks whom the client signs in as, what that identity may do, and how the hosts are reached. Changes nothing.
    ///
    /// Succeeds whatever it finds: [`Access::is_ok`] tells whether a step has failed, and each step says why.
    /// Source: "List machines API".
    pub fn check_access(&self, cancel: Option<&Cancel>) -> Result<Access> {
        self.run("check_access", cancel, |call| check_access::check(&self.account, call))
    }

    /// Asks the service to collect an investigation package from a device.
    ///
    /// `machine_id`: the device id, 40 hexadecimal digits. Other ids that the service accepts, such as the Entra device
    /// id, are passed on.
    /// `comment`: the reason, for the audit trail; 1 to 32,768 bytes.
    /// Source: "Collect investigation package API".
    pub fn collect_package(
        &self,
        machine_id: &str,
        comment: &str,
        cancel: Option<&Cancel>,
    ) -> Result<Collected> {
        let machine_id = arguments::machine_id(machine_id)?;
        let comment = arguments::comment(comment)?;
        let requests = Requests { machine_id, comments: vec![comment], open_since: None };
        self.run("collect_package", cancel, |call| collect::collect(&self.account, call, &requests))
    }

    /// Reads one machine action. `action_id`: its GUID. Source: "Get machineAction API".
    pub fn action(&self, action_id: &str, cancel: Option<&Cancel>) -> Result<MachineAction> {
        let action_id = arguments::action_id(action_id)?;
        self.run("get_action", cancel, |call| actions::read(&self.account, call, action_id))
    }

    /// Lists machine actions of all pages, newest first.
    ///
    /// `odata_filter`: an OData expression over id, status, machineId, type, requestor and creationDateTimeUtc, of up to
    /// 8,192 bytes. An empty one matches all actions.
    /// Source: "List machineActions API".
    pub fn actions(
        &self,
        odata_filter: &str,
        cancel: Option<&Cancel>,
    ) -> Result<Vec<MachineAction>> {
        let filter = arguments::odata_filter(odata_filter)?;
        self.run("list_actions", cancel, |call| actions::list(&self.account, call, filter))
    }

    /// Waits until a machine action has ended. Returns it if it succeeded; every other end has a status of its own.
    ///
    /// One request polls for all threads of the process that wait under one identity. `progress` receives the state after
    /// every poll. The call lasts up to `wait_timeout_ms`.
    /// Source: "Get machineAction API", "List machineActions API".
    pub fn wait_action(
        &self,
        action_id: &str,
        progress: Option<&mut OnProgress<'_>>,
        cancel: Option<&Cancel>,
    ) -> Result<MachineAction> {
        let action_id = arguments::action_id(action_id)?;
        self.run_for("wait_action", (self.wait_timeout, "wait_timeout_ms"), cancel, |call| {
            wait::wait(&self.account, call, action_id, None, &mut Reporter::new(progress))
        })
    }

    /// Cancels a machine action and waits until it has ended, in whatever state.
    ///
    /// `comment`: the reason, for the audit trail; 1 to 32,768 bytes. Source: "Cancel machine action API".
    pub fn cancel_action(
        &self,
        action_id: &str,
        comment: &str,
        cancel: Option<&Cancel>,
    ) -> Result<Ended> {
        let action_id = arguments::action_id(action_id)?;
        let comment = arguments::comment(comment)?;
        self.run("cancel_action", cancel, |call| {
            cancel_action::cancel(&self.account, call, action_id, comment)
        })
    }

    /// Collects a package from a device, waits for it, and downloads it: [`Client::collect_package`],
    /// [`Client::wait_action`] and [`Client::download_package`] under one deadline, `wait_timeout_ms`.
    ///
    /// After an interruption, even of the process, the same call resumes and starts no second collection. A state file
    /// beside `path` records the collection.
    pub fn fetch_package(
        &self,
        machine_id: &str,
        comment: &str,
        path: &str,
        progress: Option<&mut OnProgress<'_>>,
        cancel: Option<&Cancel>,
    ) -> Result<Fetched> {
        let machine_id = arguments::machine_id(machine_id)?;
        let comment = arguments::comment(comment)?;
        let path = arguments::path(path)?;
        self.run_for("fetch_package", (self.wait_timeout, "wait_timeout_ms"), cancel, |call| {
            let mut reporter = Reporter::new(progress);
            fetch::fetch(&self.account, call, machine_id, comment, path, &mut reporter)
        })
    }

    /// Fetches the packages of many devices into a folder, at the speed of the quota. Lasts up to `wait_timeout_ms`.
    ///
    /// `comment`: the reason, for the audit trail; 1 to 32,768 bytes. It is that of the devices without one of their own.
    /// `folder`: an existing one. It holds the job: its journal, the packages and their record. After an interruption, even
    /// of the process, a call with the same folder resumes, and no device is asked twice. New devices are added.
    /// `progress` receives how the job stands, and the events of single devices.
    ///
    /// Succeeds if every package is there. Otherwise [`Error::packages`] has all devices.
    pub fn fetch_packages(
        &self,
        devices: &Devices,
        comment: &str,
        folder: &str,
        progress: Option<&mut OnProgress<'_>>,
        cancel: Option<&Cancel>,
    ) -> Result<Packages> {
        let comment = arguments::comment(comment)?;
        let limit = (self.wait_timeout, "wait_timeout_ms");
        self.run_as(
            "fetch_packages",
            limit,
            cancel,
            |call| call.into_sweep(false),
            |call| {
                let mut reporter = Reporter::new(progress);
                fleet::fetch(&self.account, call, devices, comment, folder, &mut reporter)
            },
        )
    }

    /// Finds devices by device id, DNS name (exact, else by its beginning), IP address, Entra device id, or a selection.
    ///
    /// An address may name the time when it was in use: `10.0.0.5@2026-01-24T22:17:02Z`. The default is now.
    /// A selection has conditions, all of which hold: `tag:DMZ and not os:Linux and group:Servers and filter:<OData>`.
    /// Source: "Get machine by ID API", "List machines API", "Find devices by internal IP API".
    pub fn find_machines(&self, query: &str, cancel: Option<&Cancel>) -> Result<Found> {
        let query = find_machines::Query::parse(query)?;
        self.run("find_machines", cancel, |call| find_machines::find(&self.account, call, &query))
    }

    /// Gets the link to the package of a finished collection, which is valid for about a minute.
    ///
    /// `action_id`: the GUID of the collection. The link is a secret, since it grants access to the package.
    /// Source: "Get package SAS URI API".
    pub fn package_uri(&self, action_id: &str, cancel: Option<&Cancel>) -> Result<PackageUri> {
        let action_id = arguments::action_id(action_id)?;
        self.run("get_package_uri", cancel, |call| package_uri::get(&self.account, call, action_id))
    }

    /// Downloads the package of a finished collection to `<file>.part`, checks it, and renames it to `<file>`.
    ///
    /// `path`: the new file, which must not exist, or a folder, in which the file is named
    /// `<computer>_<action id>.zip`. After an interruption the same call resumes.
    pub fn download_package(
        &self,
        action_id: &str,
        path: &str,
        progress: Option<&mut OnProgress<'_>>,
        cancel: Option<&Cancel>,
    ) -> Result<Package> {
        let action_id = arguments::action_id(action_id)?;
        let path = arguments::path(path)?;
        let mut reporter = Reporter::new(progress);
        self.run_for("download_package", (self.wait_timeout, "wait_timeout_ms"), cancel, |call| {
            download::download(&self.account, call, action_id, path, &mut reporter)
        })
    }

    /// The usage of each quota, the time until the next call has room, and the place of the call log.
    pub fn quota(&self) -> Result<QuotaStatus> {
        self.run("get_quota", None, |_| Ok(self.account.quota_status()))
    }

    /// Refuses new calls, ends running ones with `closed`, and waits for them.
    ///
    /// A callback of a call on the same client is refused, since it would wait for its own call.
    pub fn shutdown(&self, timeout: Duration) -> Result<()> {
        self.check_not_forked()?;
        if self.running.is_entered_here() {
            return Err(Error::argument(
                "client",
                "has a call on this thread, whose callback this is",
                "a client without one: a callback cannot wait for its own call",
            ));
        }
        match self.running.close(timeout) {
            true => Ok(()),
            false => Err(Error::new(
                Status::Deadline,
                "calls are still running; do not free the client before shutdown succeeds",
            )),
        }
    }

    /// Runs an operation of a few requests under `timeout_ms`.
    fn run<T>(
        &self,
        name: &str,
        cancel: Option<&Cancel>,
        operation: impl FnOnce(&Arc<Call>) -> Result<T>,
    ) -> Result<T> {
        self.run_for(name, (self.account.timeout, "timeout_ms"), cancel, operation)
    }

    /// Runs one operation under a deadline and the caller's cancel handle.
    fn run_for<T>(
        &self,
        name: &str,
        limit: (Option<Duration>, &str),
        cancel: Option<&Cancel>,
        operation: impl FnOnce(&Arc<Call>) -> Result<T>,
    ) -> Result<T> {
        self.run_as(name, limit, cancel, |call| call, operation)
    }

    /// The same with a call of another rank.
    fn run_as<T>(
        &self,
        name: &str,
        (timeout, option): (Option<Duration>, &str),
        cancel: Option<&Cancel>,
        rank: impl FnOnce(Call) -> Call,
        operation: impl FnOnce(&Arc<Call>) -> Result<T>,
    ) -> Result<T> {
        self.check_not_forked()?;
        let call = Arc::new(rank(Call::begin(&self.running, timeout, cancel)));
        let _aftermath = Aftermath { account: &self.account, call: &call };
        let result =
            call.check_at(call.began()).map_err(Error::from).and_then(|()| operation(&call));
        let result = result.map_err(|error| {
            let error = if call.is_unsettled() { error.outcome_unknown() } else { error };
            let error = match error.status() {
                Status::Deadline if call.ended_by_handle() => {
                    error.with_note("raise the time limit of its cancel handle")
                }
                Status::Deadline if call.has_passed() => {
                    error.with_note(&format!("raise `{option}`"))
                }
                Status::Deadline => error.with_note("raise `timeout_ms`"),
                _ => error,
            };
            error.mask(|text| self.account.mask(text))
        });
        log::line(Level::Info, || {
            let outcome = result.as_ref().map_or_else(Error::to_string, |_| "ok".to_owned());
            format!("{name} took {} ms: {outcome}", call.began().elapsed().as_millis())
        });
        result
    }

    /// Comes before everything else in a call. In a forked child, a lock may be held by a thread that exists only in the
    /// parent.
    fn check_not_forked(&self) -> Result<()> {
        if fork::is_this_process(self.process) {
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

/// Closes the connections when a panic unwinds through a call, and records whether a request was left unsettled.
struct Aftermath<'a> {
    account: &'a Account,
    call: &'a Call,
}

impl Drop for Aftermath<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.account.http.reset();
            call::panic_note::record_aftermath(self.call.is_unsettled());
        }
    }
}
