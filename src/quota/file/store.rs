//! The quota file on disk: opened, locked, made, replaced and set aside, but not understood.
//!
//! Every access is a transaction under the operating system's lock on the file, which falls when its holder
//! dies. Nothing is mapped into memory: whoever truncates the file must not take the host down with it.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::boot;
use super::layout::{self, Entry, Gate, HEAD, Head, SLOT};
use super::system::{is_still_at, open, read_at, try_lock, unlock, write_at};
use crate::call::Stop;
use crate::service::endpoint::{PerQuota, Quota};

/// A holder needs microseconds. Longer than this, it is stopped or its disk is.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// In nanoseconds; leases are a minute at most.
const FURTHEST: u64 = 600_000_000_000;

/// Why a transaction was not carried out.
pub(super) enum Trouble {
    Stopped(Stop),
    /// The file counts for another tenant, application or service.
    OtherIdentity,
    /// What failed, and why.
    Failed(&'static str, ErrorKind),
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> Trouble {
    move |error| Trouble::Failed(what, error.kind())
}

type Result<T> = std::result::Result<T, Trouble>;

pub(super) struct Store {
    path: PathBuf,
    identity: [u8; 32],
    open: Option<File>,
    /// A file that was damaged, and moved out of the way, since this was asked last.
    set_aside: Option<PathBuf>,
}

/// What to do while somebody else has the lock: sleeps, or says that the caller has to stop.
pub(super) type Pause<'a> = &'a mut dyn FnMut(Duration) -> std::result::Result<(), Stop>;

impl Store {
    pub(super) fn new(path: &str, identity: [u8; 32]) -> Store {
        Store { path: PathBuf::from(path), identity, open: None, set_aside: None }
    }

    pub(super) fn take_set_aside(&mut self) -> Option<PathBuf> {
        self.set_aside.take()
    }

    /// Begins a transaction on a usable file with at least `slots`, whatever has to be done for that.
    pub(super) fn lock(
        &mut self,
        slots: &PerQuota<u32>,
        pause: Pause<'_>,
    ) -> Result<Transaction<'_>> {
        // Each round deals with one thing that was not as it should be; two follow each other at most.
        for _ in 0..4 {
            let file = match self.open.take() {
                Some(file) => file,
                None => open(&self.path).map_err(failed("opened"))?,
            };
            wait_for_lock(&file, pause)?;
            if !is_still_at(&file, &self.path) {
                unlock(&file);
                continue;
            }
            match self.look_at(&file, slots) {
                Ok(Some((head, bytes))) => {
                    let file = self.open.insert(file);
                    let contents = Contents { file, head, bytes };
                    return Ok(Transaction { contents, _lock: Lock(file) });
                }
                Ok(None) => unlock(&file),
                Err(trouble) => {
                    unlock(&file);
                    return Err(trouble);
                }
            }
        }
        Err(Trouble::Failed("kept: others keep replacing it", ErrorKind::Other))
    }

    /// Reads the head of the locked file. `None`: it was put in order, or replaced by a better one.
    fn look_at(&mut self, file: &File, slots: &PerQuota<u32>) -> Result<Option<(Head, Vec<u8>)>> {
        let session =
            boot::session().ok_or(Trouble::Failed("used: no boot id", ErrorKind::Unsupported))?;
        let mut bytes = vec![0; HEAD];
        let got = read_at(file, &mut bytes, 0).map_err(failed("read"))?;
        bytes.truncate(got);
        let metadata = file.metadata().map_err(failed("read"))?;
        if !metadata.is_file() {
            return Err(Trouble::Failed("used: it is no file", ErrorKind::InvalidInput));
        }
        let length = metadata.len();
        if length == 0 {
            let head = Head { slots: slots.clone(), identity: self.identity };
            let new =
                self.make_beside(&self.path, |file| fill(file, &head, &session, Entry::FREE))?;
            std::fs::rename(new, &self.path).map_err(failed("replaced"))?;
            return Ok(None);
        }
        let intact = Head::read(&bytes).filter(|head| is_intact(head, &bytes, length));
        let Some(head) = intact else {
            self.set_aside(slots, &session)?;
            return Ok(None);
        };
        if head.identity != self.identity {
            return Err(Trouble::OtherIdentity);
        }
        let contents = Contents { file, head, bytes };
        if layout::session(&contents.bytes) != Some(session) {
            contents.begin_session(&session)?;
            return Ok(None);
        }
        if Quota::ALL.iter().any(|q| slots.of(*q) > contents.head.slots.of(*q)) {
            self.grow(&contents, slots, &session)?;
            return Ok(None);
        }
        Ok(Some((contents.head, contents.bytes)))
    }

    /// Moves a file that cannot be read out of the way. What it knew is lost, so the new one starts as if
    /// every call had just been made.
    fn set_aside(&mut self, slots: &PerQuota<u32>, session: &boot::Session) -> Result<()> {
        let aside = with_suffix(&self.path, ".damaged");
        let head = Head { slots: slots.clone(), identity: self.identity };
        let new = self.make_beside(&self.path, |file| {
            let now = u64::try_from(boot::now().as_nanos()).unwrap_or(u64::MAX);
            fill(file, &head, session, Entry { stamp: now, owner: 0 })
        })?;
        // Under both names for a moment: at no time is there no file at all.
        let _ = std::fs::remove_file(&aside);
        if std::fs::hard_link(&self.path, &aside).is_err() {
            std::fs::rename(&self.path, &aside).map_err(failed("replaced"))?;
        }
        std::fs::rename(new, &self.path).map_err(failed("replaced"))?;
        self.set_aside = Some(aside);
        Ok(())
    }

    /// Replaces the file by one with larger tables and the same entries.
    fn grow(
        &self,
        old: &Contents<'_>,
        slots: &PerQuota<u32>,
        session: &boot::Session,
    ) -> Result<()> {
        let mut head = old.head.clone();
        for quota in Quota::ALL {
            let room = head.slots.of_mut(quota);
            *room = (*room).max(*slots.of(quota));
        }
        let new = self.make_beside(&self.path, |file| {
            fill(file, &head, session, Entry::FREE)?;
            let new = Contents { file, head: head.clone(), bytes: Vec::new() };
            for quota in Quota::ALL {
                new.write_gate(quota, old.gate(quota))?;
                for (place, entry) in old.entries(quota)?.into_iter().enumerate() {
                    new.write(quota, place as u64, entry)?;
                }
            }
            Ok(())
        })?;
        std::fs::rename(new, &self.path).map_err(failed("replaced"))
    }

    /// Makes a file that is to take the place of another, with the same permissions.
    fn make_beside(&self, path: &Path, make: impl FnOnce(&File) -> Result<()>) -> Result<PathBuf> {
        let beside = with_suffix(path, ".new");
        let _ = std::fs::remove_file(&beside);
        let file = open(&beside).map_err(failed("replaced"))?;
        if let Ok(old) = std::fs::metadata(path) {
            let _ = file.set_permissions(old.permissions());
        }
        // On the disk before it takes the other's place: a power cut must not leave an empty one there.
        let made = make(&file).and_then(|()| file.sync_all().map_err(failed("filled")));
        match made {
            Ok(()) => Ok(beside),
            Err(trouble) => {
                let _ = std::fs::remove_file(&beside);
                Err(trouble)
            }
        }
    }
}

/// Whether all but the entries is whole, which can do without each other.
fn is_intact(head: &Head, bytes: &[u8], length: u64) -> bool {
    let gates = Quota::ALL.into_iter().all(|quota| Gate::read(bytes, quota).is_some());
    gates && layout::session(bytes).is_some() && head.length() == length
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Writes a whole file, every byte of it, so that the room on the disk is there from now on.
fn fill(file: &File, head: &Head, session: &boot::Session, entry: Entry) -> Result<()> {
    let mut bytes = head.to_bytes();
    bytes.resize(usize::try_from(layout::SESSION_AT).unwrap_or(HEAD), 0);
    bytes.extend(layout::session_to_bytes(session));
    bytes.resize(HEAD, 0);
    for quota in Quota::ALL {
        let slots = u64::from(*head.slots.of(quota));
        bytes.extend((0..slots).flat_map(|place| entry.to_bytes(quota, place)));
    }
    write_at(file, &bytes, 0).map_err(failed("filled"))
}

/// Exclusive use of a usable file, until dropped.
pub(super) struct Transaction<'a> {
    contents: Contents<'a>,
    _lock: Lock<'a>,
}

impl<'a> std::ops::Deref for Transaction<'a> {
    type Target = Contents<'a>;

    fn deref(&self) -> &Contents<'a> {
        &self.contents
    }
}

struct Lock<'a>(&'a File);

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        unlock(self.0);
    }
}

/// What is in a file that is locked.
pub(super) struct Contents<'a> {
    file: &'a File,
    head: Head,
    /// The first [`HEAD`] of them.
    bytes: Vec<u8>,
}

impl Contents<'_> {
    /// All entries of an endpoint. Damaged ones, and those from a future that no lease reaches since the clock
    /// was set back, count as calls that have just been made.
    pub(super) fn entries(&self, quota: Quota) -> Result<Vec<Entry>> {
        let slots = *self.head.slots.of(quota);
        let mut bytes = vec![0; slots as usize * SLOT];
        let got = read_at(self.file, &mut bytes, self.head.table(quota)).map_err(failed("read"))?;
        if got != bytes.len() {
            return Err(Trouble::Failed("read: it is too short", ErrorKind::UnexpectedEof));
        }
        let now = u64::try_from(boot::now().as_nanos()).unwrap_or(u64::MAX);
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
        read_at(self.file, &mut bytes, self.head.table(quota) + place * SLOT as u64)
            .map_err(failed("read"))?;
        Ok(Entry::read(&bytes, quota, place))
    }

    pub(super) fn write(&self, quota: Quota, place: u64, entry: Entry) -> Result<()> {
        let at = self.head.table(quota) + place * SLOT as u64;
        write_at(self.file, &entry.to_bytes(quota, place), at).map_err(failed("written"))
    }

    pub(super) fn gate(&self, quota: Quota) -> Gate {
        Gate::read(&self.bytes, quota).unwrap_or_default()
    }

    pub(super) fn write_gate(&self, quota: Quota, gate: Gate) -> Result<()> {
        write_at(self.file, &gate.to_bytes(quota), Gate::at(quota)).map_err(failed("written"))
    }

    /// The machine was restarted, so the clock began anew. Every call of before was made before its start; its
    /// bytes may have been under way for a while. What had not reached the disk when the machine stopped is
    /// not known: at most the calls of half a minute.
    fn begin_session(&self, session: &boot::Session) -> Result<()> {
        const UNDER_WAY: u64 = 30_000_000_000;
        for quota in Quota::ALL {
            let gate = self.gate(quota);
            let remaining = gate.closed_until.saturating_sub(gate.closed_at);
            self.write_gate(quota, Gate { closed_until: remaining, closed_at: 0, ..gate })?;
            let entries = self.entries(quota)?;
            let (per_minute, _) = quota.documented();
            let mut unknown = if entries.contains(&Entry::FREE) { per_minute } else { 0 };
            for (place, entry) in entries.into_iter().enumerate() {
                if entry == Entry::FREE {
                    if unknown == 0 {
                        continue;
                    }
                    unknown -= 1;
                }
                self.write(quota, place as u64, Entry { stamp: UNDER_WAY, owner: 0 })?;
            }
        }
        let bytes = layout::session_to_bytes(session);
        write_at(self.file, &bytes, layout::SESSION_AT).map_err(failed("written"))
    }
}

fn wait_for_lock(file: &File, pause: Pause<'_>) -> Result<()> {
    const LONGEST: Duration = Duration::from_millis(2);
    // Only time that was spent waiting counts, not time for which the whole process stood still.
    let (mut waited, mut next) = (Duration::ZERO, Duration::from_micros(50));
    while !try_lock(file).map_err(failed("locked"))? {
        if waited > PATIENCE {
            return Err(Trouble::Failed("locked: somebody holds it", ErrorKind::TimedOut));
        }
        // A little of chance keeps two processes from meeting again and again.
        let nap = next / 2 + next * fastrand::u32(0..1_000) / 1_000;
        pause(nap).map_err(Trouble::Stopped)?;
        waited += nap;
        next = (next * 2).min(LONGEST);
    }
    Ok(())
}
