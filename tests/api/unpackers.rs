//! What the check calls safe is safe: unpackers put nothing outside of the folder, and no two entries in one file.
//!
//! The zips are made of odd names by a generator with a seed. Unsafe entries are left out until the rest is safe.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mde_tests::inspect_package;

/// How many zips are unpacked.
const ROUNDS: usize = 25;

const PYTHON: &str = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall()";

/// How a program unpacks a zip into the current folder.
struct Unpacker {
    program: &'static str,
    /// The Debian package.
    package: &'static str,
    arguments: &'static [&'static str],
    /// It reads the zip from a pipe, and so by its headers.
    piped: bool,
    locale: &'static str,
}

const fn unpacker(
    program: &'static str,
    package: &'static str,
    arguments: &'static [&'static str],
) -> Unpacker {
    Unpacker { program, package, arguments, piped: false, locale: "C.UTF-8" }
}

/// Two locales for unzip, and both ways to read for those that have them.
const UNPACKERS: [Unpacker; 8] = [
    unpacker("unzip", "unzip", &["-oq"]),
    Unpacker { locale: "C", ..unpacker("unzip", "unzip", &["-oq"]) },
    unpacker("bsdtar", "libarchive-tools", &["-xf"]),
    Unpacker { piped: true, ..unpacker("bsdtar", "libarchive-tools", &["-xf-"]) },
    unpacker("7z", "p7zip-full", &["x", "-y", "-bd"]),
    unpacker("python3", "python3", &["-c", PYTHON]),
    unpacker("java", "default-jre-headless", &["-m", "jdk.jartool/sun.tools.jar.Main", "xf"]),
    Unpacker {
        piped: true,
        ..unpacker("java", "default-jre-headless", &["-m", "jdk.jartool/sun.tools.jar.Main", "x"])
    },
];

impl Unpacker {
    /// Whether it reports success.
    fn unpack(&self, zip: &Path, into: &Path) -> bool {
        let mut command = Command::new(self.program);
        command.current_dir(into).env("LC_ALL", self.locale).args(self.arguments);
        let mut cat = None;
        if self.piped {
            // bsdtar reads a file by its directory, even if it is the standard input.
            let mut child = Command::new("cat").arg(zip).stdout(Stdio::piped()).spawn().unwrap();
            command.stdin(child.stdout.take().unwrap());
            cat = Some(child);
        } else {
            command.stdin(Stdio::null()).arg(zip);
        }
        let output = command.output().unwrap_or_else(|why| {
            let Unpacker { program, package, .. } = self;
            panic!(
                "{program}: {why}; as root: apt-get install -y --no-install-recommends {package}"
            )
        });
        // Closes this process's end of the pipe.
        drop(command);
        cat.map(|mut child| child.wait().unwrap());
        // unzip has 1 for success with a warning.
        output.status.success() || (self.program == "unzip" && output.status.code() == Some(1))
    }

    fn name(&self) -> String {
        format!("{} {} {}", self.program, self.arguments.last().unwrap(), self.locale)
    }
}

/// One entry of a zip, stored.
#[derive(Clone)]
struct Entry {
    name: Vec<u8>,
    content: String,
    utf8: bool,
    system: u8,
    extra: Vec<u8>,
    /// The directory lists it.
    listed: bool,
}

fn entry(name: impl Into<Vec<u8>>, content: &str) -> Entry {
    let (name, content, extra) = (name.into(), content.to_owned(), vec![]);
    Entry { name, content, utf8: true, system: 3, extra, listed: true }
}

impl Entry {
    fn is_folder(&self) -> bool {
        self.content.is_empty()
    }
}

fn zip(entries: &[Entry]) -> Vec<u8> {
    let (mut out, mut directory, mut count) = (Vec::new(), Vec::new(), 0_u16);
    for entry in entries {
        let crc32 = crc32fast::hash(entry.content.as_bytes()).to_le_bytes();
        let bytes = (entry.content.len() as u32).to_le_bytes();
        let mut common = vec![20, 0, 0, if entry.utf8 { 8 } else { 0 }, 0, 0, 0, 0x60, 0x21, 0x5c];
        common.extend([crc32, bytes, bytes].concat());
        common.extend((entry.name.len() as u16).to_le_bytes());
        common.extend((entry.extra.len() as u16).to_le_bytes());
        let mode: u32 = if entry.is_folder() { 0o040_755 } else { 0o100_644 };
        let dos: u32 = if entry.is_folder() { 0x10 } else { 0x20 };
        if entry.listed {
            count += 1;
            directory.extend([b"PK\x01\x02\x14", &[entry.system][..], &common, &[0; 6]].concat());
            directory.extend((mode << 16 | dos).to_le_bytes());
            directory.extend((out.len() as u32).to_le_bytes());
            directory.extend([&entry.name[..], &entry.extra].concat());
        }
        out.extend([b"PK\x03\x04", &common[..], &entry.name, &entry.extra].concat());
        out.extend(entry.content.as_bytes());
    }
    let (at, size) = (out.len() as u32, directory.len() as u32);
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([count.to_le_bytes(); 2].concat());
    out.extend([size.to_le_bytes(), at.to_le_bytes()].concat());
    out.extend([0, 0]);
    out
}

/// A folder of the test, with one deep inside it to unpack into.
struct Sandbox {
    root: PathBuf,
    zip: PathBuf,
    into: PathBuf,
}

impl Sandbox {
    fn new(name: &str) -> Sandbox {
        let root = mde_tests::scratch().join("unpackers").join(name);
        let _ = fs::remove_dir_all(&root);
        let into = root.join("one/two/three/into");
        fs::create_dir_all(&into).unwrap();
        Sandbox { zip: root.join("odd.zip"), root, into }
    }

    /// What went wrong when a program unpacked these entries, and whether it reported success.
    fn unpack(&self, unpacker: &Unpacker, entries: &[Entry]) -> (Vec<String>, bool) {
        let _ = fs::remove_dir_all(&self.into);
        fs::create_dir_all(&self.into).unwrap();
        fs::write(&self.zip, zip(entries)).unwrap();
        let succeeded = unpacker.unpack(&self.zip, &self.into);
        let mut wrong = Vec::new();
        let mut contents = BTreeMap::new();
        list(&self.root, &mut |path, kind| {
            let inside = path.starts_with(&self.into);
            if !inside && path != self.zip && kind.is_file() || !kind.is_file() && !kind.is_dir() {
                wrong.push(format!("{} is outside or a link", path.display()));
            } else if inside && kind.is_file() {
                let content = String::from_utf8(fs::read(path).unwrap()).unwrap();
                contents.insert(content, path.to_owned());
            }
        });
        let unlisted = entries.iter().filter(|entry| !entry.listed);
        let unpacked = unlisted.filter(|entry| contents.contains_key(&entry.content));
        wrong.extend(unpacked.map(|entry| format!("{} is not listed", entry.content)));
        // A program that stops leaves entries out, which harms nobody.
        if succeeded {
            let expected = entries.iter().filter(|entry| entry.listed && !entry.is_folder());
            let lost = expected.filter(|entry| !contents.contains_key(&entry.content));
            wrong.extend(
                lost.map(|entry| format!("{:?} is lost", String::from_utf8_lossy(&entry.name))),
            );
        }
        (wrong, succeeded)
    }
}

fn list(folder: &Path, each: &mut dyn FnMut(&Path, fs::FileType)) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        each(&entry.path(), kind);
        if kind.is_dir() {
            list(&entry.path(), each);
        }
    }
}

fn info_zip(name: &[u8], second: &str) -> Vec<u8> {
    let body = [&[1][..], &crc32fast::hash(name).to_le_bytes(), second.as_bytes()].concat();
    [&0x7075_u16.to_le_bytes()[..], &(body.len() as u16).to_le_bytes(), &body].concat()
}

/// Parts of names that some program or system reads in a way of its own.
const PARTS: [&str; 40] = [
    "a",
    "a",
    "b",
    "b",
    "A",
    "ab",
    "c",
    ".",
    "..",
    "",
    "...",
    ".a",
    "a.",
    "a ",
    " a",
    "a;1",
    "a;",
    ";2",
    "a\u{e9}",
    "ae\u{301}",
    "a\u{fc}",
    "a#U00e9",
    "a_",
    "a?",
    "a*",
    "a:b",
    "CON",
    "aux.txt",
    "a\u{7f}",
    "a\u{1}",
    "a\nb",
    "\u{65e5}\u{672c}",
    "\u{1f600}",
    "a\u{202e}",
    "~",
    "-a",
    "@a",
    "%41",
    "a\\b",
    "$HOME",
];

fn odd_entry(random: &mut fastrand::Rng, content: usize) -> Entry {
    let depth = [1, 1, 2, 2, 3][random.usize(..5)];
    let mut name = String::new();
    for level in 0..depth {
        if level > 0 {
            name.push_str(["/", "/", "/", "//", "\\", "/./"][random.usize(..6)]);
        }
        name.push_str(PARTS[random.usize(..PARTS.len())]);
    }
    if random.u8(..8) == 0 {
        name.insert_str(0, ["./", "/", "C:", "../"][random.usize(..4)]);
    }
    let is_folder = random.u8(..5) == 0;
    if is_folder {
        name.push('/');
    }
    let content = if is_folder { String::new() } else { format!("entry {content}") };
    let mut entry = entry(name.clone(), &content);
    entry.system = [3, 3, 0, 10][random.usize(..4)];
    match random.u8(..12) {
        // A character set of MS-DOS, and for it a second name or none.
        0 => {
            entry.utf8 = false;
            entry.name = name.replace('\u{e9}', "\u{1}").replace('\u{fc}', "\u{2}").into_bytes();
            for (mark, byte) in [(1, 0x82), (2, 0x81)] {
                entry.name.iter_mut().filter(|one| **one == mark).for_each(|one| *one = byte);
            }
            if random.bool() {
                entry.extra = info_zip(&entry.name, &name);
            }
        }
        1 => entry.utf8 = name.is_ascii(),
        2 => entry.extra = info_zip(name.as_bytes(), "a"),
        _ => {}
    }
    entry
}

/// Entries of a Linux device, so that names which Windows changes are safe among them.
fn linux() -> Vec<Entry> {
    let folders = ["Disk volume/x", "Network connections/x", "Processes/x"];
    folders.iter().map(|name| entry(*name, name)).collect()
}

/// The entries without those that are unsafe.
fn only_safe(mut entries: Vec<Entry>, zip_file: &Path) -> Vec<Entry> {
    loop {
        fs::write(zip_file, zip(&entries)).unwrap();
        let outcome = inspect_package(zip_file.to_str().unwrap());
        let package = outcome.document["package"].clone();
        let Some(found) = package["unsafe_entries"].as_array() else {
            outcome.ok();
            return entries;
        };
        let names: BTreeSet<&str> = found.iter().map(|one| one["name"].as_str().unwrap()).collect();
        let before = entries.len();
        let shown =
            |name: &[u8]| String::from_utf8_lossy(name).replace(char::is_control, "\u{fffd}");
        // An empty name is that of the whole package, too.
        let is_unsafe = |entry: &Entry| match entry.listed {
            true => names.contains(&*shown(&entry.name)),
            false => names.contains(""),
        };
        entries.retain(|entry| !is_unsafe(entry));
        assert!(entries.len() < before, "{package}");
    }
}

#[test]
fn what_is_safe_stays_inside_and_apart() {
    let sandbox = Sandbox::new("safe");
    let mut random = fastrand::Rng::with_seed(2026);
    let mut successes = BTreeMap::new();
    let mut count = 0;
    for round in 0..ROUNDS {
        let odd = (0..100).map(|number| odd_entry(&mut random, number));
        let mut entries: Vec<Entry> = linux().into_iter().chain(odd).collect();
        entries.insert(round * 4, Entry { listed: false, ..entry("unlisted", "unlisted") });
        let entries = only_safe(entries, &sandbox.zip);
        count += entries.len();
        for unpacker in &UNPACKERS {
            let (wrong, succeeded) = sandbox.unpack(unpacker, &entries);
            assert!(wrong.is_empty(), "round {round}, {}: {wrong:#?}", unpacker.name());
            *successes.entry(unpacker.name()).or_insert(0) += usize::from(succeeded);
        }
    }
    println!("{count} entries, successes of {ROUNDS}: {successes:?}");
    assert!(count > ROUNDS * 20, "{count} entries are few");
    assert!(successes.values().all(|count| *count > ROUNDS / 4), "{successes:?}");
}

/// The test above would notice: each of these is unsafe, and a program does harm with it.
#[test]
fn what_is_unsafe_does_harm() {
    let sandbox = Sandbox::new("unsafe");
    let twice = |one: &str, other: &str| vec![entry(one, "one"), entry(other, "other")];
    let second = |name: &str| {
        let extra = info_zip(name.as_bytes(), "same");
        Entry { extra, utf8: false, ..entry(name, name) }
    };
    let unlisted = Entry { listed: false, ..entry("c", "unlisted") };
    for (programs, entries) in [
        (&["unzip", "bsdtar", "python3", "java"][..], twice("a", "./a")),
        (&["unzip", "python3", "7z", "java"], twice("a/b", "a//b")),
        (&["unzip"], twice("a", "a;1")),
        (&["java"], twice("b", "a../b")),
        (&["unzip", "bsdtar", "7z"], vec![second("one"), second("other")]),
        (&["bsdtar", "java"], vec![entry("a", "one"), unlisted, entry("b", "other")]),
    ] {
        fs::write(&sandbox.zip, zip(&entries)).unwrap();
        let package = inspect_package(sandbox.zip.to_str().unwrap()).document["package"].clone();
        assert_eq!(
            package["unsafe_count"],
            if entries[0].extra.is_empty() { 1 } else { 2 },
            "{package}"
        );
        for program in programs {
            let mut these = UNPACKERS.iter().filter(|unpacker| unpacker.program == *program);
            let harms = |unpacker: &Unpacker| !sandbox.unpack(unpacker, &entries).0.is_empty();
            assert!(these.any(harms), "{program} keeps both of {package}");
        }
    }
}
