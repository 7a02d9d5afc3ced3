//! Checks of names: paths that leave the folder where they are unpacked, and two entries of one name.

use std::collections::BinaryHeap;
use std::hash::{BuildHasher, RandomState};

use super::member::Member;

/// Why a name could do harm. Backslashes count as separators: they are that on Windows, and older packers write them.
pub(super) fn harm(name: &[u8]) -> Option<&'static str> {
    let is_separator = |byte: &u8| matches!(byte, b'/' | b'\\');
    match name {
        [] => return Some("has no name"),
        [first, ..] if is_separator(first) => return Some("has an absolute path"),
        [first, b':', ..] if first.is_ascii_alphabetic() => {
            return Some("has a path with a drive letter");
        }
        _ if name.contains(&0) => return Some("has a NUL in its name"),
        _ => {}
    }
    // Windows drops spaces at the end of a name.
    let leaves = name.split(is_separator).any(|part| part.trim_ascii() == b"..");
    leaves.then_some("has a path that leaves the folder where it is unpacked (`..`)")
}

/// Finds equal names. Returns how many names differ from another one only in the case of letters (A to Z): such files
/// replace each other on Windows and macOS.
pub(super) fn check(members: &mut [Member]) -> u64 {
    // Hashes take less memory than names. Their random key prevents collisions by design.
    let state = RandomState::new();
    let hashes = |members: &[Member], lower: bool| {
        let mut name = Vec::new();
        sorted(members, &mut |member| {
            canonical(member, lower, &mut name);
            state.hash_one(&name)
        })
    };
    let equal = |hashes: &[(u64, u32)]| -> Vec<u32> {
        let pairs = hashes.iter().zip(hashes.iter().skip(1));
        pairs.filter(|(one, other)| one.0 == other.0).map(|(_, other)| other.1).collect()
    };
    let exact = equal(&hashes(members, false));
    for number in &exact {
        if let Some(member) = members.get_mut(*number as usize) {
            member.harms("is there twice, so that one may replace the other");
        }
    }
    (equal(&hashes(members, true)).len() - exact.len()) as u64
}

/// The name in a form for comparison. A folder and a file with one name count as equal.
fn canonical(member: &Member, lower: bool, out: &mut Vec<u8>) {
    out.clear();
    out.extend(member.raw.iter().map(|byte| match byte {
        b'\\' => b'/',
        byte if lower => byte.to_ascii_lowercase(),
        byte => *byte,
    }));
    if out.ends_with(b"/") {
        out.pop();
    }
}

/// The entries' numbers in the order of a key. A heap needs less code than sorting slices.
pub(super) fn sorted(members: &[Member], key: &mut dyn FnMut(&Member) -> u64) -> Vec<(u64, u32)> {
    BinaryHeap::from_iter(members.iter().map(key).zip(0..)).into_sorted_vec()
}

#[cfg(test)]
mod tests {
    use super::harm;

    #[test]
    fn paths_that_could_leave_are_refused() {
        for bad in [
            &b""[..],
            b"/etc/passwd",
            b"\\\\server\\share",
            b"C:\\x",
            b"c:x",
            b"..",
            b"../x",
            b"a/../../x",
            b"a\\..\\x",
            b"a/..",
            b"a/.. /x",
            b"a\0b",
        ] {
            assert!(harm(bad).is_some(), "{:?}", String::from_utf8_lossy(bad));
        }
        for good in [
            &b"Autoruns/HKLM Run.txt"[..],
            b"Autoruns\\Run.txt",
            b"a..b/c...d",
            b"folder/",
            b"12:30.txt",
            b"\xff\xfe",
            b"./a",
            b"a//b",
            b"...",
        ] {
            assert!(harm(good).is_none(), "{:?}", String::from_utf8_lossy(good));
        }
    }
}
