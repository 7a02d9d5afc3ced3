//! Where a quota log lives.

use std::path::Path;

use mde::bench_hooks::Limiter;

/// A limiter with its log in memory, on a server, or in a file.
pub fn limiter(place: &str, limits: &str) -> Limiter {
    match place {
        MEMORY => Limiter::new(limits),
        url if url.starts_with("redis://") => Limiter::with_redis(limits, url),
        path => Limiter::with_file(limits, path),
    }
    .unwrap()
}

pub const MEMORY: &str = "memory";

/// A database of the server: each row has its own, as each has its own file.
pub fn database(server: &str, number: u32) -> String {
    format!("{server}/{number}")
}

/// A file that is not there yet.
pub fn new_file(folder: &str, name: &str) -> String {
    let path = Path::new(folder).join(name);
    let _ = std::fs::remove_file(&path);
    path.to_str().unwrap().to_owned()
}
