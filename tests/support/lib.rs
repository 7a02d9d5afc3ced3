//! Code that the test programs share.

/// A client, as C programs use one, with results taken apart.
mod client;

/// What a check of the access has found.
pub mod access;
/// Processes that tests start, kill and trace.
pub mod child;
/// The blocks of code in the pages that people read.
pub mod documents;
/// The encodings in which peers repeat what they were sent.
pub mod encodings;
/// Clients that are made while the environment is what a test says.
pub mod environment;
/// Folders, packages, and a service whose links lead where a test wants.
pub mod packages;
/// Programs in C and other languages: how they are built and run.
pub mod programs;

/// Servers that the library talks to: real ones, and some that misbehave.
pub mod peers {
    pub mod azurite;
    pub mod denying;
    pub mod file_host;
    pub mod kerberos;
    pub mod keys;
    pub mod listener;
    pub mod nginx;
    pub mod oidc;
    pub mod openssl;
    pub mod ports;
    pub mod proxies;
    pub mod redis_server;
    pub mod relay;
    pub mod responder;
    pub mod scene;
    pub mod server;
    pub mod slow_reader;
    pub mod stub_proxy;
}

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

pub use client::*;

/// The id of a made-up action.
pub fn id(number: u32) -> String {
    format!("5382f7ea-7557-4ab7-9782-{number:012x}")
}

/// The id of a made-up device.
pub fn device_id(number: u32) -> String {
    format!("{number:040x}")
}

/// The checkout.
pub const ROOT: &str = {
    let here = env!("CARGO_MANIFEST_DIR").as_bytes();
    let (root, _) = here.split_at(here.len() - "/tests".len());
    match std::str::from_utf8(root) {
        Ok(root) => root,
        Err(_) => panic!("the checkout has a name that is not UTF-8"),
    }
};

/// The version of the library.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where cargo puts programs of this profile: the one that runs lies there or in `deps`.
pub fn profile() -> &'static Path {
    static PROFILE: LazyLock<PathBuf> = LazyLock::new(|| {
        let program = std::env::current_exe().unwrap();
        let folder = program.parent().unwrap();
        if folder.ends_with("deps") {
            folder.parent().unwrap().to_owned()
        } else {
            folder.to_owned()
        }
    });
    &PROFILE
}

/// Where cargo builds, wherever it was told to.
pub fn target() -> &'static Path {
    profile().parent().unwrap()
}

/// The path in a variable, from the checkout if it is relative.
pub fn path_in(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(|path| Path::new(ROOT).join(path))
}

/// Node.js, with these packages installed in a folder of `tests`.
pub fn node(folder: &str) -> Command {
    let node = target().join("node/bin");
    let modules = Path::new(ROOT).join("tests").join(folder).join("node_modules");
    assert!(
        node.join("node").exists() && modules.exists(),
        "Node.js or its packages are missing; run in {ROOT}: tests/node.sh {} && \
         PATH={}:$PATH npm ci --prefix tests/{folder} --ignore-scripts",
        node.parent().unwrap().display(),
        node.display()
    );
    Command::new(node.join("node"))
}

/// Where tests make their folders.
pub fn scratch() -> &'static Path {
    static SCRATCH: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = target().join("tmp");
        std::fs::create_dir_all(&folder).unwrap();
        folder
    });
    &SCRATCH
}
