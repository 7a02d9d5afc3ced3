//! Names that could do harm by themselves: paths that lead elsewhere, and names that a system changes or hides.

use super::member::Member;
use super::place::skeletonize;
use super::reason;
use crate::text::invisible::is_invisible;
use crate::text::windows_name::is_device;

/// Finds names that could do harm. `of_windows`: the device may run Windows, and no file there has a name that Windows
/// does not allow.
pub(super) fn check(members: &mut [Member], of_windows: bool) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for member in members {
        let mut harm = harm(&member.raw, member.is_utf8());
        if let Some(name) = &member.second {
            skeletonize(&member.raw, &mut first);
            skeletonize(name, &mut second);
            let differs = (first != second).then_some(reason::SECOND_NAME);
            harm = harm.or_else(|| self::harm(name, true)).or(differs);
        }
        let names = [Some(&member.raw), member.second.as_ref()];
        let each =
            |name: Option<&Box<[u8]>>| name.and_then(|name| harm_on_windows(name, of_windows));
        harm = harm.or_else(|| names.into_iter().find_map(each));
        member.harms(harm);
    }
}

/// Backslashes count as separators: they are that on Windows, and older packers write them.
pub(super) fn is_separator(byte: &u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

/// The parts of a path. Empty ones and `.` mean nothing, everywhere.
pub(super) fn parts(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(is_separator).filter(|part| !matches!(*part, b"" | b"."))
}

/// Why a name could do harm on any system. `utf8`: it is marked as UTF-8.
pub(super) fn harm(name: &[u8], utf8: bool) -> Option<&'static str> {
    match name {
        [first, ..] if is_separator(first) => return Some(reason::ABSOLUTE),
        [first, b':', ..] if first.is_ascii_alphabetic() => return Some(reason::DRIVE),
        _ => {}
    }
    // Windows drops spaces at the end of a name. Java's jar drops everything before the last `../`, as in `a../b`.
    let is_jump = |three: &[u8]| matches!(three, b"../" | b"..\\");
    if parts(name).any(|part| part.trim_ascii() == b"..") || name.windows(3).any(is_jump) {
        return Some(reason::LEAVES);
    }
    // `./` is the folder itself.
    if parts(name).next().is_none() && !name.last().is_some_and(is_separator) {
        return Some(reason::NO_NAME);
    }
    match std::str::from_utf8(name) {
        Ok(text) => text.chars().find_map(character),
        Err(_) if utf8 => Some(reason::NOT_UTF8),
        // unzip drops the byte 255, too.
        Err(_) => name
            .iter()
            .any(|byte| byte.is_ascii_control() || *byte == 0xff)
            .then_some(reason::CONTROL),
    }
}

fn character(c: char) -> Option<&'static str> {
    match c {
        '\u{2028}' | '\u{2029}' => Some(reason::CONTROL),
        _ if c.is_control() => Some(reason::CONTROL),
        _ if is_invisible(c) => Some(reason::INVISIBLE),
        // Separators in form, and what character sets of Windows make `/`, `\`, `.` and `:`. Sets of Japan and Korea
        // have full-width forms of their own and make `\` of their currency.
        '\u{2044}' | '\u{2215}' | '\u{2216}' | '\u{29f5}' | '\u{29f8}' => Some(reason::LOOKALIKE),
        '\u{ff0e}' | '\u{ff0f}' | '\u{ff1a}' | '\u{ff3c}' => Some(reason::LOOKALIKE),
        '\u{a5}' | '\u{20a9}' | '\u{2236}' => Some(reason::LOOKALIKE),
        _ => None,
    }
}

/// Why a name could do harm on Windows alone. Streams and devices count in every package, since a device chooses the
/// folders by which its system is known. Other names are ordinary on macOS and Linux.
fn harm_on_windows(name: &[u8], of_windows: bool) -> Option<&'static str> {
    parts(name).find_map(|part| {
        if part.contains(&b':') {
            Some(reason::WINDOWS_STREAM)
        } else if is_device(part) {
            Some(reason::WINDOWS_DEVICE)
        } else if !of_windows {
            None
        } else if part.iter().any(|byte| b"<>|?*\"".contains(byte)) {
            Some(reason::WINDOWS_CHARACTER)
        } else if matches!(part.last(), Some(b'.' | b' ')) {
            Some(reason::WINDOWS_END)
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_elsewhere_are_found() {
        for (bad, why) in [
            (&b""[..], reason::NO_NAME),
            (b".", reason::NO_NAME),
            (b"./.", reason::NO_NAME),
            (b"/etc/passwd", reason::ABSOLUTE),
            (b"\\\\server\\share", reason::ABSOLUTE),
            (b"C:\\x", reason::DRIVE),
            (b"c:x", reason::DRIVE),
            (b"..", reason::LEAVES),
            (b"../x", reason::LEAVES),
            (b"a/../../x", reason::LEAVES),
            (b"a\\..\\x", reason::LEAVES),
            (b"a/..", reason::LEAVES),
            (b"a/.. /x", reason::LEAVES),
            (b"a../x", reason::LEAVES),
            (b"a/...\\x", reason::LEAVES),
        ] {
            assert_eq!(harm(bad, false), Some(why), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn names_that_hide_something_are_found() {
        for (bad, why) in [
            ("a\0b", reason::CONTROL),
            ("a\u{1b}[2J", reason::CONTROL),
            ("line\nbreak", reason::CONTROL),
            ("a\u{85}b", reason::CONTROL),
            ("a\u{2028}b", reason::CONTROL),
            ("invoice\u{202e}fdp.exe", reason::INVISIBLE),
            ("a\u{200b}b", reason::INVISIBLE),
            ("\u{feff}a", reason::INVISIBLE),
            ("a\u{2066}b", reason::INVISIBLE),
            ("a\u{e0041}b", reason::INVISIBLE),
            ("a\u{3164}b", reason::INVISIBLE),
            ("a\u{34f}b", reason::INVISIBLE),
            ("a\u{fe0f}b", reason::INVISIBLE),
            ("a\u{e0100}b", reason::INVISIBLE),
            ("a\u{600}b", reason::INVISIBLE),
            ("..\u{2215}x", reason::LOOKALIKE),
            ("..\u{ff0f}x", reason::LOOKALIKE),
            ("..\u{ff3c}x", reason::LOOKALIKE),
            ("\u{ff0e}\u{ff0e}/x", reason::LOOKALIKE),
            ("c\u{ff1a}x", reason::LOOKALIKE),
            ("c\u{2236}x", reason::LOOKALIKE),
            ("..\u{a5}x", reason::LOOKALIKE),
            ("..\u{20a9}x", reason::LOOKALIKE),
        ] {
            assert_eq!(harm(bad.as_bytes(), true), Some(why), "{bad:?}");
        }
        assert_eq!(harm(b"a\x94", true), Some(reason::NOT_UTF8));
        assert_eq!(harm(b"a\x94", false), None);
        assert_eq!(harm(b"a\xff", false), Some(reason::CONTROL));
        assert_eq!(harm(b"\x94\x07", false), Some(reason::CONTROL));
    }

    #[test]
    fn names_of_real_packages_are_safe() {
        for good in [
            "Autoruns/HKLM Run.txt",
            "Autoruns\\Run.txt",
            "Forensics Collection Summary.csv",
            "Temp Directories/J\u{f6}rg_TempDirFiles.txt",
            "Temp Directories/\u{65e5}\u{672c}.txt",
            "Prefetch files/CMD.EXE-0BD30981.pf",
            "a..b/c...d",
            "folder/",
            "./",
            "./a",
            "a//b",
            "console/auxiliary.txt/com10/lpt0",
            ".hidden",
        ] {
            assert_eq!(harm(good.as_bytes(), true), None, "{good}");
            assert_eq!(harm_on_windows(good.as_bytes(), true), None, "{good}");
        }
    }

    #[test]
    fn names_that_are_others_on_windows_are_found() {
        for (bad, why) in [
            ("12:30.txt", reason::WINDOWS_STREAM),
            ("a/b.txt:hidden", reason::WINDOWS_STREAM),
            ("a?b", reason::WINDOWS_CHARACTER),
            ("<a>", reason::WINDOWS_CHARACTER),
            ("a|b/c", reason::WINDOWS_CHARACTER),
            ("\"a\"", reason::WINDOWS_CHARACTER),
            ("*", reason::WINDOWS_CHARACTER),
            ("con", reason::WINDOWS_DEVICE),
            ("a/NUL.txt", reason::WINDOWS_DEVICE),
            ("Aux .tar.gz", reason::WINDOWS_DEVICE),
            ("prn/x", reason::WINDOWS_DEVICE),
            ("COM1", reason::WINDOWS_DEVICE),
            ("com\u{b9}.log", reason::WINDOWS_DEVICE),
            ("Lpt9", reason::WINDOWS_DEVICE),
            ("CONIN$", reason::WINDOWS_DEVICE),
            ("conout$.x", reason::WINDOWS_DEVICE),
            ("a./b", reason::WINDOWS_END),
            ("a/b ", reason::WINDOWS_END),
            ("...", reason::WINDOWS_END),
            // The worse reason is found behind others.
            ("ab:<c>", reason::WINDOWS_STREAM),
            ("nul.?", reason::WINDOWS_DEVICE),
        ] {
            assert_eq!(harm_on_windows(bad.as_bytes(), true), Some(why), "{bad}");
            assert_eq!(harm(bad.as_bytes(), true), None, "{bad}");
            let everywhere = [reason::WINDOWS_STREAM, reason::WINDOWS_DEVICE].contains(&why);
            let elsewhere = everywhere.then_some(why);
            assert_eq!(harm_on_windows(bad.as_bytes(), false), elsewhere, "{bad}");
        }
    }
}
