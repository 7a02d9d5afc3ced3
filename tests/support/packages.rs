//! Code that the tests of downloads share: folders, packages, and a service with links to a chosen host.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use mde_simulator::{Config, Endpoint, Limit, QuotaMode, Simulator};
use serde_json::{Value, json};

use super::{Client, Outcome, client};

/// A folder of one's own, gone when dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("package-{}-{number}", std::process::id());
        let path = crate::scratch().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn file(&self) -> PathBuf {
        self.0.join("package.zip")
    }

    /// The same as text.
    pub fn path(&self) -> String {
        self.file().to_str().unwrap().to_owned()
    }

    pub fn names(&self) -> Vec<String> {
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names: Vec<_> = fs::read_dir(&self.0).unwrap().map(|e| name(e.unwrap())).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A service without quotas, and an action in a state.
pub fn service(status: &str) -> (Simulator, String) {
    let sim = Simulator::start(Config { quota_mode: QuotaMode::Off, ..Config::default() }).unwrap();
    let action = sim.add_action(json!({"status": status})).unwrap();
    let id = action["id"].as_str().unwrap().to_owned();
    (sim, id)
}

/// Collections take a fifth of a second here, and there is room for everybody.
pub fn quick() -> Simulator {
    let mut config = Config::default();
    for endpoint in [Endpoint::Collect, Endpoint::Link, Endpoint::Read, Endpoint::List] {
        config.quota_limits.insert(endpoint, vec![Limit { calls: 100_000, seconds: 60 }]);
    }
    config.machines = 1_000;
    let sim = Simulator::start(config).unwrap();
    sim.set(|b| (b.pending_s, b.in_progress_s) = (0.1, 0.1));
    sim
}

pub fn collections_asked_for(sim: &Simulator) -> usize {
    sim.requests().iter().filter(|r| r.path.contains("collectInvestigationPackage")).count()
}

/// Links of this service lead there from now on.
pub fn lead_to(sim: &Simulator, link: &str) {
    sim.script(json!({"match": {"path_contains": "getPackageUri"}, "times": 0,
        "reply": {"status": 200, "json": {"value": link}}}))
        .unwrap();
}

/// The same, with nothing left of what was scripted before.
pub fn fresh_script(sim: &Simulator, link: &str) {
    sim.clear_script();
    lead_to(sim, link);
}

/// A client that does not wait for the quota of links.
pub fn patient(sim: &Simulator, more: &[(&str, &str)]) -> Client {
    let mut options = vec![("quota_limits", "link=10000/60"), ("max_retries", "3")];
    options.extend_from_slice(more);
    client(sim, &options)
}

pub fn links_asked_for(sim: &Simulator) -> usize {
    sim.requests().iter().filter(|request| request.path.ends_with("getPackageUri")).count()
}

/// A zip of one entry, stored: enough to be taken for a package.
pub fn package(size: usize, seed: u64) -> Vec<u8> {
    package_of("Processes/Processes.csv", size, seed)
}

/// The same with another name for the entry.
pub fn package_of(name: &str, size: usize, seed: u64) -> Vec<u8> {
    let name = name.as_bytes();
    let mut content = vec![0; size];
    fastrand::Rng::with_seed(seed).fill(&mut content);
    let (crc, len) = (crc32fast::hash(&content).to_le_bytes(), (size as u32).to_le_bytes());
    let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 33, 0];
    common.extend([crc, len, len].concat());
    common.extend([name.len() as u8, 0, 0, 0]);
    let mut zip = [b"PK\x03\x04".to_vec(), common.clone(), name.to_vec(), content].concat();
    let directory = [b"PK\x01\x02\x14\x00".to_vec(), common, vec![0; 14], name.to_vec()].concat();
    let (at, size) = ((zip.len() as u32).to_le_bytes(), (directory.len() as u32).to_le_bytes());
    zip.extend(directory);
    zip.extend([b"PK\x05\x06\0\0\0\0\x01\0\x01\0".to_vec(), size.to_vec(), at.to_vec()].concat());
    zip.extend([0, 0]);
    zip
}

pub fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The package is there, whole, and nothing else is.
#[track_caller]
pub fn arrived(outcome: Outcome, folder: &Folder, content: &[u8]) -> Value {
    let package = outcome.ok()["package"].clone();
    assert!(fs::read(folder.file()).unwrap() == content, "other content");
    assert_eq!(package["sha256"], sha256(content));
    assert_eq!(package["bytes"], content.len());
    assert_eq!(folder.names(), ["package.zip"]);
    package
}
