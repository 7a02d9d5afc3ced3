//! Where a quota log lives.

use std::path::Path;

use mde::bench_hooks::Limiter;

/// A limiter with its log in memory or in a file. Servers that share a log would be one more kind of place.
pub fn limiter(place: &str, limits: &str) -> Limiter {
    match place {
        MEMORY => Limiter::new(limits),
        path => Limiter::with_file(limits, path),
    }
    .unwrap()
}

pub const MEMORY: &str = "memory";

/// A file that is not there yet.
pub fn new_file(folder: &str, name: &str) -> String {
    let path = Path::new(folder).join(name);
    let _ = std::fs::remove_file(&path);
    path.to_str().unwrap().to_owned()
}
