//! Where entries land when they are unpacked. Two files in one place replace each other, and so do a file and a folder.
//!
//! The rule for all unpackers and systems: separators are `/` and `\\`, empty parts and `.` mean nothing. unzip drops a
//! version as of VMS (`;1`) at the end, and libarchive writes accents in one form. What Windows and macOS alone take for
//! one is counted separately: cases, and dots and blanks at the end.
//!
//! Not covered: character sets of names without a mark for UTF-8 that use ASCII bytes in longer characters (such as
//! Shift-JIS), short names of Windows (`PROGRA~1`), and what `fold.rs` leaves as it is.

use std::collections::BinaryHeap;
use std::hash::{BuildHasher, Hasher, RandomState};

use super::fold::Fold;
use super::member::Member;
use super::{names, reason};

/// Finds entries that land in one place with others. Returns how many do so on Windows or macOS only.
pub(super) fn check(members: &mut [Member]) -> u64 {
    let mut places = Places { members, state: RandomState::new(), fold: Fold::new(), cases: true };
    let everywhere = places.conflicts();
    let in_other_sets = places.in_other_sets();
    places.cases = false;
    let folded = places.conflicts();
    let mut count = 0;
    for (member, found) in
        members.iter_mut().zip(everywhere.into_iter().zip(folded).zip(in_other_sets))
    {
        let ((harm, folded), in_other_sets) = found;
        count += u64::from(harm.is_none() && folded.is_some());
        let harm = harm.or(in_other_sets.then_some(reason::PERHAPS_SAME_PLACE));
        member.harms(harm);
    }
    count
}

struct Places<'a> {
    members: &'a [Member],
    /// Hashes take less memory than names. Their random key prevents collisions by design.
    state: RandomState,
    fold: Fold,
    /// Cases matter, as they do not on Windows and macOS.
    cases: bool,
}

impl Places<'_> {
    /// For each entry, why it is in another one's place.
    fn conflicts(&self) -> Vec<Option<&'static str>> {
        let mut found = vec![None; self.members.len()];
        let mut places = BinaryHeap::new();
        self.walk(&mut |number, hash, is_folder_above| {
            if !is_folder_above {
                places.push((hash, number));
            }
        });
        let places = places.into_sorted_vec();
        let is_folder =
            |number: u32| self.members.get(number as usize).is_some_and(Member::is_folder);
        for (one, other) in pairs(&places) {
            if !(is_folder(one) && is_folder(other)) {
                set(&mut found, other, reason::SAME_PLACE);
            }
        }
        let files: Vec<_> = places.into_iter().filter(|(_, number)| !is_folder(*number)).collect();
        self.walk(&mut |number, hash, is_folder_above| {
            let at = files.partition_point(|(file, _)| *file < hash);
            let mut same = files.iter().skip(at).take(2).take_while(|(file, _)| *file == hash);
            if is_folder_above && same.any(|(_, other)| *other != number) {
                set(&mut found, number, reason::BELOW_A_FILE);
            }
        });
        found
    }

    /// Calls `each` with the number of every entry, and the hash of each of its places: the folders above it, and its
    /// own. An entry with two names has more.
    fn walk(&self, each: &mut dyn FnMut(u32, u64, bool)) {
        for (member, number) in self.members.iter().zip(0..) {
            for name in [Some(&*member.raw), member.second.as_deref()].into_iter().flatten() {
                self.place(name, &mut |hash, above| each(number, hash, above));
                if let Some(name) = without_version(name) {
                    self.place(name, &mut |hash, above| each(number, hash, above));
                }
            }
        }
    }

    fn place(&self, name: &[u8], each: &mut dyn FnMut(u64, bool)) {
        let mut hasher = self.state.build_hasher();
        let mut folded = Vec::new();
        let mut parts = names::parts(name).peekable();
        while let Some(part) = parts.next() {
            self.fold.part(part, self.cases, &mut folded);
            folded.iter().for_each(|c| hasher.write_u32(u32::from(*c)));
            hasher.write_u32(u32::from('/'));
            if parts.peek().is_some() {
                each(hasher.finish(), true);
            }
        }
        each(hasher.finish(), false);
    }

    /// Finds entries whose names are equal but for what character sets write differently, if their character sets
    /// differ. For each entry, whether it is one.
    fn in_other_sets(&self) -> Vec<bool> {
        let mut found = vec![false; self.members.len()];
        let mut places = BinaryHeap::new();
        let mut skeleton = Vec::new();
        for (member, number) in self.members.iter().zip(0..) {
            if set_of(member).is_some() {
                skeletonize(&member.raw, &mut skeleton);
                self.place(&skeleton, &mut |hash, above| {
                    if !above {
                        places.push((hash, number));
                    }
                });
            }
        }
        let set_at = |number: u32| self.members.get(number as usize).and_then(set_of);
        for (one, other) in pairs(&places.into_sorted_vec()) {
            if set_at(one) != set_at(other) {
                set(&mut found, other, true);
            }
        }
        found
    }
}

fn set<T: From<V>, V>(found: &mut [T], number: u32, value: V) {
    if let Some(found) = found.get_mut(number as usize) {
        *found = value.into();
    }
}

/// The neighbours of one hash that are two entries.
fn pairs(places: &[(u64, u32)]) -> impl Iterator<Item = (u32, u32)> {
    let pairs = places.iter().zip(places.iter().skip(1));
    pairs.filter(|(one, other)| one.0 == other.0 && one.1 != other.1).map(|(a, b)| (a.1, b.1))
}

/// The name without a version at its end, which is a semicolon and any digits.
fn without_version(name: &[u8]) -> Option<&[u8]> {
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    name.get(..name.len() - digits)?.strip_suffix(b";")
}

/// How the characters of a name that are not in ASCII are written. `None`: there are none.
fn set_of(member: &Member) -> Option<u8> {
    match member.raw.is_ascii() {
        true => member.raw.windows(2).any(|pair| pair == b"#U" || pair == b"#L").then_some(0),
        false => Some(1 + u8::from(member.is_utf8())),
    }
}

/// The name with one `?` for every run of what character sets write differently: bytes that are not ASCII, and what
/// packers and unpackers write for characters that theirs lacks (`?`, `_`, and `#U00e9` or `#L01f600` of Info-ZIP).
pub(super) fn skeletonize(name: &[u8], skeleton: &mut Vec<u8>) {
    skeleton.clear();
    let mut rest = name;
    while let [byte, after @ ..] = rest {
        let digits = match rest {
            [b'#', b'U', ..] => 4,
            [b'#', b'L', ..] => 6,
            _ => 0,
        };
        let escape = rest
            .get(2..2 + digits)
            .filter(|hex| digits > 0 && hex.iter().all(u8::is_ascii_hexdigit));
        rest = if escape.is_some() { rest.get(2 + digits..).unwrap_or_default() } else { after };
        if escape.is_none() && byte.is_ascii() && !matches!(byte, b'?' | b'_') {
            skeleton.push(*byte);
        } else if skeleton.last() != Some(&b'?') {
            skeleton.push(b'?');
        }
    }
}
