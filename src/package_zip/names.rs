//! Names as a trap: paths that leave the folder they are unpacked in, and two files of one name.

use std::collections::BinaryHeap;
use std::hash::{BuildHasher, RandomState};

use super::member::Member;
use super::problem::Problem;
use crate::error::Result;

/// Refuses names that no package has. Backslashes are taken for what they are on Windows, where older packers
/// write them between folders: separators.
pub(super) fn safe(name: &[u8]) -> std::result::Result<(), &'static str> {
    let is_separator = |byte: &u8| matches!(byte, b'/' | b'\\');
    match name {
        [] => return Err("has no name"),
        [first, ..] if is_separator(first) => return Err("has an absolute path"),
        [first, b':', ..] if first.is_ascii_alphabetic() => {
            return Err("has a path with a drive letter");
        }
        _ if name.contains(&0) => return Err("has a NUL in its name"),
        _ => {}
    }
    // Windows drops spaces at the end of a name.
    match name.split(is_separator).any(|part| part.trim_ascii() == b"..") {
        true => Err("has a path that leaves the folder it is unpacked in (`..`)"),
        false => Ok(()),
    }
}

/// Refuses names that are there twice; returns how many differ from another in the case of their letters (A to Z)
/// only, which is fine on the device they come from and may not be where they are unpacked.
pub(super) fn check(members: &[Member]) -> Result<u64> {
    // Hashes take less memory than names. The archive cannot know their key, so no two names share one by design.
    let state = RandomState::new();
    let hashes = |lower: bool| {
        let mut name = Vec::new();
        sorted(members, &mut |member| {
            canonical(member, lower, &mut name);
            state.hash_one(&name)
        })
    };
    let exact = hashes(false);
    for (one, other) in exact.iter().zip(exact.iter().skip(1)) {
        if one.0 == other.0 {
            let name = members.get(other.1 as usize).map(|member| member.name.as_str());
            let what = "is there twice, so that programs differ in what they see in it";
            return Err(Problem::from(what).into_error(name));
        }
    }
    let lower = hashes(true);
    let pairs = lower.iter().zip(lower.iter().skip(1));
    Ok(pairs.filter(|(one, other)| one.0 == other.0).count() as u64)
}

/// The name as it is compared: a folder and a file of one name get into each other's way as well.
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

/// The entries' numbers in the order of a key. By a heap, which is less code than the sorting of slices.
pub(super) fn sorted(members: &[Member], key: &mut dyn FnMut(&Member) -> u64) -> Vec<(u64, u32)> {
    BinaryHeap::from_iter(members.iter().map(key).zip(0..)).into_sorted_vec()
}

#[cfg(test)]
mod tests {
    use super::safe;

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
            assert!(safe(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
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
            assert!(safe(good).is_ok(), "{:?}", String::from_utf8_lossy(good));
        }
    }
}
