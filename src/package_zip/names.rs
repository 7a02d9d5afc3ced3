//! Checks of names: paths that leave the folder where they are unpacked, and two entries of one name.

use std::collections::BinaryHeap;
use std::hash::{BuildHasher, RandomState};

use super::member::Member;
use super::problem::Problem;
use crate::error::Result;

/// Refuses unsafe names. Backslashes count as separators: they are that on Windows, and older packers write them.
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
        true => Err("has a path that leaves the folder where it is unpacked (`..`)"),
        false => Ok(()),
    }
}

/// Refuses equal names. Returns how many names differ from another one only in the case of letters (A to Z): such files
/// replace each other on Windows and macOS.
pub(super) fn check(members: &[Member]) -> Result<u64> {
    // Hashes take less memory than names. Their random key prevents collisions by design.
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
            let what = "is there twice, so that programs may read the file differently";
            return Err(Problem::from(what).into_error(name));
        }
    }
    let lower = hashes(true);
    let pairs = lower.iter().zip(lower.iter().skip(1));
    Ok(pairs.filter(|(one, other)| one.0 == other.0).count() as u64)
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
