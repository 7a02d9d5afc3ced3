//! The imports of each module name lower layers of `src` only, and never `lib.rs`.

use std::fs;
use std::path::{Path, PathBuf};

/// From top to bottom. Modules in one line do not import each other.
const LAYERS: [&str; 14] = [
    "ffi",
    "client",
    "operations",
    "account",
    "testing",
    "options",
    "quota sign_in",
    "progress",
    "service",
    "http package_zip",
    "call",
    "os",
    "error",
    "text log status",
];

fn rank(module: &str) -> Option<usize> {
    LAYERS.iter().position(|line| line.split(' ').any(|one| one == module))
}

/// The forbidden imports of one file. Its path is relative to `src`.
fn violations(path: &str, text: &str) -> Vec<String> {
    let own = path.split(['/', '.']).next().unwrap();
    let Some(layer) = rank(own) else { return vec![format!("{own} has no rank")] };
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: String = code.flat_map(|line| [line, "\n"]).collect();
    let imports = code.split("crate::").skip(1).map(|rest| {
        rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap().to_owned()
    });
    imports
        .filter(|other| other != own)
        .filter_map(|other| match rank(&other) {
            None => Some(format!("{path} imports `{other}` from lib.rs")),
            Some(below) if below <= layer => Some(format!("{path} imports {other}, which runs up")),
            Some(_) => None,
        })
        .collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn imports_name_lower_layers_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&src, &mut found);
    assert!(found.len() > 150, "{}", found.len());
    // `lib.rs` is above all layers, and so are the hooks of the fuzz targets, which nothing imports. This file contains
    // forbidden imports as examples.
    let above = ["lib.rs", "testing/layers.rs", "testing/fuzz_hooks.rs"];
    found.retain(|path| !above.iter().any(|it| *path == src.join(it)));
    let problems = found.iter().flat_map(|path| {
        let relative = path.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
        violations(&relative, &fs::read_to_string(path).unwrap())
    });
    let problems: Vec<_> = problems.collect();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn an_upward_import_is_found() {
    assert!(violations("http/tls.rs", "use crate::os::lock;\nuse crate::http::client;").is_empty());
    for (path, text) in [
        ("os/lock.rs", "use crate::http::client::Http;"),
        ("http/tls.rs", "let x = crate::package_zip::hex();"),
        ("http/tls.rs", "use crate::{Error, Status};"),
        ("http/tls.rs", "use crate::Error;"),
        ("attic/old.rs", ""),
    ] {
        assert_eq!(violations(path, text).len(), 1, "{path}: {text}");
    }
}
