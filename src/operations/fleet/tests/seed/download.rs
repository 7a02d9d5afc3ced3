//! A download beside the driver: links, connections that break, and a package that is replaced meanwhile.

use std::rc::Rc;
use std::time::Duration;

use super::super::service::action_id;
use super::Defect;
use super::process::Process;
use super::world::{Ask, Promise, World};
use crate::call::Call;
use crate::error::{Error, Result};
use crate::operations::download::simulated::{Download, Next};
use crate::quota::clock::Time;
use crate::quota::limiter::Permit;
use crate::quota::turn::{Step, Turn};
use crate::service::quota::Quota;
use crate::status::Status;

/// A link can be used for this long.
const LINK_LIVES: Duration = Duration::from_secs(60);

/// A download ends after as many failures.
const MOST_FAILURES: u32 = 4;

/// As many bytes arrive together.
const BLOCK: usize = 150;

/// Downloads the package of an action. Returns its JSON.
pub(super) async fn run(
    world: &Rc<World>,
    process: &Rc<Process>,
    call: &Call,
    device: usize,
    action: usize,
) -> Result<String> {
    let (id, steps) = (action_id(action), &process.steps);
    let shown = |bytes: u64| format!("{{\"path\":\"{id}.zip\",\"bytes\":{bytes}}}");
    if let Some(bytes) = world.folder.find(device, &id, steps)? {
        world.tally(|tally| &mut tally.found_files);
        return Ok(shown(bytes));
    }
    let mut download = Download::resume(&world.folder, device, &id, steps)?;
    let mut transfer = Transfer { world, process, call, device, link: None, failures: 0 };
    let mut has_started_over = false;
    loop {
        while !download.is_whole() {
            transfer.attempt(&mut download).await?;
        }
        let (bytes, is_torn) = download.bytes();
        if world.packages.borrow()[device].is_version(&bytes) {
            break;
        }
        // What the check of the zip finds.
        if !is_torn {
            world.find(Promise::OneVersion, format_args!("device {device}: a mixed package"));
        }
        world.tally(|tally| &mut tally.damaged);
        if has_started_over || !download.start_over() {
            world.find(Promise::OneVersion, format_args!("device {device}: it is not suspect"));
        }
        has_started_over = true;
    }
    download.finish().map(shown)
}

struct Transfer<'a> {
    world: &'a Rc<World>,
    process: &'a Rc<Process>,
    call: &'a Call,
    device: usize,
    /// When the link was given.
    link: Option<Duration>,
    failures: u32,
}

impl<'a> Transfer<'a> {
    /// Makes one attempt. The error ends the download.
    async fn attempt(&mut self, download: &mut Download) -> Result<()> {
        let world = self.world;
        if self.link.is_none() {
            let permit = self.slot().await;
            world.log(format_args!("link for {}", self.device));
            match world.exchange(&self.process.steps, permit, Ask::Link).await {
                Ok(_) => self.link = Some(world.now()),
                Err(error) => return self.again(error).await,
            }
        }
        let mut request = download.request();
        if world.defect == Some(Defect::ResumeWithoutIfRange) {
            request.if_range = None;
        }
        world.time.pass(world.millis(20..200)).await;
        if self.link.is_some_and(|since| world.now() > since + LINK_LIVES) {
            world.tally(|tally| &mut tally.expired_links);
            self.link = None;
            return Ok(());
        }
        if !world.is_calm() && world.one_in(8) && world.packages.borrow_mut()[self.device].replace()
        {
            world.tally(|tally| &mut tally.replaced);
            world.log(format_args!("the package of {} is replaced", self.device));
        }
        let (head, body) = world.packages.borrow()[self.device].get(&request);
        world.log(format_args!("{request:?}: {head:?}"));
        match (request.from, head.status) {
            (Some(_), 206) => world.tally(|tally| &mut tally.resumed),
            (Some(_), 200) => world.tally(|tally| &mut tally.started_over),
            _ => {}
        }
        let Next::Body { end } = download.reply(&head)? else { return Ok(()) };
        for block in body.chunks(BLOCK) {
            world.time.pass(world.millis(10..5_000)).await;
            if world.is_unlucky() {
                return self.again(Error::new(Status::Broken, "the connection broke")).await;
            }
            download.append(block)?;
        }
        download.ended(end)
    }

    /// Waits for a slot of the quota of links.
    async fn slot(&self) -> Permit<'a> {
        let Process { limiter, rules, .. } = &**self.process;
        let mut turn = Turn::new(limiter, Quota::Link, rules, self.call.rank());
        loop {
            let wakes = self.call.signal().wakes();
            let next = match turn.step(self.call, true).unwrap() {
                Step::Ready(permit) => return permit,
                Step::Wait { next, .. } => next,
            };
            self.world.tally(|tally| &mut tally.waits_for_quota);
            let until = next.recheck_at.map(|at| at.since(Time::default()));
            self.world.time.wait(until, Some((self.call.signal(), wakes))).await;
        }
    }

    async fn again(&mut self, error: Error) -> Result<()> {
        self.failures += 1;
        if self.failures >= MOST_FAILURES {
            return Err(error.retryable(true));
        }
        self.world.time.pass(self.world.seconds(1..5)).await;
        Ok(())
    }
}
