//! The locations of quota logs: memory, a file, or a server.

use std::path::Path;

use mde::bench_hooks::Limiter;

/// A limiter with its log in memory, on a server, or in a file.
pub fn limiter(location: &str, limits: &str) -> Limiter {
    match location {
        MEMORY => Limiter::new(limits),
        url if url.starts_with("redis://") => Limiter::with_redis(limits, url),
        path => Limiter::with_file(limits, path),
    }
    .unwrap()
}

pub const MEMORY: &str = "memory";

/// A database of the server. Each row of a table uses its own.
pub fn database(server: &str, number: u32) -> String {
    format!("{server}/{number}")
}

/// The path of a file that does not exist yet.
pub fn new_file(folder: &str, name: &str) -> String {
    let path = Path::new(folder).join(name);
    let _ = std::fs::remove_file(&path);
    path.to_str().unwrap().to_owned()
}
