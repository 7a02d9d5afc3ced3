//! The result of checking a package, as types and as JSON.

use std::fs::File;
use std::path::Path;

use ring::digest::{Context, SHA256};
use serde::{Serialize, Serializer};

use super::device::DeviceKind;
use super::entry::Entry;
use super::file::{self, Source};
use super::member::Member;
use super::problem::{Checked, Pause, Problem};
use super::unsafe_entry::{self, LISTED, UnsafeEntry};
use super::{MAX_SIZE, verify};
use crate::error::Result;
use crate::text::hex::hex;
use crate::text::json;

/// The contents of a package. Every file matched its checksum, but for those that are listed as not checked.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Contents {
    /// All entries, in the order of the package's directory.
    pub entries: Vec<Entry>,
    /// Length of all files when unpacked, in bytes.
    pub bytes_uncompressed: u64,
    /// The operating system of the device. `None`: the zip does not look like an investigation package.
    pub device: Option<DeviceKind>,
    /// The documented parts that this package lacks, by Microsoft's names.
    pub missing: Vec<&'static str>,
    /// Bytes of the file that belong to no entry.
    pub bytes_unlisted: u64,
    /// How many names differ from another one only in what Windows or macOS take for one: cases, dots and
    /// blanks at the end. Unpacked there, such files replace each other.
    pub same_but_for_case: u64,
    /// The entries that could do harm where the package is unpacked, at most 100, in the order of the package's
    /// directory. A reason that is the whole package's is the first.
    pub unsafe_entries: Vec<UnsafeEntry>,
    /// How many such entries there are.
    pub unsafe_count: u64,
}

impl Contents {
    pub(super) fn new(members: Vec<Member>) -> Self {
        let (unsafe_entries, unsafe_count) = unsafe_entry::list(&members);
        let entries: Vec<Entry> = members.into_iter().map(Entry::of).collect();
        let lengths = entries.iter().map(Entry::bytes);
        // Entries that are not decompressed may declare anything.
        let bytes_uncompressed = lengths.fold(0, u64::saturating_add).min(MAX_SIZE);
        Contents {
            entries,
            bytes_uncompressed,
            unsafe_entries,
            unsafe_count,
            ..Contents::default()
        }
    }

    /// Those of a package that has more than is checked.
    pub(super) fn unchecked(reason: &'static str) -> Self {
        let mut contents = Contents::default();
        contents.harms(reason);
        contents
    }

    /// Records why the whole package could do harm.
    pub(super) fn harms(&mut self, reason: &'static str) {
        self.unsafe_entries.insert(0, UnsafeEntry::package(reason));
        self.unsafe_entries.truncate(LISTED);
        self.unsafe_count += 1;
    }
}

/// Serialized as the members that all documents about a verified package share.
impl Serialize for Contents {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Members<'a> {
            entries: usize,
            bytes_uncompressed: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            device: Option<&'static str>,
            missing: &'a [&'static str],
            bytes_unlisted: u64,
            same_but_for_case: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            unsafe_count: Option<u64>,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            unsafe_entries: &'a [UnsafeEntry],
        }
        Members {
            entries: self.entries.len(),
            bytes_uncompressed: self.bytes_uncompressed,
            device: self.device.map(DeviceKind::name),
            missing: &self.missing,
            bytes_unlisted: self.bytes_unlisted,
            same_but_for_case: self.same_but_for_case,
            unsafe_count: Some(self.unsafe_count).filter(|count| *count > 0),
            unsafe_entries: &self.unsafe_entries,
        }
        .serialize(serializer)
    }
}

/// A package on disk that was checked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InspectedPackage {
    /// The path, as it was given.
    pub path: String,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// The contents of the package.
    pub contents: Contents,
}

impl InspectedPackage {
    /// `{"package":{…,"files":[…]}}`
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            package: &'a InspectedPackage,
        }
        json::text(&Document { package: self })
    }
}

impl Serialize for InspectedPackage {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Members<'a> {
            path: &'a str,
            bytes: u64,
            sha256: String,
            #[serde(flatten)]
            contents: &'a Contents,
            files: &'a [Entry],
        }
        let InspectedPackage { path, bytes, sha256, contents } = self;
        let (sha256, files) = (hex(sha256), &contents.entries);
        Members { path, bytes: *bytes, sha256, contents, files }.serialize(serializer)
    }
}

/// Checks a package on disk and lists its contents. Reads it twice: for the check, and for the SHA-256 of the file.
/// `watch` gets the position of each reading and the length of the file; its error ends the check.
pub(crate) fn inspect(
    path: &Path,
    watch: &dyn Fn(u64, u64) -> Result<()>,
) -> Result<InspectedPackage> {
    let file = file::open(path)?;
    inspect_open(&file, path, watch).map_err(|error| file::naming(&file::shown(path), error))
}

fn inspect_open(
    file: &File,
    path: &Path,
    watch: &dyn Fn(u64, u64) -> Result<()>,
) -> Result<InspectedPackage> {
    let length = Source::new(file, &|_| Ok(())).map_err(Problem::of_the_file)?.len();
    // The check begins at the end of the file, which is no progress.
    watch(0, length)?;
    let pause = |at| watch(at, length);
    let contents = verify(file, &pause)?;
    let (bytes, sha256) = digest(file, &pause).map_err(Problem::of_the_file)?;
    Ok(InspectedPackage { path: path.to_string_lossy().into_owned(), bytes, sha256, contents })
}

fn digest(file: &File, pause: Pause<'_>) -> Checked<(u64, [u8; 32])> {
    let mut source = Source::new(file, pause)?;
    let mut context = Context::new(&SHA256);
    let mut at = 0;
    while at < source.len() {
        let part = source.some(at, u64::MAX)?;
        context.update(part);
        at += part.len() as u64;
    }
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(context.finish().as_ref());
    Ok((at, sha256))
}
