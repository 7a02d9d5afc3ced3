//! What is done with the quota file, one piece at a time.
//!
//! Every access is a transaction under the operating system's lock on the file, which falls when its holder
//! dies. Nothing is mapped into memory: whoever truncates the file must not take the host down with it.
//!
//! The file is opened for each transaction and closed after it. The lock belongs to the open file, and a forked
//! child has everything open that its parent had: were the file kept open, a parent killed inside a
//! transaction would leave the lock to children that may live for ever. So only a child that was forked during
//! the very transaction can keep it, and only if its parent is killed in that one, too.
//!
//! Locks of the process (`F_SETLK`) are not inherited at all, but they do not hold between two copies of this
//! library in one process, and fall when anybody in it closes the file: that breaks the quota in silence, which
//! is worse. Locks of the open file description (`F_OFD_SETLK`) are inherited as `flock`'s are.
//!
//! It costs an `openat` and a `close` each time. For that, a host that closes every descriptor it does not know
//! cannot make us use one that belongs to somebody else by then.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use super::layout::{self, AssumedSpent, CAREFUL_AT, EndpointState, Entry, Head, SLOT};
use super::system::open;
use crate::call::Stop;
use crate::os::boot_clock;
use crate::os::lock::{read_at, try_lock, unlock, write_at};
use crate::service::endpoint::Quota;

/// A holder needs microseconds. Longer than this, it is stopped or its disk is.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Why a transaction was not carried out.
pub(super) enum Trouble {
    Stopped(Stop),
    /// The file counts for another tenant, application or service.
    OtherIdentity,
    /// It is not empty, and never was a quota file.
    NoQuotaFile,
    /// It is a quota file of this version.
    OtherVersion(u32),
    /// What failed, and why.
    Failed(&'static str, ErrorKind),
}

pub(super) fn failed(what: &'static str) -> impl FnOnce(io::Error) -> Trouble {
    move |error| Trouble::Failed(what, error.kind())
}

pub(super) type Result<T> = std::result::Result<T, Trouble>;

/// What to do while somebody else has the lock: sleeps, or says that the caller has to stop.
pub(super) type Pause<'a> = &'a mut dyn FnMut(Duration) -> std::result::Result<(), Stop>;

/// A file that is locked, until dropped.
pub(super) struct Locked(File);

impl Locked {
    /// Opens and locks the file, as soon as nobody else has the lock.
    pub(super) fn open(path: &Path, pause: Pause<'_>) -> Result<Locked> {
        const LONGEST: Duration = Duration::from_millis(2);
        // Only time that was spent waiting counts, not time for which the whole process stood still.
        let (mut waited, mut next) = (Duration::ZERO, Duration::from_micros(50));
        loop {
            // Not open while it waits, either.
            let file = open(path).map_err(failed("opened"))?;
            if try_lock(&file).map_err(failed("locked"))? {
                return Ok(Locked(file));
            }
            drop(file);
            if waited > PATIENCE {
                return Err(Trouble::Failed("locked: somebody holds it", ErrorKind::TimedOut));
            }
            // A little of chance keeps two processes from meeting again and again.
            let nap = next / 2 + next * fastrand::u32(0..1_000) / 1_000;
            pause(nap).map_err(Trouble::Stopped)?;
            waited += nap;
            next = (next * 2).min(LONGEST);
        }
    }
}

impl std::ops::Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing is not enough: a child that was forked meanwhile has it open, too.
        unlock(&self.0);
    }
}

/// In nanoseconds; leases are a minute at most.
const FURTHEST: u64 = 600_000_000_000;

/// Exclusive use of a usable file, until dropped.
pub(super) struct Transaction {
    pub file: Locked,
    pub head: Head,
    /// The first [`HEAD`](super::layout::HEAD) of its bytes.
    pub bytes: Vec<u8>,
}

impl Transaction {
    /// All entries of an endpoint. Damaged ones, and those from a future that no lease reaches since the clock
    /// was set back, count as calls that have just been made.
    pub(super) fn entries(&self, quota: Quota) -> Result<Vec<Entry>> {
        let slots = *self.head.slots.of(quota);
        let mut bytes = vec![0; slots as usize * SLOT];
        let got =
            read_at(&self.file, &mut bytes, self.head.table(quota)).map_err(failed("read"))?;
        if got != bytes.len() {
            return Err(Trouble::Failed("read: it is too short", ErrorKind::UnexpectedEof));
        }
        let now = u64::try_from(boot_clock::now().as_nanos()).unwrap_or(u64::MAX);
        let furthest = now.saturating_add(FURTHEST);
        let mut entries = Vec::with_capacity(slots as usize);
        for (place, bytes) in bytes.chunks_exact(SLOT).enumerate() {
            entries.push(match Entry::read(bytes, quota, place as u64) {
                Some(entry) if entry.stamp <= furthest => entry,
                _ => {
                    let entry = Entry { stamp: now, owner: 0 };
                    self.write(quota, place as u64, entry)?;
                    entry
                }
            });
        }
        Ok(entries)
    }

    /// One entry; damaged ones are nobody's.
    pub(super) fn entry(&self, quota: Quota, place: u64) -> Result<Option<Entry>> {
        if place >= u64::from(*self.head.slots.of(quota)) {
            return Ok(None);
        }
        let mut bytes = [0; SLOT];
        read_at(&self.file, &mut bytes, self.head.table(quota) + place * SLOT as u64)
            .map_err(failed("read"))?;
        Ok(Entry::read(&bytes, quota, place))
    }

    pub(super) fn write(&self, quota: Quota, place: u64, entry: Entry) -> Result<()> {
        write_entry(&self.file, &self.head, quota, place, entry)
    }

    pub(super) fn state(&self, quota: Quota) -> EndpointState {
        EndpointState::read(&self.bytes, quota).unwrap_or_default()
    }

    pub(super) fn write_gate(&self, quota: Quota, state: EndpointState) -> Result<()> {
        write_gate(&self.file, quota, state)
    }

    /// The machine was restarted, so the clock began anew. Every call of before was made before its start; its
    /// bytes may have been under way for a while. What had not reached the disk when the machine stopped is
    /// not known: at most the calls of a minute, under the limits that were in force.
    pub(super) fn begin_session(&self, session: &boot_clock::Session) -> Result<()> {
        const UNDER_WAY: u64 = 30_000_000_000;
        const MINUTE: u64 = 60_000_000_000;
        for quota in Quota::ALL {
            let state = self.state(quota);
            let remaining = state.closed_until.saturating_sub(state.closed_at);
            let state = EndpointState {
                closed_until: remaining,
                closed_at: 0,
                memory_until: UNDER_WAY.saturating_add(state.memory),
                ..state
            };
            self.write_gate(quota, state)?;
            let mut unknown = state.burst;
            for (place, entry) in self.entries(quota)?.into_iter().enumerate() {
                if entry == Entry::FREE {
                    if unknown == 0 {
                        continue;
                    }
                    unknown -= 1;
                }
                self.write(quota, place as u64, Entry { stamp: UNDER_WAY, owner: 0 })?;
            }
        }
        let careful = AssumedSpent { until: UNDER_WAY + MINUTE, restarted: true };
        write_at(&self.file, &careful.to_bytes(), CAREFUL_AT).map_err(failed("written"))?;
        let bytes = layout::session_to_bytes(session);
        write_at(&self.file, &bytes, layout::SESSION_AT).map_err(failed("written"))
    }
}

pub(super) fn write_entry(
    file: &File,
    head: &Head,
    quota: Quota,
    place: u64,
    entry: Entry,
) -> Result<()> {
    let at = head.table(quota) + place * SLOT as u64;
    write_at(file, &entry.to_bytes(quota, place), at).map_err(failed("written"))
}

pub(super) fn write_gate(file: &File, quota: Quota, state: EndpointState) -> Result<()> {
    write_at(file, &state.to_bytes(quota), EndpointState::at(quota)).map_err(failed("written"))
}
