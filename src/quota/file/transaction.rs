//! Transactions on the quota file.
//!
//! Every access is a transaction under the operating system's lock on the file. The system releases the lock when its
//! holder dies. The file is not mapped into memory, because another process may truncate it, and that would kill the
//! host.
//!
//! Each transaction opens the file and closes it. The lock belongs to the open file description, which forked children
//! inherit. If the file stayed open, and the parent died in a transaction, its children would keep the lock. So only
//! a child that is forked during a transaction can keep it, and only if its parent dies in that transaction.
//!
//! Locks of the process (`F_SETLK`) are not inherited. But they do not exclude a second copy of this library in the
//! same process. The system also releases them when any code there closes the file. Both would break the quota without
//! an error. Locks by `F_OFD_SETLK` are inherited like those by `flock`.
//!
//! A transaction costs an `openat` and a `close`. In return, a host may close unknown descriptors, and we never use
//! one that it has opened since.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use super::layout::{self, ASSUMED_SPENT_AT, AssumedSpent, EndpointState, Entry, Head, SLOT};
use crate::call::Stop;
use crate::os::boot_clock;
use crate::os::file::{self, Access, Links, Mode};
use crate::os::file_limit::NoSignal;
use crate::os::io_error::reason;
use crate::os::lock::{read_at, try_lock, unlock, write_at};
use crate::os::random;
use crate::service::quota::{PerQuota, Quota};

/// How long to wait for the lock. A holder needs microseconds; after this time its process or disk hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Why there was no transaction.
pub(super) enum Trouble {
    Stopped(Stop),
    /// The file counts for another tenant, application or service.
    OtherIdentity,
    /// The file is neither empty nor a quota file.
    NoQuotaFile,
    /// The quota file has this version.
    OtherVersion(u32),
    /// The file may be another user's, for this reason.
    NotOurs(String),
    /// The operation that failed, to complete "cannot be …", and the reason.
    Failed(&'static str, ErrorKind),
}

pub(super) fn failed(what: &'static str) -> impl FnOnce(io::Error) -> Trouble {
    move |error| Trouble::Failed(what, error.kind())
}

pub(super) type Result<T> = std::result::Result<T, Trouble>;

/// Sleeps while another process holds the lock. The error stops the transaction.
pub(super) type Pause<'a> = &'a mut dyn FnMut(Duration) -> std::result::Result<(), Stop>;

/// The bytes of a quota file. Simulations keep them in memory.
pub(super) trait Bytes {
    /// Reads from this position on. Returns less than asked only at the end.
    fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<usize>;

    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()>;
}

impl Bytes for File {
    fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        read_at(self, bytes, at)
    }

    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        write_at(self, bytes, at)
    }
}

/// A file that is locked until this is dropped.
pub(super) struct Locked {
    file: File,
    /// Meanwhile, writing beyond the limit of the process is an error and not its end.
    _no_signal: NoSignal,
}

/// Opens the file, or creates it. A group has access to the new file only if it may write: a reader could hold the lock.
fn open(path: &Path) -> io::Result<File> {
    let existing = || file::open(path, Access::Update, Links::Refused);
    match existing() {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        other => return other,
    }
    match file::open(path, Access::Create(Mode::OwnerAndGroup), Links::Refused) {
        // Another process was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => existing(),
        Err(error) => Err(error),
        Ok(new) => file::private_unless_shared(&new).map(|()| new),
    }
}

impl Locked {
    /// Opens and locks the file. Waits while another process holds the lock.
    pub(super) fn open(path: &Path, pause: Pause<'_>) -> Result<Locked> {
        const LONGEST: Duration = Duration::from_millis(2);
        // This counts the time spent waiting, and not the time for which the process was stopped.
        let (mut waited, mut next) = (Duration::ZERO, Duration::from_micros(50));
        loop {
            // The file is closed while this waits, so that no child inherits it.
            let file = open(path).map_err(|error| match file::is_refusal(&error) {
                // It is a link.
                true => Trouble::NotOurs(reason(&error)),
                false => failed("opened")(error),
            })?;
            if try_lock(&file).map_err(failed("locked"))? {
                return Ok(Locked { file, _no_signal: NoSignal::new() });
            }
            drop(file);
            if waited > PATIENCE {
                return Err(Trouble::Failed(
                    "locked: another process holds the lock",
                    ErrorKind::TimedOut,
                ));
            }
            // The random part keeps two processes from colliding again and again.
            let nap = next / 2 + next * random::generator().u32(0..1_000) / 1_000;
            pause(nap).map_err(Trouble::Stopped)?;
            waited += nap;
            next = (next * 2).min(LONGEST);
        }
    }
}

impl Bytes for Locked {
    fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        Bytes::read(&self.file, bytes, at)
    }

    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        Bytes::write(&self.file, bytes, at)
    }
}

impl std::ops::Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing does not release the lock if a child was forked meanwhile.
        unlock(&self.file);
    }
}

/// How far in the future a stamp may lie, in nanoseconds. A lease is a minute at most.
const FURTHEST: u64 = 600_000_000_000;

/// Exclusive use of the file until this is dropped.
pub(super) struct Transaction<F = Locked> {
    pub file: F,
    pub head: Head,
    /// The first [`HEAD`](super::layout::HEAD) bytes of the file.
    pub bytes: Vec<u8>,
    /// The time in nanoseconds, read when the file was locked.
    pub now: u64,
}

impl<F: Bytes> Transaction<F> {
    /// All entries of an endpoint. A damaged entry counts as a call made just now. So does a stamp beyond any lease,
    /// which the clock leaves when it is set back.
    pub(super) fn entries(&self, quota: Quota) -> Result<Vec<Entry>> {
        let slots = *self.head.slots.of(quota);
        let mut bytes = vec![0; slots as usize * SLOT];
        let got = self.file.read(&mut bytes, self.head.table(quota)).map_err(failed("read"))?;
        if got != bytes.len() {
            return Err(Trouble::Failed("read: it is too short", ErrorKind::UnexpectedEof));
        }
        let furthest = self.now.saturating_add(FURTHEST);
        let mut entries = Vec::with_capacity(slots as usize);
        for (place, bytes) in bytes.chunks_exact(SLOT).enumerate() {
            entries.push(match Entry::read(bytes, quota, place as u64) {
                Some(entry) if entry.stamp <= furthest => entry,
                _ => {
                    let entry = Entry { stamp: self.now, owner: 0 };
                    self.write(quota, place as u64, entry)?;
                    entry
                }
            });
        }
        Ok(entries)
    }

    /// One entry. `None`: it is damaged, or there is none.
    pub(super) fn entry(&self, quota: Quota, place: u64) -> Result<Option<Entry>> {
        if place >= u64::from(*self.head.slots.of(quota)) {
            return Ok(None);
        }
        let mut bytes = [0; SLOT];
        let at = self.head.table(quota) + place * SLOT as u64;
        self.file.read(&mut bytes, at).map_err(failed("read"))?;
        Ok(Entry::read(&bytes, quota, place))
    }

    pub(super) fn write(&self, quota: Quota, place: u64, entry: Entry) -> Result<()> {
        write_entry(&self.file, &self.head, quota, place, entry)
    }

    pub(super) fn state(&self, quota: Quota) -> EndpointState {
        EndpointState::read(&self.bytes, quota).unwrap_or_default()
    }

    pub(super) fn write_state(&self, quota: Quota, state: EndpointState) -> Result<()> {
        write_state(&self.file, quota, state)
    }

    /// Converts the file after a restart of the machine, which also restarts the clock. Earlier calls count as made at
    /// the start, plus a grace period. Calls that never reached the disk are unknown. They are assumed to be as many as
    /// the limits admitted in a minute. The limits may not have reached it either, so `bursts` has this process's own.
    pub(super) fn begin_session(
        &self,
        session: &boot_clock::Session,
        bursts: &PerQuota<u32>,
    ) -> Result<()> {
        const GRACE: u64 = 30_000_000_000;
        const MINUTE: u64 = 60_000_000_000;
        for quota in Quota::ALL {
            let state = self.state(quota);
            // A closed endpoint that is not half open was opened again by a reply.
            let remaining = match state.half_open {
                true => state.closed_until.saturating_sub(state.closed_at),
                false => 0,
            };
            let state = EndpointState {
                closed_until: remaining,
                closed_at: 0,
                retention_until: GRACE.saturating_add(state.retention),
                ..state
            };
            self.write_state(quota, state)?;
            let mut unknown = state.burst.max(*bursts.of(quota));
            for (place, entry) in self.entries(quota)?.into_iter().enumerate() {
                if entry == Entry::FREE {
                    if unknown == 0 {
                        continue;
                    }
                    unknown -= 1;
                }
                self.write(quota, place as u64, Entry { stamp: GRACE, owner: 0 })?;
            }
        }
        let spent = AssumedSpent { until: GRACE + MINUTE, restarted: true };
        self.file.write(&spent.to_bytes(), ASSUMED_SPENT_AT).map_err(failed("written"))?;
        let bytes = layout::session_to_bytes(session);
        self.file.write(&bytes, layout::SESSION_AT).map_err(failed("written"))
    }
}

pub(super) fn write_entry(
    file: &impl Bytes,
    head: &Head,
    quota: Quota,
    place: u64,
    entry: Entry,
) -> Result<()> {
    let at = head.table(quota) + place * SLOT as u64;
    file.write(&entry.to_bytes(quota, place), at).map_err(failed("written"))
}

pub(super) fn write_state(file: &impl Bytes, quota: Quota, state: EndpointState) -> Result<()> {
    file.write(&state.to_bytes(quota), EndpointState::at(quota)).map_err(failed("written"))
}
