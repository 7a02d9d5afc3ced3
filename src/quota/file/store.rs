//! The quota file on disk: made and replaced, but not understood.

use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::MOST_CALLS;
use super::layout::{self, AssumedSpent, CAREFUL_AT, EndpointState, Entry, HEAD, Head, SLOT};
use super::system::{Rights, create, is_still_at, keep_rights, replace, rights};
use super::transaction::{
    Locked, Pause, Result, Transaction, Trouble, failed, write_entry, write_gate,
};
use crate::os::boot_clock;
use crate::os::lock::{read_at, write_at};
use crate::service::endpoint::{PerQuota, Quota};

/// No quota file is longer.
const LONGEST: usize = HEAD + Quota::ALL.len() * MOST_CALLS as usize * SLOT;

pub(super) struct Store {
    path: PathBuf,
    identity: [u8; 32],
    /// How long an entry matters to the widest window of ours, in nanoseconds.
    memory: u64,
    /// A damaged file was replaced since this was asked last.
    damage_found: bool,
    /// What a file that was replaced last has not of the one before, to complete "the new file …"; until somebody
    /// gives it other rights than these.
    rights_lost: Option<(String, Rights)>,
}

impl Store {
    pub(super) fn new(path: &str, identity: [u8; 32], memory: u64) -> Store {
        Store {
            path: PathBuf::from(path),
            identity,
            memory,
            damage_found: false,
            rights_lost: None,
        }
    }

    pub(super) fn take_damage(&mut self) -> bool {
        std::mem::take(&mut self.damage_found)
    }

    /// Why others may not be able to use the file that was put in place of theirs.
    pub(super) fn rights_lost(&self) -> Option<&str> {
        self.rights_lost.as_ref().map(|(what, _)| what.as_str())
    }

    /// Begins a transaction on a usable file with at least `slots`, whatever has to be done for that.
    pub(super) fn lock(&mut self, slots: &PerQuota<u32>, pause: Pause<'_>) -> Result<Transaction> {
        // Each round deals with one thing that was not as it should be; two follow each other at most.
        for _ in 0..4 {
            let file = Locked::open(&self.path, pause)?;
            let metadata = file.metadata().map_err(failed("read"))?;
            if !is_still_at(&file, &metadata, &self.path) {
                continue;
            }
            self.rights_lost.take_if(|(_, then)| *then != rights(&metadata));
            if let Some(transaction) = self.look_at(file, &metadata, slots)? {
                return Ok(transaction);
            }
        }
        Err(Trouble::Failed("kept: others keep replacing it", ErrorKind::Other))
    }

    /// Reads the head of the locked file. `None`: it was put in order, or replaced by a better one.
    fn look_at(
        &mut self,
        file: Locked,
        metadata: &Metadata,
        slots: &PerQuota<u32>,
    ) -> Result<Option<Transaction>> {
        let session = boot_clock::session()
            .ok_or(Trouble::Failed("used: no boot id", ErrorKind::Unsupported))?;
        let mut bytes = vec![0; HEAD];
        let got = read_at(&file, &mut bytes, 0).map_err(failed("read"))?;
        bytes.truncate(got);
        if !metadata.is_file() {
            return Err(Trouble::Failed("used: it is no file", ErrorKind::InvalidInput));
        }
        let length = metadata.len();
        if length == 0 {
            let head = Head { slots: slots.clone(), identity: self.identity };
            self.replace(&file, |new| fill(new, &head, &session, Entry::FREE))?;
            return Ok(None);
        }
        let intact = Head::read(&bytes).filter(|head| is_intact(head, &bytes, length));
        let Some(head) = intact else {
            if let Some(version) = layout::version(&bytes).filter(|v| *v != layout::VERSION) {
                return Err(Trouble::OtherVersion(version));
            }
            // Somebody's data is not ours to move, and much of it begins with zeros.
            if !layout::is_ours(&bytes) || length > LONGEST as u64 {
                return Err(Trouble::NoQuotaFile);
            }
            self.start_over(&file, slots, &session)?;
            return Ok(None);
        };
        if head.identity != self.identity {
            return Err(Trouble::OtherIdentity);
        }
        let found = Transaction { file, head, bytes };
        if layout::session(&found.bytes) != Some(session) {
            found.begin_session(&session)?;
            return Ok(None);
        }
        if Quota::ALL.iter().any(|quota| slots.of(*quota) > found.head.slots.of(*quota)) {
            self.grow(&found, slots, &session)?;
            return Ok(None);
        }
        Ok(Some(found))
    }

    /// Replaces a damaged file. What it knew is lost, so the new one starts as if every call had just been made.
    fn start_over(
        &mut self,
        damaged: &Locked,
        slots: &PerQuota<u32>,
        session: &boot_clock::Session,
    ) -> Result<()> {
        let (head, memory) = (Head { slots: slots.clone(), identity: self.identity }, self.memory);
        self.replace(damaged, |file| {
            let now = u64::try_from(boot_clock::now().as_nanos()).unwrap_or(u64::MAX);
            fill(file, &head, session, Entry { stamp: now, owner: 0 })?;
            let until = now.saturating_add(memory);
            let careful = AssumedSpent { until, restarted: false };
            write_at(file, &careful.to_bytes(), CAREFUL_AT).map_err(failed("filled"))
        })?;
        self.damage_found = true;
        Ok(())
    }

    /// Replaces the file by one with larger tables and the same entries.
    fn grow(
        &mut self,
        old: &Transaction,
        slots: &PerQuota<u32>,
        session: &boot_clock::Session,
    ) -> Result<()> {
        let mut head = old.head.clone();
        for quota in Quota::ALL {
            let room = head.slots.of_mut(quota);
            *room = (*room).max(*slots.of(quota));
        }
        self.replace(&old.file, |file| {
            fill(file, &head, session, Entry::FREE)?;
            for quota in Quota::ALL {
                write_gate(file, quota, old.state(quota))?;
                for (place, entry) in old.entries(quota)?.into_iter().enumerate() {
                    write_entry(file, &head, quota, place as u64, entry)?;
                }
            }
            Ok(())
        })
    }

    /// Puts a file with the same rights in the place of the one that is locked. At no time is there none, which
    /// others would take for the beginning of a log.
    fn replace(&mut self, old: &Locked, fill: impl FnOnce(&File) -> Result<()>) -> Result<()> {
        // Where the path leads to a file elsewhere, that one is replaced and not the link, which only some may use.
        let path = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let beside = with_suffix(&path, ".new");
        let _ = std::fs::remove_file(&beside);
        let done = self.make(&beside, &path, fill);
        let done = done.and_then(|()| replace(old, &beside, &path).map_err(failed("replaced")));
        if done.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        done
    }

    fn make(
        &mut self,
        beside: &Path,
        path: &Path,
        fill: impl FnOnce(&File) -> Result<()>,
    ) -> Result<()> {
        let file = create(beside).map_err(failed("replaced"))?;
        let kept = std::fs::metadata(path).map_or(Ok(()), |old| keep_rights(&file, &old));
        let has = file.metadata().map_err(failed("replaced"))?;
        self.rights_lost = kept.err().map(|what| (what, rights(&has)));
        fill(&file)?;
        // On the disk before it takes the other's place: a power cut must not leave an empty one there.
        file.sync_all().map_err(failed("filled"))
    }
}

/// Whether all but the entries is whole, which can do without each other.
fn is_intact(head: &Head, bytes: &[u8], length: u64) -> bool {
    let states = Quota::ALL.into_iter().all(|quota| EndpointState::read(bytes, quota).is_some());
    states && layout::session(bytes).is_some() && head.length() == length
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Writes a whole file, every byte of it, so that the room on the disk is there from now on.
fn fill(file: &File, head: &Head, session: &boot_clock::Session, entry: Entry) -> Result<()> {
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
