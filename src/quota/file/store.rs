//! The quota file on disk: how it is opened, created and replaced.

use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::MOST_CALLS;
use super::layout::{self, ASSUMED_SPENT_AT, AssumedSpent, EndpointState, Entry, HEAD, Head, SLOT};
use super::transaction::{
    Bytes, Locked, Pause, Result, Transaction, Trouble, failed, write_entry, write_state,
};
use super::usage::{burst, nanos, retention};
use crate::os::boot_clock;
use crate::os::file::{self, Access, Links, Mode, Rights};
use crate::os::io_error::reason;
use crate::os::lock::read_at;
use crate::quota::limits::Limits;
use crate::service::quota::{PerQuota, Quota};

/// The length of the largest quota file.
const LONGEST: usize = HEAD + Quota::ALL.len() * MOST_CALLS as usize * SLOT;

pub(super) struct Store {
    path: PathBuf,
    identity: [u8; 32],
    /// How long an entry counts in this client's widest window, in nanoseconds.
    retention: u64,
    /// The most calls that this client's windows admit in a minute.
    bursts: PerQuota<u32>,
    /// A damaged file was replaced, and `take_damage` has not reported it yet.
    damage_found: bool,
    /// The rights that the last replacement lost, to complete "the new file …", and the rights that it has. It is
    /// cleared when the file gets other rights.
    rights_lost: Option<(String, Rights)>,
    /// The rights with which the file was last found to be ours. Most transactions find the same.
    trusted: Option<Rights>,
}

impl Store {
    pub(super) fn new(path: &str, identity: [u8; 32], limits: &Limits) -> Store {
        let retentions = Quota::ALL.into_iter().map(|quota| retention(limits.of(quota)));
        Store {
            path: PathBuf::from(path),
            identity,
            retention: retentions.max().unwrap_or(0),
            bursts: PerQuota::from_fn(|quota| burst(limits.of(quota))),
            damage_found: false,
            rights_lost: None,
            trusted: None,
        }
    }

    pub(super) fn take_damage(&mut self) -> bool {
        std::mem::take(&mut self.damage_found)
    }

    /// Why other processes may be unable to use the replaced file.
    pub(super) fn rights_lost(&self) -> Option<&str> {
        self.rights_lost.as_ref().map(|(what, _)| what.as_str())
    }

    /// Begins a transaction on a usable file with at least `slots`. Creates, repairs or enlarges the file for that.
    pub(super) fn lock(&mut self, slots: &PerQuota<u32>, pause: Pause<'_>) -> Result<Transaction> {
        // Each round fixes one problem of the file, and at most two problems follow each other.
        for _ in 0..4 {
            let file = Locked::open(&self.path, pause)?;
            let metadata = file.metadata().map_err(failed("read"))?;
            if !file::is_still_at(&file, &self.path, Links::Refused) {
                continue;
            }
            if !metadata.is_file() {
                return Err(Trouble::Failed(
                    "used: it is no regular file",
                    ErrorKind::InvalidInput,
                ));
            }
            let rights = file::rights(&metadata);
            if self.trusted.as_ref() != Some(&rights) {
                file::is_shared(&file, &self.path).map_err(|why| match file::is_refusal(&why) {
                    true => Trouble::NotOurs(reason(&why)),
                    false => failed("read")(why),
                })?;
                self.trusted = Some(rights);
            }
            self.rights_lost.take_if(|(_, then)| *then != file::rights(&metadata));
            match self.prepare(file, &metadata, slots)? {
                Prepared::Usable(transaction) => return Ok(transaction),
                Prepared::Changed => {}
            }
        }
        Err(Trouble::Failed("locked: other processes keep replacing it", ErrorKind::Other))
    }

    /// Reads the head of the locked file, and fixes the first problem that it finds.
    fn prepare(
        &mut self,
        file: Locked,
        metadata: &Metadata,
        slots: &PerQuota<u32>,
    ) -> Result<Prepared> {
        let session = boot_clock::session()
            .ok_or(Trouble::Failed("used: no boot id", ErrorKind::Unsupported))?;
        let mut bytes = vec![0; HEAD];
        let got = read_at(&file, &mut bytes, 0).map_err(failed("read"))?;
        bytes.truncate(got);
        let length = metadata.len();
        if length == 0 {
            let head = Head { slots: slots.clone(), identity: self.identity };
            self.replace(&file, |new| fill(new, &head, &session, Entry::FREE))?;
            return Ok(Prepared::Changed);
        }
        let intact = Head::read(&bytes).filter(|head| is_intact(head, &bytes, length));
        let Some(head) = intact else {
            if let Some(version) = layout::version(&bytes).filter(|v| *v != layout::VERSION) {
                return Err(Trouble::OtherVersion(version));
            }
            // Other files are left alone. Many of them begin with zeros.
            if !layout::is_ours(&bytes) || length > LONGEST as u64 {
                return Err(Trouble::NoQuotaFile);
            }
            self.start_over(&file, slots, &session)?;
            return Ok(Prepared::Changed);
        };
        if head.identity != self.identity {
            return Err(Trouble::OtherIdentity);
        }
        let found = Transaction { file, head, bytes, now: nanos(boot_clock::now()) };
        if layout::session(&found.bytes) != Some(session) {
            found.begin_session(&session, &self.bursts)?;
            return Ok(Prepared::Changed);
        }
        if Quota::ALL.iter().any(|quota| slots.of(*quota) > found.head.slots.of(*quota)) {
            self.grow(&found, slots, &session)?;
            return Ok(Prepared::Changed);
        }
        Ok(Prepared::Usable(found))
    }

    /// Replaces a damaged file. Its calls are lost, so the new one starts as if every call had just been made.
    fn start_over(
        &mut self,
        damaged: &Locked,
        slots: &PerQuota<u32>,
        session: &boot_clock::Session,
    ) -> Result<()> {
        let (head, retention) =
            (Head { slots: slots.clone(), identity: self.identity }, self.retention);
        self.replace(damaged, |file| {
            let now = nanos(boot_clock::now());
            fill(file, &head, session, Entry { stamp: now, owner: 0 })?;
            let until = now.saturating_add(retention);
            let spent = AssumedSpent { until, restarted: false };
            Bytes::write(file, &spent.to_bytes(), ASSUMED_SPENT_AT).map_err(failed("filled"))
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
                write_state(file, quota, old.state(quota))?;
                for (place, entry) in old.entries(quota)?.into_iter().enumerate() {
                    write_entry(file, &head, quota, place as u64, entry)?;
                }
            }
            Ok(())
        })
    }

    /// Replaces the locked file by one with the same rights. The path names a file at any time, because another
    /// process would start a new log without one.
    fn replace(&mut self, old: &Locked, fill: impl FnOnce(&File) -> Result<()>) -> Result<()> {
        // Processes that use another name of the file would keep the old one.
        if file::has_other_names(old) {
            return Err(Trouble::NotOurs("it has another name, a hard link".to_owned()));
        }
        let beside = file::suffixed(&self.path, ".new");
        let _ = std::fs::remove_file(&beside);
        let done = self.make(&beside, old, fill);
        let done =
            done.and_then(|()| replace(old, &beside, &self.path).map_err(failed("replaced")));
        if done.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        done
    }

    fn make(
        &mut self,
        beside: &Path,
        old: &Locked,
        fill: impl FnOnce(&File) -> Result<()>,
    ) -> Result<()> {
        let access = Access::Create(Mode::OwnerOnly);
        let file = file::open(beside, access, Links::Refused).map_err(failed("replaced"))?;
        let kept = old.metadata().map_or(Ok(()), |old| file::keep_rights(&file, &old));
        let has = file.metadata().map_err(failed("replaced"))?;
        self.rights_lost = kept.err().map(|what| (what, file::rights(&has)));
        fill(&file)?;
        // It must be on disk before it replaces the other, or a power cut may leave an empty file.
        file.sync_all().map_err(failed("filled"))
    }
}

/// What became of a locked file.
enum Prepared {
    Usable(Transaction),
    /// It was repaired or replaced, and must be opened again.
    Changed,
}

/// Whether everything but the entries is intact. Each entry has its own checksum.
fn is_intact(head: &Head, bytes: &[u8], length: u64) -> bool {
    let states = Quota::ALL.into_iter().all(|quota| EndpointState::read(bytes, quota).is_some());
    states && layout::session(bytes).is_some() && head.length() == length
}

/// Replaces the open file by a new one. Where the system refuses that for an open file, as Windows does on most file
/// systems, the open file gets the content of the new one.
fn replace(open: &File, new: &Path, path: &Path) -> std::io::Result<()> {
    let replaced = file::replace(new, path);
    #[cfg(windows)]
    let replaced = replaced.or_else(|_| {
        super::rewrite::rewrite(open, &std::fs::read(new)?)?;
        // The file is replaced, even if another process keeps the new one from being deleted.
        let _ = std::fs::remove_file(new);
        Ok(())
    });
    #[cfg(not(windows))]
    let _ = open;
    replaced
}

/// Writes every byte of a new file, so that its space on the disk is allocated.
pub(super) fn fill(
    file: &impl Bytes,
    head: &Head,
    session: &boot_clock::Session,
    entry: Entry,
) -> Result<()> {
    let mut bytes = head.to_bytes();
    bytes.resize(usize::try_from(layout::SESSION_AT).unwrap_or(HEAD), 0);
    bytes.extend(layout::session_to_bytes(session));
    bytes.resize(HEAD, 0);
    for quota in Quota::ALL {
        let slots = u64::from(*head.slots.of(quota));
        bytes.extend((0..slots).flat_map(|place| entry.to_bytes(quota, place)));
    }
    file.write(&bytes, 0).map_err(failed("filled"))
}
