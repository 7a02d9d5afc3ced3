//! Other readers of zips: Python's and libarchive's, which is bsdtar's. They run in a process of their own, `readers.py`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// What a reader finds.
pub struct Seen {
    /// It read the zip to its end.
    pub error: Option<String>,
    pub entries: Vec<SeenEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeenEntry {
    pub name: Vec<u8>,
    pub bytes: u64,
    pub crc32: u32,
    /// A file or a folder, and nothing else.
    pub is_plain: bool,
}

pub struct All {
    pub python: Seen,
    /// libarchive with a file, by the directory.
    pub by_directory: Seen,
    /// libarchive with a pipe, by the headers.
    pub by_headers: Seen,
}

struct Readers {
    _child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

static READERS: LazyLock<Mutex<Readers>> = LazyLock::new(|| {
    // Both packages that compile this file lie in `tests`.
    let tests = env!("CARGO_MANIFEST_DIR").trim_end_matches("/fuzz");
    let mut child = Command::new("/usr/bin/python3")
        .arg(format!("{tests}/fuzz/readers.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Debian's python3");
    let to = child.stdin.take().expect("a pipe");
    let from = BufReader::new(child.stdout.take().expect("a pipe"));
    Mutex::new(Readers { _child: child, to, from })
});

fn readers() -> MutexGuard<'static, Readers> {
    READERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets all of them read a zip.
pub fn read(zip: &[u8]) -> All {
    let mut readers = readers();
    readers.to.write_all(&(zip.len() as u32).to_le_bytes()).expect("readers.py has ended");
    readers.to.write_all(zip).expect("readers.py has ended");
    let mut line = String::new();
    readers.from.read_line(&mut line).expect("readers.py has ended");
    let document: Value = serde_json::from_str(&line).expect("readers.py has ended");
    All {
        python: seen(&document["python"]),
        by_directory: seen(&document["by_directory"]),
        by_headers: seen(&document["by_headers"]),
    }
}

fn seen(document: &Value) -> Seen {
    let entries = document["entries"].as_array().expect("a list").iter().map(|entry| SeenEntry {
        name: bytes(entry[0].as_str().expect("a name")),
        bytes: entry[1].as_u64().expect("a length"),
        crc32: entry[2].as_u64().and_then(|crc32| crc32.try_into().ok()).expect("a checksum"),
        is_plain: entry[3].as_bool().expect("a kind"),
    });
    Seen { error: document["error"].as_str().map(str::to_owned), entries: entries.collect() }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(hex.get(at..at + 2).unwrap_or_default(), 16);
    (0..hex.len() / 2).map(|at| digit(2 * at).expect("hexadecimal")).collect()
}
