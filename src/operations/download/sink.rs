//! Where a package goes as it arrives: into its file, and through the hash. Where the two take longer than what comes takes
//! to come, a thread beside the call does them, which ends before the call does. On most networks they do not: there the
//! call keeps up alone. (Where it is close, a thread may be started that gains little, or none that would have gained a
//! little: what comes while a block is written waits in the socket, and its time is not seen.)

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::mem;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use ring::digest::{Context, SHA256};

use crate::call::{Call, Stop};
use crate::log::{self, Level};
use crate::os::{lock, process, thread};
use crate::text::hex::hex;

/// After how much it is looked where the time goes.
const LOOK_EVERY: usize = 16 * 1024 * 1024;
/// Blocks beside the one that is being filled.
const BLOCKS: usize = 15;
/// How many full ones there are at least, once the thread is woken.
const BATCH: usize = 8;
/// What came is written at least so soon.
const LINGER: Duration = Duration::from_millis(200);
/// The longest a stop can go unnoticed.
const SLICE: Duration = Duration::from_millis(20);

pub(super) struct Sink {
    state: State,
    /// Until it was tried to start a thread.
    pace: Option<Pace>,
}

/// Where the time went since the last look.
#[derive(Default)]
struct Pace {
    /// When the last block was through.
    since: Option<Instant>,
    /// Until blocks had come.
    coming: Duration,
    /// Until they were through.
    going: Duration,
    bytes: usize,
}

enum State {
    Here(Context),
    Apart(Apart),
    /// Something went wrong, and the hash with it.
    Lost,
}

/// Why a block did not get where it should.
#[derive(Debug)]
pub(super) enum Trouble {
    File(io::Error),
    Stopped(Stop),
    /// The thread is gone.
    Lost,
}

type Result<T> = std::result::Result<T, Trouble>;

/// Some bytes, and where in the file they belong.
struct Piece {
    block: Vec<u8>,
    filled: usize,
    at: u64,
}

/// Writes and hashes.
fn absorb(context: &mut Context, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    lock::write_at(file, bytes, at)?;
    context.update(bytes);
    Ok(())
}

impl Sink {
    pub(super) fn new() -> Sink {
        Sink::after(Context::new(&SHA256))
    }

    /// For the rest of a package whose beginning is hashed.
    pub(super) fn after(context: Context) -> Sink {
        Sink { state: State::Here(context), pace: Some(Pace::default()) }
    }

    /// Takes the first `filled` bytes of a block, which belong at `at`, where the ones before ended; the caller may get
    /// another block of the same size. What goes wrong with them may come out at the next call, or the last.
    pub(super) fn add(
        &mut self,
        call: &Call,
        file: &File,
        at: u64,
        block: &mut Vec<u8>,
        filled: usize,
    ) -> Result<()> {
        let came = Instant::now();
        self.consider_a_thread(file, block.len(), came);
        match &mut self.state {
            State::Here(context) => {
                let bytes = block.get(..filled).unwrap_or_default();
                absorb(context, file, bytes, at).map_err(Trouble::File)?;
                if let Some(pace) = &mut self.pace {
                    pace.take(filled, came, Instant::now());
                }
                Ok(())
            }
            State::Apart(apart) => apart.add(call, at, block, filled),
            State::Lost => Err(Trouble::Lost),
        }
    }

    fn consider_a_thread(&mut self, file: &File, size: usize, now: Instant) {
        if !self.pace.as_mut().is_some_and(|pace| pace.is_held_up(now)) {
            return;
        }
        // Tried once: where there is no thread to be had, things go on as before.
        self.pace = None;
        if let State::Here(context) = &self.state {
            let own = context.clone();
            match file.try_clone().and_then(|file| Apart::start(own, size, file)) {
                Ok(apart) => self.state = State::Apart(apart),
                Err(error) => log::line(Level::Debug, || {
                    format!("no thread to write the package with: {error}")
                }),
            }
        }
    }

    /// Waits until all that was added is in the file.
    pub(super) fn settle(&mut self, call: &Call) -> Result<()> {
        let State::Apart(apart) = &mut self.state else {
            return Ok(());
        };
        apart.finish(call)?;
        self.state = match apart.end() {
            Some(Ok(context)) => State::Here(context),
            Some(Err(error)) => {
                self.state = State::Lost;
                return Err(Trouble::File(error));
            }
            None => State::Lost,
        };
        Ok(())
    }

    /// The hash of all that was added; after [`Sink::settle`].
    pub(super) fn sha256(&self) -> Result<String> {
        match &self.state {
            State::Here(context) => Ok(hex(context.clone().finish().as_ref())),
            State::Apart(_) | State::Lost => Err(Trouble::Lost),
        }
    }
}

impl Pace {
    fn take(&mut self, bytes: usize, came: Instant, through: Instant) {
        if let Some(since) = self.since.replace(through) {
            self.coming += came.saturating_duration_since(since);
        }
        self.going += through.saturating_duration_since(came);
        self.bytes += bytes;
    }

    /// Whether blocks take longer to get through than to come.
    fn is_held_up(&mut self, now: Instant) -> bool {
        if self.bytes < LOOK_EVERY {
            return false;
        }
        let is_held_up = self.going > self.coming;
        *self = Pace { since: Some(now), ..Pace::default() };
        is_held_up
    }
}

/// The thread, and the blocks that go to and fro.
struct Apart {
    /// A child that is forked meanwhile, in a progress callback, has no such thread.
    home: u64,
    queue: Arc<Queue>,
    thread: Option<JoinHandle<io::Result<Context>>>,
}

#[derive(Default)]
struct Queue {
    blocks: Mutex<Blocks>,
    /// Some are to be written, or there will be no more.
    filled: Condvar,
    /// One is empty, or the thread is through.
    emptied: Condvar,
}

#[derive(Default)]
struct Blocks {
    full: VecDeque<Piece>,
    empty: Vec<Vec<u8>>,
    /// Nothing more will come.
    has_ended: bool,
    /// Nobody needs what there is.
    is_given_up: bool,
    is_through: bool,
}

impl Apart {
    fn start(mut context: Context, size: usize, file: File) -> io::Result<Apart> {
        let queue = Arc::new(Queue::default());
        queue.blocks.lock().empty = vec![vec![0; size]; BLOCKS];
        let own = Arc::clone(&queue);
        let thread = thread::spawn("mde-write", move || {
            let mut outcome = Ok(());
            while let (Ok(()), Some(Piece { block, filled, at })) = (&outcome, own.next()) {
                let bytes = block.get(..filled).unwrap_or_default();
                outcome = absorb(&mut context, &file, bytes, at);
                own.blocks.lock().empty.push(block);
                own.emptied.notify_one();
            }
            own.blocks.lock().is_through = true;
            own.emptied.notify_one();
            outcome.map(|()| context)
        })?;
        Ok(Apart { home: process::incarnation(), queue, thread: Some(thread) })
    }

    /// Waits for an empty block when all are full.
    fn add(&mut self, call: &Call, at: u64, block: &mut Vec<u8>, filled: usize) -> Result<()> {
        let empty = self.wait(call, |blocks| match blocks.is_through {
            true => Some(None),
            false => blocks.empty.pop().map(Some),
        })?;
        let Some(empty) = empty else {
            // Only for want of room in the file, or the like.
            return Err(self.end().and_then(io::Result::err).map_or(Trouble::Lost, Trouble::File));
        };
        let mut blocks = self.queue.blocks.lock();
        blocks.full.push_back(Piece { block: mem::replace(block, empty), filled, at });
        if blocks.full.len() >= BATCH {
            self.queue.filled.notify_one();
        }
        Ok(())
    }

    /// Waits until the thread is through with everything.
    fn finish(&mut self, call: &Call) -> Result<()> {
        if self.is_here() {
            self.queue.blocks.lock().has_ended = true;
            self.queue.filled.notify_one();
        }
        self.wait(call, |blocks| blocks.is_through.then_some(()))
    }

    fn wait<T>(&self, call: &Call, mut done: impl FnMut(&mut Blocks) -> Option<T>) -> Result<T> {
        if !self.is_here() {
            return Err(Trouble::Lost);
        }
        let mut blocks = self.queue.blocks.lock();
        loop {
            if let Some(value) = done(&mut blocks) {
                return Ok(value);
            }
            // It cannot die, but a call that waits for ever would be the worst end of it.
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) && !blocks.is_through {
                return Err(Trouble::Lost);
            }
            call.check().map_err(Trouble::Stopped)?;
            let _ = self.queue.emptied.wait_for(&mut blocks, SLICE);
        }
    }

    fn is_here(&self) -> bool {
        self.home == process::incarnation()
    }

    /// Ends the thread after the block that it is at.
    fn end(&mut self) -> Option<io::Result<Context>> {
        let thread = self.thread.take()?;
        if !self.is_here() {
            mem::forget(thread);
            return None;
        }
        self.queue.blocks.lock().is_given_up = true;
        self.queue.filled.notify_one();
        thread.join().ok()
    }
}

impl Queue {
    /// The next piece. Waits for several: waking a thread costs as much as hashing a small one.
    fn next(&self) -> Option<Piece> {
        let mut blocks = self.blocks.lock();
        while blocks.full.is_empty() && !(blocks.has_ended || blocks.is_given_up) {
            let is_early = |blocks: &mut Blocks| {
                blocks.full.len() < BATCH && !(blocks.has_ended || blocks.is_given_up)
            };
            let _ = self.filled.wait_while_for(&mut blocks, is_early, LINGER);
        }
        if blocks.is_given_up { None } else { blocks.full.pop_front() }
    }
}

/// No thread outlives the call that began it. What it has not written, a later call fetches again.
impl Drop for Apart {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::path::{Path, PathBuf};
    use std::time::Instant;

    use super::*;
    use crate::call::Cancel;

    const SIZE: usize = LOOK_EVERY / 8;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Scratch {
            let name = format!("mde-sink-{:016x}", fastrand::u64(..));
            let path = std::env::temp_dir().join(name);
            File::create(&path).unwrap();
            Scratch(path)
        }

        fn open(&self) -> File {
            OpenOptions::new().read(true).write(true).open(&self.0).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn call(cancel: Option<&Cancel>) -> Call {
        Call::begin(&Arc::default(), None, cancel)
    }

    #[cfg(not(target_os = "linux"))]
    fn threads(sink: &Sink) -> usize {
        usize::from(matches!(sink.state, State::Apart(_)))
    }

    /// As the system counts them.
    #[cfg(target_os = "linux")]
    fn threads(_: &Sink) -> usize {
        let count = |entry: io::Result<std::fs::DirEntry>| {
            let name = std::fs::read_to_string(entry.ok()?.path().join("comm")).ok()?;
            (name.trim() == "mde-write").then_some(())
        };
        std::fs::read_dir("/proc/self/task").unwrap().filter_map(count).count()
    }

    fn content(path: &Path) -> (String, usize) {
        let bytes = std::fs::read(path).unwrap();
        (hex(ring::digest::digest(&SHA256, &bytes).as_ref()), bytes.len())
    }

    /// Adds blocks, some of them not full; the most threads at a time.
    fn added(blocks: usize) -> usize {
        let scratch = Scratch::new();
        let (file, call, mut sink) = (scratch.open(), call(None), Sink::new());
        let (mut added, mut at, mut block, mut most) = (Vec::new(), 0, vec![0; SIZE], 0);
        for n in 0..blocks {
            let filled = if n % 7 > 0 { SIZE } else { SIZE / 3 };
            block.fill(n as u8);
            sink.add(&call, &file, at, &mut block, filled).unwrap();
            at += filled as u64;
            added.push((n as u8, filled));
            assert_eq!(block.len(), SIZE);
            most = most.max(threads(&sink));
        }
        sink.settle(&call).unwrap();
        // A thread that was waited for may be listed for a moment yet.
        let ended = Instant::now();
        while threads(&sink) > 0 && ended.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(threads(&sink), 0, "none is left");
        let mut all = Vec::new();
        added.iter().for_each(|(byte, filled)| all.resize(all.len() + filled, *byte));
        let hash = hex(ring::digest::digest(&SHA256, &all).as_ref());
        assert_eq!(sink.sha256().unwrap(), hash);
        assert_eq!(sink.sha256().unwrap(), hash, "asked for again");
        assert_eq!(content(&scratch.0), (hash, at as usize));
        most
    }

    #[test]
    fn a_thread_is_for_what_gets_through_more_slowly_than_it_comes() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        // Blocks that take this long to come and to get through.
        let held_up = |coming: u64, going: u64| {
            let (mut pace, mut now) = (Pace::default(), 0);
            for _ in 0..9 {
                assert!(!pace.is_held_up(ms(now)), "not after so little");
                pace.take(SIZE, ms(now + coming), ms(now + coming + going));
                now += coming + going;
                if pace.bytes >= LOOK_EVERY {
                    break;
                }
            }
            let is_held_up = pace.is_held_up(ms(now));
            assert_eq!(pace.bytes, 0, "looked at anew");
            is_held_up
        };
        assert!(held_up(0, 1) && held_up(10, 12));
        assert!(!held_up(12, 10) && !held_up(50, 5));
    }

    /// One after the other: they are counted.
    #[test]
    fn the_thread() {
        a_thread_changes_nothing_but_the_time();
        what_cannot_be_written_is_told();
        who_waits_can_be_stopped();
        who_gives_up_waits_for_one_block_alone();
        what_came_is_written_though_no_more_comes();
    }

    fn a_thread_changes_nothing_but_the_time() {
        assert_eq!(added(7), 0, "not much");
        assert_eq!(added(40), 1, "much");
    }

    fn what_cannot_be_written_is_told() {
        let scratch = Scratch::new();
        let (call, mut block) = (call(None), vec![0; SIZE]);
        // Not writable, as on a disk that is full.
        let file = File::open(&scratch.0).unwrap();
        let mut sink = Sink::new();
        let failed = sink.add(&call, &file, 0, &mut block, SIZE);
        assert!(matches!(failed, Err(Trouble::File(_))), "{failed:?}");

        // Not after that much, so a thread finds it out. Sooner or later the one who adds is told, once.
        let file = file.try_clone().unwrap();
        let apart =
            || Apart::start(Context::new(&SHA256), SIZE, file.try_clone().unwrap()).unwrap();
        let mut sink = Sink { state: State::Apart(apart()), pace: None };
        let told = (0..100).find_map(|n| sink.add(&call, &file, n, &mut block, SIZE).err());
        assert!(matches!(told, Some(Trouble::File(_))), "{told:?}");
        assert!(matches!(sink.add(&call, &file, 0, &mut block, SIZE), Err(Trouble::Lost)));
        assert!(matches!(sink.sha256(), Err(Trouble::Lost)));
        let mut sink = Sink { state: State::Apart(apart()), pace: None };
        sink.add(&call, &file, 0, &mut block, SIZE).unwrap();
        let told = sink.settle(&call);
        assert!(matches!(told, Err(Trouble::File(_))), "{told:?}");
        assert!(matches!(sink.sha256(), Err(Trouble::Lost)));
        assert_eq!(threads(&sink), 0);
    }

    fn started(scratch: &Scratch) -> Apart {
        Apart::start(Context::new(&SHA256), SIZE, scratch.open()).unwrap()
    }

    fn who_waits_can_be_stopped() {
        let scratch = Scratch::new();
        let apart = started(&scratch);
        let cancel = Cancel::new(Some(Duration::from_millis(50)));
        let (call, began) = (call(Some(&cancel)), Instant::now());
        let stopped = apart.wait(&call, |_| None::<()>);
        assert!(matches!(stopped, Err(Trouble::Stopped(Stop::Deadline))), "{stopped:?}");
        assert!(began.elapsed() >= Duration::from_millis(50));
        cancel.trigger();
        let stopped = apart.wait(&call, |_| None::<()>);
        assert!(matches!(stopped, Err(Trouble::Stopped(Stop::Cancelled))), "{stopped:?}");
    }

    #[test]
    fn what_nobody_needs_is_left() {
        let queue = Queue::default();
        let piece = |at| Piece { block: vec![0; SIZE], filled: SIZE, at };
        queue.blocks.lock().full.extend([piece(0), piece(1)]);
        queue.blocks.lock().has_ended = true;
        assert!(queue.next().is_some_and(|piece| piece.at == 0));
        queue.blocks.lock().is_given_up = true;
        assert!(queue.next().is_none());
        queue.blocks.lock().is_given_up = false;
        assert!(queue.next().is_some_and(|piece| piece.at == 1) && queue.next().is_none());
    }

    fn who_gives_up_waits_for_one_block_alone() {
        const PIECES: u64 = 100_000;
        let scratch = Scratch::new();
        let mut apart = started(&scratch);
        let piece = |at| Piece { block: vec![0], filled: 1, at };
        apart.queue.blocks.lock().full.extend((0..PIECES).map(piece));
        assert!(apart.end().is_some_and(|outcome| outcome.is_ok()));
        assert!((content(&scratch.0).1 as u64) < PIECES);
    }

    fn what_came_is_written_though_no_more_comes() {
        let scratch = Scratch::new();
        let mut apart = started(&scratch);
        apart.add(&call(None), 0, &mut vec![0; SIZE], 5).unwrap();
        let began = Instant::now();
        while content(&scratch.0).1 < 5 {
            assert!(began.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
