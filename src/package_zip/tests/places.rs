//! Two entries in one place: everywhere, or on Windows and macOS.

use super::*;

fn utf8(name: &str) -> Item {
    Item { flags: 0x800, ..stored(name, b"1") }
}

#[test]
fn two_files_in_one_place_are_found() {
    for (one, other) in [
        ("a", "a"),
        ("a/b", "a\\b"),
        ("./a", "a"),
        ("a//b", "a/b"),
        ("a/./b", "a/b"),
        ("a", ".\\.\\a"),
        // unzip drops versions of VMS.
        ("a", "a;1"),
        ("a/b;12", "a/b;"),
        // libarchive writes accents in one form.
        ("u\u{308}.txt", "\u{fc}.txt"),
        ("\u{d55c}/x", "\u{1112}\u{1161}\u{11ab}/x"),
    ] {
        harmful(&[stored("c", b""), stored(one, b"1"), stored(other, b"2")], other, "lands where");
    }
    let many: Vec<Item> = (0..5).map(|_| stored("a", b"")).collect();
    let contents = check(&zip(&many)).unwrap();
    assert_eq!((contents.unsafe_count, contents.same_but_for_case), (4, 0));
}

#[test]
fn a_file_that_is_a_folder_elsewhere_is_found() {
    harmful(&[stored("a", b"1"), stored("a/", b"")], "a/", "lands where another");
    harmful(&[stored("a/", b""), stored("a", b"1")], "a", "lands where another");
    for (file, below) in [("a", "a/b"), ("a", "a/b/c/d"), ("a/b", "./a\\b//c"), ("a;1", "a/b")] {
        harmful(
            &[stored(file, b"1"), stored(below, b"2")],
            below,
            "that another entry makes a file",
        );
        harmful(
            &[stored(below, b"2"), stored(file, b"1")],
            below,
            "that another entry makes a file",
        );
    }
    let contents = check(&zip(&[stored("A", b"1"), stored("a/b", b"2")])).unwrap();
    assert_eq!((contents.unsafe_count, contents.same_but_for_case), (0, 1));
    safe(&[
        stored("a/b", b"1"),
        stored("a/b.txt", b"2"),
        stored("a/bc/d", b"3"),
        stored("ab", b"4"),
    ]);
}

#[test]
fn second_names_count_as_places() {
    let named = |first: &[u8], second: &str| {
        let extra = unicode_path(first, second);
        Item { name: first.to_vec(), extra: extra.clone(), local_extra: extra, ..stored("", b"1") }
    };
    harmful(&[named(b"\x81", "\u{fc}"), named(b"\x82", "\u{fc}")], "\u{fffd}", "lands where");
    harmful(
        &[named(b"\x81", "\u{fc}"), utf8("\u{fc}/x")],
        "\u{fc}/x",
        "another entry makes a file",
    );
    safe(&[named(b"\x81", "\u{fc}"), named(b"\x82", "\u{e9}")]);
}

#[test]
fn names_in_different_character_sets_may_be_one() {
    let oem = |name: &[u8]| Item { name: name.to_vec(), ..stored("", b"1") };
    harmful(&[utf8("J\u{f6}rg"), oem(b"J\x94rg")], "J\u{fffd}rg", "in different character sets");
    harmful(&[oem(b"J\xf6rg"), utf8("J\u{f6}rg")], "J\u{f6}rg", "in different character sets");
    harmful(&[utf8("x\u{e9}"), stored("x#U00e9", b"")], "x#U00e9", "in different character sets");
    safe(&[utf8("J\u{f6}rg"), oem(b"J\x94rgen"), oem(b"M\x94ller"), oem(b"M\x81ller")]);
    safe(&[utf8("J\u{f6}rg"), utf8("J\u{fc}rg"), stored("J_rg", b""), stored("J#Uxyzz", b"")]);
}

#[test]
fn places_of_windows_and_macos_are_counted() {
    for (one, other) in [
        ("a/File", "a/file"),
        ("\u{c9}.txt", "\u{e9}.txt"),
        ("u\u{308}.txt", "\u{dc}.txt"),
        ("\u{414}/x", "\u{434}//X"),
    ] {
        let contents = safe(&[utf8(one), utf8("other"), utf8(other)]);
        assert_eq!(contents.same_but_for_case, 1, "{one} {other}");
    }
    let contents = check(&zip(&[utf8("a"), utf8("a.")])).unwrap();
    assert_eq!((contents.unsafe_count, contents.same_but_for_case), (1, 1));
    assert_eq!(safe(&[utf8("e"), utf8("\u{e9}"), utf8("\u{e8}")]).same_but_for_case, 0);
}

/// The folders of a Linux device, among which any other names may be.
fn linux(names: &[&str]) -> Vec<Item> {
    let folders = ["Disk volume/a", "Network connections/b", "Processes/c"];
    folders.iter().chain(names).map(|name| utf8(name)).collect()
}

#[test]
fn names_that_windows_changes_are_ordinary_elsewhere() {
    let names = ["12:30.txt", "aux", "trailing.", "what?", "Library/com.apple.x\u{fc}"];
    for (name, words) in [
        (names[0], "a stream on Windows"),
        (names[1], "a device on Windows"),
        (names[2], "which Windows drops"),
        (names[3], "that Windows does not allow"),
    ] {
        harmful(&[utf8(name)], name, words);
        harmful(
            &[utf8("Autoruns/a"), utf8("Prefetch files/b"), utf8("Temp Directories/c"), utf8(name)],
            name,
            words,
        );
    }
    safe(&linux(&names[2..]));
    // The device chooses its folders, and could name them as Linux packages do.
    harmful(&linux(&names[..1]), names[0], "a stream on Windows");
    harmful(&linux(&names[1..2]), names[1], "a device on Windows");
    harmful(&linux(&["logs/Report.txt:x.exe"]), "logs/Report.txt:x.exe", "a stream on Windows");
    harmful(&linux(&["logs/com7.csv/x"]), "logs/com7.csv/x", "a device on Windows");
    // What could do harm there, too, and what could leave the folder on Windows.
    for (name, words) in [
        ("a\u{202e}b", "changes the direction"),
        ("C:x", "drive letter"),
        ("..\\x", "leaves the folder"),
    ] {
        harmful(&linux(&[name]), name, words);
    }
    assert_eq!(safe(&linux(&["x.", "x "])).same_but_for_case, 1);
}
