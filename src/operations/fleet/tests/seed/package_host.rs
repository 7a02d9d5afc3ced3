//! A model of the host of the packages. A package may be replaced while it is downloaded.

use crate::operations::download::simulated::{Head, Request};

/// The package of one device, at the host.
#[derive(Debug)]
pub(super) struct Package {
    /// All versions so far. The last one is there.
    versions: Vec<Vec<u8>>,
    has_ranges: bool,
    /// Its replies to requests for a range name the version, as they should.
    names_versions: bool,
    names_lengths: bool,
    has_one_length: bool,
    random: fastrand::Rng,
}

/// No package is replaced more often.
const MOST_VERSIONS: usize = 3;

impl Package {
    pub(super) fn new(mut random: fastrand::Rng) -> Package {
        let mut package = Package {
            versions: Vec::new(),
            has_ranges: random.u8(..8) > 0,
            names_versions: random.bool(),
            names_lengths: random.u8(..4) > 0,
            has_one_length: random.bool(),
            random,
        };
        package.replace();
        package
    }

    /// Puts another version in its place. Returns whether it did.
    pub(super) fn replace(&mut self) -> bool {
        if self.versions.len() == MOST_VERSIONS {
            return false;
        }
        let known = self.versions.first().filter(|_| self.has_one_length).map(Vec::len);
        let length = known.unwrap_or_else(|| self.random.usize(200..2_000));
        let mut version = vec![0; length];
        self.random.fill(&mut version);
        self.versions.push(version);
        true
    }

    /// Whether these bytes are one of its versions.
    pub(super) fn is_version(&self, bytes: &[u8]) -> bool {
        self.versions.iter().any(|version| version == bytes)
    }

    /// The reply to a request: its head and its body.
    pub(super) fn get(&self, request: &Request) -> (Head, Vec<u8>) {
        let etag = format!("\"{}\"", self.versions.len());
        let version = self.versions.last().unwrap();
        let is_same = request.if_range.as_ref().is_none_or(|known| *known == etag);
        let total = version.len();
        let Some(from) = request.from.filter(|_| self.has_ranges && is_same) else {
            let length = self.names_lengths.then_some(total as u64);
            let head = Head { status: 200, length, range: None, etag: Some(etag) };
            return (head, version.clone());
        };
        let etag = Some(etag).filter(|_| self.names_versions);
        match usize::try_from(from).unwrap() {
            from if from >= total => {
                let range = Some(format!("bytes */{total}"));
                (Head { status: 416, length: None, range, etag }, Vec::new())
            }
            from => {
                let range = Some(format!("bytes {from}-{}/{total}", total - 1));
                let length = Some((total - from) as u64);
                (Head { status: 206, length, range, etag }, version[from..].to_vec())
            }
        }
    }
}
