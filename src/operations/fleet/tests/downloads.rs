//! A model of the downloads that run beside the driver.

use std::time::Duration;

use super::super::engine::Key;
use super::plan::seconds;
use super::service::{Endpoint, Package, action_id};
use super::world::World;
use crate::error::Error;
use crate::quota::clock::Time;
use crate::quota::window::Admission;
use crate::status::Status;

/// The most links that one download asks for.
const MOST_LINKS: u32 = 3;

/// A link can be used for this long.
const LINK_LIVES: Duration = Duration::from_secs(60);

/// A download that runs.
#[derive(Debug)]
pub(super) struct Download {
    pub key: Key,
    action: usize,
    links: u32,
    doing: Doing,
    /// When it goes on. `None`: when those before it have asked for their links.
    pub at: Option<Duration>,
}

#[derive(Debug)]
enum Doing {
    /// Waits for a slot of the quota of links.
    Queued,
    /// The service counts the request when its time comes.
    Asking {
        back: Duration,
        is_lost: bool,
    },
    Asked {
        is_lost: bool,
        has_link: Duration,
    },
    Transferring {
        breaks: bool,
    },
    Ending(Option<Result<String, Error>>),
}

impl Download {
    pub(super) fn new(key: Key, action: usize, now: Duration) -> Download {
        Download { key, action, links: 0, doing: Doing::Queued, at: Some(now) }
    }
}

impl World {
    /// Lets a download go on whose time has come.
    pub(super) fn step_download(&mut self, at: usize) {
        let now = self.now;
        let mut download = self.downloads.remove(at);
        match &mut download.doing {
            Doing::Queued => self.ask_for_link(&mut download, at),
            Doing::Asking { back, is_lost } => {
                self.quota(Endpoint::Link).count(now);
                let (back, is_lost) = (*back, *is_lost);
                download.doing = Doing::Asked { is_lost, has_link: now };
                download.at = Some(back);
            }
            Doing::Asked { is_lost, has_link } => {
                let (is_lost, has_link) = (*is_lost, *has_link);
                match is_lost {
                    true => self.quota(Endpoint::Link).abandon(now),
                    false => self.quota(Endpoint::Link).end(now),
                }
                self.transfer(&mut download, is_lost, has_link);
            }
            Doing::Transferring { breaks: true } => {
                self.another_link(&mut download, Error::new(Status::Broken, "it broke"));
            }
            Doing::Transferring { breaks: false } => {
                let result = self.check(&download);
                end(&mut download, now, result);
            }
            Doing::Ending(result) => {
                let result = result.take().unwrap();
                self.log(format_args!(
                    "download of {} ends: {}",
                    download.key,
                    result.as_ref().map_or_else(|error| error.status().name(), |_| "done")
                ));
                self.ended.push((download.key, result));
                self.wake_next();
                return;
            }
        }
        let at = at.min(self.downloads.len());
        self.downloads.insert(at, download);
        self.wake_next();
    }

    fn ask_for_link(&mut self, download: &mut Download, at: usize) {
        let now = self.now;
        let is_file_there = self.files.contains(&download.action);
        if is_file_there {
            let result = self.check(download);
            return end(download, now, result);
        }
        let is_queued = |download: &Download| matches!(download.doing, Doing::Queued);
        if self.downloads[..at].iter().any(is_queued) {
            download.at = None;
            return;
        }
        match self.quota(Endpoint::Link).admission(now) {
            Admission::At(at) => download.at = Some(at.since(Time::default())),
            Admission::AfterReply => download.at = Some(now + Duration::from_millis(20)),
            Admission::Now => {
                if let Some(error) = self.outage() {
                    let until = now + seconds(&mut self.random, 0..3);
                    return end(download, until, Err(error));
                }
                self.quota(Endpoint::Link).begin();
                let key = download.key;
                self.log(format_args!("link for {key}"));
                let there = now + Duration::from_millis(self.random.u64(20..200));
                let is_lost = self.is_unlucky();
                let longest = if is_lost { 20_000 } else { 200 };
                let back = there + Duration::from_millis(self.random.u64(20..longest));
                download.links += 1;
                download.doing = Doing::Asking { back, is_lost };
                download.at = Some(there);
            }
        }
    }

    fn transfer(&mut self, download: &mut Download, is_lost: bool, has_link: Duration) {
        let now = self.now;
        if is_lost {
            return self.another_link(download, Error::new(Status::Service, "a 5xx"));
        }
        if self.service.actions[download.action].fate.package == Package::Gone {
            return end(download, now, Err(Error::new(Status::NotFound, "no package")));
        }
        if let Some(error) = self.outage() {
            return end(download, now + Duration::from_secs(1), Err(error));
        }
        let delay =
            if self.is_unlucky() { seconds(&mut self.random, 0..90) } else { Duration::ZERO };
        if now + delay > has_link + LINK_LIVES {
            return self.another_link(download, Error::new(Status::Broken, "the link has expired"));
        }
        let longest = if self.plan.is_calm { 20 } else { 180 };
        let takes = seconds(&mut self.random, 1..longest);
        let breaks = self.is_unlucky();
        download.doing = Doing::Transferring { breaks };
        download.at = Some(now + delay + takes);
    }

    fn another_link(&mut self, download: &mut Download, error: Error) {
        let pause = seconds(&mut self.random, 1..5);
        match download.links < MOST_LINKS {
            true => {
                download.doing = Doing::Queued;
                download.at = Some(self.now + pause);
            }
            false => end(download, self.now, Err(error)),
        }
    }

    /// The check of a package, which has its name when it is whole.
    fn check(&mut self, download: &Download) -> Result<String, Error> {
        let action = download.action;
        let package =
            format!("{{\"path\":\"{}.zip\",\"bytes\":{}}}", action_id(action), action + 1);
        if self.service.actions[action].fate.package == Package::Unsafe {
            return Err(Error::new(Status::Unsafe, "the package is unsafe").with_package(package));
        }
        if !self.files.contains(&action) {
            self.files.push(action);
        }
        Ok(package)
    }

    /// The first download that waits for a slot goes on.
    fn wake_next(&mut self) {
        let now = self.now;
        let is_queued = |download: &&mut Download| matches!(download.doing, Doing::Queued);
        if let Some(first) = self.downloads.iter_mut().find(is_queued) {
            first.at.get_or_insert(now);
        }
    }

    /// The call ends, and with it its downloads.
    pub(super) fn stop_downloads(&mut self) -> Vec<Key> {
        let now = self.now;
        let stopped = std::mem::take(&mut self.downloads);
        for download in &stopped {
            match download.doing {
                Doing::Asking { .. } => {
                    self.delay(Endpoint::Link, None);
                    self.quota(Endpoint::Link).abandon(now);
                }
                Doing::Asked { .. } => self.quota(Endpoint::Link).abandon(now),
                _ => {}
            }
        }
        stopped.into_iter().map(|download| download.key).collect()
    }
}

fn end(download: &mut Download, at: Duration, result: Result<String, Error>) {
    download.doing = Doing::Ending(Some(result));
    download.at = Some(at);
}
