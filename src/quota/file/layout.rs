//! The bytes of a quota file, version 2. All numbers are little endian.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `MDEQUOTA` |
//! | 8 | 4 | version, 2 |
//! | 12 | 6 × 4 | number of slots in each endpoint's table, in the order of [`Quota::ALL`] |
//! | 36 | 32 | SHA-256 of the key: service, tenant and application |
//! | 68 | 4 | CRC-32 of the 68 bytes before |
//! | 96 | 8 + 4 + 4 | [`AssumedSpent`]: until when, whether after a restart, CRC-32; or zeros |
//! | 128 | 16 + 4 | session of the machine that the times belong to, CRC-32 |
//! | 192 | 6 × 44 | [`EndpointState`]: four times of 8 bytes, calls in a minute (4), half open (4), CRC-32; or zeros |
//! | 456 | n × 24 | the tables, one after the other: time, owner, CRC-32, 4 zeros |
//!
//! Times are nanoseconds on the session's clock. A slot of zeros is free. The owner of a call in flight is not zero.
//! Every part has its own checksum, which also covers its position. So damage to one part does not affect the others.
//!
//! Name, version and the checksum at 68 are the same in all versions.

use super::MOST_CALLS;
use super::usage::nanos;
use crate::http::reply::MAX_RETRY_AFTER;
use crate::service::quota::{PerQuota, Quota};

pub(super) const MAGIC: &[u8; 8] = b"MDEQUOTA";
pub(super) const VERSION: u32 = 2;

pub(super) const SESSION_AT: u64 = 128;
const STATES_AT: u64 = 192;
const STATE: usize = 44;
pub(super) const SLOT: usize = 24;
/// Everything before the tables.
pub(super) const HEAD: usize = 456;

/// The part that never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub slots: PerQuota<u32>,
    pub identity: [u8; 32],
}

impl Head {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(72);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        for slots in self.slots.iter() {
            bytes.extend_from_slice(&slots.to_le_bytes());
        }
        bytes.extend_from_slice(&self.identity);
        let sum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// `bytes`: the first [`HEAD`] bytes of the file, or fewer. `None`: no quota file of this version, or damaged.
    pub(super) fn read(bytes: &[u8]) -> Option<Head> {
        if version(bytes)? != VERSION {
            return None;
        }
        let content = bytes.get(..68)?;
        let mut at = 12;
        let slots = PerQuota::from_fn(|_| {
            let slots = u32_at(content, at).unwrap_or_default();
            at += 4;
            slots
        });
        // A larger table is damage. It would be read into memory with each call.
        if slots.iter().any(|slots| *slots > MOST_CALLS) {
            return None;
        }
        let identity = content.get(36..68)?.try_into().ok()?;
        Some(Head { slots, identity })
    }

    /// The length of the whole file.
    pub(super) fn length(&self) -> u64 {
        HEAD as u64 + self.slots.iter().map(|slots| u64::from(*slots) * SLOT as u64).sum::<u64>()
    }

    /// The offset of an endpoint's table.
    pub(super) fn table(&self, quota: Quota) -> u64 {
        let before = Quota::ALL.into_iter().take_while(|other| *other != quota);
        HEAD as u64 + before.map(|q| u64::from(*self.slots.of(q)) * SLOT as u64).sum::<u64>()
    }
}

/// The version of a quota file. `None`: it is damaged, or no quota file.
pub(super) fn version(bytes: &[u8]) -> Option<u32> {
    let (content, sum) = (bytes.get(..68)?, u32_at(bytes, 68)?);
    let intact = content.starts_with(MAGIC) && crc32fast::hash(content) == sum;
    u32_at(content, 8).filter(|_| intact)
}

/// Whether a damaged file may have been a quota file. Half of the magic bytes are left, the file was cut off in them, or
/// a power cut has left zeros.
pub(super) fn is_ours(bytes: &[u8]) -> bool {
    let same = bytes.iter().zip(MAGIC).filter(|(byte, ours)| byte == ours).count();
    same * 2 >= MAGIC.len() || MAGIC.starts_with(bytes) || bytes.iter().all(|byte| *byte == 0)
}

/// More calls count as spent than the log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AssumedSpent {
    pub until: u64,
    /// The machine was restarted. Otherwise the file was damaged.
    pub restarted: bool,
}

pub(super) const ASSUMED_SPENT_AT: u64 = 96;

impl AssumedSpent {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.until.to_le_bytes().to_vec();
        bytes.extend_from_slice(&u32::from(self.restarted).to_le_bytes());
        let sum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// `head`: the first [`HEAD`] bytes of the file.
    pub(super) fn read(head: &[u8]) -> Option<AssumedSpent> {
        let at = usize::try_from(ASSUMED_SPENT_AT).ok()?;
        let bytes = head.get(at..at + 16)?;
        let (content, sum) = (bytes.get(..12)?, u32_at(bytes, 12)?);
        let (until, why) = (u64_at(content, 0)?, u32_at(content, 8)?);
        (crc32fast::hash(content) == sum).then_some(AssumedSpent { until, restarted: why == 1 })
    }
}

pub(super) fn session_to_bytes(session: &[u8; 16]) -> Vec<u8> {
    let sum = crc32fast::hash(session);
    [&session[..], &sum.to_le_bytes()].concat()
}

/// `head`: the first [`HEAD`] bytes of the file.
pub(super) fn session(head: &[u8]) -> Option<[u8; 16]> {
    let at = usize::try_from(SESSION_AT).ok()?;
    let session = head.get(at..at + 16)?;
    (u32_at(head, at + 16)? == crc32fast::hash(session)).then(|| session.try_into().ok())?
}

/// The state of an endpoint besides its calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EndpointState {
    /// No call goes out before this.
    pub closed_until: u64,
    /// When the 429 arrived that set `closed_until`.
    pub closed_at: u64,
    /// How long an entry counts in the widest window of any process.
    pub retention: u64,
    /// When `retention` expires. A process with such a window moves this on.
    pub retention_until: u64,
    /// The most calls that the windows of any process admit in a minute.
    pub burst: u32,
    /// Calls go out one at a time, because none since a 429 got another reply.
    pub half_open: bool,
}

impl EndpointState {
    pub(super) fn at(quota: Quota) -> u64 {
        STATES_AT + (quota.number() * STATE) as u64
    }

    /// How long it stays closed. A clock that was set back does not make this longer than the original wait.
    pub(super) fn closed_for(self, now: u64) -> u64 {
        let whole = self.closed_until.saturating_sub(self.closed_at);
        self.closed_until.saturating_sub(now).min(whole)
    }

    pub(super) fn to_bytes(self, quota: Quota) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(STATE);
        for number in [self.closed_until, self.closed_at, self.retention, self.retention_until] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.burst, u32::from(self.half_open)] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let sum = sum(quota, u64::MAX, &bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// `None`: damaged. No reply closes an endpoint for longer than [`MAX_RETRY_AFTER`], so no file does.
    pub(super) fn read(head: &[u8], quota: Quota) -> Option<EndpointState> {
        let at = usize::try_from(EndpointState::at(quota)).ok()?;
        let bytes = head.get(at..at + STATE)?;
        if bytes.iter().all(|byte| *byte == 0) {
            return Some(EndpointState::default());
        }
        let intact = u32_at(bytes, 40)? == sum(quota, u64::MAX, bytes.get(..40)?);
        let closed_at = u64_at(bytes, 8)?;
        let longest = closed_at.saturating_add(nanos(MAX_RETRY_AFTER));
        let state = EndpointState {
            closed_until: u64_at(bytes, 0)?.min(longest),
            closed_at,
            retention: u64_at(bytes, 16)?,
            retention_until: u64_at(bytes, 24)?,
            burst: u32_at(bytes, 32)?,
            half_open: u32_at(bytes, 36)? != 0,
        };
        intact.then_some(state)
    }
}

/// One call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Until when the service may count it.
    pub stamp: u64,
    /// A number unique to a call in flight. Zero: the call has ended.
    pub owner: u64,
}

impl Entry {
    pub(crate) const FREE: Entry = Entry { stamp: 0, owner: 0 };

    pub(super) fn to_bytes(self, quota: Quota, place: u64) -> [u8; SLOT] {
        let mut bytes = [0; SLOT];
        if self != Entry::FREE {
            let sum = u64::from(sum(quota, place, &self.content()));
            let parts = [self.stamp, self.owner, sum].map(u64::to_le_bytes);
            for (to, from) in bytes.iter_mut().zip(parts.as_flattened()) {
                *to = *from;
            }
        }
        bytes
    }

    /// `None`: damaged.
    pub(super) fn read(bytes: &[u8], quota: Quota, place: u64) -> Option<Entry> {
        let entry = Entry { stamp: u64_at(bytes, 0)?, owner: u64_at(bytes, 8)? };
        let stored = u64_at(bytes, 16)?;
        if entry == Entry::FREE && stored == 0 {
            return Some(entry);
        }
        (stored == u64::from(sum(quota, place, &entry.content()))).then_some(entry)
    }

    fn content(self) -> [u8; 16] {
        ((u128::from(self.owner) << 64) | u128::from(self.stamp)).to_le_bytes()
    }
}

fn sum(quota: Quota, place: u64, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(quota.name().as_bytes());
    hasher.update(&place.to_le_bytes());
    hasher.update(content);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let mut slots = 0;
        let slots = PerQuota::from_fn(|_| {
            slots += 10;
            slots
        });
        Head { slots, identity: [7; 32] }
    }

    #[test]
    fn a_head_is_read_back_and_every_flipped_bit_is_noticed() {
        let head = head();
        let bytes = head.to_bytes();
        assert_eq!(head.length(), 456 + 210 * 24);
        assert_eq!(head.table(Quota::Collect), 456);
        assert_eq!(head.table(Quota::List), 456 + 30 * 24);
        assert_eq!(Head::read(&bytes).as_ref(), Some(&head));
        assert_eq!(Head::read(&[0; 100]), None);
        assert_eq!(Head::read(&[]), None);
        assert_eq!(Head::read(b"something else"), None);
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::read(&other), None, "bit {bit}");
        }
    }

    #[test]
    fn a_table_larger_than_any_is_damage() {
        for (slots, fine) in
            [(0, true), (MOST_CALLS, true), (MOST_CALLS + 1, false), (u32::MAX, false)]
        {
            let mut head = head();
            *head.slots.of_mut(Quota::Link) = slots;
            assert_eq!(Head::read(&head.to_bytes()).is_some(), fine, "{slots}");
        }
    }

    #[test]
    fn an_entry_is_read_back_at_its_own_place_only() {
        let entry = Entry { stamp: 1 << 50, owner: u64::MAX };
        let bytes = entry.to_bytes(Quota::Read, 5);
        assert_eq!(Entry::read(&bytes, Quota::Read, 5), Some(entry));
        assert_eq!(Entry::read(&bytes, Quota::Read, 6), None);
        assert_eq!(Entry::read(&bytes, Quota::List, 5), None);
        assert_eq!(Entry::read(&bytes[..20], Quota::Read, 5), None);
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes;
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Entry::read(&other, Quota::Read, 5), None, "bit {bit}");
        }
        assert_eq!(Entry::FREE.to_bytes(Quota::Read, 5), [0; SLOT]);
        assert_eq!(Entry::read(&[0; SLOT], Quota::Read, 5), Some(Entry::FREE));
    }

    #[test]
    fn endpoint_states_and_sessions_are_read_back() {
        let state = EndpointState {
            closed_until: 9,
            closed_at: 8,
            retention: 7,
            retention_until: 6,
            burst: 5,
            half_open: true,
        };
        let mut head = vec![0; HEAD];
        assert_eq!(EndpointState::read(&head, Quota::Link), Some(EndpointState::default()));
        let at = usize::try_from(EndpointState::at(Quota::Link)).unwrap();
        head[at..at + STATE].copy_from_slice(&state.to_bytes(Quota::Link));
        assert_eq!(EndpointState::read(&head, Quota::Link), Some(state));
        for bit in 0..STATE * 8 {
            let mut other = head.clone();
            other[at + bit / 8] ^= 1 << (bit % 8);
            assert_eq!(EndpointState::read(&other, Quota::Link), None, "bit {bit}");
        }
        assert_eq!(session(&head), None);
        let bytes = session_to_bytes(&[3; 16]);
        head[128..128 + bytes.len()].copy_from_slice(&bytes);
        assert_eq!(session(&head), Some([3; 16]));
        head[130] ^= 1;
        assert_eq!(session(&head), None);
    }
}
