//! The downloads of a job, each on a thread of its own that ends before the call does.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::engine::Key;
use crate::account::Account;
use crate::call::{Call, Cancel, Signal, contained};
use crate::error::{Error, Result, Stage};
use crate::operations::download::{self, Destination, Package};
use crate::os::io_error;
use crate::os::thread::Scope;
use crate::progress::{Event, Reporter};
use crate::service::action::MachineAction;
use crate::service::quota::Quota;
use crate::status::Status;

/// What a download does at present.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Queued { wait: Option<Duration> },
    Downloading { bytes: u64, total: Option<u64>, bytes_per_second: u64 },
    Verifying { bytes: u64, total: u64 },
}

/// A download that runs.
#[derive(Debug)]
struct Running {
    key: Key,
    machine_id: String,
    action_id: String,
    /// `None`: nothing new since it was reported.
    news: Option<Doing>,
    /// The bytes on disk.
    bytes: u64,
    /// It has asked for its link, or needs none.
    has_link: bool,
}

/// What the threads share with the driver.
#[derive(Debug, Default)]
struct Shared {
    running: Vec<Running>,
    ended: Vec<(Key, Result<Package>)>,
}

/// The downloads of one call.
pub(super) struct Downloads<'a> {
    account: &'a Account,
    call: &'a Arc<Call>,
    stop: &'a Cancel,
    shared: Arc<Mutex<Shared>>,
}

impl<'a> Downloads<'a> {
    /// `call`: that of the driver, which is woken when a download has ended. `stop` ends all of them.
    pub(super) fn new(
        account: &'a Account,
        call: &'a Arc<Call>,
        stop: &'a Cancel,
    ) -> Downloads<'a> {
        Downloads { account, call, stop, shared: Arc::default() }
    }

    /// Starts a download. If no thread can be started, that is its end.
    pub(super) fn start<'s>(
        &self,
        scope: &Scope<'s>,
        key: Key,
        machine_id: &str,
        action: MachineAction,
        path: String,
    ) where
        'a: 's,
    {
        self.shared.lock().running.push(Running {
            key,
            machine_id: machine_id.to_owned(),
            action_id: action.id().to_owned(),
            news: None,
            bytes: 0,
            has_link: false,
        });
        let ending = Ending {
            key,
            shared: Arc::clone(&self.shared),
            signal: Arc::clone(self.call.signal()),
            result: None,
        };
        let Downloads { account, call, stop, .. } = *self;
        let shared = Arc::clone(&self.shared);
        let work = move || {
            let mut ending = ending;
            ending.result = contained::run(|| {
                let call = Arc::new(call.beside(stop));
                let mut callback = |event: &Event<'_>| {
                    shared.lock().take(key, event);
                    ControlFlow::Continue(())
                };
                let mut reporter = Reporter::new(Some(&mut callback));
                let destination = Destination::resolve(&path)?;
                download::download_to(account, &call, &action, destination, &mut reporter)
            });
            if ending.result.is_none() {
                // A panic may have left a connection in the middle of a reply.
                account.http.reset();
            }
        };
        // If no thread can be started, the work is dropped, and the ending with it.
        if let Err(error) = scope.spawn("mde-download", work) {
            self.shared.lock().not_started(key, &error);
        }
    }

    /// The downloads that have ended since the last time.
    pub(super) fn take_ended(&self) -> Vec<(Key, Result<Package>)> {
        std::mem::take(&mut self.shared.lock().ended)
    }

    /// The bytes of all downloads that run.
    pub(super) fn bytes(&self) -> u64 {
        let shared = self.shared.lock();
        shared.running.iter().fold(0_u64, |sum, running| sum.saturating_add(running.bytes))
    }

    /// How many downloads have still to ask for their links.
    pub(super) fn without_link(&self) -> usize {
        self.shared.lock().running.iter().filter(|running| !running.has_link).count()
    }

    /// Takes the news of the download whose news is the oldest.
    pub(super) fn take_news(&self) -> Option<News> {
        let mut shared = self.shared.lock();
        let at = shared.running.iter().position(|running| running.news.is_some())?;
        // The others come first the next time.
        let mut running = shared.running.remove(at);
        let news = running.news.take().map(|doing| News {
            machine_id: running.machine_id.clone(),
            action_id: running.action_id.clone(),
            doing,
        });
        shared.running.push(running);
        news
    }
}

impl Shared {
    /// The end of a download without a thread. That concerns all downloads, so they are tried again after a pause.
    fn not_started(&mut self, key: Key, error: &io::Error) {
        let why = io_error::reason(error);
        let message = format!(
            "the system starts no thread for the download ({why}); check how many the process may have"
        );
        let end = Error::new(Status::Connect, message).with_stage(Stage::Download).retryable(true);
        self.ended.retain(|(ended, _)| *ended != key);
        self.ended.push((key, Err(end)));
    }

    fn take(&mut self, key: Key, event: &Event<'_>) {
        let Some(running) = self.running.iter_mut().find(|one| one.key == key) else { return };
        let doing = match *event {
            Event::Queued { wait, .. } => Doing::Queued { wait },
            Event::Downloading { bytes, total, bytes_per_second, .. } => {
                running.bytes = bytes;
                Doing::Downloading { bytes, total, bytes_per_second }
            }
            Event::Verifying { bytes, total, .. } => Doing::Verifying { bytes, total },
            _ => return,
        };
        running.has_link |= !matches!(doing, Doing::Queued { .. });
        running.news = Some(doing);
    }
}

/// Tells the driver how a download has ended, also if it panicked or its thread was not started.
struct Ending {
    key: Key,
    shared: Arc<Mutex<Shared>>,
    signal: Arc<Signal>,
    result: Option<Result<Package>>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let result = self.result.take().unwrap_or_else(|| {
            let message =
                "the download ended without a result, as a defect was contained; it is tried again";
            Err(Error::new(Status::Internal, message).retryable(true))
        });
        let mut shared = self.shared.lock();
        shared.running.retain(|running| running.key != self.key);
        shared.ended.push((self.key, result));
        drop(shared);
        self.signal.wake();
    }
}

/// What is new of one download.
#[derive(Debug)]
pub(super) struct News {
    machine_id: String,
    action_id: String,
    doing: Doing,
}

impl News {
    pub(super) fn machine_id(&self) -> &str {
        &self.machine_id
    }

    pub(super) fn event(&self) -> Event<'_> {
        let action_id = &*self.action_id;
        match self.doing {
            Doing::Queued { wait } => {
                Event::Queued { action_id: Some(action_id), endpoint: Quota::Link.name(), wait }
            }
            Doing::Downloading { bytes, total, bytes_per_second } => {
                Event::Downloading { action_id, bytes, total, bytes_per_second }
            }
            Doing::Verifying { bytes, total } => Event::Verifying { action_id, bytes, total },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::fleet::failure::concerns_all;

    #[test]
    fn a_download_without_a_thread_is_no_defect() {
        let mut shared = Shared::default();
        // The end that the dropped work has left.
        shared.ended.push((7, Err(Error::new(Status::Internal, "no result"))));
        shared.not_started(7, &io::Error::from(io::ErrorKind::WouldBlock));
        let ends: Vec<_> =
            shared.ended.into_iter().map(|(key, end)| (key, end.unwrap_err())).collect();
        let [(7, error)] = ends.as_slice() else { panic!("{ends:?}") };
        assert_eq!((error.status(), error.is_retryable()), (Status::Connect, true));
        assert!(error.message().contains("starts no thread") && concerns_all(error), "{error}");
    }
}
