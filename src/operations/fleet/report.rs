//! The progress of a job: at most ten events a second, of the whole job and of single devices.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::document;
use super::downloads::Downloads;
use super::engine::{Counts, Engine, Key};
use super::storage::Storage;
use crate::account::Account;
use crate::error::Result;
use crate::progress::{Event, Reporter};
use crate::service::quota::Quota;

/// The time between two events.
const GAP: Duration = Duration::from_millis(100);
/// The time between two events of the whole job.
const JOB_GAP: Duration = Duration::from_secs(1);
/// How often the downloads are asked for news.
const NEWS_GAP: Duration = Duration::from_millis(200);
/// The most outcomes that wait to be reported. The document has all of them.
const MOST_WAITING: usize = 1_000;

/// Reports the progress of one call.
pub(super) struct Report<'a, 'r, 'c> {
    reporter: &'a mut Reporter<'r, 'c>,
    ended: VecDeque<Key>,
    /// When the next event may be reported.
    free_at: Option<Instant>,
    job_at: Option<Instant>,
    /// What the last event of the job has said.
    said: Option<(Counts, u64)>,
}

impl<'a, 'r, 'c> Report<'a, 'r, 'c> {
    pub(super) fn new(reporter: &'a mut Reporter<'r, 'c>) -> Report<'a, 'r, 'c> {
        Report { reporter, ended: VecDeque::new(), free_at: None, job_at: None, said: None }
    }

    /// A device has its outcome.
    pub(super) fn ended(&mut self, key: Key) {
        if self.reporter.is_wanted() && self.ended.len() < MOST_WAITING {
            self.ended.push_back(key);
        }
    }

    /// Reports what is new, if an event is due. Returns when to ask again.
    pub(super) fn next(
        &mut self,
        account: &Account,
        engine: &Engine<'_, impl Storage>,
        downloads: &Downloads<'_>,
    ) -> Result<Option<Instant>> {
        if !self.reporter.is_wanted() {
            return Ok(None);
        }
        let now = Instant::now();
        if let Some(at) = self.free_at.filter(|at| now < *at) {
            return Ok(Some(at));
        }
        let says = (engine.counts, engine.counts.bytes.saturating_add(downloads.bytes()));
        let is_new = self.said != Some(says);
        let is_reported = if is_new && self.job_at.is_none_or(|at| now >= at) {
            self.report_job(account, says, downloads.without_link())?;
            true
        } else if let Some(key) = self.ended.pop_front() {
            // A line that cannot be read fails where it matters.
            if let Ok(device) = engine.text(key).and_then(|text| document::device(&text)) {
                self.reporter.step(&Event::Ended { device: &device })?;
            }
            true
        } else if let Some(news) = downloads.take_news() {
            let event = news.event();
            self.reporter
                .step(&Event::OfDevice { machine_id: news.machine_id(), event: &event })?;
            true
        } else {
            false
        };
        let downloading = engine.counts.downloading > 0;
        Ok(match is_reported {
            true => {
                self.free_at = now.checked_add(GAP);
                self.free_at
            }
            false if downloading => now.checked_add(NEWS_GAP),
            false => self.job_at.filter(|_| is_new),
        })
    }

    /// Reports how the job has ended.
    pub(super) fn last(
        &mut self,
        account: &Account,
        engine: &Engine<'_, impl Storage>,
    ) -> Result<()> {
        self.report_job(account, (engine.counts, engine.counts.bytes), 0)
    }

    fn report_job(
        &mut self,
        account: &Account,
        says: (Counts, u64),
        without_link: usize,
    ) -> Result<()> {
        self.job_at = Instant::now().checked_add(JOB_GAP);
        self.said = Some(says);
        let (counts, bytes) = says;
        self.reporter.step(&Event::Fleet {
            devices: counts.devices(),
            done: counts.done,
            failed: counts.failed,
            skipped: counts.skipped,
            running: counts.running,
            ready: counts.ready,
            downloading: counts.downloading,
            bytes,
            eta: least_time(account, counts, without_link),
        })
    }
}

/// The least time that the quota needs for the rest. `without_link`: the downloads that have still to ask for their links.
/// `None` if there is no rest.
pub(super) fn least_time(
    account: &Account,
    counts: Counts,
    without_link: usize,
) -> Option<Duration> {
    let Counts { queued, running, ready, .. } = counts;
    if counts.unfinished() == 0 {
        return None;
    }
    let collections = account.least_time(Quota::Collect, queued)?;
    let links = account.least_time(Quota::Link, queued + running + ready + without_link)?;
    Some(collections.max(links))
}
