//! What the check of a package tells, as types and as JSON.

use std::fs::File;
use std::path::Path;

use ring::digest::{Context, SHA256};
use serde::{Serialize, Serializer};

use super::device::{self, DeviceKind};
use super::entry::Entry;
use super::file::{self, Source};
use super::member::Member;
use super::problem::{Checked, Pause, Problem};
use super::verify;
use crate::error::Result;
use crate::text::hex::hex;
use crate::text::json;

/// What a package holds. Every byte of every file has been compared with its checksum.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Contents {
    /// In the order of the package's directory.
    pub entries: Vec<Entry>,
    /// Length of all files when unpacked.
    pub bytes_uncompressed: u64,
    /// The operating system it comes from; `None`: it does not look like an investigation package.
    pub device: Option<DeviceKind>,
    /// What packages of this system are documented to hold and this one does not, by Microsoft's names.
    pub missing: Vec<&'static str>,
    /// Bytes of the file that belong to nothing it lists.
    pub bytes_unlisted: u64,
    /// Names that differ from another in the case of their letters only; unpacked on Windows or macOS, one replaces the
    /// other.
    pub same_but_for_case: u64,
}

impl Contents {
    pub(super) fn new(members: Vec<Member>, bytes_unlisted: u64, same_but_for_case: u64) -> Self {
        let entries: Vec<Entry> = members.into_iter().map(Entry::of).collect();
        let bytes_uncompressed = entries.iter().map(Entry::bytes).sum();
        let (device, missing) = device::recognise(&entries);
        Contents { entries, bytes_uncompressed, device, missing, bytes_unlisted, same_but_for_case }
    }
}

/// The members that every document about a verified package has.
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
        }
        Members {
            entries: self.entries.len(),
            bytes_uncompressed: self.bytes_uncompressed,
            device: self.device.map(DeviceKind::name),
            missing: &self.missing,
            bytes_unlisted: self.bytes_unlisted,
            same_but_for_case: self.same_but_for_case,
        }
        .serialize(serializer)
    }
}

/// A package on disk that was looked into.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InspectedPackage {
    /// Where it lies, as it was given.
    pub path: String,
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// What is in it.
    pub contents: Contents,
}

impl InspectedPackage {
    /// `{"package":{…,"files":[…]}}`
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Document<'a> {
            package: Members<'a>,
        }
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
        json::text(&Document { package: Members { path, bytes: *bytes, sha256, contents, files } })
    }
}

/// Checks a package on disk and lists what is in it. Reads it twice: for the check, and for the SHA-256 of the file.
/// `watch`: gets how far each reading is and the length of the file; an error ends the check.
pub(crate) fn inspect(
    path: &Path,
    watch: &dyn Fn(u64, u64) -> Result<()>,
) -> Result<InspectedPackage> {
    let whole = |problem: Problem| problem.into_error(None);
    let file = file::open(path)?;
    let length = Source::new(&file, &|_| Ok(())).map_err(whole)?.len();
    let pause = |at| watch(at, length);
    let contents = verify(&file, &pause)?;
    let (bytes, sha256) = digest(&file, &pause).map_err(whole)?;
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
