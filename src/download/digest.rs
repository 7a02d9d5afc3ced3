//! The hash of what arrives. On a fast network hashing costs more than half of all the rest of a download, so there a
//! thread beside the call does it, which ends before the call does.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use ring::digest::{Context, SHA256};

use crate::archive::hex;
use crate::ffi::process;
use crate::log::{self, Level};
use crate::{Error, Result, Stage, Status, threads};

/// How much must have come in full blocks, as on a fast network, before a thread is worth it.
const APART_FROM: usize = 8 * 1024 * 1024;
/// Blocks beside the one that is being filled.
const BLOCKS: usize = 15;
/// How many are hashed at least, once the thread is woken.
const BATCH: usize = 8;

pub(super) struct Digest {
    state: State,
    /// What came in full blocks before it was tried to start a thread.
    full: Option<usize>,
}

enum State {
    Here(Context),
    Apart(Apart),
}

impl From<Context> for Digest {
    fn from(context: Context) -> Digest {
        Digest { state: State::Here(context), full: Some(0) }
    }
}

impl Digest {
    pub(super) fn new() -> Digest {
        Digest::from(Context::new(&SHA256))
    }

    /// Adds the first `filled` bytes of a block; the caller may get another block of the same size for it.
    pub(super) fn update(&mut self, block: &mut Vec<u8>, filled: usize) {
        self.consider_a_thread(block.len(), filled);
        match &mut self.state {
            State::Here(context) => context.update(block.get(..filled).unwrap_or_default()),
            State::Apart(apart) => apart.update(block, filled),
        }
    }

    fn consider_a_thread(&mut self, size: usize, filled: usize) {
        let Some(full) = &mut self.full else {
            return;
        };
        *full += if filled == size { size } else { 0 };
        if *full < APART_FROM {
            return;
        }
        // Tried once: where there is no thread to be had, things go on as before.
        self.full = None;
        if let State::Here(context) = &self.state {
            match Apart::start(context.clone(), size) {
                Ok(apart) => self.state = State::Apart(apart),
                Err(error) => log::line(Level::Debug, || {
                    format!("no thread to hash the package with: {error}")
                }),
            }
        }
    }

    /// The hash of all that was added.
    pub(super) fn finish(&mut self) -> Result<String> {
        if let State::Apart(apart) = &mut self.state {
            self.state = State::Here(apart.end().ok_or_else(lost)?);
        }
        match &self.state {
            State::Here(context) => Ok(hex(context.clone().finish().as_ref())),
            State::Apart(_) => Err(lost()),
        }
    }
}

/// The thread, and the blocks that go to and fro.
struct Apart {
    /// A child that is forked meanwhile, in a progress callback, has no such thread.
    home: u64,
    queue: Arc<Queue>,
    thread: Option<JoinHandle<Context>>,
}

#[derive(Default)]
struct Queue {
    blocks: Mutex<Blocks>,
    /// Some are to be hashed, or there will be no more.
    filled: Condvar,
    emptied: Condvar,
}

#[derive(Default)]
struct Blocks {
    /// Each with how much of it is to be hashed.
    to_hash: VecDeque<(Vec<u8>, usize)>,
    empty: Vec<Vec<u8>>,
    has_ended: bool,
}

impl Apart {
    fn start(mut context: Context, size: usize) -> std::io::Result<Apart> {
        let queue = Arc::new(Queue::default());
        queue.blocks.lock().empty = vec![vec![0; size]; BLOCKS];
        let own = Arc::clone(&queue);
        let thread = threads::spawn("mde-hash", move || {
            while let Some((block, filled)) = own.next() {
                context.update(block.get(..filled).unwrap_or_default());
                own.blocks.lock().empty.push(block);
                own.emptied.notify_one();
            }
            context
        })?;
        Ok(Apart { home: process::incarnation(), queue, thread: Some(thread) })
    }

    /// Waits for an empty block when all are still to be hashed. Of what a thread that is gone is given, `end` tells.
    fn update(&mut self, block: &mut Vec<u8>, filled: usize) {
        if self.is_gone() {
            return;
        }
        let mut blocks = self.queue.blocks.lock();
        let empty = loop {
            match blocks.empty.pop() {
                Some(empty) => break empty,
                // It cannot die, but a call that waits for ever would be the worst end of it.
                None if self.is_gone() => return,
                None => {
                    let _ = self.queue.emptied.wait_for(&mut blocks, Duration::from_secs(1));
                }
            }
        };
        blocks.to_hash.push_back((mem::replace(block, empty), filled));
        if blocks.to_hash.len() >= BATCH {
            self.queue.filled.notify_one();
        }
    }

    fn is_gone(&self) -> bool {
        self.home != process::incarnation()
            || self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn end(&mut self) -> Option<Context> {
        let thread = self.thread.take()?;
        if self.home != process::incarnation() {
            mem::forget(thread);
            return None;
        }
        self.queue.blocks.lock().has_ended = true;
        self.queue.filled.notify_one();
        thread.join().ok()
    }
}

impl Queue {
    /// The next block to be hashed. Waits for several: waking a thread costs as much as hashing a small one.
    fn next(&self) -> Option<(Vec<u8>, usize)> {
        let mut blocks = self.blocks.lock();
        if blocks.to_hash.is_empty() {
            while blocks.to_hash.len() < BATCH && !blocks.has_ended {
                self.filled.wait(&mut blocks);
            }
        }
        blocks.to_hash.pop_front()
    }
}

impl Drop for Apart {
    /// No thread outlives the call that began it.
    fn drop(&mut self) {
        self.end();
    }
}

fn lost() -> Error {
    let message = "the thread that hashes the package has died; repeat the call, which carries on";
    Error::new(Status::Internal, message).retryable(true).at(Stage::Download)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(target_os = "linux"))]
    fn threads(digest: &Digest) -> usize {
        usize::from(matches!(digest.state, State::Apart(_)))
    }

    /// As the system counts them.
    #[cfg(target_os = "linux")]
    fn threads(_: &Digest) -> usize {
        let count = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = std::fs::read_to_string(entry.ok()?.path().join("comm")).ok()?;
            (name.trim() == "mde-hash").then_some(())
        };
        std::fs::read_dir("/proc/self/task").unwrap().filter_map(count).count()
    }

    /// Adds blocks, some of them not full; the hash, what it should be, and the most threads at a time.
    fn hashed(blocks: usize, is_full: fn(usize) -> bool) -> (String, String, usize) {
        let size = APART_FROM / 8;
        let (mut digest, mut whole) = (Digest::new(), Context::new(&SHA256));
        let mut block = vec![0; size];
        let mut most = 0;
        for n in 0..blocks {
            block.iter_mut().enumerate().for_each(|(at, byte)| *byte = (n * 31 + at) as u8);
            let filled = if is_full(n) { size } else { size / 3 };
            whole.update(&block[..filled]);
            digest.update(&mut block, filled);
            assert_eq!(block.len(), size);
            most = most.max(threads(&digest));
        }
        let first = digest.finish().unwrap();
        assert_eq!(digest.finish().unwrap(), first, "asked for again");
        assert_eq!(threads(&digest), 0, "none is left");
        (first, hex(whole.finish().as_ref()), most)
    }

    #[test]
    fn a_thread_changes_nothing_but_the_time() {
        let (hash, expected, most) = hashed(7, |_| true);
        assert_eq!((hash, most), (expected, 0), "not much");
        let (hash, expected, most) = hashed(40, |n| n % 7 > 0);
        assert_eq!((hash, most), (expected, 1), "much");
        let (hash, expected, most) = hashed(40, |_| false);
        assert_eq!((hash, most), (expected, 0), "much, but slowly");
    }
}
